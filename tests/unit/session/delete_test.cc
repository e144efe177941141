// Delete: closes, forgets at once, and happens once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/coroutine/errors.h"
#include "tests/unit/session/sessions_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

using DeleteTest = SessionsTest;

TEST_F(DeleteTest, RunsTheCleanupOnceAndForgets) {
  Prime("counted");
  EXPECT_THAT(Delete(), AllOf(IsStep(2), Returns(Value())));
  EXPECT_EQ(probe_.cleanups, 1);
  EXPECT_FALSE(Exists());
  EXPECT_EQ(sessions_->size(), 0u);
  EXPECT_THAT(Delete(), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_EQ(probe_.cleanups, 1);
}

TEST_F(DeleteTest, AnswersWhatTheCloseReturned) {
  Prime("last_words");
  EXPECT_THAT(Delete(), Returns("bye"));
}

TEST_F(DeleteTest, OfASessionThatWasNotPrimedRunsNoCode) {
  Make("counted");
  EXPECT_THAT(Delete(), AllOf(IsStep(1), Returns(Value())));
  EXPECT_EQ(probe_.cleanups, 0);
}

TEST_F(DeleteTest, OfAFinishedSessionForgetsIt) {
  Prime("last_words");
  ASSERT_THAT(Close(), Returns("bye"));
  EXPECT_THAT(Delete(), Returns(Value()));
  EXPECT_FALSE(Exists());
}

TEST_F(DeleteTest, OfABodyThatIgnoresItTwiceIsAClose) {
  CreateSpec spec = PrimedSpec("stubborn");
  spec.arguments["times"] = 2;
  Make(spec);
  EXPECT_THAT(Delete(), Returns(Value()));
}

TEST_F(DeleteTest, OfABodyThatIgnoresItThreeTimesDrops) {
  Prime("stubborn_counted");
  const absl::StatusOr<Reply> reply = Delete();
  EXPECT_THAT(reply, Raises("RuntimeError", "generator ignored GeneratorExit"));
  EXPECT_THAT(reply->outcome->exception().notes(), testing::ElementsAre(testing::HasSubstr("dropped")));
  EXPECT_EQ(probe_.cleanups, 0);
  EXPECT_FALSE(Exists());
}

TEST_F(DeleteTest, WithForceDropsABodyThatIgnoresItOnce) {
  CreateSpec spec = PrimedSpec("stubborn");
  spec.arguments["times"] = 1;
  Make(spec);
  EXPECT_THAT(Do(Deleting().Force()), Raises("RuntimeError", "generator ignored GeneratorExit"));
  EXPECT_FALSE(Exists());
}

TEST_F(DeleteTest, CleanupThatRaisesIsTheOutcome) {
  Prime("failing_cleanup");
  EXPECT_THAT(Delete(), Raises("RuntimeError", "cleanup failed"));
  EXPECT_FALSE(Exists());
}

TEST_F(DeleteTest, OfAnotherLifeIsNotFoundAndLeavesTheSession) {
  Prime("counted");
  EXPECT_THAT(Do(Deleting().OfLife("another")), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  EXPECT_EQ(probe_.cleanups, 0);
  EXPECT_THAT(Do(Deleting().OfLife(Look().key.uid)), IsOk());
}

TEST_F(DeleteTest, CommandsQueuedBehindAreNotFound) {
  Prime("echo");
  const Call& before = Submit(Sending("a"));
  Submit(Deleting());
  const Call& behind = Submit(Sending("b"));
  const Call& another = Submit(Deleting());
  RunAll();
  EXPECT_THAT(before.answer(), Yields("a"));
  EXPECT_THAT(behind.answer(), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(another.answer(), FailsWith(Reason::SESSION_NOT_FOUND));
}

TEST_F(DeleteTest, DeletedIdIsFreeAtOnceForANewLife) {
  Prime("counter");
  const std::string uid = Look().key.uid;
  ASSERT_THAT(Delete(), IsOk());
  Prime("counter");
  EXPECT_NE(Look().key.uid, uid);
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
}

// Happens once.

TEST_F(DeleteTest, AgainWithItsRequestIdIsAnsweredAsBefore) {
  Prime("last_words");
  ASSERT_THAT(Do(Deleting().Id("r")), AllOf(IsStep(2), Returns("bye")));
  EXPECT_THAT(Do(Deleting().Id("r")), AllOf(RepeatsStep(2), Returns("bye")));
  EXPECT_THAT(Do(Deleting().Id("another")), FailsWith(Reason::SESSION_NOT_FOUND));
}

TEST_F(DeleteTest, AgainLeavesANewSessionOfThatIdAlone) {
  Prime("last_words");
  ASSERT_THAT(Do(Deleting().Id("r")), Returns("bye"));
  Prime("counted");
  EXPECT_THAT(Do(Deleting().Id("r")), AllOf(RepeatsStep(2), Returns("bye")));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  EXPECT_EQ(probe_.cleanups, 0);
}

TEST_F(DeleteTest, DuplicatesInTheQueueGetOneAnswer) {
  Prime("last_words");
  const Call& first = Submit(Deleting().Id("r"));
  const Call& second = Submit(Deleting().Id("r"));
  RunAll();
  EXPECT_THAT(first.answer(), AllOf(IsStep(2), Returns("bye")));
  EXPECT_THAT(second.answer(), AllOf(RepeatsStep(2), Returns("bye")));
}

TEST_F(DeleteTest, CommandSentAgainBehindADeleteIsAnsweredAsBefore) {
  Prime("echo");
  ASSERT_THAT(Do(Sending("a").Id("r")), IsStep(2));
  Submit(Deleting());
  const Call& again = Submit(Sending("a").Id("r"));
  RunAll();
  EXPECT_THAT(again.answer(), AllOf(RepeatsStep(2), Yields("a")));
}

TEST_F(DeleteTest, AnswerIsForgottenAfterTheRetention) {
  Prime("echo");
  ASSERT_THAT(Do(Deleting().Id("r")), IsOk());
  clock_.Advance(absl::Minutes(5));
  EXPECT_THAT(Do(Deleting().Id("r")), FailsWith(Reason::SESSION_NOT_FOUND));
}

TEST_F(DeleteTest, CreateSentAgainBehindADeleteMakesNoThirdSession) {
  CreateSpec spec = PrimedSpec("counter");
  spec.request_id = "r";
  Make(spec);
  Submit(Deleting());
  const absl::StatusOr<Created> again = Create(spec);
  ASSERT_THAT(again, IsOk());
  EXPECT_THAT(absl::StatusOr<Reply>(*again->primed), AllOf(RepeatsStep(1), Yields(1)));
}

}  // namespace
}  // namespace corod
