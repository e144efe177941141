"""A yield inside an except or finally block."""

from bodies.common import caught, described, pair, plain
from bodies.delegating import Talker, around


@pair
def handling_once(t):
    value = "ready"
    while True:
        try:
            value = yield value
        except ValueError as e:
            value = yield ["handling", str(e)]
            if value == "x":
                raise


@pair
def handling_again_and_again(t):
    value = "ready"
    while True:
        try:
            value = yield value
        except Exception as e:
            value = yield caught(e)


@pair
def handling_nested(t):
    try:
        yield "outside"
    except Exception as a:
        try:
            yield ["a", str(a)]
        except Exception as b:
            yield ["b", b]
            raise
        yield "in a"
        raise


@pair
def handling_nested_and_left(t):
    value = "ready"
    while True:
        try:
            value = yield value
        except Exception as a:
            try:
                value = yield ["a", a]
            except Exception as b:
                value = yield ["b", b]
            value = yield ["a again", value]


@pair
def handling_and_raise_new(t):
    try:
        yield 1
    except Exception as e:
        value = yield 2
        if value == "x":
            raise KeyError("late") from e
        raise KeyError("late")


@pair
def handling_an_exit(t):
    n = 0
    try:
        yield n
    except GeneratorExit:
        while n < 3:
            n += 1
            yield n
        raise


@pair
def handling_in_finally(t):
    try:
        yield 1
    finally:
        try:
            yield "first"
        finally:
            yield "second"


def chaining(t, name):
    """Turns every error into another; on "y" raises one of its own."""
    try:
        sent = yield name
        while sent != "y":
            if sent == "x":
                return name + " value"
            sent = yield sent
    except ValueError as e:
        t.log(described(e))
        raise LookupError(name)
    except LookupError as e:
        value = caught(e)
    else:
        raise KeyError(name)
    yield value
    raise RuntimeError(name)


@pair
def handling_and_delegating(t):
    value = "ready"
    while True:
        try:
            value = yield value
        except Exception:
            value = yield from chaining(t, "sub")


@pair
def handling_and_delegating_deeper(t):
    def middle():
        try:
            result = yield from chaining(t, "sub")
        except LookupError as e:
            yield caught(e)
            result = yield from chaining(t, "second sub")
        return result

    value = "ready"
    while True:
        try:
            value = yield value
        except Exception:
            value = yield from middle()


@pair
def handling_at_each_level(t):
    def middle():
        try:
            raise TypeError("of the middle")
        except TypeError:
            result = yield from chaining(t, "sub")
            result = yield from around(t, lambda: chaining(t, "second sub"), "o")
        return result

    while True:
        try:
            raise KeyError("of the top")
        except KeyError:
            try:
                value = yield from middle()
            except LookupError as e:
                value = caught(e)
        yield value


@pair
def handling_and_delegating_to_a_list(t):
    value = "ready"
    while True:
        try:
            value = yield value
        except LookupError as e:
            value = yield from plain([1, 2], handling=e)
        except ValueError:
            value = yield from Talker(t)


@pair
def handling_and_delegating_to_a_shared_one(t):
    sub = t.kept(chaining(t, "sub"))
    value = "ready"
    while True:
        try:
            value = yield value
        except Exception:
            value = yield from sub


@pair
def delegating_in_finally(t):
    try:
        yield 1
    finally:
        yield from chaining(t, "sub")
