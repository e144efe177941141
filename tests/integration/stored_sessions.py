"""Sessions of many kinds that a data directory holds, and what is to be said of them later: by the same server after a
restart, from a backup, or by a later release (data/journal-*; make_journal_fixture.py makes one).

`populate` makes them. `PLAN` says what is asked of each: commands whose request ids are known, and the one that comes next.
`describe` asks, and gives what can be compared and stored as JSON.
"""
import math

import corod_testing as testing
from corod.v1 import catalog_service_pb2 as catalog_pb
from corod_testing import pb, session_pb2
from google.protobuf import timestamp_pb2
from values import strict

# Nothing of it runs out before it is looked at again.
FLAGS = ("--retention", "876000h", "--durable-idle-timeout", "0", "--checkpoint-every", "5", "--history", "20")
# Of it this much is acknowledged when the server is killed.
BATCH = 400

# It goes on from its state.
SUM = """
return {
  state = {total = 0},
  run = function(state, factor)
    while true do state.total = state.total + factor * (yield(state.total) or 0) end
  end,
  parameters = {{name = "factor", type = "integer", default = 1}},
}
"""
# It is run again from its first step, with the same times and random numbers.
DICE = """
return function()
  local last
  while true do
    local sent = yield(last)
    last = {sent = sent, thrown = random(6), later = time() > 0}
  end
end
"""
DOUBLE_1 = "return function() local sent = yield() while true do sent = yield(2 * sent) end end"
DOUBLE_2 = "return function() local sent = yield() while true do sent = yield(sent + sent + 1) end end"
OUTER = 'return function() return delegate("double") end'

VALUES = [None, True, -7, 2**62, 0.1, -0.0, math.inf, math.nan, "täxt", b"\x00\xff", [1, [2, []]], {"b": 1, "a": {"c": None}},
          ValueError("of the client")]

# For each session: commands that were made with a request id, again; and the one that is made then.
PLAN = {
    "averager": ([("send", n, f"a{n}") for n in (3, 28, 29)], ("send", 100)),
    "checkpointed": ([("send", n, f"c{n}") for n in (59, 60)], ("send", 1)),
    "created": ([("create", "averager", "made")], ("send", None)),
    "values": ([("send", VALUES[5], "v5"), ("send", VALUES[12], "v12")], ("close", None)),
    "lines": ([], ("send", " and more\nlast\n")),
    "finished": ([("close", None, "end")], ("send", "more")),
    "raised": ([("throw", KeyError("gone"), "t")], ("send", 1)),
    "pipeline": ([("send", "4\n5\n", "p2")], ("send", "6\n7")),
    "sum": ([("send", 10, "s10")], ("send", 7)),
    "dice": ([("send", 4, "d4")], ("send", 9)),
    "delegates": ([("send", 3, "o3")], ("send", 21)),
    "fork": ([], ("send", 1)),
    "labelled": ([], ("send", 5)),
    "again": ([], ("send", 8)),
    "batch": ([("send", 0, "b0"), ("send", BATCH - 1, f"b{BATCH - 1}")], ("send", 1)),
}
# Deleted ones: the answers to their Deletes.
TOMBSTONES = {"deleted": "x1", "deleted-lua": "x2"}


def define(client, name, source):
    request = catalog_pb.DefineCoroutineRequest(coroutine=catalog_pb.Coroutine(name=name, source=source))
    client.catalog.DefineCoroutine(request, timeout=testing.CALL_SECONDS)


def populate(client):
    """Before a restart."""
    define(client, "sum", SUM)
    define(client, "dice", DICE)
    define(client, "double", DOUBLE_1)
    define(client, "outer", OUTER)

    client.create("averager", "averager", prime=True, request_id="made")
    for n in range(30):
        client.send("averager", n, request_id=f"a{n}")
    client.create("averager", "checkpointed", prime=True)
    for n in range(61):
        client.send("checkpointed", n, request_id=f"c{n}")
    client.create("averager", "created", request_id="made")
    client.create("batch", "values", {"size": 5}, prime=True)
    for n, value in enumerate(VALUES):
        client.send("values", value, request_id=f"v{n}")
    client.create("line_splitter", "lines", prime=True)
    client.send("lines", "first\nsecond")
    client.create("line_splitter", "finished", prime=True)
    client.send("finished", "rest")
    client.close("finished", request_id="end")
    client.create("averager", "raised", prime=True)
    client.throw("raised", KeyError("gone"), request_id="t")
    stages = [{"coroutine": "line_splitter", "each": True}, {"coroutine": "map", "arguments": {"expression": "tonumber(value)"}},
              {"coroutine": "double"}, {"coroutine": "averager"}]
    client.create("pipeline", "pipeline", {"stages": stages, "collect": True}, prime=True)
    for n, chunk in enumerate(["1\n2", "0\n3\n", "4\n5\n"]):
        client.send("pipeline", chunk, request_id=f"p{n}")
    client.create("sum", "sum", {"factor": 3}, prime=True)
    for n in range(12):
        client.send("sum", n, request_id=f"s{n}")
    client.create("dice", "dice", prime=True)
    client.create("outer", "delegates", prime=True)
    for n in range(5):
        client.send("dice", n, request_id=f"d{n}")
        client.send("delegates", n, request_id=f"o{n}")
    for session_id, coroutine in zip(TOMBSTONES, ("averager", "sum")):
        client.create(coroutine, session_id, prime=True)
        client.send(session_id, 4)
        client.delete(session_id, request_id=TOMBSTONES[session_id])
    for n in (1, 2):
        client.create("averager", "again", prime=True, if_exists=session_pb2.IF_EXISTS_REPLACE_FINISHED)
        client.send("again", n)
        if n == 1:
            client.close("again")


def populate_more(client):
    """After the restart: what is asleep goes on, and what was defined changes."""
    client.send("averager", 1000)
    define(client, "double", DOUBLE_2)
    client.catalog.DeleteCoroutine(catalog_pb.DeleteCoroutineRequest(name="outer"), timeout=testing.CALL_SECONDS)
    client.stub.Fork(pb.ForkRequest(session_id="checkpointed", at_step=50, new_session_id="fork", labels={"of": "50"}),
                     timeout=testing.CALL_SECONDS)
    client.create("rolling_stats", "labelled", {"window": 3}, prime=True, labels={"who": "Ada"},
                  expire_time=timestamp_pb2.Timestamp(seconds=32503680000))
    for n in range(7):
        client.send("labelled", n)
    client.create("averager", "batch", prime=True)


def batch():
    """The commands of which the server is in the middle when it is killed."""
    return [testing.sends("batch", n, tag=n, request_id=f"b{n}") for n in range(BATCH)]


def _outcome(reply):
    return [reply.kind, strict(reply.value), reply.step, reply.replayed]


def _command(client, session_id, verb, argument, request_id=""):
    try:
        if verb == "create":
            created = client.create(argument, session_id, request_id=request_id)
            return ["created", created.existed, created.replayed]
        call = {"send": client.send, "throw": client.throw}.get(verb)
        reply = call(session_id, argument, request_id=request_id) if call else client.close(session_id, request_id=request_id)
        return _outcome(reply)
    except testing.grpc.RpcError as error:
        refusal = testing.refusal_of(error)
        return ["refused", refusal.reason]


def describe(client):
    """All that is there, without what depends on the machine and the hour. Takes a step of each session."""
    described = {"names": [], "sessions": {}, "tombstones": {}}
    listed = client.catalog.ListCoroutines(catalog_pb.ListCoroutinesRequest(), timeout=testing.CALL_SECONDS).coroutines
    described["names"] = sorted((c.name, c.version) for c in listed if c.language == catalog_pb.LANGUAGE_LUA)
    ids = sorted(session.session_id for page in client.list_all() for session in page.sessions)
    for session_id in ids:
        session = client.get(session_id)
        replays, following = PLAN[session_id]
        described["sessions"][session_id] = {
            "coroutine": [session.coroutine, session.version],
            "arguments": {name: strict(testing.from_proto(value)) for name, value in sorted(session.arguments.items())},
            "state": session_pb2.State.Name(session.state),
            "steps": session.steps,
            "earliest_step": session.earliest_step,
            "last_outcome": _outcome(testing.outcome_of(session.last_outcome)),
            "labels": dict(sorted(session.labels.items())),
            "expires": session.expire_time.seconds,
            "uid": session.uid,
            "problem": session.problem.reason,
            "replays": [_command(client, session_id, *command) for command in replays],
            "next": _command(client, session_id, *following),
        }
    for session_id, request_id in TOMBSTONES.items():
        described["tombstones"][session_id] = _outcome(client.delete(session_id, request_id=request_id))
    return described
