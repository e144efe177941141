"""Every way a sub ends, by every way its delegator takes it."""

from bodies.common import BODIES, caught


MATRIX = []


class _Kind:
    SUBS = ("propagates", "logs", "raises_exception", "raises_exit", "raises_stop", "raises_interrupt", "yields", "returns")
    OUTERS = ("plain", "catches_exceptions", "catches_all", "logs", "replaces", "returns")


def matrix_sub(t, kind):
    try:
        while (yield "sub") != "x":
            pass
        return "value of the sub"
    finally:
        if kind == "logs":
            t.log("sub")
        if kind == "raises_exception":
            raise ValueError("sub")
        if kind == "raises_exit":
            raise GeneratorExit("sub")
        if kind == "raises_stop":
            raise StopIteration("sub")
        if kind == "raises_interrupt":
            raise KeyboardInterrupt("sub")
        if kind == "yields":
            yield "cleanup of the sub"
        if kind == "returns":
            return "sub"


def matrix_outer(t, sub, kind):
    if kind == "plain":
        value = yield from sub
    elif kind == "catches_exceptions":
        try:
            value = yield from sub
        except Exception as e:
            value = caught(e)
    elif kind == "catches_all":
        try:
            value = yield from sub
        except BaseException as e:
            value = caught(e)
    elif kind == "logs":
        try:
            value = yield from sub
        finally:
            t.log("outer")
    elif kind == "replaces":
        try:
            value = yield from sub
        except Exception:
            raise RuntimeError("outer")
    else:
        try:
            value = yield from sub
        except BaseException:
            return "outer"
    yield ["after", value]


def _matrix(sub_kind, outer_kind):
    name = f"matrix_{sub_kind}_{outer_kind}"
    BODIES[name] = lambda t: matrix_outer(t, matrix_sub(t, sub_kind), outer_kind)
    MATRIX.append(name)


for _sub_kind in _Kind.SUBS:
    for _outer_kind in _Kind.OUTERS:
        _matrix(_sub_kind, _outer_kind)
