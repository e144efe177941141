#!/usr/bin/env python3
"""Drives every pair of bodies with the same random sequences, here and in C++ or Lua, and compares all that can be seen.

    differential.py --checker build/bin/corod_differential --sequences 200000 --seed 1
    differential.py --checker build/bin/corod_differential --replay 'catch_base_exception n t3 c'
    differential.py --checker build/bin/corod_differential --dropped --sequences 200000
    differential.py --checker build/bin/corod_differential --lua --sequences 200000
    differential.py --print --sequences 10        # what CPython answers, and no comparison
"""

import argparse
import contextlib
import gc
import itertools
import pathlib
import random
import subprocess
import sys

import bodies
import canonical
import sequences


def lines(names, count, seed, crossing):
    rng = random.Random(seed)
    plain = [name for name in names if name not in bodies.MATRIX]
    matrix = [name for name in names if name in bodies.MATRIX]
    for _ in range(count):
        few = matrix and (not plain or rng.random() < 0.2)
        name = rng.choice(matrix if few else plain)
        yield line(name, sequences.random_commands(rng), crossing)


def line(name, commands, crossing):
    answers = sequences.answers(bodies.BODIES[name], commands, crossing)
    return "\t".join((name, " ".join(commands), *answers)) + "\n"


def tables():
    texts = [canonical.of_value(value) for value in sequences.VALUES]
    texts += [canonical.of_exception(make()) for make in sequences.EXCEPTIONS]
    return "\t".join(("tables", *texts)) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checker", help="the corod_differential binary")
    parser.add_argument("--checkers", type=int, default=1, help="how many of them share the sequences")
    parser.add_argument("--print", action="store_true", help="print what the checker would be given")
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--seed", type=int, help="random by default")
    parser.add_argument("--pair", action="append", help="only these pairs")
    parser.add_argument(
        "--dropped",
        action="store_true",
        help="their twins are durable sessions whose coroutines are dropped and brought back between any two steps",
    )
    parser.add_argument("--lua", action="store_true", help="the bodies' twins are scripts in Lua")
    parser.add_argument("--replay", help="one sequence: the name of the pair, then its commands")
    arguments = parser.parse_args()

    # A generator that is collected may ignore its close; nobody is to hear of it.
    sys.unraisablehook = lambda unraisable: None
    gc.set_threshold(50_000)
    crossing = sequences.copied if arguments.dropped else sequences.shared
    if arguments.replay:
        name, *commands = arguments.replay.split()
        work = [line(name, commands, crossing)]
    else:
        seed = random.SystemRandom().randrange(2**32) if arguments.seed is None else arguments.seed
        print(f"--seed {seed}", file=sys.stderr)
        work = lines(arguments.pair or bodies.names(arguments.lua), arguments.sequences, seed, crossing)
    if arguments.print:
        sys.stdout.writelines(itertools.chain([tables()], work))
        return 0
    command = [arguments.checker]
    if arguments.lua:
        command += ["--lua", str(pathlib.Path(bodies.__file__).parent)]
    command += ["--dropped"] * arguments.dropped
    checkers = [subprocess.Popen(command, stdin=subprocess.PIPE, encoding="utf-8") for _ in range(arguments.checkers)]
    try:
        for checker in checkers:
            checker.stdin.write(tables())
        for checker, text in zip(itertools.cycle(checkers), work):
            checker.stdin.write(text)
    except BrokenPipeError:  # it has died, and said of what
        pass
    for checker in checkers:
        with contextlib.suppress(BrokenPipeError):
            checker.stdin.close()
    return 1 if any([checker.wait() for checker in checkers]) else 0


if __name__ == "__main__":
    sys.exit(main())
