#include "tests/unit/session/failing_journal.h"

#include "server/base/failure.h"

namespace corod {
namespace {

absl::Status Doubt() { return Doubtful(Reason::JOURNAL_UNAVAILABLE, "as the test says"); }

}  // namespace

FailingJournal::Fault FailingJournal::TakeFault() {
  if (dead_) return Fault::kLost;
  if (faults_.empty()) return Fault::kNone;
  const Fault fault = faults_.front();
  faults_.pop_front();
  return fault;
}

Journal::Done FailingJournal::Held(Done done) {
  return [this, done = std::move(done)](const absl::Status& status) {
    const auto give = [this, done, status] { done(dead_ ? Doubt() : status); };
    if (holds_) {
      held_.emplace_back(give);
    } else {
      give();
    }
  };
}

void FailingJournal::Answer(Done done, absl::Status status) {
  executor_.Run([done = Held(std::move(done)), status = std::move(status)] { done(status); });
}

void FailingJournal::GiveAnswers() {
  holds_ = false;
  while (!held_.empty()) {
    const auto give = std::move(held_.front());
    held_.pop_front();
    give();
  }
}

void FailingJournal::Kill() {
  dead_ = true;
  faults_.clear();
  late_.clear();
  GiveAnswers();
}

void FailingJournal::WriteLate() {
  for (const auto& write : std::exchange(late_, {})) write();
}

void FailingJournal::Write(Fault fault, std::function<void(Done)> write, Done done) {
  const auto ignore = [](const absl::Status&) {};
  switch (fault) {
    case Fault::kNone:
    case Fault::kForeign:
      write(Held(std::move(done)));
      return;
    case Fault::kLate:
      late_.emplace_back([write = std::move(write), ignore] { write(ignore); });
      break;
    case Fault::kLanded:
      write(ignore);
      break;
    case Fault::kLost:
      break;
  }
  Answer(std::move(done), Doubt());
}

void FailingJournal::Create(NewSession session, Done done) {
  const auto write = [this, session = std::move(session)](Done told) { journal_.Create(session, std::move(told)); };
  Write(TakeFault(), write, std::move(done));
}

void FailingJournal::Append(const SessionKey& key, const Batch& batch, std::optional<absl::Time> due, Done done) {
  if (!dead_) {
    ++appends_;
    appended_.push_back(batch);
  }
  const Fault fault = TakeFault();
  if (fault == Fault::kForeign) {
    Batch claim = batch;
    claim.records.clear();
    claim.id.writer = ++foreign_;
    journal_.Append(key, claim, {}, [](const absl::Status&) {});
  }
  const auto write = [this, key, batch, due](Done told) { journal_.Append(key, batch, due, std::move(told)); };
  Write(fault, write, std::move(done));
}

void FailingJournal::Define(CatalogEvent event, Done done) {
  const auto write = [this, event = std::move(event)](Done told) { journal_.Define(event, std::move(told)); };
  Write(TakeFault(), write, std::move(done));
}

void FailingJournal::Save(Saved saved, Done done) {
  if (dead_ || fail_saves_) {
    Answer(std::move(done), Doubt());
  } else {
    journal_.Save(std::move(saved), Held(std::move(done)));
  }
}

void FailingJournal::Trim(const SessionKey& key, BatchId checkpoint_after, std::vector<Step> checkpoints) {
  if (!dead_) journal_.Trim(key, checkpoint_after, std::move(checkpoints));
}

void FailingJournal::Remove(const SessionKey& key, std::optional<Tombstone> tombstone, Done done) {
  if (dead_ || fail_removes_) {
    Answer(std::move(done), Doubt());
  } else if (key.uid.empty() && key.id == damaged_) {
    damaged_.clear();
    const SessionKey whole{key.id, (*journal_.Find(key.id))->head.key.uid};
    journal_.Remove(whole, std::move(tombstone), Held(std::move(done)));
  } else {
    journal_.Remove(key, std::move(tombstone), Held(std::move(done)));
  }
}

absl::StatusOr<std::optional<Journal::Stored>> FailingJournal::Find(std::string_view id) const {
  if (Unreadable()) return Doubt();
  if (!damaged_.empty() && id == damaged_) return absl::DataLossError("damaged");
  return journal_.Find(id);
}

absl::StatusOr<std::vector<Journal::Listed>> FailingJournal::List(std::string_view after, std::size_t limit) const {
  if (Unreadable()) return Doubt();
  absl::StatusOr<std::vector<Listed>> listed = journal_.List(after, limit);
  if (!listed.ok()) return listed;
  listed_ += listed->size();
  for (Listed& session : *listed) {
    if (session.id == damaged_) session.stored = absl::DataLossError("damaged");
  }
  return listed;
}

absl::StatusOr<std::optional<Checkpoint>> FailingJournal::FindCheckpoint(const SessionKey& key, Step step) const {
  if (Unreadable()) return Doubt();
  absl::StatusOr<std::optional<Checkpoint>> found = journal_.FindCheckpoint(key, step);
  if (key.id == damaged_checkpoints_ && found.ok() && *found) return absl::DataLossError("damaged");
  return found;
}

absl::StatusOr<std::vector<Step>> FailingJournal::ListCheckpoints(const SessionKey& key) const {
  if (Unreadable()) return Doubt();
  return journal_.ListCheckpoints(key);
}

absl::StatusOr<std::vector<Batch>> FailingJournal::Read(const SessionKey& key, BatchId after,
                                                        std::size_t max_bytes) const {
  if (Unreadable()) return Doubt();
  ++reads_;
  if (before_read_) before_read_();
  absl::StatusOr<std::vector<Batch>> read = journal_.Read(key, after, max_bytes);
  return read.ok() && change_ ? change_(key, *std::move(read)) : read;
}

absl::StatusOr<std::optional<Tombstone>> FailingJournal::FindTombstone(std::string_view id,
                                                                       std::string_view request_id) const {
  if (Unreadable()) return Doubt();
  return journal_.FindTombstone(id, request_id);
}

absl::StatusOr<std::vector<Journal::Due>> FailingJournal::ListDue(absl::Time now, const std::optional<Due>& after,
                                                                  std::size_t limit) const {
  if (Unreadable()) return Doubt();
  return journal_.ListDue(now, after, limit);
}

absl::StatusOr<std::vector<CatalogEvent>> FailingJournal::ReadCatalog(std::uint64_t after_revision,
                                                                      std::size_t max_bytes) const {
  if (Unreadable()) return Doubt();
  return journal_.ReadCatalog(after_revision, max_bytes);
}

void FailingJournal::Reschedule(const Due& entry, std::optional<absl::Time> next) {
  if (!dead_ && !fail_saves_) journal_.Reschedule(entry, next);
}

}  // namespace corod
