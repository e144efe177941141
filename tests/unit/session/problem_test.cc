// Sessions that cannot be run again as they were.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

class ProblemTest : public DurableTest {
 protected:
  // Six steps, each a batch of its own; another session beside.
  void MakeSix() {
    Prime("counter");
    for (int i = 2; i <= 6; ++i) ASSERT_THAT(Send(), IsStep(i));
    Prime("counter", "other");
  }
  void ExpectBrokenFrom(Step step, Reason reason) {
    const absl::StatusOr<Reply> refused = Send();
    EXPECT_THAT(refused, FailsWith(reason));
    EXPECT_EQ(DetailsOf(refused.status()).metadata["step"], std::to_string(step));
    EXPECT_THAT(Do(Sending().To("other")), IsStep(2));
    const std::vector<SessionInfo> found = ListAll({.has_problem = true});
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].problem->step, step);
    EXPECT_THAT(GetAt(step - 1), IsOk());
    EXPECT_THAT(GetAt(step), FailsWith(reason));
    EXPECT_THAT(Fork(Forking(step - 1)), IsOk());
    EXPECT_THAT(Fork(Forking(step, "g")), FailsWith(reason));
    absl::StatusOr<Watching> watching = StartWatch(1);
    ASSERT_THAT(watching, IsOk());
    Follow(*watching);
    EXPECT_EQ(watching->steps.size(), step - 1);
    ASSERT_TRUE(watching->end);
    EXPECT_THAT(*watching->end, FailsWith(reason));
    End(*watching);
    Sleep();
    CrashAndRestart();
    EXPECT_THAT(Send(), FailsWith(reason));
    EXPECT_THAT(Delete(), IsOk());
    EXPECT_THAT(Get(), FailsWith(Reason::SESSION_NOT_FOUND));
  }
};

TEST_F(ProblemTest, OtherOutcomesThanWereLoggedAreFound) {
  MakeSix();
  durable_journal_.ReadAs([](const SessionKey& key, std::vector<Batch> batches) {
    for (Batch& batch : batches) {
      if (key.id == "s" && batch.first_step == 5) ++batch.digest;
    }
    return batches;
  });
  CrashAndRestart();
  ExpectBrokenFrom(4, Reason::REPLAY_DIVERGED);
}

TEST_F(ProblemTest, DamagedRecordIsFound) {
  MakeSix();
  durable_journal_.ReadAs([](const SessionKey& key, std::vector<Batch> batches) -> absl::StatusOr<std::vector<Batch>> {
    if (key.id != "s") return batches;
    if (batches.empty() || batches[0].first_step == 5) return absl::DataLossError("damaged");
    std::erase_if(batches, [](const Batch& batch) { return batch.first_step >= 5; });
    return batches;
  });
  CrashAndRestart();
  ExpectBrokenFrom(5, Reason::SESSION_BROKEN);
}

}  // namespace
}  // namespace corod
