#ifndef COROD_TESTS_UNIT_COROUTINE_COROUTINE_FIXTURE_H_
#define COROD_TESTS_UNIT_COROUTINE_COROUTINE_FIXTURE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/coroutine/cleanup.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/text_form.h"

namespace corod {

// "ValueError: v <cause KeyError> <ctx KeyError>": the notation of tests/differential/cpython.
inline std::string ChainText(const Exception& exception) {
  std::string text = exception.type();
  if (!exception.message().empty()) text += ": " + exception.message();
  if (exception.cause()) text += " <cause " + exception.cause()->type() + ">";
  for (std::optional<Exception> context = exception.context(); context; context = context->context()) {
    text += " <ctx " + context->type() + ">";
  }
  return text;
}

// What a command gave, in that notation: Y(1), R(None), X(ValueError: v).
inline std::string Text(const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::kYielded:
      return "Y(" + Repr(outcome.value) + ")";
    case Outcome::Kind::kReturned:
      return "R(" + Repr(outcome.value) + ")";
    case Outcome::Kind::kRaised:
      break;
  }
  return "X(" + ChainText(outcome.exception()) + ")";
}

inline void PrintTo(CoroutineState state, std::ostream* out) {
  *out << (state == CoroutineState::kCreated     ? "CREATED"
           : state == CoroutineState::kSuspended ? "SUSPENDED"
           : state == CoroutineState::kRunning   ? "RUNNING"
                                                 : "CLOSED");
}

// What bodies leave behind, in order.
using Log = std::vector<std::string>;

// Checks that every coroutine that a test made is gone at its end.
class CoroutineTest : public testing::Test {
 protected:
  static constexpr CoroutineState kCreated = CoroutineState::kCreated;
  static constexpr CoroutineState kSuspended = CoroutineState::kSuspended;
  static constexpr CoroutineState kRunning = CoroutineState::kRunning;
  static constexpr CoroutineState kClosed = CoroutineState::kClosed;

  void TearDown() override {
    EXPECT_EQ(LiveFrames().frames, 0u);
    EXPECT_EQ(LiveFrames().bytes, 0u);
  }

  // `coroutine` after its first next().
  static Coroutine Primed(Coroutine coroutine) {
    EXPECT_EQ(coroutine.Next().kind, Outcome::Kind::kYielded);
    return coroutine;
  }
};

}  // namespace corod

#endif  // COROD_TESTS_UNIT_COROUTINE_COROUTINE_FIXTURE_H_
