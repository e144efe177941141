"""Whatever a client does wrong is answered with its reason, executes nothing and leaves no trace; unary and on Drive.

REASONS is the contract. A test says with @provokes what it provokes, and fails if it did not read that reason from an answer;
ReasonsTest fails if the server knows a reason that no test provokes.
"""
import contextlib
import functools
import os
import re
import tempfile
import threading
import unittest
from pathlib import Path
from typing import NamedTuple

import grpc
from google.protobuf import duration_pb2, timestamp_pb2

import corod_testing as testing
import raw_messages as raw
from corod_testing import catalog_pb, closes, creates, pb, refused, sends, session_pb2, throws
from values import RemoteException

UNARY, DRIVE = "unary", "drive"
BOTH = (UNARY, DRIVE)


class Contract(NamedTuple):
    code: str
    ways: tuple = BOTH   # how it can be provoked
    retry: bool = False  # waiting helps, and the answer says how long


REASONS = {
    "SESSION_NOT_FOUND": Contract("NOT_FOUND"),
    "COROUTINE_NOT_FOUND": Contract("NOT_FOUND"),
    "SESSION_EXISTS": Contract("ALREADY_EXISTS"),
    # Of callers and their limits: access_test.py provokes them.
    "CREDENTIALS_MISSING": Contract("UNAUTHENTICATED", ()),
    "CREDENTIALS_INVALID": Contract("UNAUTHENTICATED", ()),
    "CREDENTIALS_ENDED": Contract("UNAVAILABLE", ()),
    "ROLE_INSUFFICIENT": Contract("PERMISSION_DENIED", ()),
    "RATE_LIMITED": Contract("RESOURCE_EXHAUSTED", (), retry=True),
    "TOO_MANY_STREAMS": Contract("RESOURCE_EXHAUSTED", (), retry=True),
    "JOURNAL_LIMIT": Contract("RESOURCE_EXHAUSTED", (), retry=True),
    "MEMORY_LIMIT": Contract("RESOURCE_EXHAUSTED", (), retry=True),  # access_test.py
    "READER_TOO_SLOW": Contract("RESOURCE_EXHAUSTED", ()),  # tests/unit/rpc, tests/soak
    "BACKUP_FAILED": Contract("FAILED_PRECONDITION", ()),  # backup_test.py
    "INVALID_SESSION_ID": Contract("INVALID_ARGUMENT"),
    "INVALID_ARGUMENTS": Contract("INVALID_ARGUMENT"),
    "INVALID_EXCEPTION": Contract("INVALID_ARGUMENT"),
    "INVALID_PAGE_TOKEN": Contract("INVALID_ARGUMENT", (UNARY,)),  # Drive lists nothing
    "INVALID_SOURCE": Contract("INVALID_ARGUMENT", (UNARY,)),  # Drive defines nothing
    "VALUE_TOO_DEEP": Contract("INVALID_ARGUMENT"),
    "VALUE_TOO_LARGE": Contract("INVALID_ARGUMENT"),
    "NOT_PRIMED": Contract("FAILED_PRECONDITION"),
    "NOT_DURABLE": Contract("FAILED_PRECONDITION", (UNARY,)),  # Drive asks for no history
    "DURABILITY_UNAVAILABLE": Contract("FAILED_PRECONDITION"),
    "VERSION_UNAVAILABLE": Contract("FAILED_PRECONDITION"),
    "COROUTINE_BUILT_IN": Contract("FAILED_PRECONDITION", (UNARY,)),
    "REPLY_FORGOTTEN": Contract("FAILED_PRECONDITION"),
    "STEP_MISMATCH": Contract("ABORTED"),
    "REQUEST_ID_REUSED": Contract("ABORTED"),
    "PREDECESSOR_FAILED": Contract("ABORTED", (DRIVE,)),  # unary calls stand for themselves
    "TOO_MANY_SESSIONS": Contract("RESOURCE_EXHAUSTED", retry=True),
    "QUEUE_FULL": Contract("RESOURCE_EXHAUSTED", (UNARY,), retry=True),  # Drive stops reading instead
    "OVERLOADED": Contract("UNAVAILABLE", (UNARY,), retry=True),  # so does it then
    "DRAINING": Contract("UNAVAILABLE", retry=True),
    # Of durable sessions: durability_test.py and tests/unit/session provoke them.
    "JOURNAL_UNAVAILABLE": Contract("UNAVAILABLE", (), retry=True),
    "HISTORY_LIMIT": Contract("FAILED_PRECONDITION", ()),
    "HISTORY_TRIMMED": Contract("OUT_OF_RANGE", ()),
    "WATCHER_TOO_SLOW": Contract("RESOURCE_EXHAUSTED", ()),
    "SCRIPT_MEMORY_FULL": Contract("RESOURCE_EXHAUSTED", (), retry=True),  # scripts_test.py
    "TOO_MANY_DEFINITIONS": Contract("RESOURCE_EXHAUSTED", ()),  # access_test.py, tests/unit/session
    "REPLAY_DIVERGED": Contract("DATA_LOSS", ()),
    "SESSION_BROKEN": Contract("DATA_LOSS", ()),
}

_provoked = set()


def provokes(reason, way):
    """Of a test: it reads `reason` from an answer that came that way."""
    def decorate(test):
        _provoked.add((reason, way))

        @functools.wraps(test)
        def run(self):
            self.seen = set()
            test(self)
            self.assertIn((reason, way), self.seen, "the test did not see what it is to provoke")
        return run
    return decorate


class ErrorTest(testing.ServerTest):
    def assert_reason(self, refusal, reason, way, **metadata):
        contract = REASONS[reason]
        self.assert_refused(refusal, reason, code=grpc.StatusCode[contract.code], retry=contract.retry, **metadata)
        self.seen.add((reason, way))

    def assert_unary(self, reason, call, *arguments, metadata=None, **fields):
        """That the call is refused so; returns the refusal."""
        refusal = refused(call, *arguments, **fields)
        self.assert_reason(refusal, reason, UNARY, **metadata or {})
        return refusal

    def assert_drive(self, reason, *commands, **metadata):
        """That the last of the commands is refused so, and that the others are not; returns the refusal."""
        *others, last = self.client.drive(*commands)
        for other in others:
            self.assertNotIsInstance(other, testing.Refusal)
        self.assert_reason(last, reason, DRIVE, **metadata)
        return last

    def new_session(self, coroutine="echo", arguments=None, prime=True, **fields):
        return self.client.create(coroutine, self.new_id(), arguments, prime=prime, **fields).session.session_id

    @contextlib.contextmanager
    def untouched(self, session_id):
        """Whatever happens meanwhile leaves no trace in the session."""
        before = self.client.get(session_id)
        yield
        self.assertEqual(self.client.get(session_id), before)


class ReasonsTest(unittest.TestCase):
    def test_every_reason_that_the_server_knows_is_in_the_contract(self):
        source = Path(__file__).parents[2] / "server/base/failure.h"
        known = re.findall(r"^ *X\((\w+), k(\w+)\)", source.read_text(), re.MULTILINE)
        self.assertGreater(len(known), 15)
        camel = {reason: contract.code.title().replace("_", "") for reason, contract in REASONS.items()}
        self.assertEqual(dict(known), camel)

    def test_every_reason_is_provoked_in_every_way(self):
        self.assertEqual(_provoked, {(reason, way) for reason, contract in REASONS.items() for way in contract.ways})


class NotFoundTest(ErrorTest):
    @provokes("SESSION_NOT_FOUND", UNARY)
    def test_session_not_found_unary(self):
        calls = [self.client.send, self.client.close, self.client.delete, self.client.get, self.client.update,
                 functools.partial(self.client.throw, exception=ValueError())]
        for call in calls:
            with self.subTest(call):
                self.assert_unary("SESSION_NOT_FOUND", call, "nobody", metadata={"session_id": "nobody"})

    @provokes("SESSION_NOT_FOUND", UNARY)
    def test_delete_of_another_life_of_the_id(self):
        session = self.new_session()
        with self.untouched(session):
            self.assert_unary("SESSION_NOT_FOUND", self.client.delete, session, uid="of another",
                              metadata={"session_id": session})

    @provokes("SESSION_NOT_FOUND", DRIVE)
    def test_session_not_found_on_drive(self):
        for command in sends("nobody"), throws("nobody", ValueError()), closes("nobody"):
            with self.subTest(command):
                self.assert_drive("SESSION_NOT_FOUND", command, session_id="nobody")

    @provokes("COROUTINE_NOT_FOUND", UNARY)
    def test_coroutine_not_found_unary(self):
        self.assert_unary("COROUTINE_NOT_FOUND", self.client.create, "nothing", metadata={"coroutine": "nothing"})
        self.assert_unary("COROUTINE_NOT_FOUND", self.client.create, "", metadata={"coroutine": ""})
        self.assert_unary("COROUTINE_NOT_FOUND", self.client.catalog.GetCoroutine,
                          catalog_pb.GetCoroutineRequest(name="nothing"), metadata={"coroutine": "nothing"})

    @provokes("COROUTINE_NOT_FOUND", DRIVE)
    def test_coroutine_not_found_on_drive(self):
        self.assert_drive("COROUTINE_NOT_FOUND", creates("nothing"), coroutine="nothing")

    @provokes("VERSION_UNAVAILABLE", UNARY)
    def test_version_unavailable_unary(self):
        metadata = {"coroutine": "versioned", "version": "3"}
        self.assert_unary("VERSION_UNAVAILABLE", self.client.create, "versioned", version=3, metadata=metadata)
        self.assert_unary("VERSION_UNAVAILABLE", self.client.catalog.GetCoroutine,
                          catalog_pb.GetCoroutineRequest(name="versioned", version=3), metadata=metadata)
        for asked, given in (1, 1), (2, 2), (0, 2):
            created = self.client.create("versioned", version=asked, prime=True)
            self.assertEqual((created.session.version, created.primed.value), (given, given))

    @provokes("VERSION_UNAVAILABLE", DRIVE)
    def test_version_unavailable_on_drive(self):
        self.assert_drive("VERSION_UNAVAILABLE", creates("versioned", version=3), version="3")


class ExistsTest(ErrorTest):
    @provokes("SESSION_EXISTS", UNARY)
    def test_session_exists_unary(self):
        session = self.new_session()
        uid = self.client.get(session).uid
        with self.untouched(session):
            for how in pb.CreateRequest().if_exists, session_pb2.IF_EXISTS_FAIL, session_pb2.IF_EXISTS_REPLACE_FINISHED:
                self.assert_unary("SESSION_EXISTS", self.client.create, "echo", session, if_exists=how,
                                  metadata={"session_id": session, "uid": uid})

    @provokes("SESSION_EXISTS", DRIVE)
    def test_session_exists_on_drive(self):
        session = self.new_id()
        self.assert_drive("SESSION_EXISTS", creates("echo", session), creates("echo", session), session_id=session)

    @provokes("SESSION_EXISTS", UNARY)
    def test_a_finished_session_exists(self):
        session = self.new_session()
        self.client.close(session)
        self.assert_unary("SESSION_EXISTS", self.client.create, "echo", session)


BAD_IDS = ["a" * 129, "-a", "a-", ".a", "a.", "_a", "a:", "a..b", "a b", "a/b", "a\n", "a\0b", "é", " "]


class InvalidSessionIdTest(ErrorTest):
    @provokes("INVALID_SESSION_ID", UNARY)
    def test_invalid_session_id_unary(self):
        for bad in BAD_IDS:
            with self.subTest(bad):
                self.assert_unary("INVALID_SESSION_ID", self.client.create, "echo", bad)
        for bad in [*BAD_IDS, ""]:
            with self.subTest(bad):
                for call in (self.client.send, self.client.close, self.client.delete, self.client.get, self.client.update,
                             functools.partial(self.client.throw, exception=ValueError())):
                    self.assert_unary("INVALID_SESSION_ID", call, bad)

    @provokes("INVALID_SESSION_ID", DRIVE)
    def test_invalid_session_id_on_drive(self):
        for bad in BAD_IDS:
            with self.subTest(bad):
                for command in creates("echo", bad), sends(bad), throws(bad, ValueError()), closes(bad):
                    self.assert_drive("INVALID_SESSION_ID", command)

    @provokes("INVALID_SESSION_ID", DRIVE)
    def test_the_first_command_of_a_stream_without_an_id(self):
        self.assert_drive("INVALID_SESSION_ID", sends(""))

    def test_ids_at_the_edge_of_what_is_allowed(self):
        for good in "a", "9", "a" * 128, "a.b_c:d-e", "a--b", "a_:_b":
            self.assertEqual(self.client.create("echo", good).session.session_id, good)


class InvalidArgumentsTest(ErrorTest):
    # What is asked of Create, and the parameter that the answer names.
    BAD_CREATES = [
        ({"coroutine": "sliding_window"}, "size"),
        ({"coroutine": "sliding_window", "arguments": {"size": 0}}, "size"),
        ({"coroutine": "sliding_window", "arguments": {"size": 1_000_001}}, "size"),
        ({"coroutine": "sliding_window", "arguments": {"size": "two"}}, "size"),
        ({"coroutine": "sliding_window", "arguments": {"size": 2.0}}, "size"),
        ({"coroutine": "sliding_window", "arguments": {"size": True}}, "size"),
        ({"coroutine": "sliding_window", "arguments": {"size": None}}, "size"),
        ({"coroutine": "sliding_window", "arguments": {"size": 2, "colour": "red"}}, "colour"),
        ({"coroutine": "averager", "arguments": {"": 1}}, ""),
        ({"coroutine": "csv_parser", "arguments": {"delimiter": ",,"}}, "delimiter"),
        ({"coroutine": "csv_parser", "arguments": {"header": 1}}, "header"),
        ({"coroutine": "echo", "labels": {f"label{i}": "" for i in range(65)}}, "labels"),
        ({"coroutine": "echo", "idle_timeout": duration_pb2.Duration(seconds=-1)}, "idle_timeout"),
        ({"coroutine": "echo", "idle_timeout": duration_pb2.Duration(nanos=-1)}, "idle_timeout"),
        ({"coroutine": "echo", "idle_timeout": duration_pb2.Duration(nanos=1_000_000_000)}, "idle_timeout"),
        ({"coroutine": "echo", "idle_timeout": duration_pb2.Duration(seconds=315_576_000_001)}, "idle_timeout"),
        ({"coroutine": "echo", "expire_time": timestamp_pb2.Timestamp(seconds=-1)}, "expire_time"),
        ({"coroutine": "echo", "expire_time": timestamp_pb2.Timestamp(seconds=253_402_300_800)}, "expire_time"),
        ({"coroutine": "echo", "request_id": "x" * 129}, "request_id"),
        ({"coroutine": "echo", "durability": 9}, "durability"),
        ({"coroutine": "echo", "if_exists": 9}, "if_exists"),
    ]

    @provokes("INVALID_ARGUMENTS", UNARY)
    def test_invalid_arguments_of_create_unary(self):
        for request, parameter in self.BAD_CREATES:
            with self.subTest(request):
                session = self.new_id()
                refusal = self.assert_unary("INVALID_ARGUMENTS", self.client.create, session_id=session, **request,
                                            metadata={"parameter": parameter})
                self.assertIn(parameter, refusal.message)
                self.assertEqual(refused(self.client.get, session).reason, "SESSION_NOT_FOUND")

    @provokes("INVALID_ARGUMENTS", DRIVE)
    def test_invalid_arguments_of_create_on_drive(self):
        for request, parameter in self.BAD_CREATES:
            with self.subTest(request):
                refusal = self.assert_drive("INVALID_ARGUMENTS", creates(**request), parameter=parameter)
                self.assertIn(parameter, refusal.message)

    @provokes("INVALID_ARGUMENTS", UNARY)
    def test_request_ids_that_are_too_long_unary(self):
        session = self.new_session()
        with self.untouched(session):
            for call in (self.client.send, self.client.close, self.client.delete,
                         functools.partial(self.client.throw, exception=ValueError())):
                self.assert_unary("INVALID_ARGUMENTS", call, session, request_id="é" * 65,
                                  metadata={"parameter": "request_id"})
        self.assertEqual(self.client.send(session, 1, request_id="é" * 64).outcome, ("yielded", 1))

    @provokes("INVALID_ARGUMENTS", DRIVE)
    def test_request_ids_that_are_too_long_on_drive(self):
        session = self.new_session()
        with self.untouched(session):
            for command in (sends(session, request_id="x" * 129), closes(session, request_id="x" * 129),
                            throws(session, ValueError(), request_id="x" * 129)):
                self.assert_drive("INVALID_ARGUMENTS", command, parameter="request_id")

    @provokes("INVALID_ARGUMENTS", UNARY)
    def test_updates_that_are_refused_whole(self):
        session = self.new_session(labels={"a": "b"})
        with self.untouched(session):
            for changes, parameter in [
                    ({"labels": {f"label{i}": "" for i in range(64)}}, "labels"),
                    ({"labels": {"c": "d"}, "idle_timeout": duration_pb2.Duration(seconds=-5)}, "idle_timeout"),
                    ({"labels": {"c": "d"}, "expire_time": timestamp_pb2.Timestamp(nanos=-1)}, "expire_time")]:
                with self.subTest(changes):
                    self.assert_unary("INVALID_ARGUMENTS", self.client.update, session, **changes,
                                      metadata={"parameter": parameter})

    @provokes("INVALID_ARGUMENTS", UNARY)
    def test_lists_that_make_no_sense(self):
        self.assert_unary("INVALID_ARGUMENTS", self.client.list, page_size=-1, metadata={"parameter": "page_size"})
        self.assert_unary("INVALID_ARGUMENTS", self.client.list, state=9, metadata={"parameter": "state"})
        self.assert_unary("INVALID_ARGUMENTS", self.client.catalog.ListCoroutines,
                          catalog_pb.ListCoroutinesRequest(page_size=-1), metadata={"parameter": "page_size"})

    @provokes("INVALID_ARGUMENTS", DRIVE)
    def test_a_command_without_an_operation(self):
        session = self.new_session()
        with self.untouched(session):
            self.assert_drive("INVALID_ARGUMENTS", pb.Command(session_id=session), parameter="operation")

    @provokes("INVALID_ARGUMENTS", DRIVE)
    def test_a_create_with_ids_in_the_wrong_place(self):
        for field in "session_id", "request_id":
            command = creates("echo")
            setattr(command, field, "misplaced")
            self.assert_drive("INVALID_ARGUMENTS", command, parameter=field)
        self.assertEqual(refused(self.client.get, "misplaced").reason, "SESSION_NOT_FOUND")


class UnreadableTest(ErrorTest):
    NOT_UTF8 = b"\xff"

    @provokes("INVALID_ARGUMENTS", UNARY)
    def test_bytes_that_are_no_message_unary(self):
        for method in "Create", "Send", "Throw", "Close", "Get", "List", "Update", "Delete":
            for garbage in b"\xff", b"\x0a\x05abc", b"\x0a\xff\xff\xff\xff\x7f", b"\0\0", b"\x0b":
                with self.subTest(method=method, garbage=garbage):
                    self.assert_unary("INVALID_ARGUMENTS", self.client.raw, method, garbage,
                                      metadata={"parameter": "request"})

    @provokes("INVALID_ARGUMENTS", UNARY)
    def test_bytes_that_are_no_message_to_the_catalog(self):
        for method in "ListCoroutines", "GetCoroutine":
            self.assert_unary("INVALID_ARGUMENTS", self.client.raw, method, b"\xff", "corod.v1.CatalogService",
                              metadata={"parameter": "request"})

    @provokes("INVALID_ARGUMENTS", UNARY)
    def test_texts_that_are_not_utf8_unary(self):
        session = self.new_session()
        with self.untouched(session):
            for method, request in [
                    ("Send", raw.send_request(session, raw.text(self.NOT_UTF8))),
                    ("Send", raw.send_request(session, raw.field(7, raw.field(1, raw.field(1, self.NOT_UTF8))))),
                    ("Send", raw.send_request(session, raw.in_lists(3, raw.text(self.NOT_UTF8)))),
                    ("Throw", raw.throw_request(session, raw.exception(self.NOT_UTF8))),
                    ("Create", raw.create_request("echo", "a", value=raw.text(self.NOT_UTF8))),
                    ("Get", raw.field(1, self.NOT_UTF8))]:
                with self.subTest(method=method, request=request):
                    self.assert_unary("INVALID_ARGUMENTS", self.client.raw, method, request,
                                      metadata={"parameter": "request"})

    @provokes("INVALID_ARGUMENTS", DRIVE)
    def test_bad_commands_among_good_ones(self):
        session, other = self.new_session(), self.new_session()
        commands = [
            raw.sends(1, other, raw.text("one")),
            raw.sends(2, session, raw.text(self.NOT_UTF8)),
            raw.sends(3, other, raw.text("three")),
            raw.sends(4, self.NOT_UTF8, raw.text("four")),
            raw.number_field(1, 5) + raw.field(2, session) + raw.field(3, b"\xff"),
            raw.sends(6, other, raw.text("six")),
            raw.creates(7, raw.create_request("sliding_window", self.new_id(), size=raw.text(self.NOT_UTF8))),
            raw.sends(8, other, raw.text("eight")),
        ]
        with self.untouched(session):
            replies = {reply.tag: reply for reply in self.client.drive_raw(raw.drive_request(*commands))}
        self.assertEqual(sorted(replies), list(range(1, 9)))
        for tag in 2, 4, 7:
            self.assert_reason(replies[tag], "INVALID_ARGUMENTS", DRIVE, parameter="request")
        # 5 would be refused for itself, but its session stopped at 2.
        self.assertEqual(replies[5].reason, "PREDECESSOR_FAILED")
        self.assertEqual([replies[tag].outcome for tag in (1, 3, 6, 8)],
                         [("yielded", text) for text in ("one", "three", "six", "eight")])
        self.assertEqual([replies[tag].step for tag in (1, 3, 6, 8)], [2, 3, 4, 5])

    @provokes("INVALID_ARGUMENTS", DRIVE)
    def test_an_unreadable_id_stands_for_nobody(self):
        """A command without an id behind it is for the same nobody, not for the session before; and all can be read."""
        session = self.new_session()
        commands = [raw.sends(1, session, raw.text("one")),
                    raw.sends(2, self.NOT_UTF8, raw.text("two")),
                    raw.sends(3, "", raw.text("three")),
                    raw.creates(4, raw.create_request("echo", self.NOT_UTF8)),
                    raw.sends(5, "", raw.text("five")),
                    raw.creates(6, raw.create_request("returns_on_exit", "", value=raw.text(self.NOT_UTF8))),
                    raw.creates(7, raw.create_request("returns_on_exit", "", value=raw.text(self.NOT_UTF8))),
                    raw.sends(8, "", raw.text("eight")),
                    raw.sends(9, session, raw.text("nine"))]
        replies = {reply.tag: reply for reply in self.client.drive_raw(raw.drive_request(*commands))}
        self.assertEqual([replies[tag].outcome for tag in (1, 9)], [("yielded", "one"), ("yielded", "nine")])
        for tag in 2, 6, 7:
            self.assert_reason(replies[tag], "INVALID_ARGUMENTS", DRIVE, parameter="request")
        for tag in 3, 5, 8:
            self.assertEqual(replies[tag].reason, "PREDECESSOR_FAILED")
        # The same id, which the command before has failed for.
        self.assertEqual(replies[4].reason, "PREDECESSOR_FAILED")

    @provokes("INVALID_ARGUMENTS", DRIVE)
    def test_creates_without_an_id_are_refused_each_for_itself(self):
        session = self.new_session()
        replies = self.client.drive(
            creates("sliding_window", arguments={"size": 0}, tag=1), creates("sliding_window", arguments={"size": 0}, tag=2),
            sends("", tag=3), sends(session, "other", tag=4))
        replies = {reply.tag: reply for reply in replies}
        for tag in 1, 2:
            self.assert_reason(replies[tag], "INVALID_ARGUMENTS", DRIVE, parameter="size")
        self.assertEqual(replies[3].reason, "PREDECESSOR_FAILED")
        self.assertEqual(replies[4].outcome, ("yielded", "other"))

    @provokes("INVALID_ARGUMENTS", UNARY)
    def test_a_message_that_is_none_ends_the_stream(self):
        session = self.new_session()
        good = raw.drive_request(raw.sends(1, session, raw.text("before")))
        self.assert_unary("INVALID_ARGUMENTS", self.client.drive_raw, good, b"\xff", good,
                          metadata={"parameter": "request"})
        after = self.client.get(session)
        self.assertEqual((after.steps, after.last_outcome.yielded.text), (2, "before"))


class InvalidExceptionTest(ErrorTest):
    BAD = [RemoteException(type=""), RemoteException(type="Value Error"), RemoteException(type="a\nb"),
           RemoteException(type="x" * 257), RemoteException(type="ValueError", cause=RemoteException(type="")),
           RemoteException(type="ValueError", context=RemoteException(type=" ")),
           RemoteException(type="ValueError", arguments=[[RemoteException(type="")]])]

    @provokes("INVALID_EXCEPTION", UNARY)
    def test_invalid_exception_unary(self):
        session = self.new_session()
        with self.untouched(session):
            for bad in self.BAD:
                with self.subTest(bad):
                    self.assert_unary("INVALID_EXCEPTION", self.client.throw, session, bad)
                    self.assert_unary("INVALID_EXCEPTION", self.client.send, session, {"key": [bad]})
                    self.assert_unary("INVALID_EXCEPTION", self.client.create, "sliding_window", arguments={"size": bad})
            self.assert_unary("INVALID_EXCEPTION", self.client.stub.Throw, pb.ThrowRequest(session_id=session))

    @provokes("INVALID_EXCEPTION", DRIVE)
    def test_invalid_exception_on_drive(self):
        session = self.new_session()
        with self.untouched(session):
            for bad in self.BAD:
                with self.subTest(bad):
                    self.assert_drive("INVALID_EXCEPTION", throws(session, bad))
                    self.assert_drive("INVALID_EXCEPTION", sends(session, [bad]))


class InvalidPageTokenTest(ErrorTest):
    def setUp(self):
        for _ in range(3):
            self.new_session(labels={"of": self.id()})
        self.token = self.client.list(page_size=1, labels={"of": self.id()}).next_page_token
        self.assertNotEqual(self.token, "")

    @provokes("INVALID_PAGE_TOKEN", UNARY)
    def test_tokens_that_the_server_did_not_give(self):
        for bad in "x", "!!", "0" * 40, self.token[:-4], self.token + "AAAA", "é", self.token.swapcase():
            with self.subTest(bad):
                self.assert_unary("INVALID_PAGE_TOKEN", self.client.list, page_token=bad, labels={"of": self.id()})
                self.assert_unary("INVALID_PAGE_TOKEN", self.client.catalog.ListCoroutines,
                                  catalog_pb.ListCoroutinesRequest(page_token=bad))

    @provokes("INVALID_PAGE_TOKEN", UNARY)
    def test_a_token_of_other_filters(self):
        for filters in {}, {"coroutine": "echo", "labels": {"of": self.id()}}, {"labels": {"of": "other"}}:
            self.assert_unary("INVALID_PAGE_TOKEN", self.client.list, page_token=self.token, **filters)
        self.assertEqual(len(self.client.list(page_token=self.token, labels={"of": self.id()}).sessions), 2)


class ValueDepthTest(ErrorTest):
    NESTINGS = {"lists": raw.in_lists, "maps": raw.in_maps, "exceptions": raw.in_exceptions}
    TOO_DEEP = [25, 65, 1_000, 30_000]

    def unary_requests(self, session, value):
        """Every request that can hold the value."""
        yield "Send", raw.send_request(session, value)
        yield "Throw", raw.throw_request(session, raw.exception("ValueError", value))
        yield "Throw", raw.throw_request(session, raw.exception("ValueError") + raw.field(4, raw.exception("KeyError", value)))
        yield "Create", raw.create_request("returns_on_exit", self.new_id(), value=value)

    def commands(self, session, value):
        yield raw.sends(1, session, value)
        yield raw.throws(1, session, raw.exception("ValueError", value))
        yield raw.creates(1, raw.create_request("returns_on_exit", self.new_id(), value=value))

    @provokes("VALUE_TOO_DEEP", UNARY)
    def test_value_too_deep_unary(self):
        session = self.new_session()
        with self.untouched(session):
            for kind, nest in self.NESTINGS.items():
                for levels in self.TOO_DEEP:
                    for method, request in self.unary_requests(session, nest(levels)):
                        with self.subTest(kind=kind, levels=levels, method=method):
                            self.assert_unary("VALUE_TOO_DEEP", self.client.raw, method, request)

    @provokes("VALUE_TOO_DEEP", DRIVE)
    def test_value_too_deep_on_drive(self):
        session = self.new_session()
        with self.untouched(session):
            for kind, nest in self.NESTINGS.items():
                for levels in self.TOO_DEEP:
                    for command in self.commands(session, nest(levels)):
                        with self.subTest(kind=kind, levels=levels, command=command[:40]):
                            reply, = self.client.drive_raw(raw.drive_request(command))
                            self.assert_reason(reply, "VALUE_TOO_DEEP", DRIVE)
                            self.assertEqual(reply.tag, 1)

    @provokes("VALUE_TOO_DEEP", DRIVE)
    def test_a_deep_value_among_others(self):
        session, other = self.new_session(), self.new_session()
        replies = self.client.drive_raw(raw.drive_request(
            raw.sends(1, session, raw.text("one")), raw.sends(2, other, raw.in_maps(30_000)),
            raw.sends(3, session, raw.text("three")), raw.sends(4, other, raw.text("four"))))
        replies = {reply.tag: reply for reply in replies}
        self.assertEqual((replies[1].value, replies[3].value), ("one", "three"))
        self.assert_reason(replies[2], "VALUE_TOO_DEEP", DRIVE)
        self.assertEqual(replies[4].reason, "PREDECESSOR_FAILED")
        self.assertEqual(self.client.get(other).steps, 1)

    def expected(self, kind):
        """A value 24 deep, as it comes back."""
        value = None
        for _ in range(24):
            value = {"lists": [value], "maps": {"k": value},
                     "exceptions": RemoteException(type="ValueError", arguments=[value])}[kind]
        return value

    def test_24_levels_go_in_and_out_unary(self):
        for kind, nest in self.NESTINGS.items():
            with self.subTest(kind):
                session = self.new_session()
                value = nest(24)
                response = pb.SendResponse.FromString(self.client.raw("Send", raw.send_request(session, value)))
                self.assert_same(testing.outcome_of(response.outcome).value, kind)
                self.assert_same(testing.outcome_of(self.client.get(session).last_outcome).value, kind)
                thrown = raw.throw_request(session, raw.exception("ValueError", value))
                raised = pb.ThrowResponse.FromString(self.client.raw("Throw", thrown))
                self.assert_same(testing.outcome_of(raised.outcome).value.arguments[0], kind)

    def test_24_levels_go_in_and_out_on_drive(self):
        for kind, nest in self.NESTINGS.items():
            with self.subTest(kind):
                session = self.new_session()
                replies = self.client.drive_raw(raw.drive_request(*self.commands(session, nest(24))))
                sent, raised = [reply for reply in replies if isinstance(reply, testing.Reply)]
                self.assert_same(sent.value, kind)
                self.assert_same(raised.value.arguments[0], kind)
                self.assertEqual(len([reply for reply in replies if isinstance(reply, testing.Created)]), 1)

    def assert_same(self, value, kind):
        """Compares level by level; the message of an exception is whatever the server made of its arguments."""
        expected = self.expected(kind)
        for _ in range(24):
            self.assertIs(type(value), type(expected))
            if kind == "lists":
                (value,), (expected,) = value, expected
            elif kind == "maps":
                self.assertEqual(list(value), ["k"])
                value, expected = value["k"], expected["k"]
            else:
                self.assertEqual(value.type, "ValueError")
                (value,), (expected,) = value.arguments, expected.arguments
        self.assertIsNone(value)

    def test_a_client_can_read_the_deepest_answers(self):
        """A chain of 16 exceptions, the last with an argument 24 deep, in every answer that shows it."""
        session = self.new_session()
        thrown = raw.exception("ValueError", raw.in_maps(24))
        for _ in range(15):
            thrown = raw.exception("ValueError") + raw.field(4, thrown)
        replies = self.client.drive_raw(raw.drive_request(raw.throws(1, session, thrown)))
        listed = [shown for page in self.client.list_all() for shown in page.sessions if shown.session_id == session]
        seen = [replies[0].value, testing.outcome_of(self.client.get(session).last_outcome).value,
                testing.outcome_of(listed[0].last_outcome).value]
        for exception in seen:
            for _ in range(15):
                exception = exception.cause
            self.assert_same(exception.arguments[0], "maps")


class ValueSizeTest(ErrorTest):
    MAX = 1 << 20
    FITS = "x" * (MAX - 4)  # with its tag and length 1 MiB

    @provokes("VALUE_TOO_LARGE", UNARY)
    def test_value_too_large_unary(self):
        session = self.new_session()
        with self.untouched(session):
            for large in self.FITS + "x", b"x" * self.MAX, ["x" * 1000] * 1100, "x" * (8 << 20):
                metadata = {"max_bytes": str(self.MAX)}
                self.assert_unary("VALUE_TOO_LARGE", self.client.send, session, large, metadata=metadata)
                self.assert_unary("VALUE_TOO_LARGE", self.client.throw, session, ValueError(large), metadata=metadata)
                self.assert_unary("VALUE_TOO_LARGE", self.client.create, "returns_on_exit", arguments={"value": large},
                                  metadata=metadata)
            refusal = self.assert_unary("VALUE_TOO_LARGE", self.client.send, session, self.FITS + "x")
            self.assertEqual(refusal.metadata["bytes"], str(self.MAX + 1))

    @provokes("VALUE_TOO_LARGE", DRIVE)
    def test_value_too_large_on_drive(self):
        session = self.new_session()
        with self.untouched(session):
            self.assert_drive("VALUE_TOO_LARGE", sends(session, self.FITS + "x"), max_bytes=str(self.MAX))
            self.assert_drive("VALUE_TOO_LARGE", throws(session, ValueError(self.FITS)), max_bytes=str(self.MAX))
            self.assert_drive("VALUE_TOO_LARGE", creates("returns_on_exit", arguments={"value": self.FITS + "x"}))

    def test_1_mib_goes_in_and_out(self):
        session = self.new_session()
        self.assertEqual(self.client.send(session, self.FITS).outcome, ("yielded", self.FITS))
        self.assertEqual(self.client.drive(*[sends(session, self.FITS)] * 10)[9].outcome, ("yielded", self.FITS))


class OutcomeLimitsTest(ErrorTest):
    """What comes out over the limits is the coroutine's error, not the service's; it can go on."""

    def assert_value_error(self, reply, message):
        self.assertEqual((reply.kind, reply.value.type, reply.value.message), ("raised", "ValueError", message))

    def test_a_yielded_value_over_the_limits(self):
        for coroutine, arguments, message in [("huge", {"bytes": 1 << 20}, "yielded value too large"),
                                              ("deep", {"levels": 25}, "yielded value too deep"),
                                              ("deep", {"levels": 5_000}, "yielded value too deep"),
                                              ("not_utf8", {}, "yielded value has a text that is not UTF-8")]:
            with self.subTest(coroutine):
                session = self.new_session(coroutine, arguments)
                self.assert_value_error(self.client.send(session), message)
                self.assert_value_error(self.client.drive(sends(session))[0], message)
                self.assertEqual(self.client.get(session).state, session_pb2.STATE_SUSPENDED)
                self.assertEqual(self.client.close(session).outcome, ("returned", None))

    def test_a_yielded_value_just_within_the_limits(self):
        self.assertEqual(len(self.client.send(self.new_session("huge", {"bytes": (1 << 20) - 4})).value), (1 << 20) - 4)
        self.assertEqual(self.client.send(self.new_session("deep", {"levels": 24})).kind, "yielded")

    def test_a_value_that_is_returned_too_large(self):
        # What fits into a request's argument fits into the answer: nested once more it does not.
        value = None
        for _ in range(24):
            value = [value]
        session = self.new_session("sliding_window", {"size": 1})
        self.assert_value_error(self.client.send(session, value), "yielded value too deep")
        self.assertEqual(self.client.send(session, 7).outcome, ("yielded", [7]))

    def test_an_exception_with_a_text_that_is_not_utf8_cannot_come_in(self):
        session = self.new_session("raises", {"type": "KeyError", "message": "it"})
        reply = self.client.send(session)
        self.assertEqual((reply.kind, reply.value.type, reply.value.message), ("raised", "KeyError", "'it'"))
        self.assertEqual(self.client.get(session).state, session_pb2.STATE_CLOSED)


class NotPrimedTest(ErrorTest):
    MESSAGE = "can't send non-None value to a just-started generator"

    @provokes("NOT_PRIMED", UNARY)
    def test_not_primed_unary(self):
        session = self.new_session(prime=False)
        with self.untouched(session):
            for value in 1, 0, False, 0.0, "", b"", [], {}, ValueError():
                with self.subTest(value):
                    refusal = self.assert_unary("NOT_PRIMED", self.client.send, session, value, request_id="id",
                                                metadata={"session_id": session})
                    self.assertEqual(refusal.message, self.MESSAGE)
        self.assertEqual((self.client.next(session, request_id="id").step), 1)

    @provokes("NOT_PRIMED", DRIVE)
    def test_not_primed_on_drive(self):
        session = self.new_session(prime=False)
        with self.untouched(session):
            self.assertEqual(self.assert_drive("NOT_PRIMED", sends(session, 0)).message, self.MESSAGE)
        self.assertEqual(self.client.drive(sends(session), sends(session, 5))[1].outcome, ("yielded", 5))


class DurabilityTest(ErrorTest):
    @provokes("NOT_DURABLE", UNARY)
    def test_not_durable_unary(self):
        session = self.new_session()
        for step in 0, 1, 99:
            self.assert_unary("NOT_DURABLE", self.client.get, session, at_step=step, metadata={"session_id": session})

    @provokes("DURABILITY_UNAVAILABLE", UNARY)
    def test_durability_unavailable_unary(self):
        session = self.new_id()
        self.assert_unary("DURABILITY_UNAVAILABLE", self.client.create, "echo", session,
                          durability=session_pb2.DURABILITY_DURABLE)
        self.assertEqual(refused(self.client.get, session).reason, "SESSION_NOT_FOUND")
        for asked in session_pb2.DURABILITY_UNSPECIFIED, session_pb2.DURABILITY_EPHEMERAL:
            created = self.client.create("echo", durability=asked)
            self.assertEqual(created.session.durability, session_pb2.DURABILITY_EPHEMERAL)

    @provokes("DURABILITY_UNAVAILABLE", DRIVE)
    def test_durability_unavailable_on_drive(self):
        self.assert_drive("DURABILITY_UNAVAILABLE", creates("echo", durability=session_pb2.DURABILITY_DURABLE))


class RequestIdTest(ErrorTest):
    @provokes("REQUEST_ID_REUSED", UNARY)
    def test_request_id_reused_unary(self):
        session = self.new_session("counter")
        self.assertEqual(self.client.send(session, 1, request_id="id").outcome, ("yielded", 1))
        with self.untouched(session):
            for call, arguments in [(self.client.send, (2,)), (self.client.send, (1.0,)), (self.client.send, (True,)),
                                    (self.client.throw, (ValueError(),)), (self.client.close, ()),
                                    (self.client.delete, ())]:
                with self.subTest(call):
                    self.assert_unary("REQUEST_ID_REUSED", call, session, *arguments, request_id="id",
                                      metadata={"session_id": session, "request_id": "id", "step": "2"})
        again = self.client.send(session, 1, request_id="id", expected_step=99, quiet=False)
        self.assertEqual((again.outcome, again.step, again.replayed), (("yielded", 1), 2, True))

    @provokes("REQUEST_ID_REUSED", UNARY)
    def test_request_id_of_another_create(self):
        session = self.new_id()
        self.client.create("sliding_window", session, {"size": 2}, request_id=session)
        for request in [{"arguments": {"size": 3}}, {"arguments": {"size": 2}, "prime": True},
                        {"arguments": {"size": 2}, "labels": {"a": "b"}}]:
            self.assert_unary("REQUEST_ID_REUSED", self.client.create, "sliding_window", session, request_id=session,
                              **request)
        again = self.client.create("sliding_window", session, {"size": 2}, request_id=session)
        self.assertTrue(again.replayed)

    @provokes("REQUEST_ID_REUSED", DRIVE)
    def test_request_id_reused_on_drive(self):
        session = self.new_session("counter")
        self.assert_drive("REQUEST_ID_REUSED", sends(session, 1, request_id="id"), sends(session, 1, request_id="id"),
                          sends(session, 2, request_id="id"), step="2")
        self.assertEqual(self.client.get(session).steps, 2)

    def forget_a_reply(self):
        """A session that has sent more than it keeps, by two request ids."""
        session = self.new_session("huge", {"bytes": 40_000})
        for request_id in "old", "new":
            self.assertFalse(self.client.send(session, request_id=request_id).replayed)
        return session

    @provokes("REPLY_FORGOTTEN", UNARY)
    def test_reply_forgotten_unary(self):
        session = self.forget_a_reply()
        with self.untouched(session):
            self.assert_unary("REPLY_FORGOTTEN", self.client.send, session, request_id="old",
                              metadata={"session_id": session, "request_id": "old", "step": "2"})
            again = self.client.send(session, request_id="new")
        self.assertEqual((len(again.value), again.step, again.replayed), (40_000, 3, True))

    @provokes("REPLY_FORGOTTEN", DRIVE)
    def test_reply_forgotten_on_drive(self):
        session = self.forget_a_reply()
        with self.untouched(session):
            self.assert_drive("REPLY_FORGOTTEN", sends(session, request_id="new"), sends(session, request_id="old"),
                              request_id="old", step="2")

    @provokes("STEP_MISMATCH", UNARY)
    def test_step_mismatch_unary(self):
        session = self.new_session()
        with self.untouched(session):
            for expected in 1, 3, 2**64 - 1:
                for call in (self.client.send, self.client.close, functools.partial(self.client.throw, exception=ValueError())):
                    self.assert_unary("STEP_MISMATCH", call, session, expected_step=expected, request_id="id",
                                      metadata={"session_id": session, "expected_step": str(expected), "actual_step": "2"})
        self.assertEqual(self.client.send(session, "now", expected_step=2, request_id="id").outcome, ("yielded", "now"))

    @provokes("STEP_MISMATCH", DRIVE)
    def test_step_mismatch_on_drive(self):
        session = self.new_session()
        self.assert_drive("STEP_MISMATCH", sends(session, 1, expected_step=2), sends(session, 2, expected_step=2),
                          expected_step="2", actual_step="3")
        self.assertEqual(self.client.get(session).steps, 2)


class PredecessorFailedTest(ErrorTest):
    @provokes("PREDECESSOR_FAILED", DRIVE)
    def test_predecessor_failed_on_drive(self):
        session, other = self.new_session("counter"), self.new_session("counter")
        replies = self.client.drive(
            sends(session, tag=1), sends(session, expected_step=99, tag=2), sends(session, tag=3), closes(session, tag=4),
            sends(other, tag=5), throws(session, ValueError(), tag=6), sends(session, resume=True, tag=7),
            sends(session, tag=8))
        replies = {reply.tag: reply for reply in replies}
        self.assertEqual(replies[2].reason, "STEP_MISMATCH")
        for tag in 3, 4, 6:
            self.assert_reason(replies[tag], "PREDECESSOR_FAILED", DRIVE, session_id=session)
        self.assertEqual([replies[tag].value for tag in (1, 7, 8)], [1, 2, 3])
        self.assertEqual(replies[5].value, 1)

    @provokes("PREDECESSOR_FAILED", DRIVE)
    def test_commands_for_a_session_that_could_not_be_created(self):
        session = self.new_id()
        created, sent, again, after = self.client.drive(
            creates("sliding_window", session), sends(session), creates("counter", session, prime=True, resume=True),
            sends(session))
        self.assertEqual(created.reason, "INVALID_ARGUMENTS")
        self.assert_reason(sent, "PREDECESSOR_FAILED", DRIVE)
        self.assertEqual((again.primed.value, after.value), (0, 1))

    @provokes("PREDECESSOR_FAILED", DRIVE)
    def test_a_failure_outlasts_the_message_but_not_the_stream(self):
        session = self.new_session("counter")
        with testing.DriveCall(self.client) as call:
            call.write(sends(session, expected_step=99))
            self.assertEqual(call.read()[0].reason, "STEP_MISMATCH")
            call.write(sends(session))
            self.assert_reason(call.read()[0], "PREDECESSOR_FAILED", DRIVE)
        self.assertEqual(self.client.drive(sends(session))[0].value, 1)


class TooManySessionsTest(ErrorTest):
    FLAGS = ("--max-sessions", "3")

    def setUp(self):
        while True:
            try:
                self.client.create("echo")
            except grpc.RpcError:
                break

    @provokes("TOO_MANY_SESSIONS", UNARY)
    def test_too_many_sessions_unary(self):
        self.assert_unary("TOO_MANY_SESSIONS", self.client.create, "echo", "one-more", metadata={"max_sessions": "3"})
        self.assertEqual(refused(self.client.get, "one-more").reason, "SESSION_NOT_FOUND")
        self.assertEqual(len(self.client.list().sessions), 3)

    @provokes("TOO_MANY_SESSIONS", DRIVE)
    def test_too_many_sessions_on_drive(self):
        self.assert_drive("TOO_MANY_SESSIONS", creates("echo", prime=True), max_sessions="3")

    def test_a_deleted_session_makes_room(self):
        self.client.delete(self.client.list().sessions[0].session_id)
        self.assertEqual(self.client.create("echo", "room").session.session_id, "room")


class QueueTest(ErrorTest):
    FLAGS = ("--max-connection-calls", "2000", "--max-queue-delay", "0")  # more than wait for one session, for as long as it takes
    MAX_QUEUED = 1024

    def blocked_session(self, gate):
        """A session whose running step ends when the gate is opened, and the call that runs it."""
        session = self.new_session("gate", {"name": gate})
        running = self.client.start_send(session, "first")
        self.client.wait_until_running(session)
        return session, running

    def open(self, gate):
        self.client.create("open_gate", arguments={"name": gate}, prime=True)

    @provokes("QUEUE_FULL", UNARY)
    def test_queue_full_unary(self):
        session, running = self.blocked_session("unary")
        waiting = [self.client.start_send(session, number) for number in range(self.MAX_QUEUED + 10)]
        # Those beyond the limit are answered while the others wait.
        full = threading.Semaphore(0)
        for call in waiting:
            call.add_done_callback(lambda _: full.release())
        for _ in range(10):
            self.assertTrue(full.acquire(timeout=testing.CALL_SECONDS))
        self.assertFalse(running.done())
        self.open("unary")
        self.assertEqual(testing.answer(running).outcome, ("yielded", "first"))
        answers = [testing.answer(call) for call in waiting]
        for refusal in [answer for answer in answers if isinstance(answer, testing.Refusal)]:
            self.assert_reason(refusal, "QUEUE_FULL", UNARY, session_id=session, max_queued=str(self.MAX_QUEUED))
        steps = [answer.step for answer in answers if isinstance(answer, testing.Reply)]
        self.assertEqual(sorted(steps), list(range(3, self.MAX_QUEUED + 3)))
        self.assertEqual(self.client.get(session).steps, self.MAX_QUEUED + 2)

    def test_drive_stops_reading_instead(self):
        session, running = self.blocked_session("drive")
        other = self.new_session("counter")
        taken, total = 0, 2_000

        def requests():
            nonlocal taken
            for taken in range(1, total + 1):
                yield pb.DriveRequest(commands=[sends(session, "x" * 10_000, quiet=True)] * 10)

        responses = self.client.stub.Drive(requests(), timeout=testing.CALL_SECONDS)
        second = self.server.client()
        for _ in range(2_000):
            second.send(other)
        self.assertLess(taken, total, "200 MB of commands were taken for a session that stands still")
        self.open("drive")
        replies = [testing.reply_of(reply) for response in responses for reply in response.replies]
        self.assertEqual(testing.answer(running).step, 2)
        self.assertEqual([reply.step for reply in replies], list(range(3, 10 * total + 3)))
        self.assertEqual(taken, total)


class OverloadedTest(ErrorTest):
    """A server all of whose threads for steps that may block read a pipe, and more of those wait."""
    THREADS = 512

    @provokes("OVERLOADED", UNARY)
    def test_overloaded_unary(self):
        pipe = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "pipe")
        os.mkfifo(pipe)
        kept, waits, *reads = [self.new_session("reads_pipe", {"path": pipe}) for _ in range(self.THREADS + 2)]
        running = [self.client.start_send(session) for session in reads]
        for session in reads:
            self.client.wait_until_running(session)
        with testing.DriveCall(self.client) as call:
            call.write(sends(waits, expected_step=99))  # Drive stops reading instead: its commands only wait
            testing.eventually(lambda: self.is_refused(kept), "one has waited for a thread for a second")
            self.assert_unary("OVERLOADED", self.client.send, kept, metadata={"session_id": kept})
            self.assert_unary("OVERLOADED", self.client.throw, kept, ValueError(), metadata={"session_id": kept})
            self.assert_unary("OVERLOADED", self.client.create, "reads_pipe", self.new_id(), {"path": pipe}, prime=True)
            doubtful = refused(self.client.send, kept, request_id="sent-before")  # and executed, for all the server knows
            self.assertEqual((doubtful.reason, doubtful.metadata.get("executed")), ("OVERLOADED", None))
            self.assertFalse(any(read.done() for read in running))
            with open(pipe, "w"):
                pass
            self.assertEqual([testing.answer(read).kind for read in running], ["yielded"] * self.THREADS)
            self.assertEqual(call.read()[0].reason, "STEP_MISMATCH")
        self.assertEqual(self.client.get(kept).steps, 1)

    def is_refused(self, session):
        """Whether a Send is; one that waits as well is given up before its turn, so that it is no step."""
        return refused(self.client.send, session, timeout=0.05).reason == "OVERLOADED"


class DrainingTest(ErrorTest):
    """A server that was told to end, but in which one step still runs, until something is written into a pipe."""

    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.pipe = os.path.join(directory, "pipe")
        os.mkfifo(self.pipe)
        self.server = testing.Server(testing.binary("COROD_TEST_SERVER"))
        self.addCleanup(self.server.kill)
        self.client = self.server.client()
        self.client.create("counter", "kept", prime=True)
        self.client.send("kept", request_id="known")
        self.client.create("reads_pipe", "slow", {"path": self.pipe}, prime=True)
        self.running = self.client.start_send("slow")
        self.client.wait_until_running("slow")

    @classmethod
    def setUpClass(cls):
        pass  # each test ends its server

    def end(self):
        """Lets the step end; it is answered, and the server ends well."""
        self.assertFalse(self.running.done())
        with open(self.pipe, "w") as pipe:
            pipe.write("written")
        self.assertEqual(testing.answer(self.running).outcome, ("yielded", "written"))
        self.server.wait()

    def begin(self):
        self.server.terminate()
        closed = lambda: self.client.get("kept").state == session_pb2.STATE_CLOSED  # noqa: E731
        testing.eventually(closed, "the drain closes the session at rest")

    @provokes("DRAINING", UNARY)
    def test_draining_unary(self):
        self.begin()
        self.assert_unary("DRAINING", self.client.create, "echo", "late")
        with self.untouched("kept"):
            self.assert_unary("DRAINING", self.client.send, "kept", metadata={"session_id": "kept"})
            self.assert_unary("DRAINING", self.client.close, "kept")
            self.assert_unary("DRAINING", self.client.throw, "kept", ValueError())
            again = self.client.send("kept", request_id="known")
        self.assertEqual((again.outcome, again.replayed), (("yielded", 1), True))
        self.end()

    @provokes("DRAINING", DRIVE)
    def test_draining_on_drive(self):
        with testing.DriveCall(self.client) as call:
            call.write(sends("kept", 1))
            self.assertEqual(call.read()[0].value, 2)
            self.begin()
            call.write(creates("echo", "late", tag=1), sends("kept", tag=2), sends("kept", request_id="known", resume=True, tag=3))
            replies = {reply.tag: reply for reply in call.read(3)}
        self.assert_reason(replies[1], "DRAINING", DRIVE)
        self.assert_reason(replies[2], "DRAINING", DRIVE, session_id="kept")
        self.assertEqual((replies[3].outcome, replies[3].replayed), (("yielded", 1), True))
        self.end()


class DefinitionsTest(ErrorTest):
    def define(self, name, source, **fields):
        coroutine = catalog_pb.Coroutine(name=name, source=source, **fields)
        return self.client.catalog.DefineCoroutine(catalog_pb.DefineCoroutineRequest(coroutine=coroutine))

    def remove(self, name):
        return self.client.catalog.DeleteCoroutine(catalog_pb.DeleteCoroutineRequest(name=name))

    @provokes("INVALID_SOURCE", UNARY)
    def test_invalid_source_unary(self):
        cases = [
            ("return function()\n  x = = 1\nend", "mine:2: unexpected symbol near '='"),
            ("x.y = 1", "mine:1: attempt to index a nil value (global 'x')"),
            ("return 7", "the script must return a function"),
            ("", "the script must return a function"),
            ("return {run = function() end, colour = 'red'}", "a field 'colour'"),
            ("return {run = function(a) end, parameters = {{name = 'a', type = 'date'}}}", "the type of parameter 'a'"),
            ("while true do end", "10,000,000 instructions"),
        ]
        for source, message in cases:
            with self.subTest(source=source):
                refusal = self.assert_unary("INVALID_SOURCE", self.define, "mine", source, metadata={"coroutine": "mine"})
                self.assertIn(message, refusal.message)
        self.assert_unary_unknown("mine")

    def assert_unary_unknown(self, name):
        """That nothing was defined."""
        self.assertEqual(refused(self.client.create, name, self.new_id()).reason, "COROUTINE_NOT_FOUND")

    @provokes("COROUTINE_BUILT_IN", UNARY)
    def test_coroutine_built_in_unary(self):
        for call in (lambda: self.define("echo", "return function() end"), lambda: self.remove("echo")):
            self.assert_unary("COROUTINE_BUILT_IN", call, metadata={"coroutine": "echo"})
        self.new_session("echo")

    @provokes("INVALID_ARGUMENTS", UNARY)
    def test_definitions_that_make_no_sense(self):
        for fields, parameter in ((dict(name="no name"), "name"), (dict(name=""), "name"),
                                  (dict(name="f", language=catalog_pb.LANGUAGE_NATIVE), "language"),
                                  (dict(name="f", summary="s"), "coroutine")):
            with self.subTest(fields=fields):
                self.assert_unary("INVALID_ARGUMENTS", lambda: self.define(source="return function() end", **fields),
                                  metadata={"parameter": parameter})

    @provokes("COROUTINE_NOT_FOUND", UNARY)
    def test_a_name_that_was_deleted_is_not_there(self):
        self.define("passing", "return function() end")
        self.remove("passing")
        self.assert_unary("COROUTINE_NOT_FOUND", self.remove, "passing", metadata={"coroutine": "passing"})
        self.assert_unary_unknown("passing")


if __name__ == "__main__":
    unittest.main()
