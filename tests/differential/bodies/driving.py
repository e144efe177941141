"""Bodies that drive themselves or another generator by hand."""

import inspect

from bodies.common import caught, closing, described, outcome, pair
from sequences import close


@pair
def drives_itself(t):
    result = "ready"
    while True:
        sent = yield result
        result = drive(t.me, sent)
        t.log("running" if inspect.getgeneratorstate(t.me) == inspect.GEN_RUNNING else "not running")


@pair
def drives_itself_unguarded(t):
    sent = yield 1
    if sent is None:
        yield next(t.me)
    yield close(t.me)


@pair
def drives_itself_in_a_handler(t):
    try:
        yield 1
    except Exception:
        t.me.send("x")


@pair
def delegates_to_itself(t):
    yield 1
    try:
        yield from t.me
    except ValueError as e:
        value = caught(e)
    else:
        value = "went through"
    yield value
    yield from t.me


@pair
def delegates_in_a_circle(t):
    def around(name, to):
        yield name
        try:
            yield from to[0]
        finally:
            t.log(name)

    there = []
    back = around("b", there)
    there.append(around("a", [back]))
    result = None
    while True:
        sent = yield result
        generator = back if sent == "x" else there[0]
        result = [outcome(next, generator), inspect.getgeneratorstate(there[0]), inspect.getgeneratorstate(back)]


def talk(t, name):
    try:
        while True:
            try:
                sent = yield name
                if sent == "x":
                    return name + " value"
                t.log(name + " got")
            except ValueError as e:
                t.log(name + " " + described(e))
    finally:
        t.log(name + " finally")


def drive(sub, command):
    """None: next; a boolean: close; a number: throws KeyError; else sends."""
    if command is None:
        return outcome(next, sub)
    if type(command) is bool:
        return closing(sub)
    if type(command) in (int, float):
        return outcome(sub.throw, KeyError("k"))
    return outcome(sub.send, command)


@pair
def drives_another(t):
    sub = t.kept(talk(t, "s"))
    result = "ready"
    while True:
        sent = yield result
        result = [*drive(sub, sent), inspect.getgeneratorstate(sub)]


def raising(t):
    try:
        yield 1
    except LookupError:
        raise TypeError("of the sub")
    raise RuntimeError("of the sub")


@pair
def drives_another_in_a_handler(t):
    result, sent = "ready", None
    while True:
        try:
            sent = yield result
            raise ValueError("own")
        except ValueError:
            sub = raising(t)
            first = outcome(sub.send, "too early")
            next(sub)
            result = [first, drive(sub, sent)]


@pair
def closes_another_in_a_handler(t):
    def keeps_what_closed_it():
        try:
            yield 1
        except GeneratorExit as e:
            return caught(e)

    def ignores():
        try:
            yield 1
        except GeneratorExit:
            pass
        yield 2

    result = "ready"
    while True:
        try:
            yield result
        except Exception:
            first, second = keeps_what_closed_it(), ignores()
            next(first)
            next(second)
            result = [closing(first), closing(second)]
