#include "tests/simulation/reference_bodies.h"

#include <algorithm>
#include <utility>

#include "server/coroutine/exception.h"
#include "server/coroutine/map.h"
#include "tests/simulation/reaction.h"

namespace corod::reference {
namespace {

std::string PythonTypeOf(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      return "NoneType";
    case Value::Kind::kBoolean:
      return "bool";
    case Value::Kind::kInteger:
      return "int";
    case Value::Kind::kNumber:
      return "float";
    case Value::Kind::kText:
      return "str";
    case Value::Kind::kBlob:
      return "bytes";
    case Value::Kind::kList:
      return "list";
    case Value::Kind::kMap:
      return "dict";
    case Value::Kind::kMessage:
      return "Message";
    case Value::Kind::kException:
      return value.AsException().type();
  }
  return "";
}

Reaction Averager(State& state, const Signal& signal) {
  if (!IsInput(signal)) return {};
  if (signal.kind == Signal::Kind::kSent) {
    if (signal.value.kind() != Value::Kind::kInteger) {
      return Raises("TypeError",
                    "unsupported operand type(s) for +=: 'float' and '" + PythonTypeOf(signal.value) + "'");
    }
    state.total += static_cast<double>(signal.value.AsInteger());
    ++state.count;
  }
  return Yields(state.count == 0 ? Value() : Value(state.total / static_cast<double>(state.count)));
}

Reaction TokenCounter(State& state, const Signal& signal) {
  if (!IsInput(signal)) return {};
  if (signal.kind == Signal::Kind::kStart) {
    state.held = Map();
  } else if (signal.value.kind() != Value::Kind::kText) {
    return Raises("TypeError", "token must be str, not " + PythonTypeOf(signal.value));
  } else {
    Map counts = state.held.AsMap();
    Value& count = counts[signal.value.AsText()];
    count = count.is_null() ? Value(1) : Value(count.AsInteger() + 1);
    state.held = std::move(counts);
  }
  return Yields(state.held);
}

Reaction Echo(State&, const Signal& signal) { return IsInput(signal) ? Yields(signal.value) : Reaction(); }

Reaction Counter(State& state, const Signal& signal) { return IsInput(signal) ? Yields(++state.count) : Reaction(); }

Reaction Tallying(State& state, const Signal& signal) {
  const bool caught = signal.kind == Signal::Kind::kThrown && signal.value.AsException().type() == "ValueError";
  return IsInput(signal) || caught ? Yields(++state.count) : Reaction();
}

Reaction LastWords(State&, const Signal& signal) {
  if (signal.kind == Signal::Kind::kExit) return Returns("bye");
  return IsInput(signal) ? Yields(Value()) : Reaction();
}

Reaction Stubborn(State& state, const Signal& signal) {
  if (signal.kind == Signal::Kind::kExit && state.count < state.argument) return Yields(++state.count);
  return IsInput(signal) ? Yields(state.count) : Reaction();
}

Reaction Dicing(State&, const Signal& signal) {
  if (signal.kind == Signal::Kind::kStart) return Yields(Value());
  return {signal.kind == Signal::Kind::kSent ? Reaction::Kind::kDraws : Reaction::Kind::kPasses, Value()};
}

int DepthOf(const Value& value) {
  int inside = 0;
  if (value.kind() == Value::Kind::kList) {
    for (const Value& item : value.AsList()) inside = std::max(inside, DepthOf(item));
  } else if (value.kind() == Value::Kind::kMap) {
    for (const Map::Entry& entry : value.AsMap()) inside = std::max(inside, DepthOf(entry.value));
  } else {
    return 0;
  }
  return inside + 1;
}

// splitmix64's finaliser, and back.
std::uint64_t Mix(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}
std::uint64_t Unmix(std::uint64_t bits) {
  bits = (bits ^ (bits >> 31) ^ (bits >> 62)) * 0x319642b2d24d8ec3;
  bits = (bits ^ (bits >> 27) ^ (bits >> 54)) * 0x96de1b173f119089;
  return bits ^ (bits >> 30) ^ (bits >> 60);
}
constexpr std::uint64_t kFirstOfStep = 0x9e3779b97f4a7c15;

}  // namespace

Reaction Obedient(State&, const Signal& signal) {
  if (!IsInput(signal)) return {};
  if (signal.kind == Signal::Kind::kStart) return Yields(Value());
  if (signal.value.kind() != Value::Kind::kMap) {
    return Raises("TypeError", "expected dict, not " + PythonTypeOf(signal.value));
  }
  const Map::Entry& order = *signal.value.AsMap().begin();
  if (order.key == "return") return Returns(order.value);
  if (order.key == "raise") return Raises("ValueError", order.value);
  return Yields(order.value);
}

class Body {
 public:
  const char* name;
  Reaction (*react)(State&, const Signal&);
  const char* coroutine = nullptr;  // that is shown; nullptr: the name
  const char* script = nullptr;     // whose variant is the argument

  Expected Resume(State& state, Signal signal, const Input& input, int max_depth) const {
    const bool was_closing = signal.kind == Signal::Kind::kExit;
    const Reaction reaction = react(state, signal);
    if (reaction.kind == Reaction::Kind::kYields || reaction.kind == Reaction::Kind::kDraws) {
      state.phase = State::Phase::kSuspended;
      if (was_closing) return {Outcome::Raised(Exception("RuntimeError", {"generator ignored GeneratorExit"}))};
      if (reaction.kind == Reaction::Kind::kDraws) {
        if (state.draws_from == 0) state.draws_from = input.step;
        return {.outcome = {}, .draws = true, .draws_from = state.draws_from};
      }
      return Bounded(Outcome::Yielded(reaction.value), "yielded", max_depth);
    }
    state.phase = State::Phase::kClosed;
    state.held = Value();
    if (reaction.kind == Reaction::Kind::kReturns) {
      return Bounded(Outcome::Returned(reaction.value), "returned", max_depth);
    }
    if (reaction.kind == Reaction::Kind::kRaises) return {Outcome::Raised(reaction.value.AsException())};
    if (was_closing) return {Outcome::Returned(Value())};
    return {Outcome::Raised(signal.value.AsException())};
  }

 private:
  static Expected Bounded(Outcome outcome, const std::string& verb, int max_depth) {
    if (DepthOf(outcome.value) <= max_depth) return {std::move(outcome)};
    return {Outcome::Raised(Exception("ValueError", {verb + " value too deep"}))};
  }
};

namespace {

constexpr int kClosesBeforeDrop = 3;

constexpr Body kBodies[] = {
    {"averager", &Averager},
    {"token_counter", &TokenCounter},
    {"echo", &Echo},
    {"counter", &Counter},
    {"tallying", &Tallying},
    {"last_words", &LastWords},
    {"stubborn", &Stubborn},
    {"obedient", &Obedient},
    {"dicing", &Dicing},
    {"lua_adder", &LuaAdder, nullptr, "lua_adder"},
    {"lua_careful", &LuaCareful, nullptr, "lua_careful"},
    {"lua_clerk", &LuaClerk, nullptr, "lua_clerk"},
    {"lua_deputy", &LuaDeputy, nullptr, "lua_unit"},
    {"lua_keeper", &LuaKeeper, nullptr, "lua_keeper"},
    {"lua_raiser", &LuaRaiser, nullptr, "lua_raiser"},
    {"spreading_pipeline", &SpreadingPipeline, "pipeline", "lua_spread"},
    {"tallying_pipeline", &TallyingPipeline, "pipeline", "lua_adder"},
};

Expected Close(const Body& body, State& state, const Input& input, int max_depth) {
  const bool deletes = input.operation == Operation::kDelete;
  const bool patient = input.by_server || (deletes && !input.force);
  const bool drops = input.by_server || deletes || input.force;
  Expected expected{Outcome::Returned(Value())};
  for (int closes = 0; closes < (patient ? kClosesBeforeDrop : 1); ++closes) {
    if (state.phase != State::Phase::kSuspended) break;
    expected = body.Resume(state, {Signal::Kind::kExit, Value()}, input, max_depth);
  }
  if (state.phase == State::Phase::kSuspended && drops) {
    Exception ignored = expected.outcome.exception();
    ignored.AddNote("the coroutine ignored the close and was dropped");
  }
  if (state.phase != State::Phase::kSuspended || drops) {
    state.phase = State::Phase::kClosed;
    state.held = Value();
  }
  return expected;
}

}  // namespace

const Body* FindBody(std::string_view name) {
  for (const Body& body : kBodies) {
    if (name == body.name) return &body;
  }
  return nullptr;
}

std::string_view CoroutineOf(const Body& body) { return body.coroutine ? body.coroutine : body.name; }

std::string_view ScriptOf(const Body& body) { return body.script ? body.script : ""; }

bool NeedsScript(const Body& body) { return body.react != &LuaDeputy; }

Expected Take(const Body& body, State& state, const Input& input, int max_depth) {
  const bool closed = state.phase == State::Phase::kClosed;
  const bool created = state.phase == State::Phase::kCreated;
  switch (input.operation) {
    case Operation::kSend:
    case Operation::kCreate:
      if (closed) return {Outcome::Returned(Value())};
      return body.Resume(state, {created ? Signal::Kind::kStart : Signal::Kind::kSent, input.value}, input, max_depth);
    case Operation::kThrow:
      if (created) state.phase = State::Phase::kClosed;
      if (closed || created) return {Outcome::Raised(input.value.AsException())};
      return body.Resume(state, {Signal::Kind::kThrown, input.value}, input, max_depth);
    case Operation::kClose:
    case Operation::kDelete:
      return Close(body, state, input, max_depth);
  }
  return {};
}

std::uint64_t RandomOf(std::uint64_t chance, Step step) { return Mix(Mix(chance + step) + kFirstOfStep); }

std::uint64_t ChanceOf(std::uint64_t random, Step step) { return Unmix(Unmix(random) - kFirstOfStep) - step; }

}  // namespace corod::reference
