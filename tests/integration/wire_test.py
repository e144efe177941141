"""The built-in coroutines over gRPC against their Python originals, step by step.

Both get the same random sequences of next, send, throw and close. After each step the kind of the result, the value to the
last bit, the exception with its class, arguments, message, cause and context, and the session's state must be equal: over
unary calls, and on Drive, many sessions on one stream.
"""
import collections
import inspect
import itertools
import random
import unittest
from dataclasses import dataclass

import corod_testing as testing
from corod_testing import pb, session_pb2
from values import exception_to_proto, strict, to_proto

from both_sides import close
from originals import ORIGINALS
from random_input import arguments_and_commands

UNARY_SEQUENCES = 80  # for each coroutine
DRIVE_SEQUENCES = 500

STATES = {
    inspect.GEN_CREATED: session_pb2.STATE_CREATED,
    inspect.GEN_SUSPENDED: session_pb2.STATE_SUSPENDED,
    inspect.GEN_CLOSED: session_pb2.STATE_CLOSED,
}


class QuotaExceeded(LookupError):
    """Not a class that the server knows."""


def message_of(exception):
    """A built-in's message is the first argument alone, where a map with details follows."""
    with_details = len(exception.args) == 2 and isinstance(exception.args[1], dict)
    return exception.args[0] if with_details else str(exception)


def random_exception(rng, depth=0):
    """Of any class, with a cause and a context now and then."""
    cls = rng.choice([ValueError, KeyError, ConnectionError, TimeoutError, RuntimeError, QuotaExceeded, KeyboardInterrupt,
                      GeneratorExit, StopIteration])
    exception = cls(*rng.choice([(), ("thrown",), (7, "two"), (None,), ([1, {"a": b"b"}],)]))
    if depth < 3 and rng.random() < 0.3:
        exception.__cause__ = random_exception(rng, depth + 1)
    if depth < 3 and rng.random() < 0.3:
        exception.__context__ = exception.__cause__ if rng.random() < 0.3 else random_exception(rng, depth + 1)
    if rng.random() < 0.2:
        exception.__suppress_context__ = not exception.__suppress_context__
    if rng.random() < 0.2:
        exception.add_note("a note")
    return exception


@dataclass(eq=False)
class Step:
    """A command, and what is to become of it."""
    operation: str
    operand: object  # a Value or Exception message
    refused: bool    # a value sent to what was not started
    result: object   # kind and value, in strict form
    state: int
    steps: int
    last: object     # the session's last outcome


class Sequence:
    """A random sequence for one coroutine, run on its original."""

    def __init__(self, name, seed):
        self.seed = f"{name} {seed}"
        rng = random.Random(self.seed)
        self.coroutine = name
        self.arguments, commands = arguments_and_commands(name, rng)
        commands = [("throw", random_exception(rng)) if operation == "throw" else (operation, *operand)
                    for operation, *operand in commands]
        if rng.random() < 0.2:
            commands.insert(rng.randrange(len(commands) + 1), ("throw", random_exception(rng)))
        self.primed = bool(commands) and commands[0] == ("send", None) and rng.random() < 0.5
        self.rng = rng
        generator = ORIGINALS[name](**self.arguments)
        self.steps = []
        for operation, *operand in commands:
            self.steps.append(self._run(generator, operation, *operand))
        self._generator = generator  # not collected, which would close it

    def _run(self, generator, operation, operand=None):
        before = inspect.getgeneratorstate(generator)
        steps, last = (self.steps[-1].steps, self.steps[-1].last) if self.steps else (0, None)
        if operation == "send" and operand is not None and before == inspect.GEN_CREATED:
            try:
                generator.send(operand)
            except TypeError as error:
                return Step(operation, to_proto(operand), True, str(error), STATES[before], steps, last)
        proto = {"send": to_proto, "throw": exception_to_proto, "close": lambda _: None}[operation](operand)
        try:
            if operation == "close":
                result = "returned", close(generator)
            else:
                result = "yielded", getattr(generator, operation)(operand)
        except StopIteration as stop:
            result = "returned", stop.value
        except BaseException as exception:  # whatever it is, it is the outcome
            result = "raised", exception
        result = result[0], strict(result[1], message_of)
        if before != inspect.GEN_CLOSED:
            last = (steps + 1, *result)
        return Step(operation, proto, False, result, STATES[inspect.getgeneratorstate(generator)], steps + 1, last)

    def commands(self, session_id, tag):
        """For Drive, tagged from `tag` on."""
        yield testing.creates(self.coroutine, session_id, self.arguments, tag=tag, prime=self.primed)
        for number, step in enumerate(self.steps[self.primed:], 1):
            command = pb.Command(tag=tag + number, session_id=session_id, resume=True)
            if step.operation == "close":
                command.close.SetInParent()
            else:
                getattr(command, step.operation).CopyFrom(step.operand)
            yield command


class WireTest(testing.ServerTest):
    BINARY = "COROD_BIN"

    def setUp(self):
        self.seen = collections.Counter()

    def assert_enough_was_seen(self, sequences):
        """Sequences in which little happens prove little."""
        self.assertGreater(self.seen["steps"], 8 * sequences)
        for what in "yielded", "returned", "raised", "not primed", "with a cause", "with a context":
            self.assertGreater(self.seen[what], sequences / 50, what)

    def compare(self, sequence, step, answer):
        self.seen["steps"] += 1
        where = f"sequence {sequence.seed!r}, command {sequence.steps.index(step) + 1} of {len(sequence.steps)}"
        if step.refused:
            self.assert_refused(answer, "NOT_PRIMED", session_id=self.id_of(sequence))
            self.assertEqual(answer.message, step.result, where)
            self.seen["not primed"] += 1
            return
        self.assertIsInstance(answer, testing.Reply, where)
        self.assertEqual((answer.step, answer.kind, strict(answer.value)), (step.steps, *step.result), where)
        self.seen[answer.kind] += 1
        if answer.kind == "raised":
            self.seen["with a cause"] += answer.value.cause is not None
            self.seen["with a context"] += answer.value.context is not None or answer.value.context_is_cause
            self.assertEqual(answer.value.traceback, f"coroutine {sequence.coroutine} version 1, step {step.steps}", where)

    def compare_session(self, sequence, step, session):
        where = f"sequence {sequence.seed!r}, after command {sequence.steps.index(step) + 1}"
        self.assertEqual((session.state, session.steps), (step.state, step.steps), where)
        self.assertEqual(session.HasField("last_outcome"), step.last is not None, where)
        if step.last:
            last = testing.outcome_of(session.last_outcome)
            self.assertEqual((last.step, last.kind, strict(last.value)), step.last, where)

    def id_of(self, sequence):
        return sequence.seed.replace(" ", ":")

    def run_unary(self, sequence):
        session_id = self.id_of(sequence)
        created = self.client.create(sequence.coroutine, session_id, sequence.arguments, prime=sequence.primed)
        steps = sequence.steps
        if sequence.primed:
            self.compare(sequence, steps[0], created.primed)
            self.compare_session(sequence, steps[0], created.session)
            steps = steps[1:]
        for step in steps:
            if step.operation == "send":
                call, request = self.client.stub.Send, pb.SendRequest(session_id=session_id, value=step.operand)
            elif step.operation == "throw":
                call, request = self.client.stub.Throw, pb.ThrowRequest(session_id=session_id, exception=step.operand)
            else:
                call, request = self.client.stub.Close, pb.CloseRequest(session_id=session_id)
            self.compare(sequence, step, testing.answer(call.future(request, timeout=testing.CALL_SECONDS)))
            self.compare_session(sequence, step, self.client.get(session_id))

    def test_unary_calls_do_what_the_originals_do(self):
        for name in ORIGINALS:
            for seed in range(UNARY_SEQUENCES):
                self.run_unary(Sequence(name, seed))
        self.assert_enough_was_seen(UNARY_SEQUENCES * len(ORIGINALS))

    def run_drive(self, sequences, rng):
        """All on one stream, interleaved at random, in messages of random size."""
        expected, left = {}, []
        for sequence in sequences:
            commands = list(sequence.commands(self.id_of(sequence), len(expected)))
            for command in commands:
                expected[command.tag] = sequence, command.tag - commands[0].tag + sequence.primed
            left.append(iter(commands))
        mixed, previous = [], None
        while left:
            commands = rng.choice(left)
            some = list(itertools.islice(commands, rng.randrange(1, 8)))
            if not some:
                left.remove(commands)
            for command in some:
                of = command.session_id or command.create.session_id
                if of == previous and not command.HasField("create"):
                    command.session_id = ""
                previous = of
                mixed.append(command)
        with testing.DriveCall(self.client) as call:
            while mixed:
                size = rng.choice([1, 10, 300])
                call.write(*mixed[:size])
                del mixed[:size]
            replies = call.finish()
        latest = {}
        for reply in replies:
            sequence, number = expected.pop(reply.tag)
            self.assertGreater(reply.tag, latest.get(sequence.seed, -1), "replies of one session come in its order")
            latest[sequence.seed] = reply.tag
            if isinstance(reply, testing.Created):
                if not sequence.primed:
                    continue
                reply = reply.primed
            # A create stands before the first command, or primes and is the first.
            self.compare(sequence, sequence.steps[number - 1], reply)
        self.assertEqual(expected, {}, "commands without a reply")
        for sequence in sequences:
            if sequence.steps:
                self.compare_session(sequence, sequence.steps[-1], self.client.get(self.id_of(sequence)))

    def test_drive_does_what_the_originals_do(self):
        rng = random.Random("drive")
        order = [(name, seed) for name in ORIGINALS for seed in range(UNARY_SEQUENCES, UNARY_SEQUENCES + DRIVE_SEQUENCES)]
        rng.shuffle(order)
        for start in range(0, len(order), 100):
            self.run_drive([Sequence(name, seed) for name, seed in order[start:start + 100]], rng)
        self.assert_enough_was_seen(len(order))


if __name__ == "__main__":
    unittest.main()
