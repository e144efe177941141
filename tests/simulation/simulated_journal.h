#ifndef COROD_TESTS_SIMULATION_SIMULATED_JOURNAL_H_
#define COROD_TESTS_SIMULATION_SIMULATED_JOURNAL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/journal/journal.h"
#include "tests/simulation/log_store.h"
#include "tests/unit/session/fakes.h"

namespace corod {

// Faults of a journal that break its contract, and of the session layer (server/session/planted_faults.h), to see that
// the simulation finds what they do.
enum class Fault : std::uint8_t {
  kNone,
  kReportsEarly,         // an append is told to be done before it is stable
  kForgetsIds,           // what is read has no request ids
  kRepeats,              // what was told to be void lands all the same
  kTrimsTooFar,          // one checkpoint more
  kAnswersBeforeAppend,  // these are the session layer's
  kLosesRequestIds,
  kAppendsTwice,
  kTakesNewestVersion,
  kLooksUpAnew,
};

// Random numbers of a schedule.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  std::uint64_t Below(std::uint64_t limit) { return random_.Next() % limit; }
  bool Percent(std::uint64_t chance) { return Below(100) < chance; }
  std::uint64_t Next() { return random_.Next(); }

 private:
  SequenceRandom random_;
};

// The journal as one server sees it, over a store that outlives the server: each write takes effect, and each `done` is
// called, when the schedule says so (those of one session in their order, and those of the catalog). Writes may fail
// with and without effect, and what failed may land later.
class SimulatedJournal : public Journal {
 public:
  struct Rates {  // percent
    std::uint64_t failing = 0;
    std::uint64_t landing = 50;  // of what fails: has an effect
    std::uint64_t late = 50;     // of what fails without an effect: may land later
  };
  using Late = std::vector<LogStore::Write>;

  // `late`: outlives the server too.
  // `shared`: see IsShared.
  SimulatedJournal(LogStore& store, Late& late, Dice& dice, const Rates& rates, Fault fault, bool shared,
                   std::function<void(const std::string&)> trace)
      : store_(store),
        late_(late),
        dice_(dice),
        rates_(rates),
        fault_(fault),
        shared_(shared),
        trace_(std::move(trace)) {}

  // For the schedule.
  void SetRates(const Rates& rates) { rates_ = rates; }
  void SetReadable(bool readable) { readable_ = readable; }
  bool HasPending() const { return !queues_.empty(); }
  // The next write of some session takes effect, or is answered.
  void Advance();
  // The server ends: of what was asked some takes effect, nothing more is read or written, all is answered at once.
  void Crash();

  bool IsDurable() const override { return true; }
  bool IsShared() const override { return shared_; }
  void Create(NewSession session, Done done) override { Ask(std::move(session), std::move(done)); }
  void Append(const SessionKey& key, const Batch& batch, std::optional<absl::Time> due, Done done) override {
    Ask(LogStore::Append{key, batch, due}, std::move(done));
  }
  void Save(Saved saved, Done done) override { Ask(std::move(saved), std::move(done)); }
  void Trim(const SessionKey& key, BatchId checkpoint_after, std::vector<Step> checkpoints) override;
  void Remove(const SessionKey& key, std::optional<Tombstone> tombstone, Done done) override {
    Ask(LogStore::Remove{key, std::move(tombstone)}, std::move(done));
  }
  void Define(CatalogEvent event, Done done) override { Ask(std::move(event), std::move(done)); }
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
  void Reschedule(const Due& entry, std::optional<absl::Time> next) override {
    Ask(LogStore::Reschedule{entry, next}, nullptr);
  }
  absl::Time EarliestDue() const override { return store_.reads().EarliestDue(); }
  std::size_t size() const override { return store_.reads().size(); }
  std::size_t CountIn(std::string_view prefix) const override { return store_.reads().CountIn(prefix); }
  void Shutdown() override {}

 private:
  struct Pending {
    LogStore::Write write;
    Done done;
    std::optional<absl::Status> result;  // it took effect, or failed
  };
  void Ask(LogStore::Write write, Done done);
  void TakeEffect(Pending& pending);
  absl::Status Unreadable() const;

  LogStore& store_;
  Late& late_;
  Dice& dice_;
  Rates rates_;
  const Fault fault_;
  const bool shared_;
  const std::function<void(const std::string&)> trace_;
  bool readable_ = true;
  bool crashed_ = false;
  std::map<std::string, std::deque<Pending>> queues_;  // by LogStore::IdOf
};

// For the trace.
std::string Describe(const LogStore::Write& write);
// A write that was late lands. As a faulty journal would: whatever stands before it.
absl::Status Land(LogStore& store, LogStore::Write write, Fault fault);

}  // namespace corod

#endif  // COROD_TESTS_SIMULATION_SIMULATED_JOURNAL_H_
