"""docs/endings.md, row by row: what ends a session, and what of its body runs then."""
import os
import re
import signal
import threading
import unittest
from pathlib import Path

import grpc
from google.protobuf import duration_pb2, timestamp_pb2

import corod_testing as testing
from corod.v1 import catalog_service_pb2 as catalog_pb
from corod_testing import pb, session_pb2

TABLE = Path(__file__).resolve().parents[2] / "docs" / "endings.md"
EPHEMERAL, DURABLE = session_pb2.DURABILITY_EPHEMERAL, session_pb2.DURABILITY_DURABLE
SUSPENDED, CLOSED = session_pb2.STATE_SUSPENDED, session_pb2.STATE_CLOSED

# Yields and returns a list in which each of its cleanups notes that it has run.
SCRIPT = """
return function()
  local ran = {}
  finally(function() table.insert(ran, "function") end)
  local ended, e = pcall(function()
    local _ <close> = finally(function() table.insert(ran, "block") end)
    while true do
      local sent = yield(ran)
      if sent == "return" then return end
      if sent == "raise" then error{type = "ValueError", message = "raised"} end
    end
  end)
  if ended or isinstance(e, "GeneratorExit") then return ran end
  error{type = e.type, arguments = ran}
end
"""
# Would raise another exception if its cleanup ran.
GREEDY = """
return function()
  finally(function() error{type = "LookupError", message = "the cleanup ran"} end)
  local _ <close> = finally(function() error{type = "LookupError", message = "the cleanup ran"} end)
  local held = {}
  while true do
    local sent = yield()
    if sent == "loop" then while true do end end
    if sent == "ask" then string.rep("x", 65 << 20) end
    if sent == "hold" then for i = 1, 17 do held[i] = string.rep("x", 1 << 20) .. i end end
    if sent == "raise" then error("raised") end
  end
end
"""
FINALLY, DESTRUCTOR = "finally", "destructor"
ENDED = [FINALLY, DESTRUCTOR]
CLEANED = ["block", "function"]


def rows():
    """The ids of the table's rows."""
    return re.findall(r"^\| `(\w+)` \|", TABLE.read_text(encoding="utf-8"), re.MULTILINE)


class WatchCall:
    """A Watch of a session, read by a thread of its own as it comes."""

    def __init__(self, client, session_id, from_step=None):
        self.events = []
        self.end = None  # once it has ended: a Refusal, or "OK"
        self._call = client.stub.Watch(pb.WatchRequest(session_id=session_id, from_step=from_step),
                                       timeout=testing.CALL_SECONDS)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        try:
            for response in self._call:
                self.events.append(response.event)
            self.end = "OK"
        except grpc.RpcError as error:
            self.end = testing.refusal_of(error)

    def last(self):
        """When it has ended: its last event, and how it ended."""
        self._reader.join(testing.CALL_SECONDS)
        return self.events[-1], self.end

    def cancel(self):
        self._call.cancel()
        self._reader.join()


class EndingsTest(testing.DurableServerTest):
    """Each row has a test; `script` and `native` are the bodies whose cleanup is seen: in what they yield and return, and in a file."""

    def begin(self, *flags):
        self.start(*flags)
        self.define("script", SCRIPT)

    def define(self, name, source):
        coroutine = catalog_pb.Coroutine(name=name, source=source)
        self.client.catalog.DefineCoroutine(catalog_pb.DefineCoroutineRequest(coroutine=coroutine),
                                            timeout=testing.CALL_SECONDS)

    def script(self, session_id, durability=DURABLE, **fields):
        self.client.create("script", session_id, prime=True, durability=durability, **fields)

    def native(self, session_id, durability=DURABLE, ignores=False, **fields):
        self.client.create("notes_its_end", session_id, {"path": self.path(session_id), "ignores": ignores}, prime=True,
                           durability=durability, **fields)

    def path(self, session_id):
        return os.path.join(self.directory, session_id)

    def noted(self, session_id):
        """What of the native body has run."""
        path = Path(self.path(session_id))
        return path.read_text(encoding="ascii").split() if path.exists() else []

    def watch(self, session_id, from_step=None):
        watch = WatchCall(self.client, session_id, from_step)
        self.addCleanup(watch.cancel)
        return watch

    def watch_from_now(self, session_id):
        """One that has begun: sends until it has seen a step."""
        watch = self.watch(session_id)

        def seen():
            self.client.send(session_id)
            return watch.events
        testing.eventually(seen, "the watch has begun")
        return watch

    def update(self, session_id, **fields):
        return self.client.update(session_id, **fields)

    def wait_for_state(self, session_id, state):
        def reached():
            shown = self.client.get(session_id)
            return shown if shown.state == state else None
        return testing.eventually(reached, f"{session_id} is {state}")

    def wait_until_gone(self, session_id):
        testing.eventually(lambda: not self.is_there(session_id), f"{session_id} is forgotten")

    def is_there(self, session_id):
        try:
            self.client.get(session_id)
        except grpc.RpcError as error:
            self.assertEqual(testing.refusal_of(error).reason, "SESSION_NOT_FOUND")
            return False
        return True

    def wait_until_asleep(self, session_id):
        testing.eventually(lambda: not self.client.get(session_id).live, f"{session_id} is asleep")

    def assert_closed_by(self, cause, event, end, value=CLEANED, force=False):
        """That the watch ended well, after a close of that cause with that value."""
        self.assertEqual(end, "OK")
        self.assertEqual(event.WhichOneof("operation"), "close")
        self.assertEqual((event.cause, event.close.force), (cause, force))
        self.assertEqual(testing.outcome_of(event.outcome).outcome, ("returned", value))

    def assert_goes_on(self, session_id, steps):
        """That a script stands where it stood after so many steps, and nothing of its cleanup has run."""
        answer = self.client.send(session_id)
        self.assertEqual((answer.outcome, answer.step), (("yielded", []), steps + 1))

    def operations(self, session_id):
        """What the log has, as (operation, cause)."""
        steps = self.client.get(session_id).steps
        watch = self.watch(session_id, from_step=1)
        testing.eventually(lambda: len(watch.events) == steps, "the log is read")
        return [(event.WhichOneof("operation"), event.cause) for event in watch.events]

    def test_each_row_has_a_test_and_each_test_a_row(self):
        names = [name.removeprefix("test_row_") for name in dir(self) if name.startswith("test_row_")]
        self.assertGreater(len(names), 0)
        self.assertEqual(sorted(names), sorted(rows()))

    # ---- closes

    def test_row_close(self):
        self.begin()
        for durability in DURABLE, EPHEMERAL:
            session = f"s{durability}"
            self.script(session, durability)
            watch = self.watch_from_now(session)
            answer = self.client.close(session)
            self.assertEqual(answer.outcome, ("returned", CLEANED))
            self.assertEqual(self.client.get(session).steps, answer.step)
            self.assert_closed_by(session_pb2.CLOSE_CAUSE_CLIENT, *watch.last())
            native = f"n{durability}"
            self.native(native, durability)
            self.assertEqual(self.client.close(native).outcome, ("returned", None))
            self.assertEqual(self.noted(native), ENDED)
            self.assertEqual(self.client.get(native).state, CLOSED)
            self.client.close(native)
            self.assertEqual(self.noted(native), ENDED, "once")
            stubborn = f"i{durability}"
            self.native(stubborn, durability, ignores=True)
            kind, raised = self.client.close(stubborn).outcome
            self.assertEqual((kind, raised.type), ("raised", "RuntimeError"))
            self.assertEqual((self.client.get(stubborn).state, self.noted(stubborn)), (SUSPENDED, []))
            fresh = f"f{durability}"
            self.client.create("notes_its_end", fresh, {"path": self.path(fresh)}, durability=durability)
            self.assertEqual(self.client.close(fresh).outcome, ("returned", None))
            self.assertEqual(self.noted(fresh), [], "it was not started")

    def test_row_close_force(self):
        self.begin()
        for durability in DURABLE, EPHEMERAL:
            session = f"s{durability}"
            self.script(session, durability)
            watch = self.watch_from_now(session)
            self.assertEqual(self.client.close(session, force=True).outcome, ("returned", CLEANED))
            self.assert_closed_by(session_pb2.CLOSE_CAUSE_CLIENT, *watch.last(), force=True)
            stubborn = f"n{durability}"
            self.native(stubborn, durability, ignores=True)
            kind, raised = self.client.close(stubborn, force=True).outcome
            self.assertEqual((kind, raised.type, raised.notes),
                             ("raised", "RuntimeError", ["the coroutine ignored the close and was dropped"]))
            self.assertEqual((self.client.get(stubborn).state, self.noted(stubborn)), (CLOSED, [DESTRUCTOR]))

    def test_row_delete(self):
        self.begin()
        for durability in DURABLE, EPHEMERAL:
            session = f"s{durability}"
            self.script(session, durability)
            watch = self.watch_from_now(session)
            self.assertEqual(self.client.delete(session).outcome, ("returned", CLEANED))
            self.assert_closed_by(session_pb2.CLOSE_CAUSE_DELETE, *watch.last())
            self.assertFalse(self.is_there(session))
            for native, ignores, noted in (f"n{durability}", False, ENDED), (f"i{durability}", True, [DESTRUCTOR]):
                self.native(native, durability, ignores)
                self.client.delete(native)
                self.assertEqual(self.noted(native), noted)
                self.assertFalse(self.is_there(native))

    def check_background_close(self, cause, **when):
        self.begin()
        for durability in DURABLE, EPHEMERAL:
            session = f"s{durability}"
            self.script(session, durability)
            watch = self.watch_from_now(session)
            steps = self.update(session, **when).steps
            self.assert_closed_by(cause, *watch.last())
            shown = self.client.get(session)
            self.assertEqual((shown.state, shown.steps), (CLOSED, steps + 1))
            self.assertEqual(testing.outcome_of(shown.last_outcome).outcome, ("returned", CLEANED))
            for native, ignores, noted in (f"n{durability}", False, ENDED), (f"i{durability}", True, [DESTRUCTOR]):
                self.native(native, durability, ignores)
                self.update(native, **when)
                self.wait_for_state(native, CLOSED)
                self.assertEqual(self.noted(native), noted)

    def test_row_idle(self):
        self.check_background_close(session_pb2.CLOSE_CAUSE_IDLE, idle_timeout=duration_pb2.Duration(nanos=1_000_000))

    def test_row_expiry(self):
        self.check_background_close(session_pb2.CLOSE_CAUSE_EXPIRED, expire_time=timestamp_pb2.Timestamp(seconds=1))

    # ---- what is finished goes

    def test_row_retention(self):
        self.begin("--retention", "300ms")
        for durability in DURABLE, EPHEMERAL:
            native = f"n{durability}"
            self.native(native, durability)
            self.client.close(native)
            self.assertEqual(self.noted(native), ENDED)
            self.wait_until_gone(native)
            self.assertEqual(self.noted(native), ENDED)
            self.assertEqual(self.client.create("echo", native).session.steps, 0)

    def test_row_replaced(self):
        self.begin()
        for durability in DURABLE, EPHEMERAL:
            native = f"n{durability}"
            self.native(native, durability)
            self.client.close(native)
            before = self.client.get(native)
            created = self.client.create("echo", native, durability=durability,
                                         if_exists=session_pb2.IF_EXISTS_REPLACE_FINISHED)
            self.assertNotEqual(created.session.uid, before.uid)
            self.assertEqual((created.session.coroutine, created.session.steps), ("echo", 0))
            self.assertEqual(self.noted(native), ENDED)

    # ---- drain

    def wait_for_the_end(self):
        self.client.disconnect()  # it would wait for that, too
        self.server.wait()

    def test_row_drain_ephemeral(self):
        self.begin()
        self.script("s", EPHEMERAL)
        for native, ignores in ("n", False), ("i", True):
            self.native(native, EPHEMERAL, ignores)
        watch = self.watch_from_now("s")
        self.server.terminate()
        self.assert_closed_by(session_pb2.CLOSE_CAUSE_DRAIN, *watch.last())
        self.wait_for_the_end()
        self.assertEqual((self.noted("n"), self.noted("i")), (ENDED, [DESTRUCTOR]))
        self.start()
        self.assertFalse(self.is_there("s"))

    def test_row_drain_durable(self):
        self.begin()
        self.script("s")
        self.native("n")
        watch = self.watch_from_now("s")
        steps = self.client.get("s").steps
        self.server.terminate()
        _, end = watch.last()
        self.assertEqual((end.reason, end.metadata["resume_step"]), ("DRAINING", str(steps + 1)))
        self.wait_for_the_end()
        self.assertEqual(self.noted("n"), [DESTRUCTOR])
        self.start()
        self.assertEqual(self.client.get("s").steps, steps)
        self.assert_goes_on("s", steps)
        self.assertEqual(self.client.send("n", 3).outcome, ("yielded", 3))
        self.assertEqual(self.client.close("s").outcome, ("returned", CLEANED))

    # ---- sleep

    def check_sleep(self):
        self.wait_until_asleep("s")
        self.wait_until_asleep("n")
        self.assertEqual(self.noted("n"), [DESTRUCTOR])

    def test_row_passivation(self):
        self.begin("--passivate-after", "50ms")
        self.script("s")
        self.native("n")
        watch = self.watch_from_now("s")
        steps = self.client.get("s").steps
        self.check_sleep()
        self.assertIsNone(watch.end)
        seen = len(watch.events)
        self.assert_goes_on("s", steps)
        testing.eventually(lambda: len(watch.events) > seen, "the watch goes on")
        self.assertEqual({event.cause for event in watch.events}, {session_pb2.CLOSE_CAUSE_UNSPECIFIED})
        self.assertEqual(self.client.send("n", 3).outcome, ("yielded", 3))

    def test_row_eviction(self):
        self.begin("--max-live-sessions", "1", "--passivate-after", "0")
        self.script("s")
        self.native("n")
        self.client.create("echo", "other", prime=True)
        self.check_sleep()
        self.assert_goes_on("s", 1)
        self.assertEqual(self.operations("s"), [("create", 0), ("send", 0)])

    # ---- what ends nothing

    def test_row_limit(self):
        self.begin("--max-sessions", "3", "--history-limit", "3")
        self.script("s")
        self.native("n")
        self.native("e", EPHEMERAL)
        self.assert_refused(testing.refused(self.client.create, "echo", "one-more"), "TOO_MANY_SESSIONS", retry=True)
        for value in 1, 2:
            self.client.send("n", value)
        self.assert_refused(testing.refused(self.client.send, "n", 3), "HISTORY_LIMIT")
        self.assertEqual((self.noted("n"), self.noted("e")), ([], []))
        self.assertEqual(self.client.get("n").steps, 3)
        self.assertEqual(self.client.send("e", 3).outcome, ("yielded", 3))
        self.assert_goes_on("s", 1)
        self.client.close("n")
        self.assertEqual(self.noted("n"), ENDED)

    def test_row_copies(self):
        self.begin()
        self.script("s")
        self.client.send("s")
        forked = self.client.stub.Fork(pb.ForkRequest(session_id="s", new_session_id="f", at_step=1))
        self.assertEqual(forked.session.steps, 1)
        exported = b"".join(response.chunk for response in self.client.stub.Export(pb.ExportRequest(session_id="s"),
                                                                                   timeout=testing.CALL_SECONDS))
        self.client.stub.Import(iter([pb.ImportRequest(chunk=exported, session_id="i")]), timeout=testing.CALL_SECONDS)
        for session, steps in ("s", 2), ("f", 1), ("i", 2):
            self.assert_goes_on(session, steps)
            self.assertNotIn("close", [operation for operation, _ in self.operations(session)])
        self.native("n")
        self.client.stub.Fork(pb.ForkRequest(session_id="n", new_session_id="m"))
        self.assertNotIn(FINALLY, self.noted("n"))
        self.assertEqual(self.client.send("n", 3).outcome, ("yielded", 3))

    # ---- the process goes

    def test_row_crash_ephemeral(self):
        self.begin()
        self.script("s", EPHEMERAL)
        self.native("n", EPHEMERAL)
        watch = self.watch_from_now("s")
        self.server.terminate(signal.SIGKILL)
        _, end = watch.last()
        self.assertEqual((end.code, end.reason), (grpc.StatusCode.UNAVAILABLE, ""))
        self.server.wait(-signal.SIGKILL)
        self.assertEqual(self.noted("n"), [])
        self.start()
        self.assertFalse(self.is_there("s"))

    def test_row_crash_durable(self):
        self.begin()
        self.script("s")
        self.native("n")
        watch = self.watch_from_now("s")
        steps = self.client.get("s").steps
        self.server.terminate(signal.SIGKILL)
        _, end = watch.last()
        self.assertEqual((end.code, end.reason), (grpc.StatusCode.UNAVAILABLE, ""))
        self.server.wait(-signal.SIGKILL)
        self.assertEqual(self.noted("n"), [])
        self.start()
        self.assert_goes_on("s", steps)
        self.assertEqual(self.client.send("n", 3).outcome, ("yielded", 3))
        self.assertNotIn("close", [operation for operation, _ in self.operations("s")])
        self.client.close("n")
        self.assertEqual(self.noted("n"), ENDED)

    def test_row_drain_timeout(self):
        self.begin("--drain-timeout", "100ms")
        for session, durability in ("durable", DURABLE), ("ephemeral", EPHEMERAL):
            self.native(session, durability)
        self.native("other", EPHEMERAL)
        calls = [self.client.start_send(session, "wait", request_id="r") for session in ("durable", "ephemeral")]
        for session in "durable", "ephemeral":
            self.client.wait_until_running(session)
        self.server.terminate()
        for call in calls:
            refusal = testing.answer(call)
            self.assertIn(refusal.code, (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED))
        self.server.wait(1)
        self.assertEqual([self.noted(session) for session in ("durable", "ephemeral", "other")], [[], [], ENDED])
        self.start()
        self.assertFalse(self.is_there("ephemeral"))
        self.client.create("open_gate", arguments={"name": self.path("durable")}, prime=True, durability=EPHEMERAL)
        answer = self.client.send("durable", "wait", request_id="r")
        self.assertEqual((answer.outcome, answer.step), (("yielded", "wait"), 2))
        self.assertEqual(self.client.get("durable").steps, 2)

    # ---- the body ends by itself

    def test_row_script_limit(self):
        self.begin()
        self.define("greedy", GREEDY)
        for sent, kind in ("loop", "BudgetExceeded"), ("ask", "MemoryError"), ("hold", "MemoryError"), ("raise", "LookupError"):
            for durability in DURABLE, EPHEMERAL:
                with self.subTest(sent, durability=durability):
                    session = self.client.create("greedy", prime=True, durability=durability).session.session_id
                    answer = self.client.send(session, sent)
                    self.assertEqual((answer.kind, answer.value.type, answer.step), ("raised", kind, 2))
                    self.assertEqual(self.client.get(session).state, CLOSED)

    def check_own_end(self, word, outcome):
        self.begin()
        for durability in DURABLE, EPHEMERAL:
            session = f"s{durability}"
            self.script(session, durability)
            watch = self.watch_from_now(session)
            kind, value = self.client.send(session, word).outcome
            self.assertEqual((kind, list(value.arguments) if kind == "raised" else value), outcome)
            event, end = watch.last()
            self.assertEqual((event.WhichOneof("operation"), event.cause, end), ("send", 0, "OK"))
            native = f"n{durability}"
            self.native(native, durability)
            self.assertEqual(self.client.send(native, word).kind, outcome[0])
            self.assertEqual(self.noted(native), ENDED)
            self.assertEqual(self.client.get(native).state, CLOSED)

    def test_row_raise(self):
        # What it raises is made before the function's own cleanup runs.
        self.check_own_end("raise", ("raised", ["block"]))

    def test_row_return(self):
        self.check_own_end("return", ("returned", CLEANED))


if __name__ == "__main__":
    unittest.main()
