"""Runs a coroutine on both sides: the built-in in builtin_driver, the Python original here.

Outcomes are [kind, value] with the value as builtin_driver.cc writes it.
"""
import json
import math
import subprocess
import sys

from originals import ORIGINALS

# What an original raises when it is collected while suspended is nobody's business.
sys.unraisablehook = lambda _: None


def encode_exception(exception):
    # Its message is what the built-in says it is: the first argument alone, where a map with details follows.
    with_details = len(exception.args) == 2 and isinstance(exception.args[1], dict)
    context = exception.__context__
    return {"e": {"type": type(exception).__name__, "arguments": [encode(a) for a in exception.args],
                  "message": exception.args[0] if with_details else str(exception),
                  "context": type(context).__name__ if context else None}}


def encode(value):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {"i": str(value)}
    if isinstance(value, float):
        return {"f": value.hex()}
    if isinstance(value, str):
        return {"t": value}
    if isinstance(value, bytes):
        return {"b": value.hex()}
    if isinstance(value, list):
        return {"l": [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"m": [[key, encode(item)] for key, item in value.items()]}
    return encode_exception(value)


def canonical(encoded):
    """The same, but with numbers written in one way."""
    if isinstance(encoded, list):
        return [canonical(item) for item in encoded]
    if not isinstance(encoded, dict):
        return encoded
    if "f" in encoded:
        number = float.fromhex(encoded["f"])
        return {"f": "nan" if math.isnan(number) else number.hex()}
    return {key: canonical(item) for key, item in encoded.items()}


def decode(encoded):
    if encoded is None or isinstance(encoded, bool):
        return encoded
    (kind, content), = encoded.items()
    return {"i": int, "f": float.fromhex, "t": str, "b": bytes.fromhex,
            "l": lambda items: [decode(item) for item in items],
            "m": lambda entries: {key: decode(item) for key, item in entries},
            "e": lambda exception: exception}[kind](content)


def encode_script(arguments, commands):
    return {"arguments": {key: encode(value) for key, value in arguments.items()},
            "commands": [[command[0], *map(encode, command[1:])] for command in commands]}


class Driver:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        encoding="utf-8")

    def run(self, name, arguments, commands, restart=False):
        """The outcomes: [kind, encoded value] for each command."""
        return self.run_script({"coroutine": name, **encode_script(arguments, commands), "restart": restart})

    def run_script(self, script):
        answer = self.ask(script)
        if "refused" in answer:
            raise AssertionError(f"{script['coroutine']} refused {script['arguments']}: {answer['refused']}")
        return [[kind, canonical(value)] for kind, value in answer["outcomes"]]

    def coroutines(self):
        """[name, version] of each."""
        return self.ask({})["coroutines"]

    def ask(self, script):
        self.process.stdin.write(json.dumps(script) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the driver died with status {self.process.wait()}")
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        return self.process.wait()


def close(generator):
    """generator.close() of Python 3.13, which returns what the generator returned."""
    try:
        generator.throw(GeneratorExit)
    except StopIteration as stop:
        return stop.value
    except GeneratorExit:
        return None
    raise RuntimeError("generator ignored GeneratorExit")


def run_original(name, arguments, commands):
    generator = ORIGINALS[name](**arguments)
    outcomes = []
    for operation, *operand in commands:
        try:
            if operation == "send":
                outcomes.append(["yielded", encode(generator.send(*operand))])
            elif operation == "throw":
                outcomes.append(["yielded", encode(generator.throw(type(operand[0])(*operand[0].args)))])
            else:
                outcomes.append(["returned", encode(close(generator))])
        except StopIteration as stop:
            outcomes.append(["returned", encode(stop.value)])
        except BaseException as exception:  # whatever it is, it is the outcome
            outcomes.append(["raised", encode(exception)])
    return [[kind, canonical(value)] for kind, value in outcomes]
