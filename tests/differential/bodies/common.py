"""What the bodies share."""

import math
import sys

from canonical import type_name
from sequences import close

BODIES = {}
ONLY_IN_LUA = set()


def pair(body):
    BODIES[body.__name__] = body
    return body


def lua_pair(body):
    """Of what has no twin in C++."""
    ONLY_IN_LUA.add(body.__name__)
    return pair(body)


def caught(error):
    return ["caught", error]


def described(error):
    return f"{type_name(type(error))}:{error}"


def number(value):
    """Of any number; raises what C functions raise for anything else."""
    return math.fsum((value,))


def outcome(call, *arguments):
    """What driving another generator gave, as a value."""
    try:
        return ["yielded", call(*arguments)]
    except StopIteration as returned:
        return ["returned", returned.value]
    except BaseException as error:
        return ["raised", error]


def closing(generator):
    try:
        return ["returned", close(generator)]
    except BaseException as error:
        return ["raised", error]


if sys.version_info >= (3, 12):

    def plain(iterable, handling=None):
        return iter(iterable)

else:

    def plain(iterable, handling=None):
        """iter(iterable), to be delegated to. As from CPython 3.12 on, a StopIteration that is thrown in ends the `yield from`,
        after what the delegator is handling has become its context."""
        iterator = iter(iterable)
        name = type(iterator).__name__
        if name not in _PLAIN:
            _PLAIN[name] = type(name, (_Plain,), {})
        return _PLAIN[name](iterator, handling)

    _PLAIN = {}

    class _Plain:
        def __init__(self, iterator, handling):
            self._iterator = iterator
            self._handling = handling

        def __iter__(self):
            return self

        def __next__(self):
            return next(self._iterator)

        def throw(self, error):
            if self._handling is None:
                raise error
            try:
                raise self._handling
            except BaseException:
                raise error
