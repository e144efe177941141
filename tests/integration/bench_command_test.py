"""coroctl bench against a real server: it measures something, and leaves nothing behind. What the figures are says nothing here."""
import json
import signal
import subprocess
import tempfile
import unittest

import corod_testing as testing

PARTS = ["p50", "p90", "p99", "p99.9", "max"]


def bench(server, *arguments, duration="0.2"):
    return [testing.binary("COROCTL"), "--server", server.address, "bench", "--sessions", "50", "--duration", duration, *arguments]


class BenchCommandTest(testing.ServerTest):
    BINARY = "COROD_BIN"

    def tearDown(self):
        self.assert_nothing_is_left(self.client)

    def assert_nothing_is_left(self, client):
        self.assertEqual([session.session_id for page in client.list_all() for session in page.sessions], [])

    def run_bench(self, *arguments, server=None, status=0):
        ended = subprocess.run(bench(server or self.server, *arguments), stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, timeout=testing.CALL_SECONDS)
        self.assertEqual(ended.returncode, status, ended.stderr)
        if status == 0:
            self.assertEqual(ended.stderr, "")
        return ended

    def found(self, *arguments, **how):
        found = json.loads(self.run_bench("--json", *arguments, **how).stdout)
        self.assertGreater(found["commands"], 0)
        self.assertGreater(found["commands_per_second"], 0)
        self.assertGreater(found["seconds"], 0)
        latencies = [found["latency_ms"][part] for part in PARTS]
        self.assertGreater(latencies[0], 0)
        self.assertEqual(latencies, sorted(latencies))
        return found

    def test_unary(self):
        found = self.found()
        self.assertEqual((found["mode"], found["durability"], found["sessions"]), ("unary", "ephemeral", 50))

    def test_drive(self):
        found = self.found("--mode", "drive", "--batch", "20", "--streams", "2")
        self.assertEqual((found["mode"], found["batch"], found["streams"]), ("drive", 20, 2))

    def test_a_rate(self):
        found = self.found("--rate", "200")
        self.assertEqual((found["rate"], found["commands"]), (200, 40))

    def test_another_coroutine(self):
        found = self.found("sliding_window", "size=3", "--value", '{"a": 1}')
        self.assertEqual(found["coroutine"], "sliding_window")

    def test_text_has_a_line_for_each_figure(self):
        lines = self.run_bench().stdout.splitlines()
        self.assertEqual([line[:14].rstrip() for line in lines],
                         ["sessions", "load", "commands", "throughput", *(f"latency {part}" for part in PARTS)])

    def test_durable_sessions(self):
        with tempfile.TemporaryDirectory() as directory:
            server = testing.Server(testing.binary("COROD_BIN"), data_dir=directory)
            self.addCleanup(server.kill)
            for mode in "unary", "drive":
                self.assertEqual(self.found("--mode", mode, server=server)["durability"], "durable")
            self.assertEqual(self.found("--ephemeral", server=server)["durability"], "ephemeral")
            self.assert_nothing_is_left(server.client())
            server.stop()

    def test_durable_sessions_of_a_server_without_a_journal(self):
        ended = self.run_bench("--durable", status=3)
        self.assertRegex(ended.stderr, r"^coroctl: FAILED_PRECONDITION DURABILITY_UNAVAILABLE: [^\n]+\n$")
        self.assertEqual(ended.stdout, "")

    def test_a_value_that_the_coroutine_does_not_take(self):
        for mode in "unary", "drive":
            ended = self.run_bench("--mode", mode, "--value", "seven", status=1)
            self.assertRegex(ended.stderr, r"^coroctl: a coroutine raised TypeError: [^\n]+\n$")

    def test_more_sessions_than_the_server_takes(self):
        server = testing.Server(testing.binary("COROD_BIN"), "--max-sessions", "20")
        self.addCleanup(server.kill)
        ended = self.run_bench(server=server, status=3)
        self.assertRegex(ended.stderr, r"^coroctl: RESOURCE_EXHAUSTED TOO_MANY_SESSIONS: [^\n]+\n$")
        self.assert_nothing_is_left(server.client())
        server.stop()

    def test_interrupt(self):
        for mode in "unary", "drive":
            running = subprocess.Popen(bench(self.server, "--mode", mode, duration="1h"), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(running.kill)
            testing.eventually(lambda: any(session.steps > 1 for session in self.client.list(page_size=1).sessions), "it runs")
            running.send_signal(signal.SIGINT)
            _, stderr = running.communicate(timeout=testing.CALL_SECONDS)
            # As a shell shows it: 130.
            self.assertEqual((running.returncode, stderr), (-signal.SIGINT, ""))
            self.assert_nothing_is_left(self.client)


if __name__ == "__main__":
    unittest.main()
