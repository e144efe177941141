"""Durable sessions on the disk: what is there after a kill -9, and what sleeps, is watched, forked, exported and limited."""
import os
import signal
import subprocess
import unittest
import unittest.mock

import grpc

import corod_testing as testing
from corod_testing import pb, session_pb2

HOUR = 3600  # seconds
NEVER = ("--passivate-after", "0")


class DurabilityTest(testing.DurableServerTest):
    """Each test has a server on a directory of its own, and comes back to it."""

    def watch(self, session_id, from_step=None):
        return self.client.stub.Watch(pb.WatchRequest(session_id=session_id, from_step=from_step),
                                      timeout=testing.CALL_SECONDS)

    def asleep(self, session_id):
        testing.eventually(lambda: not self.client.get(session_id).live, f"{session_id} sleeps")

    # ---- commands sent again

    def test_a_command_sent_again_after_a_kill_gets_its_answer(self):
        self.start()
        self.client.create("averager", "a", prime=True, request_id="c")
        answers = [self.client.send("a", number, request_id=f"r{number}") for number in range(5)]
        self.come_back()
        created = self.client.create("averager", "a", prime=True, request_id="c")
        self.assertTrue(created.replayed)
        self.assertEqual((created.primed.outcome, created.primed.step), (("yielded", None), 1))
        for number, answer in enumerate(answers):
            again = self.client.send("a", number, request_id=f"r{number}")
            self.assertEqual((again.outcome, again.step, again.replayed), (answer.outcome, answer.step, True))
        refusal = testing.refused(self.client.send, "a", 7, request_id="r3")
        self.assert_refused(refusal, "REQUEST_ID_REUSED")
        self.assertEqual(self.client.get("a").steps, 6)

    def test_a_delete_sent_again_after_a_kill_gets_its_answer(self):
        self.start()
        self.client.create("returns_on_exit", "a", {"value": 7}, prime=True)
        first = self.client.delete("a", request_id="d")
        self.come_back()
        again = self.client.delete("a", request_id="d")
        self.assertEqual((again.outcome, again.step), (first.outcome, first.step))
        self.assertEqual(first.outcome, ("returned", 7))
        self.assert_refused(testing.refused(self.client.delete, "a", request_id="other"), "SESSION_NOT_FOUND")

    # ---- what a session is

    def test_finished_sessions_come_back(self):
        self.start("--retention", "1h")
        self.client.create("line_splitter", "a", prime=True)
        self.client.send("a", "rest")
        self.client.close("a")
        self.come_back("--retention", "1h")
        session = self.client.get("a")
        self.assertEqual((session.state, session.steps), (session_pb2.STATE_CLOSED, 3))
        self.assertEqual(testing.outcome_of(session.last_outcome).outcome, ("returned", "rest"))

    def test_finished_sessions_are_forgotten_after_a_restart(self):
        self.start("--retention", "2s")
        self.client.create("line_splitter", "a", prime=True)
        self.client.close("a")
        self.server.stop()
        self.start("--retention", "2s")
        testing.eventually(lambda: not self.client.list().sessions, "the finished session is forgotten")
        self.assert_refused(testing.refused(self.client.send, "a"), "SESSION_NOT_FOUND")

    def test_labels_and_the_version_come_back(self):
        self.start()
        self.client.create("versioned", "old", version=1, labels={"tier": "gold", "gone": "x"}, prime=True)
        self.client.create("versioned", "new", prime=True)
        self.client.update("old", labels={"tier": "tin"}, remove_labels=["gone"])
        self.come_back()
        session = self.client.get("old")
        self.assertEqual((dict(session.labels), session.version, session.live), ({"tier": "tin"}, 1, False))
        self.assertEqual([s.session_id for s in self.client.list(labels={"tier": "tin"}).sessions], ["old"])
        self.assertEqual(self.client.next("old").value, 1)
        self.assertEqual(self.client.next("new").value, 2)

    def test_what_came_due_while_the_server_was_down_is_done(self):
        self.start()
        for name in "idle", "stays":
            self.client.create("returns_on_exit", name, {"value": name}, prime=True)
        self.client.create("writes_on_exit", "expires", {"path": os.path.join(self.directory, "line"), "line": "bye"},
                           prime=True)
        request = pb.UpdateRequest(session_id="idle")
        request.idle_timeout.FromSeconds(HOUR)
        self.client.stub.Update(request, timeout=testing.CALL_SECONDS)
        request = pb.UpdateRequest(session_id="expires")
        request.expire_time.CopyFrom(self.client.get("expires").create_time)
        request.expire_time.seconds += HOUR
        self.client.stub.Update(request, timeout=testing.CALL_SECONDS)
        self.kill()
        with unittest.mock.patch.dict(os.environ, COROD_TEST_CLOCK_AHEAD=str(2 * HOUR)):
            self.start()
        for name in "idle", "expires":
            testing.eventually(lambda name=name: self.client.get(name).state == session_pb2.STATE_CLOSED, f"{name} closes")
        self.assertEqual(testing.outcome_of(self.client.get("idle").last_outcome).outcome, ("returned", "idle"))
        with open(os.path.join(self.directory, "line"), encoding="ascii") as line:
            self.assertEqual(line.read(), "bye\n")
        self.assertEqual(self.client.get("stays").state, session_pb2.STATE_SUSPENDED)
        causes = [event.event.cause for event in self.watch("idle", 1)]
        self.assertEqual(causes, [session_pb2.CLOSE_CAUSE_UNSPECIFIED, session_pb2.CLOSE_CAUSE_IDLE])

    # ---- asleep

    def test_get_and_list_do_not_wake(self):
        self.start()
        for number in range(5):
            self.client.create("averager", f"a{number}", prime=True)
            self.client.send(f"a{number}", number)
        self.assertTrue(self.client.get("a0").live)
        self.come_back()
        for _ in range(2):
            sessions = self.client.list().sessions
            self.assertEqual([(s.session_id, s.steps, s.live) for s in sessions], [(f"a{n}", 2, False) for n in range(5)])
            self.assertEqual([testing.outcome_of(s.last_outcome).value for s in sessions], [0, 1, 2, 3, 4])
            self.assertFalse(self.client.get("a3").live)
        self.client.send("a3", 5)
        self.assertTrue(self.client.get("a3").live)
        self.assertFalse(self.client.get("a2").live)

    def test_an_unused_session_leaves_memory_and_comes_back(self):
        self.start("--passivate-after", "20ms")
        self.client.create("averager", "a", prime=True)
        self.client.create("echo", "e", prime=True)  # cannot be restarted: is replayed
        for number in range(1, 4):
            self.client.send("a", number)
            self.client.send("e", number)
            self.asleep("a")
            self.asleep("e")
        self.assertEqual(self.client.send("a", 4).outcome, ("yielded", 2.5))
        self.assertEqual(self.client.send("e", 9).outcome, ("yielded", 9))

    def test_the_longest_unused_makes_room(self):
        self.start("--max-live-sessions", "3", *NEVER)
        for number in range(12):
            self.client.create("averager", f"a{number:02}", prime=True)
            self.client.send(f"a{number:02}", number)
        testing.eventually(lambda: sum(s.live for s in self.client.list().sessions) <= 3, "only three are live")
        for number in range(12):
            self.assertEqual(self.client.send(f"a{number:02}", number + 2).outcome, ("yielded", number + 1))

    def test_a_cleanup_runs_once_and_only_at_the_end(self):
        self.start("--passivate-after", "20ms")
        self.client.create("cleanups", "count", prime=True, durability=session_pb2.DURABILITY_EPHEMERAL)
        self.client.create("counts_cleanup", "a", prime=True)
        for _ in range(3):
            self.asleep("a")
            self.assertEqual(self.client.next("count").value, 0)
            self.client.next("a")
        self.client.close("a")
        self.assertEqual(self.client.next("count").value, 1)
        self.asleep("a")
        self.assertEqual(self.client.next("count").value, 1)

    def test_sigterm_does_not_close(self):
        self.start()
        self.client.create("writes_on_exit", "a", {"path": os.path.join(self.directory, "line"), "line": "bye"}, prime=True)
        self.client.create("averager", "b", prime=True)
        self.client.send("b", 3)
        self.server.stop()
        self.assertFalse(os.path.exists(os.path.join(self.directory, "line")))
        self.start()
        self.assertEqual(self.client.get("a").state, session_pb2.STATE_SUSPENDED)
        self.assertEqual(self.client.send("b", 5).outcome, ("yielded", 4.0))
        self.client.close("a")
        self.assertTrue(os.path.exists(os.path.join(self.directory, "line")))

    def test_a_directory_serves_one_server(self):
        self.start()
        done = subprocess.run([testing.binary("COROD_TEST_SERVER"), "--listen", "127.0.0.1:0", "--data-dir", self.data],
                              capture_output=True, text=True, timeout=testing.CALL_SECONDS, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"\Acorod: [^\n]*" + self.data + r"[^\n]*\n\Z")

    # ---- history

    def test_a_watch_goes_on_after_a_restart_without_a_gap(self):
        self.start()
        self.client.create("averager", "a", prime=True)
        for number in range(10):
            self.client.send("a", number, request_id=f"r{number}")
        self.come_back()
        for start in 1, 4, 11, 12:
            stream = self.watch("a", start)
            if start <= 11:
                self.assertEqual(next(stream).event.step, start)
            else:
                stream.initial_metadata()
            steps = max(self.client.get("a").steps, 11)
            self.client.send("a", 1)
            expected = range(start + (start <= 11), steps + 2)
            events = [next(stream).event for _ in expected]
            self.assertEqual([event.step for event in events], list(expected))
            stream.cancel()
        event = next(self.watch("a", 5)).event
        self.assertEqual((event.request_id, testing.outcome_of(event.outcome).outcome), ("r3", ("yielded", 1.5)))

    def test_a_slow_watcher_is_told_where_to_go_on(self):
        self.start()
        self.client.create("huge", "a", {"bytes": 60_000}, prime=True)
        stream = self.watch("a")
        stream.initial_metadata()
        steps = 3_000
        for _ in range(steps // 100):
            replies = self.client.drive(*[testing.sends("a", quiet=True, resume=True) for _ in range(100)])
            self.assertEqual({type(reply) for reply in replies}, {testing.Reply})
        seen = 1
        with self.assertRaises(grpc.RpcError) as caught:
            for response in stream:
                self.assertEqual(response.event.step, seen + 1)
                seen += 1
        refusal = testing.refusal_of(caught.exception)
        self.assertEqual(refusal.reason, "WATCHER_TOO_SLOW")
        self.assertEqual(int(refusal.metadata["resume_step"]), seen + 1)
        self.assertEqual(next(self.watch("a", seen + 1)).event.step, seen + 1)
        self.assertEqual(self.client.get("a").steps, steps + 1)

    def test_watches_that_are_cancelled_while_they_begin(self):
        self.start()
        self.client.create("averager", "a", prime=True)
        self.client.send("a", 1)
        for attempt in range(1_500):
            stream = self.watch("a", 1 if attempt % 2 else None)
            if attempt % 3 == 0:
                stream.initial_metadata()
            stream.cancel()
            with self.assertRaises(grpc.RpcError):
                for _ in stream:
                    pass
        self.assertEqual(self.client.send("a", 3).outcome, ("yielded", 2.0))

    def test_history_that_is_trimmed(self):
        self.start("--checkpoint-every", "5", "--history", "10", *NEVER)
        self.client.create("averager", "a", prime=True)
        for number in range(60):
            self.client.send("a", number, request_id=f"r{number}")
        earliest = testing.eventually(lambda: self.client.get("a").earliest_step, "trimming")
        self.assertGreater(earliest, 1)
        self.assertLessEqual(earliest, 52)
        with self.assertRaises(grpc.RpcError) as caught:
            list(self.watch("a", 1))
        self.assert_refused(testing.refusal_of(caught.exception), "HISTORY_TRIMMED", earliest_step=str(earliest))
        self.assertEqual(next(self.watch("a", earliest)).event.step, earliest)
        self.come_back("--checkpoint-every", "5", "--history", "10", *NEVER)
        self.assertEqual(self.client.get("a").earliest_step, earliest)
        for step in range(earliest, 62):
            self.assertEqual(testing.outcome_of(self.client.get("a", at_step=step).last_outcome).value, (step - 2) / 2)
            fork = self.client.stub.Fork(pb.ForkRequest(session_id="a", at_step=step), timeout=testing.CALL_SECONDS).session
            total = sum(range(step - 1)) + 100
            self.assertEqual(self.client.send(fork.session_id, 100).outcome, ("yielded", total / step))
        forgotten = testing.refused(self.client.send, "a", 3, request_id="r3")
        self.assertEqual((forgotten.reason, forgotten.metadata["step"]), ("REPLY_FORGOTTEN", "5"))
        self.assertEqual(self.client.send("a", 59, request_id="r59").replayed, True)

    def test_history_limit(self):
        self.start("--history-limit", "4")
        self.client.create("echo", "a", prime=True)
        for number in range(3):
            self.client.send("a", number)
        self.assert_refused(testing.refused(self.client.send, "a", 3), "HISTORY_LIMIT")
        self.come_back("--history-limit", "4")
        self.assert_refused(testing.refused(self.client.send, "a", 3), "HISTORY_LIMIT")
        self.client.create("averager", "b", prime=True)
        for number in range(10):
            self.client.send("b", number)
        self.assertEqual(self.client.close("a").step, 5)

    def test_export_to_another_server(self):
        self.start()
        self.client.create("averager", "a", prime=True)
        for number in range(8):
            self.client.send("a", number)
        self.come_back()
        file = self.export("a")
        self.kill()
        self.start(data_dir=os.path.join(self.directory, "other"))
        imported = self.import_file(file, "b")
        self.assertEqual((imported.session_id, imported.steps), ("b", 9))
        self.assertEqual([event.event.step for _, event in zip(range(9), self.watch("b", 1))], list(range(1, 10)))
        self.assertEqual(self.client.send("b", 8).outcome, ("yielded", 4.0))

    def export(self, session_id):
        stream = self.client.stub.Export(pb.ExportRequest(session_id=session_id), timeout=testing.CALL_SECONDS)
        return b"".join(response.chunk for response in stream)

    def import_file(self, file, session_id):
        requests = [pb.ImportRequest(chunk=file[at:at + 10], session_id="" if at else session_id)
                    for at in range(0, len(file), 10)]
        return self.client.stub.Import(iter(requests), timeout=testing.CALL_SECONDS).session

    # ---- a body that ends the process

    def test_a_session_that_crashes_the_server_twice_is_quarantined(self):
        mark = os.path.join(self.directory, "abort")
        self.start()
        self.client.create("aborts", "a", {"path": mark}, prime=True)
        self.client.send("a", "fine")
        with open(mark, "w", encoding="ascii"):
            pass
        with self.assertRaises(grpc.RpcError):
            self.client.send("a", "abort", request_id="bad")
        self.server.wait(-signal.SIGABRT)
        for _ in range(2):  # in replay
            self.start()
            with self.assertRaises(grpc.RpcError):
                self.client.send("a", "more")
            self.server.wait(-signal.SIGABRT)
        self.start()
        refusal = testing.refused(self.client.send, "a", "more")
        self.assert_refused(refusal, "SESSION_BROKEN", session_id="a", step="3")
        self.client.create("averager", "b", prime=True)
        problems = self.client.list(has_problem=True).sessions
        self.assertEqual([(s.session_id, s.problem.reason) for s in problems], [("a", "SESSION_BROKEN")])
        events = []
        with self.assertRaises(grpc.RpcError) as caught:
            for response in self.watch("a", 1):
                events.append(response.event.step)
        self.assertEqual((events, testing.refusal_of(caught.exception).reason), ([1, 2], "SESSION_BROKEN"))
        self.client.stub.Fork(pb.ForkRequest(session_id="a", at_step=2, new_session_id="f"), timeout=testing.CALL_SECONDS)
        self.assertEqual(self.client.send("f", "again").outcome, ("yielded", "again"))
        self.assertEqual(self.import_file(self.export("a"), "i").steps, 2)
        self.client.delete("a")
        self.assertEqual(len(self.client.list(has_problem=True).sessions), 0)
        self.server.stop()


if __name__ == "__main__":
    unittest.main()
