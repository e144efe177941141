#ifndef COROD_TESTS_SIMULATION_REACTION_H_
#define COROD_TESTS_SIMULATION_REACTION_H_

#include <cstdint>
#include <utility>

#include "server/coroutine/exception.h"
#include "server/coroutine/value.h"
#include "tests/simulation/reference_bodies.h"

// For whoever writes reference bodies.
namespace corod::reference {

// What a suspended body is resumed with.
struct Signal {
  enum class Kind : std::uint8_t { kStart, kSent, kThrown, kExit } kind = Kind::kStart;
  Value value;
};

// What it does then.
struct Reaction {
  enum class Kind : std::uint8_t { kYields, kReturns, kRaises, kPasses, kDraws } kind = Kind::kPasses;
  Value value;  // kPasses: what was thrown goes on
};

inline Reaction Yields(Value value) { return {Reaction::Kind::kYields, std::move(value)}; }
inline Reaction Returns(Value value) { return {Reaction::Kind::kReturns, std::move(value)}; }
inline Reaction Raises(const Exception& exception) { return {Reaction::Kind::kRaises, Value(exception)}; }
inline Reaction Raises(const char* type, Value message) { return Raises(Exception(type, {std::move(message)})); }
inline bool IsInput(const Signal& signal) {
  return signal.kind == Signal::Kind::kStart || signal.kind == Signal::Kind::kSent;
}

Reaction Obedient(State& state, const Signal& signal);

// The scripts and pipelines (scripts.h). `argument`: the variant of the script that is defined again and again, as the
// session found it; 0: it was not there.
Reaction LuaAdder(State& state, const Signal& signal);
Reaction LuaCareful(State& state, const Signal& signal);
Reaction LuaClerk(State& state, const Signal& signal);
Reaction LuaDeputy(State& state, const Signal& signal);
Reaction LuaKeeper(State& state, const Signal& signal);
Reaction LuaRaiser(State& state, const Signal& signal);
Reaction SpreadingPipeline(State& state, const Signal& signal);
Reaction TallyingPipeline(State& state, const Signal& signal);

}  // namespace corod::reference

#endif  // COROD_TESTS_SIMULATION_REACTION_H_
