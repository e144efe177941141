"""StopIteration that leaves a body, and PEP 479."""

from bodies.common import caught, described, pair
from sequences import AppStop


@pair
def stop_raised(t):
    while True:
        sent = yield 1
        if sent is not None:
            raise StopIteration(sent)


@pair
def stop_of_a_user_type(t):
    try:
        yield 1
    finally:
        raise AppStop("mine")


@pair
def stop_of_an_inner_next(t):
    items = iter([1, 2])
    while True:
        yield next(items)


@pair
def stop_caught(t):
    items = iter([1, 2])
    while True:
        try:
            value = next(items)
        except StopIteration as e:
            value = caught(e)
        yield value


@pair
def stop_passes_finally(t):
    try:
        try:
            yield 1
            raise StopIteration("z")
        except StopIteration as e:
            t.log(described(e))
            raise
    finally:
        t.log("finally")


@pair
def stop_on_exit(t):
    try:
        yield 1
    except GeneratorExit:
        raise StopIteration


@pair
def stop_returned(t):
    yield 1
    return StopIteration(2)
