// Checkpoints bound the log, the time that a wake takes, and how far back a session can be looked at.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

class CheckpointTest : public DurableTest {
 protected:
  CheckpointTest() {
    options_.durability.checkpoint_every = 7;
    options_.durability.history = 20;
    Restart();
  }
  void SendMany(int count) {
    for (int i = 0; i < count; ++i) ASSERT_THAT(Send(1), IsOk());
  }
};

TEST_F(CheckpointTest, LogStaysBoundedAndReachesBackAsFarAsIsAsked) {
  Prime("averager");
  SendMany(10'000);
  EXPECT_LE(LoggedSteps(), 20u + 4 * 7);
  EXPECT_LE(Checkpoints().size(), 6u);
  const SessionInfo info = LookAt();
  EXPECT_EQ(info.steps, 10'001u);
  EXPECT_LE(info.earliest_step, 10'001u - 19);
  EXPECT_GE(info.earliest_step, 10'001u - 20 - 2 * 7);
  EXPECT_THAT(GetAt(info.earliest_step - 2), FailsWith(Reason::HISTORY_TRIMMED));
  for (Step step = info.earliest_step; step <= info.steps; ++step) {
    const absl::StatusOr<SessionInfo> at = GetAt(step);
    ASSERT_THAT(at, IsOk());
    EXPECT_EQ(at->steps, step);
  }
  EXPECT_THAT(GetAt(info.steps + 1), FailsWith(Reason::INVALID_ARGUMENTS));
  CrashAndRestart();
  EXPECT_EQ(LookAt().earliest_step, info.earliest_step);
  EXPECT_THAT(Send(1), AllOf(IsStep(10'002), Yields(1.0)));
}

TEST_F(CheckpointTest, AllHistoryMayBeKept) {
  options_.durability.history = DurabilityOptions::kAllHistory;
  Restart();
  Prime("averager");
  SendMany(200);
  EXPECT_EQ(LoggedSteps(), 201u);
  EXPECT_EQ(LookAt().earliest_step, 1u);
  for (Step step = 0; step <= 201; step += 3) {
    const absl::StatusOr<SessionInfo> at = GetAt(step);
    ASSERT_THAT(at, IsOk());
    EXPECT_EQ(at->steps, step);
    EXPECT_EQ(at->state, step ? CoroutineState::kSuspended : CoroutineState::kCreated);
  }
}

TEST_F(CheckpointTest, RetriesAreKnownAcrossCheckpointsAndForgottenBeyondHistory) {
  Prime("averager");
  for (int i = 0; i < 100; ++i) ASSERT_THAT(Do(Sending(i).Id("r" + std::to_string(i))), IsOk());
  for (const bool crashed : {false, true}) {
    if (crashed) CrashAndRestart();
    EXPECT_THAT(Do(Sending(99).Id("r99")), AllOf(RepeatsStep(101), Yields(49.5)));
    EXPECT_THAT(Do(Sending(90).Id("r90")), AllOf(RepeatsStep(92), Yields(45.0)));
    EXPECT_THAT(Do(Sending(3).Id("r3")), FailsWith(Reason::REPLY_FORGOTTEN));
    EXPECT_THAT(Do(Sending(4).Id("r3")), FailsWith(Reason::REQUEST_ID_REUSED));
  }
  EXPECT_EQ(LookAt().steps, 101u);
}

TEST_F(CheckpointTest, SleepingAfterEveryStepKeepsFewCheckpoints) {
  Prime("averager");
  for (int i = 0; i < 100; ++i) {
    ASSERT_THAT(Send(1), IsStep(i + 2));
    Sleep();
    ASSERT_LE(Checkpoints().size(), 8u);
    ASSERT_LE(LoggedSteps(), 50u);
  }
}

TEST_F(CheckpointTest, WhoLooksAtASessionWhoseLogIsShortenedMeanwhileSeesItAsItStands) {
  Prime("averager");
  for (const bool lists : {false, true}) {
    SendMany(3);
    CrashAndRestart();
    bool goes_on = true;
    durable_journal_.BeforeRead([&] {
      if (std::exchange(goes_on, false)) SendMany(100);
    });
    if (lists) {
      const std::vector<SessionInfo> listed = ListAll();
      ASSERT_EQ(listed.size(), 1u);
      EXPECT_EQ(listed[0].steps, 207u);
    } else {
      EXPECT_EQ(LookAt().steps, 104u);
    }
    EXPECT_FALSE(goes_on);
  }
}

TEST_F(CheckpointTest, WatcherIsToldWhereTheLogBeginsNow) {
  Prime("averager");
  SendMany(3);
  absl::StatusOr<Watching> watching = StartWatch(1);
  bool goes_on = true;
  durable_journal_.BeforeRead([&] {
    if (std::exchange(goes_on, false)) SendMany(100);
  });
  Follow(*watching);
  ASSERT_TRUE(watching->end);
  EXPECT_THAT(*watching->end, FailsWith(Reason::HISTORY_TRIMMED));
  EXPECT_EQ(DetailsOf(*watching->end).metadata["earliest_step"], std::to_string(LookAt().earliest_step));
  End(*watching);
}

TEST_F(CheckpointTest, FailedSavesLoseNothing) {
  Prime("averager");
  durable_journal_.FailSaves(true);
  SendMany(50);
  durable_journal_.FailSaves(false);
  SendMany(50);
  CrashAndRestart();
  EXPECT_THAT(Send(1), IsStep(102));
}

TEST_F(CheckpointTest, BodyThatCannotBeRestartedHasALimit) {
  options_.durability.history_limit = 10;
  Restart();
  Prime("counter");
  for (int i = 2; i <= 10; ++i) ASSERT_THAT(Send(), IsStep(i));
  EXPECT_THAT(Send(), FailsWith(Reason::HISTORY_LIMIT));
  EXPECT_THAT(Close(), IsStep(11));
  EXPECT_THAT(Delete(), IsStep(12));
}

// One that has finished has no state to be saved, and takes steps all the same.
TEST_F(CheckpointTest, RestartableOneHasTheLimitFromItsLastCheckpointOn) {
  options_.durability.checkpoint_every = 5;
  options_.durability.history_limit = 10;
  Restart();
  Prime("averager");
  for (int i = 2; i <= 50; ++i) ASSERT_THAT(Send(i), IsStep(i));
  ASSERT_EQ(Checkpoints().back(), 50u);
  ASSERT_THAT(Close(), IsStep(51));
  for (int i = 52; i <= 65; ++i) ASSERT_THAT(Send(i), IsStep(i));
  EXPECT_THAT(Send(66), FailsWith(Reason::HISTORY_LIMIT));
  CrashAndRestart();
  EXPECT_THAT(Send(66), FailsWith(Reason::HISTORY_LIMIT));
  EXPECT_THAT(Delete(), IsStep(66));
}

}  // namespace
}  // namespace corod
