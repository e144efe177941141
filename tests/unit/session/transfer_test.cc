// Export and Import: a session as a file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

class TransferTest : public DurableTest {};

TEST_F(TransferTest, ImportedSessionGoesOnAsTheOriginal) {
  options_.durability.checkpoint_every = 4;
  options_.durability.history = 6;
  Restart();
  CreateSpec spec = PrimedSpec("averager");
  spec.request_id = "c";
  spec.labels = {{"k", "v"}};
  Make(spec);
  for (int i = 2; i <= 30; ++i) ASSERT_THAT(Do(Sending(i).Id("r" + std::to_string(i))), IsStep(i));
  const absl::StatusOr<std::string> file = Export();
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT(Import(*file, "copy"), IsOk());
  for (const bool crashed : {false, true}) {
    if (crashed) CrashAndRestart();
    EXPECT_THAT(Do(Sending(29).To("copy").Id("r29")), AllOf(RepeatsStep(29), Yields(15.5)));
    EXPECT_EQ(LookAt("copy").labels, spec.labels);
    EXPECT_EQ(LookAt("copy").earliest_step, LookAt().earliest_step);
  }
  const absl::StatusOr<Reply> ours = Send(7);
  const absl::StatusOr<Reply> theirs = Do(Sending(7).To("copy"));
  EXPECT_EQ(Describe(ours), Describe(theirs));
  EXPECT_THAT(Import(*file), FailsWith(Reason::SESSION_EXISTS));
  ASSERT_THAT(Delete(), IsOk());
  EXPECT_THAT(Import(*file), IsOk());
}

TEST_F(TransferTest, PartsAreSmallAndEachComesWhenTheOneBeforeWasTaken) {
  Prime("echo");
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Send(std::string(200'000, 'x')), IsOk());
  int parts = 0;
  std::function<void(bool)> next;
  std::optional<absl::Status> ended;
  sessions_->Export(
      "s",
      [&](const std::string& part, std::function<void(bool)> taken) {
        EXPECT_LE(part.size(), 64u << 10);
        ++parts;
        next = std::move(taken);
      },
      [&ended](const absl::Status& status) { ended = status; });
  RunAll();
  EXPECT_EQ(parts, 1);
  std::exchange(next, nullptr)(true);
  RunAll();
  EXPECT_EQ(parts, 2);
  std::exchange(next, nullptr)(false);
  RunAll();
  EXPECT_EQ(parts, 2);
  EXPECT_TRUE(ended);
}

TEST_F(TransferTest, SessionThatGoesWhileItIsExportedGivesNoFile) {
  Prime("echo");
  ASSERT_THAT(Send("a"), IsOk());
  const SessionKey key = Stored().head.key;
  durable_journal_.BeforeRead([this, key] { store_.Remove(key, std::nullopt, [](const absl::Status&) {}); });
  EXPECT_THAT(Export(), FailsWith(Reason::SESSION_NOT_FOUND));
}

TEST_F(TransferTest, FileHasNoStepsThatItsHeadDoesNotHave) {  // nothing would tell what their outcomes were
  Prime("echo");
  ASSERT_THAT(Send("a"), IsOk());
  durable_journal_.BeforeRead([this, stored = Stored(), head = LookAt()]() mutable {
    Record record;
    record.value = "b";
    store_.Append(head.key,
                  {.id = {stored.tail.number + 1, stored.tail.writer},
                   .previous = std::exchange(stored.tail, {}),
                   .first_step = 3,
                   .digest = head.digest,
                   .records = {record}},
                  std::nullopt, [](const absl::Status&) {});
  });
  const absl::StatusOr<std::string> file = Export();
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(LoggedSteps(), 3u);
  durable_journal_.BeforeRead(nullptr);
  ASSERT_THAT(Import(*file, "copy"), IsOk());
  EXPECT_EQ(LookAt("copy").steps, 2u);
}

TEST_F(TransferTest, DamagedFileIsRefusedAndNothingIsMade) {
  Prime("averager");
  for (int i = 0; i < 4; ++i) ASSERT_THAT(Send(i), IsOk());
  const std::string file = Export().value();
  ASSERT_THAT(Delete(), IsOk());
  for (std::size_t i = 0; i < file.size(); ++i) {
    std::string damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << i % 8));
    ASSERT_THAT(Import(damaged), FailsWith(Reason::INVALID_ARGUMENTS)) << i;
    ASSERT_THAT(Import(file.substr(0, i)), FailsWith(Reason::INVALID_ARGUMENTS)) << i;
  }
  ASSERT_THAT(Import(file + "x"), FailsWith(Reason::INVALID_ARGUMENTS));
  EXPECT_EQ(sessions_->size(), 0u);
  EXPECT_THAT(Import(file), IsOk());
}

}  // namespace
}  // namespace corod
