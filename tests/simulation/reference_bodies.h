#ifndef COROD_TESTS_SIMULATION_REFERENCE_BODIES_H_
#define COROD_TESTS_SIMULATION_REFERENCE_BODIES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/coroutine/outcome.h"
#include "server/coroutine/value.h"
#include "server/journal/record.h"

// The bodies that schedules use, written a second time: as functions from what they remember and what they are given to
// what comes out. By the rules of docs/semantics.md, without anything of the server that runs coroutines.
namespace corod::reference {

// All that a body's past comes down to, between two steps.
struct State {
  enum class Phase : std::uint8_t { kCreated, kSuspended, kClosed } phase = Phase::kCreated;
  double total = 0;
  std::int64_t count = 0;
  std::int64_t argument = 0;
  Step draws_from = 0;  // the first step that asked for a random number
  Value held;
};

struct Input {
  Operation operation = Operation::kSend;
  bool by_server = false;  // a close that no client asked for
  bool force = false;
  Value value;
  Step step = 0;
};

// What a step must give.
struct Expected {
  Outcome outcome;
  // Yields [its time, its random number, the sum of those of all steps from `draws_from` on]; `outcome` is not set.
  bool draws = false;
  Step draws_from = 0;
};

class Body;
// nullptr: there is no reference of that name.
const Body* FindBody(std::string_view name);
// The coroutine that a session of it is.
std::string_view CoroutineOf(const Body& body);
// The script that it depends on, itself or another, which is looked up when the session is created; empty: none.
std::string_view ScriptOf(const Body& body);
// Without it there is no session.
bool NeedsScript(const Body& body);

// One step. `max_depth`: of a value that comes out.
Expected Take(const Body& body, State& state, const Input& input, int max_depth);

// The random numbers of a session: the first of each step follows from one number, the session's chance.
std::uint64_t RandomOf(std::uint64_t chance, Step step);
// The chance of a session whose step drew `random`.
std::uint64_t ChanceOf(std::uint64_t random, Step step);

}  // namespace corod::reference

#endif  // COROD_TESTS_SIMULATION_REFERENCE_BODIES_H_
