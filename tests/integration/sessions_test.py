"""What the calls do with sessions: Create, Get, List, Update, Delete, and the promises about calls that are given up."""
import time
import unittest

import grpc
from google.protobuf import duration_pb2, timestamp_pb2

import corod_testing as testing
from corod_testing import catalog_pb, closes, creates, pb, refused, sends, session_pb2, throws
from values import from_proto


class CreateTest(testing.ServerTest):
    def test_create_shows_the_session(self):
        before = time.time_ns()
        session = self.client.create("csv_parser", "shown", {"header": True}, labels={"a": "b", "": "empty"},
                                     idle_timeout=duration_pb2.Duration(seconds=90, nanos=5)).session
        self.assertEqual((session.session_id, session.coroutine, session.version), ("shown", "csv_parser", 1))
        self.assertEqual({name: from_proto(value) for name, value in session.arguments.items()},
                         {"delimiter": ",", "header": True})
        self.assertEqual((session.state, session.steps, session.HasField("last_outcome")), (session_pb2.STATE_CREATED, 0, False))
        self.assertEqual(session.labels, {"a": "b", "": "empty"})
        self.assertEqual(session.durability, session_pb2.DURABILITY_EPHEMERAL)
        self.assertEqual((session.idle_timeout.seconds, session.idle_timeout.nanos), (90, 5))
        self.assertLessEqual(before, session.create_time.ToNanoseconds())
        self.assertLessEqual(session.create_time.ToNanoseconds(), time.time_ns())
        self.assertEqual(session.last_used_time, session.create_time)
        self.assertEqual((session.earliest_step, session.live, session.HasField("problem")), (1, True, False))
        self.assertEqual(self.client.get("shown"), session)

    def test_without_an_id_the_server_makes_one(self):
        ids = {self.client.create("echo").session.session_id for _ in range(100)}
        self.assertEqual(len(ids), 100)
        for session in ids:
            self.assertRegex(session, r"\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")

    def test_a_retry_with_the_request_id_finds_the_session(self):
        first = self.client.create("echo", request_id="once", prime=True)
        self.client.send(first.session.session_id, "later")
        again = self.client.create("echo", request_id="once", prime=True)
        on_drive, = self.client.drive(creates("echo", request_id="once", prime=True))
        for created in again, on_drive:
            self.assertEqual((created.session.session_id, created.session.uid), (first.session.session_id, first.session.uid))
            self.assertEqual((created.primed.outcome, created.primed.step, created.replayed), (("yielded", None), 1, True))
            # The outcome is that of then, the session is as it is now.
            self.assertEqual(created.session.steps, 2)
        self.assertEqual((first.existed, first.replayed), (False, False))

    def test_return_existing_leaves_it_untouched(self):
        self.client.create("counter", "existing", prime=True)
        before = self.client.get("existing")
        for created in [self.client.create("sliding_window", "existing", {"size": 3}, prime=True,
                                           if_exists=session_pb2.IF_EXISTS_RETURN),
                        *self.client.drive(creates("echo", "existing", if_exists=session_pb2.IF_EXISTS_RETURN))]:
            self.assertTrue(created.existed)
            self.assertIsNone(created.primed.kind)
            self.assertEqual(created.session, before)
        self.assertEqual(self.client.get("existing"), before)
        self.assertFalse(self.client.create("echo", "not-existing", if_exists=session_pb2.IF_EXISTS_RETURN).existed)

    def test_replace_finished_begins_a_new_life(self):
        first = self.client.create("echo", "replaced", prime=True).session
        self.client.close("replaced")
        replaced = self.client.create("counter", "replaced", prime=True, if_exists=session_pb2.IF_EXISTS_REPLACE_FINISHED)
        self.assertEqual((replaced.primed.outcome, replaced.primed.step, replaced.existed), (("yielded", 0), 1, False))
        self.assertNotEqual(replaced.session.uid, first.uid)
        self.assertEqual(self.client.send("replaced").value, 1)
        self.assertEqual(refused(self.client.create, "echo", "replaced",
                                 if_exists=session_pb2.IF_EXISTS_REPLACE_FINISHED).reason, "SESSION_EXISTS")
        self.assertEqual(refused(self.client.delete, "replaced", uid=first.uid).reason, "SESSION_NOT_FOUND")

    def test_prime_that_ends_the_coroutine(self):
        created = self.client.create("open_gate", "primed", {"name": "nobody waits"}, prime=True)
        self.assertEqual((created.primed.outcome, created.session.state),
                         (("returned", "nobody waits"), session_pb2.STATE_CLOSED))
        self.assertEqual(self.client.send("primed", 1).outcome, ("returned", None))


class OutcomeTest(testing.ServerTest):
    """What a client sees of a session from its first step to after its end."""

    def test_a_finished_session_answers_on_and_shows_what_finished_it(self):
        self.client.create("returns_on_exit", "finished", {"value": [1, "two"]}, prime=True)
        closed = self.client.close("finished", request_id="close")
        self.assertEqual((closed.outcome, closed.step), (("returned", [1, "two"]), 2))
        self.assertEqual(self.client.send("finished", 5).outcome, ("returned", None))
        self.assertEqual(self.client.close("finished").outcome, ("returned", None))
        thrown = self.client.throw("finished", KeyError("k"))
        self.assertEqual((thrown.kind, thrown.value.type, thrown.step), ("raised", "KeyError", 5))
        # The one-time answer can be had again by its request id, and with Get.
        again = self.client.close("finished", request_id="close")
        self.assertEqual((again.outcome, again.step, again.replayed), (("returned", [1, "two"]), 2, True))
        session = self.client.get("finished")
        self.assertEqual((session.state, session.steps, session.live), (session_pb2.STATE_CLOSED, 5, False))
        last = testing.outcome_of(session.last_outcome)
        self.assertEqual((last.outcome, last.step), (("returned", [1, "two"]), 2))

    def test_an_ignored_close_leaves_it_suspended_unless_forced(self):
        self.client.create("ignores_exit", "ignoring", {"times": 10}, prime=True)
        for reply in self.client.close("ignoring"), *self.client.drive(closes("ignoring")):
            self.assertEqual((reply.kind, reply.value.type, reply.value.message),
                             ("raised", "RuntimeError", "generator ignored GeneratorExit"))
            self.assertIsNone(reply.value.context)
        self.assertEqual(self.client.send("ignoring").outcome, ("yielded", 2))
        forced = self.client.close("ignoring", force=True)
        self.assertEqual(forced.value.message, "generator ignored GeneratorExit")
        self.assertEqual(len(forced.value.notes), 1)
        self.assertEqual(self.client.get("ignoring").state, session_pb2.STATE_CLOSED)
        self.assertEqual(self.client.send("ignoring").outcome, ("returned", None))

    def test_a_cleanup_that_raises(self):
        self.client.create("raises_in_cleanup", "raising", {"type": "app.Broken", "message": "no"}, prime=True)
        reply = self.client.close("raising")
        self.assertEqual((reply.kind, reply.value.type, reply.value.arguments, reply.value.context.type),
                         ("raised", "app.Broken", ["no"], "GeneratorExit"))
        self.assertEqual(self.client.close("raising").outcome, ("returned", None))

    def test_quiet_sets_the_kind_and_leaves_the_value_empty(self):
        self.client.create("echo", "quiet", prime=True)
        replies = [self.client.send("quiet", "loud", quiet=True), *self.client.drive(sends("quiet", [1, 2], quiet=True))]
        self.assertEqual([(reply.outcome, reply.step) for reply in replies], [(("yielded", None), 2), (("yielded", None), 3)])
        self.assertEqual(from_proto(self.client.get("quiet").last_outcome.yielded), [1, 2])
        # Quiet is no part of what a request id stands for.
        self.client.send("quiet", "whole", request_id="id", quiet=True)
        self.assertEqual(self.client.send("quiet", "whole", request_id="id").outcome, ("yielded", "whole"))
        thrown, = self.client.drive(throws("quiet", ValueError("no"), quiet=True))
        self.assertEqual((thrown.kind, thrown.value.type, thrown.value.message), ("raised", "", ""))
        self.assertEqual(self.client.throw("quiet", ValueError("again"), quiet=True).value.type, "")

    def test_expected_step_makes_a_command_conditional(self):
        self.client.create("counter", "expecting")
        for step in range(1, 50):
            self.assertEqual(self.client.send("expecting", expected_step=step).step, step)

    def test_no_command_id_means_the_session_before(self):
        self.client.create("counter", "first", prime=True)
        replies = self.client.drive(sends("first", tag=1), sends("", tag=2), creates("counter", "second", prime=True, tag=3),
                                    sends("", tag=4), sends("first", tag=5), sends("", tag=6),
                                    creates("counter", prime=True, tag=7), sends("", tag=8))
        values = {reply.tag: reply.primed.value if isinstance(reply, testing.Created) else reply.value for reply in replies}
        self.assertEqual(values, {1: 1, 2: 2, 3: 0, 4: 1, 5: 3, 6: 4, 7: 0, 8: 1})


class GivenUpTest(testing.ServerTest):
    """Calls that end before their command's turn: it does not happen. Once it has begun, it does."""

    def setUp(self):
        self.gate = self.new_id()
        self.session = self.client.create("gate", self.new_id(), {"name": self.gate}, prime=True).session.session_id
        self.running = self.client.start_send(self.session, "running", request_id="running")
        self.client.wait_until_running(self.session)

    def open(self):
        self.client.create("open_gate", arguments={"name": self.gate}, prime=True)

    def let_the_server_notice(self):
        """What was said before on the connection has arrived when these are answered."""
        for _ in range(50):
            self.client.get(self.session)

    def test_a_cancelled_call_whose_turn_had_not_come_is_not_executed(self):
        cancelled = [self.client.start_send(self.session, number) for number in range(10)]
        kept = self.client.start_send(self.session, "kept")
        self.let_the_server_notice()
        for call in cancelled:
            call.cancel()
        self.let_the_server_notice()
        self.open()
        self.assertEqual(testing.answer(self.running).step, 2)
        reply = testing.answer(kept)
        self.assertEqual((reply.outcome, reply.step), (("yielded", "kept"), 3))

    def test_a_cancelled_call_that_had_begun_completes(self):
        self.running.cancel()
        self.let_the_server_notice()
        self.open()
        again = self.client.send(self.session, "running", request_id="running")
        self.assertEqual((again.outcome, again.step, again.replayed), (("yielded", "running"), 2, True))

    def test_a_call_whose_deadline_passes_before_its_turn_is_not_executed(self):
        late = refused(self.client.send, self.session, "late", timeout=1, request_id="late")
        self.assertEqual(late.code, grpc.StatusCode.DEADLINE_EXCEEDED)
        self.let_the_server_notice()
        self.open()
        self.assertEqual(testing.answer(self.running).step, 2)
        again = self.client.send(self.session, "late", request_id="late")
        self.assertEqual((again.outcome, again.step, again.replayed), (("yielded", "late"), 3, False))

    def test_a_call_whose_deadline_passes_in_its_step_completes(self):
        gate = self.gate + "-second"
        session = self.client.create("gate", self.new_id(), {"name": gate}, prime=True).session.session_id
        late = refused(self.client.send, session, "begun", timeout=1, request_id="begun")
        self.assertEqual(late.code, grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertEqual(self.client.get(session).state, session_pb2.STATE_RUNNING)
        self.client.create("open_gate", arguments={"name": gate}, prime=True)
        again = self.client.send(session, "begun", request_id="begun")
        self.assertEqual((again.outcome, again.step, again.replayed), (("yielded", "begun"), 2, True))
        self.open()

    def test_a_cancelled_stream_drops_what_had_not_begun(self):
        with testing.DriveCall(self.client) as drive:
            drive.write(*[sends(self.session, number) for number in range(10)])
            self.let_the_server_notice()
        self.let_the_server_notice()
        self.open()
        self.assertEqual(testing.answer(self.running).step, 2)
        self.assertEqual(self.client.send(self.session, "next").step, 3)

    def test_a_session_shows_its_last_outcome_while_a_step_runs(self):
        session = self.client.get(self.session)
        self.assertEqual((session.state, session.steps, session.last_outcome.step), (session_pb2.STATE_RUNNING, 1, 1))
        self.open()
        self.assertEqual(testing.answer(self.running).outcome, ("yielded", "running"))


class ListTest(testing.ServerTest):
    SESSIONS = 2_500

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ids = [f"listed-{number:05}" for number in range(cls.SESSIONS)]
        cls.client.drive(*[
            creates("counter" if number % 5 else "sliding_window", session, None if number % 5 else {"size": 3},
                    prime=number % 2 == 0, labels={"parity": str(number % 2), "tens": str(number // 10)})
            for number, session in enumerate(cls.ids)])
        cls.client.drive(*[closes(session) for session in cls.ids[::10]])

    def list(self, **fields):
        pages = self.client.list_all(**fields)
        return pages, [session.session_id for page in pages for session in page.sessions]

    def test_pages_hold_every_session_once_in_order(self):
        for page_size, sizes in (0, [100] * 25), (999, [999, 999, 502]), (1_000, [1_000, 1_000, 500]), (5_000, [1_000, 1_000, 500]):
            with self.subTest(page_size):
                pages, ids = self.list(page_size=page_size)
                self.assertEqual(ids, self.ids)
                self.assertEqual([len(page.sessions) for page in pages if page.sessions], sizes)

    def test_a_page_size_of_one(self):
        pages, ids = self.list(page_size=1, labels={"tens": "7"})
        self.assertEqual(ids, self.ids[70:80])
        self.assertLessEqual({len(page.sessions) for page in pages}, {0, 1})

    def test_filters(self):
        for filters, expected in [
                ({"coroutine": "sliding_window"}, self.ids[::5]),
                ({"coroutine": "averager"}, []),
                ({"state": session_pb2.STATE_CREATED}, self.ids[1::2]),
                ({"state": session_pb2.STATE_CLOSED}, self.ids[::10]),
                ({"state": session_pb2.STATE_RUNNING}, []),
                ({"labels": {"parity": "1"}}, self.ids[1::2]),
                ({"labels": {"parity": "1", "tens": "3"}}, self.ids[31:40:2]),
                ({"labels": {"parity": "2"}}, []),
                ({"labels": {"parity": "0"}, "state": session_pb2.STATE_SUSPENDED, "coroutine": "counter"},
                 [session for number, session in enumerate(self.ids) if number % 2 == 0 and number % 5]),
                ({"has_problem": True}, [])]:
            with self.subTest(filters):
                self.assertEqual(self.list(page_size=700, **filters)[1], expected)

    def test_views(self):
        for view in session_pb2.SESSION_VIEW_UNSPECIFIED, session_pb2.SESSION_VIEW_FULL, session_pb2.SESSION_VIEW_BASIC:
            first = self.client.list(view=view, page_size=1).sessions[0]
            full = view != session_pb2.SESSION_VIEW_BASIC
            self.assertEqual((list(first.arguments), first.HasField("last_outcome")), (["size"] if full else [], full))
            self.assertEqual((first.session_id, first.coroutine, first.state), (self.ids[0], "sliding_window", session_pb2.STATE_CLOSED))
        full = self.client.list(page_size=1).sessions[0]
        self.assertEqual(full, self.client.get(self.ids[0]))

    def test_sessions_that_come_and_go_between_pages_disturb_nobody(self):
        first = self.client.list(page_size=1_000, labels={"parity": "0"})
        self.client.create("echo", "listed-00000-before", labels={"parity": "0"})
        self.client.create("echo", "listed-02400-after", labels={"parity": "0"})
        self.addCleanup(self.client.delete, "listed-00000-before")
        self.addCleanup(self.client.delete, "listed-02400-after")
        # That which the token names.
        gone = first.sessions[-1].session_id
        self.client.delete(gone)
        self.addCleanup(self.client.create, "counter", gone, prime=True,
                        labels={"parity": "0", "tens": str(int(gone[-5:]) // 10)})
        second = self.client.list(page_size=1_000, labels={"parity": "0"}, page_token=first.next_page_token)
        self.assertEqual([session.session_id for session in second.sessions],
                         sorted([*self.ids[2_000::2], "listed-02400-after"]))

    def test_a_page_holds_a_mebibyte(self):
        for number in range(30):
            session = self.client.create("huge", f"z-{number:02}", {"bytes": 100_000}, prime=True,
                                         labels={"size": "huge"}).session.session_id
            self.client.send(session, quiet=True)
            self.addCleanup(self.client.delete, session)
        pages, ids = self.list(labels={"size": "huge"}, page_size=1_000)
        self.assertEqual(ids, [f"z-{number:02}" for number in range(30)])
        for page in pages:
            self.assertLessEqual(page.ByteSize(), 1 << 20)
        self.assertEqual(len([page for page in pages if page.sessions]), 3)
        basic, _ = self.list(labels={"size": "huge"}, page_size=1_000, view=session_pb2.SESSION_VIEW_BASIC)
        self.assertEqual(len(basic[0].sessions), 30)


class UpdateTest(testing.ServerTest):
    def test_labels_are_taken_away_then_added(self):
        session = self.client.create("echo", self.new_id(), labels={"gone": "1", "b": "2", "c": "3"}).session
        updated = self.client.update(session.session_id, labels={"b": "two", "added": "4"},
                                     remove_labels=["gone", "b", "unknown"])
        self.assertEqual(updated.labels, {"b": "two", "c": "3", "added": "4"})
        self.assertEqual(self.client.get(session.session_id), updated)
        self.assertEqual([found.session_id for found in self.client.list(labels={"added": "4"}).sessions], [session.session_id])
        self.assertEqual(len(self.client.list(labels={"gone": "1"}).sessions), 0)

    def test_what_is_not_named_stays(self):
        expires = timestamp_pb2.Timestamp(seconds=4_000_000_000, nanos=7)
        session = self.client.create("echo", self.new_id(), labels={"a": "1"}, expire_time=expires,
                                     idle_timeout=duration_pb2.Duration(seconds=77)).session
        self.assertEqual(self.client.update(session.session_id), session)
        updated = self.client.update(session.session_id, idle_timeout=duration_pb2.Duration())
        self.assertEqual((updated.idle_timeout, updated.expire_time, updated.labels), (duration_pb2.Duration(), expires, {"a": "1"}))
        updated = self.client.update(session.session_id, expire_time=timestamp_pb2.Timestamp())
        self.assertFalse(updated.HasField("expire_time"))

    def test_an_update_is_no_step(self):
        session = self.client.create("echo", self.new_id(), prime=True).session
        updated = self.client.update(session.session_id, labels={"a": "1"})
        self.assertEqual((updated.steps, updated.last_used_time, updated.uid), (1, session.last_used_time, session.uid))


class DeleteTest(testing.ServerTest):
    def test_delete_closes_and_forgets_at_once(self):
        self.client.create("returns_on_exit", "deleted", {"value": "bye"}, prime=True)
        self.assertEqual(self.client.delete("deleted").outcome, ("returned", "bye"))
        for call in self.client.get, self.client.send, self.client.delete:
            self.assertEqual(refused(call, "deleted").reason, "SESSION_NOT_FOUND")
        self.assertEqual(self.client.create("echo", "deleted").session.steps, 0)

    def test_a_repeated_delete_gets_the_answer_and_spares_the_next_life(self):
        self.client.create("returns_on_exit", "twice", {"value": 7}, prime=True)
        first = self.client.delete("twice", request_id="delete")
        self.client.create("counter", "twice", prime=True)
        again = self.client.delete("twice", request_id="delete")
        self.assertEqual((again.outcome, again.step), (first.outcome, first.step))
        self.assertEqual(self.client.send("twice").value, 1)

    def test_delete_of_one_life(self):
        uid = self.client.create("echo", "life").session.uid
        self.assertEqual(self.client.delete("life", uid=uid).outcome, ("returned", None))
        self.assertEqual(refused(self.client.get, "life").reason, "SESSION_NOT_FOUND")

    def test_a_body_that_ignores_it(self):
        for times, force, kind in (2, False, "returned"), (3, False, "raised"), (1, True, "raised"), (0, True, "returned"):
            with self.subTest(times=times, force=force):
                session = self.client.create("ignores_exit", self.new_id(), {"times": times}, prime=True).session.session_id
                self.assertEqual(self.client.delete(session, force=force).kind, kind)
                self.assertEqual(refused(self.client.get, session).reason, "SESSION_NOT_FOUND")

    def test_commands_behind_it_find_nobody(self):
        self.client.create("gate", "queued", {"name": "queued"}, prime=True)
        running = self.client.start_send("queued", 1)
        self.client.wait_until_running("queued")
        deleted = self.client.stub.Delete.future(pb.DeleteRequest(session_id="queued"))
        # In line before the next, which comes on the same connection.
        with testing.DriveCall(self.client) as drive:
            drive.write(sends("queued", 2), sends("queued", 3))
            for _ in range(50):
                self.client.get("queued")
            self.client.create("open_gate", arguments={"name": "queued"}, prime=True)
            self.assertEqual(testing.answer(running).outcome, ("yielded", 1))
            self.assertEqual(testing.outcome_of(deleted.result(testing.CALL_SECONDS).outcome).outcome, ("returned", None))
            self.assertEqual([refusal.reason for refusal in drive.read(2)], ["SESSION_NOT_FOUND", "PREDECESSOR_FAILED"])


class CatalogTest(testing.ServerTest):
    BINARY = "COROD_BIN"
    BUILTIN = ["averager", "batch", "csv_parser", "filter", "json_lines", "line_splitter", "map", "pipeline", "rolling_stats",
               "select", "sliding_window", "smtp_receiver", "token_counter"]

    def test_the_catalog_lists_what_comes_with_the_server(self):
        listed = self.client.catalog.ListCoroutines(catalog_pb.ListCoroutinesRequest())
        self.assertEqual([coroutine.name for coroutine in listed.coroutines], self.BUILTIN)
        self.assertEqual(listed.next_page_token, "")
        for coroutine in listed.coroutines:
            self.assertEqual((coroutine.version, coroutine.language), (1, catalog_pb.LANGUAGE_NATIVE))
            for text in "summary", "documentation", "sends", "yields", "returns", "stops_when":
                self.assertNotEqual(getattr(coroutine, text), "", f"{coroutine.name}: {text}")
            shown = self.client.catalog.GetCoroutine(catalog_pb.GetCoroutineRequest(name=coroutine.name)).coroutine
            self.assertEqual(shown, coroutine)

    def test_pages(self):
        names, token = [], ""
        while True:
            page = self.client.catalog.ListCoroutines(catalog_pb.ListCoroutinesRequest(page_size=3, page_token=token))
            self.assertLessEqual(len(page.coroutines), 3)
            names += [coroutine.name for coroutine in page.coroutines]
            token = page.next_page_token
            if not token:
                break
        self.assertEqual(names, self.BUILTIN)

    def test_parameters(self):
        window, = self.client.catalog.GetCoroutine(catalog_pb.GetCoroutineRequest(name="sliding_window")).coroutine.parameters
        self.assertEqual((window.name, window.required, window.HasField("default_value")), ("size", True, False))
        self.assertIn("integer", window.type)
        delimiter, header = self.client.catalog.GetCoroutine(catalog_pb.GetCoroutineRequest(name="csv_parser")).coroutine.parameters
        self.assertEqual([(p.name, p.required, from_proto(p.default_value)) for p in (delimiter, header)],
                         [("delimiter", False, ","), ("header", False, False)])

    def test_how_a_command_line_reads_what_is_sent(self):
        kinds = {name: self.client.catalog.GetCoroutine(catalog_pb.GetCoroutineRequest(name=name)).coroutine.sends_kind
                 for name in ("token_counter", "csv_parser", "smtp_receiver")}
        self.assertEqual(kinds["token_counter"], catalog_pb.VALUE_KIND_TEXT)
        self.assertEqual(kinds["smtp_receiver"], catalog_pb.VALUE_KIND_TEXT)


if __name__ == "__main__":
    unittest.main()
