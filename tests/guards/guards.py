"""What a step costs, held against bounds.txt. Counts only: nothing here depends on a time.

Usage: guards.py [--renew] PART...   measures, and prints what it found beside the bounds; the exit status is 1 if
                                     something is above its bound
    paths         allocations, appends to the journal and response messages, on one thread, without a socket
    instructions  on the same paths, as callgrind counts them
    server        in a server, over gRPC: allocations, system calls, and response messages
    --renew       writes what was found into bounds.txt, each with the room that stands there

The binaries come from the environment: COROD_BIN, COROD_GUARD_PATHS, COROD_GUARD_LOAD, COROD_GUARD_COUNTS.
"""
import glob
import math
import os
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile

BOUNDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bounds.txt")
BOUND = re.compile(r"(?P<name>\S+) +(?P<bound>[0-9.]+) +(?P<room>[0-9]+%|\+[0-9.]+)(?P<rest>.*)")
MEASUREMENTS = 3
LIMIT_SECONDS = 120  # far more than anything takes
# Nothing outlives this process, however it ends.
END_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, **options)
    if done.returncode != 0:
        sys.exit(f"{command}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


# ---- on one thread

def paths(_bounds):
    """Figures by their names."""
    return {name: float(figure) for name, figure in map(str.split, run(os.environ["COROD_GUARD_PATHS"]).splitlines())}


def instructions(_bounds):
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        printed = run("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}",
                      os.environ["COROD_GUARD_PATHS"], "--instructions")
        totals = {}
        for path in glob.glob(out + ".*"):
            with open(path) as file:
                text = file.read()
            named = re.search(r"^desc: Trigger: Client Request: (\S+)$", text, re.MULTILINE)
            if named:
                totals[named[1]] = int(re.search(r"^totals: (\d+)$", text, re.MULTILINE)[1])
    return {f"instructions/{name}": totals[name] / int(steps) for name, steps in map(str.split, printed.splitlines())}


# ---- over gRPC

class Server:
    """A server process. What is durable is kept in `directory`."""

    def __init__(self, directory, durable, **environment):
        journal = ["--data-dir", os.path.join(directory, "data")] if durable else ["--journal", "memory"]
        self._process = subprocess.Popen(
            [*END_WITH_PARENT, os.environ["COROD_BIN"], "--listen", "127.0.0.1:0", "--log-level", "warning", *journal],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
        line = self._process.stdout.readline()
        ready = re.fullmatch(r"corod \S+ is ready on (\S+)\n", line)
        if not ready:
            raise AssertionError(f"the server said {line!r}")
        self.address = ready[1]

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        self._process.send_signal(signal.SIGKILL if failed else signal.SIGTERM)
        status = self._process.wait(LIMIT_SECONDS)
        self._process.stdout.close()
        assert failed or status == 0, f"the server ended with {status}"


class Load:
    """Steps that are taken at a server, one message at a time."""

    def __init__(self, method, batch, messages, sessions=100, durable=False):
        self.batch = batch
        self.messages = messages
        self.durable = durable
        self._arguments = [method, str(batch), str(messages), str(sessions), "durable" if durable else "ephemeral"]

    def take(self, server, look):
        """Takes them; returns how many messages the answers came in. Calls `look` before and after, while the
        connection is there."""
        with subprocess.Popen([*END_WITH_PARENT, os.environ["COROD_GUARD_LOAD"], server.address, *self._arguments],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
            assert load.stdout.readline() == "ready\n", "the load failed"
            look()
            load.stdin.write("\n")
            load.stdin.flush()
            answered_in = load.stdout.readline()
            look()
            load.stdin.close()
            assert load.wait(LIMIT_SECONDS) == 0, "the load failed"
            return int(answered_in)


LOADS = {
    "unary": Load("unary", 1, 500),
    "unary_durable": Load("unary", 1, 200, durable=True),
    "drive_1": Load("drive", 1, 500),
    "drive_100": Load("drive", 100, 100),
    "drive_100_durable": Load("drive", 100, 50, durable=True),
    "drive_100_durable_one_session": Load("drive", 100, 50, sessions=1, durable=True),
}

# What counts.h counts, in its order.
COUNTED = ("allocations", "reads", "writes", "syncs", "polls", "wakes")


def server(bounds):
    """Each figure is the least of up to so many measurements, until all are within their bounds: what threads do
    differs, and under a load that takes the processor away steps count as slow, and go a longer way."""
    found = {}
    for name, load in LOADS.items():
        least = {}
        for _ in range(MEASUREMENTS):
            for figure, value in counted_in_server(name, load).items():
                least[figure] = min(value, least.get(figure, value))
            if all(value <= bounds.get(figure, value) for figure, value in least.items()):
                break
        found.update(least)
    return found


def counted_in_server(name, load):
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        counts = os.path.join(directory, "counts")
        with open(counts, "wb") as file:
            file.write(bytes(8 * len(COUNTED)))
        seen = []

        def look():
            with open(counts, "rb") as file:
                seen.append(struct.unpack(f"={len(COUNTED)}Q", file.read()))

        with Server(directory, load.durable, LD_PRELOAD=os.environ["COROD_GUARD_COUNTS"],
                    COROD_COUNTS_IN=counts) as process:
            answered_in = load.take(process, look)
    for what, before, after in zip(COUNTED, *seen):
        of = load.messages * (load.batch if what == "allocations" else 1)
        found[f"server_{what}/{name}"] = (after - before) / of
    found[f"server_messages/{name}"] = answered_in / load.messages
    return found


PARTS = {part.__name__: part for part in (paths, instructions, server)}
# What the names of a part's figures begin with.
WORDS = {"paths": {"allocations", "appends", "messages"}, "instructions": {"instructions"},
         "server": {"server_messages"} | {f"server_{what}" for what in COUNTED}}


# ---- the bounds

def text_of(figure):
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.3g}"


def renewed(line, found):
    """The line of bounds.txt with a bound that fits what was found."""
    bound = BOUND.fullmatch(line)
    if not bound or bound["name"] not in found:
        return line
    figure, room = found[bound["name"]], bound["room"]
    figure += float(room) if room[0] == "+" else figure * int(room[:-1]) / 100
    digits = 0 if figure >= 100 else 2
    figure = math.ceil(round(figure * 10**digits, 3)) / 10**digits
    return f"{bound['name']:<50} {figure:>7g} {room:>6}{bound['rest']}"


def main(arguments):
    renew = "--renew" in arguments
    parts = [argument for argument in arguments if argument != "--renew"]
    with open(BOUNDS) as file:
        lines = file.read().splitlines()
    bounds = {bound["name"]: float(bound["bound"]) for bound in map(BOUND.fullmatch, lines) if bound}
    found = {}
    for part in parts:
        if renew and part == "server":
            # Without bounds each measures once.
            several = [server({}) for _ in range(5)]
            found.update({name: statistics.median(figures[name] for figures in several) for name in several[0]})
        else:
            found.update(PARTS[part](bounds))
    if renew:
        with open(BOUNDS, "w") as file:
            file.writelines(renewed(line, found) + "\n" for line in lines)
        return 0
    failed = False
    for name, figure in found.items():
        bound = bounds.get(name)
        exceeds = bound is not None and figure > bound
        failed = failed or exceeds
        verdict = "" if bound is None else f"ABOVE ITS BOUND OF {bound:g}" if exceeds else f"of {bound:g}"
        print(f"{name:<50} {text_of(figure):>8} {verdict}".rstrip())
    for name in bounds.keys() - found.keys():
        if name.partition("/")[0] in set().union(*(WORDS[part] for part in parts)):
            print(f"{name} has a bound and was not measured")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
