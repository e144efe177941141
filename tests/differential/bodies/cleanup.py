"""finally and with."""

from bodies.common import described, pair
from canonical import type_name


@pair
def finally_logs(t):
    try:
        value = "ready"
        while value != "x":
            value = yield value
        return "done"
    finally:
        t.log("finally")


@pair
def finally_raises(t):
    try:
        value = "ready"
        while value != "x":
            value = yield value
        return "done"
    finally:
        raise RuntimeError("in finally")


@pair
def finally_returns(t):
    try:
        value = "ready"
        while value != "x":
            value = yield value
        return "done"
    finally:
        return "swallowed"


@pair
def finally_yields(t):
    try:
        value = "ready"
        while value != "x":
            value = yield value
        return "done"
    finally:
        t.log("finally")
        yield "cleanup"


@pair
def finally_nested(t):
    try:
        try:
            yield 1
            yield 2
        finally:
            t.log("in")
    finally:
        t.log("out")


@pair
def finally_overrides(t):
    try:
        try:
            yield 1
        finally:
            t.log("in")
            raise KeyError("in")
    except KeyError as e:
        t.log(described(e))
        raise LookupError("out")
    finally:
        t.log("out")


class Logged:
    def __init__(self, t):
        self.t = t

    def __enter__(self):
        self.t.log("enter")

    def __exit__(self, kind, error, traceback):
        self.t.log(f"exit {type_name(kind)}" if kind else "exit")
        return kind is not None and issubclass(kind, LookupError)


@pair
def with_statement(t):
    value = "ready"
    while value != "stop":
        with Logged(t):
            value = yield value
    return "end"
