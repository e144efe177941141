"""The benchmark runs, ends its servers, and says what it found. What is quick and what is not says
nothing here; what is lost does.

Usage: bench_test.py BENCH COROD
"""
import json
import os
import subprocess
import sys
import tempfile

FIGURES = {"send_to_echo", "drive1_to_echo", "drive100_to_echo", "send_p99_to_echo", "durable_send_ratio",
           "drive100_one_to_few", "drive100_many_to_few", "send_to_python", "resume_to_cpython", "resume",
           "bytes_ephemeral", "bytes_request_ids_ephemeral", "bytes_durable", "bytes_request_ids_durable",
           "native_p99_ratio_beside_one", "native_p99_ratio_beside_many", "lua_p99_ratio_beside_one", "lua_p99_ratio_beside_many",
           "cold_send_p99", "cold_send_trims_p99", "memory_kept", "start_after_stop", "start_after_kill",
           "works_goodput_to_peak", "works_durable_goodput_to_peak", "restart_errors", "restart_wrong_steps"}
# What is wrong on a slow machine, too.
NONE = {"restart_errors", "restart_wrong_steps"}
WITHOUT_GOAL = {"echo_goodput_to_peak", "ephemeral_goodput_to_peak", "durable_goodput_to_peak"}
# Where there is a redis-server; else a note says that there is none.
REDIS_FIGURES = {"drive100_ephemeral_to_redis", "drive100_durable_to_redis"}


def main():
    bench, corod = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        data = os.path.join(directory, "data")
        os.mkdir(data)
        path = os.path.join(directory, "found.json")
        run = subprocess.run([bench, "--corod", corod, "--quick", "--directory", data, "--json", path],
                             capture_output=True, text=True, timeout=240)
        assert run.returncode == 0, run.stderr
        with open(path) as file:
            found = json.load(file)
        figures = {figure["name"]: figure for figure in found["figures"]}
        expected = FIGURES | WITHOUT_GOAL | (set() if any("no redis-server" in note for note in found["notes"]) else REDIS_FIGURES)
        assert expected <= figures.keys(), expected - figures.keys()
        for name in expected:
            figure = figures[name]
            assert figure["min"] <= figure["median"] <= figure["max"], figure
            assert name in WITHOUT_GOAL or figure["verdict"] in ("pass", "short"), figure
            assert figure["what"] in run.stdout, run.stdout
        for name in NONE:
            assert figures[name]["max"] == 0, figures[name]
        assert os.listdir(data) == [], "something was left behind"


main()
