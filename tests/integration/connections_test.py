"""What one connection may send, how often it may ping, how long it lives, and how many calls it has at a time."""
import time
import unittest

import grpc

import corod_testing as testing
import http2
from corod_testing import pb, refused, sends

SECONDS = 0.2  # of --max-connection-age, and of its grace


class MessagesTest(testing.ServerTest):
    FLAGS = ("--max-message-bytes", "64KiB")

    def test_a_message_that_is_too_large_is_refused(self):
        session = self.client.create("echo", self.new_id(), prime=True).session.session_id
        large, small = "x" * (64 << 10), "x" * (63 << 10)
        for call in (lambda: self.client.send(session, large), lambda: self.client.drive(sends(session, large))):
            refusal = refused(call)
            self.assertEqual(refusal.code, grpc.StatusCode.RESOURCE_EXHAUSTED)
            self.assertIn("larger than max", refusal.message)
        self.assertEqual(self.client.get(session).steps, 1)
        self.assertEqual(self.client.send(session, small).value, small)
        self.assertEqual(self.client.drive(sends(session, small))[0].value, small)


class PingsTest(testing.ServerTest):
    FLAGS = ("--min-ping-interval", "20ms")

    def connect(self):
        connection = http2.Connection(self.server.address, seconds=testing.CALL_SECONDS)
        self.addCleanup(connection.close)
        return connection

    def test_a_client_that_pings_too_often_is_disconnected(self):
        connection = self.connect()
        connection.ping(4)  # three are too early
        self.assertTrue(connection.is_ended_within(testing.CALL_SECONDS))
        self.assertEqual(connection.goaway, (http2.ENHANCE_YOUR_CALM, "too_many_pings"))

    def test_a_client_that_pings_now_and_then_stays(self):
        connection = self.connect()
        for _ in range(5):
            self.assertTrue(connection.ping())
            self.assertFalse(connection.is_ended_within(0.1), connection.goaway)


class AgeTest(unittest.TestCase):
    def start(self, grace):
        self.server = testing.Server(testing.binary("COROD_TEST_SERVER"), "--max-connection-age", f"{SECONDS}s",
                                     "--max-connection-age-grace", grace)
        self.addCleanup(self.server.kill)
        self.client = self.server.client()

    def test_streams_end_and_calls_go_on_over_another_connection(self):
        begin = time.monotonic()
        self.start(f"{SECONDS}s")
        for session in "c", "watched":
            self.client.create("counter", session, prime=True)
        watch = self.client.stub.Watch(pb.WatchRequest(session_id="watched"), timeout=testing.CALL_SECONDS)
        list(watch.initial_metadata())
        with testing.DriveCall(self.client) as drive:
            drive.write(sends("c"))
            sent = drive.read()[0].value
            while not watch.done():
                sent += 1
                self.assertEqual(self.client.send("c").value, sent)
            for stream in drive.read, lambda: list(watch):
                refusal = refused(stream)
                self.assertEqual((refusal.code, refusal.reason), (grpc.StatusCode.UNAVAILABLE, ""))
        self.assertGreater(time.monotonic() - begin, 0.9 * SECONDS + SECONDS)  # gRPC varies the age by a tenth
        for value in range(sent + 1, sent + 100):
            self.assertEqual(self.client.send("c").value, value)

    def test_a_call_that_runs_has_the_grace_to_end(self):
        self.start("1m")
        states = []
        self.client.create("gate", "g", {"name": "g"}, prime=True)
        self.client.channel.subscribe(states.append)
        running = self.client.start_send("g", 1)
        testing.eventually(lambda: grpc.ChannelConnectivity.READY in states, "it is connected")
        testing.eventually(lambda: states[-1] == grpc.ChannelConnectivity.IDLE, "the connection is not for new calls")
        self.assertFalse(running.done())
        self.server.client().create("open_gate", arguments={"name": "g"}, prime=True)
        self.assertEqual(testing.answer(running).outcome, ("yielded", 1))


class CallsTest(testing.ServerTest):
    FLAGS = ("--max-connection-calls", "1")

    def setUp(self):
        self.other = self.server.client()
        self.counter, self.session = self.new_id(), self.new_id()
        self.client.create("counter", self.counter, prime=True)

    def check_another_waits(self, end):
        """That a call on the same connection is executed once `end` has ended the one that is under way."""
        waiting = self.client.start_send(self.counter)
        for value in range(1, 51):
            self.assertEqual(self.other.send(self.counter).value, value)
        self.assertFalse(waiting.done())
        end()
        self.assertEqual(testing.answer(waiting).value, 51)

    def test_a_call_waits_for_the_step_that_runs(self):
        gate = {"name": self.session}
        self.client.create("gate", self.session, gate, prime=True)
        running = self.client.start_send(self.session, 1)
        self.other.wait_until_running(self.session)
        self.check_another_waits(lambda: self.other.create("open_gate", arguments=gate, prime=True))
        self.assertEqual(testing.answer(running).value, 1)

    def test_a_call_waits_for_the_stream_that_is_open(self):
        watch = self.client.stub.Watch(pb.WatchRequest(session_id=self.counter), timeout=testing.CALL_SECONDS)
        list(watch.initial_metadata())
        self.check_another_waits(watch.cancel)


if __name__ == "__main__":
    unittest.main()
