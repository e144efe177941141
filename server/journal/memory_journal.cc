#include "server/journal/memory_journal.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/string_view.h"
#include "server/base/failure.h"
#include "server/journal/codec.h"
#include "server/journal/session_counts.h"

namespace corod {
namespace {

absl::Status Closed() { return Failed(Reason::JOURNAL_UNAVAILABLE, "the journal takes nothing more"); }

// Of its own, as bytes would be: a body may go on changing an exception that it was sent.
Batch CopyOf(Batch batch) {
  for (Record& record : batch.records) record.value = Snapshot(record.value);
  return batch;
}

Checkpoint CopyOf(Checkpoint checkpoint) {
  checkpoint.state = Snapshot(checkpoint.state);
  checkpoint.outcome.value = Snapshot(checkpoint.outcome.value);
  return checkpoint;
}

Head CopyOf(Head head) {
  for (Value& argument : head.arguments) argument = Snapshot(argument);
  if (head.last_outcome) head.last_outcome->outcome.value = Snapshot(head.last_outcome->outcome.value);
  return head;
}

}  // namespace

// Calls what waits to be called, in order, on the executor. Lives for as long as a task of its is under way.
class MemoryJournal::Answers : public std::enable_shared_from_this<Answers> {
 public:
  explicit Answers(Executor& executor) : executor_(executor) {}

  // REQUIRES: the order of calls is kept by the caller (the journal's mutex); the caller then calls Start without it.
  void Add(Done done, absl::Status status) {
    const MutexLock lock(mutex_);
    waiting_.emplace_back(std::move(done), std::move(status));
  }
  // Sees to it that what was added is called.
  void Start() {
    {
      const MutexLock lock(mutex_);
      if (scheduled_ || calling_ || waiting_.empty()) return;
      scheduled_ = true;
    }
    executor_.Run([self = shared_from_this()] {
      self->mutex_.Lock();
      self->scheduled_ = false;
      if (!self->calling_) self->Call();
      self->mutex_.Unlock();
    });
  }
  // Calls all that was added, and returns when they have returned.
  void Finish() {
    mutex_.Lock();
    while (calling_) called_.Wait(mutex_);
    Call();
    mutex_.Unlock();
  }

 private:
  // Releases the mutex meanwhile.
  void Call() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    calling_ = true;
    while (!waiting_.empty()) {
      auto [done, status] = std::move(waiting_.front());
      waiting_.pop_front();
      mutex_.Unlock();
      done(std::move(status));
      done = nullptr;
      mutex_.Lock();
    }
    calling_ = false;
    called_.NotifyAll();
  }

  Executor& executor_;
  Mutex mutex_;
  CondVar called_;
  std::deque<std::pair<Done, absl::Status>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool scheduled_ ABSL_GUARDED_BY(mutex_) = false;
  bool calling_ ABSL_GUARDED_BY(mutex_) = false;
};

MemoryJournal::MemoryJournal(Executor& executor, Options options)
    : options_(options), answers_(std::make_shared<Answers>(executor)) {}

MemoryJournal::~MemoryJournal() = default;

const MemoryJournal::Session* MemoryJournal::FindLife(const SessionKey& key) const {
  const auto found = sessions_.find(key.id);
  return found != sessions_.end() && found->second.head.key.uid == key.uid ? &found->second : nullptr;
}

MemoryJournal::Session* MemoryJournal::FindLife(const SessionKey& key) {
  return const_cast<Session*>(static_cast<const MemoryJournal*>(this)->FindLife(key));
}

void MemoryJournal::AddDue(const std::string& id, std::optional<absl::Time> due) {
  if (due && *due != absl::InfiniteFuture()) due_.emplace(*due, id);
}

absl::Status MemoryJournal::DoCreate(NewSession session) {
  if (shutdown_) return Closed();
  const auto found = sessions_.find(session.head.key.id);
  const std::string stands = found == sessions_.end() ? "" : found->second.head.key.uid;
  if (stands != session.replaces) return absl::AbortedError("the session id stands for another");
  AddDue(session.head.key.id, session.due);
  Session created;
  if (session.checkpoint) {
    created.begin = session.checkpoint->after;
    created.valid = ValidBatches(created.begin);
    created.last_step = session.checkpoint->step;
    created.checkpoints.emplace(session.checkpoint->step, CopyOf(*std::move(session.checkpoint)));
  }
  for (Batch& batch : session.log) {
    if (created.valid.Take(batch)) created.last_step = LastStep(batch);
    created.log.push_back(CopyOf(std::move(batch)));
  }
  created.head = CopyOf(std::move(session.head));
  const std::string id = created.head.key.id;
  sessions_.insert_or_assign(id, std::move(created));
  return absl::OkStatus();
}

void MemoryJournal::Create(NewSession session, Done done) {
  {
    const MutexLock lock(mutex_);
    answers_->Add(std::move(done), DoCreate(std::move(session)));
  }
  answers_->Start();
}

absl::Status MemoryJournal::DoAppend(const SessionKey& key, const Batch& batch, std::optional<absl::Time> due) {
  if (shutdown_) return Closed();
  Session* session = FindLife(key);
  if (!session) return absl::AbortedError("the session is not there");
  const bool valid = session->valid.Take(batch);
  if (valid || options_.comparison == Comparison::kOff) session->log.push_back(CopyOf(batch));
  if (!valid) return absl::AbortedError("somebody else wrote to the session's log");
  session->last_step = LastStep(batch);
  AddDue(key.id, due);
  return absl::OkStatus();
}

void MemoryJournal::Append(const SessionKey& key, const Batch& batch, std::optional<absl::Time> due, Done done) {
  {
    const MutexLock lock(mutex_);
    answers_->Add(std::move(done), DoAppend(key, batch, due));
  }
  answers_->Start();
}

void MemoryJournal::Save(Saved saved, Done done) {
  {
    const MutexLock lock(mutex_);
    Session* session = shutdown_ ? nullptr : FindLife(saved.head.key);
    if (session) {
      AddDue(saved.head.key.id, saved.due);
      if (saved.checkpoint) {
        const Step step = saved.checkpoint->step;
        session->checkpoints.insert_or_assign(step, CopyOf(*std::move(saved.checkpoint)));
      }
      session->head = CopyOf(std::move(saved.head));
    }
    answers_->Add(std::move(done), shutdown_ ? Closed() : absl::OkStatus());
  }
  answers_->Start();
}

void MemoryJournal::Trim(const SessionKey& key, BatchId checkpoint_after, std::vector<Step> checkpoints) {
  const MutexLock lock(mutex_);
  Session* session = shutdown_ ? nullptr : FindLife(key);
  if (!session) return;
  for (const Step step : checkpoints) session->checkpoints.erase(step);
  const auto last =
      std::find_if(session->log.begin(), session->log.end(), [&](const Batch& b) { return b.id == checkpoint_after; });
  if (last == session->log.end()) return;
  session->begin = last->previous;
  session->log.erase(session->log.begin(), last);
}

void MemoryJournal::Remove(const SessionKey& key, std::optional<Tombstone> tombstone, Done done) {
  {
    const MutexLock lock(mutex_);
    if (!shutdown_ && FindLife(key)) sessions_.erase(sessions_.find(key.id));
    if (!shutdown_ && tombstone) {
      std::pair<std::string, std::string> name(key.id, tombstone->request_id);
      tombstones_.insert_or_assign(std::move(name), *std::move(tombstone));
    }
    const bool is_readable = key.uid.empty() && sessions_.contains(key.id);
    answers_->Add(std::move(done), shutdown_     ? Closed()
                                   : is_readable ? absl::AbortedError("the session can be read")
                                                 : absl::OkStatus());
  }
  answers_->Start();
}

absl::Status MemoryJournal::DoDefine(CatalogEvent event) {
  if (shutdown_) return Closed();
  const bool valid = event.revision == catalog_revision_ + 1;
  if (valid || options_.comparison == Comparison::kOff) catalog_.push_back(std::move(event));
  if (!valid) return absl::AbortedError("the catalog is at another revision");
  ++catalog_revision_;
  return absl::OkStatus();
}

void MemoryJournal::Define(CatalogEvent event, Done done) {
  {
    const MutexLock lock(mutex_);
    answers_->Add(std::move(done), DoDefine(std::move(event)));
  }
  answers_->Start();
}

Journal::Stored MemoryJournal::Describe(const Session& session) {
  return {session.head, session.valid.last(), session.last_step};
}

absl::StatusOr<std::optional<Journal::Stored>> MemoryJournal::Find(std::string_view id) const {
  const MutexLock lock(mutex_);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return std::optional<Stored>();
  return std::optional<Stored>(Describe(found->second));
}

absl::StatusOr<std::vector<Journal::Listed>> MemoryJournal::List(std::string_view after, std::size_t limit) const {
  const MutexLock lock(mutex_);
  std::vector<Listed> listed;
  for (auto it = sessions_.upper_bound(after); it != sessions_.end() && listed.size() < limit; ++it) {
    listed.push_back({it->first, Describe(it->second)});
  }
  return listed;
}

absl::StatusOr<std::optional<Checkpoint>> MemoryJournal::FindCheckpoint(const SessionKey& key, Step step) const {
  const MutexLock lock(mutex_);
  const Session* session = FindLife(key);
  if (!session) return std::optional<Checkpoint>();
  const auto behind = session->checkpoints.upper_bound(step);
  if (behind == session->checkpoints.begin()) return std::optional<Checkpoint>();
  return std::optional<Checkpoint>(std::prev(behind)->second);
}

absl::StatusOr<std::vector<Step>> MemoryJournal::ListCheckpoints(const SessionKey& key) const {
  const MutexLock lock(mutex_);
  std::vector<Step> steps;
  if (const Session* session = FindLife(key)) {
    for (const auto& [step, checkpoint] : session->checkpoints) steps.push_back(step);
  }
  return steps;
}

absl::StatusOr<std::vector<Batch>> MemoryJournal::Read(const SessionKey& key, BatchId after,
                                                       std::size_t max_bytes) const {
  const MutexLock lock(mutex_);
  std::vector<Batch> batches;
  const Session* session = FindLife(key);
  if (!session) return batches;
  if (after != BatchId() && after.number < session->begin.number) {
    return absl::OutOfRangeError("that part of the log was trimmed away");
  }
  ValidBatches valid(session->begin);
  bool behind = after == BatchId() || after == session->begin;
  std::size_t bytes = 0;
  for (const Batch& batch : session->log) {
    if (!valid.Take(batch)) continue;
    if (behind) {
      const std::size_t size = Encode(batch).size();
      if (!batches.empty() && bytes + size > max_bytes) break;
      bytes += size;
      batches.push_back(batch);
    }
    if (batch.id == after) behind = true;
  }
  return batches;
}

absl::StatusOr<std::optional<Tombstone>> MemoryJournal::FindTombstone(std::string_view id,
                                                                      std::string_view request_id) const {
  const MutexLock lock(mutex_);
  const auto found = tombstones_.find({std::string(id), std::string(request_id)});
  if (found == tombstones_.end()) return std::optional<Tombstone>();
  return std::optional<Tombstone>(found->second);
}

absl::StatusOr<std::vector<CatalogEvent>> MemoryJournal::ReadCatalog(std::uint64_t after_revision,
                                                                     std::size_t max_bytes) const {
  const MutexLock lock(mutex_);
  std::vector<CatalogEvent> events;
  std::uint64_t last = 0;
  std::size_t bytes = 0;
  for (const CatalogEvent& event : catalog_) {
    if (event.revision != last + 1) continue;
    last = event.revision;
    if (last <= after_revision) continue;
    const std::size_t size = Encode(event).size();
    if (!events.empty() && bytes + size > max_bytes) break;
    bytes += size;
    events.push_back(event);
  }
  return events;
}

absl::StatusOr<std::vector<Journal::Due>> MemoryJournal::ListDue(absl::Time now, const std::optional<Due>& after,
                                                                 std::size_t limit) const {
  const MutexLock lock(mutex_);
  std::erase_if(tombstones_, [now](const auto& entry) { return entry.second.expire_time <= now; });
  std::vector<Due> entries;
  for (auto it = after ? due_.upper_bound({after->time, after->id}) : due_.begin();
       it != due_.end() && it->first <= now && entries.size() < limit; ++it) {
    entries.push_back({it->first, it->second});
  }
  return entries;
}

void MemoryJournal::Reschedule(const Due& entry, std::optional<absl::Time> next) {
  const MutexLock lock(mutex_);
  if (shutdown_) return;
  due_.erase({entry.time, entry.id});
  AddDue(entry.id, next);
}

absl::Time MemoryJournal::EarliestDue() const {
  const MutexLock lock(mutex_);
  return due_.empty() ? absl::InfiniteFuture() : due_.begin()->first;
}

std::size_t MemoryJournal::size() const {
  const MutexLock lock(mutex_);
  return sessions_.size();
}

std::size_t MemoryJournal::CountIn(std::string_view prefix) const {
  const MutexLock lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      sessions_.begin(), sessions_.end(), [prefix](const auto& session) { return PrefixIn(session.first) == prefix; }));
}

void MemoryJournal::Shutdown() {
  {
    const MutexLock lock(mutex_);
    shutdown_ = true;
  }
  answers_->Finish();
}

}  // namespace corod
