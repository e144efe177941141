// What is done about durable sessions though nobody asks: closing, forgetting, settling.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

class DueTest : public DurableTest {};

TEST_F(DueTest, FinishedSessionIsForgottenAfterRetentionAlsoAsleepOrDown) {
  for (const int how : {0, 1, 2}) {
    Prime("last_words");
    ASSERT_THAT(Do(Closing().Id("c")), IsStep(2));
    if (how == 1) CrashAndRestart();
    if (how == 2) Crash();
    clock_.Advance(options_.retention - absl::Milliseconds(1));
    if (how == 2) Restart();
    Sweep();
    EXPECT_THAT(Do(Closing().Id("c")), RepeatsStep(2));
    Pass(absl::Milliseconds(1));
    EXPECT_THAT(Get(), FailsWith(Reason::SESSION_NOT_FOUND));
    EXPECT_EQ(sessions_->size(), 0u);
  }
}

TEST_F(DueTest, IdleAndExpiredSessionsAreClosedAlsoAsleepOrDown) {
  for (const bool expires : {false, true}) {
    for (const bool down : {false, true}) {
      CreateSpec spec = PrimedSpec("counted");
      if (expires) {
        spec.expire_time = clock_.Now() + absl::Hours(2);
      } else {
        spec.idle_timeout = absl::Hours(2);
      }
      Make(spec);
      probe_.cleanups = 0;
      Sleep();
      EXPECT_FALSE(Exists());
      if (down) Crash();
      clock_.Advance(absl::Hours(2));
      if (down) Restart();
      Sweep();
      EXPECT_EQ(probe_.cleanups, 1);
      EXPECT_EQ(LookAt().state, CoroutineState::kClosed);
      Pass(options_.retention);
      Pass(options_.durability.settle_after);
      EXPECT_THAT(Get(), FailsWith(Reason::SESSION_NOT_FOUND));
    }
  }
}

TEST_F(DueTest, SessionThatWasAliveAtACrashIsSettled) {
  Prime("counter");
  ASSERT_THAT(Send(), IsStep(2));
  CrashAndRestart();
  EXPECT_FALSE(Stored().IsSettled());
  Pass(options_.durability.settle_after);
  EXPECT_TRUE(Exists());
  Sweep();
  Sleep();
  EXPECT_FALSE(Exists());
  EXPECT_TRUE(Stored().IsSettled());
}

TEST_F(DueTest, WhatCannotBeTakenCareOfDoesNotKeepTheServerBusy) {
  Prime("counter");
  clock_.Advance(options_.durability.settle_after);
  durable_journal_.FailSaves(true);
  for (int i = 0; i < 3; ++i) {
    const absl::Time again = sessions_->Sweep();
    RunAll();
    EXPECT_TRUE(Exists());
    EXPECT_EQ(again, clock_.Now() + absl::Milliseconds(20)) << "what is due goes on standing in the index";
  }
  durable_journal_.FailSaves(false);
  Sweep();
  EXPECT_FALSE(Exists());
}

}  // namespace
}  // namespace corod
