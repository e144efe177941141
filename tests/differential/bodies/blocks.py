"""Blocks that yield wherever they can, with anything raised there. C++ has no such blocks, so these have twins in Lua alone."""

from bodies.common import caught, described, lua_pair


def act(kept, command):
    """What was sent says what happens in this place. `kept`: what was caught before."""
    if isinstance(command, BaseException):
        raise command
    if isinstance(command, bool):
        raise
    if isinstance(command, int) and kept:
        raise kept[-1]
    if isinstance(command, float):
        raise RuntimeError("float") from KeyError(command)
    if isinstance(command, bytes):
        raise ValueError(command) from None
    if isinstance(command, list):
        raise ValueError(*command)
    if isinstance(command, dict):
        try:
            raise LookupError("passing")
        except LookupError as e:
            kept.append(e)
    if command == "x":
        raise KeyError("x")
    if command == "y":
        raise StopIteration("y")


@lua_pair
def anything_in_a_handler(t):
    kept = []
    value = "ready"
    while True:
        try:
            value = yield value
            act(kept, value)
        except Exception as e:
            kept.append(e)
            value = yield caught(e)
            act(kept, value)


@lua_pair
def anything_in_handlers_of_handlers(t):
    kept = []
    value = "ready"
    while True:
        try:
            value = yield value
            act(kept, value)
        except Exception as a:
            kept.append(a)
            try:
                value = yield ["a", a]
                act(kept, value)
            except LookupError as b:
                kept.append(b)
                value = yield ["b", b]
                act(kept, value)
            except Exception as b:
                try:
                    value = yield ["c", b]
                    act(kept, value)
                except ValueError as c:
                    value = yield ["d", c]
                    raise
                act(kept, value)
            value = yield ["a again", a]
            act(kept, value)


@lua_pair
def anything_in_finally(t):
    kept = []
    value = "ready"
    while value != "stop":
        try:
            try:
                value = yield value
                act(kept, value)
            finally:
                value = yield "finally"
                act(kept, value)
        except Exception as e:
            kept.append(e)
            value = caught(e)


@lua_pair
def anything_in_finally_of_finally(t):
    kept = []
    try:
        try:
            act(kept, (yield 1))
        finally:
            try:
                act(kept, (yield 2))
            finally:
                act(kept, (yield 3))
            act(kept, (yield 4))
    finally:
        act(kept, (yield 5))
    return "end"


@lua_pair
def anything_anywhere(t):
    kept = []
    value = "ready"
    while True:
        try:
            try:
                value = yield value
                act(kept, value)
            except ValueError as e:
                kept.append(e)
                value = yield ["value", e]
                act(kept, value)
            finally:
                try:
                    value = yield "finally"
                    act(kept, value)
                except KeyError as e:
                    value = yield ["in finally", e]
                    act(kept, value)
        except LookupError as e:
            kept.append(e)
            try:
                value = yield ["lookup", e]
                act(kept, value)
            finally:
                t.log("finally in except")
        except RuntimeError as e:
            value = yield ["runtime", e]
            act(kept, value)


@lua_pair
def anything_when_it_closes(t):
    n = 0
    while n < 3:
        try:
            try:
                act([], (yield n))
            except GeneratorExit as e:
                act([e], (yield caught(e)))
                return "left"
            finally:
                t.log("finally")
                act([], (yield "finally"))
        except ValueError:
            n += 1
        except GeneratorExit:
            yield "once more"
            raise


@lua_pair
def raise_what_is_sent(t):
    value = "ready"
    while True:
        value = yield value
        try:
            try:
                raise ValueError(value, [value], {"key": value})
            except ValueError as e:
                before = e
                raise
        except ValueError as e:
            t.log("the same" if e is before else "another")
            value = caught(e)


@lua_pair
def raise_again_and_again(t):
    try:
        yield 1
    except Exception as first:
        try:
            try:
                raise
            finally:
                t.log("finally")
        except Exception as second:
            t.log("the same" if first is second else "another")
            try:
                yield second
                raise KeyError("new") from IndexError("cause")
            except Exception as third:
                t.log("the same" if first is third else "another")
                t.log(described(third.__context__) if third.__context__ else "no context")
                t.log(described(third.__cause__) if third.__cause__ else "no cause")
                yield third
                raise


@lua_pair
def exceptions_in_exceptions(t):
    value = "ready"
    while True:
        made = KeyError("made", value)
        try:
            value = yield value
        except LookupError:
            try:
                raise ValueError(made, [made])
            except ValueError as holds:
                value = yield [holds, holds.args[0]]
                if value == "x":
                    raise
        except ValueError as e:
            raise RuntimeError(e)


@lua_pair
def raise_from_again(t):
    value = "ready"
    while True:
        try:
            try:
                value = yield value
            except ValueError as e:
                raise e from KeyError("first")
            except LookupError as e:
                raise e from None
        except Exception as e:
            value = yield caught(e)
            if value == "x":
                raise e from IndexError("second")
            if value == "y":
                raise


@lua_pair
def leave_from_within(t):
    kept = []
    try:
        try:
            act(kept, (yield 1))
        except ValueError as e:
            try:
                act(kept, (yield 2))
            finally:
                act(kept, (yield 3))
            return ["value", e]
        except BaseException as e:
            act(kept, (yield 4))
            return ["base", e]
        finally:
            t.log("in")
            act(kept, (yield 5))
    finally:
        t.log("out")
    return "end"


def level(t, n):
    """Delegates to one more from each of its blocks.

    No StopIteration leaves it. It would become the cause of a RuntimeError, and if it is then thrown in again where that is
    being handled, both lead to each other: corod cuts such a circle with a copy, so that it is freed.
    """
    value = None
    try:
        try:
            value = yield n
            if value == "x" and n < 3:
                value = yield from level(t, n + 1)
            act([], value)
        except ValueError as e:
            value = yield ["value", n, e]
            if n < 3:
                value = yield from level(t, n + 1)
            act([e], value)
        except Exception as e:
            if n < 3:
                value = yield from level(t, n + 1)
            act([e], value)
            value = yield ["other", n, e]
            act([e], value)
            raise
        finally:
            t.log(f"finally {n}")
            if value is None and n < 3:
                value = yield from level(t, n + 1)
                act([], value)
        return [n, value]
    except StopIteration:
        raise LookupError("stopped")


@lua_pair
def delegate_from_each_block(t):
    return (yield from level(t, 1))


@lua_pair
def delegate_in_a_handler(t):
    while True:
        try:
            raise IndexError("of the top")
        except IndexError:
            try:
                value = yield from level(t, 2)
            except Exception as e:
                value = yield caught(e)
                act([e], value)
        yield ["after", value]
