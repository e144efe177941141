#!/usr/bin/env python3
"""Prints matrix_answers.inc: what CPython 3.13 answers in the 35 cases of rule 77.

Before 3.13 close() did not return what the body returns; sequences.py bridges that.

    tests/unit/coroutine/generate_matrix_answers.py > tests/unit/coroutine/matrix_answers.inc
"""

import inspect
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "differential"))

import sequences  # noqa: E402

COMMANDS = {
    "close": None,
    "GeneratorExit": GeneratorExit,
    "StopIteration": StopIteration,
    "BaseException": BaseException,
    "Exception": Exception,
}
SUBS = ("propagates", "raises GeneratorExit", "raises StopIteration", "raises BaseException", "raises Exception", "yields", "returns")


def sub(kind):
    try:
        yield 1
    finally:
        if kind.startswith("raises "):
            raise COMMANDS[kind.removeprefix("raises ")]("sub")
        if kind == "yields":
            yield "cleanup"
        if kind == "returns":
            return "returned"


def outer(kind):
    result = yield from sub(kind)
    yield ["after", result]


def chain(error):
    text = type(error).__name__ + (f": {error}" if str(error) else "")
    if error.__cause__ is not None:
        text += f" <cause {type(error.__cause__).__name__}>"
    while (error := error.__context__) is not None:
        text += f" <ctx {type(error).__name__}>"
    return text


def answer(command, kind):
    generator = outer(kind)
    next(generator)
    thrown = COMMANDS[command]("thrown") if COMMANDS[command] else None
    try:
        if thrown is None:
            text = f"R({sequences.close(generator)!r})"
        else:
            text = f"Y({generator.throw(thrown)!r})"
    except StopIteration as returned:
        text = f"R({returned.value!r})"
    except BaseException as error:
        text = f"X({chain(error)})" + (" the thrown one" if error is thrown else "")
    return f"{text} {inspect.getgeneratorstate(generator).removeprefix('GEN_')}"


print("// Made by generate_matrix_answers.py; do not edit.")
for command in COMMANDS:
    for kind in SUBS:
        print(f'{{"{command}", "{kind}", "{answer(command, kind)}"}},')
