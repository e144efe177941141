"""A server under sanitizers that many clients use for a while, some of them badly: nothing leaks, nothing is stuck, and what it
counted is what its clients were told.

Usage: soak_test.py [--seconds 60 | --minutes 10] [--seed N]

The server is that of COROD_SOAK_SERVER; PYTHONPATH holds the stubs.
"""
import argparse
import collections
import contextlib
import hashlib
import multiprocessing
import os
import random
import re
import secrets
import statistics
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import corod_testing as testing  # noqa: E402
from actors import ROLES, SCRIPTS, World  # noqa: E402
from corod.v1 import catalog_service_pb2 as catalog_pb  # noqa: E402
from corod_testing import session_pb2  # noqa: E402
from metrics import compare, scrape  # noqa: E402
from telling import Caller, Tally  # noqa: E402

SLOW_SECONDS = 4
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=16:malloc_context_size=12:allocator_release_to_os_interval_ms=500",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
# What memory may grow by from the middle of the second quarter to the middle of the last. In the long run that is less than
# 100 bytes for each session that is made between the two; in the short run it only finds what is gross.
LONG_SECONDS = 600
MAY_GROW = {True: 16 << 20, False: 32 << 20}
LEAK_BYTES = 100

# Who is there: a process for each line, in it a thread for each actor, and the namespace that it is in.
CAST = [
    [("drive_ephemeral", "calm"), ("drive_durable", "calm"), ("drive_large", "calm"), ("drive_script", "rough")],
    [("churn", "calm"), ("churn", "rough"), ("watch", "calm"), ("watch", "rough"), ("copy", "calm"), ("define", "rough"),
     ("sleep_and_wake", "calm"), ("strangers", "rough"), ("taken_away", "rough")],
    [("slow_drive", "rough"), ("slow_watch", "rough"), ("give_up", "rough"), ("break_connections", "rough"),
     ("beyond_limits", "tight"), ("little_memory", "small")],
]
NAMESPACES = ("calm", "rough", "tight", "small")
LIMITS = "tight sessions=40 commands=200 streams=2\nsmall memory=2MiB\n* sessions=100000\n"
GUESTS_NAMESPACE = "rough"


def new_token(name, namespace, role):
    """A token, and its line in the file of identities."""
    secret, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
    digest = hashlib.sha256(salt + secret.encode()).hexdigest()
    return f"{name}.{secret}", f"{name} {namespace} {role} sha256:{salt.hex()}:{digest}\n"


class Tokens:
    """Two tokens for each namespace, the file that says so, and a guest in it."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "identities")
        self.of = {}
        lines = ""
        for namespace in NAMESPACES:
            for role in "define", "observe":
                self.of[namespace, role], line = new_token(f"{role}-{namespace}", namespace, role)
                lines += line
        self.guest = Guest(self.path, lines)
        self.guest.go()


class Guest:
    """Somebody whose token is in the file of identities now and then."""

    def __init__(self, path, others):
        self.token, self._line = new_token("guest", GUESTS_NAMESPACE, "drive")
        self._path, self._others = path, others

    def come(self):
        self._write(self._others + self._line)

    def go(self):
        self._write(self._others)

    def _write(self, text):
        with open(f"{self._path}.new", "w", encoding="ascii") as file:
            file.write(text)
        os.replace(f"{self._path}.new", self._path)


class Memory(threading.Thread):
    """What the server has allocated and not freed, looked at again and again."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self._path = path
        self._ended = threading.Event()
        self._began = time.monotonic()
        self._seen = []

    def run(self):
        while not self._ended.wait(0.2):
            self._seen.append((time.monotonic() - self._began, self.now()))

    def now(self):
        with open(self._path, encoding="ascii") as file:
            return int(file.readline())

    def end(self):
        self._ended.set()
        self.join()

    def tenths(self):
        """The medians of ten parts of the time."""
        return [self._median(part / 10, (part + 1) / 10) for part in range(10)]

    def quarter(self, number):
        """The median of one quarter of the time, from 1 to 4."""
        return self._median((number - 1) / 4, number / 4)

    def _median(self, begin, end):
        whole = self._seen[-1][0]
        return statistics.median(size for when, size in self._seen if begin * whole <= when <= end * whole)


# ---- the clients' processes

def play(parts, address, tokens, end, seed, failed, results):
    """One process: its actors until `end` (monotonic), or until somebody has failed."""
    tally = Tally()
    errors = []
    progress = collections.Counter()

    def act(number, role, namespace):
        world = World(name=f"{role.replace('_', '-')}-{number}" if role != "define" else f"{role}{number}",
                      random=random.Random(f"{seed}-{role}-{number}"), address=address, tally=tally, slow_seconds=SLOW_SECONDS,
                      observer=tokens.of[namespace, "observe"], guest=tokens.guest,
                      connect=lambda to=address, token=tokens.of[namespace, "define"]: Caller(to, token, namespace, tally))
        try:
            with contextlib.closing(ROLES[role](world)) as actor:
                for _ in actor:
                    progress[role] += 1
                    if time.monotonic() >= end or failed.is_set():
                        break
        except Exception:  # pylint: disable=broad-except
            failed.set()
            errors.append(f"{role} in {namespace}:\n{traceback.format_exc()}")

    threads = [threading.Thread(target=act, args=(number, *part)) for number, part in enumerate(parts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((tally.counts, errors, progress))


def play_all(server, tokens, seconds, seed):
    """What all were told; fails with what the first of them found."""
    context = multiprocessing.get_context("spawn")
    failed, results = context.Event(), context.SimpleQueue()
    end = time.monotonic() + seconds
    processes = [context.Process(target=play, args=(parts, server.address, tokens, end, seed, failed, results), daemon=True)
                 for parts in CAST]
    for process in processes:
        process.start()
    tally, errors, progress = Tally(), [], collections.Counter()
    for _ in processes:
        counts, wrong, steps = results.get()
        tally.counts.update(counts)
        errors.extend(wrong)
        progress.update(steps)
    for process in processes:
        process.join()
    print("turns:", ", ".join(f"{role} {count}" for role, count in sorted(progress.items())))
    if errors:
        raise AssertionError("\n".join(errors))
    for role in {role for parts in CAST for role, _ in parts}:
        if not progress[role]:
            raise AssertionError(f"{role} did nothing")
    return tally


# ---- before and after

def define_scripts(server, tokens, tally):
    for namespace in NAMESPACES:
        with Caller(server.address, tokens.of[namespace, "define"], namespace, tally) as client:
            for name, source in SCRIPTS.items():
                request = catalog_pb.DefineCoroutineRequest(coroutine=catalog_pb.Coroutine(name=name, source=source))
                client.call("DefineCoroutine", lambda: client.catalog.DefineCoroutine(request, timeout=testing.CALL_SECONDS))


def finish_sessions(server, tokens, tally):
    """That every session there is answers; deletes them all. How many there were."""
    found = 0
    for namespace in NAMESPACES:
        with Caller(server.address, tokens.of[namespace, "define"], namespace, tally) as client:
            pages = client.list_all(page_size=1000)
            client.told("List", "done", len(pages))
            for session in [session for page in pages for session in page.sessions]:
                found += 1
                for method in "send", "delete":
                    testing.eventually(lambda: client.ask(method, session.session_id, may={"RATE_LIMITED", "MEMORY_LIMIT"}) != "RATE_LIMITED",
                                       f"{method} to {session.session_id}")
            left = [session.session_id for page in client.list_all() for session in page.sessions]
            client.told("List", "done")
            if left:
                raise AssertionError(f"sessions that were deleted are there: {left[:5]}")
    return found


def check_memory(memory, tally, seconds):
    before, after = memory.quarter(2), memory.quarter(4)
    is_long = seconds >= LONG_SECONDS
    may_grow = MAY_GROW[is_long]
    print(f"memory: {before / 2**20:.1f} MiB in the second quarter, {after / 2**20:.1f} MiB in the last; "
          f"may grow by {may_grow / 2**20:.0f} MiB; in ten parts: {' '.join(f'{part / 2**20:.0f}' for part in memory.tenths())}")
    between = 0
    for kind in "ephemeral", "durable":
        made = tally.of("sessions", kind)
        between += made / 2
        print(f"{kind} sessions made: {made}, {made / seconds:.0f} a second; "
              f"a leak of {may_grow / (made / 2):.0f} bytes in each would be found")
    if is_long and between * LEAK_BYTES <= may_grow:
        raise AssertionError(f"too few sessions to find a leak of {LEAK_BYTES} bytes in each")
    if after - before > may_grow:
        raise AssertionError(f"memory grew by {(after - before) / 2**20:.1f} MiB")


def check_slow(tally):
    """That those who did not read were told so, and those who would not hear it were cut."""
    seen = {key[1:]: count for key, count in tally.counts.items() if key[0] == "slow"}
    print("slow readers:", ", ".join(f"{rpc} {reason} {count}" for (rpc, reason), count in sorted(seen.items())))
    for rpc, reason in ("Drive", "READER_TOO_SLOW"), ("Watch", "WATCHER_TOO_SLOW"):
        if not seen.get((rpc, reason)):
            raise AssertionError(f"no {rpc} that did not read was told {reason}: {seen}")


def soak(seconds, seed, directory):
    tokens = Tokens(directory)
    limits = os.path.join(directory, "limits")
    with open(limits, "w", encoding="ascii") as file:
        file.write(LIMITS)
    # Sessions sleep and are forgotten within the time. Under sanitizers a script may take seconds.
    told = os.environ["COROD_SOAK_MEMORY"] = os.path.join(directory, "memory")
    server = testing.Server(testing.binary("COROD_SOAK_SERVER"), "--identities", tokens.path, "--limits", limits, "--metrics", "127.0.0.1:0",
                            "--slow-reader-timeout", f"{SLOW_SECONDS}s", "--passivate-after", "1s", "--retention", "2s",
                            "--checkpoint-every", "50", "--history", "100", "--sync", "interval", "--max-queue-delay", "60s",
                            data_dir=os.path.join(directory, "data"), log_level="warning,server=info")
    try:
        port = re.search(r"serving metrics.*port=(\d+)", server.stderr())[1]
        memory = Memory(told)
        setting_up = Tally()
        define_scripts(server, tokens, setting_up)
        memory.start()
        tally = play_all(server, tokens, seconds, seed)
        memory.end()
        tally.counts.update(setting_up.counts)
        print(f"sessions at the end, all of which answer: {finish_sessions(server, tokens, tally)}")
        check_slow(tally)
        for line in testing.eventually(lambda: compare(scrape(port), tally), "the server counts what is over"):
            print(line)
        check_memory(memory, tally, seconds)
        said = server.stderr()
        server.terminate()
        server.wait()  # with status 0, which is another if something leaked
        if wrong := re.search(r"^.*(Sanitizer|runtime error).*$", said, re.MULTILINE):
            raise AssertionError(wrong[0])
    except BaseException:
        print(server.stderr()[-20_000:], file=sys.stderr)
        server.kill()
        raise


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, default=60)
    length.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    options = parser.parse_args()
    seconds = options.seconds if options.minutes is None else 60 * options.minutes
    print(f"{seconds:.0f} s, --seed {options.seed}", flush=True)
    for variable, value in SANITIZERS.items():
        os.environ[variable] = ":".join(filter(None, [os.environ.get(variable), value]))
    with tempfile.TemporaryDirectory() as directory:
        soak(seconds, options.seed, directory)


if __name__ == "__main__":
    main()
