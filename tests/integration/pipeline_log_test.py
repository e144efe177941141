"""A real log file through one pipeline, parsed by a script, against generators behind each other: equal to the last digit.

data/dpkg.log is from a Debian 12 machine on which packages were upgraded and installed: its /var/log/dpkg.log of two days.
"""
import collections
import datetime
import hashlib
import itertools
import json
import os
import random
import statistics
import subprocess
import unittest

import corod_testing as testing
from corod_testing import pb, session_pb2

LOG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "dpkg.log")
WINDOW = 12

# Each status of a package, with the minutes since dpkg began with it.
PROGRESS = """
local function seconds(year, month, day, hour, minute, second)
  if month < 3 then year, month = year - 1, month + 12 end
  local days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day
  return ((days * 24 + hour) * 60 + minute) * 60 + second
end

return function()
  local begun = {}
  local record
  while true do
    local line = yield(record)
    record = nil
    local date, word, rest = line:match("^(%S+ %S+) (%S+) (.*)$")
    local fields = {}
    for digits in date:gmatch("%d+") do fields[#fields + 1] = math.tointeger(tonumber(digits)) end
    local at = seconds(table.unpack(fields))
    if word == "status" then
      local status, package = rest:match("^(%S+) (%S+)")
      if begun[package] then
        record = {package = package, status = status, minutes = (at - begun[package]) / 60}
        if status == "installed" then begun[package] = nil end
      end
    elseif word ~= "startup" then
      local package = rest:match("^%S+")
      begun[package] = begun[package] or at
    end
  end
end
"""

MEAN = """
return function()
  local mean
  while true do
    local sum, window = 0, yield(mean)
    for _, number in ipairs(window) do sum = sum + number end
    mean = #window > 0 and sum / #window or nil
  end
end
"""


def stage(coroutine, each=False, **arguments):
    return {"coroutine": coroutine, **({"arguments": arguments} if arguments else {}), **({"each": True} if each else {})}


PARSED = [stage("line_splitter", each=True), stage("progress")]
SELECTED = [*PARSED, stage("filter", expression="value.status == 'installed' or value.status == 'unpacked'"),
            stage("select", field="minutes")]
AVERAGED = [*SELECTED, stage("sliding_window", size=WINDOW), stage("mean")]


def lines(chunks):
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from whole


def progress(log):
    begun = {}
    for line in log:
        day, time, word, first, *others = line.split(" ")
        at = datetime.datetime.fromisoformat(f"{day} {time}")
        if word == "status":
            package = others[0]
            if package in begun:
                yield {"package": package, "status": first, "minutes": (at - begun[package]).total_seconds() / 60}
                if first == "installed":
                    del begun[package]
        elif word != "startup":
            begun.setdefault(first, at)


def selected(records):
    for record in records:
        if record["status"] in ("installed", "unpacked"):
            yield record["minutes"]


def windows(numbers, size):
    window = collections.deque(maxlen=size)
    for number in numbers:
        window.append(number)
        yield list(window)


def averages(lists):
    for numbers in lists:
        total = 0.0
        for number in numbers:  # not sum(), which is more exact since 3.12
            total += number
        yield total / len(numbers)


def statistics_of(lists):
    for numbers in lists:
        several = len(numbers) > 1
        yield {"count": len(numbers), "mean": statistics.mean(numbers),
               "variance": statistics.variance(numbers) if several else None,
               "standard_deviation": statistics.stdev(numbers) if several else None,
               "min": min(numbers), "max": max(numbers)}


def running_averages(numbers):
    total = 0.0
    for count, number in enumerate(numbers, 1):
        total += number
        yield total / count


def averaged(records):
    return averages(windows(selected(records), WINDOW))


# The stages of a pipeline, and the generators that do the same behind progress().
PIPELINES = {
    "records": (PARSED, lambda records: records),
    "averages of windows": (AVERAGED, averaged),
    "statistics of windows": ([*SELECTED, stage("rolling_stats", window=WINDOW)],
                              lambda records: statistics_of(windows(selected(records), WINDOW))),
    "average of all windows": ([*SELECTED, stage("sliding_window", each=True, size=WINDOW), stage("averager")],
                               lambda records: running_averages(number for window in windows(selected(records), WINDOW)
                                                                for number in window)),
}


def expected(chunks, end):
    """For each chunk the list of what comes out of the generators before they ask for the next one."""
    outcomes = []

    def fed():
        for chunk in chunks:
            outcomes.append([])
            yield chunk

    for result in end(progress(lines(fed()))):
        outcomes[-1].append(result)
    return outcomes


def line_of(stages):
    """As coroctl takes it."""
    def text(stage):
        each = ["each=true"] if stage.get("each") else []
        arguments = [f"{name}={json.dumps(value)}" for name, value in stage.get("arguments", {}).items()]
        return " ".join([stage["coroutine"], *arguments, *each])
    return " | ".join(map(text, stages))


def digest(outcomes):
    """repr gives each float to its last digit."""
    return hashlib.sha256(repr(outcomes).encode()).hexdigest()


class PipelineLogTest(testing.DurableServerTest):
    """Each test has a server on a directory of its own, and comes back to it."""

    BINARY = "COROD_BIN"

    @classmethod
    def setUpClass(cls):
        with open(LOG, encoding="ascii") as file:
            cls.log = file.read()
        assert cls.log.endswith("\n") and cls.log.count("\n") > 1_000

    def coroctl(self, *arguments, data=b""):
        ended = subprocess.run([testing.binary("COROCTL"), "--server", self.server.address, *arguments], input=data,
                               capture_output=True, timeout=testing.CALL_SECONDS)
        self.assertEqual((ended.returncode, ended.stderr), (0, b""))
        return ended.stdout.decode()

    def define(self):
        for name, source in (("progress", PROGRESS), ("mean", MEAN)):
            self.coroctl("define", "-", "--name", name, data=source.encode())

    def chunks(self, seed, longest=1_000):
        """The log, cut anywhere."""
        cut = random.Random(seed)
        chunks, at = [], 0
        while at < len(self.log):
            size = cut.randint(1, longest)
            chunks.append(self.log[at:at + size])
            at += size
        self.assertTrue(any(chunk.count("\n") > 1 for chunk in chunks))
        self.assertTrue(any("\n" not in chunk for chunk in chunks))
        self.assertTrue(sum(not chunk.endswith("\n") for chunk in chunks) > len(chunks) // 2)
        return chunks

    def send(self, session_id, chunks):
        """What each of them makes the pipeline yield."""
        outcomes = []
        for chunk in chunks:
            kind, value = self.client.send(session_id, chunk).outcome
            self.assertEqual(kind, "yielded", value)
            outcomes.append(value)
        return outcomes

    def assert_same(self, outcomes, wanted):
        """To the last digit of every number."""
        self.assertEqual(len(outcomes), len(wanted))
        for number, (outcome, want) in enumerate(zip(outcomes, wanted)):
            self.assertEqual(repr(outcome), repr(want), f"number {number}")

    def test_every_outcome_is_that_of_generators(self):
        self.start()
        self.define()
        for name, (stages, end) in PIPELINES.items():
            for durability in (session_pb2.DURABILITY_DURABLE, session_pb2.DURABILITY_EPHEMERAL):
                with self.subTest(name, durability=durability):
                    chunks = self.chunks(f"{name} {durability}")
                    wanted = expected(chunks, end)
                    self.assertGreater(sum(map(len, wanted)), 400)
                    created = self.client.create("pipeline", "", {"stages": stages, "collect": True}, prime=True,
                                                 durability=durability)
                    self.assertEqual(created.primed.outcome, ("yielded", []))
                    self.assert_same(self.send(created.session.session_id, chunks), wanted)
                    self.assertEqual(self.client.close(created.session.session_id).outcome, ("returned", None))

    def test_chunks_of_a_character(self):
        self.start()
        self.define()
        self.client.create("pipeline", "p", {"stages": AVERAGED, "collect": True}, prime=True,
                           durability=session_pb2.DURABILITY_EPHEMERAL)
        beginning = self.log[:20_000]
        replies = self.client.drive(*(testing.sends("p", character) for character in beginning))
        self.assert_same([reply.value for reply in replies], expected(beginning, averaged))

    def test_without_collect_it_is_the_last_of_each_chunk(self):
        self.start()
        self.define()
        self.client.create("pipeline", "p", {"stages": AVERAGED}, prime=True)
        chunks = self.chunks("last")
        self.assert_same(self.send("p", chunks), [results[-1] if results else None for results in expected(chunks, averaged)])

    def test_dropped_and_run_again_it_goes_on_as_if_nothing_had_been(self):
        self.start("--passivate-after", "20ms")
        self.define()
        arguments = {"stages": AVERAGED, "collect": True}
        self.client.create("pipeline", "p", arguments, prime=True)
        chunks = self.chunks("dropped")
        wanted = digest(expected(chunks, averaged))
        outcomes = []
        parts = 8
        for part in range(parts):
            outcomes += self.send("p", chunks[len(chunks) * part // parts:len(chunks) * (part + 1) // parts])
            if part % 2 == 0:
                testing.eventually(lambda: not self.client.get("p").live, "the pipeline sleeps")
            else:
                self.come_back("--passivate-after", "20ms")
        self.assertEqual(digest(outcomes), wanted)
        # All once more, from the log alone.
        self.come_back("--passivate-after", "0")
        watched = self.client.stub.Watch(pb.WatchRequest(session_id="p", from_step=2), timeout=testing.CALL_SECONDS)
        again = [testing.outcome_of(next(watched).event.outcome) for _ in chunks]
        watched.cancel()
        self.assertEqual([step.step for step in again], list(range(2, len(chunks) + 2)))
        self.assertEqual(digest([step.value for step in again]), wanted)

    def test_each_session_has_states_of_its_own(self):
        self.start()
        self.define()
        ahead, behind = self.chunks("ahead"), self.chunks("behind")
        for session_id in ("a", "b"):
            self.client.create("pipeline", session_id, {"stages": AVERAGED, "collect": True}, prime=True)
        outcomes = {"a": self.send("a", ahead[:100]), "b": []}
        turns = itertools.zip_longest([("a", chunk) for chunk in ahead[100:]], [("b", chunk) for chunk in behind])
        for session_id, chunk in filter(None, itertools.chain.from_iterable(turns)):
            outcomes[session_id] += self.send(session_id, [chunk])
        self.assert_same(outcomes["a"], expected(ahead, averaged))
        self.assert_same(outcomes["b"], expected(behind, averaged))

    def test_created_on_a_line(self):
        self.start()
        self.define()
        chunks = self.chunks("line")
        for name, (stages, end) in PIPELINES.items():
            with self.subTest(name):
                session_id, state, primed = self.coroctl("create", line_of(stages), "collect=true", "--prime").split()
                self.assertEqual((state, primed), ("suspended", "[]"))
                shown = self.client.get(session_id)
                self.assertEqual(testing.from_proto(shown.arguments["stages"]), stages)
                self.assert_same(self.send(session_id, chunks), expected(chunks, end))

    def test_piped_through_a_line(self):
        self.start()
        self.define()
        by_line = self.log.splitlines(keepends=True)
        for name, (stages, end) in PIPELINES.items():
            with self.subTest(name):
                wanted = expected(by_line, end)
                self.assert_same(self.piped(stages), wanted)
                blocks = self.piped(stages, "--chunks")
                self.assert_same(list(itertools.chain.from_iterable(blocks)), list(itertools.chain.from_iterable(wanted)))

    def piped(self, stages, *flags):
        printed = self.coroctl("pipe", line_of(stages), "collect=true", *flags, data=self.log.encode())
        return [json.loads(text) for text in printed.splitlines()]


if __name__ == "__main__":
    unittest.main()
