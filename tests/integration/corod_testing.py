"""What the integration tests stand on: a server process for each test class, and clients that speak in Python's values.

A test gives the binaries in the environment: COROD_BIN, COROD_TEST_SERVER (corod with the coroutines of test_server.cc) and
COROCTL. PYTHONPATH holds the stubs generated from proto/.
"""
import itertools
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from dataclasses import dataclass

import google
import grpc

# The stubs have a google/rpc beside the google/protobuf of the system.
for _path in sys.path:
    if os.path.isdir(os.path.join(_path, "google", "rpc")) and os.path.join(_path, "google") not in google.__path__:
        google.__path__.append(os.path.join(_path, "google"))

from google.rpc import error_details_pb2, status_pb2  # noqa: E402

from corod.v1 import catalog_service_pb2 as catalog_pb  # noqa: E402,F401
from corod.v1 import catalog_service_pb2_grpc, coroutine_service_pb2_grpc, session_pb2  # noqa: E402
from corod.v1 import coroutine_service_pb2 as pb  # noqa: E402

from values import exception_from_proto, exception_to_proto, from_proto, to_proto  # noqa: E402

# Far more than anything takes; a call that takes this long hangs.
CALL_SECONDS = 60
READY_LINE = re.compile(r"corod \S+ is ready on (\S+)\n")


def binary(variable):
    path = os.environ.get(variable)
    if not path:
        raise RuntimeError(f"{variable} names no binary")
    return path


# ---- the server

# A server never outlives its test, however that ends.
END_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]


class Server:
    """A server process on a port of its own. Must be started by the thread that outlives it."""

    def __init__(self, path, *flags, listen="127.0.0.1:0", data_dir=None, log_level="warning"):
        """Without a data_dir every session is ephemeral."""
        self._stderr = tempfile.TemporaryFile()
        journal = ["--data-dir", data_dir] if data_dir else ["--journal", "memory"]
        command = [*END_WITH_PARENT, path, "--listen", listen, "--log-level", log_level, *journal, *flags]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=self._stderr, text=True)
        line = self._process.stdout.readline()
        ready = READY_LINE.fullmatch(line)
        if not ready:
            raise AssertionError(f"the server said {line!r}, status {self._process.wait(10)}, stderr: {self.stderr()}")
        self.address = ready[1]
        self._clients = []

    @property
    def pid(self):
        return self._process.pid

    def stderr(self):
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")

    def command_line(self):
        """As `ps` shows it to everybody on the machine, with its environment, which `ps e` shows to its owner."""
        shown = b""
        for name in "cmdline", "environ":
            with open(f"/proc/{self._process.pid}/{name}", "rb") as file:
                shown += file.read()
        return shown.replace(b"\0", b" ").decode(errors="replace")

    def anonymous_bytes(self):
        """What it holds in memory that is no file's."""
        with open(f"/proc/{self._process.pid}/smaps_rollup", encoding="ascii") as file:
            return 1024 * int(re.search(r"^Anonymous: +(\d+) kB$", file.read(), re.MULTILINE)[1])

    def client(self):
        """A new connection; closed with the server."""
        return self.keep(Client(self.address))

    def keep(self, client):
        """Closes that connection with the server, too."""
        self._clients.append(client)
        return client

    def terminate(self, signal_number=signal.SIGTERM):
        """Sends the signal and does not wait."""
        self._process.send_signal(signal_number)

    def wait(self, status=0):
        """Waits for the end, which must have this exit status."""
        try:
            actual = self._process.wait(CALL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            actual = "none, it did not end"
        stderr = self.stderr()
        self._disconnect()
        if actual != status:
            raise AssertionError(f"exit status {actual}, expected {status}; stderr: {stderr}")

    def stop(self):
        """The end of a test that says nothing about the end: without clients, for whom the server would wait."""
        for client in self._clients:
            client.disconnect()
        self.terminate()
        self.wait()

    def kill(self):
        """Ends it without a word; for cleaning up after a failure."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        self._disconnect()

    def _disconnect(self):
        for client in self._clients:
            client.disconnect()
        self._process.stdout.close()
        self._stderr.close()


class ServerTest(unittest.TestCase):
    """Tests of one server that is started for the class; `server` and `client` are it and a connection to it."""

    BINARY = "COROD_TEST_SERVER"
    FLAGS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(binary(cls.BINARY), *cls.FLAGS)
        cls.addClassCleanup(cls.server.stop)
        cls.client = cls.server.client()

    def new_id(self):
        """A session id that no other test uses."""
        return f"{self.id().rpartition('.')[2]}-{next(_ids)}"

    def assert_refused(self, refusal, reason, code=None, retry=False, **metadata):
        """That `refusal` is one of ours: nothing was executed, and it says so."""
        self.assertIsInstance(refusal, Refusal, f"expected {reason}")
        self.assertEqual(refusal.reason, reason, refusal.message)
        if code is not None:
            self.assertEqual(refusal.code, code)
        self.assertEqual(refusal.metadata.get("executed"), "no")
        for key, value in metadata.items():
            self.assertEqual(refusal.metadata.get(key), value, f"{key} in {refusal.metadata}")
        self.assertEqual(refusal.retry_seconds > 0, retry, f"retry after {refusal.retry_seconds} s")
        self.assertNotEqual(refusal.message, "")


class DurableServerTest(ServerTest):
    """Each test has a directory of its own, `data`, and starts its server when it wants one."""

    @classmethod
    def setUpClass(cls):
        pass

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.data = os.path.join(directory.name, "data")
        self.server = None
        self.addCleanup(lambda: self.server and self.server.kill())

    def start(self, *flags, data_dir=None):
        self.server = Server(binary(self.BINARY), *flags, data_dir=data_dir or self.data)
        self.client = self.server.client()

    def kill(self):
        self.server.terminate(signal.SIGKILL)
        self.server.wait(-signal.SIGKILL)
        self.server = None

    def come_back(self, *flags):
        self.kill()
        self.start(*flags)


_ids = itertools.count(1)


def eventually(condition, what):
    """Asks until `condition` holds and returns what it returned."""
    pause = threading.Event()
    deadline = time.monotonic() + CALL_SECONDS
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {CALL_SECONDS} s: {what}")
        pause.wait(0.005)
    return result


# ---- what a server answers

@dataclass
class Reply:
    """What a step produced."""
    kind: str  # yielded, returned or raised; None: no outcome
    value: object
    step: int
    replayed: bool = False
    tag: int = 0

    @property
    def outcome(self):
        return self.kind, self.value


def outcome_of(proto, replayed=False, tag=0):
    kind = proto.WhichOneof("result")
    value = None
    if kind is not None:
        value = (exception_from_proto if kind == "raised" else from_proto)(getattr(proto, kind))
    return Reply(kind, value, proto.step, replayed, tag)


@dataclass
class Created:
    session: session_pb2.Session
    primed: Reply
    existed: bool
    replayed: bool
    tag: int = 0


def created_of(proto, tag=0):
    return Created(proto.session, outcome_of(proto.outcome), proto.existed, proto.replayed, tag)


@dataclass
class Refusal:
    """Why the service refused."""
    code: grpc.StatusCode
    reason: str
    message: str
    metadata: dict
    retry_seconds: float
    tag: int = 0


_CODES = {code.value[0]: code for code in grpc.StatusCode}


def refusal_of(error):
    """What a failed call's status says, read from its details."""
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata.get("grpc-status-details-bin", b""))
    refusal = Refusal(error.code(), "", error.details(), {}, 0.0)
    if not status.details:
        return refusal
    assert status.code == error.code().value[0], (status, error)
    assert status.message == error.details(), (status, error)
    for detail in status.details:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            assert info.domain == "corod", info
            refusal.reason, refusal.metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(retry):
            refusal.retry_seconds = retry.retry_delay.ToNanoseconds() / 1e9
    return refusal


def refusal_of_failure(failure, tag=0):
    """What a Failure in a reply of Drive says."""
    return Refusal(_CODES[failure.code], failure.reason, failure.message, dict(failure.metadata),
                   failure.retry_delay.ToNanoseconds() / 1e9, tag)


def reply_of(proto):
    """A reply of Drive: Reply, Created or Refusal."""
    result = proto.WhichOneof("result")
    if result == "outcome":
        return outcome_of(proto.outcome, proto.replayed, proto.tag)
    if result == "created":
        return created_of(proto.created, proto.tag)
    return refusal_of_failure(proto.failure, proto.tag)


def refused(call, *arguments, **fields):
    """The Refusal of a call that must fail."""
    try:
        answer = call(*arguments, **fields)
    except grpc.RpcError as error:
        return refusal_of(error)
    raise AssertionError(f"not refused: {answer}")


# ---- requests

def create_request(coroutine, session_id="", arguments=None, **fields):
    request = pb.CreateRequest(coroutine=coroutine, session_id=session_id, **fields)
    for name, value in (arguments or {}).items():
        request.arguments[name].CopyFrom(to_proto(value))
    return request


def sends(session_id, value=None, **fields):
    return pb.Command(session_id=session_id, send=to_proto(value), **fields)


def throws(session_id, exception, **fields):
    return pb.Command(session_id=session_id, throw=exception_to_proto(exception), **fields)


def closes(session_id, force=False, **fields):
    return pb.Command(session_id=session_id, close=pb.CloseOptions(force=force), **fields)


def creates(coroutine, session_id="", arguments=None, tag=0, resume=False, **fields):
    return pb.Command(tag=tag, resume=resume, create=create_request(coroutine, session_id, arguments, **fields))


# ---- the client

LOCAL_POOL = [("grpc.use_local_subchannel_pool", 1)]  # a channel has a connection of its own


class Client:
    """One connection."""

    def __init__(self, address, channel=None):
        self.channel = channel or grpc.insecure_channel(address, options=LOCAL_POOL)
        self.stub = coroutine_service_pb2_grpc.CoroutineServiceStub(self.channel)
        self.catalog = catalog_service_pb2_grpc.CatalogServiceStub(self.channel)

    def disconnect(self):
        self.channel.close()

    def raw(self, method, request, service="corod.v1.CoroutineService"):
        """A unary call with these bytes; returns bytes."""
        return self.channel.unary_unary(f"/{service}/{method}")(request, timeout=CALL_SECONDS)

    def create(self, coroutine, session_id="", arguments=None, timeout=CALL_SECONDS, **fields):
        return created_of(self.stub.Create(create_request(coroutine, session_id, arguments, **fields), timeout=timeout))

    def send(self, session_id, value=None, timeout=CALL_SECONDS, **fields):
        request = pb.SendRequest(session_id=session_id, value=to_proto(value), **fields)
        return _answer(self.stub.Send(request, timeout=timeout))

    next = send

    def start_send(self, session_id, value=None, timeout=CALL_SECONDS, **fields):
        """Does not wait; returns a gRPC future, whose result `answer` reads."""
        return self.stub.Send.future(pb.SendRequest(session_id=session_id, value=to_proto(value), **fields), timeout=timeout)

    def throw(self, session_id, exception, timeout=CALL_SECONDS, **fields):
        request = pb.ThrowRequest(session_id=session_id, exception=exception_to_proto(exception), **fields)
        return _answer(self.stub.Throw(request, timeout=timeout))

    def close(self, session_id, timeout=CALL_SECONDS, **fields):
        return _answer(self.stub.Close(pb.CloseRequest(session_id=session_id, **fields), timeout=timeout))

    def delete(self, session_id, timeout=CALL_SECONDS, **fields):
        return outcome_of(self.stub.Delete(pb.DeleteRequest(session_id=session_id, **fields), timeout=timeout).outcome)

    def get(self, session_id, timeout=CALL_SECONDS, **fields):
        return self.stub.Get(pb.GetRequest(session_id=session_id, **fields), timeout=timeout).session

    def update(self, session_id, timeout=CALL_SECONDS, **fields):
        return self.stub.Update(pb.UpdateRequest(session_id=session_id, **fields), timeout=timeout).session

    def list(self, timeout=CALL_SECONDS, **fields):
        return self.stub.List(pb.ListRequest(**fields), timeout=timeout)

    def list_all(self, **fields):
        """Every page."""
        pages = [self.list(**fields)]
        while pages[-1].next_page_token:
            pages.append(self.list(page_token=pages[-1].next_page_token, **fields))
        return pages

    def wait_until_running(self, session_id):
        eventually(lambda: self.get(session_id).state == session_pb2.STATE_RUNNING, f"{session_id} runs")

    def drive(self, *commands):
        """Sends the commands in one message, and returns the replies in the order in which they came."""
        with DriveCall(self) as call:
            call.write(*commands)
            return call.finish()

    def drive_raw(self, *requests):
        """The same for messages given as bytes."""
        stream = self.channel.stream_stream("/corod.v1.CoroutineService/Drive",
                                            response_deserializer=pb.DriveResponse.FromString)
        return [reply_of(reply) for response in stream(iter(requests), timeout=CALL_SECONDS) for reply in response.replies]


def _answer(response):
    return outcome_of(response.outcome, response.replayed)


def answer(future):
    """The answer to a started call, or its Refusal."""
    try:
        return _answer(future.result(CALL_SECONDS))
    except grpc.RpcError as error:
        return refusal_of(error)


class DriveCall:
    """A Drive stream that is written and read as the test goes on."""

    def __init__(self, client):
        self._requests = queue.SimpleQueue()
        self._responses = client.stub.Drive(iter(self._requests.get, None), timeout=CALL_SECONDS)
        self._replies = (reply_of(reply) for response in self._responses for reply in response.replies)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._requests.put(None)
        self._responses.cancel()

    def write(self, *commands):
        """One message."""
        self._requests.put(pb.DriveRequest(commands=commands))

    def read(self, count=1):
        """The next replies."""
        return list(itertools.islice(self._replies, count))

    def finish(self):
        """Says that no more commands come; returns the replies until the server ends the call."""
        self._requests.put(None)
        return list(self._replies)

    def cancel(self):
        self._responses.cancel()
