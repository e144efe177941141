"""What each version of a built-in coroutine once answered, it answers today: straight on and restarted between all steps.

golden/NAME.VERSION.jsonl holds the sequences, one a line, as builtin_driver.cc reads them, with their outcomes. Sessions
are pinned to a version, and their logs are run again: a file that is there is never changed. An intended change is a
new version of the coroutine beside the old one, and its file is recorded once, from random_input.py:

    golden_test.py --driver PATH                     every version that the driver has, each of which must have a file
    golden_test.py --driver PATH --record NAME 2     writes golden/NAME.2.jsonl
"""
import argparse
import json
import random
import sys
from pathlib import Path

from both_sides import Driver, canonical, encode_script
from random_input import arguments_and_commands

GOLDEN = Path(__file__).parent / "golden"
SEQUENCES = 30
LONGEST_LINE = 4000


def path_of(name, version):
    return GOLDEN / f"{name}.{version}.jsonl"


def record(driver, name, version):
    path = path_of(name, version)
    if path.exists():
        sys.exit(f"{path} is there already: what a version answers is never recorded anew")
    lines = []
    seed = 0
    while len(lines) < SEQUENCES:
        arguments, commands = arguments_and_commands(name, random.Random(f"{name} {version} {seed}"))
        seed += 1
        script = {"coroutine": name, "version": version, **encode_script(arguments, commands)}
        if len(json.dumps(script)) > LONGEST_LINE:
            continue
        line = json.dumps(script | {"outcomes": driver.run_script(script)})
        if len(commands) > 3 and len(line) <= LONGEST_LINE:
            lines.append(line + "\n")
    path.write_text("".join(lines))
    print(f"{path}: {len(lines)} sequences")


def replay(driver, name, version):
    """The first difference, or None."""
    path = path_of(name, version)
    if not path.exists():
        return f"{name} version {version} has no {path}: record it"
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        script = json.loads(line)
        expected = [[kind, canonical(value)] for kind, value in script.pop("outcomes")]
        if (script["coroutine"], script["version"]) != (name, version) or len(expected) != len(script["commands"]):
            return f"{path}:{number} is no sequence of {name} version {version}"
        for restart in False, True:
            actual = driver.run_script(script | {"restart": restart})
            for step, (was, now) in enumerate(zip(expected, actual), 1):
                if was != now:
                    return (f"{path}:{number}, step {step}{', restarted' if restart else ''}: answers\n  {now}\n"
                            f"instead of\n  {was}")
            if len(actual) != len(expected):
                return f"{path}:{number}: {len(actual)} outcomes instead of {len(expected)}"
    print(f"{name} version {version}: {len(lines)} sequences")
    return None if lines else f"{path} is empty"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", required=True, help="path of builtin_driver")
    parser.add_argument("--record", nargs=2, metavar=("NAME", "VERSION"), help="the new version to record")
    options = parser.parse_args()
    driver = Driver(options.driver)
    if options.record:
        record(driver, options.record[0], int(options.record[1]))
        return
    there = driver.coroutines()
    wrong = [difference for name, version in there if (difference := replay(driver, name, version))]
    known = {path_of(name, version) for name, version in there}
    wrong += [f"there is no coroutine for {path}" for path in sorted(GOLDEN.iterdir()) if path not in known]
    if driver.stop() != 0:
        wrong.append("the driver failed at its end")
    if wrong or not there:
        sys.exit("\n".join(wrong) or "the driver has no coroutines")


if __name__ == "__main__":
    main()
