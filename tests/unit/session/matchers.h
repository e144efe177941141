#ifndef COROD_TESTS_UNIT_SESSION_MATCHERS_H_
#define COROD_TESTS_UNIT_SESSION_MATCHERS_H_

#include <gmock/gmock.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/failure.h"
#include "server/coroutine/outcome.h"
#include "server/coroutine/text_form.h"
#include "server/session/command.h"

namespace corod {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

inline std::string Describe(const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::kYielded:
      return "yielded " + Repr(outcome.value);
    case Outcome::Kind::kReturned:
      return "returned " + Repr(outcome.value);
    case Outcome::Kind::kRaised:
      break;
  }
  return "raised " + outcome.exception().type() + ": " + outcome.exception().message();
}

inline std::string Describe(const absl::StatusOr<Reply>& reply) {
  if (!reply.ok()) return reply.status().ToString();
  return "step " + std::to_string(reply->step) + (reply->replayed ? " (replayed) " : " ") +
         (reply->outcome ? Describe(*reply->outcome) : "");
}

// Of an absl::Status or StatusOr: refused, for this reason, and not executed.
MATCHER_P(FailsWith, reason, "fails with " + std::string(NameOf(reason))) {
  *result_listener << StatusOf(arg);
  return IsFailure(StatusOf(arg), reason) && DetailsOf(StatusOf(arg)).metadata["executed"] == "no";
}

// The same of one that may have been executed before.
MATCHER_P(FailsInDoubtWith, reason, "fails with " + std::string(NameOf(reason)) + ", executed or not") {
  *result_listener << StatusOf(arg);
  return IsFailure(StatusOf(arg), reason) && !DetailsOf(StatusOf(arg)).metadata.contains("executed");
}

// The same of one that has a code and no reason.
MATCHER_P(FailsWithCode, code, "fails with " + absl::StatusCodeToString(code)) {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).code() == code && DetailsOf(StatusOf(arg)).metadata["executed"] == "no";
}

MATCHER(IsOk, "is ok") {
  *result_listener << StatusOf(arg);
  return StatusOf(arg).ok();
}

// Of an absl::StatusOr<Reply>: what the step produced.
MATCHER_P(Yields, value, "yields " + Repr(Value(value))) {
  *result_listener << Describe(arg);
  return arg.ok() && arg->outcome == Outcome::Yielded(Value(value));
}

MATCHER_P(Returns, value, "returns " + Repr(Value(value))) {
  *result_listener << Describe(arg);
  return arg.ok() && arg->outcome == Outcome::Returned(Value(value));
}

MATCHER_P2(Raises, type, message, "raises " + std::string(type) + ": " + message) {
  *result_listener << Describe(arg);
  return arg.ok() && arg->outcome && arg->outcome->kind == Outcome::Kind::kRaised &&
         arg->outcome->exception().type() == type && arg->outcome->exception().message() == message;
}

MATCHER_P(IsStep, step, "is step " + std::to_string(step)) {
  *result_listener << Describe(arg);
  return arg.ok() && arg->step == static_cast<Step>(step) && !arg->replayed;
}

// The answer to an earlier, equal command, which was that step.
MATCHER_P(RepeatsStep, step, "repeats step " + std::to_string(step)) {
  *result_listener << Describe(arg);
  return arg.ok() && arg->step == static_cast<Step>(step) && arg->replayed;
}

}  // namespace corod

#endif  // COROD_TESTS_UNIT_SESSION_MATCHERS_H_
