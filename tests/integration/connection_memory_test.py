"""What is sent is kept before anybody can be asked who sends it: it is bounded."""
import unittest

import corod_testing as testing
import http2


class ConnectionMemoryTest(unittest.TestCase):
    def test_calls_that_do_not_end_take_no_more_than_they_may(self):
        server = testing.Server(testing.binary("COROD_BIN"), "--max-connection-memory", "32MiB")
        self.addCleanup(server.kill)
        client = server.client()
        client.create("averager", "s", prime=True)
        before = server.anonymous_bytes()
        for _ in range(2):
            connection = http2.Connection(server.address, seconds=0.2)
            self.addCleanup(connection.close)
            for _ in range(6):
                connection.call("/corod.v1.CoroutineService/Send", 20 << 20)
            self.assertIn(http2.ENHANCE_YOUR_CALM, connection.ended.values())
        self.assertLess(server.anonymous_bytes() - before, 160 << 20)
        self.assertEqual(client.send("s", 3).value, 3)
        server.stop()


if __name__ == "__main__":
    unittest.main()
