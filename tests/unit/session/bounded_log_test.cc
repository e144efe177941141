// However much is sent to a session that can be restarted: its log is bounded, and so is what is read to reopen it.
//
// COROD_SENDS: how many sends, 100,000 by default; prints what they leave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/journal/codec.h"
#include "server/journal/memory_journal.h"
#include "server/journal/rocks_journal.h"
#include "tests/unit/session/failing_journal.h"
#include "tests/unit/session/sessions_test_base.h"

namespace corod {
namespace {

enum class Backend : std::uint8_t { kMemory, kRocks };

std::string NameOfBackend(const testing::TestParamInfo<Backend>& info) {
  return info.param == Backend::kMemory ? "Memory" : "Rocks";
}

// A send that counts its answer, and may be sent again then.
class CountedSend : public Command {
 public:
  explicit CountedSend(Step& answered) : answered_(answered) {}
  void Finish(absl::StatusOr<Reply> reply) override {
    EXPECT_THAT(reply, IsOk());
    ++answered_;
  }

 private:
  Step& answered_;
};

// What the journal has of a session.
struct Kept {
  std::size_t records = 0;
  std::size_t checkpoints = 0;
  std::size_t bytes = 0;  // of both
};

class BoundedLogTest : public SessionsTest, public testing::WithParamInterface<Backend> {
 protected:
  static constexpr std::size_t kGroup = 64;                               // as many are under way at once, at most
  static constexpr std::size_t kRecordBytes = 128;                        // of a batch with one
  static constexpr std::size_t kCheckpointBytes = std::size_t{64} << 10;  // with all request ids that are remembered

  BoundedLogTest() : directory_(testing::TempDir() + "/corod-bounded-log") {
    std::filesystem::remove_all(directory_);
    for (std::size_t i = 0; i < kGroup; ++i) sends_.push_back(std::make_unique<CountedSend>(answered_));
    Open();
    bool created = false;
    sessions_->Create(PrimedSpec("averager"), [&created](const absl::StatusOr<Created>& made) {
      EXPECT_TRUE(made.ok()) << made.status();
      created = true;
    });
    RunUntil([&created] { return created; });
  }
  ~BoundedLogTest() override {
    Settle();
    Crash();
    store_->Shutdown();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  void Open() {
    if (GetParam() == Backend::kRocks) {
      RocksJournal::Options options;
      options.directory = directory_;
      options.sync = RocksJournal::Sync::kNever;
      store_ = *RocksJournal::Open(std::move(options));
    } else if (!store_) {
      store_ = std::make_unique<MemoryJournal>(executor_, MemoryJournal::Options{.durable = true});
    }
    journal_seen_ = std::make_unique<FailingJournal>(*store_, executor_);
    journal_seen_->ReadAs([this](const SessionKey&, std::vector<Batch> read) {
      for (const Batch& batch : read) records_read_ += batch.records.size();
      return read;
    });
    journal_in_use_ = journal_seen_.get();
    Restart(options_);
  }

  // The server ends without warning and begins again.
  void Reopen() {
    Settle();
    Crash();
    if (GetParam() == Backend::kRocks) store_->Shutdown();
    journal_seen_.reset();
    if (GetParam() == Backend::kRocks) store_.reset();
    Open();
  }

  template <typename Condition>
  void RunUntil(const Condition& condition) {
    while (!condition()) {
      if (!executor_.RunOne()) std::this_thread::yield();
    }
  }

  // What was asked of the journal has taken effect, and what followed from that.
  void Settle() {
    for (int i = 0; i < 2; ++i) {
      bool settled = false;
      Head nobody;
      nobody.key = {"nobody", "nobody"};
      store_->Save({nobody, {}, {}, false},
                   [&settled, this](const absl::Status&) { executor_.Run([&settled] { settled = true; }); });
      RunUntil([&settled] { return settled; });
      RunAll();
    }
  }

  // Until it has so many steps. Each tenth has a request id.
  void SendUntil(Step steps) {
    for (std::size_t group = 1; steps_ < steps; group = group % kGroup + 1) {
      answered_ = 0;
      const std::size_t count = std::min<Step>(group, steps - steps_);
      for (std::size_t i = 0; i < count; ++i) {
        CountedSend& send = *sends_[i];
        send.value = 1;
        const Step step = ++steps_;
        send.request_id = step % 10 == 0 ? "request " + std::to_string(step) : "";
        sessions_->Submit("s", &send);
      }
      RunUntil([&] { return answered_ == count; });
      journal_seen_->ForgetAppended();
    }
  }

  Kept KeptNow() {
    Settle();
    Kept kept;
    const SessionKey key = (*store_->Find("s"))->head.key;
    const std::vector<Batch> log = *store_->Read(key, {}, std::numeric_limits<std::size_t>::max());
    for (const Batch& batch : log) {
      kept.records += batch.records.size();
      kept.bytes += Encode(batch).size();
    }
    const std::vector<Step> checkpoints = *store_->ListCheckpoints(key);
    for (const Step step : checkpoints) {
      ++kept.checkpoints;
      kept.bytes += Encode(**store_->FindCheckpoint(key, step)).size();
    }
    return kept;
  }

  // How many records are read for the first send after the server has ended.
  std::size_t ReadToReopen() {
    Reopen();
    records_read_ = 0;
    SendUntil(steps_ + 1);
    return records_read_;
  }

  const std::string directory_;
  Sessions::Options options_;
  std::unique_ptr<Journal> store_;
  std::unique_ptr<FailingJournal> journal_seen_;
  std::vector<std::unique_ptr<CountedSend>> sends_;
  Step answered_ = 0;
  Step steps_ = 1;  // that were asked for
  std::size_t records_read_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Backends, BoundedLogTest, testing::Values(Backend::kMemory, Backend::kRocks), NameOfBackend);

TEST_P(BoundedLogTest, OfManySendsFewAreKeptAndFewerAreReadToReopenIt) {
  const char* asked = std::getenv("COROD_SENDS");
  const Step sends = asked ? std::strtoull(asked, nullptr, 10) : 100'000;
  const Step every = options_.durability.checkpoint_every;
  const Step history = options_.durability.history;

  SendUntil(every - 1);
  const std::size_t read_early = ReadToReopen();
  EXPECT_EQ(read_early, every - 1);

  Kept most;
  while (steps_ < sends) {
    SendUntil(std::min(sends, steps_ + 10'337));
    const Kept kept = KeptNow();
    // Behind the newest checkpoint, behind the oldest that is needed, and what goes over a checkpoint in one batch.
    ASSERT_LE(kept.records, history + 2 * every + 4 * kGroup);
    ASSERT_LE(kept.checkpoints, history / every + 3);
    ASSERT_LE(kept.bytes, kept.records * kRecordBytes + kept.checkpoints * kCheckpointBytes);
    most.records = std::max(most.records, kept.records);
    most.bytes = std::max(most.bytes, kept.bytes);
  }

  std::size_t read_late = 0;
  for (int i = 0; i < 5; ++i) {
    SendUntil(steps_ + every / 5 + 7);
    read_late = std::max(read_late, ReadToReopen());
  }
  EXPECT_LE(read_late, every + kGroup);
  EXPECT_EQ(Look("s").steps, steps_);
  if (asked) {
    std::printf("%llu sends: at most %zu records and %zu bytes; to reopen it %zu are read (%zu after %llu)\n",
                static_cast<unsigned long long>(sends), most.records, most.bytes, read_late, read_early,
                static_cast<unsigned long long>(every - 1));
  }
}

}  // namespace
}  // namespace corod
