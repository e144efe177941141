#include "server/session/execution.h"

#include <string>
#include <string_view>
#include <utility>

#include "server/coroutine/fingerprint.h"
#include "server/coroutine/step_context.h"
#include "server/coroutine/utf8.h"

namespace corod {
namespace {

// A body that ignores a close that the server makes is dropped after so many.
constexpr int kCloseAttempts = 3;
constexpr std::size_t kKeptMessageBytes = 1024;

// As much of a message as is kept when the exception is too large, whole characters.
std::string KeptPart(const std::string& message) {
  const std::string_view start = std::string_view(message).substr(0, kKeptMessageBytes);
  return std::string(start.substr(0, CompleteUtf8Prefix(start)));
}

const char* VerbOf(Outcome::Kind kind) {
  switch (kind) {
    case Outcome::Kind::kYielded:
      return "yielded";
    case Outcome::Kind::kReturned:
      return "returned";
    case Outcome::Kind::kRaised:
      return "raised";
  }
  return "";
}

Exception LimitError(const char* verb, ValueMeasure::Fault fault) {
  const std::string what = verb;
  switch (fault) {
    case ValueMeasure::Fault::kTooDeep:
      return Exception("ValueError", {Value(what + " value too deep")});
    case ValueMeasure::Fault::kTooLarge:
      return Exception("ValueError", {Value(what + " value too large")});
    case ValueMeasure::Fault::kNotUtf8:
    case ValueMeasure::Fault::kNone:
      break;
  }
  return Exception("ValueError", {Value(what + " value has a text that is not UTF-8")});
}

Outcome CloseUpTo(int attempts, bool drop, Coroutine& coroutine) {
  Outcome outcome = coroutine.Close();
  for (int attempt = 1; attempt < attempts && coroutine.state() == CoroutineState::kSuspended; ++attempt) {
    outcome = coroutine.Close();
  }
  if (drop && coroutine.state() == CoroutineState::kSuspended) {
    coroutine = Coroutine();
    Exception ignored = outcome.exception();
    ignored.AddNote("the coroutine ignored the close and was dropped");
  }
  return outcome;
}

Outcome Resume(StepInput& input, Coroutine& coroutine) {
  switch (input.operation) {
    case Operation::kSend:
      return coroutine.Send(std::move(input.value));
    case Operation::kThrow:
      return coroutine.Throw(std::exchange(input.value, Value()).AsException());
    case Operation::kCreate:
      return coroutine.Next();
    case Operation::kClose:
      if (input.cause == CloseCause::kClient) return CloseUpTo(1, input.force, coroutine);
      return CloseUpTo(kCloseAttempts, /*drop=*/true, coroutine);
    case Operation::kDelete:
      return CloseUpTo(input.force ? 1 : kCloseAttempts, /*drop=*/true, coroutine);
  }
  return Outcome::Returned(Value());
}

StepResult WithinLimits(Outcome outcome, const ValueLimits& limits) {
  if (outcome.kind != Outcome::Kind::kRaised) {
    ValueMeasure measure = Measure(outcome.value, limits);
    if (measure.fault != ValueMeasure::Fault::kNone) {
      outcome = Outcome::Raised(LimitError(VerbOf(outcome.kind), measure.fault));
      measure = Measure(outcome.exception(), limits);
    } else if (outcome.value.kind() >= Value::Kind::kList) {  // else no exception is in it
      outcome.value = Snapshot(outcome.value);
    }
    return {std::move(outcome), measure.bytes};
  }
  // What leaves is a copy of its own: the body or its caller may hold the object and change it.
  Exception raised = outcome.exception().Snapshot();
  ValueMeasure measure = Measure(raised, limits);
  if (measure.fault != ValueMeasure::Fault::kNone) {
    const bool unreadable = measure.fault == ValueMeasure::Fault::kNotUtf8;
    Exception reduced(unreadable ? "ValueError" : raised.type(), {},
                      unreadable ? std::vector<std::string>{} : raised.bases());
    reduced.SetMessage(unreadable ? "raised exception has a text that is not UTF-8" : KeptPart(raised.message()));
    reduced.AddNote("arguments, cause and context are left out: " + LimitError("raised", measure.fault).message());
    measure = Measure(reduced, limits);
    // Its type or its bases may be too large by themselves.
    raised = measure.fault == ValueMeasure::Fault::kNone ? reduced : LimitError("raised", measure.fault);
  }
  return {Outcome::Raised(raised), measure.bytes};
}

}  // namespace

StepResult Execute(const Definition& definition, const ValueLimits& limits, StepInput input, Coroutine& coroutine) {
  StepContext context;
  context.time = absl::ToChronoTime(input.time);
  context.seed = input.seed;
  context.step = input.step;
  const StepScope scope(context);
  StepResult result = WithinLimits(Resume(input, coroutine), limits);
  result.bytes_asked = scope.bytes_asked();
  if (result.outcome.kind == Outcome::Kind::kRaised) {
    result.outcome.exception().SetTraceback("coroutine " + definition.name + " version " +
                                            std::to_string(definition.version) + ", step " +
                                            std::to_string(input.step));
  }
  return result;
}

std::uint64_t ExtendDigest(std::uint64_t digest, const Outcome& outcome) {
  Fingerprint fingerprint;
  fingerprint.AddNumber(digest).AddNumber(static_cast<std::uint64_t>(outcome.kind)).Add(outcome.value);
  return fingerprint.value();
}

}  // namespace corod
