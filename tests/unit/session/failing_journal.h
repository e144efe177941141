#ifndef COROD_TESTS_UNIT_SESSION_FAILING_JOURNAL_H_
#define COROD_TESTS_UNIT_SESSION_FAILING_JOURNAL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/executor.h"
#include "server/journal/journal.h"

namespace corod {

// A journal that does what the test says, before another one. On one thread.
class FailingJournal : public Journal {
 public:
  // What becomes of a Create, an Append or a Define.
  enum class Fault : std::uint8_t {
    kNone,
    kLost,     // in doubt: it was not written
    kLanded,   // in doubt: it was written
    kLate,     // in doubt: it is written with WriteLate
    kForeign,  // another writer claims the log just before (an Append)
  };

  FailingJournal(Journal& journal, Executor& executor) : journal_(journal), executor_(executor) {}

  // For the next of those, and so on.
  void Next(Fault fault) { faults_.push_back(fault); }
  void WriteLate();
  // Reads are kUnavailable.
  void FailReads(bool fail) { fail_reads_ = fail; }
  // Saves (the index by time is not changed, either) and removals are kUnavailable and have no effect.
  void FailSaves(bool fail) { fail_saves_ = fail; }
  void FailRemoves(bool fail) { fail_removes_ = fail; }
  // Every `done` waits; then they are called.
  void HoldAnswers() { holds_ = true; }
  void GiveAnswers();
  // From Kill to Revive nothing is written or read, and what was not answered is in doubt.
  void Kill();
  void Revive() { dead_ = false; }
  void SetShared(bool shared) { shared_ = shared; }
  // What the log of that session is read as.
  void ReadAs(std::function<absl::StatusOr<std::vector<Batch>>(const SessionKey&, std::vector<Batch>)> change) {
    change_ = std::move(change);
  }
  // The head of that session is damaged, until it is removed.
  void DamageHead(std::string id) { damaged_ = std::move(id); }
  // No checkpoint of that session can be read.
  void DamageCheckpoints(std::string id) { damaged_checkpoints_ = std::move(id); }
  // Called before each Read.
  void BeforeRead(std::function<void()> call) { before_read_ = std::move(call); }

  int appends() const { return appends_; }
  int reads() const { return reads_; }
  // Sessions that List gave.
  std::size_t listed() const { return listed_; }
  const std::vector<Batch>& appended() const { return appended_; }
  void ForgetAppended() { appended_.clear(); }

  bool IsDurable() const override { return journal_.IsDurable(); }
  bool IsShared() const override { return shared_; }
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
  absl::Time EarliestDue() const override { return journal_.EarliestDue(); }
  std::size_t size() const override { return journal_.size(); }
  std::size_t CountIn(std::string_view prefix) const override { return journal_.CountIn(prefix); }
  // As SetBytes said.
  std::optional<std::uint64_t> BytesOf(std::uint32_t uid_group) const override {
    const auto found = bytes_.find(uid_group);
    return found == bytes_.end() ? 0 : found->second;
  }
  std::optional<std::uint64_t> BytesOnDisk() const override { return bytes_on_disk_; }
  void SetBytes(std::uint32_t uid_group, std::uint64_t bytes) { bytes_[uid_group] = bytes; }
  void SetBytesOnDisk(std::uint64_t bytes) { bytes_on_disk_ = bytes; }
  void Shutdown() override { journal_.Shutdown(); }

 private:
  bool Unreadable() const { return dead_ || fail_reads_; }
  Fault TakeFault();
  // Asks the other journal for it, or does as the fault says.
  void Write(Fault fault, std::function<void(Done)> write, Done done);
  Done Held(Done done);
  void Answer(Done done, absl::Status status);

  Journal& journal_;
  Executor& executor_;
  std::deque<Fault> faults_;
  std::map<std::uint32_t, std::uint64_t> bytes_;
  std::uint64_t bytes_on_disk_ = 0;
  std::vector<std::function<void()>> late_;
  std::deque<std::function<void()>> held_;
  bool fail_reads_ = false;
  bool fail_saves_ = false;
  bool fail_removes_ = false;
  bool holds_ = false;
  bool dead_ = false;
  bool shared_ = false;
  std::function<absl::StatusOr<std::vector<Batch>>(const SessionKey&, std::vector<Batch>)> change_;
  std::string damaged_;
  std::string damaged_checkpoints_;
  std::function<void()> before_read_;
  int appends_ = 0;
  mutable int reads_ = 0;
  mutable std::size_t listed_ = 0;
  std::vector<Batch> appended_;
  std::uint64_t foreign_ = 0;
};

}  // namespace corod

#endif  // COROD_TESTS_UNIT_SESSION_FAILING_JOURNAL_H_
