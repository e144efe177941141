// Drain: closes every session behind what runs, refuses new work, and says when it is done.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "server/coroutine/errors.h"
#include "tests/unit/session/sessions_test_base.h"

namespace corod {
namespace {

class DrainTest : public SessionsTest {
 protected:
  void Drain() {
    sessions_->Drain([this] { ++done_; });
  }
  int done_ = 0;
};

TEST_F(DrainTest, OfNothingIsDoneAtOnce) {
  Drain();
  EXPECT_EQ(done_, 1);
}

TEST_F(DrainTest, ClosesEverySessionSoThatItsCleanupRuns) {
  for (const char* id : {"a", "b", "c"}) Prime("counted", id);
  Make("counted", "unprimed");
  Drain();
  EXPECT_EQ(done_, 0);
  RunAll();
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(probe_.cleanups, 3);
  EXPECT_EQ(LiveFrames().frames, 0u);
}

TEST_F(DrainTest, ClosesMoreSessionsThanAreFetchedAtOnce) {
  for (int i = 0; i < 600; ++i) Prime("counted", "s" + std::to_string(i));
  Drain();
  RunAll();
  EXPECT_EQ(probe_.cleanups, 600);
  EXPECT_EQ(done_, 1);
}

TEST_F(DrainTest, LeavesFinishedSessionsAsTheyAre) {
  Prime("last_words");
  ASSERT_THAT(Close(), IsOk());
  Drain();
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(Look().steps, 2u);
}

TEST_F(DrainTest, BodyThatIgnoresItIsDroppedAfterThree) {
  Prime("stubborn_counted");
  Drain();
  RunAll();
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
  EXPECT_EQ(probe_.cleanups, 0);
}

TEST_F(DrainTest, RefusesNewWorkAndSaysToComeBack) {
  Prime("echo");
  Drain();
  const absl::StatusOr<Reply> refused = Send("a");
  EXPECT_THAT(refused, FailsWith(Reason::DRAINING));
  EXPECT_GT(DetailsOf(refused.status()).retry_delay, absl::ZeroDuration());
  EXPECT_THAT(Delete(), FailsWith(Reason::DRAINING));
  EXPECT_THAT(Create(Spec("echo", "t")), FailsWith(Reason::DRAINING));
}

TEST_F(DrainTest, RefusesWhatWaitedInTheQueue) {
  Prime("counter");
  const Call& waiting = Submit(Sending());
  Drain();
  RunAll();
  EXPECT_THAT(waiting.answer(), FailsWith(Reason::DRAINING));
  EXPECT_EQ(done_, 1);
}

TEST_F(DrainTest, CreateThatIsRefusedWhileItWaitsLeavesNoSession) {
  absl::Status answer;
  sessions_->Create(PrimedSpec("counter"), [&](const absl::StatusOr<Created>& created) { answer = created.status(); });
  Drain();
  RunAll();
  EXPECT_THAT(answer, FailsWith(Reason::DRAINING));
  EXPECT_FALSE(Exists());
  EXPECT_EQ(done_, 1);
}

TEST_F(DrainTest, GetAndListGoOn) {
  Prime("echo");
  Drain();
  RunAll();
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
  EXPECT_THAT(ListNow(*sessions_, {}, [](const SessionInfo&) { return true; }), IsOk());
}

TEST_F(DrainTest, WaitsForTheStepThatIsRunning) {
  Prime("blocking");
  const Call& slow = Submit(Sending("block"));
  std::thread worker([this] { RunAll(); });
  probe_.gate.WaitForArrivals(1);
  Drain();
  EXPECT_EQ(done_, 0);
  probe_.gate.Open();
  worker.join();
  EXPECT_THAT(slow.answer(), Yields("block"));
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

}  // namespace
}  // namespace corod
