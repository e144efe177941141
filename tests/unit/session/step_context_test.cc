// Bodies get the clock and random numbers from the log: whichever way a session comes back, they are those that it saw.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

// The parameter: a checkpoint every so many steps.
class StepContextTest : public DurableTest, public testing::WithParamInterface<Step> {
 protected:
  static constexpr Step kSteps = 11;

  StepContextTest() {
    options_.durability.checkpoint_every = GetParam();
    Restart();
    Prime("dicing");
    seed_ = Stored().head.seed;
    for (Step step = 2; step <= kSteps; ++step) {
      clock_.Advance(absl::Seconds(7));
      times_.push_back(clock_.Now());
      EXPECT_THAT(Do(Sending("x").Id(IdOf(step))), AllOf(IsStep(step), Yields(Drawn(step))));
    }
    clock_.Advance(absl::Hours(1));
  }

  static std::string IdOf(Step step) { return "r" + std::to_string(step); }
  // What was drawn in a step from 2 to kSteps.
  Value Drawn(Step step) const { return DicingYields(seed_, step, times_[step - 2]); }
  // What is drawn if it happens now.
  Value DrawnNow(Step step) const { return DicingYields(seed_, step, clock_.Now()); }

  std::uint64_t seed_ = 0;
  std::vector<absl::Time> times_;
};

TEST_P(StepContextTest, SessionThatComesBackGoesOnAsIfItHadStayed) {
  for (const bool crashes : {true, false}) {
    if (crashes) {
      CrashAndRestart();
    } else {
      Sleep();
    }
    const Step next = LookAt().steps + 1;
    EXPECT_THAT(Send(), AllOf(IsStep(next), Yields(DrawnNow(next))));
    EXPECT_FALSE(LookAt().problem);
  }
}

TEST_P(StepContextTest, AnswersAreRepeatedAsTheyWere) {
  CrashAndRestart();
  for (Step step = 2; step <= kSteps; ++step) {
    EXPECT_THAT(Do(Sending("x").Id(IdOf(step))), AllOf(RepeatsStep(step), Yields(Drawn(step))));
  }
}

TEST_P(StepContextTest, PassedStepsAreShownAsTheyWere) {
  for (Step step = 2; step <= kSteps; ++step) {
    const absl::StatusOr<SessionInfo> info = GetAt(step);
    ASSERT_THAT(info, IsOk());
    ASSERT_TRUE(info->last_outcome.has_value());
    EXPECT_EQ(info->last_outcome->outcome, Outcome::Yielded(Drawn(step)));
  }
  absl::StatusOr<Watching> watching = StartWatch(2);
  ASSERT_THAT(watching, IsOk());
  Follow(*watching);
  ASSERT_EQ(watching->outcomes.size(), kSteps - 1);
  for (Step step = 2; step <= kSteps; ++step) {
    EXPECT_EQ(watching->outcomes[step - 2], Outcome::Yielded(Drawn(step)));
  }
  End(*watching);
}

TEST_P(StepContextTest, CopiesGoOnAsTheOriginalWould) {
  for (Step step = 2; step <= kSteps; ++step) {
    const std::string id = "f" + std::to_string(step);
    ASSERT_THAT(Fork(Forking(step, id)), IsOk());
    EXPECT_EQ(LookAt(id).last_outcome->outcome, Outcome::Yielded(Drawn(step)));
    EXPECT_THAT(Do(Sending().To(id)), AllOf(IsStep(step + 1), Yields(DrawnNow(step + 1))));
  }
  const absl::StatusOr<std::string> file = Export();
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT(Import(*file, "copy"), IsOk());
  CrashAndRestart();
  EXPECT_THAT(Do(Sending("x").To("copy").Id(IdOf(4))), AllOf(RepeatsStep(4), Yields(Drawn(4))));
  EXPECT_THAT(Do(Sending().To("copy")), AllOf(IsStep(kSteps + 1), Yields(DrawnNow(kSteps + 1))));
}

INSTANTIATE_TEST_SUITE_P(CheckpointEvery, StepContextTest, testing::Values(3, 1'000));

}  // namespace
}  // namespace corod
