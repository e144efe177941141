#include "client/cli/progress.h"

#include <gtest/gtest.h>

#include "tests/unit/client/fake_world.h"
#include "tests/unit/client/run_coroctl.h"

namespace corod::cli {
namespace {

class ProgressTest : public ::testing::Test {
 protected:
  MemoryFile err_;
  Output output_{-1, err_.fd()};
  client::FakeWorld world_;
};

TEST_F(ProgressTest, AppearsAfterASecondAndGoesAtTheEnd) {
  {
    Progress progress(true, world_.clock, output_);
    world_.clock->Advance(absl::Milliseconds(999));
    progress.Update(100);
    EXPECT_EQ(err_.Contents(), "");
    world_.clock->Advance(absl::Milliseconds(1001));
    progress.Update(5000);
    EXPECT_EQ(err_.Contents(), "\r\x1b[K5000 lines, 2500/s");
  }
  EXPECT_EQ(err_.Contents(), "\r\x1b[K5000 lines, 2500/s\r\x1b[K");
}

TEST_F(ProgressTest, IsDrawnFourTimesASecondAtMost) {
  Progress progress(true, world_.clock, output_);
  world_.clock->Advance(absl::Seconds(2));
  progress.Update(2);
  const std::string drawn = err_.Contents();
  world_.clock->Advance(absl::Milliseconds(249));
  progress.Update(3);
  EXPECT_EQ(err_.Contents(), drawn);
  world_.clock->Advance(absl::Milliseconds(1));
  progress.Update(4);
  EXPECT_NE(err_.Contents(), drawn);
}

TEST_F(ProgressTest, IsNotDrawnWhereItIsNotShown) {
  {
    Progress progress(false, world_.clock, output_);
    world_.clock->Advance(absl::Seconds(5));
    progress.Update(1);
  }
  EXPECT_EQ(err_.Contents(), "");
}

TEST_F(ProgressTest, ShortWorkLeavesNoTrace) {
  {
    Progress progress(true, world_.clock, output_);
    progress.Update(1);
  }
  EXPECT_EQ(err_.Contents(), "");
}

}  // namespace
}  // namespace corod::cli
