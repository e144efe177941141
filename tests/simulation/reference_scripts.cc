#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include "server/coroutine/map.h"
#include "tests/simulation/reaction.h"

namespace corod::reference {
namespace {

bool IsSentInteger(const Signal& signal) {
  return signal.kind == Signal::Kind::kSent && signal.value.kind() == Value::Kind::kInteger;
}

std::int64_t IntegerAt(const List& list, std::size_t at) { return list[at].AsInteger(); }

}  // namespace

// count: the total.
Reaction LuaAdder(State& state, const Signal& signal) {
  if (!IsInput(signal)) return {};
  if (signal.kind == Signal::Kind::kSent) {
    if (!IsSentInteger(signal)) return Raises("RuntimeError", "lua_adder:5: no integer");
    state.count += signal.value.AsInteger() * state.argument;
  }
  return Yields(state.count);
}

// count: the steps; held: what the finalizers said.
Reaction LuaCareful(State& state, const Signal& signal) {
  if (signal.kind == Signal::Kind::kStart) state.held = List();
  if (IsInput(signal)) return Yields(++state.count * state.argument);
  List said = state.held.AsList();
  const bool closes = signal.kind == Signal::Kind::kExit;
  said.push_back(closes ? "GeneratorExit" : signal.value.AsException().type());
  state.held = said;
  if (!closes) return said.size() == 3 ? Reaction() : Yields(++state.count * state.argument);
  if (said.size() % 2 == 0) return Raises("KeyError", "even");
  return Returns(std::move(said));
}

// count: the sum; held: null, or what the clerk has yielded itself.
Reaction LuaClerk(State& state, const Signal& signal) {
  const auto says = [&state](std::int64_t n) {
    state.count += n * state.argument;
    state.held = true;
    return Yields(state.count);
  };
  if (signal.kind == Signal::Kind::kStart) return Yields(Value());
  if (!state.held.is_null()) {
    if (signal.kind != Signal::Kind::kSent) return {};
    state.held = Value();
    return Yields(Value());
  }
  if (signal.kind == Signal::Kind::kExit) return {};
  if (signal.kind == Signal::Kind::kThrown) {
    return signal.value.AsException().type() == "ValueError" ? says(-1) : Reaction();
  }
  Reaction inner = Obedient(state, signal);
  if (inner.kind == Reaction::Kind::kReturns) return says(inner.value.AsInteger());
  if (inner.kind == Reaction::Kind::kRaises && inner.value.AsException().type() == "ValueError") return says(-1);
  return inner;
}

// held: null, while it has not delegated; then what is done, and of the unit: how many it was sent, and their sum.
Reaction LuaDeputy(State& state, const Signal& signal) {
  std::int64_t done = 0;
  std::int64_t sent = 0;
  std::int64_t sum = 0;
  const auto shows = [&] {
    state.held = List{done, sent, sum};
    return Yields(done + sum + 1000 * state.argument);
  };
  if (signal.kind == Signal::Kind::kStart) return Yields("ready");
  if (state.held.is_null()) {
    if (signal.kind != Signal::Kind::kSent) return {};
    if (state.argument == 0) return Raises("LookupError", "no coroutine 'lua_unit' in the catalog");
    return shows();
  }
  if (signal.kind == Signal::Kind::kExit) return {};
  const List held = state.held.AsList();
  done = IntegerAt(held, 0);
  if (!IsSentInteger(signal)) {
    ++done;
    return shows();
  }
  sent = IntegerAt(held, 1) + 1;
  sum = IntegerAt(held, 2) + signal.value.AsInteger();
  if (sent == 2) {
    done += sum;
    sent = sum = 0;
  }
  return shows();
}

// count: the total; held: the last three that were sent.
Reaction LuaKeeper(State& state, const Signal& signal) {
  if (signal.kind == Signal::Kind::kStart) state.held = List();
  if (signal.kind == Signal::Kind::kExit) return {};
  List seen = state.held.AsList();
  if (signal.kind == Signal::Kind::kThrown) {
    if (signal.value.AsException().type() != "ValueError") return {};
    state.count = -state.count;
    seen.clear();
  } else if (signal.kind == Signal::Kind::kSent) {
    if (!IsSentInteger(signal)) return Raises("TypeError", "no integer");
    state.count += state.argument * signal.value.AsInteger();
    if (seen.size() == 3) seen.erase(seen.begin());
    seen.push_back(signal.value);
  }
  state.held = seen;
  return Yields(
      List{state.count, static_cast<std::int64_t>(seen.size()), seen.empty() ? Value() : seen.back(), state.argument});
}

Reaction LuaRaiser(State& state, const Signal& signal) {
  if (!IsInput(signal)) return {};
  if (signal.kind == Signal::Kind::kStart) return Yields(Value());
  const Value& order = signal.value;
  if (order.kind() == Value::Kind::kList) {
    return Raises("RuntimeError", "lua_raiser:11: attempt to perform arithmetic on a nil value (field 'yield')");
  }
  if (order.kind() != Value::Kind::kMap) return Raises("RuntimeError", "lua_raiser:5: no order");
  const Map::Entry& what = *order.AsMap().begin();
  const std::int64_t number = what.value.AsInteger() * state.argument;
  if (what.key == "return") return Returns(number);
  if (what.key == "raise") {
    Exception raised("KeyError", {"k" + std::to_string(number)});
    raised.SetCause(Exception("ValueError", {"inner"}));
    return Raises(raised);
  }
  return Yields(number);
}

// Of the averager: total, count. held: what the chain has; a list of it when the two before the chain have raised.
Reaction SpreadingPipeline(State& state, const Signal& signal) {
  if (signal.kind == Signal::Kind::kStart) {
    state.held = 0;
    return Yields(List());
  }
  const bool broken = state.held.kind() == Value::Kind::kList;
  const Value hash = broken ? state.held.AsList().front() : state.held;
  if (signal.kind == Signal::Kind::kExit) return Returns(hash);
  if (signal.kind == Signal::Kind::kThrown) {
    state.held = List{hash};
    return Yields(List{-1});
  }
  if (broken) return Returns(List{hash});
  List hashes;
  if (IsSentInteger(signal)) {
    const std::int64_t n = signal.value.AsInteger();
    for (const std::int64_t item : {n, n * state.argument}) {
      state.total += static_cast<double>(item);
      ++state.count;
      const double average = state.total / static_cast<double>(state.count);
      const double before = state.held.kind() == Value::Kind::kInteger ? 0 : state.held.AsNumber();
      state.held = std::fmod(before * 31 + average, 65521);
      hashes.push_back(state.held);
    }
  }
  return Yields(std::move(hashes));
}

// count: the tally; total: the sum.
Reaction TallyingPipeline(State& state, const Signal& signal) {
  if (signal.kind == Signal::Kind::kExit) return {};
  if (signal.kind == Signal::Kind::kThrown && signal.value.AsException().type() != "ValueError") return {};
  state.total += static_cast<double>(++state.count * state.argument);
  return Yields(static_cast<std::int64_t>(state.total));
}

}  // namespace corod::reference
