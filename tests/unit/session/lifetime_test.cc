// How sessions end though nobody asks: retention, idle timeout, expiry, and drops, which are no close.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/coroutine/errors.h"
#include "tests/unit/session/sessions_test_base.h"

namespace corod {
namespace {

class LifetimeTest : public SessionsTest {
 protected:
  void PrimeWithTimeout(const std::string& coroutine, absl::Duration idle_timeout) {
    CreateSpec spec = PrimedSpec(coroutine);
    spec.idle_timeout = idle_timeout;
    Make(spec);
  }
  void PrimeUntil(const std::string& coroutine, absl::Time expire_time) {
    CreateSpec spec = PrimedSpec(coroutine);
    spec.expire_time = expire_time;
    Make(spec);
  }
};

// Retention.

TEST_F(LifetimeTest, FinishedSessionStaysForItsRetention) {
  Prime("last_words");
  ASSERT_THAT(Close(), Returns("bye"));
  Pass(absl::Minutes(5) - absl::Seconds(1));
  EXPECT_EQ(Look().last_outcome->outcome, Outcome::Returned("bye"));
  Pass(absl::Seconds(1));
  EXPECT_FALSE(Exists());
  EXPECT_THAT(Send(), FailsWith(Reason::SESSION_NOT_FOUND));
}

TEST_F(LifetimeTest, UseOfAFinishedSessionDoesNotProlongItsRetention) {
  Prime("echo");
  ASSERT_THAT(Close(), IsOk());
  Pass(absl::Minutes(4));
  ASSERT_THAT(Send(), Returns(Value()));
  Pass(absl::Minutes(1));
  EXPECT_FALSE(Exists());
}

TEST_F(LifetimeTest, RetentionBeginsWhenTheLastStepEnds) {
  Prime("probing");
  probe_.during = [this] {
    clock_.Advance(absl::Minutes(10));
    throw py::ValueError("at last");
  };
  ASSERT_THAT(Send(), Raises("ValueError", "at last"));
  Sweep();
  EXPECT_TRUE(Exists());
}

TEST_F(LifetimeTest, LiveSessionHasNoRetention) {
  PrimeWithTimeout("echo", absl::ZeroDuration());
  Pass(absl::Hours(24 * 365));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
}

// Idle.

TEST_F(LifetimeTest, IdleSessionIsClosedSoThatItsCleanupRuns) {
  PrimeWithTimeout("counted", absl::Minutes(10));
  Pass(absl::Minutes(10) - absl::Seconds(1));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  Pass(absl::Seconds(1));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
  EXPECT_EQ(probe_.cleanups, 1);
  EXPECT_EQ(Look().steps, 2u) << "the close is a step";
}

TEST_F(LifetimeTest, IdleTimeoutIsAnHourUnlessItIsSaid) {
  Prime("echo");
  Pass(absl::Minutes(59));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  Pass(absl::Minutes(1));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

TEST_F(LifetimeTest, UseResetsTheIdleTime) {
  PrimeWithTimeout("echo", absl::Minutes(10));
  Pass(absl::Minutes(9));
  ASSERT_THAT(Send(), IsOk());
  Pass(absl::Minutes(9));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  Pass(absl::Minutes(1));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

TEST_F(LifetimeTest, GetListAndUpdateAreNoUse) {
  PrimeWithTimeout("echo", absl::Minutes(10));
  clock_.Advance(absl::Minutes(9));
  Look();
  ASSERT_THAT(ListNow(*sessions_, {}, [](const SessionInfo&) { return true; }), IsOk());
  ASSERT_THAT(UpdateNow(*sessions_, "s", {.labels = {{"a", "b"}}}), IsOk());
  Pass(absl::Minutes(1));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

TEST_F(LifetimeTest, CommandBeforeTheIdleCloseKeepsTheSession) {
  PrimeWithTimeout("echo", absl::Minutes(10));
  clock_.Advance(absl::Minutes(10));
  const Call& send = Submit(Sending("a"));
  Sweep();  // queues the close behind it
  EXPECT_THAT(send.answer(), Yields("a"));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  Pass(absl::Minutes(10));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed) << "it is looked after all the same";
}

TEST_F(LifetimeTest, StepThatTakesLongerThanTheIdleTimeoutIsUse) {
  PrimeWithTimeout("probing", absl::Minutes(10));
  probe_.during = [this] {
    clock_.Advance(absl::Minutes(20));
    sessions_->Sweep();  // queues a close behind the step, and before the next command
    Submit(Sending("next"));
    probe_.during = nullptr;
  };
  ASSERT_THAT(Send("long"), Yields("long"));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  EXPECT_EQ(Look().last_outcome->outcome, Outcome::Yielded("next"));
}

TEST_F(LifetimeTest, IdleTimeCountsFromTheEndOfAStep) {
  PrimeWithTimeout("probing", absl::Minutes(10));
  probe_.during = [this] {
    clock_.Advance(absl::Minutes(20));
    sessions_->Sweep();
  };
  ASSERT_THAT(Send(), IsOk());
  Pass(absl::Minutes(10) - absl::Seconds(1));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  Pass(absl::Seconds(1));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

TEST_F(LifetimeTest, SessionThatWasNotPrimedIsClosedWithoutRunningCode) {
  probe_.during = [] { FAIL() << "ran"; };
  Make("probing");
  Pass(absl::Hours(1));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

TEST_F(LifetimeTest, IdleSessionIsForgottenAfterItsRetention) {
  Prime("echo");
  Pass(absl::Hours(1));
  Pass(absl::Minutes(5));
  EXPECT_FALSE(Exists());
  EXPECT_EQ(sessions_->size(), 0u);
}

TEST_F(LifetimeTest, BodyThatIgnoresTheIdleCloseTwiceIsClosedByTheThird) {
  CreateSpec spec = PrimedSpec("stubborn");
  spec.arguments["times"] = 2;
  Make(spec);
  Pass(absl::Hours(1));
  EXPECT_EQ(Look().last_outcome->outcome, Outcome::Returned(Value()));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

TEST_F(LifetimeTest, BodyThatIgnoresTheIdleCloseThreeTimesIsDropped) {
  Prime("stubborn_counted");
  Pass(absl::Hours(1));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
  EXPECT_EQ(probe_.cleanups, 0) << "a drop is no close";
  const Exception raised = Look().last_outcome->outcome.exception();
  EXPECT_EQ(raised.message(), "generator ignored GeneratorExit");
  EXPECT_THAT(raised.notes(), testing::ElementsAre(testing::HasSubstr("dropped")));
}

TEST_F(LifetimeTest, CleanupThatRaisesIsTheOutcomeOfTheIdleClose) {
  Prime("failing_cleanup");
  Pass(absl::Hours(1));
  EXPECT_EQ(Look().last_outcome->outcome.exception().message(), "cleanup failed");
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

// Expiry.

TEST_F(LifetimeTest, ExpiredSessionIsClosedThoughItIsUsed) {
  PrimeUntil("counted", clock_.Now() + absl::Minutes(10));
  Pass(absl::Minutes(10) - absl::Seconds(1));
  ASSERT_THAT(Send(), IsOk());
  Pass(absl::Seconds(1));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
  EXPECT_EQ(probe_.cleanups, 1);
}

TEST_F(LifetimeTest, ExpiredAtCreateIsClosedBehindItsFirstStep) {
  PrimeUntil("counter", clock_.Now() - absl::Seconds(1));
  EXPECT_EQ(Look().last_outcome->outcome, Outcome::Yielded(1));
  Sweep();
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

// Sweep.

TEST_F(LifetimeTest, SweepSaysWhenThereIsMoreToDo) {
  EXPECT_EQ(sessions_->Sweep(), absl::InfiniteFuture());
  PrimeWithTimeout("echo", absl::Minutes(10));
  EXPECT_EQ(sessions_->Sweep(), clock_.Now() + absl::Minutes(10));
  Pass(absl::Minutes(10));
  EXPECT_EQ(sessions_->Sweep(), clock_.Now() + absl::Minutes(5)) << "then it is kept for its retention";
}

TEST_F(LifetimeTest, SweepTakesCareOfManyInParts) {
  for (int i = 0; i < 1'500; ++i) Make("echo", "s" + std::to_string(i));
  clock_.Advance(absl::Hours(1));
  const absl::Duration soon = absl::Milliseconds(20);
  EXPECT_EQ(sessions_->Sweep(), clock_.Now() + soon) << "more is due, but not without a pause";
  EXPECT_GT(sessions_->Sweep(), clock_.Now() + soon);
  RunAll();
  EXPECT_EQ(StateOf("s0"), CoroutineState::kClosed);
  EXPECT_EQ(StateOf("s1499"), CoroutineState::kClosed);
}

// Close, and drops.

TEST_F(LifetimeTest, CloseOfABodyThatIgnoresItStaysSuspended) {
  Prime("stubborn_counted");
  EXPECT_THAT(Close(), Raises("RuntimeError", "generator ignored GeneratorExit"));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  EXPECT_THAT(Send(), Yields(Value()));
}

TEST_F(LifetimeTest, ForcedCloseDropsABodyThatIgnoresIt) {
  Prime("stubborn_counted");
  EXPECT_THAT(Do(Closing().Force()), Raises("RuntimeError", "generator ignored GeneratorExit"));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
  EXPECT_EQ(probe_.cleanups, 0);
  EXPECT_THAT(Send(), Returns(Value()));
}

TEST_F(LifetimeTest, ForcedCloseOfABodyThatObeysIsAClose) {
  Prime("counted");
  EXPECT_THAT(Do(Closing().Force()), Returns(Value()));
  EXPECT_EQ(probe_.cleanups, 1);
}

TEST_F(LifetimeTest, EndOfTheServerDropsSessionsAndRunsNoFinally) {
  Prime("counted");
  Make("counted", "unprimed");
  Crash();
  EXPECT_EQ(probe_.cleanups, 0);
  EXPECT_EQ(LiveFrames().frames, 0u);
}

TEST_F(LifetimeTest, FinishedSessionHoldsNoFrame) {
  Prime("counted");
  ASSERT_THAT(Close(), IsOk());
  EXPECT_EQ(LiveFrames().frames, 0u);
  EXPECT_TRUE(Exists());
}

}  // namespace
}  // namespace corod
