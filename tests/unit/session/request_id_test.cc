// A step happens once: commands that are sent again with their request id.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/coroutine/errors.h"
#include "tests/unit/session/sessions_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

using RequestIdTest = SessionsTest;

TEST_F(RequestIdTest, SendAgainIsNotExecutedAgain) {
  Prime("counter");
  EXPECT_THAT(Do(Sending().Id("r")), AllOf(IsStep(2), Yields(2)));
  EXPECT_THAT(Do(Sending().Id("r")), AllOf(RepeatsStep(2), Yields(2)));
  EXPECT_THAT(Send(), AllOf(IsStep(3), Yields(3)));
}

TEST_F(RequestIdTest, WithoutIdEachIsAStep) {
  Prime("counter");
  EXPECT_THAT(Send(), Yields(2));
  EXPECT_THAT(Send(), Yields(3));
}

TEST_F(RequestIdTest, DuplicatesInTheQueueAreOneStep) {
  Prime("counter");
  const Call& first = Submit(Sending().Id("r"));
  const Call& second = Submit(Sending().Id("r"));
  RunAll();
  EXPECT_THAT(first.answer(), AllOf(IsStep(2), Yields(2)));
  EXPECT_THAT(second.answer(), AllOf(RepeatsStep(2), Yields(2)));
}

// SEMANTICS 80: what is delivered once is delivered again to who asks for it again.

TEST_F(RequestIdTest, ReturnIsRepeatedThoughANewCommandGetsNull) {
  Prime("obedient");
  EXPECT_THAT(Do(Sending(Order("return", 7)).Id("r")), Returns(7));
  EXPECT_THAT(Send(), Returns(Value()));
  EXPECT_THAT(Do(Sending(Order("return", 7)).Id("r")), AllOf(RepeatsStep(2), Returns(7)));
}

TEST_F(RequestIdTest, RaiseIsRepeatedThoughANewCommandGetsNull) {
  Prime("obedient");
  EXPECT_THAT(Do(Throwing(py::ValueError("x")).Id("r")), Raises("ValueError", "x"));
  EXPECT_THAT(Send(), Returns(Value()));
  EXPECT_THAT(Do(Throwing(py::ValueError("x")).Id("r")), AllOf(RepeatsStep(2), Raises("ValueError", "x")));
}

TEST_F(RequestIdTest, WhatCloseReturnedIsRepeatedThoughANewCloseGetsNull) {
  Prime("last_words");
  EXPECT_THAT(Do(Closing().Id("r")), Returns("bye"));
  EXPECT_THAT(Close(), Returns(Value()));
  EXPECT_THAT(Do(Closing().Id("r")), AllOf(RepeatsStep(2), Returns("bye")));
}

// What counts as the same command.

TEST_F(RequestIdTest, OtherValueIsReuse) {
  Prime("echo");
  ASSERT_THAT(Do(Sending(1).Id("r")), IsStep(2));
  const absl::StatusOr<Reply> refused = Do(Sending(1.0).Id("r"));
  EXPECT_THAT(refused, FailsWith(Reason::REQUEST_ID_REUSED));
  EXPECT_EQ(DetailsOf(refused.status()).metadata["step"], "2");
  EXPECT_EQ(Look().steps, 2u);
}

TEST_F(RequestIdTest, OtherOperationIsReuse) {
  Prime("echo");
  ASSERT_THAT(Do(Sending().Id("r")), IsStep(2));
  EXPECT_THAT(Do(Closing().Id("r")), FailsWith(Reason::REQUEST_ID_REUSED));
  EXPECT_THAT(Do(Deleting().Id("r")), FailsWith(Reason::REQUEST_ID_REUSED));
  EXPECT_THAT(Do(Throwing(py::ValueError()).Id("r")), FailsWith(Reason::REQUEST_ID_REUSED));
}

TEST_F(RequestIdTest, OtherExceptionIsReuse) {
  Prime("echo");
  ASSERT_THAT(Do(Throwing(py::ValueError("x")).Id("r")), IsStep(2));
  EXPECT_THAT(Do(Throwing(py::KeyError("x")).Id("r")), FailsWith(Reason::REQUEST_ID_REUSED));
}

TEST_F(RequestIdTest, ForceIsPartOfAClose) {
  Prime("echo");
  ASSERT_THAT(Do(Closing().Id("r")), IsStep(2));
  EXPECT_THAT(Do(Closing().Id("r").Force()), FailsWith(Reason::REQUEST_ID_REUSED));
}

TEST_F(RequestIdTest, TracebackIsNotCompared) {
  Prime("echo");
  py::ValueError error("x");
  ASSERT_THAT(Do(Throwing(error).Id("r")), IsStep(2));
  py::ValueError elsewhere("x");
  elsewhere.SetTraceback("another line");
  EXPECT_THAT(Do(Throwing(elsewhere).Id("r")), RepeatsStep(2));
}

TEST_F(RequestIdTest, ExpectedStepAndDeadlineAreNotCompared) {
  Prime("echo");
  ASSERT_THAT(Do(Sending(1).Id("r").AsStep(2).Before(clock_.Now() + absl::Hours(1))), IsStep(2));
  EXPECT_THAT(Do(Sending(1).Id("r").AsStep(77)), RepeatsStep(2));
}

// The window.

TEST_F(RequestIdTest, WindowHoldsAThousandAndTwentyFourIds) {
  Prime("counter");
  for (int i = 0; i < 1024; ++i) ASSERT_THAT(Do(Sending().Id(std::to_string(i))), IsStep(i + 2));
  EXPECT_THAT(Do(Sending().Id("0")), AllOf(RepeatsStep(2), Yields(2)));
  ASSERT_THAT(Do(Sending().Id("1024")), IsStep(1026));
  EXPECT_THAT(Do(Sending().Id("1")), RepeatsStep(3));
  EXPECT_THAT(Do(Sending().Id("0")), IsStep(1027)) << "the oldest has left the window";
}

TEST_F(RequestIdTest, FullQueueOfIdsFitsIntoTheWindow) {
  Prime("counter");
  for (int i = 0; i < 1024; ++i) Submit(Sending().Id(std::to_string(i)));
  RunAll();
  for (int i = 0; i < 1024; ++i) ASSERT_THAT(Do(Sending().Id(std::to_string(i))), RepeatsStep(i + 2));
}

TEST_F(RequestIdTest, AnswersBeyond64KiBAreForgottenAndNotExecutedAgain) {
  Prime("echo");
  const std::string large(40'000, 'x');
  ASSERT_THAT(Do(Sending(large).Id("a")), IsStep(2));
  ASSERT_THAT(Do(Sending(large).Id("b")), IsStep(3));
  const absl::StatusOr<Reply> forgotten = Do(Sending(large).Id("a"));
  EXPECT_THAT(forgotten, FailsWith(Reason::REPLY_FORGOTTEN));
  EXPECT_EQ(DetailsOf(forgotten.status()).metadata["step"], "2");
  EXPECT_THAT(Do(Sending(large).Id("b")), AllOf(RepeatsStep(3), Yields(large)));
  EXPECT_EQ(Look().steps, 3u);
}

TEST_F(RequestIdTest, AnswerThatIsTooLargeByItselfIsForgottenAtOnce) {
  Prime("echo");
  const std::string large(70'000, 'x');
  ASSERT_THAT(Do(Sending(large).Id("a")), Yields(large));
  EXPECT_THAT(Do(Sending(large).Id("a")), FailsWith(Reason::REPLY_FORGOTTEN));
}

TEST_F(RequestIdTest, AnswersOfCommandsWithoutIdAreNotKept) {
  Prime("echo");
  const std::string large(40'000, 'x');
  ASSERT_THAT(Do(Sending(large).Id("a")), IsOk());
  for (int i = 0; i < 10; ++i) ASSERT_THAT(Send(large), IsOk());
  EXPECT_THAT(Do(Sending(large).Id("a")), RepeatsStep(2));
}

}  // namespace
}  // namespace corod
