#include <rocksdb/perf_level.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "server/base/completion_scope.h"
#include "server/base/failure.h"
#include "server/journal/codec.h"
#include "server/journal/rocks_database.h"
#include "server/journal/rocks_group.h"
#include "server/journal/rocks_journal.h"
#include "server/journal/rocks_range.h"
#include "server/log/log.h"
#include "server/metrics/metrics.h"

// What is asked is queued, written group by group by threads that take turns, and answered.

namespace corod {
namespace {

constexpr std::size_t kMaxEmptyChunks = 4;
// How many writes ahead what they need is brought into the cache: first what is known of them, then what that leads to.
constexpr std::size_t kFar = 8;
constexpr std::size_t kNear = 4;
// Full segments of the log, at most: one is put into RocksDB while another is being flushed.
constexpr std::size_t kMaxFullSegments = 2;
// What is put into RocksDB between two groups, at least.
constexpr std::size_t kSettleBytes = std::size_t{128} << 10;
constexpr std::size_t kMaxGroupWrites = 4096;
// Groups that a thread of the caller's writes one after another, until it has its own work again.
constexpr int kMaxTurnsOfCaller = 16;
// What it takes of others at most, all in all that wait.
constexpr std::size_t kMaxWritesOfCaller = 256;
constexpr std::size_t kMaxBytesOfCaller = std::size_t{64} << 10;
// A caller's thread has not come back to the queue for so long: what waits is not left to it.
constexpr std::chrono::milliseconds kLookAfterCallers(2);

}  // namespace

// What a thread that is in the middle of many commands (CompletionScope) has appended: it is handed over together, so
// that it is written together, and that the lock is taken and a thread woken once for all of it. If that is little, the
// thread writes it itself, unless somebody is writing.
class RocksJournal::Outbox final : private CompletionScope::Deferred {
 public:
  Outbox() = default;
  virtual ~Outbox() = default;
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  static Outbox& OfThisThread() {
    thread_local Outbox outbox;
    return outbox;
  }

  // Where an append goes; null: into the queue.
  Chunk* ChunkFor(RocksJournal& journal, std::size_t bytes) {
    if (journal_ != &journal) {
      if (journal_ || !CompletionScope::Active()) return nullptr;
      journal_ = &journal;
      CompletionScope::Follow(*this);
    }
    if (!chunk_) chunk_ = std::make_unique<Chunk>();
    if (chunk_->writes.size() == max_writes_ || journal.IsFull(*chunk_, bytes)) HandOver();
    return chunk_.get();
  }
  // Before this thread asks for something else.
  void HandOver(const RocksJournal& journal) {
    if (journal_ == &journal) HandOver();
  }
  // For a thread of the journal's own: its scope is long, and another of them may write meanwhile.
  void NoteJournalsThread() {
    max_writes_ = kMaxOfJournalsThread;
    writes_ = true;
  }

 private:
  static constexpr std::size_t kMaxOfJournalsThread = 64;
  // Waking a thread for so many would take longer than they do. Of more it is a small part, and the caller's thread has
  // the next commands to read meanwhile.
  static constexpr std::size_t kFewWrites = 16;
  static constexpr std::size_t kFewBytes = 4096;

  void RunDeferred() override {
    const bool is_little = !handed_over_ && chunk_->writes.size() <= kFewWrites && chunk_->bytes <= kFewBytes;
    const bool writes_here = !writes_ && is_little;
    if (!writes_here) HandOver();
    handed_over_ = false;
    RocksJournal& journal = *std::exchange(journal_, nullptr);
    if (!writes_here) return;
    writes_ = true;
    journal.WriteHere(chunk_);
    writes_ = false;
  }

  void HandOver() {
    if (chunk_->writes.empty()) return;
    handed_over_ = true;
    bool wakes = false;
    {
      const MutexLock lock(journal_->mutex_);
      wakes = journal_->MustWake();
      journal_->TakeOver(chunk_);
    }
    if (wakes) journal_->changed_.NotifyOne();
  }

  RocksJournal* journal_ = nullptr;
  std::unique_ptr<Chunk> chunk_;
  std::size_t max_writes_ = kMaxGroupWrites;
  bool handed_over_ = false;  // a part of what was appended in this scope
  bool writes_ = false;       // looks at the journal's queue itself, as soon as it has answered
};

absl::Status RocksJournal::TakesNothingMore(Group&) {
  return Failed(Reason::JOURNAL_UNAVAILABLE, "the journal takes nothing more");
}

void RocksJournal::Refuse(Write& write) {
  if (!write.more) write.more = std::make_unique<Write::More>();
  write.more->apply = &TakesNothingMore;
}

bool RocksJournal::IsFull(const Chunk& chunk, std::size_t bytes) const {
  return !chunk.writes.empty() && (chunk.writes.size() >= kMaxGroupWrites || chunk.bytes + bytes > max_group_bytes_);
}

std::unique_ptr<RocksJournal::Chunk> RocksJournal::NewChunk() const {
  if (empty_chunks_.empty()) return std::make_unique<Chunk>();
  std::unique_ptr<Chunk> chunk = std::move(empty_chunks_.back());
  empty_chunks_.pop_back();
  return chunk;
}

void RocksJournal::PutIntoQueue(std::unique_ptr<Chunk> chunk) const {
  chunk->since = std::chrono::steady_clock::now();
  if (queue_.empty()) oldest_.Note(chunk->since);
  queue_.push_back(std::move(chunk));
}

RocksJournal::Chunk& RocksJournal::ChunkFor(std::size_t bytes) const {
  if (queue_.empty() || IsFull(*queue_.back(), bytes)) PutIntoQueue(NewChunk());
  return *queue_.back();
}

void RocksJournal::TakeOver(std::unique_ptr<Chunk>& chunk) {
  if (chunk->writes.empty()) return;
  if (shutdown_) {
    for (Write& write : chunk->writes) Refuse(write);
  }
  PutIntoQueue(std::exchange(chunk, NewChunk()));
}

void RocksJournal::WriteHere(std::unique_ptr<Chunk>& chunk) {
  const MutexLock lock(mutex_);
  TakeOver(chunk);
  for (int i = 0; i < kMaxTurnsOfCaller && !queue_.empty() && IsForCaller(); ++i) TakeTurn(Thread::kCallers);
  if (!writing_ || !available_) WakeForTheRest();
}

bool RocksJournal::IsForCaller() const {
  if (writing_ || !available_) return false;
  std::size_t writes = 0, bytes = 0;
  for (const std::unique_ptr<Chunk>& chunk : queue_) {
    writes += chunk->writes.size();
    bytes += chunk->bytes;
    // What is no append is answered in its order, and may have to wait for another thread's answers.
    if (!chunk->only_appends || writes > kMaxWritesOfCaller || bytes > kMaxBytesOfCaller) return false;
  }
  return true;
}

void RocksJournal::WakeForTheRest() {
  const bool forgets_to_sync = unsynced_ && !waits_to_sync_;
  // Whoever looks after callers settles when they have ceased; until then they do.
  const bool forgets_to_settle = settling_ && !looking_after_callers_;
  if (!queue_.empty() || forgets_to_sync || forgets_to_settle || !available_) changed_.NotifyOne();
}

void RocksJournal::WakeBehindCaller() {
  ++turns_of_callers_;
  const bool forgets_to_sync = unsynced_ && !waits_to_sync_;
  if (!available_ || forgets_to_sync || (!queue_.empty() && !IsForCaller())) {
    changed_.NotifyOne();
  } else if (!queue_.empty() && !look_after_callers_ && !looking_after_callers_ && idle_ == kThreads) {
    look_after_callers_ = true;
    changed_.NotifyOne();
  }
}

void RocksJournal::LookAfterCallers() {
  look_after_callers_ = false;
  looking_after_callers_ = true;
  ++idle_;
  while (seen_turns_of_callers_ != turns_of_callers_) {
    seen_turns_of_callers_ = turns_of_callers_;
    if (changed_.WaitFor(mutex_, kLookAfterCallers)) break;
  }
  --idle_;
  looking_after_callers_ = false;
}

bool RocksJournal::MustWake() const {
  // Whoever writes looks at the queue when it has done; whoever put the first thing into it has woken somebody.
  return queue_.empty() && !(writing_ && available_);
}

void RocksJournal::Enqueue(Apply apply, Done done, bool synced, std::size_t bytes) const {
  Outbox::OfThisThread().HandOver(*this);
  bool wakes = false;
  {
    const MutexLock lock(mutex_);
    wakes = MustWake();
    Chunk& chunk = ChunkFor(bytes);
    Write& write = chunk.writes.emplace_back();
    write.is_append = chunk.only_appends = false;
    write.synced = synced;
    write.more = std::make_unique<Write::More>(Write::More{.apply = std::move(apply), .done = std::move(done)});
    if (shutdown_) Refuse(write);
    chunk.bytes += bytes;
  }
  if (wakes) changed_.NotifyOne();
}

void RocksJournal::Append(const SessionKey& key, const Batch& batch, std::optional<absl::Time> due, Done done) {
  static constexpr Then::Kind kCalls = {.run =
                                            [](void* a, void*, absl::Status status) {
                                              const std::unique_ptr<Done> held(static_cast<Done*>(a));
                                              if (*held) (*held)(std::move(status));
                                            },
                                        .prefetch = [](void*, void*, bool) {}};
  AppendTo(CompactText(key.id), CompactText(key.uid), batch, due,
           {.kind = &kCalls, .a = std::make_unique<Done>(std::move(done)).release()});
}

void RocksJournal::AppendTo(const CompactText& id, const CompactText& uid, const Batch& batch,
                            std::optional<absl::Time> due, Then then) {
  // Encoded before a lock is taken.
  thread_local std::string bytes;
  bytes.clear();
  AppendEncoded(batch, bytes);
  if (Chunk* const chunk = Outbox::OfThisThread().ChunkFor(*this, bytes.size())) {
    AddAppend(id, uid, batch, bytes, due, then, *chunk);
  } else {
    bool wakes = false;
    {
      const MutexLock lock(mutex_);
      wakes = MustWake();
      Write& write = AddAppend(id, uid, batch, bytes, due, then, ChunkFor(bytes.size()));
      if (shutdown_) Refuse(write);
    }
    if (wakes) changed_.NotifyOne();
  }
  if (bytes.capacity() > kMaxGroupBytes) bytes = std::string();
}

RocksJournal::Write& RocksJournal::AddAppend(const CompactText& id, const CompactText& uid, const Batch& batch,
                                             std::string_view bytes, std::optional<absl::Time> due, Then then,
                                             Chunk& chunk) const {
  // Those that come behind it into the chunk are taken to have come with it.
  if (chunk.appends++ == 0 && options_.metrics) chunk.first_append = std::chrono::steady_clock::now();
  Write& write = chunk.writes.emplace_back();
  write.then = then;
  write.uid = uid.Copy();
  write.id_hash = id.key().hash();
  write.batch = batch.id;
  write.previous = batch.previous;
  if (due) write.more = std::make_unique<Write::More>(Write::More{.id = id.Copy(), .due = due});
  const std::size_t at = chunk.entries.bytes().size();
  chunk.entries.AddBatch(uid, batch.id.number, bytes);
  write.at = static_cast<std::uint32_t>(at);
  write.size = static_cast<std::uint32_t>(chunk.entries.bytes().size() - at);
  chunk.bytes += bytes.size();
  return write;
}

void RocksJournal::Work() {
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);  // nobody reads this thread's counters
  Outbox::OfThisThread().NoteJournalsThread();
  mutex_.Lock();
  while (true) {
    if (look_after_callers_) LookAfterCallers();
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!queue_.empty() && (!writing_ || !available_)) {
      TakeTurn(Thread::kJournals);
    } else if (!available_ && !writing_ && !ending_ && now >= next_attempt_) {
      writing_ = true;
      mutex_.Unlock();
      const bool recovered = Recover();
      mutex_.Lock();
      available_ = recovered;
      next_attempt_ = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(options_.attempt_interval);
      writing_ = false;
      changed_.NotifyAll();
    } else if (available_ && unsynced_ && !writing_ && now >= next_sync_) {
      writing_ = true;
      unsynced_ = false;
      mutex_.Unlock();
      const bool synced = SyncLog();
      mutex_.Lock();
      if (!synced) BecomeUnavailable();
      writing_ = false;
      changed_.NotifyAll();
    } else if (available_ && settling_ && !writing_) {
      writing_ = true;
      mutex_.Unlock();
      const bool settled = Settle(kSettleBytes);
      mutex_.Lock();
      if (!settled) BecomeUnavailable();
      writing_ = false;
      changed_.NotifyAll();
    } else if (ending_ && queue_.empty()) {
      break;
    } else {
      TellIfFinished();
      ++idle_;
      if (!writing_ && !available_) {
        changed_.WaitFor(mutex_, next_attempt_ - now);
      } else if (!writing_ && unsynced_) {
        waits_to_sync_ = true;
        changed_.WaitFor(mutex_, next_sync_ - now);
        waits_to_sync_ = false;
      } else {
        changed_.Wait(mutex_);
      }
      --idle_;
    }
  }
  mutex_.Unlock();
}

void RocksJournal::BecomeUnavailable() {
  available_ = false;
  next_attempt_ = std::chrono::steady_clock::now();
}

void RocksJournal::TakeTurn(Thread thread) {
  if (available_) {
    // Those who are about to ask for something and wait for a processor come into this group, then.
    writing_ = true;
    const bool settles = settling_;
    mutex_.Unlock();
    std::this_thread::yield();
    const bool settled = !settles || Settle(std::max(kSettleBytes, 2 * last_group_bytes_));
    mutex_.Lock();
    if (!settled) BecomeUnavailable();
    writing_ = false;
  }
  std::vector<std::unique_ptr<Chunk>> chunks;
  std::size_t writes = 0, bytes = 0;
  do {
    chunks.push_back(std::move(queue_.front()));
    queue_.pop_front();
    writes += chunks.back()->writes.size();
    bytes += chunks.back()->bytes;
  } while (!queue_.empty() && writes + queue_.front()->writes.size() <= kMaxGroupWrites &&
           bytes + queue_.front()->bytes <= max_group_bytes_);
  queue_.empty() ? oldest_.NoteNone() : oldest_.Note(queue_.front()->since);
  const bool only_appends = std::all_of(chunks.begin(), chunks.end(),
                                        [](const std::unique_ptr<Chunk>& chunk) { return chunk->only_appends; });
  ++answering_;
  const std::uint64_t turn = only_appends ? 0 : turns_taken_++;
  if (available_) {
    writing_ = true;
    mutex_.Unlock();
    const bool done = Commit(chunks);
    mutex_.Lock();
    if (!done) {
      BecomeUnavailable();
    } else if (options_.sync == Sync::kInterval && !unsynced_) {
      unsynced_ = true;
      next_sync_ = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(options_.sync_interval);
    }
    writing_ = false;
    // Another thread of the journal's writes what has come meanwhile, or waits for the time to sync or to try again.
    thread == Thread::kJournals ? WakeForTheRest() : WakeBehindCaller();
  } else {
    for (const std::unique_ptr<Chunk>& chunk : chunks) {
      for (Write& write : chunk->writes) write.status = JournalUnavailable("an earlier write failed");
    }
  }
  mutex_.Unlock();
  Answer(chunks, /*appends=*/true);
  mutex_.Lock();
  if (!only_appends) {
    while (turns_over_ != turn) turn_is_over_.Wait(mutex_);
    mutex_.Unlock();
    Answer(chunks, /*appends=*/false);
    mutex_.Lock();
    ++turns_over_;
    turn_is_over_.NotifyAll();
  }
  mutex_.Unlock();
  for (const std::unique_ptr<Chunk>& chunk : chunks) chunk->Clear();
  mutex_.Lock();
  for (std::unique_ptr<Chunk>& chunk : chunks) {
    if (empty_chunks_.size() < kMaxEmptyChunks) empty_chunks_.push_back(std::move(chunk));
  }
  --answering_;
  TellIfFinished();
}

void RocksJournal::TellIfFinished() {
  if (queue_.empty() && !writing_ && answering_ == 0) finished_.NotifyAll();
}

void RocksJournal::Answer(std::vector<std::unique_ptr<Chunk>>& chunks, bool appends) {
  const CompletionScope scope;
  for (const std::unique_ptr<Chunk>& chunk : chunks) {
    if (!appends && chunk->only_appends) continue;
    std::vector<Write>& writes = chunk->writes;
    for (std::size_t i = 0; i < writes.size(); ++i) {
      if (appends) {
        if (i + kFar < writes.size()) writes[i + kFar].Prefetch(/*near=*/false);
        if (i + kNear < writes.size()) writes[i + kNear].Prefetch(/*near=*/true);
      }
      if (writes[i].is_append == appends) writes[i].Answer();
    }
  }
}

bool RocksJournal::Commit(std::vector<std::unique_ptr<Chunk>>& chunks) {
  entries_.clear();
  Group group(*writable_, lives_, catalog_revision_, entries_, sessions_);
  bool synced = false;
  for (const std::unique_ptr<Chunk>& chunk : chunks) {
    for (std::size_t i = 0; i < chunk->writes.size(); ++i) {
      if (i + kFar < chunk->writes.size()) group.PrefetchLife(chunk->writes[i + kFar].uid);
      Write& write = chunk->writes[i];
      write.status = write.more && write.more->apply ? write.more->apply(group) : Extend(group, write, *chunk);
      if (!write.status.ok()) {
        chunk->appends -= write.is_append ? 1 : 0;
      } else if (write.synced) {
        synced = true;
      }
    }
  }
  const LogEntries& entries = group.Finish();
  rocksdb::Status written;
  if (!entries.empty()) {
    last_group_bytes_ = entries.bytes().size();
    written = MakeRoom(last_group_bytes_);
    if (written.ok()) written = writable_->Write(entries, synced && options_.sync == Sync::kAlways);
  }
  if (!written.ok()) {
    COROD_LOG(kJournal, kError, "the journal cannot be written", {{"error", written.ToString()}});
    lives_.clear();
    catalog_revision_.reset();
    for (const std::unique_ptr<Chunk>& chunk : chunks) {
      for (Write& write : chunk->writes) write.status = JournalUnavailable(written.ToString());
    }
    const MutexLock lock(index_mutex_);
    expiring_ = false;
    return false;
  }
  if (options_.metrics) CountAppends(chunks);
  sessions_ = group.sessions();
  if (!group.prefixed().empty()) counts_.Add(group.prefixed());
  NoteIndexChanges(group);
  for (Apply& apply : group.more) Enqueue(std::move(apply));
  return true;
}

void RocksJournal::CountAppends(const std::vector<std::unique_ptr<Chunk>>& chunks) const {
  const SteadyTime now = std::chrono::steady_clock::now();
  std::size_t appends = 0;
  for (const std::unique_ptr<Chunk>& chunk : chunks) {
    if (chunk->appends == 0) continue;
    appends += chunk->appends;
    options_.metrics->append_seconds.Observe(now - chunk->first_append, chunk->appends);
  }
  if (appends > 0) options_.metrics->batch_appends.Observe(appends);
}

absl::Status RocksJournal::Extend(Group& group, const Write& write, const Chunk& chunk) {
  const absl::StatusOr<Life*> life = group.FindLife(write.uid);
  if (!life.ok()) return life.status();
  if (!(*life)->is_there || (*life)->id.key().hash() != write.id_hash) return Conflict("the session is not there");
  if ((*life)->tail != write.previous || write.batch.number <= write.previous.number) {
    return Conflict("somebody else wrote to the session's log");
  }
  (*life)->tail = write.batch;
  group.AddEntry(chunk.entries.bytes().substr(write.at, write.size));
  if (write.more) group.AddDue(write.more->id.str(), write.more->due);
  return absl::OkStatus();
}

rocksdb::Status RocksJournal::MakeRoom(std::size_t bytes) {
  GroupLog& log = writable_->log();
  while (!log.HasRoom(bytes)) {
    if (log.full_segments() >= kMaxFullSegments) {
      // What is appended waits, since this cannot keep up with it.
      while (writable_->unsettled().HasFullSegment()) {
        if (rocksdb::Status settled = SettleSome(kMaxGroupBytes); !settled.ok()) return settled;
      }
      const MutexLock lock(mutex_);
      while (settled_segments_ > 0 && flush_failure_.empty()) tended_.Wait(mutex_);
      if (!flush_failure_.empty()) return rocksdb::Status::IOError(flush_failure_);
    }
    if (!log.NeedsOwnSegment(bytes)) {
      const MutexLock lock(mutex_);
      while (!log.SpareIsReady() && spare_failure_.empty()) tended_.Wait(mutex_);
      if (!spare_failure_.empty()) return rocksdb::Status::IOError(spare_failure_);
    }
    rocksdb::Status turned = log.Turn(bytes);
    if (!turned.ok()) return turned;
    writable_->unsettled().BeginSegment();
    const MutexLock lock(mutex_);
    settling_ = true;
    tend_.NotifyOne();
  }
  return {};
}

bool RocksJournal::Settle(std::size_t bytes) {
  const rocksdb::Status settled = SettleSome(bytes);
  if (!settled.ok()) COROD_LOG(kJournal, kError, "the journal cannot be written", {{"error", settled.ToString()}});
  return settled.ok();
}

rocksdb::Status RocksJournal::SettleSome(std::size_t bytes) {
  if (!writable_->unsettled().HasFullSegment()) return {};
  bool done = false;
  rocksdb::Status settled = writable_->Settle(bytes, &done);
  if (!settled.ok() || !done) return settled;
  const MutexLock lock(mutex_);
  settling_ = writable_->unsettled().HasFullSegment();
  ++settled_segments_;
  tend_.NotifyOne();
  return settled;
}

void RocksJournal::Tend() {
  mutex_.Lock();
  while (!ending_) {
    const SteadyTime now = std::chrono::steady_clock::now();
    RocksDatabase* const database = tended_database_;
    const std::size_t settled = flush_failure_.empty() ? settled_segments_ : 0;
    const bool wants_spare = database && !database->log().SpareIsReady();
    if (database && settled > 0) {
      tending_ = true;
      mutex_.Unlock();
      rocksdb::Status flushed = database->Flush();
      for (std::size_t i = 0; i < settled && flushed.ok(); ++i) flushed = database->log().RecycleOldest();
      mutex_.Lock();
      tending_ = false;
      settled_segments_ -= settled;
      if (!flushed.ok()) flush_failure_ = flushed.ToString();
      tended_.NotifyAll();
    } else if (wants_spare && now >= next_spare_) {
      tending_ = true;
      mutex_.Unlock();
      const rocksdb::Status prepared = database->log().PrepareSpare();
      mutex_.Lock();
      tending_ = false;
      spare_failure_ = prepared.ok() ? "" : prepared.ToString();
      if (!prepared.ok())
        next_spare_ = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(options_.attempt_interval);
      tended_.NotifyAll();
    } else if (wants_spare) {
      tend_.WaitFor(mutex_, next_spare_ - now);
    } else {
      tend_.Wait(mutex_);
    }
  }
  mutex_.Unlock();
}

void RocksJournal::PauseTending() {
  const MutexLock lock(mutex_);
  tended_database_ = nullptr;
  while (tending_) tended_.Wait(mutex_);
}

}  // namespace corod
