"""GeneratorExit."""

from bodies.common import caught, pair


@pair
def exit_returns(t):
    try:
        yield 1
        yield 2
    except GeneratorExit:
        return "bye"


@pair
def exit_ignored_once(t):
    try:
        yield 1
    except GeneratorExit as e:
        value = caught(e)
    else:
        value = "not closed"
    yield value
    return "after"


@pair
def exit_ignored_always(t):
    n = 0
    while True:
        try:
            yield n
        except GeneratorExit:
            n += 1


@pair
def exit_raises(t):
    try:
        yield 1
    except GeneratorExit:
        raise TypeError("fie!")


@pair
def exit_raises_a_fresh_one(t):
    try:
        yield 1
    except GeneratorExit:
        raise GeneratorExit("mine")


@pair
def exit_raises_from(t):
    try:
        yield 1
    except GeneratorExit as e:
        raise RuntimeError("closing") from e


@pair
def exit_falls_out(t):
    try:
        yield 1
    except Exception:
        t.log("not for an exit")
    finally:
        t.log("finally")
    return 0
