"""The benchmark runs, ends its servers, and says what it found. What the figures are says nothing here.

Usage: bench_test.py BENCH COROD
"""
import json
import os
import subprocess
import sys
import tempfile

FIGURES = {"durable_send_ratio", "cold_send_p99", "cold_send_trims_p99", "memory_kept", "start_after_stop",
           "start_after_kill"}


def main():
    bench, corod = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        data = os.path.join(directory, "data")
        os.mkdir(data)
        found = os.path.join(directory, "found.json")
        run = subprocess.run([bench, "--corod", corod, "--quick", "--directory", data, "--json", found],
                             capture_output=True, text=True, timeout=240)
        assert run.returncode == 0, run.stderr
        with open(found) as file:
            figures = {figure["name"]: figure for figure in json.load(file)["figures"]}
        assert FIGURES <= figures.keys(), figures.keys()
        for name in FIGURES:
            figure = figures[name]
            assert figure["min"] <= figure["median"] <= figure["max"], figure
            assert figure["verdict"] in ("pass", "short"), figure
            assert figure["what"] in run.stdout, run.stdout
        assert os.listdir(data) == [], "something was left behind"


main()
