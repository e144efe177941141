// Sessions that cannot be run again as they were.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

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

// A command that was answered before the trouble is answered again, and of none that may stand behind it is said that
// it was not executed.
TEST_F(ProblemTest, RequestIdsBeforeTheTroubleAreKnown) {
  Prime("counter");
  for (int i = 2; i <= 6; ++i) ASSERT_THAT(Do(Sending().Id("r" + std::to_string(i))), IsStep(i));
  durable_journal_.ReadAs([](const SessionKey&, std::vector<Batch> batches) -> absl::StatusOr<std::vector<Batch>> {
    if (!batches.empty() && batches[0].first_step == 5) return absl::DataLossError("damaged");
    std::erase_if(batches, [](const Batch& batch) { return batch.first_step >= 5; });
    return batches;
  });
  for (const bool known_before : {false, true}) {
    CrashAndRestart();
    ASSERT_EQ(Stored().head.problem.has_value(), known_before);
    EXPECT_THAT(Do(Sending().Id("r3")), AllOf(RepeatsStep(3), Yields(3)));
    const absl::StatusOr<Reply> behind = Do(Sending().Id("r6"));
    EXPECT_TRUE(IsFailure(behind.status(), Reason::SESSION_BROKEN));
    EXPECT_FALSE(DetailsOf(behind.status()).metadata.contains("executed"));
    EXPECT_THAT(Do(Sending()), FailsWith(Reason::SESSION_BROKEN)) << "what was sent once was not executed";
  }
}

// Nobody has met the damage yet: what is kept of the session says nothing of it.
TEST_F(ProblemTest, ExportIsWholeOrSaysWhereItEnds) {
  options_.durability.checkpoint_every = 4;
  Restart();
  Prime("averager");
  for (int i = 2; i <= 10; ++i) ASSERT_THAT(Send(i), IsStep(i));
  Prime("counter", "c");
  for (int i = 2; i <= 10; ++i) ASSERT_THAT(Do(Sending().To("c")), IsStep(i));
  const Step damaged = 3;
  for (const std::string id : {"s", "c"}) {
    for (const Batch& batch : Log(id)) ASSERT_EQ(batch.records.size(), 1u);
  }
  const std::vector<Step> checkpoints = Checkpoints();
  ASSERT_EQ(checkpoints, (std::vector<Step>{4, 8}));
  ASSERT_TRUE(Checkpoints("c").empty());
  Sleep();
  durable_journal_.ReadAs([](const SessionKey& key, std::vector<Batch> batches) -> absl::StatusOr<std::vector<Batch>> {
    if (!batches.empty() && batches[0].first_step == damaged) return absl::DataLossError("damaged");
    const auto bad =
        std::find_if(batches.begin(), batches.end(), [](const Batch& batch) { return batch.first_step == damaged; });
    if (key.id == "s" || key.id == "c") batches.erase(bad, batches.end());
    return batches;
  });
  const absl::StatusOr<std::string> whole = Export();
  const absl::StatusOr<std::string> cut = Export("c");
  ASSERT_THAT(whole, IsOk());
  ASSERT_THAT(cut, IsOk());
  ASSERT_THAT(Import(*whole, "s2"), IsOk());
  EXPECT_EQ(LookAt("s2").steps, 10u);
  EXPECT_EQ(LookAt("s2").earliest_step, 5u) << "behind the checkpoint that follows the damage";
  ASSERT_THAT(Import(*cut, "c2"), IsOk());
  EXPECT_EQ(LookAt("c2").steps, damaged - 1);
  EXPECT_THAT(Do(Sending().To("c2")), Yields(3));
}

TEST_F(ProblemTest, ReplayThatEndsTheServerTwiceIsNotTriedAgain) {
  Prime("probing");
  ASSERT_THAT(Send(), IsStep(2));
  Prime("counter", "other");
  Crash();
  const std::string path = testing::TempDir() + "/corod_crash_marks_" + std::to_string(getpid());
  const auto replay_ends_it = [this] {
    probe_.during = [] { abort(); };
    static_cast<void>(Send());
  };
  EXPECT_DEATH(
      {
        const auto marks = CrashMarks::Open(path).value();
        crash_marks_ = marks.get();
        Restart();
        replay_ends_it();
      },
      "");
  auto marks = CrashMarks::Open(path).value();
  crash_marks_ = marks.get();
  ASSERT_EQ(marks->found().size(), 1u);
  EXPECT_EQ(marks->found()[0].key.id, "s");
  EXPECT_EQ(marks->found()[0].step, 1u);
  Restart();
  EXPECT_EQ(Stored().head.crashes, 1u);
  EXPECT_FALSE(Stored().head.problem);
  EXPECT_DEATH(replay_ends_it(), "");
  Crash();
  crash_marks_ = nullptr;
  marks = CrashMarks::Open(path).value();
  crash_marks_ = marks.get();
  Restart();
  EXPECT_THAT(Send(), FailsWith(Reason::SESSION_BROKEN));
  EXPECT_THAT(Do(Sending().To("other")), IsStep(2));
  EXPECT_EQ(ListAll({.has_problem = true}).size(), 1u);
  EXPECT_THAT(Delete(), IsOk());
  Crash();
  crash_marks_ = nullptr;
  unlink(path.c_str());
}

// Calls itself without end, and the compiler does not see it.
int RunOutOfStack(volatile int* depth) {
  volatile char room[4096] = {};
  *depth = *depth + 1 + room[*depth % 4096];
  if (*depth < 0) return 0;
  return RunOutOfStack(depth) + room[0] + *depth;
}

TEST_F(ProblemTest, ReplayThatRunsOutOfStackIsNotedToo) {
  Prime("probing");
  ASSERT_THAT(Send(), IsStep(2));
  Crash();
  const std::string path = testing::TempDir() + "/corod_crash_marks_stack_" + std::to_string(getpid());
  EXPECT_DEATH(
      {
        const auto marks = CrashMarks::Open(path).value();
        crash_marks_ = marks.get();
        Restart();
        probe_.during = [] {
          volatile int depth = 0;
          RunOutOfStack(&depth);
        };
        static_cast<void>(Send());
      },
      "");
  const auto marks = CrashMarks::Open(path).value();
  ASSERT_EQ(marks->found().size(), 1u);
  EXPECT_EQ(marks->found()[0].key.id, "s");
  Restart();
  unlink(path.c_str());
}

TEST_F(ProblemTest, SessionWhoseHeadIsDamagedIsShownAndCanBeDeleted) {
  Prime("counter");
  Prime("counter", "other");
  Crash();
  durable_journal_.DamageHead("s");
  Restart();
  EXPECT_THAT(Send(), FailsWith(Reason::SESSION_BROKEN));
  EXPECT_THAT(Create(PrimedSpec("echo")), FailsWith(Reason::SESSION_BROKEN));
  EXPECT_THAT(Do(Deleting().OfLife("another")), FailsWith(Reason::SESSION_BROKEN));
  EXPECT_TRUE(LookAt().problem);
  EXPECT_EQ(ListAll({.has_problem = true}).size(), 1u);
  EXPECT_THAT(Do(Sending().To("other")), IsStep(2));
  EXPECT_THAT(Do(Deleting().Id("d")), IsOk());
  EXPECT_THAT(Do(Deleting().Id("d")), RepeatsStep(0));
  EXPECT_THAT(Get(), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(Create(PrimedSpec("echo")), IsOk());
}

TEST_F(ProblemTest, DamagedCheckpointWhereTheLogBeginsIsFound) {
  options_.durability.checkpoint_every = 4;
  options_.durability.history = 4;
  Restart();
  Prime("averager");
  for (int i = 2; i <= 20; ++i) ASSERT_THAT(Send(i), IsStep(i));
  Prime("counter", "other");
  const Step earliest = LookAt().earliest_step;
  ASSERT_GT(earliest, 1u);
  ASSERT_THAT(Send(21), IsStep(21)) << "the head lags";
  durable_journal_.DamageCheckpoints("s");
  CrashAndRestart();
  EXPECT_EQ(ListAll().size(), 2u);
  EXPECT_TRUE(LookAt().problem);
  for (const Step step : {earliest - 1, earliest, Step{20}, Step{21}}) {
    EXPECT_THAT(GetAt(step), FailsWith(Reason::SESSION_BROKEN)) << step;
    EXPECT_THAT(Fork(Forking(step)), FailsWith(Reason::SESSION_BROKEN)) << step;
  }
  EXPECT_THAT(GetAt(1), FailsWith(Reason::HISTORY_TRIMMED));
  EXPECT_THAT(Export(), FailsWith(Reason::SESSION_BROKEN));
  EXPECT_THAT(Send(22), FailsWith(Reason::SESSION_BROKEN));
  EXPECT_THAT(Do(Sending().To("other")), IsStep(2));
  EXPECT_EQ(ListAll({.has_problem = true}).size(), 1u);
  EXPECT_EQ(LookAt().problem->step, earliest);
  EXPECT_THAT(Delete(), IsOk());
  EXPECT_THAT(Get(), FailsWith(Reason::SESSION_NOT_FOUND));
}

TEST_F(ProblemTest, ReplayThatSucceedsForgetsTheCrash) {
  MakeSix();
  Head head = Stored().head;
  head.crashes = 1;
  store_.Save({.head = head, .checkpoint = {}, .due = {}, .synced = true}, [](const absl::Status&) {});
  CrashAndRestart();
  EXPECT_THAT(Send(), IsStep(7));
  EXPECT_EQ(Stored().head.crashes, 0u);
}

}  // namespace
}  // namespace corod
