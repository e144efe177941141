"""The built-in coroutines against their Python originals, and the parsers against Python's own modules.

Both sides get the same random commands; every outcome must be equal: its kind, the value to the last bit, the
exception's class, arguments, message and context. Restarted between all steps, a built-in answers the same. A seed is
printed for whatever differs, and --seed repeats it.

    builtins_test.py --driver PATH [--seed N] [--rounds N] [--only NAME]
"""
import argparse
import csv
import io
import json
import math
import random
import statistics
import sys
import time

from both_sides import Driver, canonical, decode, encode, run_original
from originals import ORIGINALS
from random_input import DELIMITERS, arguments_and_commands, csv_text, cut, json_text, lines_text, spoiled


# A check compares one random sequence, counts what came out of it, and raises AssertionError.

def check_equal(what, actual, expected):
    if actual != expected:
        raise AssertionError(f"{what}\n  driver: {str(actual)[:2000]}\n  Python: {str(expected)[:2000]}")


def count(counts, what):
    counts[what] = counts.get(what, 0) + 1


def against_original(name):
    def check(driver, rng, counts):
        arguments, commands = arguments_and_commands(name, rng)
        actual = driver.run(name, arguments, commands)
        expected = run_original(name, arguments, commands)
        check_equal(f"{name} {arguments} {str(commands)[:2000]}, restarted between all steps",
                    driver.run(name, arguments, commands, restart=True), actual)
        for step, (ours, theirs) in enumerate(zip(actual, expected), 1):
            check_equal(f"{name} {arguments} {str(commands)[:2000]} step {step}", ours, theirs)
            kind = ours[1]["e"]["type"] if ours[0] == "raised" else ours[0]
            count(counts, kind)
        check_equal("steps", len(actual), len(expected))
    return check


def collect(outcomes):
    """What all steps yielded together, and the last outcome."""
    parsed = []
    for kind, value in outcomes[:-1]:
        if kind != "yielded":
            return parsed, (kind, value)
        parsed += decode(value)
    return parsed, outcomes[-1]


def csv_against_module(driver, rng, counts):
    """Valid and malformed CSV against csv.reader(strict=True) and csv.DictReader."""
    delimiter = rng.choice(DELIMITERS)
    header = rng.random() < 0.3
    text = csv_text(rng, delimiter)
    if rng.random() < 0.3:
        text = spoiled(rng, text, 0.4).decode(errors="replace").removeprefix("\ufeff")
    outcomes = driver.run("csv_parser", {"delimiter": delimiter, "header": header},
                          [("send", None), *(("send", chunk) for chunk in cut(rng, text)), ("close",)])
    parsed, (kind, value) = collect(outcomes)
    try:
        expected = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        expected = None
    count(counts, "valid" if expected is not None else "malformed")
    if header and expected is not None:
        rows = [row for row in expected if row]
        if rows and (len(set(rows[0])) < len(rows[0]) or any(len(row) != len(rows[0]) for row in rows)):
            expected = None
        else:
            # Told the names, since it takes an empty first line for the header.
            expected = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True,
                                           fieldnames=rows[0] if rows else []))[1:]
    if expected is None:
        check_equal(f"{text!r}", (kind, value["e"]["type"] if kind == "raised" else value), ("raised", "ValueError"))
        return
    check_equal(f"{text!r}", kind, "returned")
    check_equal(f"{text!r}", parsed + ([] if value is None else [decode(value)]), expected)


def json_against_module(driver, rng, counts):
    """Every line against json.loads, which is told to refuse NaN and the infinities."""
    def refuse(constant):
        raise ValueError(constant)

    def integer(digits):
        return int(digits) if -2**63 <= int(digits) < 2**63 else real(digits)

    def real(digits):
        return refuse(digits) if math.isinf(float(digits)) else float(digits)

    def depth(value):
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if items is None else 1 + max(map(depth, items), default=0)

    text = json_text(rng, 0.05)
    if rng.random() < 0.3:
        text = spoiled(rng, text, 0.4).decode(errors="replace")
    text = text.removeprefix("\ufeff")
    outcomes = driver.run("json_lines", {},
                          [("send", None), *(("send", chunk) for chunk in cut(rng, text)), ("close",)])
    parsed, (kind, value) = collect(outcomes)
    expected = []
    malformed = False
    for line in text.split("\n"):
        if not line.strip(" \t\r"):
            continue
        try:
            document = json.loads(line, parse_constant=refuse, parse_int=integer, parse_float=real)
            if depth(document) > 22:
                raise ValueError("too deep")
            json.dumps(document, ensure_ascii=False).encode()  # refuses unpaired surrogates
            expected.append(document)
        except (ValueError, RecursionError):
            malformed = True
            break
    count(counts, "malformed" if malformed else "valid")
    if malformed:
        check_equal(f"{text[:200]!r}", kind, "raised")
        parsed += decode(value["e"]["arguments"][1])["parsed"]
    else:
        check_equal(f"{text!r}", kind, "returned")
        parsed += decode(value) or []
    check_equal(f"{text[:200]!r}", canonical(encode(parsed)), canonical(encode(expected)))


def lines_against_module(driver, rng, counts):
    """line_splitter against a file that is read with universal newlines."""
    text = lines_text(rng)
    keep_ends = rng.random() < 0.5
    outcomes = driver.run("line_splitter", {"keep_ends": keep_ends},
                          [("send", None), *(("send", chunk) for chunk in cut(rng, text)), ("close",)])
    parsed, (kind, value) = collect(outcomes)
    expected = list(io.StringIO(text, newline="" if keep_ends else None))
    if not keep_ends:
        expected = [line.removesuffix("\n") for line in expected]
    check_equal(f"{text!r}", (kind, parsed + ([] if value is None else [decode(value)])), ("returned", expected))
    count(counts, "valid")


def stats_against_module(driver, rng, counts):
    """Long windows of numbers that differ little: what has left the window leaves nothing behind."""
    window = rng.randrange(2, 30)
    base = rng.choice([0, 1e9, -1e15, 1e300, 1e-300])
    spread = abs(base or 1) * 10.0 ** rng.randrange(-12, 1)
    numbers = [base + rng.uniform(-spread, spread) for _ in range(200)]
    if rng.random() < 0.3:
        numbers[rng.randrange(150)] = rng.choice([1e308, -1e200, 5e-324])
    outcomes = driver.run("rolling_stats", {"window": window}, [("send", None), *(("send", x) for x in numbers)])
    for step in rng.sample(range(1, len(outcomes)), 10):
        last = numbers[:step][-window:]
        result = decode(outcomes[step][1])
        check_equal(f"step {step} of {numbers}", result["mean"], statistics.mean(last))
        if step > 1:
            try:
                variance = statistics.variance(last)
            except OverflowError:
                variance = math.inf
            check_equal(f"variance, step {step} of {numbers}", result["variance"], variance)
            check_equal(f"deviation, step {step} of {numbers}", result["standard_deviation"], statistics.stdev(last))
        check_equal("min, max", (result["min"], result["max"]), (min(last), max(last)))
    count(counts, "valid")


CHECKS = {name: (against_original(name), 1200) for name in ORIGINALS}
CHECKS |= {
    "csv_parser against csv": (csv_against_module, 3000),
    "json_lines against json": (json_against_module, 3000),
    "line_splitter against io": (lines_against_module, 1000),
    "rolling_stats against statistics": (stats_against_module, 100),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", required=True, help="path of builtin_driver")
    parser.add_argument("--seed", type=int, help="the one sequence to run (with --only)")
    parser.add_argument("--rounds", type=float, default=1, help="how many times the usual number of sequences")
    parser.add_argument("--only", choices=CHECKS, help="the one check to run")
    options = parser.parse_args()
    driver = Driver(options.driver)
    for name, (check, usual) in CHECKS.items():
        if options.only not in (None, name):
            continue
        started = time.monotonic()
        counts = {}
        seeds = [options.seed] if options.seed is not None else range(int(usual * options.rounds))
        for seed in seeds:
            try:
                check(driver, random.Random(f"{name} {seed}"), counts)
            except AssertionError as error:
                sys.exit(f"{name}, --seed {seed}: {error}")
        print(f"{name}: {len(seeds)} sequences in {time.monotonic() - started:.1f} s, {counts}")
    if driver.stop() != 0:
        sys.exit("the driver failed at its end")


if __name__ == "__main__":
    main()
