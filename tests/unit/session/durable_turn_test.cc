// A durable session's turn: the log comes first, then the step, then the answer; doubts and conflicts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "server/coroutine/errors.h"
#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

class DurableTurnTest : public DurableTest {
 protected:
  absl::Time Past() const { return clock_.Now() - absl::Seconds(1); }
};

TEST_F(DurableTurnTest, NothingIsExecutedOrAnsweredBeforeItIsInTheLog) {
  Prime("tallying");
  durable_journal_.HoldAnswers();
  const Call& call = Submit(Sending());
  RunAll();
  EXPECT_FALSE(call.answered());
  EXPECT_EQ(probe_.tallied, 1);
  EXPECT_EQ(Look().steps, 1u);
  durable_journal_.GiveAnswers();
  RunAll();
  EXPECT_THAT(call.answer(), AllOf(IsStep(2), Yields(2)));
}

TEST_F(DurableTurnTest, CreateIsAnsweredWhenItIsInTheLog) {
  durable_journal_.HoldAnswers();
  int answers = 0;
  sessions_->Create(Spec("echo", "a"), [&answers](const absl::StatusOr<Created>& made) { answers += made.ok(); });
  sessions_->Create(PrimedSpec("echo", "b"), [&answers](const absl::StatusOr<Created>& made) { answers += made.ok(); });
  RunAll();
  EXPECT_EQ(answers, 0);
  durable_journal_.GiveAnswers();
  RunAll();
  EXPECT_EQ(answers, 2);
}

TEST_F(DurableTurnTest, CreateThatIsRefusedLeavesNothing) {
  CreateSpec spec = PrimedSpec("echo");
  spec.deadline = Past();
  EXPECT_THAT(Create(spec), FailsWithCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(store_.size(), 0u);
  EXPECT_THAT(Send(), FailsWith(Reason::SESSION_NOT_FOUND));
  CrashAndRestart();
  EXPECT_THAT(Send(), FailsWith(Reason::SESSION_NOT_FOUND));
}

TEST_F(DurableTurnTest, NothingIsSaidOfASessionThatIsBeingCreated) {
  for (const Fault fault : {Fault::kNone, Fault::kLost}) {
    const std::string id = fault == Fault::kNone ? "made" : "lost";
    durable_journal_.HoldAnswers();
    durable_journal_.Next(fault);
    sessions_->Create(Spec("echo", id), [](const absl::StatusOr<Created>&) {});
    RunAll();
    Call& call = Submit(Sending(1).To(id));
    RunAll();
    EXPECT_FALSE(call.answered()) << id;
    durable_journal_.GiveAnswers();
    RunAll();
    if (fault == Fault::kNone) {
      EXPECT_THAT(call.answer(), FailsWith(Reason::NOT_PRIMED));
    } else {
      EXPECT_TRUE(absl::IsUnavailable(call.answer().status())) << call.answer().status();
    }
  }
}

TEST_F(DurableTurnTest, WhatWaitsBecomesOneBatchAnsweredInOrder) {
  Prime("echo");
  const int before = durable_journal_.appends();
  std::vector<Call*> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(&Submit(Sending(i)));
  RunAll();
  EXPECT_EQ(durable_journal_.appends(), before + 1);
  for (int i = 0; i < 100; ++i)
    EXPECT_THAT(calls[static_cast<std::size_t>(i)]->answer(), AllOf(IsStep(i + 2), Yields(i)));
}

TEST_F(DurableTurnTest, WhatIsEnqueuedTogetherIsOneBatch) {
  Prime("echo");
  const int before = durable_journal_.appends();
  const SessionPtr session = sessions_->FindLive("s");
  std::vector<Call*> calls;
  for (int i = 0; i < 3; ++i) {
    calls.push_back(&Sending(i));
    calls.back()->bounded_by_sender = true;
    bool runs = false;
    ASSERT_TRUE(session->Enqueue(calls.back(), runs));
    EXPECT_EQ(runs, i == 0) << "whoever enqueued the first has the session";
  }
  Call& behind = Submit(Sending(3));
  RunAll();
  EXPECT_FALSE(calls[0]->answered());
  EXPECT_FALSE(behind.answered());
  EXPECT_EQ(durable_journal_.appends(), before);
  session->Release();
  RunAll();
  EXPECT_EQ(durable_journal_.appends(), before + 1);
  for (int i = 0; i < 3; ++i)
    EXPECT_THAT(calls[static_cast<std::size_t>(i)]->answer(), AllOf(IsStep(i + 2), Yields(i)));
  EXPECT_THAT(behind.answer(), AllOf(IsStep(5), Yields(3)));
}

TEST_F(DurableTurnTest, OneThatHasLeftMemoryTakesNothing) {
  Prime("echo");
  const SessionPtr session = sessions_->FindLive("s");
  Sleep();
  Call& call = Sending();
  call.bounded_by_sender = true;
  bool runs = false;
  EXPECT_FALSE(session->Enqueue(&call, runs));
  EXPECT_FALSE(runs);
}

TEST_F(DurableTurnTest, OneThatIsHeldStaysInMemory) {
  Prime("echo");
  const SessionPtr session = sessions_->FindLive("s");
  Call& call = Sending(1);
  call.bounded_by_sender = true;
  bool runs = false;
  ASSERT_TRUE(session->Enqueue(&call, runs));
  Sleep();
  EXPECT_TRUE(Exists());
  session->Release();
  RunAll();
  EXPECT_THAT(call.answer(), AllOf(IsStep(2), Yields(1)));
}

TEST_F(DurableTurnTest, WhatIsLargeBecomesSeveralBatches) {
  Prime("echo");
  durable_journal_.HoldAnswers();
  Submit(Sending());
  RunAll();
  const Value large(std::string(1'000'000, 'x'));
  std::vector<Call*> calls;
  for (int i = 0; i < 8; ++i) calls.push_back(&Submit(Sending(large)));
  durable_journal_.GiveAnswers();
  RunAll();
  for (int i = 0; i < 8; ++i) EXPECT_THAT(calls[static_cast<std::size_t>(i)]->answer(), IsStep(i + 3));
  ASSERT_THAT(Fork(Forking()), IsOk());
  for (const char* id : {"s", "f"}) {
    EXPECT_EQ(LoggedSteps(id), 10u);
    std::size_t large_ones = 0;
    for (const Batch& batch : Log(id)) {
      const auto count = std::count_if(batch.records.begin(), batch.records.end(),
                                       [&large](const Record& record) { return record.value == large; });
      EXPECT_LE(count, 2);
      large_ones += static_cast<std::size_t>(count);
    }
    EXPECT_EQ(large_ones, 8u);
  }
}

TEST_F(DurableTurnTest, WhatComesWhileABatchIsUnderWayIsTheNext) {
  Prime("echo");
  const int before = durable_journal_.appends();
  durable_journal_.HoldAnswers();
  Submit(Sending(1));
  RunAll();
  std::vector<Call*> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(&Submit(Sending(i)));
  RunAll();
  EXPECT_EQ(durable_journal_.appends(), before + 1);
  durable_journal_.GiveAnswers();
  RunAll();
  EXPECT_EQ(durable_journal_.appends(), before + 2);
  EXPECT_THAT(calls[4]->answer(), AllOf(IsStep(7), Yields(4)));
}

TEST_F(DurableTurnTest, ListPassesOverManyThatAreBeingCreated) {
  Prime("echo", "m");
  Prime("echo", "z");
  ASSERT_THAT(Do(Closing().To("m")), IsOk());
  durable_journal_.HoldAnswers();
  int answers = 0;
  const auto count = [&answers](const absl::StatusOr<Created>&) { ++answers; };
  for (int i = 0; i < 600; ++i) {
    durable_journal_.Next(Fault::kLost);
    sessions_->Create(Spec("echo", "n" + std::to_string(i)), count);
  }
  durable_journal_.Next(Fault::kLost);
  CreateSpec replaces = Spec("echo", "m");
  replaces.if_exists = IfExists::kReplaceFinished;
  sessions_->Create(replaces, count);
  RunAll();
  const std::vector<SessionInfo> listed = ListAll();
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].key.id, "m");
  EXPECT_EQ(listed[0].state, CoroutineState::kClosed);
  durable_journal_.GiveAnswers();
  RunAll();
  EXPECT_EQ(answers, 601);
  EXPECT_EQ(ListAll().size(), 2u);
}

TEST_F(DurableTurnTest, CommandsQueuedBeforeTheSessionIsCreatedGoWithIt) {
  sessions_->Create(PrimedSpec("echo"), [](const absl::StatusOr<Created>& made) { EXPECT_THAT(made, IsOk()); });
  RunAll();
  EXPECT_THAT(Send("a"), AllOf(IsStep(2), Yields("a")));
  EXPECT_EQ(LoggedSteps(), 2u);
}

TEST_F(DurableTurnTest, TheTimeThatAWriteTakesIsNotTheSteps) {
  Prime("counter");
  const auto send_while_writing_takes_long = [this]() -> const Call& {
    durable_journal_.HoldAnswers();
    const Call& call = Submit(Sending());
    RunAll();
    clock_.Advance(absl::Milliseconds(20));
    durable_journal_.GiveAnswers();
    return call;
  };
  for (int i = 0; i < 40; ++i) {
    send_while_writing_takes_long();
    RunAll();
  }
  EXPECT_TRUE(send_while_writing_takes_long().answered()) << "on the journal's thread: the steps were quick";
}

TEST_F(DurableTurnTest, RefusedCommandsAreNotInTheLog) {
  Prime("echo");
  EXPECT_THAT(Do(Sending("a").Before(Past())), FailsWithCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(Do(Sending("a").Cancel()), FailsWithCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(Do(Sending("a").AsStep(9)), FailsWith(Reason::STEP_MISMATCH));
  EXPECT_EQ(LoggedSteps(), 1u);
}

TEST_F(DurableTurnTest, CommandsInOneBatchSeeTheStepsOfThoseBefore) {
  Make("echo");
  const Call& refused = Submit(Sending("a"));
  const Call& prime = Submit(Sending().AsStep(1));
  const Call& second = Submit(Sending("b").AsStep(2));
  const Call& wrong = Submit(Sending("c").AsStep(2));
  const Call& third = Submit(Sending("d").AsStep(3));
  const Call& late = Submit(Sending("e").Before(Past()));
  const Call& cancelled = Submit(Sending("f").Cancel());
  const Call& fourth = Submit(Sending("g"));
  RunAll();
  EXPECT_THAT(refused.answer(), FailsWith(Reason::NOT_PRIMED));
  EXPECT_THAT(prime.answer(), IsStep(1));
  EXPECT_THAT(second.answer(), AllOf(IsStep(2), Yields("b")));
  EXPECT_THAT(wrong.answer(), FailsWith(Reason::STEP_MISMATCH));
  EXPECT_EQ(DetailsOf(wrong.answer().status()).metadata["actual_step"], "3");
  EXPECT_THAT(third.answer(), AllOf(IsStep(3), Yields("d")));
  EXPECT_THAT(late.answer(), FailsWithCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(cancelled.answer(), FailsWithCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(fourth.answer(), AllOf(IsStep(4), Yields("g")));
}

TEST_F(DurableTurnTest, EqualIdsInOneQueueAreOneStep) {
  Prime("echo");
  const Call& first = Submit(Sending("a").Id("r"));
  const Call& again = Submit(Sending("a").Id("r"));
  const Call& other = Submit(Sending("b").Id("r"));
  const Call& next = Submit(Sending("c"));
  RunAll();
  EXPECT_THAT(first.answer(), AllOf(IsStep(2), Yields("a")));
  EXPECT_THAT(again.answer(), AllOf(RepeatsStep(2), Yields("a")));
  EXPECT_THAT(other.answer(), FailsWith(Reason::REQUEST_ID_REUSED));
  EXPECT_THAT(next.answer(), AllOf(IsStep(3), Yields("c")));
}

TEST_F(DurableTurnTest, DeleteEndsTheBatchAndWhatIsBehindItFindsNoSession) {
  Prime("echo");
  const Call& before = Submit(Sending("a"));
  const Call& deletes = Submit(Deleting());
  const Call& behind = Submit(Sending("b"));
  const Call& known = Submit(Sending("a"));
  RunAll();
  EXPECT_THAT(before.answer(), IsStep(2));
  EXPECT_THAT(deletes.answer(), AllOf(IsStep(3), Returns(Value())));
  EXPECT_THAT(behind.answer(), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(known.answer(), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_FALSE(store_.Find("s").value().has_value());
  EXPECT_EQ(sessions_->size(), 0u);
  Prime("echo");
  EXPECT_THAT(Send("c"), IsStep(2));
}

TEST_F(DurableTurnTest, RetryBehindADeleteFindsNoSession) {
  Prime("echo");
  ASSERT_THAT(Do(Sending("a").Id("r")), IsStep(2));
  ASSERT_THAT(Send("b"), IsStep(3));
  const Call& deletes = Submit(Deleting());
  const Call& retry = Submit(Sending("a").Id("r"));
  RunAll();
  EXPECT_THAT(deletes.answer(), IsStep(4));
  EXPECT_THAT(retry.answer(), FailsWith(Reason::SESSION_NOT_FOUND));
}

TEST_F(DurableTurnTest, DeleteIsKnownByItsIdAfterARestart) {
  Prime("last_words");
  ASSERT_THAT(Do(Deleting().Id("d")), AllOf(IsStep(2), Returns("bye")));
  EXPECT_THAT(Do(Deleting().Id("d")), AllOf(RepeatsStep(2), Returns("bye")));
  CrashAndRestart();
  EXPECT_THAT(Do(Deleting().Id("d")), AllOf(RepeatsStep(2), Returns("bye")));
  clock_.Advance(options_.retention);
  EXPECT_THAT(Do(Deleting().Id("d")), FailsWith(Reason::SESSION_NOT_FOUND));
}

TEST_F(DurableTurnTest, DeleteThatIsInTheLogIsCarriedOutAfterACrash) {
  for (const bool finished : {false, true}) {
    Prime("last_words");
    if (finished) ASSERT_THAT(Close(), IsStep(2));
    durable_journal_.FailRemoves(true);
    Submit(Deleting().Id("d"));
    RunAll();
    durable_journal_.FailRemoves(false);
    CrashAndRestart();
    const absl::StatusOr<Reply> first = Do(Deleting().Id("d"));
    EXPECT_THAT(first, RepeatsStep(finished ? 3 : 2)) << finished;
    EXPECT_FALSE(store_.Find("s").value().has_value());
    EXPECT_THAT(Do(Deleting().Id("d")), RepeatsStep(finished ? 3 : 2)) << finished;
    clock_.Advance(options_.retention);
  }
}

TEST_F(DurableTurnTest, DeleteThatCouldNotRemoveIsDoneByItsRetry) {
  Prime("last_words");
  durable_journal_.FailRemoves(true);
  EXPECT_TRUE(IsFailure(Do(Deleting().Id("d")).status(), Reason::JOURNAL_UNAVAILABLE));
  durable_journal_.FailRemoves(false);
  EXPECT_THAT(Do(Deleting().Id("d")), AllOf(RepeatsStep(2), Returns("bye")));
  EXPECT_THAT(Do(Deleting().Id("d")), AllOf(RepeatsStep(2), Returns("bye")));
  EXPECT_FALSE(Exists());
}

// An Update stores that the session has finished, which its next life believes without running it again.
TEST_F(DurableTurnTest, DeleteThatIsInTheLogIsCarriedOutThoughTheSessionWasSavedSince) {
  for (const bool finished : {false, true}) {
    Prime("last_words");
    if (finished) ASSERT_THAT(Close(), IsStep(2));
    durable_journal_.FailRemoves(true);
    EXPECT_TRUE(IsFailure(Do(Deleting().Id("d")).status(), Reason::JOURNAL_UNAVAILABLE));
    ASSERT_THAT(Update({.labels = {{"k", "v"}}}), IsOk());
    durable_journal_.FailRemoves(false);
    CrashAndRestart();
    EXPECT_THAT(Send(), FailsWith(Reason::SESSION_NOT_FOUND));
    EXPECT_FALSE(store_.Find("s").value().has_value());
    EXPECT_THAT(Do(Deleting().Id("d")),
                AllOf(RepeatsStep(finished ? 3 : 2), Returns(finished ? Value() : Value("bye"))));
    clock_.Advance(options_.retention);
  }
}

TEST_F(DurableTurnTest, SessionThatARemoveInDoubtHasTakenAwayIsNotFound) {
  Prime("counter");
  ASSERT_THAT(Do(Sending().Id("r2")), IsStep(2));
  ASSERT_THAT(Do(Sending().Id("r3")), IsStep(3));
  store_.Remove(Stored().head.key, std::nullopt, [](const absl::Status&) {});
  EXPECT_TRUE(IsFailure(Do(Sending().Id("r2")).status(), Reason::JOURNAL_UNAVAILABLE));
  EXPECT_THAT(Do(Sending().Id("r2")), FailsWith(Reason::SESSION_NOT_FOUND));
}

// A server that ends between any two things.

TEST_F(DurableTurnTest, CrashBeforeTheLogHasItLeavesNoStep) {
  Prime("counter");
  durable_journal_.Next(Fault::kLost);
  EXPECT_FALSE(Do(Sending().Id("r")).ok());
  CrashAndRestart();
  EXPECT_THAT(Do(Sending().Id("r")), AllOf(IsStep(2), Yields(2)));
}

TEST_F(DurableTurnTest, CrashBetweenLogAndExecutionLeavesOneStep) {
  Prime("counter");
  durable_journal_.HoldAnswers();
  const Call& call = Submit(Sending().Id("r"));
  RunAll();
  EXPECT_FALSE(call.answered());
  CrashAndRestart();
  EXPECT_FALSE(call.answer().ok());
  EXPECT_EQ(LookAt().steps, 2u);
  EXPECT_THAT(Do(Sending().Id("r")), AllOf(RepeatsStep(2), Yields(2)));
  EXPECT_THAT(Send(), AllOf(IsStep(3), Yields(3)));
}

TEST_F(DurableTurnTest, CrashAfterTheAnswerLeavesOneStep) {
  Prime("counter");
  ASSERT_THAT(Do(Sending().Id("r")), IsStep(2));
  CrashAndRestart();
  EXPECT_THAT(Do(Sending().Id("r")), AllOf(RepeatsStep(2), Yields(2)));
  EXPECT_THAT(Do(Throwing(py::ValueError("x")).Id("r")), FailsWith(Reason::REQUEST_ID_REUSED));
}

TEST_F(DurableTurnTest, CreateIsKnownByItsIdForAsLongAsTheSession) {
  Sessions::Options options;
  options.max_remembered_ids = 2;
  Restart(options);
  CreateSpec spec = PrimedSpec("counter");
  spec.request_id = "c";
  ASSERT_THAT(Create(spec), IsOk());
  for (int i = 0; i < 5; ++i) ASSERT_THAT(Do(Sending().Id("r" + std::to_string(i))), IsStep(i + 2));
  const auto retried = [&] {
    const absl::StatusOr<Created> again = Create(spec);
    return again.ok() && again->replayed && again->primed && again->primed->step == 1 &&
           again->primed->outcome == Outcome::Yielded(1);
  };
  EXPECT_TRUE(retried());
  Sleep();
  EXPECT_TRUE(retried());
  CrashAndRestart(options);
  EXPECT_TRUE(retried());
  EXPECT_EQ(LookAt().steps, 6u);
}

TEST_F(DurableTurnTest, UnprimedCreateIsKnownByItsIdAfterARestart) {
  CreateSpec spec = Spec("counter");
  spec.request_id = "c";
  ASSERT_THAT(Create(spec), IsOk());
  ASSERT_THAT(Send(), IsStep(1));
  CrashAndRestart();
  const absl::StatusOr<Created> again = Create(spec);
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(again->replayed);
  EXPECT_FALSE(again->primed);
  spec.prime = true;
  EXPECT_THAT(Create(spec), FailsWith(Reason::REQUEST_ID_REUSED));
}

// Doubt: the journal does not say what became of a batch.

class DoubtTest : public DurableTest, public testing::WithParamInterface<FailingJournal::Fault> {};

TEST_P(DoubtTest, NoStepIsLostRepeatedOrChanged) {
  Prime("echo");
  int step = 1;
  for (int round = 0; round < 20; ++round) {
    durable_journal_.Next(GetParam());
    const std::string id = "r" + std::to_string(round);
    const Call& first = Submit(Sending(round).Id(id));
    const Call& second = Submit(Sending("after").Id(id + "b"));
    RunAll();
    ASSERT_TRUE(first.answered() && second.answered());
    durable_journal_.WriteLate();
    const absl::StatusOr<Reply> reply = Do(Sending(round).Id(id));
    ASSERT_THAT(reply, AllOf(IsOk(), Yields(round)));
    ASSERT_EQ(reply->step, static_cast<Step>(++step));
    const absl::StatusOr<Reply> reply2 = Do(Sending("after").Id(id + "b"));
    ASSERT_THAT(reply2, AllOf(IsOk(), Yields("after")));
    ASSERT_EQ(reply2->step, static_cast<Step>(++step));
    if (round % 5 == 4) CrashAndRestart();
  }
  EXPECT_EQ(LookAt().steps, 41u);
  EXPECT_EQ(LoggedSteps(), 41u);
}

TEST_P(DoubtTest, CreateMayBeSentAgain) {
  CreateSpec spec = PrimedSpec("counter");
  spec.request_id = "c";
  durable_journal_.Next(GetParam());
  const absl::StatusOr<Created> first = Create(spec);
  durable_journal_.WriteLate();
  const absl::StatusOr<Created> again = Create(spec);
  ASSERT_THAT(again, IsOk());
  ASSERT_TRUE(again->primed);
  EXPECT_EQ(again->primed->outcome, Outcome::Yielded(1));
  EXPECT_EQ(again->primed->step, 1u);
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
  EXPECT_EQ(sessions_->size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Faults, DoubtTest,
                         testing::Values(FailingJournal::Fault::kNone, FailingJournal::Fault::kLost,
                                         FailingJournal::Fault::kLanded, FailingJournal::Fault::kLate,
                                         FailingJournal::Fault::kForeign));

TEST_F(DurableTurnTest, DoubtThatIsReadAtOnceAnswersWhatIsInTheLog) {
  Prime("counter");
  durable_journal_.Next(Fault::kLanded);
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
}

TEST_F(DurableTurnTest, LostCommandSaysThatItIsInDoubt) {
  Prime("counter");
  durable_journal_.Next(Fault::kLost);
  const absl::StatusOr<Reply> reply = Send();
  EXPECT_TRUE(IsFailure(reply.status(), Reason::JOURNAL_UNAVAILABLE));
  EXPECT_NE(DetailsOf(reply.status()).metadata["executed"], "no");
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
}

TEST_F(DurableTurnTest, WhileTheLogCannotBeReadAfterADoubtCommandsFailThenItGoesOn) {
  Prime("counter");
  durable_journal_.Next(Fault::kLanded);
  durable_journal_.FailReads(true);
  EXPECT_TRUE(IsFailure(Do(Sending().Id("r")).status(), Reason::JOURNAL_UNAVAILABLE));
  EXPECT_TRUE(IsFailure(Send().status(), Reason::JOURNAL_UNAVAILABLE));
  durable_journal_.FailReads(false);
  EXPECT_THAT(Do(Sending().Id("r")), AllOf(RepeatsStep(2), Yields(2)));
  EXPECT_THAT(Send(), AllOf(IsStep(3), Yields(3)));
}

TEST_F(DurableTurnTest, ForeignClaimIsGoneBehind) {
  Prime("counter");
  durable_journal_.Next(Fault::kForeign);
  const Call& first = Submit(Sending());
  const Call& second = Submit(Sending());
  RunAll();
  EXPECT_THAT(first.answer(), AllOf(IsStep(2), Yields(2)));
  EXPECT_THAT(second.answer(), AllOf(IsStep(3), Yields(3)));
}

TEST_F(DurableTurnTest, AnothersStepsAreTakenOver) {
  Prime("counter");
  ASSERT_THAT(Send(), IsStep(2));
  Sessions other(options_, catalog_, clock_, executor_, random_, durable_journal_);
  Call theirs(Operation::kSend);
  theirs.Id("theirs");
  other.Submit("s", &theirs);
  RunAll();
  EXPECT_THAT(theirs.answer(), AllOf(IsStep(3), Yields(3)));
  EXPECT_THAT(Do(Sending().Id("theirs")), AllOf(RepeatsStep(3), Yields(3)));
  EXPECT_THAT(Send(), AllOf(IsStep(4), Yields(4)));
  Call late(Operation::kSend);
  other.Submit("s", &late);
  RunAll();
  EXPECT_THAT(late.answer(), AllOf(IsStep(5), Yields(5)));
}

TEST_F(DurableTurnTest, SessionThatAnotherDeletedIsGone) {
  Prime("counter");
  Sessions other(options_, catalog_, clock_, executor_, random_, durable_journal_);
  Call theirs(Operation::kDelete);
  other.Submit("s", &theirs);
  RunAll();
  ASSERT_THAT(theirs.answer(), IsStep(2));
  EXPECT_THAT(Send(), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(Send(), FailsWith(Reason::SESSION_NOT_FOUND));
}

class SharedJournalTest : public DurableTest {
 protected:
  SharedJournalTest() : DurableTest({.durable = true, .comparison = MemoryJournal::Comparison::kOff}) {
    durable_journal_.SetShared(true);
  }
};

TEST_F(SharedJournalTest, SessionThatComesToLifeIsClaimedFirst) {
  Prime("counter");
  CrashAndRestart();
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
  EXPECT_EQ(LoggedSteps(), 2u);
}

TEST_F(SharedJournalTest, TwoServersTakeStepsInTurn) {
  Prime("counter");
  Sessions other(options_, catalog_, clock_, executor_, random_, durable_journal_);
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(Send(), AllOf(IsStep(2 * i + 2), Yields(2 * i + 2)));
    Call theirs(Operation::kSend);
    other.Submit("s", &theirs);
    RunAll();
    EXPECT_THAT(theirs.answer(), AllOf(IsStep(2 * i + 3), Yields(2 * i + 3)));
  }
  CrashAndRestart();
  EXPECT_THAT(Send(), AllOf(IsStep(22), Yields(22)));
}

TEST_F(SharedJournalTest, CreateThatMeetsAnothersFindsIt) {
  Sessions other(options_, catalog_, clock_, executor_, random_, durable_journal_);
  std::vector<absl::Status> answers;
  const auto create = [&answers](Sessions& on, CreateSpec spec) {
    on.Create(std::move(spec), [&answers](const absl::StatusOr<Created>& made) { answers.push_back(made.status()); });
  };
  create(*sessions_, PrimedSpec("counter", "a"));
  create(other, PrimedSpec("counter", "a"));
  create(*sessions_, Spec("counter", "b"));
  create(other, Spec("counter", "b"));
  RunAll();
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(std::count_if(answers.begin(), answers.end(), [](const auto& status) { return status.ok(); }), 2);
  EXPECT_EQ(std::count_if(answers.begin(), answers.end(),
                          [](const auto& status) { return IsFailure(status, Reason::SESSION_EXISTS); }),
            2);
  EXPECT_EQ(sessions_->size(), 2u);
}

}  // namespace
}  // namespace corod
