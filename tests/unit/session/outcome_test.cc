// What a step produces: the limits on values, and that an outcome is a copy that nobody else changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "server/coroutine/errors.h"
#include "server/coroutine/limits.h"
#include "tests/unit/session/sessions_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

class OutcomeTest : public SessionsTest {
 protected:
  OutcomeTest() {
    Restart({.limits = {.max_depth = 24, .max_bytes = 10'000}});
    Prime("obedient");
  }

  absl::StatusOr<Reply> Yield(Value value) { return Send(Order("yield", std::move(value))); }
  absl::StatusOr<Reply> Return(Value value) { return Send(Order("return", std::move(value))); }
  // What arrives of an exception that the body raises.
  Exception Raise(const Exception& exception) {
    const absl::StatusOr<Reply> reply = Send(Order("raise", exception));
    if (reply.ok() && reply->outcome && reply->outcome->kind == Outcome::Kind::kRaised)
      return reply->outcome->exception();
    ADD_FAILURE() << "did not raise";
    return py::BaseException();
  }
  static ValueMeasure MeasureOf(const Exception& exception) {
    return Measure(exception, {.max_depth = 24, .max_bytes = 20'000});
  }

  const std::string large_ = std::string(20'000, 'x');
  const std::string not_utf8_ = "\xff";
};

TEST_F(OutcomeTest, YieldedAtTheLimitPasses) {
  EXPECT_THAT(Yield(Nested(24)), Yields(Nested(24)));
  const std::string fits(9'997, 'x');  // with its tag and length 10,000
  EXPECT_THAT(Yield(fits), Yields(fits));
}

TEST_F(OutcomeTest, YieldedTooDeepRaisesAndStaysSuspended) {
  EXPECT_THAT(Yield(Nested(25)), Raises("ValueError", "yielded value too deep"));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  EXPECT_THAT(Yield("on"), AllOf(IsStep(3), Yields("on")));
}

TEST_F(OutcomeTest, YieldedTooLargeRaisesAndStaysSuspended) {
  EXPECT_THAT(Yield(std::string(9'998, 'x')), Raises("ValueError", "yielded value too large"));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  EXPECT_THAT(Yield("on"), Yields("on"));
}

TEST_F(OutcomeTest, YieldedTextThatIsNotUtf8Raises) {
  EXPECT_THAT(Yield(not_utf8_), Raises("ValueError", "yielded value has a text that is not UTF-8"));
  EXPECT_THAT(Yield(List{Map{{not_utf8_, 1}}}), Raises("ValueError", "yielded value has a text that is not UTF-8"));
  EXPECT_THAT(Yield(Value::Blob(not_utf8_)), Yields(Value::Blob(not_utf8_)));
}

TEST_F(OutcomeTest, ReturnedOverTheLimitsRaisesAndIsClosed) {
  EXPECT_THAT(Return(Nested(25)), Raises("ValueError", "returned value too deep"));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
  EXPECT_THAT(Send(), Returns(Value()));
}

TEST_F(OutcomeTest, WhatIsOverTheLimitsIsRememberedAsItWasAnswered) {
  ASSERT_THAT(Do(Sending(Order("yield", large_)).Id("r")), Raises("ValueError", "yielded value too large"));
  EXPECT_THAT(Do(Sending(Order("yield", large_)).Id("r")),
              AllOf(RepeatsStep(2), Raises("ValueError", "yielded value too large")));
  EXPECT_EQ(Look().last_outcome->outcome.exception().message(), "yielded value too large");
}

TEST_F(OutcomeTest, RaisedTooLargeKeepsItsTypeBasesAndTheStartOfItsMessage) {
  const Exception raised = Raise(Exception("app.Full", {Value(large_)}, {"LookupError"}));
  EXPECT_EQ(raised.type(), "app.Full");
  EXPECT_TRUE(raised.IsA("LookupError"));
  EXPECT_EQ(raised.message(), large_.substr(0, 1024));
  EXPECT_TRUE(raised.arguments().empty());
  EXPECT_THAT(raised.notes(), testing::Contains(testing::HasSubstr("left out: raised value too large")));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

TEST_F(OutcomeTest, RaisedTooLargeIsCutBetweenCharacters) {
  std::string text = "x";
  for (int i = 0; i < 10'000; ++i) text += "\xc3\xa9";  // two bytes each
  EXPECT_EQ(Raise(py::ValueError(text)).message(), text.substr(0, 1023));
}

TEST_F(OutcomeTest, RaisedTooDeepIsReduced) {
  const Exception raised = Raise(py::ValueError(Nested(25)));
  EXPECT_TRUE(raised.arguments().empty());
  EXPECT_THAT(raised.notes(), testing::Contains(testing::HasSubstr("left out: raised value too deep")));
}

TEST_F(OutcomeTest, RaisedTextThatIsNotUtf8IsReplaced) {
  const Exception raised = Raise(Exception(not_utf8_, {Value(not_utf8_)}, {not_utf8_}));
  EXPECT_EQ(raised.type(), "ValueError");
  EXPECT_EQ(raised.message(), "raised exception has a text that is not UTF-8");
  EXPECT_EQ(MeasureOf(raised).fault, ValueMeasure::Fault::kNone);
}

TEST_F(OutcomeTest, RaisedWhoseTypeOrBasesAreTooLargeIsWithinTheLimits) {
  EXPECT_EQ(MeasureOf(Raise(Exception("T", {}, {large_, large_}))).fault, ValueMeasure::Fault::kNone);
  Prime("obedient", "t");
  const absl::StatusOr<Reply> raised = Do(Sending(Order("raise", Exception(large_, {}))).To("t"));
  ASSERT_THAT(raised, IsOk());
  EXPECT_EQ(MeasureOf(raised->outcome->exception()).fault, ValueMeasure::Fault::kNone);
}

TEST_F(OutcomeTest, RaisedChainOf17LevelsIsCutWithANote) {
  Exception chain = py::ValueError(0);
  for (int level = 1; level < 17; ++level) chain = From(py::ValueError(level), chain);
  Exception last = Raise(chain);
  int levels = 1;
  for (; last.cause(); ++levels) last = *last.cause();
  EXPECT_EQ(levels, 16);
  EXPECT_THAT(last.notes(), testing::ElementsAre("cause left out: ValueError: 0"));
}

TEST_F(OutcomeTest, RaisedHasATracebackOfCoroutineAndStep) {
  EXPECT_EQ(Raise(py::ValueError("x")).traceback(), "coroutine obedient version 1, step 2");
}

TEST_F(OutcomeTest, YieldedExceptionIsACopy) {
  Prime("changes_error", "t");
  const absl::StatusOr<Reply> first = Do(Sending().To("t"));
  const absl::StatusOr<Reply> second = Do(Sending().To("t"));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->outcome->value.AsException().notes().size(), 1u) << "what was yielded does not change any more";
  EXPECT_EQ(second->outcome->value.AsException().notes().size(), 2u);
}

TEST_F(OutcomeTest, RaisedExceptionIsACopyWithItsCauseAndContext) {
  const py::KeyError cause("k");
  Exception error = From(py::ValueError("v"), cause);
  const Exception raised = Raise(error);
  error.AddNote("later");
  EXPECT_TRUE(raised.notes().empty());
  EXPECT_EQ(*raised.cause(), cause);
  EXPECT_FALSE(raised.cause()->Is(cause));
  EXPECT_TRUE(raised.suppress_context());
}

TEST_F(OutcomeTest, ContextThatIsTheCauseIsOneObjectInTheCopy) {
  const absl::StatusOr<Reply> reply = Throw(py::StopIteration(1));  // becomes a RuntimeError with both
  ASSERT_THAT(reply, Raises("RuntimeError", "generator raised StopIteration"));
  const Exception raised = reply->outcome->exception();
  EXPECT_TRUE(raised.cause()->Is(*raised.context()));
}

}  // namespace
}  // namespace corod
