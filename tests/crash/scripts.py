"""Kinds of sessions for kill_test.py that run what is defined over the wire: scripts in Lua, and pipelines of them, of what
corod comes with and of expressions. Each with its original in Python, which knows which variant of a script the session has.
"""
import functools

from both_sides import close
from originals import ORIGINALS
from random_input import send_each

# `@p` is the prefix of a client's own names, `@k` what tells one variant from another.
SOURCES = {
    "adder": """
return function()
  local total = 0
  while true do
    local n = yield(total)
    if math.type(n) ~= "integer" then error{type = "TypeError", message = "no integer"} end
    total = total + n * @k
  end
end
""",
    "careful": """
return function()
  local said, steps = {}, 0
  local function round()
    local _ <close> = finally(function(e) said[#said + 1] = e.type end)
    while true do
      steps = steps + 1
      yield(steps * @k)
    end
  end
  while true do
    local _, e = pcall(round)
    if e.type == "GeneratorExit" then return said end
    if #said == 3 then error(e) end
  end
end
""",
    "unit": """
return function(start)
  local sum = 0
  for _ = 1, 2 do
    local n = yield(start + sum + 1000 * @k)
    if math.type(n) ~= "integer" then error{type = "TypeError", message = "no integer"} end
    sum = sum + n
  end
  return sum
end
""",
    "deputy": """
return function()
  local done = 0
  yield("ready @k")
  while true do
    local ok, sum = pcall(delegate, "@punit", {start = done})
    if not ok and sum.type == "GeneratorExit" then error(sum) end
    done = done + (ok and sum or 1)
  end
end
""",
    "clerk": """
return function()
  while true do
    local _, e = pcall(delegate, "batch", {size = @k % 3 + 1})
    if e.type ~= "ValueError" then error(e) end
    yield(list("again", @k))
  end
end
""",
    "keeper": """
return {
  state = {total = 0, seen = {}},
  run = function(state)
    while true do
      local seen = state.seen
      local ok, n = pcall(yield, list(state.total, #seen, seen[#seen], @k))
      if not ok then
        if n.type ~= "ValueError" then error(n) end
        state.total, state.seen = -state.total, {}
      else
        if not math.type(n) then error{type = "TypeError", message = "no number"} end
        state.total = state.total + @k * n
        if #seen == 3 then table.remove(seen, 1) end
        seen[#seen + 1] = n
      end
    end
  end,
}
""",
    "raiser": """
return function()
  local out
  while true do
    local n = yield(out)
    if math.type(n) ~= "integer" then error("no integer: " .. type(n), 0) end
    if n % 7 == 0 then return n * @k end
    if n % 7 == 1 then
      local _, e = pcall(error, {type = "ValueError", message = "inner"})
      error{type = "KeyError", message = "k" .. n * @k, cause = e}
    end
    out = n * @k
  end
end
""",
    "spread": """
return function()
  local out
  while true do
    local n = yield(out)
    out = math.type(n) == "integer" and {n, n * @k} or nil
  end
end
""",
}


def source_of(name, variant, prefix):
    return SOURCES[name].replace("@k", str(variant)).replace("@p", prefix)


# ---- the same in Python

def adder(k):
    total = 0
    while True:
        n = yield total
        if type(n) is not int:
            raise TypeError("no integer")
        total += n * k


def careful(k):
    said, steps = [], 0

    def in_round():
        nonlocal steps
        try:
            while True:
                steps += 1
                yield steps * k
        except BaseException as error:
            said.append(type(error).__name__)
            raise

    while True:
        try:
            yield from in_round()
        except GeneratorExit:
            return said
        except BaseException:
            if len(said) == 3:
                raise


def unit(k, start):
    total = 0
    for _ in range(2):
        n = yield start + total + 1000 * k
        if type(n) is not int:
            raise TypeError("no integer")
        total += n
    return total


def deputy(k, unit_k):
    done = 0
    yield f"ready {k}"
    while True:
        try:
            total = yield from unit(unit_k, done)
        except GeneratorExit:
            raise
        except BaseException:
            total = 1
        done += total


def clerk(k):
    while True:
        try:
            yield from ORIGINALS["batch"](k % 3 + 1)
        except ValueError:
            pass
        yield ["again", k]


def keeper(k):
    total, seen = 0, []
    while True:
        try:
            n = yield [total, len(seen), seen[-1] if seen else None, k]
        except ValueError:
            total, seen = -total, []
            continue
        if type(n) not in (int, float):
            raise TypeError("no number")
        total += k * n
        seen = [*seen[-2:], n]


def raiser(k):
    out = None
    while True:
        n = yield out
        if type(n) is not int:
            kind = {type(None): "nil", str: "string", float: "number", bool: "boolean", list: "table"}[type(n)]
            raise RuntimeError(f"no integer: {kind}")
        if n % 7 == 0:
            return n * k
        if n % 7 == 1:
            raise KeyError(f"k{n * k}") from ValueError("inner")
        out = n * k


def spread(k):
    out = None
    while True:
        n = yield out
        out = [n, n * k] if type(n) is int else None


def expression(evaluate):
    result = None
    while True:
        value = yield result
        result = None if value is None else evaluate(value)


class Ended(Exception):
    """A pipeline has ended: with a result, or what it raises."""

    def __init__(self, outcome):
        super().__init__()
        self.outcome = outcome


class Stages:
    """The coroutines of a pipeline, and what came out of it in a step. An outcome is ("yielded" | "returned" | "raised", value).
    None of the stages raises when it is closed."""

    def __init__(self, stages, collect):
        self.generators = [generator for generator, _ in stages]
        self.each = [each for _, each in stages]
        self.collect = collect
        self.out = []

    @staticmethod
    def outcome(call, *arguments):
        try:
            return "yielded", call(*arguments)
        except StopIteration as stop:
            return "returned", stop.value
        except BaseException as error:
            return "raised", error

    def result(self):
        return self.out if self.collect else (self.out[-1] if self.out else None)

    def take(self, at, outcome):
        kind, value = outcome
        if kind == "yielded":
            self.pass_on(at, value)
        elif kind == "returned":
            self.end_at(at, value)
        elif at + 1 == len(self.generators):
            self.close_before(len(self.generators))
            raise Ended(outcome)
        else:
            self.take(at + 1, self.outcome(self.generators[at + 1].throw, value))

    def pass_on(self, at, value):
        if value is None:
            return
        if at + 1 == len(self.generators):
            self.out.append(value)
            return
        for item in value if self.each[at] and isinstance(value, list) else [value]:
            if item is not None:
                self.take(at + 1, self.outcome(self.generators[at + 1].send, item))

    def end_at(self, at, value):
        for behind in range(at + 1, len(self.generators)):
            self.pass_on(behind - 1, value)
            value = close(self.generators[behind])
        self.close_before(at)
        self.pass_on(len(self.generators) - 1, value)
        raise Ended(("returned", self.result()))

    def close_before(self, end):
        returned = None
        for at in reversed(range(end)):
            value = close(self.generators[at])
            if at + 1 == len(self.generators):
                returned = value
        return returned

    def prime(self):
        for at in reversed(range(len(self.generators))):
            self.take(at, self.outcome(next, self.generators[at]))

    def send(self, value):
        self.take(0, self.outcome(self.generators[0].send, value))

    def throw(self, error):
        self.take(0, self.outcome(self.generators[0].throw, error))


def pipeline(make_stages, collect):
    stages = Stages(make_stages(), collect)

    def step(call, *arguments):
        stages.out = []
        try:
            call(*arguments)
            return "yielded", stages.result()
        except Ended as ended:
            return ended.outcome

    kind, value = step(stages.prime)
    while kind == "yielded":
        thrown = None
        try:
            sent = yield value
        except BaseException as error:
            thrown = error
        if thrown is None:
            kind, value = step(stages.send, sent)
        elif isinstance(thrown, GeneratorExit):
            value = stages.close_before(len(stages.generators))
            if value is None:
                raise thrown
            kind = "returned"
        else:
            kind, value = step(stages.throw, thrown)
    if kind == "raised":
        raise value
    return value


# ---- kinds of sessions

class Kind:
    """What a session runs: how it is created, its original, and what is sent to it."""

    def __init__(self, coroutine, arguments, original, commands):
        self.coroutine = coroutine
        self.arguments = arguments
        self.original = original  # makes a generator
        self.commands = commands  # of random numbers: a plan


def integers(rng):
    return send_each(rng, lambda: rng.randrange(-50, 50) if rng.random() < 0.95 else rng.choice([None, "x", 0.5, True, []]),
                     spoil=0)


SIMPLE = {"adder": adder, "careful": careful, "clerk": clerk, "keeper": keeper, "raiser": raiser}
# What a kind needs to be defined.
NEEDS = {**{name: [name] for name in SIMPLE}, "deputy": ["deputy", "unit"], "gathering pipeline": ["spread"],
         "keeping pipeline": ["adder", "keeper"], "ending pipeline": ["unit", "keeper"]}


def kind_of(name, variants, prefix):
    """`variants`: by the name of a script, as it is when the session is created."""
    if name in SIMPLE:
        return Kind(prefix + name, {}, functools.partial(SIMPLE[name], variants[name]), integers)
    if name == "deputy":
        return Kind(prefix + name, {}, functools.partial(deputy, variants["deputy"], variants["unit"]), integers)
    collect = False
    if name == "gathering pipeline":
        collect = True
        k = variants["spread"]
        stages = [{"coroutine": "batch", "arguments": {"size": 2}, "each": True},
                  {"coroutine": prefix + "spread", "each": True}, {"coroutine": "averager"}]
        make = lambda: [(ORIGINALS["batch"](2), True), (spread(k), True), (ORIGINALS["averager"](), False)]
    elif name == "keeping pipeline":
        k, kept = variants["adder"], variants["keeper"]
        stages = [{"coroutine": prefix + "adder"}, {"coroutine": "filter", "arguments": {"expression": "value % 3 > 0"}},
                  {"coroutine": "map", "arguments": {"expression": "value % 7 + 0.5"}}, {"coroutine": prefix + "keeper"}]
        make = lambda: [(adder(k), False), (expression(lambda value: value if value % 3 > 0 else None), False),
                        (expression(lambda value: value % 7 + 0.5), False), (keeper(kept), False)]
    else:
        k, kept = variants["unit"], variants["keeper"]
        stages = [{"coroutine": "filter", "arguments": {"expression": "math.type(value) == 'integer'"}},
                  {"coroutine": prefix + "unit", "arguments": {"start": 5}}, {"coroutine": prefix + "keeper"}]
        make = lambda: [(expression(lambda value: value if type(value) is int else None), False), (unit(k, 5), False),
                        (keeper(kept), False)]
    return Kind("pipeline", {"stages": stages, "collect": collect}, functools.partial(pipeline, make, collect), integers)
