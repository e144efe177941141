"""What the clients of the soak test do. Each actor is a generator that does a little each time it is asked to go on; what is
between two yields is a life of some sessions, whose every answer it knows beforehand."""
import itertools
import threading
from dataclasses import dataclass

import grpc

import corod_testing as testing
from breakable_proxy import BreakableProxy
from corod.v1 import catalog_service_pb2 as catalog_pb
from corod_testing import pb, session_pb2
from telling import LOST

from values import RemoteException, to_proto

EPHEMERAL, DURABLE = session_pb2.DURABILITY_EPHEMERAL, session_pb2.DURABILITY_DURABLE
REPLACE = session_pb2.IF_EXISTS_REPLACE_FINISHED

# Defined before the first actor begins.
SCRIPTS = {
    "soak_echo": "return function() local value while true do value = yield(value) end end",
    "soak_sum": """return {
      state = {total = 0},
      run = function(state) while true do state.total = state.total + (yield(state.total) or 0) end end,
    }""",
    # Takes long enough for a cancellation or a deadline to come while it runs.
    "soak_busy": """return function()
      local steps = 0
      while true do
        local rounds = yield(steps)
        steps = steps + 1
        local x = 0
        for i = 1, rounds or 0 do x = x + i % 7 end
      end
    end""",
}


@dataclass
class World:
    """What an actor has: its own name, random numbers, and ways to the server."""
    name: str
    random: object
    connect: object  # connect(address=..., token=...): a new Caller, by default in the actor's namespace
    address: str
    tally: object
    slow_seconds: float  # --slow-reader-timeout of the server
    observer: str  # the token of somebody who may only look
    guest: object  # a soak_test.Guest


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: {actual!r}, expected {expected!r}")


def made(world, durability, count=1):
    world.tally.add("sessions", "durable" if durability == DURABLE else "ephemeral", count=count)


# ---- sessions that come and go by unary calls

def averages(client, session_id, random, count):
    """Sends numbers to a primed averager and checks what comes back. Returns the steps that it has then."""
    total = 0
    for number in range(1, count + 1):
        value = random.randrange(1000)
        total += value
        reply = client.ask("send", session_id, value)
        check((reply.outcome, reply.step), (("yielded", total / number), number + 1), session_id)
    return count + 1


def churn(world):
    """One life after another of a few ids: native, Lua and pipelines, closed, raised, replaced, deleted."""
    with world.connect() as client:
        for turn in itertools.count():
            session_id = f"{world.name}-{turn % 7}"
            durability = DURABLE if turn % 7 < 4 else EPHEMERAL  # an ephemeral session never takes a durable one's place
            options = {"durability": durability, "prime": True, "if_exists": REPLACE}
            kind = world.random.randrange(4)
            if kind == 0:
                client.ask("create", "averager", session_id, **options)
                averages(client, session_id, world.random, 3)
            elif kind == 1:
                client.ask("create", "soak_sum", session_id, **options)
                check([client.ask("send", session_id, n).value for n in (5, 6, 7)], [5, 11, 18], session_id)
            elif kind == 2:
                stages = [{"coroutine": "json_lines", "each": True}, {"coroutine": "averager"}]
                client.ask("create", "pipeline", session_id, {"stages": stages}, **options)
                check(client.ask("send", session_id, "1\n2\n").value, 1.5, session_id)
            else:
                client.ask("create", "line_splitter", session_id, **options)
                check(client.ask("send", session_id, "one\ntwo").value, ["one"], session_id)
            made(world, durability)
            check(client.ask("create", "averager", session_id, may={"SESSION_EXISTS"}), "SESSION_EXISTS", session_id)
            yield
            if kind != 3 and world.random.random() < 0.3:
                thrown = client.ask("throw", session_id, RemoteException(type="KeyError", message="gone"))
                check((thrown.kind, thrown.value.type), ("raised", "KeyError"), session_id)
            else:
                closed = client.ask("close", session_id)
                check(closed.outcome, ("returned", "two" if kind == 3 else closed.value), session_id)
            check(client.ask("get", session_id).state, session_pb2.STATE_CLOSED, session_id)
            if world.random.random() < 0.5:
                client.ask("delete", session_id)
                check(client.ask("send", session_id, may={"SESSION_NOT_FOUND"}), "SESSION_NOT_FOUND", session_id)


# ---- sessions that come and go by Drive

def drive(world, durability, coroutine, value, count):
    """Streams of messages, each of which holds whole lives of `count` sessions: created, sent to, closed, replaced."""
    ids = [f"{world.name}-{at}" for at in range(count)]
    operations = [[testing.creates(coroutine, session_id, prime=True, durability=durability, if_exists=REPLACE),
                   testing.sends(session_id, value), testing.sends(session_id, value), testing.closes(session_id)]
                  for session_id in ids]
    commands = [command for at in range(4) for command in (of_one[at] for of_one in operations)]
    for tag, command in enumerate(commands):
        command.tag = tag
    message = pb.DriveRequest(commands=commands).SerializeToString()
    with world.connect() as client:
        call = client.channel.stream_stream("/corod.v1.CoroutineService/Drive",
                                            response_deserializer=pb.DriveResponse.FromString)
        while True:
            stream = LivesStream(client, call, message, count)
            try:
                for _ in range(world.random.randrange(2, 12)):
                    stream.read_message()
                    made(world, durability, count)
                    yield
                made(world, durability, count * stream.finish())
            finally:
                stream.cancel()


class LivesStream:
    """A Drive stream on which one message of drive() is sent over and over, two at a time."""

    def __init__(self, client, call, message, count):
        self._client = client
        self._message = message
        self._count = count
        self._places = [0] * count  # how many of a session's four commands have been answered
        self._room = threading.Semaphore(2)
        self._ended = False
        self._sent = self._read = 0
        self._responses = call(self._messages(), timeout=testing.CALL_SECONDS)
        self._replies = (reply for response in self._responses for reply in response.replies)

    def _messages(self):
        while self._room.acquire() and not self._ended:
            self._sent += 1
            yield self._message

    def _take(self, reply):
        """Counts a reply, which must be the next of its session."""
        place, at = divmod(reply.tag, self._count)
        result = reply.WhichOneof("result")
        if result == "failure":
            self._client.refused("Drive", reply.failure.reason)
            raise AssertionError(f"Drive: {reply}")
        kind = (reply.created.outcome if result == "created" else reply.outcome).WhichOneof("result")
        self._client.told("Drive", kind)
        check((place, kind), (self._places[at], "returned" if place == 3 else "yielded"), f"reply {reply.tag}")
        self._places[at] = (place + 1) % 4
        self._read += 1

    def read_message(self):
        """As many replies as a message has commands."""
        for _ in range(4 * self._count):
            self._take(next(self._replies))
        self._room.release()

    def finish(self):
        """Sends no more and reads the rest; how many messages that answers."""
        before = self._read
        self._ended = True
        self._room.release()
        for reply in self._replies:
            self._take(reply)
        check(self._read, self._sent * 4 * self._count, "replies of a stream")
        return (self._read - before) // (4 * self._count)

    def cancel(self):
        """Also after finish()."""
        self._ended = True
        self._room.release()
        self._responses.cancel()
        self._client.lost("Drive", self._sent * 4 * self._count - self._read)


# ---- who watches

def watch(world):
    with world.connect() as client:
        for turn in itertools.count():
            session_id = f"{world.name}-{turn % 3}"
            durability = DURABLE if turn % 3 == 0 else EPHEMERAL
            client.ask("create", "averager", session_id, prime=True, durability=durability, if_exists=REPLACE)
            made(world, durability)
            stream = client.stub.Watch(pb.WatchRequest(session_id=session_id), timeout=testing.CALL_SECONDS)
            stream.initial_metadata()
            steps = averages(client, session_id, world.random, world.random.randrange(1, 20))
            client.ask("close", session_id)
            seen = [response.event.step for response in stream]
            client.told("Watch", "done")
            check(seen, list(range(2, steps + 2)), f"steps that {session_id} showed")
            yield


# ---- who does not read

def wait_for_the_end(call, seconds):
    """Until the call has ended, at most so long."""
    ended = threading.Event()
    if call.add_callback(ended.set):
        ended.wait(seconds)


def slow_drive(world):
    """Streams that send and do not read: the server ends them, and tells whoever reads at last why."""
    # More than the system's buffers and gRPC's windows take.
    value = "x" * 900_000
    count = 24
    with world.connect() as client:
        session_id = f"{world.name}-echo"
        client.ask("create", "soak_echo", session_id, prime=True, durability=EPHEMERAL)
        made(world, EPHEMERAL)
        for turn in itertools.count():
            with world.connect() as slow:
                messages = [pb.DriveRequest(commands=[testing.sends(session_id, value)])] * count
                call = slow.stub.Drive(iter(messages), timeout=testing.CALL_SECONDS)
                # It is told after the timeout; if it does not listen then, either, the stream is cut.
                wait_for_the_end(call, world.slow_seconds * (1.6 if turn % 2 == 0 else 4))
                read = 0
                reason = "none"
                try:
                    for response in call:
                        for reply in response.replies:
                            check(reply.WhichOneof("result"), "outcome", session_id)
                            read += 1
                except grpc.RpcError as error:
                    reason = slow.ended("Drive", error, {"READER_TOO_SLOW", "CANCELLED"})
                slow.told("Drive", "yielded", read)
                slow.lost("Drive", count - read)
                world.tally.add("slow", "Drive", reason)
                if reason == "none":
                    raise AssertionError(f"a Drive that did not read got all of its {read} replies")
            yield
            check(client.ask("send", session_id, turn).value, turn, session_id)


def slow_watch(world):
    """Watches that do not read, while their session goes on."""
    with world.connect() as client:
        session_id = f"{world.name}-echo"
        client.ask("create", "soak_echo", session_id, prime=True, durability=EPHEMERAL)
        made(world, EPHEMERAL)
        for turn in itertools.count():
            with world.connect() as slow:
                stream = slow.stub.Watch(pb.WatchRequest(session_id=session_id), timeout=testing.CALL_SECONDS)
                stream.initial_metadata()
                if turn % 2 == 0:  # too much for any watcher that does not read
                    for _ in range(6):
                        client.drive_once(*[testing.sends(session_id, "y" * 100, resume=True) for _ in range(400)])
                    wait_for_the_end(stream, world.slow_seconds * 0.2)
                else:  # more than the system's buffers take, and then nothing
                    for _ in range(20):
                        client.drive_once(*[testing.sends(session_id, "y" * 60_000) for _ in range(10)])
                    wait_for_the_end(stream, world.slow_seconds * 1.6)
                steps = client.ask("get", session_id).steps
                reason = "keeps up"
                try:
                    for response in stream:
                        if response.event.step == steps:
                            stream.cancel()
                            slow.lost("Watch")
                            break
                except grpc.RpcError as error:
                    reason = slow.ended("Watch", error, {"WATCHER_TOO_SLOW", "CANCELLED"})
                world.tally.add("slow", "Watch", reason)
            yield


# ---- who gives up

def give_up(world):
    """Calls that are cancelled, and deadlines that pass, before, while and after their step runs."""
    with world.connect() as client:
        for turn in itertools.count():
            session_id = f"{world.name}-{turn % 3}"
            durability = world.random.choice([EPHEMERAL, DURABLE])
            client.ask("create", "soak_busy", session_id, prime=True, durability=durability, if_exists=REPLACE)
            made(world, durability)
            asked = 0
            for _ in range(4):
                futures = [client.start_send(session_id, world.random.randrange(20_000),
                                             timeout=world.random.choice([0.001, 0.01, testing.CALL_SECONDS]))
                           for _ in range(5)]
                asked += len(futures)
                for future in world.random.sample(futures, 3):
                    future.cancel()
                for future in futures:
                    try:
                        future.result(testing.CALL_SECONDS)
                        client.told("Send", "yielded")
                    except grpc.FutureCancelledError:
                        client.lost("Send")
                    except grpc.RpcError as error:
                        client.failed("Send", error, LOST)
                yield
            steps = client.ask("send", session_id, 0)
            if not 0 <= steps.value - 1 <= asked:
                raise AssertionError(f"{session_id} took {steps.value} steps, it was sent {asked}")
            client.ask("delete", session_id)


def break_connections(world):
    """A connection that breaks and loses replies: with request ids every step happens once all the same."""
    proxy = BreakableProxy(world.address)
    try:
        for turn in itertools.count():
            session_id = f"{world.name}-{turn % 3}"
            durability = world.random.choice([EPHEMERAL, DURABLE])
            with world.connect() as direct:
                direct.ask("create", "soak_sum", session_id, prime=True, durability=durability, if_exists=REPLACE)
                made(world, durability)
                total = 0
                for number in range(6):
                    request_id = f"{turn}-{number}"
                    if world.random.random() < 0.5:
                        with world.connect(proxy.address) as client:
                            future = client.start_send(session_id, number, request_id=request_id)
                            if world.random.random() < 0.5:
                                proxy.lose_replies()
                            if world.random.random() < 0.5:
                                with world.connect() as other:
                                    other.ask("get", session_id)
                            proxy.cut()
                            try:
                                future.result(testing.CALL_SECONDS)
                                client.told("Send", "yielded")
                            except grpc.RpcError as error:
                                client.failed("Send", error, LOST)
                    else:
                        # A stream with its commands under way.
                        with world.connect(proxy.address) as client:
                            call = testing.DriveCall(client)
                            call.write(testing.sends(session_id, number, request_id=request_id))
                            proxy.cut()
                            try:
                                call.read()
                            except grpc.RpcError:
                                pass
                            client.lost("Drive")
                            call.__exit__()
                    total += number
                    reply = direct.ask("send", session_id, number, request_id=request_id)
                    check((reply.value, reply.step), (total, number + 2), session_id)
                    yield
                direct.ask("delete", session_id)
    finally:
        proxy.close()


# ---- copies

def reply_of_slow(answer):
    """None if it was refused."""
    return None if isinstance(answer, str) else answer


def copy(world):
    """Forks, exports, imports, and looks at what was."""
    with world.connect() as client:
        for turn in itertools.count():
            source, fork, copied = (f"{world.name}-{what}-{turn % 2}" for what in ("source", "fork", "copy"))
            client.ask("create", "soak_sum", source, prime=True, durability=DURABLE)
            for value in range(1, 6):
                client.ask("send", source, value)
            check(client.ask("get", source, at_step=3).steps, 3, source)
            forked = client.call("Fork", lambda: client.stub.Fork(
                pb.ForkRequest(session_id=source, at_step=3, new_session_id=fork), timeout=testing.CALL_SECONDS))
            check(forked.session.steps, 3, fork)
            check(client.ask("send", fork, 100).value, 103, fork)
            yield
            # On a machine that is slow enough they have been given up.
            parts = testing.eventually(lambda: reply_of_slow(client.call("Export", lambda: list(
                client.stub.Export(pb.ExportRequest(session_id=source), timeout=testing.CALL_SECONDS)),
                may={"READER_TOO_SLOW"})), "an export")
            file = b"".join(part.chunk for part in parts)
            parts = [pb.ImportRequest(chunk=file[at:at + 100], session_id="" if at else copied)
                     for at in range(0, len(file), 100)]
            testing.eventually(lambda: reply_of_slow(client.call("Import", lambda: client.stub.Import(
                iter(parts), timeout=testing.CALL_SECONDS), may={"DEADLINE_EXCEEDED"})), "an import")
            check(client.ask("send", copied, 1000).value, 1015, copied)
            made(world, DURABLE, 3)
            for session_id in source, fork, copied:
                client.ask("delete", session_id)
            yield


def define(world):
    """Coroutines that are defined again, used and taken away. The history of the catalog is kept, so there are few versions."""
    source = "return function() local n = {} while true do yield(n) n = n + 1 end end"
    with world.connect() as client:
        for turn in itertools.count():
            name = f"{world.name}_{turn % 2}"
            coroutine = catalog_pb.Coroutine(name=name, source=source.format(min(turn // 2, 20)))
            client.call("DefineCoroutine", lambda: client.catalog.DefineCoroutine(
                catalog_pb.DefineCoroutineRequest(coroutine=coroutine), timeout=testing.CALL_SECONDS))
            created = client.ask("create", name, prime=True, durability=DURABLE)
            made(world, DURABLE)
            check(created.primed.value, min(turn // 2, 20), name)
            client.call("ListCoroutines", lambda: client.catalog.ListCoroutines(
                catalog_pb.ListCoroutinesRequest(), timeout=testing.CALL_SECONDS))
            client.ask("delete", created.session.session_id)
            yield
            if turn < 60:
                client.call("DeleteCoroutine", lambda: client.catalog.DeleteCoroutine(
                    catalog_pb.DeleteCoroutineRequest(name=name), timeout=testing.CALL_SECONDS))


# ---- who has little

def sleep_and_wake(world):
    """Many durable sessions that are used now and then, so that they sleep in between."""
    ids = [f"{world.name}-{at}" for at in range(300)]
    totals = dict.fromkeys(ids, 0)
    with world.connect() as client:
        client.drive_once(*[testing.creates("soak_sum", session_id, prime=True, durability=DURABLE) for session_id in ids])
        made(world, DURABLE, len(ids))
        while True:
            for session_id in world.random.sample(ids, 20):
                totals[session_id] += 1
                check(client.ask("send", session_id, 1).value, totals[session_id], session_id)
            yield


def beyond_limits(world):
    """A namespace that may do little: it is refused, and what is refused leaves no trace."""
    limits = {"RATE_LIMITED", "TOO_MANY_SESSIONS"}
    with world.connect() as client:
        held = []
        pause = threading.Event()
        while True:
            created = client.ask("create", "averager", prime=True, durability=EPHEMERAL, may=limits)
            if not isinstance(created, str):
                made(world, EPHEMERAL)
                held.append([created.session.session_id, 1])
            for entry in world.random.sample(held, min(len(held), 30)):
                reply = client.ask("send", entry[0], 1, may=limits)
                if not isinstance(reply, str):
                    entry[1] += 1
                    check((reply.value, reply.step), (1.0, entry[1]), entry[0])
            with world.connect() as first, world.connect() as second:
                streams = [testing.DriveCall(one) for one in (first, second)]
                first.lost("Drive", 2)  # which may be refused themselves, if those before them are still being closed
                try:
                    replies = client.drive_once(*[testing.sends(entry[0], 1) for entry in held[:1]],
                                                may={"TOO_MANY_STREAMS", *limits})
                    if any(isinstance(reply, testing.Reply) for reply in replies):
                        held[0][1] += 1
                finally:
                    for stream in streams:
                        stream.__exit__()
            yield
            while created == "TOO_MANY_SESSIONS" and held:
                if isinstance(client.ask("delete", held[-1][0], may=limits), str):
                    pause.wait(0.05)
                else:
                    held.pop()


def little_memory(world):
    """Sessions that grow until their namespace has no more memory: durable ones sleep in between, what is refused leaves no trace,
    and when some are gone there is room again."""
    limit = {"MEMORY_LIMIT"}
    text = "m" * 10_000
    with world.connect() as client:
        while True:
            held = {}
            for at in range(8):
                session_id = f"{world.name}-{at}"
                durability = DURABLE if at % 2 == 0 else EPHEMERAL
                testing.eventually(lambda: client.ask("create", "batch", session_id, {"size": 1_000_000}, prime=True,
                                                      durability=durability, may=limit) != "MEMORY_LIMIT", "there is room")
                made(world, durability)
                held[session_id] = 1
            refused = 0
            while refused < 20:
                for session_id in held:
                    reply = client.ask("send", session_id, text, may=limit)
                    if isinstance(reply, str):
                        refused += 1
                    else:
                        held[session_id] += 1
                        check(reply.step, held[session_id], session_id)
                yield
            for session_id, steps in held.items():
                check(client.ask("get", session_id).steps, steps, session_id)
                client.ask("delete", session_id)
            yield


# ---- who may not

def taken_away(world):
    """Somebody whose token is taken away while his streams are open: they end, and nothing that was sent is lost."""
    with world.connect() as client:
        session_id = f"{world.name}-sum"
        client.ask("create", "soak_sum", session_id, prime=True, durability=DURABLE)
        made(world, DURABLE)
        total = 0
        while True:
            world.guest.come()
            with world.connect(token=world.guest.token) as guest:
                testing.eventually(lambda: guest.ask("get", session_id, may={"CREDENTIALS_INVALID"}) != "CREDENTIALS_INVALID",
                                   "a token is known")
                watch = guest.stub.Watch(pb.WatchRequest(session_id=session_id), timeout=testing.CALL_SECONDS)
                watch.initial_metadata()
                guest.told("Watch", "done")
                drive = testing.DriveCall(guest)
                seen = []
                for _ in range(world.random.randrange(1, 40)):
                    drive.write(testing.sends(session_id, 1))
                    total += 1
                    seen += drive.read()
                    guest.told("Drive", "yielded")
                check(seen[-1].value, total, session_id)
                world.guest.go()
                for rpc, stream in ("Watch", watch), ("Drive", iter(drive.read, [])):
                    steps = 0
                    try:
                        for _ in stream:
                            steps += 1
                    except grpc.RpcError as error:
                        guest.ended(rpc, error, {"CREDENTIALS_ENDED"})
                        check(steps, len(seen) if rpc == "Watch" else 0, f"steps of a {rpc}")
                    else:
                        raise AssertionError(f"a {rpc} ended without a word")
                drive.__exit__()
                check(guest.ask("get", session_id, may={"CREDENTIALS_INVALID"}), "CREDENTIALS_INVALID", session_id)
            yield


def strangers(world):
    """Who may not come in, who may only look, and who is in another namespace."""
    with world.connect() as client, world.connect(token=None) as nobody, \
            world.connect(token="nobody.secret") as unknown, world.connect(token=world.observer) as observer:
        session_id = f"{world.name}-seen"
        client.ask("create", "averager", session_id, prime=True, durability=EPHEMERAL)
        made(world, EPHEMERAL)
        while True:
            for caller, reason in (nobody, "CREDENTIALS_MISSING"), (unknown, "CREDENTIALS_INVALID"), \
                    (observer, "ROLE_INSUFFICIENT"):
                check(caller.ask("send", session_id, 1, may={reason}), reason, session_id)
            check(observer.ask("get", session_id).steps, 1, session_id)
            yield


ROLES = {
    "churn": churn, "watch": watch, "slow_drive": slow_drive, "slow_watch": slow_watch, "give_up": give_up,
    "break_connections": break_connections, "copy": copy, "define": define, "sleep_and_wake": sleep_and_wake,
    "beyond_limits": beyond_limits, "little_memory": little_memory, "strangers": strangers, "taken_away": taken_away,
    "drive_ephemeral": lambda world: drive(world, EPHEMERAL, "averager", 3, 100),
    "drive_script": lambda world: drive(world, EPHEMERAL, "soak_sum", 3, 20),
    "drive_durable": lambda world: drive(world, DURABLE, "averager", 3, 50),
    # What fills the journal's buffers, which are as large as they get before memory is compared.
    "drive_large": lambda world: drive(world, DURABLE, "soak_echo", "z" * 20_000, 10),
}
