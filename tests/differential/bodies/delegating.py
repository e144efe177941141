"""yield from."""

import inspect

from bodies.closing import exit_ignored_once, exit_raises
from bodies.common import caught, outcome, pair, plain
from bodies.driving import drive, talk
from bodies.values import returns_at_once, returns_what_is_sent
from canonical import type_name


def around(t, make, name):
    """Holds no name for what it delegates to, so that nothing keeps it alive but the `yield from`."""
    try:
        result = yield from make()
        t.log(name + " goes on")
        yield [name, result]
    finally:
        t.log(name + " finally")


@pair
def delegate(t):
    return (yield from around(t, lambda: talk(t, "a"), "b"))


@pair
def delegate_two_deep(t):
    yield from around(t, lambda: around(t, lambda: talk(t, "a"), "b"), "c")
    return "end"


@pair
def delegate_three_deep(t):
    yield "first"
    yield from around(t, lambda: around(t, lambda: around(t, lambda: talk(t, "a"), "b"), "c"), "d")


@pair
def delegate_again_and_again(t):
    result = None
    while True:
        result = yield from returns_what_is_sent(t)
        t.log("again")
        yield ["result", result]


@pair
def delegate_and_catch(t):
    while True:
        try:
            value = yield from talk(t, "a")
        except (LookupError, RuntimeError) as e:
            value = caught(e)
        yield value


@pair
def delegate_and_raise_from(t):
    try:
        yield from talk(t, "a")
    except KeyError as e:
        raise RuntimeError("of the delegator") from e
    except BaseException:
        raise TypeError("of the delegator")


@pair
def delegate_to_a_list(t):
    result = yield from plain([1, "two", None])
    yield ["after", result]


@pair
def delegate_to_a_list_and_catch(t):
    n = 0
    while n < 3:
        try:
            value = yield from plain([n, "item"])
        except BaseException as e:
            value = caught(e)
        n += 1
        yield value


@pair
def delegate_to_what_is_sent(t):
    value = "ready"
    while True:
        value = yield value
        try:
            value = yield from plain(value)
        except TypeError as e:
            value = caught(e)


class Talker:
    """An iterator that has every method."""

    def __init__(self, t):
        self.t = t
        self.n = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.t.log("next")
        self.n += 1
        if self.n > 3:
            raise StopIteration("exhausted")
        return self.n

    def send(self, value):
        self.t.log("send")
        if value == "x":
            raise StopIteration(value)
        if value == "y":
            raise KeyError("sent y")
        return ["sent", value]

    def throw(self, error):
        self.t.log("throw " + type_name(type(error)))
        if isinstance(error, ValueError):
            return ["threw", str(error)]
        if isinstance(error, KeyError):
            raise StopIteration("from throw")
        if isinstance(error, StopIteration):
            raise StopIteration(error.value)
        raise error

    def close(self):
        self.t.log("close")
        if self.n == 2:
            raise LookupError("close failed")


@pair
def delegate_to_an_iterator(t):
    while True:
        result = yield from Talker(t)
        yield ["result", result]


@pair
def delegate_to_an_iterator_and_catch(t):
    while True:
        try:
            result = yield from Talker(t)
        except Exception as e:
            result = caught(e)
        yield ["result", result]


@pair
def delegate_to_a_started_one(t):
    sub = t.kept(talk(t, "a"))
    value = "ready"
    while value != "x":
        value = yield value
        if value is not None:
            t.log(str(outcome(next, sub)[0]))
    result = yield from sub
    yield ["result", result]


@pair
def delegate_to_a_finished_one(t):
    sub = returns_at_once(t)
    first = outcome(next, sub)
    result = yield from sub
    yield [first, result]
    return (yield from sub)


@pair
def delegate_to_a_shared_one(t):
    """Text goes to the delegator, the rest drives the sub behind its back."""
    sub = t.kept(talk(t, "s"))
    delegator = t.kept(around(t, lambda: sub, "o"))
    result = "ready"
    while True:
        sent = yield result
        driven = delegator if type(sent) in (str, type(None), float) else sub
        result = [*drive(driven, sent), inspect.getgeneratorstate(delegator), inspect.getgeneratorstate(sub)]
        result.append(delegator.gi_yieldfrom is not None)


@pair
def delegate_twice_to_a_shared_one(t):
    sub = t.kept(talk(t, "s"))
    first, second = t.kept(around(t, lambda: sub, "1")), t.kept(around(t, lambda: sub, "2"))
    result = "ready"
    while True:
        sent = yield result
        result = drive(first if type(sent) in (str, type(None), bool) else second, sent)
        result += [inspect.getgeneratorstate(first), inspect.getgeneratorstate(second), inspect.getgeneratorstate(sub)]


@pair
def delegate_to_one_that_drives_its_delegator(t):
    def meddler():
        result = "sub"
        while True:
            sent = yield result
            result = drive(t.me, sent)

    yield from meddler()


def exit_kept(t):
    try:
        yield 1
    except GeneratorExit:
        return "of the sub"


@pair
def delegate_and_both_return_on_exit(t):
    try:
        yield from exit_kept(t)
    except GeneratorExit as e:
        return caught(e)


@pair
def delegate_to_one_that_ignores_exit(t):
    yield from around(t, lambda: exit_ignored_once(t), "o")


@pair
def delegate_to_one_that_always_ignores_exit(t):
    def stubborn():
        n = 0
        while True:
            try:
                yield n
            except GeneratorExit:
                n += 1
                t.log(f"ignores {n}")

    try:
        yield from around(t, stubborn, "o")
    except RuntimeError as e:
        value = caught(e)
    yield value


@pair
def delegate_to_one_that_raises_in_finally(t):
    def failing():
        try:
            yield 1
            yield 2
        finally:
            raise ValueError("boom")

    while True:
        try:
            yield from failing()
        except ValueError as e:
            value = caught(e)
        yield value


@pair
def delegate_where_every_level_returns_on_exit(t):
    def level(name, sub):
        try:
            yield from sub
        except GeneratorExit:
            return name
        except Exception as e:
            return [name, e]

    result = yield from level("b", level("a", exit_raises(t)))
    return ["c", result]
