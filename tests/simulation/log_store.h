#ifndef COROD_TESTS_SIMULATION_LOG_STORE_H_
#define COROD_TESTS_SIMULATION_LOG_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/limits.h"
#include "server/journal/memory_journal.h"

namespace corod {

// What went wrong in a schedule.
using Complain = std::function<void(const std::string&)>;

// All that ever was valid in the log of one life of a session, also when it was trimmed or removed, and what a
// coroutine of its own says to it.
struct Life {
  SessionKey key;
  Labels labels;  // those that it was created with
  std::string create_request_id;
  Step base = 0;                // it was created with so many steps
  std::vector<Record> records;  // from step `first` on
  std::vector<Outcome> outcomes;
  Step first = 1;
  bool removed = false;

  const Definition* definition = nullptr;
  std::uint64_t seed = 0;
  Coroutine coroutine;
  CoroutineState state = CoroutineState::kCreated;
  std::vector<std::uint64_t> digests;  // after step first - 1, and after each record

  Step last() const { return first + records.size() - 1; }
  bool Has(Step step) const { return step >= first && step <= last(); }
  const Record& record(Step step) const { return records[step - first]; }
  const Outcome& outcome(Step step) const { return outcomes[step - first]; }
  // REQUIRES: first - 1 <= step <= last().
  std::uint64_t digest(Step step) const { return digests[step + 1 - first]; }
};

// What the journal of a schedule holds. Survives crashes, but for lazy writes that were not synced.
class LogStore {
 public:
  struct Append {
    SessionKey key;
    Batch batch;
    std::optional<absl::Time> due;
  };
  struct Trim {
    SessionKey key;
    BatchId checkpoint_after;
    std::vector<Step> checkpoints;
  };
  struct Remove {
    SessionKey key;
    std::optional<Tombstone> tombstone;
  };
  struct Reschedule {
    Journal::Due entry;
    std::optional<absl::Time> next;
  };
  using Write = std::variant<Journal::NewSession, Append, Journal::Saved, Trim, Remove, CatalogEvent, Reschedule>;
  // Of the session; "" for the catalog.
  static const std::string& IdOf(const Write& write);

  LogStore(const Catalog& catalog, const ValueLimits& limits, Complain complain)
      : catalog_(catalog), limits_(limits), complain_(std::move(complain)) {}

  absl::Status Apply(const Write& write);
  // Who is told what the catalog has next.
  void SetLearns(std::function<void(const CatalogEvent&)> learns) { learns_ = std::move(learns); }
  // Of what is not stable, the last writes of each session are lost from where `keeps` first says no.
  void LoseUnsynced(const std::function<bool()>& keeps);

  const Journal& reads() const { return *memory_; }
  // By uid.
  const std::map<std::string, Life>& lives() const { return lives_; }
  const Life* Current(std::string_view id) const;

 private:
  class AtOnce : public Executor {
   public:
    void Run(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
    void RunAll() {
      while (!tasks_.empty()) {
        const auto tasks = std::exchange(tasks_, {});
        for (const auto& task : tasks) task();
      }
    }

   private:
    std::vector<std::function<void()>> tasks_;
  };
  static bool IsLazy(const Write& write);
  static absl::Status ApplyTo(MemoryJournal& memory, AtOnce& executor, const Write& write);
  void NoteCreate(const Journal::NewSession& made);
  void NoteRecords(Life& life, const Batch& batch);

  const Catalog& catalog_;
  const ValueLimits limits_;
  const Complain complain_;
  std::function<void(const CatalogEvent&)> learns_;
  AtOnce executor_;
  std::unique_ptr<MemoryJournal> memory_ = NewMemory();
  std::vector<Write> writes_;
  std::map<std::string, Life> lives_;

  std::unique_ptr<MemoryJournal> NewMemory() {
    MemoryJournal::Options options;
    options.durable = true;
    return std::make_unique<MemoryJournal>(executor_, options);
  }
};

}  // namespace corod

#endif  // COROD_TESTS_SIMULATION_LOG_STORE_H_
