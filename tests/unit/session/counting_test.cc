// What sessions count, and what is asked of them when somebody reads the metrics.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

using metrics::ReplayCause;

class CountingTest : public DurableTest {
 protected:
  static CreateSpec Ephemeral(const std::string& coroutine, const std::string& id = "s") {
    CreateSpec spec = PrimedSpec(coroutine, id);
    spec.durability = Durability::kEphemeral;
    return spec;
  }
  std::int64_t Queued() const { return sessions_->metrics().queued_commands.value(); }
  std::uint64_t Replays(ReplayCause cause) const { return sessions_->metrics().replay.replays.value(cause); }
  std::uint64_t ReplayedSteps() const { return sessions_->metrics().replay.steps.value(); }
  std::uint64_t TimedReplays() const { return sessions_->metrics().replay.seconds.Read().count; }
};

TEST_F(CountingTest, WhatWaitsInAQueueIsCountedUntilItsTurn) {
  Make(Ephemeral("echo", "e"));
  Prime("echo", "d");
  EXPECT_EQ(Queued(), 0);
  for (const char* id : {"e", "d"}) {
    for (int i = 0; i < 3; ++i) Submit(Sending(i).To(id));
    EXPECT_EQ(Queued(), 3) << id;
    RunAll();
    EXPECT_EQ(Queued(), 0) << id;
  }
}

TEST_F(CountingTest, WhatWaitsIsForgottenWithASessionThatIsNotCreated) {
  durable_journal_.Next(Fault::kLost);
  sessions_->Create(PrimedSpec("echo"), [](const absl::StatusOr<Created>&) {});
  Submit(Sending(1));
  Submit(Sending(2));
  RunAll();
  EXPECT_EQ(Queued(), 0);
}

TEST_F(CountingTest, FinishedSessionsInMemoryAreCounted) {
  Make(Ephemeral("echo", "a"));
  Make(Ephemeral("echo", "b"));
  Prime("echo", "d");
  EXPECT_EQ(sessions_->finished(), 0u);
  for (const char* id : {"a", "b", "d"}) ASSERT_THAT(Do(Closing().To(id)), IsOk());
  EXPECT_EQ(sessions_->finished(), 3u);
  ASSERT_THAT(Do(Sending().To("a")), IsOk());
  EXPECT_EQ(sessions_->finished(), 3u) << "it does not finish twice";
  CreateSpec replaces = Ephemeral("echo", "b");
  replaces.if_exists = IfExists::kReplaceFinished;
  Make(replaces);
  EXPECT_EQ(sessions_->finished(), 2u);
  ASSERT_THAT(Do(Deleting().To("a")), IsOk());
  EXPECT_EQ(sessions_->finished(), 1u);
  CreateSpec brief = Ephemeral("returns_at_once", "r");
  brief.arguments = {{"value", Value(1)}};
  Make(brief);
  EXPECT_EQ(sessions_->finished(), 2u);
}

TEST_F(CountingTest, ADeleteThatFinishesASessionLeavesNone) {
  Make(Ephemeral("echo", "e"));
  Prime("echo", "d");
  for (const char* id : {"e", "d"}) ASSERT_THAT(Do(Deleting().To(id)), IsOk());
  EXPECT_EQ(sessions_->finished(), 0u);
  EXPECT_EQ(sessions_->live(), 0u);
}

TEST_F(CountingTest, AFinishedSessionThatSleepsIsCountedWhenItIsBack) {
  Prime("echo");
  ASSERT_THAT(Close(), IsOk());
  options_.retention = absl::InfiniteDuration();
  CrashAndRestart();
  EXPECT_EQ(sessions_->finished(), 0u);
  EXPECT_EQ(sessions_->asleep(), 1u);
  ASSERT_THAT(Send(), IsOk());
  EXPECT_EQ(sessions_->finished(), 1u);
  EXPECT_EQ(sessions_->asleep(), 0u);
  Sleep();
  EXPECT_EQ(sessions_->finished(), 0u);
  EXPECT_EQ(sessions_->asleep(), 1u);
}

TEST_F(CountingTest, WhatIsForgottenIsNoLongerFinished) {
  Make(Ephemeral("echo"));
  ASSERT_THAT(Close(), IsOk());
  EXPECT_EQ(sessions_->finished(), 1u);
  Pass(options_.retention + absl::Seconds(1));
  EXPECT_FALSE(Exists());
  EXPECT_EQ(sessions_->finished(), 0u);
}

TEST_F(CountingTest, ReplaysCountByTheirCause) {
  Prime("counter");
  for (int i = 2; i <= 6; ++i) ASSERT_THAT(Do(Sending().Id("r" + std::to_string(i))), IsStep(i));
  EXPECT_EQ(ReplayedSteps(), 0u);
  ASSERT_THAT(GetAt(4), IsOk());
  EXPECT_EQ(Replays(ReplayCause::kHistory), 1u);
  EXPECT_EQ(ReplayedSteps(), 4u);
  ASSERT_THAT(Do(Sending().Id("r3")), RepeatsStep(3));
  EXPECT_EQ(Replays(ReplayCause::kRepeat), 1u);
  EXPECT_EQ(ReplayedSteps(), 4u + 3u);
  EXPECT_EQ(TimedReplays(), 2u);
  ASSERT_THAT(Fork(Forking(2)), IsOk());
  EXPECT_EQ(Replays(ReplayCause::kHistory), 2u);
  EXPECT_EQ(ReplayedSteps(), 7u + 2u);
  EXPECT_EQ(Replays(ReplayCause::kWake), 0u);
  CrashAndRestart();
  ASSERT_THAT(Send(), IsStep(7));
  EXPECT_EQ(Replays(ReplayCause::kWake), 1u) << "of this life of the server";
  EXPECT_EQ(Replays(ReplayCause::kHistory), 0u);
  EXPECT_EQ(ReplayedSteps(), 6u);
  EXPECT_EQ(TimedReplays(), 1u);
}

TEST_F(CountingTest, WhatAWatchReadsOfTheLogIsAReplay) {
  Prime("counter");
  for (int i = 2; i <= 6; ++i) ASSERT_THAT(Send(), IsStep(i));
  absl::StatusOr<Watching> watching = StartWatch(1);
  ASSERT_THAT(watching, IsOk());
  Follow(*watching);
  EXPECT_EQ(Replays(ReplayCause::kHistory), 1u);
  EXPECT_EQ(ReplayedSteps(), 6u) << "it rests when it has read all";
  ASSERT_THAT(Send(), IsStep(7));
  Follow(*watching);
  EXPECT_EQ(watching->steps.size(), 7u);
  EXPECT_EQ(ReplayedSteps(), 6u) << "the last step came from the session";
  End(*watching);
  *watching = Watching();
  EXPECT_EQ(TimedReplays(), 1u);
}

TEST_F(CountingTest, AFinishedSessionComesBackWithoutAReplay) {
  Prime("echo");
  ASSERT_THAT(Close(), IsOk());
  CrashAndRestart();
  ASSERT_THAT(Send(), IsOk());
  EXPECT_EQ(Replays(ReplayCause::kWake), 0u);
}

TEST_F(CountingTest, ATroubledSessionIsCountedUntilItIsDeleted) {
  Prime("counter");
  for (int i = 2; i <= 6; ++i) ASSERT_THAT(Send(), IsStep(i));
  Prime("counter", "other");
  durable_journal_.ReadAs([](const SessionKey& key, std::vector<Batch> batches) {
    for (Batch& batch : batches) {
      if (key.id == "s" && batch.first_step == 5) ++batch.digest;
    }
    return batches;
  });
  CrashAndRestart();
  EXPECT_EQ(sessions_->troubled(), 0u) << "nobody has looked at it";
  EXPECT_THAT(Send(), FailsWith(Reason::REPLAY_DIVERGED));
  EXPECT_EQ(sessions_->troubled(), 1u);
  Sleep();
  EXPECT_EQ(sessions_->live(), 0u);
  EXPECT_EQ(sessions_->troubled(), 1u) << "also while it sleeps";
  EXPECT_THAT(Send(), FailsWith(Reason::REPLAY_DIVERGED));
  ASSERT_THAT(Do(Sending().To("other")), IsStep(2));
  EXPECT_EQ(sessions_->troubled(), 1u);
  ASSERT_THAT(Delete(), IsOk());
  EXPECT_EQ(sessions_->troubled(), 0u);
}

TEST_F(CountingTest, CommandsKnowWhereTheyCount) {
  Prime("echo", "e");
  Prime("counter", "c");
  const metrics::CommandCounters* const echo = &sessions_->metrics().OfCoroutine("echo");
  Call& taken = Sending(1).To("e");
  ASSERT_THAT(Do(taken), IsOk());
  EXPECT_EQ(taken.counters, echo);
  EXPECT_EQ(taken.executed, clock_.Now());
  Call& refused = Sending(1).To("e").AsStep(9);
  ASSERT_THAT(Do(refused), FailsWith(Reason::STEP_MISMATCH));
  EXPECT_EQ(refused.counters, echo);
  EXPECT_EQ(refused.executed, absl::InfinitePast());
  Call& other = Sending().To("c");
  ASSERT_THAT(Do(other), IsOk());
  EXPECT_EQ(other.counters, &sessions_->metrics().OfCoroutine("counter"));
  Call& nobodys = Sending().To("nobody");
  ASSERT_THAT(Do(nobodys), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_EQ(nobodys.counters, nullptr);
}

TEST_F(CountingTest, FullQueuesAreTheirCoroutines) {
  options_.max_queued = 1;
  Restart(options_);
  Make(Ephemeral("echo"));
  Submit(Sending(1));
  Call& refused = Sending(2);
  Submit(refused);
  ASSERT_TRUE(refused.answered());
  EXPECT_THAT(refused.answer(), FailsWith(Reason::QUEUE_FULL));
  EXPECT_EQ(refused.counters, &sessions_->metrics().OfCoroutine("echo"));
  EXPECT_EQ(Queued(), 1) << "it did not wait";
  RunAll();
  EXPECT_EQ(Queued(), 0);
}

}  // namespace
}  // namespace corod
