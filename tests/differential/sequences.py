"""Random sequences of commands, and what this CPython answers to them.

A sequence is text, so that one that diverges can be run again: the name of a pair of bodies, then commands:

    n       next
    s<i>    send VALUES[i]
    t<i>    throw EXCEPTIONS[i]()
    a       throw the exception object that last came out or was thrown in
    A       send that object as a value
    c       close
"""

import inspect
import sys

import canonical


def _user_type(name, base):
    return type(name, (base,), {"__module__": "app"})


AppError = _user_type("Error", ValueError)
AppMissing = _user_type("Missing", KeyError)
AppStop = _user_type("Stop", StopIteration)
AppExit = _user_type("Exit", GeneratorExit)
AppAbort = _user_type("Abort", BaseException)
AppOops = _user_type("Oops", Exception)


def _chained():
    error = ValueError("chained")
    error.__cause__ = KeyError("cause")
    error.__context__ = IndexError("context")
    error.add_note("a note")
    return error


VALUES = [
    None, True, False, 0, 1, -7, 2**63 - 1, -(2**63), 0.5, -0.0, 1e16, 1e-5, float("nan"), float("-inf"), "", "x", "y", "stop",
    "it's \"h\u00e9llo\"\n\u2028\U0001f600", b"", b"\x00'\xff", [], [1, [2.0, None]], {}, {"b": 1, "a": [True]}, ValueError("as a value"), StopIteration(3),
]  # fmt: skip

EXCEPTIONS = [
    lambda: ValueError("v"),
    lambda: ValueError(),
    lambda: ValueError("a", 2, None),
    lambda: KeyError("k"),
    lambda: KeyError(),
    lambda: LookupError("l"),
    lambda: StopIteration(),
    lambda: StopIteration(7),
    lambda: StopIteration([1]),
    lambda: GeneratorExit(),
    lambda: GeneratorExit("g"),
    lambda: KeyboardInterrupt("k"),
    lambda: RuntimeError("r"),
    lambda: RuntimeError("generator ignored GeneratorExit"),
    lambda: TypeError("t"),
    lambda: AppError("e"),
    lambda: AppMissing("m"),
    lambda: AppStop("s"),
    lambda: AppExit("x"),
    lambda: AppAbort(),
    lambda: AppOops(1.5),
    _chained,
]

MAX_COMMANDS = 12


def fresh_value(index):
    """A value of its own: exceptions are objects that a body may change."""
    value = VALUES[index]
    return type(value)(*value.args) if isinstance(value, BaseException) else value


def shared(value):
    """What goes in and out is the same object on both sides."""
    return value


def copied(value):
    """What goes in and out is copied: exceptions as corod's Exception::Snapshot does it, others if they hold one."""
    if isinstance(value, BaseException):
        return _snapshot(value, 1, [MAX_SNAPSHOT_EXCEPTIONS])
    if isinstance(value, list | tuple):
        return [copied(item) for item in value]
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return value


MAX_SNAPSHOT_LEVELS = 16
MAX_SNAPSHOT_EXCEPTIONS = 64


def _snapshot(error, level, budget):
    budget[0] -= 1
    copy = type(error)(*[copied(argument) for argument in error.args])
    for note in getattr(error, "__notes__", ()):
        copy.add_note(note)

    def link(chained, what):
        if chained is None:
            return None
        if level < MAX_SNAPSHOT_LEVELS and budget[0] > 0:
            return _snapshot(chained, level + 1, budget)
        copy.add_note(f"{what} left out: {canonical.type_name(type(chained))}: {chained}")
        return None

    copy.__cause__ = cause = link(error.__cause__, "cause")
    copy.__context__ = cause if error.__context__ is error.__cause__ else link(error.__context__, "context")
    copy.__suppress_context__ = error.__suppress_context__
    return copy


def random_commands(rng):
    """Mostly next first, so that most sequences get into the body; then anything, also after the end."""
    uniform = rng.random
    commands = ["n"] if uniform() < 0.85 else []
    for _ in range(int(uniform() * MAX_COMMANDS)):
        choice = uniform()
        if choice < 0.25:
            commands.append("n")
        elif choice < 0.55:
            commands.append("s15" if choice < 0.30 else f"s{int(uniform() * len(VALUES))}")
        elif choice < 0.82:
            commands.append(f"t{int(uniform() * len(EXCEPTIONS))}")
        elif choice < 0.87:
            commands.append("a")
        elif choice < 0.89:
            commands.append("A")
        else:
            commands.append("c")
    return commands or ["n"]


if sys.version_info >= (3, 13):

    def close(generator):
        return generator.close()

else:

    def close(generator):
        """generator.close() as CPython 3.13 has it: it returns what the body returns on GeneratorExit."""
        if inspect.getgeneratorstate(generator) != inspect.GEN_SUSPENDED:
            return generator.close()
        exit = GeneratorExit()
        exit.__context__ = sys.exc_info()[1]
        try:
            generator.throw(exit)
        except StopIteration as returned:
            return returned.value
        except GeneratorExit:
            return None
        raise RuntimeError("generator ignored GeneratorExit")


if sys.version_info < (3, 12):

    def throw(generator, error):
        return generator.throw(error)

else:

    def throw(generator, error):
        """generator.throw(error), where rule 27 holds: later versions let a StopIteration out of an unstarted generator."""
        if not isinstance(error, StopIteration) or inspect.getgeneratorstate(generator) != inspect.GEN_CREATED:
            return generator.throw(error)
        generator.close()
        replaced = RuntimeError("generator raised StopIteration")
        replaced.__context__ = error
        raise replaced from error


class Trace:
    """What a body leaves beside its outcomes: lines of a log. It also knows its own generator.

    What it keeps outlives the body: CPython closes a generator that nobody holds any more (rule 49), corod does not (83).
    """

    __slots__ = ("_kept", "entries", "me")

    def __init__(self):
        self._kept = []
        self.entries = []
        self.me = None

    def kept(self, generator):
        self._kept.append(generator)
        return generator

    def log(self, text):
        self.entries.append(text)


def state(generator):
    """C created, S suspended, D suspended in a yield from, R running, X closed."""
    if generator.gi_frame is None:
        return "X"
    if generator.gi_running:
        return "R"
    if not generator.gi_suspended:
        return "C"
    return "S" if generator.gi_yieldfrom is None else "D"


def answers(body, commands, crossing=shared):
    """What each command gives: Y, R or X with a value or an exception, the state after it, and what was logged.

    An exception that comes out is followed by "is i" if it is the very object that was thrown in i-th.
    `crossing` is what becomes of values and exceptions on their way in and out.
    """
    trace = Trace()
    generator = trace.me = body(trace)
    entries = trace.entries
    last = ValueError("again")
    thrown = []
    results = []
    for command in commands:
        operation = command[0]
        raised = False
        try:
            if operation == "n":
                value = next(generator)
            elif operation == "s":
                value = generator.send(fresh_value(int(command[1:])))
            elif operation == "A":
                value = generator.send(crossing(last))
            elif operation == "c":
                value = close(generator)
            else:
                if operation == "t":
                    last = EXCEPTIONS[int(command[1:])]()
                thrown.append(last)
                value = throw(generator, crossing(last))
            result = "R" if operation == "c" else "Y"
        except StopIteration as returned:
            result, value = "R", returned.value
        except BaseException as error:
            raised, last = True, crossing(error.with_traceback(None))
        if raised:
            result = "X" + canonical.of_exception(last)
            for i, exception in enumerate(thrown):
                if exception is last:
                    result += f" is {i}"
                    break
        else:
            result += canonical.of_value(crossing(value))
        result = f"{result} {state(generator)}"
        if entries:
            result += " " + ",".join(entries)
            entries.clear()
        results.append(result)
    return results
