#ifndef COROD_TESTS_UNIT_JOURNAL_JOURNAL_TEST_BASE_H_
#define COROD_TESTS_UNIT_JOURNAL_JOURNAL_TEST_BASE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/base/mutex.h"
#include "server/journal/journal.h"
#include "server/journal/record.h"

namespace corod {

inline absl::Time At(std::int64_t seconds) { return absl::FromUnixSeconds(1'700'000'000 + seconds); }

// What `done`s are told, in the order of the calls; the test waits for it.
class Answers {
 public:
  // The next answer is put where this number says.
  Journal::Done Expect() {
    const MutexLock lock(mutex_);
    statuses_.emplace_back();
    return [this, at = statuses_.size() - 1](absl::Status status) {
      const MutexLock answer_lock(mutex_);
      EXPECT_FALSE(statuses_[at].has_value()) << "told twice";
      statuses_[at] = std::move(status);
      order_.push_back(at);
      changed_.NotifyAll();
    };
  }
  // Of all that were expected.
  std::vector<absl::Status> Wait() {
    const MutexLock lock(mutex_);
    while (order_.size() < statuses_.size()) changed_.Wait(mutex_);
    std::vector<absl::Status> statuses;
    for (const std::optional<absl::Status>& status : statuses_) statuses.push_back(*status);
    return statuses;
  }
  std::vector<std::size_t> order() const {
    const MutexLock lock(mutex_);
    return order_;
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<std::optional<absl::Status>> statuses_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::size_t> order_ ABSL_GUARDED_BY(mutex_);
};

inline absl::Status Await(const std::function<void(Journal::Done)>& call) {
  Answers answers;
  call(answers.Expect());
  return answers.Wait()[0];
}

inline Head HeadOf(const std::string& id, const std::string& uid) {
  Head head;
  head.key = {id, uid};
  head.coroutine = "averager";
  head.version = 1;
  head.create_time = At(0);
  head.last_used_time = At(0);
  return head;
}

// `records` sends, behind `previous`.
inline Batch BatchOf(BatchId id, BatchId previous, Step first_step, int records = 1) {
  Batch batch{id, previous, first_step, first_step * 7, {}};
  for (int i = 0; i < records; ++i) {
    Record record;
    record.value = Value(static_cast<std::int64_t>(first_step) + i);
    record.request_id = "r" + std::to_string(first_step + static_cast<Step>(i));
    record.time = At(static_cast<std::int64_t>(first_step) + i);
    batch.records.push_back(std::move(record));
  }
  return batch;
}

inline Checkpoint CheckpointOf(Step step, BatchId after) {
  Checkpoint checkpoint;
  checkpoint.step = step;
  checkpoint.after = after;
  checkpoint.state = Value(static_cast<std::int64_t>(step));
  checkpoint.outcome = Outcome::Yielded(Value("at " + std::to_string(step)));
  checkpoint.time = At(static_cast<std::int64_t>(step));
  return checkpoint;
}

inline CatalogEvent EventOf(std::uint64_t revision, const std::string& name = "n",
                            CatalogEvent::Kind kind = CatalogEvent::Kind::kLua) {
  return {.revision = revision,
          .kind = kind,
          .name = name,
          .version = kind == CatalogEvent::Kind::kRemoved ? 0 : static_cast<std::uint32_t>(revision),
          .source = "return " + std::to_string(revision),
          .documentation = "of " + name,
          .time = At(static_cast<std::int64_t>(revision))};
}

inline absl::Status Define(Journal& journal, const CatalogEvent& event) {
  return Await([&](Journal::Done done) { journal.Define(event, std::move(done)); });
}

// Reads the history to its end, in steps of `bytes`.
inline absl::StatusOr<std::vector<CatalogEvent>> ReadCatalog(const Journal& journal, std::size_t bytes = 1 << 20) {
  std::vector<CatalogEvent> all;
  while (true) {
    absl::StatusOr<std::vector<CatalogEvent>> some = journal.ReadCatalog(all.empty() ? 0 : all.back().revision, bytes);
    if (!some.ok()) return some.status();
    if (some->empty()) return all;
    all.insert(all.end(), some->begin(), some->end());
  }
}

inline std::vector<BatchId> IdsOf(const std::vector<Batch>& batches) {
  std::vector<BatchId> ids;
  for (const Batch& batch : batches) ids.push_back(batch.id);
  return ids;
}

// A directory of one test's own.
class OwnDirectory {
 public:
  OwnDirectory() {
    const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string(test->test_suite_name()) + "." + test->name();
    for (char& c : name) c = c == '/' ? '-' : c;
    path_ = testing::TempDir() + "/corod-" + name;
    std::filesystem::remove_all(path_);
  }
  ~OwnDirectory() { std::filesystem::remove_all(path_); }
  OwnDirectory(const OwnDirectory&) = delete;
  OwnDirectory& operator=(const OwnDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// What a writer of one session does, as verbs that wait.
class Writer {
 public:
  Writer(Journal& journal, SessionKey key, std::uint64_t writer)
      : journal_(journal), key_(std::move(key)), writer_(writer) {}

  absl::Status Create(std::optional<absl::Time> due = std::nullopt) {
    return Await(
        [&](Journal::Done done) { journal_.Create({HeadOf(key_.id, key_.uid), {}, {}, "", due}, std::move(done)); });
  }
  absl::Status Append(const Batch& batch, std::optional<absl::Time> due = std::nullopt) {
    return Await([&](Journal::Done done) { journal_.Append(key_, batch, due, std::move(done)); });
  }
  // A batch behind the last one that was OK.
  absl::Status Write(int records = 1) {
    const Batch batch = BatchOf({last_.number + 1, writer_}, last_, next_step_, records);
    absl::Status status = Append(batch);
    if (status.ok()) {
      last_ = batch.id;
      next_step_ += static_cast<Step>(records);
      written_.push_back(batch);
    }
    return status;
  }
  absl::Status Remove() {
    return Await([&](Journal::Done done) { journal_.Remove(key_, std::nullopt, std::move(done)); });
  }

  // Reads the log to its end, in steps of `bytes`, and goes on there.
  absl::StatusOr<std::vector<Batch>> Read(std::size_t bytes = 1 << 20) {
    std::vector<Batch> all;
    BatchId after;
    while (true) {
      absl::StatusOr<std::vector<Batch>> some = journal_.Read(key_, after, bytes);
      if (!some.ok()) return some.status();
      if (some->empty()) break;
      all.insert(all.end(), some->begin(), some->end());
      after = all.back().id;
    }
    if (!all.empty()) {
      last_ = all.back().id;
      next_step_ = all.back().first_step + all.back().records.size();
    }
    return all;
  }

  const SessionKey& key() const { return key_; }
  BatchId last() const { return last_; }
  Step next_step() const { return next_step_; }
  void set_writer(std::uint64_t writer) { writer_ = writer; }
  // Those that were OK.
  const std::vector<Batch>& written() const { return written_; }

 private:
  Journal& journal_;
  const SessionKey key_;
  std::uint64_t writer_;
  BatchId last_;
  Step next_step_ = 1;
  std::vector<Batch> written_;
};

}  // namespace corod

#endif  // COROD_TESTS_UNIT_JOURNAL_JOURNAL_TEST_BASE_H_
