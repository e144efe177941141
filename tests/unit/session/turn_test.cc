// A command's turn: which check comes before which, the queue, deadlines and cancellations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

#include "server/coroutine/errors.h"
#include "tests/unit/session/sessions_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

class TurnTest : public SessionsTest {
 protected:
  absl::Time Past() const { return clock_.Now() - absl::Seconds(1); }
};

TEST_F(TurnTest, CommandsAreStepsInOrder) {
  Make("echo");
  EXPECT_THAT(Send(), AllOf(IsStep(1), Yields(Value())));
  EXPECT_THAT(Send("a"), AllOf(IsStep(2), Yields("a")));
  EXPECT_THAT(Throw(py::ValueError("b")), AllOf(IsStep(3), Raises("ValueError", "b")));
  EXPECT_THAT(Close(), AllOf(IsStep(4), Returns(Value())));
}

TEST_F(TurnTest, EveryCommandToAFinishedSessionIsAStep) {
  Prime("echo");
  ASSERT_THAT(Close(), IsStep(2));
  EXPECT_THAT(Send("late"), AllOf(IsStep(3), Returns(Value())));
  EXPECT_THAT(Throw(py::KeyError("k")), AllOf(IsStep(4), Raises("KeyError", "'k'")));
  EXPECT_THAT(Close(), AllOf(IsStep(5), Returns(Value())));
  EXPECT_EQ(Look().last_outcome->step, 2u) << "the outcome that finished it";
}

TEST_F(TurnTest, ValueToACreatedSessionIsNotPrimedAndLeavesNoTrace) {
  Make("echo");
  const absl::StatusOr<Reply> refused = Do(Sending(1).Id("r"));
  EXPECT_THAT(refused, FailsWith(Reason::NOT_PRIMED));
  EXPECT_EQ(refused.status().message(), "can't send non-None value to a just-started generator");
  EXPECT_EQ(StateOf(), CoroutineState::kCreated);
  EXPECT_THAT(Do(Sending().Id("r")), AllOf(IsStep(1), Yields(Value()))) << "the id is free, also for another value";
}

TEST_F(TurnTest, ExpectedStepThatIsTheNextIsTaken) {
  Prime("echo");
  EXPECT_THAT(Do(Sending("a").AsStep(2)), AllOf(IsStep(2), Yields("a")));
}

TEST_F(TurnTest, ExpectedStepThatIsNotTheNextSaysWhichIs) {
  Prime("echo");
  const absl::StatusOr<Reply> refused = Do(Sending("a").AsStep(5));
  EXPECT_THAT(refused, FailsWith(Reason::STEP_MISMATCH));
  EXPECT_EQ(DetailsOf(refused.status()).metadata["actual_step"], "2");
  EXPECT_EQ(DetailsOf(refused.status()).metadata["expected_step"], "5");
  EXPECT_EQ(Look().steps, 1u);
}

TEST_F(TurnTest, ExpectedStepIsComparedInTheCommandsTurn) {
  Prime("echo");
  Submit(Sending("a"));
  EXPECT_THAT(Do(Sending("b").AsStep(3)), Yields("b"));
}

// The order of checks.

TEST_F(TurnTest, KnownIdComesBeforeTheDeadline) {
  Prime("echo");
  ASSERT_THAT(Do(Sending("a").Id("r")), IsStep(2));
  EXPECT_THAT(Do(Sending("a").Id("r").Before(Past())), AllOf(RepeatsStep(2), Yields("a")));
}

TEST_F(TurnTest, KnownIdComesBeforeDraining) {
  Prime("echo");
  ASSERT_THAT(Do(Sending("a").Id("r")), IsStep(2));
  sessions_->Drain([] {});
  EXPECT_THAT(Do(Sending("a").Id("r")), AllOf(RepeatsStep(2), Yields("a")));
  EXPECT_THAT(Do(Sending("b").Id("new")), FailsWith(Reason::DRAINING));
}

TEST_F(TurnTest, KnownIdComesBeforeTheExpectedStep) {
  Prime("echo");
  ASSERT_THAT(Do(Sending("a").Id("r").AsStep(2)), IsStep(2));
  EXPECT_THAT(Do(Sending("a").Id("r").AsStep(2)), RepeatsStep(2));
}

TEST_F(TurnTest, ReusedIdComesBeforeTheExpectedStep) {
  Prime("echo");
  ASSERT_THAT(Do(Sending("a").Id("r")), IsStep(2));
  EXPECT_THAT(Do(Sending("b").Id("r").AsStep(9)), FailsWith(Reason::REQUEST_ID_REUSED));
}

TEST_F(TurnTest, DeadlineComesBeforeDraining) {
  Prime("echo");
  sessions_->Drain([] {});
  EXPECT_THAT(Do(Sending("a").Before(Past())), FailsWithCode(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(TurnTest, DrainingComesBeforeTheExpectedStep) {
  Prime("echo");
  sessions_->Drain([] {});
  EXPECT_THAT(Do(Sending("a").AsStep(9)), FailsWith(Reason::DRAINING));
}

TEST_F(TurnTest, ExpectedStepComesBeforeNotPrimed) {
  Make("echo");
  EXPECT_THAT(Do(Sending(1).AsStep(7)), FailsWith(Reason::STEP_MISMATCH));
}

TEST_F(TurnTest, RefusedCommandsKeepTheirIdFree) {
  Prime("echo");
  EXPECT_THAT(Do(Sending("a").Id("r").AsStep(9)), FailsWith(Reason::STEP_MISMATCH));
  EXPECT_THAT(Do(Sending("b").Id("r").Before(Past())), FailsWithCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(Do(Sending("c").Id("r").Cancel()), FailsWithCode(absl::StatusCode::kCancelled));
  EXPECT_EQ(Look().steps, 1u);
  EXPECT_THAT(Do(Sending("d").Id("r")), AllOf(IsStep(2), Yields("d")));
}

TEST_F(TurnTest, RefusedCommandsAreNoUseOfTheSession) {
  Prime("echo");
  const absl::Time used = Look().last_used_time;
  clock_.Advance(absl::Minutes(1));
  ASSERT_THAT(Do(Sending("a").AsStep(9)), FailsWith(Reason::STEP_MISMATCH));
  EXPECT_EQ(Look().last_used_time, used);
}

// The queue.

TEST_F(TurnTest, CommandsTakeTheirTurnsInTheOrderTheyCame) {
  Prime("counter");
  const Call& a = Submit(Sending());
  const Call& b = Submit(Throwing(py::ValueError("stop")));
  const Call& c = Submit(Sending());
  EXPECT_FALSE(a.answered());
  RunAll();
  EXPECT_THAT(a.answer(), AllOf(IsStep(2), Yields(2)));
  EXPECT_THAT(b.answer(), AllOf(IsStep(3), Raises("ValueError", "stop")));
  EXPECT_THAT(c.answer(), AllOf(IsStep(4), Returns(Value())));
}

TEST_F(TurnTest, SessionsDoNotWaitForEachOther) {
  Prime("counter", "a");
  Prime("counter", "b");
  const Call& a = Submit(Sending().To("a"));
  const Call& b = Submit(Sending().To("b"));
  ASSERT_TRUE(executor_.RunOne());
  EXPECT_TRUE(a.answered());
  EXPECT_FALSE(b.answered());
}

TEST_F(TurnTest, CommandSubmittedFromAnAnswerRunsBehindTheOthers) {
  struct Chained : Call {
    Chained(Sessions& of, Call& after) : Call(Operation::kSend), sessions(of), next(after) {}
    void Finish(absl::StatusOr<Reply> reply) override {
      Call::Finish(std::move(reply));
      sessions.Submit("s", &next);
    }
    Sessions& sessions;
    Call& next;
  };
  Prime("counter");
  Call& last = Sending();
  Chained first(*sessions_, last);
  Submit(first);
  const Call& second = Submit(Sending());
  RunAll();
  EXPECT_THAT(second.answer(), IsStep(3));
  EXPECT_THAT(last.answer(), IsStep(4));
}

TEST_F(TurnTest, QueueThatIsFullRefusesAtOnce) {
  Restart({.max_queued = 2});
  Prime("echo");
  Submit(Sending(1));
  Submit(Sending(2));
  const Call& refused = Submit(Sending(3));
  ASSERT_TRUE(refused.answered());
  EXPECT_THAT(refused.answer(), FailsWith(Reason::QUEUE_FULL));
  EXPECT_GT(DetailsOf(refused.answer().status()).retry_delay, absl::ZeroDuration());
  const Call& doubtful = Submit(Sending(4).Id("r"));  // which may have been sent, and executed, before
  ASSERT_TRUE(doubtful.answered());
  EXPECT_THAT(doubtful.answer(), FailsInDoubtWith(Reason::QUEUE_FULL));
  RunAll();
  EXPECT_THAT(Do(Sending(4).Id("r")), AllOf(IsStep(4), Yields(4)));
}

TEST_F(TurnTest, QueueIsNotFullForWhoBoundsItsOwn) {
  Restart({.max_queued = 1});
  Prime("echo");
  Submit(Sending(1));
  Call& bounded = Sending(2);
  bounded.bounded_by_sender = true;
  EXPECT_THAT(Do(bounded), Yields(2));
}

TEST_F(TurnTest, WhileWhatWaitsHasWaitedTooLongCommandsAreRefused) {
  Prime("echo");
  executor_.SetLongestWait(absl::Milliseconds(999));
  EXPECT_THAT(Send(1), Yields(1));
  executor_.SetLongestWait(absl::Milliseconds(1001));
  const absl::StatusOr<Reply> refused = Send(2);
  EXPECT_THAT(refused, FailsWith(Reason::OVERLOADED));
  EXPECT_EQ(DetailsOf(refused.status()).retry_delay, absl::Milliseconds(1001));
  EXPECT_THAT(Do(Sending(3).Id("r")), FailsInDoubtWith(Reason::OVERLOADED));
  Call& bounded = Sending(4);
  bounded.bounded_by_sender = true;
  EXPECT_THAT(Do(bounded), AllOf(IsStep(3), Yields(4))) << "who bounds its own is held back otherwise";
  executor_.SetLongestWait(absl::ZeroDuration());
  EXPECT_THAT(Do(Sending(3).Id("r")), AllOf(IsStep(4), Yields(3)));
  executor_.SetLongestWait(absl::Seconds(2));
  EXPECT_THAT(Close(), IsStep(5)) << "what ends sessions is not refused";
}

TEST_F(TurnTest, SessionsAreNotMadeThen) {
  executor_.SetLongestWait(absl::Seconds(2));
  EXPECT_THAT(Create(PrimedSpec("echo")), FailsWith(Reason::OVERLOADED));
  executor_.SetLongestWait(absl::ZeroDuration());
  EXPECT_THAT(Create(PrimedSpec("echo")), IsOk());
}

TEST_F(TurnTest, WhoeverNeedsNoThreadIsNotRefused) {
  Prime("counter");
  for (int i = 0; i < 40; ++i) ASSERT_THAT(Send(), IsOk());
  executor_.SetLongestWait(absl::Seconds(2));
  EXPECT_THAT(Send(), Yields(42));
}

TEST_F(TurnTest, CommandsThatWaitForTheSameSessionCount) {
  probe_.during = [this] { clock_.Advance(absl::Milliseconds(6)); };
  Prime("probing");
  ASSERT_THAT(Send(), IsOk());
  executor_.SetLongestWait(absl::Milliseconds(400));
  for (int i = 0; i < 2; ++i) Submit(Sending());
  const Call& third = Submit(Sending());
  EXPECT_TRUE(third.answered());
  EXPECT_THAT(third.answer(), FailsWith(Reason::OVERLOADED)) << "it would have to wait three times";
  RunAll();
}

TEST_F(TurnTest, WithoutALimitNothingIsRefused) {
  Restart({.max_queue_delay = absl::ZeroDuration()});
  Prime("echo");
  executor_.SetLongestWait(absl::Hours(1));
  EXPECT_THAT(Send(1), Yields(1));
}

TEST_F(TurnTest, SlowSessionLetsGoOfItsThreadSoon) {
  probe_.during = [this] { clock_.Advance(absl::Milliseconds(6)); };
  Prime("probing");
  std::vector<Call*> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(&Submit(Sending()));
  ASSERT_TRUE(executor_.RunOne());
  EXPECT_TRUE(calls[1]->answered());
  EXPECT_FALSE(calls[3]->answered()) << "the thread goes to others after 10 ms";
  RunAll();
  EXPECT_TRUE(calls[3]->answered());
}

TEST_F(TurnTest, BusySessionLetsGoOfItsThread) {
  Prime("counter");
  Call* last = nullptr;
  for (int i = 0; i < 300; ++i) last = &Submit(Sending());
  ASSERT_TRUE(executor_.RunOne());
  EXPECT_FALSE(last->answered()) << "the thread goes to others after 256 steps";
  RunAll();
  EXPECT_THAT(last->answer(), Yields(301));
}

TEST_F(TurnTest, DefinitionThatIsKnownToBeQuickRunsOnTheThreadAtHand) {
  Prime("counter");
  for (int i = 0; i < 40; ++i) ASSERT_THAT(Send(), IsOk());
  const Call& at_once = Submit(Sending());
  ASSERT_TRUE(at_once.answered());
  EXPECT_THAT(at_once.answer(), Yields(42));
}

TEST_F(TurnTest, DefinitionThatMayBlockRunsOnTheExecutorHoweverQuickItWas) {
  Prime("blocking");
  for (int i = 0; i < 40; ++i) ASSERT_THAT(Send(), IsOk());
  EXPECT_FALSE(Submit(Sending()).answered());
}

TEST_F(TurnTest, DefinitionThatIsSlowRunsOnTheExecutor) {
  probe_.during = [this] { clock_.Advance(absl::Milliseconds(1)); };
  Prime("probing");
  for (int i = 0; i < 40; ++i) ASSERT_THAT(Send(), IsOk());
  EXPECT_FALSE(Submit(Sending()).answered());
}

// Deadlines and cancellations.

TEST_F(TurnTest, DeadlineThatPassesInTheQueueIsNotExecuted) {
  Prime("counter");
  const Call& late = Submit(Sending().Before(clock_.Now() + absl::Seconds(1)));
  clock_.Advance(absl::Seconds(2));
  RunAll();
  EXPECT_THAT(late.answer(), FailsWithCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
}

TEST_F(TurnTest, DeadlineThatPassesDuringTheStepChangesNothing) {
  Prime("probing");
  probe_.during = [this] { clock_.Advance(absl::Hours(1)); };
  EXPECT_THAT(Do(Sending("a").Id("r").Before(clock_.Now() + absl::Seconds(1))), AllOf(IsStep(2), Yields("a")));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  probe_.during = nullptr;
  EXPECT_THAT(Do(Sending("a").Id("r")), AllOf(RepeatsStep(2), Yields("a"))) << "to be had by its request_id";
}

TEST_F(TurnTest, CancelledBeforeItsTurnIsNotExecuted) {
  Prime("counter");
  EXPECT_THAT(Do(Sending().Cancel()), FailsWithCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(Send(), Yields(2));
}

TEST_F(TurnTest, CommandToNoSessionIsNotFound) {
  EXPECT_THAT(Send(), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(Do(Sending().To("..")), FailsWith(Reason::INVALID_SESSION_ID));
}

// What Get shows.

TEST_F(TurnTest, GetShowsRunningInAStepOnly) {
  Prime("probing");
  CoroutineState during = CoroutineState::kCreated;
  probe_.during = [&] { during = StateOf(); };
  ASSERT_THAT(Send(), IsOk());
  EXPECT_EQ(during, CoroutineState::kRunning);
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
}

TEST_F(TurnTest, GetShowsSuspendedOnceTheReplyIsGiven) {
  struct Looking : Call {
    explicit Looking(std::function<CoroutineState()> with) : Call(Operation::kSend), look(std::move(with)) {}
    void Finish(absl::StatusOr<Reply> reply) override {
      Call::Finish(std::move(reply));
      state = look();
    }
    std::function<CoroutineState()> look;
    CoroutineState state = CoroutineState::kRunning;
  };
  Prime("echo");
  Looking call([this] { return StateOf(); });
  Submit(call);
  RunAll();
  EXPECT_EQ(call.state, CoroutineState::kSuspended);
}

TEST_F(TurnTest, GetChangesNothing) {
  Prime("counter");
  const SessionInfo before = Look();
  clock_.Advance(absl::Minutes(10));
  const SessionInfo after = Look();
  EXPECT_EQ(after.steps, before.steps);
  EXPECT_EQ(after.last_used_time, before.last_used_time);
  EXPECT_EQ(after.last_outcome->outcome, Outcome::Yielded(1));
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
}

TEST_F(TurnTest, GetAtAStepIsNotDurable) {
  Prime("counter");
  EXPECT_THAT(GetNow(*sessions_, "s", 0), FailsWith(Reason::NOT_DURABLE));
  EXPECT_THAT(GetNow(*sessions_, "t", 0), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(GetNow(*sessions_, "", std::nullopt), FailsWith(Reason::INVALID_SESSION_ID));
}

}  // namespace
}  // namespace corod
