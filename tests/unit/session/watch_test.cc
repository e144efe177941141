// Watch: the steps of a session in order, those in the log and those to come, without gap and repeat.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

class WatchTest : public DurableTest {
 protected:
  static std::vector<Step> Range(Step from, Step to) {
    std::vector<Step> steps(to - from + 1);
    std::iota(steps.begin(), steps.end(), from);
    return steps;
  }
  void SendMany(int count) {
    for (int i = 0; i < count; ++i) ASSERT_THAT(Send(), IsOk());
  }
};

TEST_F(WatchTest, FromAnyStepThenLive) {
  Prime("counter");
  SendMany(9);
  for (Step from = 1; from <= 12; ++from) {
    absl::StatusOr<Watching> watching = StartWatch(from);
    ASSERT_THAT(watching, IsOk());
    Follow(*watching);
    const Step before = LookAt().steps;
    SendMany(3);
    Sleep();
    SendMany(1);
    Follow(*watching);
    EXPECT_EQ(watching->steps, Range(from, before + 4));
    for (std::size_t i = 0; i < watching->steps.size(); ++i) {
      EXPECT_EQ(watching->outcomes[i], Outcome::Yielded(static_cast<std::int64_t>(watching->steps[i])));
    }
    EXPECT_FALSE(watching->end);
    End(*watching);
  }
}

TEST_F(WatchTest, StepsTakenWhileTheLogIsReadComeOnce) {
  Prime("counter");
  SendMany(5);
  int more = 5;
  durable_journal_.BeforeRead([&] {
    if (more-- > 0) Submit(Sending());
  });
  absl::StatusOr<Watching> watching = StartWatch(1);
  ASSERT_THAT(watching, IsOk());
  Follow(*watching, 1);
  RunAll();
  Follow(*watching, 1);
  EXPECT_EQ(watching->steps, Range(1, LookAt().steps));
  End(*watching);
}

TEST_F(WatchTest, LongHistoryComesWhole) {
  Prime("counter");
  SendMany(3'000);
  absl::StatusOr<Watching> watching = StartWatch(1);
  ASSERT_THAT(watching, IsOk());
  Follow(*watching);
  EXPECT_EQ(watching->steps, Range(1, 3'001));
  End(*watching);
}

TEST_F(WatchTest, WithoutAStepItBeginsWithWhatComes) {
  Prime("counter");
  absl::StatusOr<Watching> watching = StartWatch();
  ASSERT_THAT(watching, IsOk());
  SendMany(2);
  Follow(*watching);
  EXPECT_EQ(watching->steps, Range(2, 3));
  End(*watching);
}

TEST_F(WatchTest, EndsWellAfterTheStepThatFinishes) {
  Prime("counter");
  absl::StatusOr<Watching> live = StartWatch();
  ASSERT_THAT(Close(), IsOk());
  SendMany(1);
  absl::StatusOr<Watching> later = StartWatch(1);
  absl::StatusOr<Watching> now = StartWatch();
  for (auto* watching : {&live, &later, &now}) {
    ASSERT_THAT(*watching, IsOk());
    Follow(**watching);
    ASSERT_TRUE((*watching)->end);
    EXPECT_THAT(*(*watching)->end, IsOk());
    End(**watching);
  }
  EXPECT_EQ(live->steps, Range(2, 2));
  EXPECT_EQ(later->steps, Range(1, 2));
  EXPECT_TRUE(now->steps.empty());
}

TEST_F(WatchTest, WhoIsTooSlowIsToldWhereToGoOn) {
  Prime("counter");
  absl::StatusOr<Watching> watching = StartWatch();
  SendMany(1'025);
  Follow(*watching);
  ASSERT_TRUE(watching->end);
  EXPECT_THAT(*watching->end, FailsWith(Reason::WATCHER_TOO_SLOW));
  EXPECT_EQ(DetailsOf(*watching->end).metadata["resume_step"], "2");
  End(*watching);
}

TEST_F(WatchTest, LargeStepsDoNotPileUp) {
  const Value large(std::string(1'000'000, 'x'));
  Prime("counter");
  absl::StatusOr<Watching> slow = StartWatch();
  for (int i = 0; i < 20; ++i) ASSERT_THAT(Send(large), IsOk());
  Follow(*slow);
  ASSERT_TRUE(slow->end);
  EXPECT_THAT(*slow->end, FailsWith(Reason::WATCHER_TOO_SLOW));
  EXPECT_EQ(DetailsOf(*slow->end).metadata["resume_step"], "2");
  End(*slow);

  Prime("probing", "p");
  for (int i = 0; i < 20; ++i) ASSERT_THAT(Do(Sending(large).To("p")), IsOk());
  int run = 0;
  probe_.during = [&run] { ++run; };
  absl::StatusOr<Watching> reading = StartWatch(1, "p");
  static_cast<void>(reading->watch->Take(1));
  RunAll();
  EXPECT_LE(run, 3);
  Follow(*reading);
  EXPECT_EQ(reading->steps, Range(1, 21));
  End(*reading);
}

TEST_F(WatchTest, IsToldThatTheServerEnds) {
  Prime("counter");
  absl::StatusOr<Watching> watching = StartWatch(1);
  sessions_->Drain([] {});
  Follow(*watching);
  EXPECT_EQ(watching->steps, Range(1, 1));
  ASSERT_TRUE(watching->end);
  EXPECT_THAT(*watching->end, FailsWith(Reason::DRAINING));
  End(*watching);
  EXPECT_THAT(StartWatch(1), FailsWith(Reason::DRAINING));
}

TEST_F(WatchTest, EphemeralSessionsHaveNoHistory) {
  CreateSpec spec = PrimedSpec("counter");
  spec.durability = Durability::kEphemeral;
  Make(spec);
  EXPECT_THAT(StartWatch(1), FailsWith(Reason::NOT_DURABLE));
  absl::StatusOr<Watching> watching = StartWatch(2);
  ASSERT_THAT(watching, IsOk());
  SendMany(2);
  Follow(*watching);
  EXPECT_EQ(watching->steps, Range(2, 3));
  End(*watching);
}

TEST_F(WatchTest, DeletedSessionEndsIt) {
  Prime("counter");
  absl::StatusOr<Watching> watching = StartWatch(1);
  ASSERT_THAT(Delete(), IsStep(2));
  Follow(*watching);
  ASSERT_TRUE(watching->end);
  EXPECT_THAT(StartWatch(1), FailsWith(Reason::SESSION_NOT_FOUND));
  End(*watching);
}

}  // namespace
}  // namespace corod
