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
#ifdef COROD_TEST_DROPPED
#include "tests/unit/coroutine/dropped.h"
#endif

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

// What a test drives: `Driven g = MADE(Body(arguments));`. It is the coroutine itself, or, in coroutine_test_dropped,
// one that is dropped before each step and brought back (dropped.h). A test that must have the coroutine itself says
// Coroutine, and stands in exclusions.cc with the reason.
#ifdef COROD_TEST_DROPPED
using Driven = Dropped;
#define MADE(...) Dropped([&]() -> Coroutine { return __VA_ARGS__; })
#else
using Driven = Coroutine;
#define MADE(...) __VA_ARGS__

// What bodies leave behind, in order.
using Log = std::vector<std::string>;
#endif

// Checks that every coroutine that a test made is gone at its end.
class CoroutineTest : public testing::Test {
 protected:
  static constexpr CoroutineState kCreated = CoroutineState::kCreated;
  static constexpr CoroutineState kSuspended = CoroutineState::kSuspended;
  static constexpr CoroutineState kRunning = CoroutineState::kRunning;
  static constexpr CoroutineState kClosed = CoroutineState::kClosed;

#ifdef COROD_TEST_DROPPED
  void SetUp() override {
    drops_before_ = Dropped::drops();
    if (const char* reason = WhyItCannotBeDropped()) GTEST_SKIP() << reason;
  }
#endif

  void TearDown() override {
    EXPECT_EQ(LiveFrames().frames, 0u);
    EXPECT_EQ(LiveFrames().bytes, 0u);
#ifdef COROD_TEST_DROPPED
    if (!IsSkipped()) EXPECT_GT(Dropped::drops(), drops_before_) << "nothing was dropped: say why in exclusions.cc";
#endif
  }

  // `coroutine` after its first next(): a Coroutine or Driven.
  template <typename C>
  static C Primed(C coroutine) {
    EXPECT_EQ(coroutine.Next().kind, Outcome::Kind::kYielded);
    return coroutine;
  }

 private:
#ifdef COROD_TEST_DROPPED
  int drops_before_ = 0;
#endif
};

}  // namespace corod

#endif  // COROD_TESTS_UNIT_COROUTINE_COROUTINE_FIXTURE_H_
