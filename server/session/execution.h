#ifndef COROD_SERVER_SESSION_EXECUTION_H_
#define COROD_SERVER_SESSION_EXECUTION_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "server/catalog/definition.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/limits.h"
#include "server/coroutine/outcome.h"
#include "server/journal/record.h"

namespace corod {

// One step, as it is handed to the coroutine.
struct StepInput {
  Operation operation = Operation::kSend;
  CloseCause cause = CloseCause::kClient;
  bool force = false;
  Value value;
  Step step = 0;
  absl::Time time;         // when it was accepted: the body's clock
  std::uint64_t seed = 0;  // the session's: where the body's random numbers begin
};

// What it produced, within the limits, and held by nobody else.
struct StepResult {
  Outcome outcome;
  std::size_t bytes = 0;        // as corod.v1 encodes it
  std::size_t bytes_asked = 0;  // StepScope
};

// Runs one step. A function of the coroutine's state and the input alone, so that a step that is run again from the log
// gives the same result: live sessions and replays call nothing else. A coroutine that is dropped because it ignored a
// close is CLOSED after this.
StepResult Execute(const Definition& definition, const ValueLimits& limits, StepInput input, Coroutine& coroutine);

// The running digest of a session's outcomes, after one more.
std::uint64_t ExtendDigest(std::uint64_t digest, const Outcome& outcome);

}  // namespace corod

#endif  // COROD_SERVER_SESSION_EXECUTION_H_
