#ifndef COROD_SERVER_JOURNAL_MEMORY_JOURNAL_H_
#define COROD_SERVER_JOURNAL_MEMORY_JOURNAL_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/base/executor.h"
#include "server/base/mutex.h"
#include "server/journal/journal.h"
#include "server/journal/valid_batches.h"

namespace corod {

// A journal in memory: what --journal memory is (nothing durable is kept then), and what tests hold the others to.
class MemoryJournal : public Journal {
 public:
  enum class Comparison : std::uint8_t {
    kOn,
    // An append always lands at the end of the log, and an event at that of the catalog's history, as they may with a
    // distributed log; whether they are valid is found by reading.
    kOff,
  };
  struct Options {
    bool durable = false;  // what IsDurable says
    Comparison comparison = Comparison::kOn;
  };

  // `executor` runs every `done`, in order; it outlives the journal.
  MemoryJournal(Executor& executor, Options options);
  explicit MemoryJournal(Executor& executor) : MemoryJournal(executor, Options()) {}
  ~MemoryJournal() override;

  bool IsDurable() const override { return options_.durable; }

  void Create(NewSession session, Done done) override;
  void Append(const SessionKey& key, const Batch& batch, std::optional<absl::Time> due, Done done) override;
  void Save(Saved saved, Done done) override;
  void Trim(const SessionKey& key, BatchId checkpoint_after, std::vector<Step> checkpoints) override;
  void Remove(const SessionKey& key, std::optional<Tombstone> tombstone, Done done) override;
  void Define(CatalogEvent event, Done done) override;
  absl::StatusOr<std::optional<Stored>> Find(std::string_view id) const override;
  absl::StatusOr<std::vector<Listed>> List(std::string_view after, std::size_t limit) const override;
  absl::StatusOr<std::optional<Checkpoint>> FindCheckpoint(const SessionKey& key, Step step) const override;
  absl::StatusOr<std::vector<Step>> ListCheckpoints(const SessionKey& key) const override;
  absl::StatusOr<std::vector<Batch>> Read(const SessionKey& key, BatchId after, std::size_t max_bytes) const override;
  absl::StatusOr<std::optional<Tombstone>> FindTombstone(std::string_view id,
                                                         std::string_view request_id) const override;
  absl::StatusOr<std::vector<CatalogEvent>> ReadCatalog(std::uint64_t after_revision,
                                                        std::size_t max_bytes) const override;
  absl::StatusOr<std::vector<Due>> ListDue(absl::Time now, const std::optional<Due>& after,
                                           std::size_t limit) const override;
  void Reschedule(const Due& entry, std::optional<absl::Time> next) override;
  absl::Time EarliestDue() const override;
  std::size_t size() const override;
  std::size_t CountIn(std::string_view prefix) const override;
  void Shutdown() override;

 private:
  struct Session {
    Head head;
    std::vector<Batch> log;  // with what is void
    BatchId begin;           // the batch before the log's first
    ValidBatches valid;      // of the whole log
    Step last_step = 0;      // of the last valid batch, or of the checkpoint where the log begins
    std::map<Step, Checkpoint> checkpoints;
  };
  class Answers;

  Session* FindLife(const SessionKey& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Session* FindLife(const SessionKey& key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AddDue(const std::string& id, std::optional<absl::Time> due) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status DoCreate(NewSession session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status DoAppend(const SessionKey& key, const Batch& batch, std::optional<absl::Time> due)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status DoDefine(CatalogEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static Stored Describe(const Session& session);

  const Options options_;
  const std::shared_ptr<Answers> answers_;
  mutable Mutex mutex_;
  bool shutdown_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Session, std::less<>> sessions_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<absl::Time, std::string>> due_ ABSL_GUARDED_BY(mutex_);
  std::vector<CatalogEvent> catalog_ ABSL_GUARDED_BY(mutex_);   // with what is void
  std::uint64_t catalog_revision_ ABSL_GUARDED_BY(mutex_) = 0;  // of the last valid event
  // By session id and request id.
  mutable std::map<std::pair<std::string, std::string>, Tombstone> tombstones_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_MEMORY_JOURNAL_H_
