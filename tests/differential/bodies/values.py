"""Values through next, send and return."""

from bodies.common import number, pair


@pair
def echo(t):
    value = None
    while True:
        value = yield value


@pair
def count(t):
    n = 0
    while True:
        sent = yield n
        n = 0 if type(sent) is int else n + 1


@pair
def accumulate(t):
    total = 0.0
    while True:
        total += number((yield total))


@pair
def thrice(t):
    yield
    yield
    yield


@pair
def returns_what_is_sent(t):
    return (yield "first")


@pair
def returns_at_once(t):
    return 9
    yield


@pair
def raises_at_once(t):
    raise KeyError("k")
    yield


@pair
def collect(t):
    items = []
    while True:
        sent = yield list(items)
        if sent == "x":
            return {"items": items}
        items.append(sent)


@pair
def by_type(t):
    seen = {}
    while True:
        sent = yield dict(seen)
        name = type(sent).__name__
        if sent == "x":
            seen.pop("int", None)
        else:
            seen[name] = sent


@pair
def exceptions_as_values(t):
    result = None
    while True:
        sent = yield result
        if isinstance(sent, BaseException):
            raise sent
        result = ValueError(sent) if type(sent) in (bool, int) else KeyError("made", 1)
