"""except."""

from bodies.common import caught, described, pair


@pair
def catch_value_error(t):
    value = "ready"
    while True:
        try:
            value = yield value
        except ValueError as e:
            value = caught(e)


@pair
def catch_exception(t):
    value = "ready"
    while True:
        try:
            value = yield value
        except Exception as e:
            value = caught(e)


@pair
def catch_base_exception(t):
    value = "ready"
    while True:
        try:
            value = yield value
        except BaseException as e:
            value = caught(e)


@pair
def catch_in_order(t):
    value = "ready"
    while True:
        try:
            value = yield value
        except KeyError as e:
            value = ["key", str(e)]
        except LookupError as e:
            value = ["lookup", str(e)]
        except (ValueError, RuntimeError) as e:
            value = ["value or runtime", str(e)]
        except GeneratorExit:
            return "exit"


@pair
def catch_and_return(t):
    try:
        return (yield 1)
    except Exception as e:
        return caught(e)


@pair
def reraise(t):
    value = "ready"
    while True:
        try:
            value = yield value
        except ValueError as e:
            t.log(described(e))
            raise
        except KeyError as e:
            raise e


@pair
def raise_new(t):
    value = "ready"
    while True:
        try:
            value = yield value
        except ValueError:
            raise KeyError("new")
        except BaseException:
            raise ValueError("from another")


@pair
def raise_from(t):
    try:
        yield 1
    except ValueError as e:
        raise KeyError("new") from e
    except BaseException as e:
        raise e from ValueError("cause")


@pair
def raise_from_none(t):
    try:
        yield 1
    except Exception:
        raise KeyError("new") from None


@pair
def raise_what_was_caught_before(t):
    before = None
    value = "ready"
    while True:
        try:
            value = yield value
            if value == "x" and before is not None:
                t.log("raises")
                raise before
        except Exception as e:
            if before is not None and value == "y":
                raise before
            before = e
            value = caught(e)


@pair
def raise_in_turns(t):
    first, second = ValueError("first"), KeyError("second")
    value = "ready"
    while True:
        try:
            value = yield value
        except ValueError:
            try:
                raise first
            except ValueError:
                try:
                    raise second
                except KeyError as e:
                    value = caught(e)
        except LookupError:
            try:
                raise second
            except KeyError:
                try:
                    raise first
                except ValueError as e:
                    value = caught(e)


@pair
def nested_try(t):
    value = "ready"
    while True:
        try:
            try:
                value = yield value
            except ValueError:
                try:
                    raise KeyError("inner")
                except KeyError as e:
                    t.log(described(e))
                raise TypeError("outer")
            except KeyError as e:
                raise RuntimeError("wrapped") from e
        except (TypeError, RuntimeError) as e:
            value = caught(e)


@pair
def raise_after_the_handler(t):
    try:
        yield 1
    except Exception:
        t.log("handled")
    raise KeyError("later")


@pair
def notes(t):
    n = 0
    while True:
        try:
            yield n
        except ValueError as e:
            e.add_note(f"note {n}")
            raise
        except KeyError as e:
            e.add_note("kept")
            n += 1


def raise_chain(length):
    try:
        raise KeyError(length)
    except KeyError as e:
        if length % 3 == 0:
            raise ValueError("end of part") from e
        raise_chain(length - 1) if length > 1 else None
        raise


@pair
def long_chain(t):
    length = 1
    while True:
        try:
            sent = yield length
            length += 1
            if sent == "x":
                raise_chain(length)
        except Exception:
            raise_chain(length + 3)
