"""What the clients of the soak test ask and are told, counted, so that the server's own counts can be held to it."""
import collections
import threading

import grpc

import corod_testing as testing
from corod_testing import catalog_service_pb2_grpc, coroutine_service_pb2_grpc

# How a call that ended without an answer of the server's ends: nobody knows whether it was counted there.
LOST = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE"})


class Tally:
    """Counts by name and labels. Thread-safe."""

    def __init__(self):
        self._lock = threading.Lock()
        self.counts = collections.Counter()

    def add(self, name, *labels, count=1):
        with self._lock:
            self.counts[(name, *labels)] += count

    def of(self, name, *labels):
        """The sum of what begins with these labels; None stands for any."""
        with self._lock:
            return sum(count for key, count in self.counts.items() if key[0] == name and
                       all(label is None or key[1 + at] == label for at, label in enumerate(labels)))

    def labels(self, name, at):
        with self._lock:
            return sorted({key[1 + at] for key in self.counts if key[0] == name})


class _WithToken(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor,
                 grpc.StreamStreamClientInterceptor):
    def __init__(self, token):
        self._entry = ("authorization", f"Bearer {token}")

    def _intercept(self, proceed, details, request):
        return proceed(_Details(details, [*(details.metadata or ()), self._entry]), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _intercept


class _Details(grpc.ClientCallDetails):
    def __init__(self, of, metadata):
        self.method, self.timeout, self.credentials = of.method, of.timeout, of.credentials
        self.wait_for_ready, self.compression, self.metadata = of.wait_for_ready, of.compression, metadata


class Caller(testing.Client):
    """A connection of somebody's, whose every call is counted:

    told NAMESPACE RPC RESULT        calls and commands that were answered
    refused NAMESPACE RPC REASON     those that were answered with an error of the server's
    lost NAMESPACE RPC               those that ended without an answer, which the server may count or not
    ended NAMESPACE RPC REASON       streams that were ended with an error, which the server may count or not
    """

    def __init__(self, address, token, namespace, tally):
        # Small windows, so that whoever does not read holds the server up at once.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_535),
                   ("grpc.enable_http_proxy", 0)]
        self._connection = grpc.insecure_channel(address, options=options)
        self.channel = grpc.intercept_channel(self._connection, _WithToken(token)) if token else self._connection
        self.stub = coroutine_service_pb2_grpc.CoroutineServiceStub(self.channel)
        self.catalog = catalog_service_pb2_grpc.CatalogServiceStub(self.channel)
        self._namespace = namespace
        self._tally = tally

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disconnect()

    def disconnect(self):
        self._connection.close()

    def told(self, rpc, result, count=1):
        self._tally.add("told", self._namespace, rpc, result, count=count)

    def refused(self, rpc, reason, count=1):
        self._tally.add("refused", self._namespace, rpc, reason, count=count)

    def lost(self, rpc, count=1):
        if count:
            self._tally.add("lost", self._namespace, rpc, count=count)

    def ended(self, rpc, error, may):
        """Counts a stream that ended with an error; its reason, which must be one of `may`."""
        refusal = testing.refusal_of(error)
        reason = refusal.reason or refusal.code.name
        self._tally.add("ended", self._namespace, rpc, reason)
        if reason not in may:
            raise AssertionError(f"{rpc} ended: {reason}: {refusal.message} {refusal.metadata}")
        return reason

    def failed(self, rpc, error, may=()):
        """Counts a call that failed; its reason, which must be one of `may`."""
        refusal = testing.refusal_of(error)
        if refusal.reason:
            self.refused(rpc, refusal.reason)
        else:
            self.lost(rpc)
        reason = refusal.reason or refusal.code.name
        if reason not in may:
            raise AssertionError(f"{rpc}: {reason}: {refusal.message} {refusal.metadata}")
        return reason

    def ask(self, method, *arguments, may=(), **fields):
        """What the method of testing.Client returns; the reason, a text, if it is refused with one of `may`."""
        rpc = method.capitalize()
        try:
            answer = getattr(self, method)(*arguments, **fields)
        except grpc.RpcError as error:
            return self.failed(rpc, error, may)
        self.told(rpc, _result_of(answer))
        return answer

    def call(self, rpc, call, may=()):
        """The same of any call that gives no step."""
        try:
            answer = call()
        except grpc.RpcError as error:
            return self.failed(rpc, error, may)
        self.told(rpc, "done")
        return answer

    def drive_once(self, *commands, may=()):
        """The replies to one message; counts each, and holds each refusal to `may`."""
        try:
            replies = self.drive(*commands)
        except grpc.RpcError as error:
            self.lost("Drive", len(commands))
            return self.ended("Drive", error, may)
        for reply in replies:
            if isinstance(reply, testing.Refusal):
                self.refused("Drive", reply.reason or reply.code.name)
                if reply.reason not in may:
                    raise AssertionError(f"Drive: {reply}")
            else:
                self.told("Drive", _result_of(reply))
        if len(replies) != len(commands):
            raise AssertionError(f"{len(commands)} commands had {len(replies)} replies")
        return replies


def _result_of(answer):
    if isinstance(answer, testing.Created):
        answer = answer.primed
    return (answer.kind if isinstance(answer, testing.Reply) else None) or "done"
