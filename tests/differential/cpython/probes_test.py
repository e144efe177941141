#!/usr/bin/env python3
"""Whether this CPython may stand in for 3.13, whose answers are the rules.

generator_probes.py asks 131 questions of whatever CPython runs it; cpython-3.13.json is what 3.13.0 answered. The differential
test needs a CPython that answers the same but for what is named here, and bridges that itself (sequences.py).
"""

import contextlib
import io
import json
import pathlib
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import sequences  # noqa: E402

PROBES = HERE / "generator_probes.py"
EXPECTED = json.loads((HERE / "cpython-3.13.json").read_text())

CLOSE_RETURNS_A_VALUE = {"r65_close_caught_return_value", "y27_close_returned_value_via_delegation"}
DIFFERS_BEFORE_3_13 = CLOSE_RETURNS_A_VALUE
DIFFERS_BEFORE_3_12 = {
    "r40_throw_3arg_deprecation",  # a warning to the caller
    "r43_throw_stopiteration_unstarted",  # rule 27: there we are like 3.11
}


def documented_differences():
    differs = set()
    if sys.version_info < (3, 13):
        differs |= DIFFERS_BEFORE_3_13
    if sys.version_info < (3, 12):
        differs |= DIFFERS_BEFORE_3_12
    return differs


class Probes(unittest.TestCase):
    maxDiff = None

    def test_this_cpython_differs_from_3_13_only_where_documented(self):
        answered = json.loads(subprocess.run([sys.executable, PROBES], capture_output=True, check=True).stdout)
        self.assertEqual(answered.keys(), EXPECTED.keys())
        differs = {probe for probe in EXPECTED if answered[probe] != EXPECTED[probe]}
        self.assertEqual(differs, documented_differences())

    def test_close_of_the_differential_test_answers_as_3_13(self):
        source = PROBES.read_text()
        self.assertEqual(source.count("g.close()"), 1)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source.replace("g.close()", "CLOSE(g)"), str(PROBES), "exec"), {"CLOSE": sequences.close})
        answered = json.loads(printed.getvalue())
        differs = {probe for probe in EXPECTED if answered[probe] != EXPECTED[probe]}
        self.assertEqual(differs, documented_differences() - CLOSE_RETURNS_A_VALUE)

    def test_throw_of_the_differential_test_keeps_rule_27(self):
        def body():
            yield 1

        generator = body()
        stop = sequences.EXCEPTIONS[7]()
        with self.assertRaisesRegex(RuntimeError, "generator raised StopIteration") as raised:
            sequences.throw(generator, stop)
        self.assertIs(raised.exception.__cause__, stop)
        self.assertIs(raised.exception.__context__, stop)
        self.assertEqual(sequences.state(generator), "X")


if __name__ == "__main__":
    unittest.main()
