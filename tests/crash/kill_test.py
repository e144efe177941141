"""Kills corod at random moments under a load of every kind of command, and asks what the clients saw.

Some hundred durable sessions of the built-in coroutines, of scripts in Lua and of pipelines are created, driven (unary and on
Drive, some of it quietly), forked, deleted and, when they have finished, replaced by concurrent clients, who repeat with the
same request id what was not answered, or leave it open and go on. Meanwhile the server is killed and started again on the same data. At the end the open
commands are repeated too, and a checker that knows only the answers replays each session, in the order of its steps, through
the Python original:
    lost       an acknowledged step that is no longer there, or whose number another command got
    repeated   a step that no client's command is
    changed    an answer that is not the original's, or not the one that the same command got before
Each client defines scripts of its own, again and again, and takes them out of the catalog; sessions stay with what they found.
Prints one line with the counts.
"""
import argparse
import collections
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import grpc  # noqa: E402

import corod_testing as testing  # noqa: E402
from corod_testing import pb, session_pb2  # noqa: E402
from values import exception_to_proto, strict, to_proto  # noqa: E402

from both_sides import close  # noqa: E402
from originals import ORIGINALS  # noqa: E402
from random_input import arguments_and_commands  # noqa: E402
from corod.v1 import catalog_service_pb2 as catalog_pb  # noqa: E402

import scripts  # noqa: E402

WORKERS = 6
ACTIVE_SESSIONS = 20  # of one worker
SHARED_SESSIONS = 12
HISTORY = 20
MAX_FILL_BYTES = 1 << 30
MAX_FAILED_STARTS = 50
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "--"]
AGAIN = {"JOURNAL_UNAVAILABLE", "DRAINING", "PREDECESSOR_FAILED", "QUEUE_FULL"}


def message_of(exception):
    """A built-in's message is the first argument alone, where a map with details follows."""
    with_details = len(exception.args) == 2 and isinstance(exception.args[1], dict)
    return exception.args[0] if with_details else str(exception)


def fresh(operand):
    return type(operand)(*operand.args)


class Step:
    """A command and what its client knows of it."""

    def __init__(self, session, request_id, operation, operand=None):
        self.session = session
        self.request_id = request_id
        self.operation = operation  # create (which primes), send, throw, close or delete
        self.operand = operand
        self.step = None    # when it is acknowledged
        self.result = None  # its kind and value in strict form; None: nobody said
        self.kind = None    # of its result, which is all that a quiet command is told
        self.refused = None
        self.wants_quiet = False  # to be asked for the kind alone, where that can be
        self.asked_quietly = False

    @property
    def open(self):
        return self.step is None and self.refused is None

    def command(self, tag, resume):
        self.asked_quietly = self.wants_quiet
        command = pb.Command(tag=tag, session_id=self.session.id, request_id=self.request_id, resume=resume,
                             quiet=self.asked_quietly)
        if self.operation == "send":
            command.send.CopyFrom(to_proto(self.operand))
        elif self.operation == "throw":
            command.throw.CopyFrom(exception_to_proto(fresh(self.operand)))
        else:
            command.close.SetInParent()
        return command

    def ask(self, client):
        self.asked_quietly = self.wants_quiet and self.operation in ("send", "throw")
        if self.operation == "create":
            return self.session.create(client, self.request_id, prime=True).primed
        if self.operation == "send":
            return client.send(self.session.id, self.operand, request_id=self.request_id, quiet=self.asked_quietly)
        if self.operation == "throw":
            return client.throw(self.session.id, fresh(self.operand), request_id=self.request_id, quiet=self.asked_quietly)
        if self.operation == "close":
            return client.close(self.session.id, request_id=self.request_id)
        return client.delete(self.session.id, request_id=self.request_id)


def built_in(coroutine, arguments):
    return scripts.Kind(coroutine, arguments, lambda: ORIGINALS[coroutine](**arguments),
                        lambda rng: arguments_and_commands(coroutine, rng)[1])


class Session:
    """One life of a session id."""

    def __init__(self, session_id, kind, plan, parent=None, at_step=0, replaces=False):
        self.id = session_id
        self.kind = kind
        self.coroutine = kind.coroutine
        self.arguments = kind.arguments
        self.plan = collections.deque(plan)  # what is still to be sent
        self.parent = parent                 # it is a fork of this at that step
        self.at_step = at_step
        self.if_exists = session_pb2.IF_EXISTS_REPLACE_FINISHED if replaces else session_pb2.IF_EXISTS_FAIL
        self.uid = None                      # once it is known
        self.sent = []                       # Steps
        self.created = False
        self.deleted = False
        self.replaced = False                # the id stands for a later one
        self.vanished = False
        self.forgotten = []                  # (step, of what) whose reply the server no longer had

    def create(self, client, request_id, prime):
        return client.create(self.coroutine, self.id, self.arguments, prime=prime, request_id=request_id,
                             if_exists=self.if_exists)

    def acknowledged(self):
        return [step for step in self.sent if step.step is not None]

    def history(self):
        """Step number -> the commands acknowledged as that step, those before a fork included."""
        steps = collections.defaultdict(list)
        if self.parent:
            for number, owners in self.parent.history().items():
                if number <= self.at_step:
                    steps[number] = list(owners)
        for step in self.acknowledged():
            steps[step.step].append(step)
        return steps


class Script:
    """A script of one client's, as it knows it."""

    def __init__(self, name):
        self.name = name
        self.variant = 0    # 0: it is not in the catalog
        self.last = 0       # the highest variant that ever was
        self.version = 0
        self.sources = {}   # by version
        self.generation = 0  # of the server that was last told


class Verdict:
    """What was found wrong."""

    def __init__(self):
        self.counts = collections.Counter()
        self.examples = []
        self._lock = threading.Lock()

    def add(self, what, text):
        with self._lock:
            self.counts[what] += 1
            if len(self.examples) < 20:
                self.examples.append(f"{what}: {text}")


class Cluster:
    """The server, which comes and goes."""

    def __init__(self, path, flags, volume):
        self._path, self._flags, self._volume = path, flags, volume
        self._changed = threading.Condition()
        self._server = None
        self.generation = 0
        self._answers = 0
        self.stopped = False
        self.stderr = ""

    def start(self):
        self._volume.prepare_start()
        server = testing.Server(self._path, *self._flags, data_dir=self._volume.directory)
        with self._changed:
            self._server = server
            self.generation += 1
            self._changed.notify_all()

    def kill(self):
        with self._changed:
            server, self._server = self._server, None
        server.terminate(9)
        server._process.wait()
        self.stderr = server.stderr()[-2000:]
        server.kill()
        server._process.stdout.close()

    def kill_while_starting(self, seconds):
        """On a full disk it may end before that."""
        self._volume.prepare_start()
        process = subprocess.Popen([*testing.END_WITH_PARENT, self._path, "--listen", "127.0.0.1:0", "--log-level", "off",
                                    "--data-dir", self._volume.directory, *self._flags],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        process.wait()

    def fail(self):
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def wait_for(self, generation):
        """The address of the server that is at least of that generation, and its generation."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.stopped or (self._server and self.generation >= generation),
                                          testing.CALL_SECONDS):
                raise AssertionError("the server does not come back")
            if self.stopped:
                raise AssertionError("stopped")
            return self._server.address, self.generation

    def note_answers(self, count):
        with self._changed:
            self._answers += count
            self._changed.notify_all()

    def wait_for_answers(self, count):
        with self._changed:
            goal = self._answers + count
            if not self._changed.wait_for(lambda: self.stopped or self._answers >= goal, testing.CALL_SECONDS):
                raise AssertionError(f"{goal - self._answers} answers did not come; stderr: {self._server.stderr()[-2000:]}")
            if self.stopped:
                raise AssertionError("a client failed")

    @property
    def answers(self):
        with self._changed:
            return self._answers


class Lost(Exception):
    """The connection was lost; whether the command was executed is not known."""


class Worker(threading.Thread):
    """A client that drives sessions of its own and, with the other workers, the shared ones."""

    def __init__(self, number, seed, cluster, verdict, shared, finish):
        super().__init__(daemon=True)
        self.number = number
        self.rng = random.Random(f"{seed} {number}")
        self.cluster = cluster
        self.verdict = verdict
        self.shared = shared
        self.finish = finish
        self.sessions = []
        self.active = []
        self.created = 0
        self.ids = 0
        self.failure = None
        self.client = None
        self.generation = 0
        self.counts = collections.Counter()
        self.own_shared = []
        self.scripts = {name: Script(name) for name in scripts.SOURCES}
        self.prefix = f"w{number}_"

    def run(self):
        try:
            self.connect()
            while not self.finish.is_set():
                self.act()
            self.resolve(self.sessions + self.own_shared)
        except BaseException as failure:
            self.failure = failure
            self.cluster.fail()
        finally:
            if self.client:
                self.client.disconnect()

    # ---- the connection

    def connect(self, after=0):
        address, self.generation = self.cluster.wait_for(after + 1)
        if self.client:
            self.client.disconnect()
        self.client = testing.Client(address)

    def once(self, call):
        """The answer or a Refusal. Raises Lost, when there is a new connection."""
        try:
            return call(self.client)
        except grpc.RpcError as error:
            refusal = testing.refusal_of(error)
            if refusal.reason:
                return refusal
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                raise
            self.counts["lost connections"] += 1
            self.connect(self.generation)
            raise Lost() from None

    def until_answered(self, call):
        while True:
            with contextlib.suppress(Lost):
                answer = self.once(call)
                if not isinstance(answer, testing.Refusal) or answer.reason not in AGAIN:
                    return answer
                self.pause(answer)

    def pause(self, refusal):
        self.counts[refusal.reason] += 1
        threading.Event().wait(0.01)

    # ---- what is done

    def new_request_id(self):
        self.ids += 1
        return f"r{self.number}-{self.ids}"

    def act(self):
        while len(self.active) < ACTIVE_SESSIONS:
            self.create()
        if self.rng.random() < 0.15:
            self.change_scripts(self.rng.choice(list(self.scripts.values())))
        chance = self.rng.random()
        if chance < 0.04:
            self.fork(self.rng.choice(self.active))
        elif chance < 0.35:
            self.unary(self.rng.choice(self.active))
        elif chance < 0.40:
            self.unary_shared(self.rng.choice(self.shared))
        else:
            self.drive(self.rng.sample(self.active, self.rng.randrange(1, 12)))
        for session in [s for s in self.active if not s.plan or s.vanished]:
            self.active.remove(session)
            if session.vanished:
                continue
            chance = self.rng.random()
            if chance < 0.3:
                self.delete(session)
            elif chance < 0.6:
                self.replace(session)

    def replace(self, session):
        """If it has finished; else that must be refused."""
        self.resolve([session])
        if session.vanished:
            return
        shown = self.until_answered(lambda client: client.get(session.id))
        if isinstance(shown, testing.Refusal):
            self.verdict.add("lost", f"{session.id} cannot be looked at to be replaced: {shown}")
            session.vanished = True
        elif shown.state == session_pb2.STATE_CLOSED:
            session.replaced = True
            session.uid = shown.uid
            self.create(session)
            self.counts["replaced"] += 1
        else:
            answer = self.until_answered(lambda client: client.create(
                session.coroutine, session.id, session.arguments, request_id=self.new_request_id(),
                if_exists=session_pb2.IF_EXISTS_REPLACE_FINISHED))
            if not isinstance(answer, testing.Refusal) or answer.reason != "SESSION_EXISTS":
                self.verdict.add("lost", f"{session.id} had not finished and was replaced: {answer}")
                session.vanished = True
            self.counts["not replaced"] += 1
        self.cluster.note_answers(1)

    # ---- scripts

    def change_scripts(self, script):
        chance = self.rng.random()
        if script.variant == 0 or chance < 0.5:
            self.define(script, script.last + 1)
        elif chance < 0.8:
            self.define(script, script.variant)
        else:
            self.take_out(script)

    def define(self, script, variant):
        """The same source again is the same version."""
        if script.last and script.variant == 0:
            self.check_taken_out(script)
        expected = script.version + (variant != script.variant)
        name, source = self.prefix + script.name, scripts.source_of(script.name, variant, self.prefix)
        answer = self.until_answered(lambda client: client.catalog.DefineCoroutine(
            catalog_pb.DefineCoroutineRequest(coroutine=catalog_pb.Coroutine(name=name, source=source)),
            timeout=testing.CALL_SECONDS))
        if isinstance(answer, testing.Refusal):
            self.verdict.add("lost", f"{name} cannot be defined: {answer}")
            return
        if answer.coroutine.version != expected:
            self.verdict.add("lost" if answer.coroutine.version < expected or variant == script.variant else "repeated",
                             f"{name}: version {answer.coroutine.version}, not {expected}")
        self.counts["defined again" if variant == script.variant else "defined"] += 1
        script.variant, script.last, script.version = variant, max(variant, script.last), answer.coroutine.version
        script.sources[script.version] = source
        script.generation = self.generation
        self.cluster.note_answers(1)

    def take_out(self, script):
        name = self.prefix + script.name
        answer = self.until_answered(lambda client: client.catalog.DeleteCoroutine(
            catalog_pb.DeleteCoroutineRequest(name=name), timeout=testing.CALL_SECONDS))
        # One that is made again finds that it was made.
        if isinstance(answer, testing.Refusal) and answer.reason != "COROUTINE_NOT_FOUND":
            self.verdict.add("lost", f"{name} cannot be taken out: {answer}")
            return
        script.variant = 0
        self.check_taken_out(script)
        self.counts["taken out"] += 1
        self.cluster.note_answers(1)

    def check_taken_out(self, script):
        name = self.prefix + script.name
        answer = self.until_answered(lambda client: client.create(name, request_id=self.new_request_id()))
        if not isinstance(answer, testing.Refusal) or answer.reason != "COROUTINE_NOT_FOUND":
            self.verdict.add("lost", f"{name} was taken out and is there: {answer}")

    def scripted_kind(self):
        name = self.rng.choice(list(scripts.NEEDS))
        for needed in scripts.NEEDS[name]:
            script = self.scripts[needed]
            if script.variant == 0:
                self.define(script, script.last + 1)
            elif script.generation != self.generation and self.rng.random() < 0.5:
                self.define(script, script.variant)
        return scripts.kind_of(name, {script.name: script.variant for script in self.scripts.values()}, self.prefix)

    def any_kind(self):
        """And the first commands."""
        if self.rng.random() < 0.4:
            kind = self.scripted_kind()
            self.counts["of scripts"] += 1
            return kind, kind.commands(self.rng)
        coroutine = self.rng.choice(list(ORIGINALS))
        arguments, plan = arguments_and_commands(coroutine, self.rng)
        return built_in(coroutine, arguments), plan

    def create(self, replaced=None):
        kind, plan = self.any_kind()
        for _ in range(self.rng.choice([0, 0, 0, 2, 8])):
            # More of the same; only the last may throw or close.
            plan = [command for command in plan if command[0] == "send"]
            plan += kind.commands(self.rng)
        self.created += 1
        prime = bool(plan) and plan[0] == ("send", None) and self.rng.random() < 0.5
        session_id = replaced.id if replaced else f"s{self.number}-{self.created}"
        session = Session(session_id, kind, plan[prime:], replaces=replaced is not None)
        request_id = self.new_request_id()
        answer = self.until_answered(lambda client: session.create(client, request_id, prime))
        if isinstance(answer, testing.Refusal):
            self.verdict.add("lost", f"{session.id}: its create was refused: {answer}")
            session.vanished = True
        else:
            session.uid = answer.session.uid
            script = self.scripts.get(kind.coroutine.removeprefix(self.prefix))
            if script and answer.session.version != script.version:
                self.verdict.add("changed", f"{session.id}: {kind.coroutine} version {answer.session.version}, not "
                                 f"{script.version}")
            if replaced and replaced.uid == session.uid:
                self.verdict.add("lost", f"{session.id} was to be replaced and has the uid of before")
        if prime:
            step = Step(session, request_id, "create")
            session.sent.append(step)
            if not session.vanished:
                note(step, answer.primed, self.verdict)
        self.cluster.note_answers(1)
        session.created = True
        self.sessions.append(session)
        self.active.append(session)

    def next_step(self, session):
        operation, *operand = session.plan.popleft()
        step = Step(session, self.new_request_id(), operation, *operand)
        step.wants_quiet = self.rng.random() < 0.2
        session.sent.append(step)
        return step

    def gives_up(self):
        return self.rng.random() < 0.25

    def unary(self, session):
        if not session.plan:
            return
        self.ask(self.next_step(session))

    def unary_shared(self, shared):
        """Its next sends, among those of others."""
        step = Step(shared, self.new_request_id(), "send", self.rng.randrange(1000) / 8)
        step.wants_quiet = self.rng.random() < 0.2
        self.own_shared_of(shared).sent.append(step)
        self.ask(step)

    def own_shared_of(self, shared):
        for own in self.own_shared:
            if own.id == shared.id:
                return own
        self.own_shared.append(Session(shared.id, shared.kind, []))
        return self.own_shared[-1]

    def ask(self, step):
        while True:
            try:
                answer = self.once(step.ask)
            except Lost:
                if self.gives_up():
                    return
                continue
            if isinstance(answer, testing.Refusal) and answer.reason in AGAIN:
                if answer.reason == "JOURNAL_UNAVAILABLE" and self.rng.random() < 0.05:
                    return
                self.pause(answer)
                continue
            self.note(step, answer)
            return

    def drive(self, sessions):
        pending = []
        for session in sessions:
            for _ in range(min(len(session.plan), self.rng.randrange(1, 8))):
                pending.append(self.next_step(session))
        # Interleaved, each session's in its order.
        queues = collections.defaultdict(collections.deque)
        order = [step.session.id for step in pending]
        self.rng.shuffle(order)
        for step in pending:
            queues[step.session.id].append(step)
        pending = [queues[session_id].popleft() for session_id in order]
        while pending:
            refusal = None
            try:
                refusal = self.drive_once(pending)
            except Lost:
                if self.gives_up():
                    return
            pending = [step for step in pending if step.open]
            if refusal and pending:
                self.pause(refusal)

    def drive_once(self, pending):
        """Returns a refusal after which to try again, or None."""
        first, again, commands = set(), None, []
        for tag, step in enumerate(pending):
            commands.append(step.command(tag, step.session.id not in first))
            first.add(step.session.id)
        requests = [pb.DriveRequest(commands=commands[at:at + 20]) for at in range(0, len(commands), 20)]

        def run(client):
            nonlocal again
            for response in client.stub.Drive(iter(requests), timeout=testing.CALL_SECONDS):
                for proto in response.replies:
                    reply = testing.reply_of(proto)
                    if isinstance(reply, testing.Refusal) and reply.reason in AGAIN:
                        again = reply
                    else:
                        self.note(pending[reply.tag], reply)

        self.once(run)
        return again

    def delete(self, session):
        self.resolve([session])
        if session.vanished:
            return
        step = Step(session, self.new_request_id(), "delete")
        session.sent.append(step)
        self.note(step, self.until_answered(step.ask))
        session.deleted = True
        self.counts["deletes"] += 1

    def fork(self, session):
        """At its end, or at a step before."""
        steps = max((step.step for step in session.acknowledged()), default=session.at_step)
        if any(step.open for step in session.sent):
            self.resolve([session])
            steps = max((step.step for step in session.acknowledged()), default=session.at_step)
        at_step = steps if self.rng.random() < 0.5 else self.rng.randrange(max(0, steps - 25), steps + 1)
        self.created += 1
        fork = Session(f"s{self.number}-{self.created}-fork", session.kind, session.kind.commands(self.rng), session,
                       at_step)
        request_id = self.new_request_id()
        request = pb.ForkRequest(session_id=session.id, at_step=at_step, new_session_id=fork.id, request_id=request_id)
        answer = self.until_answered(lambda client: client.stub.Fork(request, timeout=testing.CALL_SECONDS))
        if isinstance(answer, testing.Refusal):
            if answer.reason != "HISTORY_TRIMMED" or int(answer.metadata["earliest_step"]) <= at_step:
                self.verdict.add("lost", f"{session.id} of {steps} steps cannot be forked at {at_step}: {answer}")
            return
        if answer.session.steps != at_step:
            self.verdict.add("changed", f"{fork.id}: {answer.session.steps} steps, forked at {at_step}")
        self.cluster.note_answers(1)
        self.counts["forks"] += 1
        self.sessions.append(fork)
        self.active.append(fork)

    def resolve(self, sessions):
        """Repeats what is open."""
        for session in sessions:
            for step in session.sent:
                if step.open and not session.vanished:
                    step.wants_quiet = self.rng.random() < 0.2
                    self.note(step, self.until_answered(step.ask))
                    self.counts["left open, then repeated"] += 1

    # ---- what was answered

    def note(self, step, answer):
        note(step, answer, self.verdict)
        self.cluster.note_answers(1)


def note(step, answer, verdict):
    where = f"{step.session.id} ({step.session.coroutine}) {step.operation} {step.request_id}"
    if isinstance(answer, testing.Refusal):
        if answer.reason == "REPLY_FORGOTTEN":
            number = int(answer.metadata["step"])
            if step.step not in (None, number):
                verdict.add("changed", f"{where}: was step {step.step}, is {number}")
            step.step = number
            step.session.forgotten.append((number, where))
        elif answer.reason == "NOT_PRIMED":
            step.refused = answer
            if step.session.acknowledged() or step.session.parent and step.session.at_step:
                verdict.add("lost", f"{where}: not primed, but has steps")
        else:
            step.refused = answer
            step.session.vanished = step.session.vanished or answer.reason == "SESSION_NOT_FOUND"
            verdict.add("lost", f"{where}: {answer}")
        return
    if answer is None or answer.kind is None:
        verdict.add("changed", f"{where}: no outcome in {answer}")
        return
    if step.step is not None and step.step != answer.step:
        verdict.add("changed", f"{where}: was step {step.step}, is {answer.step}")
    if step.kind not in (None, answer.kind):
        verdict.add("changed", f"{where}: it {step.kind}, it {answer.kind}")
    step.step, step.kind = answer.step, answer.kind
    if step.asked_quietly:
        if (answer.value.type if answer.kind == "raised" else answer.value):
            verdict.add("changed", f"{where}: was to be quiet, is {answer}")
        return
    result = answer.kind, strict(answer.value)
    if step.result is not None and step.result != result:
        verdict.add("changed", f"{where}: was {step.result}, is {result}")
    step.result = result


def replay(session, history, verdict):
    """Through the original, in the order of steps."""
    generator = session.kind.original()
    for number in range(1, max(history, default=0) + 1):
        owners = history.get(number, [])
        where = f"{session.id} ({session.coroutine}) step {number} of {max(history)}"
        if not owners:
            verdict.add("repeated", f"{where} is no client's")
            return
        if len(owners) > 1:
            verdict.add("lost", f"{where} is {', '.join(owner.request_id for owner in owners)}")
            return
        owner = owners[0]
        try:
            if owner.operation in ("close", "delete"):
                result = "returned", close(generator)
            elif owner.operation == "throw":
                result = "yielded", generator.throw(fresh(owner.operand))
            else:
                result = "yielded", generator.send(owner.operand)
        except StopIteration as stop:
            result = "returned", stop.value
        except BaseException as exception:  # whatever it is, it is the outcome
            result = "raised", exception
        result = result[0], strict(result[1], message_of)
        if owner.result is not None and owner.result != result or owner.kind not in (None, result[0]):
            said = owner.kind if owner.result is None else owner.result
            verdict.add("changed", f"{where}, {owner.operation}: {str(said)[:300]} is not {str(result)[:300]}")
            return


def check(cluster, sessions, rng, verdict):
    """What the server has at the end against what the clients were told."""
    address, _ = cluster.wait_for(0)
    client = testing.Client(address)
    counts = collections.Counter()
    again = []
    for session in sessions:
        history = session.history()
        replay(session, history, verdict)
        steps = max(history, default=0)
        counts["steps"] += len(session.acknowledged())
        counts["quiet"] += sum(step.step is not None and step.result is None for step in session.sent)
        if session.replaced:
            continue
        if session.deleted or session.vanished:
            try:
                client.get(session.id)
                verdict.add("lost", f"{session.id} is there, its {'delete' if session.deleted else 'refusal'} is not")
            except grpc.RpcError as error:
                if testing.refusal_of(error).reason != "SESSION_NOT_FOUND":
                    verdict.add("lost", f"{session.id} was deleted: {testing.refusal_of(error)}")
            again += [step for step in session.sent if step.operation == "delete" and step.step is not None]
            continue
        try:
            shown = client.get(session.id)
        except grpc.RpcError as error:
            verdict.add("lost", f"{session.id}: {testing.refusal_of(error)}")
            continue
        # A fork's begins where the nearest checkpoint was.
        if not session.parent and shown.earliest_step > max(1, steps - HISTORY + 1):
            verdict.add("lost", f"{session.id} of {steps} steps keeps only those from {shown.earliest_step} on")
        if shown.steps != steps:
            verdict.add("lost" if shown.steps < steps else "repeated",
                        f"{session.id} has {shown.steps} steps, its clients know of {steps}")
            continue
        check_forgotten(session, shown, verdict)
        acknowledged = session.acknowledged()
        again += acknowledged[-3:] + rng.sample(acknowledged[:-3], min(3, len(acknowledged[:-3])))
        if steps and rng.random() < 0.3:
            check_history(client, session, history, shown, verdict)
            counts["watched"] += 1
    for step in again:
        step.wants_quiet = False
        try:
            answer = step.ask(client)
            if step.operation != "delete" and not answer.replayed and step.operation != "create":
                verdict.add("repeated", f"{step.session.id} {step.request_id} was executed again")
        except grpc.RpcError as error:
            answer = testing.refusal_of(error)
        note(step, answer, verdict)
        if step.session.forgotten and not step.session.deleted and not step.session.vanished:
            check_forgotten(step.session, client.get(step.session.id), verdict)  # going to sleep trims, too
        counts["asked again"] += 1
    client.disconnect()
    return counts


def check_scripts(cluster, workers, verdict):
    """Every version is what it was defined to be."""
    client = testing.Client(cluster.wait_for(0)[0])
    for worker in workers:
        for script in worker.scripts.values():
            name = worker.prefix + script.name
            for version in [0, *script.sources]:
                expected = (script.version if script.variant else None) if version == 0 else version
                try:
                    shown = client.catalog.GetCoroutine(catalog_pb.GetCoroutineRequest(name=name, version=version),
                                                        timeout=testing.CALL_SECONDS).coroutine
                    found = shown.version
                    if shown.source != script.sources.get(shown.version):
                        verdict.add("changed", f"{name} version {shown.version} has another source")
                except grpc.RpcError as error:
                    found = None
                    if testing.refusal_of(error).reason not in ("COROUTINE_NOT_FOUND", "VERSION_UNAVAILABLE"):
                        raise
                if found != expected:
                    verdict.add("lost", f"{name} is version {found}, not {expected}")
    client.disconnect()


def check_forgotten(session, shown, verdict):
    for number, where in session.forgotten:
        if number >= shown.earliest_step:
            verdict.add("lost", f"{where}: step {number} is forgotten, {shown.earliest_step} is kept")


def check_history(client, session, history, shown, verdict):
    stream = client.stub.Watch(pb.WatchRequest(session_id=session.id, from_step=shown.earliest_step),
                               timeout=testing.CALL_SECONDS)
    expected = shown.earliest_step
    try:
        while expected <= shown.steps:
            event = next(stream).event
            if not history[expected]:  # where steps were lost; replay has told of it
                break
            owner = history[expected][0]
            where = f"{session.id} step {expected} in its history"
            if event.step != expected or (event.request_id and event.request_id != owner.request_id):
                verdict.add("changed", f"{where} is step {event.step}, {event.request_id}, not {owner.request_id}")
                break
            outcome = testing.outcome_of(event.outcome)
            if owner.result is not None and (outcome.kind, strict(outcome.value)) != owner.result:
                verdict.add("changed", f"{where}: {outcome} is not {owner.result}")
            expected += 1
    except StopIteration:
        state = "finished" if shown.state == session_pb2.STATE_CLOSED else "not finished"
        # A history ends with the step that finished the session; what was sent to the finished one may come behind it.
        if shown.state != session_pb2.STATE_CLOSED:
            verdict.add("lost", f"{session.id} ({state}): the history ends before step {expected} of {shown.steps}")
    except grpc.RpcError as error:
        verdict.add("lost", f"{session.id}: the history from {shown.earliest_step}: {testing.refusal_of(error)}")
    stream.cancel()


class Volume:
    """Where the data are, which can be full."""

    def __init__(self, directory):
        self.directory = directory

    def prepare_start(self):
        """No server is running, one is going to be started."""

    def fill(self):
        pass

    def empty(self):
        pass


class Tmpfs(Volume):
    """Raises OSError if it cannot be mounted."""

    def __init__(self, directory, stack):
        path = os.path.join(directory, "volume")
        os.makedirs(path, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", path], capture_output=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.decode().strip())
        stack.callback(subprocess.run, ["umount", "-l", path], check=True)
        super().__init__(os.path.join(path, "data"))
        self._ballast = os.path.join(path, "ballast")

    def fill(self):
        with open(self._ballast, "wb", buffering=0) as ballast:
            for size in (1 << 16, 1):
                with contextlib.suppress(OSError):
                    while ballast.tell() < MAX_FILL_BYTES:
                        ballast.write(bytes(size))

    def empty(self):
        os.remove(self._ballast)


class FullByFaults(Volume):
    """The faulty file system, which is told through a FIFO. Both its ends are open here, so that writing never waits for a
    server."""

    def __init__(self, directory, stack):
        super().__init__(os.path.join(directory, "data"))
        path = os.path.join(directory, "orders")
        os.mkfifo(path)
        self._orders = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        stack.callback(os.close, self._orders)
        self._state = b"empty\n"
        os.environ["COROD_DISK_ORDERS"] = path

    def prepare_start(self):
        with contextlib.suppress(BlockingIOError):
            while os.read(self._orders, 4096):  # what the server before did not read
                pass
        os.write(self._orders, self._state)

    def _tell(self, state):
        self._state = state
        os.write(self._orders, state)

    def fill(self):
        self._tell(b"full\n")

    def empty(self):
        self._tell(b"empty\n")


def make_volume(arguments, seed, directory, stack):
    if not arguments.fills:
        return Volume(os.path.join(directory, "data"))
    if arguments.tmpfs:
        try:
            volume = Tmpfs(directory, stack)
            print("the full disk is a tmpfs" + (" in a user namespace" if arguments.in_namespace else ""))
            return volume
        except OSError as error:
            reason = str(error)
        if not arguments.in_namespace:
            # There everybody may mount.
            possible = subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", directory], capture_output=True,
                                      check=False)
            if possible.returncode == 0:
                stack.close()
                sys.stdout.flush()
                os.execvp(NAMESPACE[0], [*NAMESPACE, sys.executable, *sys.orig_argv[1:], "--in-namespace", "--seed", seed])
            reason += "; in a user namespace: " + possible.stderr.decode().strip()
        print(f"NOT CHECKED: a disk that is really full, as no tmpfs can be mounted here ({reason}); instead:")
    print("the full disk is the faulty file system's")
    return FullByFaults(directory, stack)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--seed", default=None)
    parser.add_argument("--sync", default="always")
    parser.add_argument("--power-cut", action="store_true", help="a kill is a loss of power")
    parser.add_argument("--fills", type=int, default=0, help="how often the disk is filled, in turn with kills")
    parser.add_argument("--tmpfs", action="store_true", help="fill a tmpfs, if one can be mounted, instead of the faulty "
                        "file system")
    parser.add_argument("--in-namespace", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--failure-probability", type=float, default=0, help="of each write")
    parser.add_argument("--segment-bytes", type=int, default=0, help="of a segment of the journal's log; 0: as usual")
    parser.add_argument("--expect-losses", action="store_true")
    arguments = parser.parse_args()
    seed = arguments.seed or str(random.SystemRandom().randrange(10**9))
    print(f"seed {seed}", flush=True)
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="corod-crash-")
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        sys.exit(run(arguments, seed, directory, stack))


def run(arguments, seed, directory, stack):
    started = time.monotonic()
    rng = random.Random(seed)
    path = testing.binary("COROD_BIN")
    volume = make_volume(arguments, seed, directory, stack)
    if arguments.power_cut or arguments.failure_probability or arguments.segment_bytes or isinstance(volume, FullByFaults):
        path = testing.binary("COROD_CRASH_SERVER")
        os.environ["COROD_POWER_CUT"] = "1" if arguments.power_cut else "0"
        os.environ["COROD_SEGMENT_BYTES"] = str(arguments.segment_bytes)
    flags = ["--checkpoint-every", "7", "--max-live-sessions", "50", "--history", str(HISTORY), "--sync", arguments.sync]
    cluster = Cluster(path, flags, volume)
    verdict = Verdict()
    finish = threading.Event()

    failed_starts = 0

    def start():
        nonlocal failed_starts
        for _ in range(MAX_FAILED_STARTS):
            os.environ["COROD_FAULT_SEED"] = str(rng.randrange(2**32))
            try:
                return cluster.start()
            except AssertionError as error:
                # If a write fails while it starts, it ends, and whoever keeps it running starts it again.
                if not arguments.failure_probability or "No space left on device" not in str(error):
                    raise
                failed_starts += 1
        raise AssertionError(f"{MAX_FAILED_STARTS} starts in a row failed")

    start()
    shared = [Session(f"shared-{number}", built_in("rolling_stats", {"window": 5}), []) for number in range(SHARED_SESSIONS)]
    first = testing.Client(cluster.wait_for(0)[0])
    for session in shared:
        step = Step(session, f"prime-{session.id}", "create")
        session.sent.append(step)
        note(step, step.ask(first), verdict)
    first.disconnect()
    os.environ["COROD_FAILURE_PROBABILITY"] = str(arguments.failure_probability)
    workers = [Worker(number, seed, cluster, verdict, shared, finish) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    kills = fills = 0
    try:
        while (kills < arguments.kills or fills < arguments.fills
               or sum(worker.created for worker in workers) < arguments.sessions):
            cluster.wait_for_answers(rng.choice([1, rng.randrange(1, 200), rng.randrange(1, 1500)]))
            if fills < arguments.fills:
                fills += 1
                unavailable = sum(worker.counts["JOURNAL_UNAVAILABLE"] for worker in workers)
                volume.fill()
                testing.eventually(
                    lambda: sum(w.counts["JOURNAL_UNAVAILABLE"] for w in workers) >= unavailable + 10 or cluster.stopped,
                    "JOURNAL_UNAVAILABLE on a full disk")
                if rng.random() < 0.4:
                    kills += 2
                    cluster.kill()
                    cluster.kill_while_starting(rng.random() * 0.3)
                    volume.empty()
                    start()
                else:
                    volume.empty()
                cluster.wait_for_answers(rng.randrange(1, 500))  # it goes on by itself
            if kills >= arguments.kills:
                continue
            kills += 1
            cluster.kill()
            if not arguments.failure_probability and rng.random() < 0.2 and kills < arguments.kills:
                kills += 1
                cluster.kill_while_starting(rng.random() * 0.3)
            if kills >= arguments.kills:
                os.environ["COROD_FAILURE_PROBABILITY"] = "0"
            start()
    except AssertionError as error:
        failures = [worker.failure for worker in workers if worker.failure]
        raise AssertionError(f"{error}; {failures}; {cluster.stderr}") from (failures or [None])[0]
    finish.set()
    for worker in workers:
        worker.join()
        if worker.failure:
            raise worker.failure
    for worker in workers:
        for own in worker.own_shared:
            next(session for session in shared if session.id == own.id).sent += own.sent
    sessions = shared + [session for worker in workers for session in worker.sessions]
    loaded = time.monotonic()
    check_scripts(cluster, workers, verdict)
    counts = check(cluster, sessions, rng, verdict)
    for worker in workers:
        counts.update(worker.counts)
    cluster.kill()
    commands = sum(len(session.sent) for session in sessions)
    found = verdict.counts
    print(f"{commands} commands, {kills} kills, {found['lost']} lost, {found['repeated']} repeated, "
          f"{found['changed']} changed")
    print(f"{len(sessions)} sessions, {fills} times a full disk, {failed_starts} failed starts, "
          f"{loaded - started:.1f} s of load, {time.monotonic() - loaded:.1f} s to check; {dict(counts)}")
    for example in verdict.examples[:3 if arguments.expect_losses else None]:
        print(example[:600])
    if arguments.expect_losses:
        return 0 if found["lost"] else "no loss was seen where there must be some"
    return 1 if found else 0


if __name__ == "__main__":
    main()
