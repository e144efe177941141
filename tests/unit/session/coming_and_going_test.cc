// Sessions that are being created, replaced or deleted while others ask for them: what is not in the journal is not
// there, and what a Delete took away does not come back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::IsEmpty;

class ComingAndGoingTest : public DurableTest {
 protected:
  // Begins, and is answered when its turn comes.
  template <typename T>
  using Answer = std::optional<absl::StatusOr<T>>;

  void Begin(CreateSpec spec, Answer<Created>& answer) {
    sessions_->Create(std::move(spec), [&answer](absl::StatusOr<Created> made) { answer = std::move(made); });
    RunAll();
  }

  static CreateSpec Replacing(const std::string& coroutine = "echo") {
    CreateSpec spec = PrimedSpec(coroutine);
    spec.if_exists = IfExists::kReplaceFinished;
    return spec;
  }

  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    for (const SessionInfo& info : ListAll()) ids.push_back(info.key.id);
    return ids;
  }
};

TEST_F(ComingAndGoingTest, CreateOfATakenIdWaitsUntilTheOtherIsInTheJournal) {
  durable_journal_.HoldAnswers();
  Answer<Created> first, second;
  Begin(PrimedSpec("echo"), first);
  Begin(PrimedSpec("counter"), second);
  EXPECT_FALSE(second);
  durable_journal_.GiveAnswers();
  RunAll();
  EXPECT_THAT(*first, IsOk());
  EXPECT_THAT(*second, FailsWith(Reason::SESSION_EXISTS));
}

TEST_F(ComingAndGoingTest, CreateBehindOneThatTheJournalDoesNotTakeMakesTheSession) {
  durable_journal_.HoldAnswers();
  durable_journal_.Next(Fault::kLost);
  Answer<Created> first, second, third;
  Begin(PrimedSpec("echo"), first);
  CreateSpec returns = PrimedSpec("counter");
  returns.if_exists = IfExists::kReturn;
  Begin(returns, second);
  Begin(PrimedSpec("averager"), third);
  durable_journal_.GiveAnswers();
  RunAll();
  EXPECT_TRUE(IsFailure(first->status(), Reason::JOURNAL_UNAVAILABLE));
  ASSERT_THAT(*second, IsOk());
  EXPECT_FALSE((*second)->existed);
  EXPECT_THAT(*third, FailsWith(Reason::SESSION_EXISTS));
  EXPECT_EQ(LookAt().coroutine, "counter");
}

TEST_F(ComingAndGoingTest, WhatIsBeingCreatedIsNotShown) {
  durable_journal_.Next(Fault::kLate);
  durable_journal_.HoldAnswers();
  Answer<Created> made;
  Begin(PrimedSpec("echo"), made);
  EXPECT_THAT(Get(), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(Ids(), IsEmpty());
  EXPECT_THAT(StartWatch(), FailsWith(Reason::SESSION_NOT_FOUND));
  durable_journal_.GiveAnswers();
  RunAll();
  EXPECT_TRUE(IsFailure(made->status(), Reason::JOURNAL_UNAVAILABLE));
}

TEST_F(ComingAndGoingTest, WhileItIsBeingReplacedTheFinishedOneIsShown) {
  Prime("last_words");
  ASSERT_THAT(Close(), IsOk());
  durable_journal_.Next(Fault::kLost);
  durable_journal_.HoldAnswers();
  Answer<Created> made;
  Begin(Replacing(), made);
  EXPECT_EQ(LookAt().coroutine, "last_words");
  EXPECT_THAT(Ids(), ElementsAre("s"));
  durable_journal_.GiveAnswers();
  RunAll();
  EXPECT_TRUE(IsFailure(made->status(), Reason::JOURNAL_UNAVAILABLE));
  EXPECT_EQ(LookAt().coroutine, "last_words");
  EXPECT_THAT(Send(), AllOf(IsStep(3), Returns(Value())));
}

TEST_F(ComingAndGoingTest, WhoeverMeetsTheOneThatWasReplacedLateGetsTheNewOne) {
  Prime("last_words");
  ASSERT_THAT(Close(), IsOk());
  durable_journal_.Next(Fault::kLate);
  Answer<Created> made;
  Begin(Replacing("tallying"), made);
  EXPECT_TRUE(IsFailure(made->status(), Reason::JOURNAL_UNAVAILABLE));
  EXPECT_THAT(Send(), AllOf(IsStep(3), Returns(Value()))) << "it is in memory";
  durable_journal_.WriteLate();
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
}

TEST_F(ComingAndGoingTest, UpdateOfWhatIsBeingCreatedIsKept) {
  durable_journal_.HoldAnswers();
  Answer<Created> made;
  Begin(PrimedSpec("echo"), made);
  Answer<SessionInfo> updated;
  sessions_->Update("s", {.labels = {{"k", "v"}}}, [&updated](absl::StatusOr<SessionInfo> info) { updated = info; });
  RunAll();
  EXPECT_FALSE(updated);
  durable_journal_.GiveAnswers();
  RunAll();
  ASSERT_TRUE(updated);
  ASSERT_THAT(*updated, IsOk());
  made.reset();
  CrashAndRestart();
  EXPECT_EQ(LookAt().labels, (Labels{{"k", "v"}}));
}

TEST_F(ComingAndGoingTest, UpdateOfWhatFallsAsleepIsKept) {
  Prime("echo");
  SessionPtr session = sessions_->FindLive("s");
  durable_journal_.HoldAnswers();
  clock_.Advance(options_.durability.passivate_after);
  sessions_->Sweep();
  Answer<SessionInfo> updated;
  sessions_->Update("s", {.labels = {{"k", "v"}}}, [&updated](absl::StatusOr<SessionInfo> info) { updated = info; });
  RunAll();
  durable_journal_.GiveAnswers();
  RunAll();
  ASSERT_TRUE(updated);
  ASSERT_THAT(*updated, IsOk());
  Sleep();
  ASSERT_FALSE(session->Update({.labels = {{"x", "y"}}}, [](const absl::Status&) { ADD_FAILURE(); }));
  session = SessionPtr();
  EXPECT_EQ(LookAt().labels, (Labels{{"k", "v"}}));
  CrashAndRestart();
  EXPECT_EQ(LookAt().labels, (Labels{{"k", "v"}}));
}

TEST_F(ComingAndGoingTest, DeleteBeforeAReplacingCreateIsKnownByItsIdEverAfter) {
  Prime("last_words");
  ASSERT_THAT(Close(), IsOk());
  durable_journal_.HoldAnswers();
  Call& deletion = Submit(Deleting().Id("d"));
  RunAll();
  Answer<Created> made;
  Begin(Replacing(), made);
  EXPECT_FALSE(made);
  durable_journal_.GiveAnswers();
  RunAll();
  ASSERT_TRUE(deletion.answered());
  EXPECT_THAT(deletion.answer(), IsStep(3));
  ASSERT_TRUE(made);
  ASSERT_THAT(*made, IsOk());
  EXPECT_THAT(Do(Deleting().Id("d")), RepeatsStep(3)) << "sent again, it leaves the new life alone";
  made.reset();
  CrashAndRestart();
  EXPECT_THAT(Do(Deleting().Id("d")), RepeatsStep(3));
  EXPECT_EQ(LookAt().coroutine, "echo");
}

TEST_F(ComingAndGoingTest, CommandsBehindAReplacingCreateAreForTheNewLife) {
  Prime("last_words");
  const std::string old_uid = LookAt().key.uid;
  ASSERT_THAT(Close(), IsOk());
  durable_journal_.HoldAnswers();
  const Call& before = Submit(Sending(1));
  RunAll();
  Answer<Created> made;
  Begin(Replacing(), made);
  const Call& behind = Submit(Sending(2));
  const Call& of_the_old = Submit(Deleting().OfLife(old_uid));
  durable_journal_.GiveAnswers();
  RunAll();
  EXPECT_THAT(before.answer(), AllOf(IsStep(3), Returns(Value())));
  ASSERT_THAT(*made, IsOk());
  EXPECT_THAT(behind.answer(), AllOf(IsStep(2), Yields(2)));
  EXPECT_THAT(of_the_old.answer(), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_EQ(sessions_->size(), 1u);
  EXPECT_EQ(sessions_->live(), 1u);
}

TEST_F(ComingAndGoingTest, OfTwoReplacingCreatesOneMakesTheSession) {
  Prime("last_words");
  ASSERT_THAT(Close(), IsOk());
  durable_journal_.HoldAnswers();
  Submit(Sending(1));
  RunAll();
  Answer<Created> first, second;
  Begin(Replacing("echo"), first);
  Begin(Replacing("counter"), second);
  durable_journal_.GiveAnswers();
  RunAll();
  ASSERT_THAT(*first, IsOk());
  EXPECT_THAT(*second, FailsWith(Reason::SESSION_EXISTS));
  EXPECT_EQ(sessions_->live(), 1u);
}

TEST_F(ComingAndGoingTest, ReplacingOneThatSleepsOrWasJustForgotten) {
  Prime("last_words");
  ASSERT_THAT(Close(), IsOk());
  Sleep();
  ASSERT_THAT(Create(Replacing()), IsOk());
  ASSERT_THAT(Close(), IsOk());
  ASSERT_THAT(Delete(), IsOk());
  ASSERT_THAT(Create(Replacing("counter")), IsOk());
  EXPECT_EQ(sessions_->size(), 1u);
  EXPECT_EQ(sessions_->live(), 1u);
}

TEST_F(ComingAndGoingTest, WhatIsNotReplacedAfterAllStaysInMemory) {  // with changes that the journal does not have yet
  Prime("last_words");
  ASSERT_THAT(Close(), IsOk());
  const SessionPtr session = sessions_->FindLive("s");
  EXPECT_THAT(Create(Replacing("nothing")), FailsWith(Reason::COROUTINE_NOT_FOUND));
  EXPECT_EQ(sessions_->FindLive("s").get(), session.get());
}

TEST_F(ComingAndGoingTest, CreateSentAgainBehindADeleteIsNotToldOfWhatIsGone) {
  CreateSpec spec = Spec("echo");
  spec.request_id = "c";
  Make(spec);
  const std::string uid = LookAt().key.uid;
  Submit(Deleting());
  Answer<Created> again;
  Begin(spec, again);
  ASSERT_TRUE(again);
  ASSERT_THAT(*again, IsOk());
  EXPECT_NE((*again)->session->uid(), uid);
  EXPECT_EQ(LookAt().key.uid, (*again)->session->uid());
}

// A Delete that is in the log, and whose session is still there since the journal could not remove it.

TEST_F(ComingAndGoingTest, WhatIsDeletedInItsLogIsNeitherForkedNorExported) {
  Prime("last_words");
  durable_journal_.FailRemoves(true);
  Submit(Deleting().Id("d"));
  RunAll();
  EXPECT_THAT(Fork(Forking()), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(Export(), FailsWith(Reason::SESSION_NOT_FOUND));
  ASSERT_THAT(Fork(Forking(1)), IsOk()) << "as it stood before";
  EXPECT_THAT(Do(Closing().To("f")), AllOf(IsStep(2), Returns("bye")));
}

TEST_F(ComingAndGoingTest, DeleteOfASessionWhoseLogTurnedOutDamagedAfterADoubt) {
  Prime("echo");
  durable_journal_.Next(Fault::kForeign);
  durable_journal_.ReadAs([](const SessionKey&, std::vector<Batch> batches) {
    for (Batch& batch : batches) batch.digest ^= 1;
    return batches;
  });
  const absl::StatusOr<Reply> doubtful = Send(1);
  EXPECT_TRUE(IsFailure(doubtful.status(), Reason::REPLAY_DIVERGED));
  EXPECT_FALSE(DetailsOf(doubtful.status()).metadata.contains("executed"));
  EXPECT_THAT(Send(2), FailsWith(Reason::REPLAY_DIVERGED));
  EXPECT_THAT(Delete(), IsOk());
  EXPECT_FALSE(Exists());
  EXPECT_EQ(store_.size(), 0u);
}

// Copies begin a life of their own.

TEST_F(ComingAndGoingTest, ImportBeginsANewLifeThatIsNotDueAtOnce) {
  options_.durable_idle_timeout = absl::Minutes(1);
  Restart();
  CreateSpec spec = PrimedSpec("counter");
  spec.expire_time = clock_.Now() + absl::Seconds(30);
  Make(spec);
  const std::string file = Export().value();
  ASSERT_THAT(Close(), IsOk());
  const std::string finished = Export().value();
  ASSERT_THAT(Delete(), IsOk());
  clock_.Advance(absl::Hours(5));
  ASSERT_THAT(Import(file), IsOk());
  ASSERT_THAT(Import(finished, "finished"), IsOk());
  Sweep();
  EXPECT_EQ(LookAt().state, CoroutineState::kSuspended);
  EXPECT_EQ(LookAt().expire_time, absl::InfiniteFuture()) << "that time was over";
  EXPECT_EQ(LookAt("finished").finish_time, clock_.Now());
  CrashAndRestart();
  Sweep();
  EXPECT_EQ(LookAt().state, CoroutineState::kSuspended);
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
  Pass(options_.durable_idle_timeout);
  EXPECT_EQ(LookAt().state, CoroutineState::kClosed);
  Pass(options_.retention);
  EXPECT_THAT(Get("finished"), FailsWith(Reason::SESSION_NOT_FOUND));
}

}  // namespace
}  // namespace corod
