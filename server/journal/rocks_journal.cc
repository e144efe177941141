#include "server/journal/rocks_journal.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/perf_level.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/completion_scope.h"
#include "server/base/failure.h"
#include "server/journal/codec.h"
#include "server/journal/rocks_database.h"
#include "server/journal/rocks_keys.h"
#include "server/journal/rocks_range.h"
#include "server/journal/runs.h"
#include "server/journal/valid_batches.h"

namespace corod {
namespace {

namespace keys = rocks_keys;

constexpr int kFormatVersion = 2;
constexpr absl::string_view kFormatLine = "corod journal ";
constexpr std::size_t kMaxGroupBytes = std::size_t{1} << 20;
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
constexpr std::size_t kMaxLives = 32'768;
// Keys that one write in a group deletes of what nobody waits for.
constexpr std::size_t kMaxDeletes = 1'024;
constexpr std::size_t kProbeBytes = std::size_t{64} << 10;

absl::Status Conflict(absl::string_view why) { return absl::AbortedError(why); }

// Of the segments of the write-ahead log, which opening writes into a table.
std::uint64_t BytesOfLog(rocksdb::Env& env, const std::string& directory) {
  std::vector<std::string> names;
  if (!env.GetChildren(directory, &names).ok()) return 0;
  std::uint64_t bytes = 0;
  for (const std::string& name : names) {
    std::uint64_t size = 0;
    if (env.GetFileSize(absl::StrCat(directory, "/", name), &size).ok()) bytes += size;
  }
  return bytes;
}

// So that what was made in it is there after a loss of power.
rocksdb::Status SyncDirectory(rocksdb::Env& env, const std::string& directory) {
  std::unique_ptr<rocksdb::Directory> handle;
  const rocksdb::Status opened = env.NewDirectory(directory, &handle);
  return opened.ok() ? handle->Fsync() : opened;
}

// Under another name first, so that it is there as a whole or not at all.
absl::Status WriteFormat(rocksdb::Env& env, const std::string& directory) {
  const std::string format = directory + "/FORMAT";
  const std::string draft = format + ".new";
  rocksdb::Status made =
      rocksdb::WriteStringToFile(&env, absl::StrCat(kFormatLine, kFormatVersion, "\n"), draft, /*should_sync=*/true);
  if (made.ok()) made = env.RenameFile(draft, format);
  if (made.ok()) made = SyncDirectory(env, directory);
  if (made.ok()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(format, " cannot be written: ", made.ToString()));
}

absl::StatusOr<Journal::Stored> DescribeHead(const RocksDatabase& database, std::string_view bytes,
                                             const RocksDatabase::Moment& moment) {
  absl::StatusOr<Head> head = DecodeHead(bytes);
  if (!head.ok()) return head.status();
  absl::StatusOr<Tail> tail = moment.FindTail();
  if (absl::IsDataLoss(tail.status())) {  // whoever reads on finds the damage
    tail = SessionRange(database.db(), head->key.uid, moment.snapshot()).FindLastReadable();
    if (tail.ok()) tail->last_step = std::max(tail->last_step, head->steps) + 1;
  }
  if (!tail.ok()) return tail.status();
  return Journal::Stored{*std::move(head), tail->id, tail->last_step};
}

// Decodes a log, from one run after the other. What is in two of them counts once.
class LogReader {
 public:
  LogReader(BatchId after, std::size_t max_bytes) : after_(after), max_bytes_(max_bytes), last_number_(after.number) {}

  // False: it ends here, at what is damaged or since it is enough.
  bool Take(std::string_view run, std::uint64_t last_number) {
    for (RunReader reader(run, last_number); !ended_ && reader.Next();) {
      if (reader.number() <= last_number_) continue;
      ended_ = !TakeBatch(reader.batch());
      last_number_ = reader.number();
    }
    return !ended_;
  }
  bool HasEnded() const { return ended_; }
  // Of the first batch, if it cannot be given.
  const absl::Status& status() const { return status_; }
  const std::vector<Batch>& batches() const& { return batches_; }
  std::vector<Batch> batches() && { return std::move(batches_); }

 private:
  bool TakeBatch(std::string_view bytes) {
    if (!batches_.empty() && bytes_ + bytes.size() > max_bytes_) return false;
    bytes_ += bytes.size();
    absl::StatusOr<Batch> batch = DecodeBatch(bytes);
    if (batch.ok() && !valid_) {
      if (after_ != BatchId() && batch->previous.number > after_.number) {
        batch = absl::OutOfRangeError("that part of the log was trimmed away");
      } else {
        valid_.emplace(after_ == BatchId() ? batch->previous : after_);
      }
    }
    if (!batch.ok()) {
      if (batches_.empty()) status_ = batch.status();
      return false;
    }
    if (valid_->Take(*batch)) batches_.push_back(*std::move(batch));
    return true;
  }

  const BatchId after_;
  const std::size_t max_bytes_;
  std::uint64_t last_number_;
  std::size_t bytes_ = 0;
  bool ended_ = false;
  absl::Status status_;
  std::vector<Batch> batches_;
  std::optional<ValidBatches> valid_;
};

// The session with that id. `head`: what stands there, or has stood there a moment ago.
absl::StatusOr<std::optional<Journal::Stored>> Describe(const RocksDatabase& database, std::string_view id,
                                                        std::string head) {
  while (true) {
    const absl::StatusOr<Head> decoded = DecodeHead(head);
    if (!decoded.ok()) return decoded.status();
    const RocksDatabase::Moment moment(database, decoded->key.uid);
    rocksdb::ReadOptions options;
    options.snapshot = moment.snapshot();
    std::string current;
    const rocksdb::Status found = database.db().Get(options, ToSlice(keys::HeadKey(id)), &current);
    if (found.IsNotFound()) return std::optional<Journal::Stored>();
    if (!found.ok()) return FailedRead(found);
    const bool is_same = current == head || [&] {
      const absl::StatusOr<Head> now = DecodeHead(current);
      return now.ok() && now->key.uid == decoded->key.uid;
    }();
    head = std::move(current);
    if (!is_same) continue;  // another session has come in its place
    absl::StatusOr<Journal::Stored> stored = DescribeHead(database, head, moment);
    if (!stored.ok()) return stored.status();
    return std::optional<Journal::Stored>(*std::move(stored));
  }
}

}  // namespace

// Holds the database open for a reader.
class RocksJournal::Lease {
 public:
  explicit Lease(const RocksJournal& journal) : journal_(journal) {
    const MutexLock lock(journal_.database_mutex_);
    database_ = journal_.database_.get();
    if (database_) ++journal_.readers_;
  }
  ~Lease() {
    const MutexLock lock(journal_.database_mutex_);
    if (database_ && --journal_.readers_ == 0) journal_.no_readers_.NotifyAll();
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  explicit operator bool() const { return database_ != nullptr; }
  const RocksDatabase* operator->() const { return database_; }
  const RocksDatabase& operator*() const { return *database_; }
  static absl::Status Missing() { return JournalUnavailable("it is being opened again"); }

 private:
  const RocksJournal& journal_;
  const RocksDatabase* database_;
};

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

  void RunDeferred() override {
    const bool writes_here = !writes_ && chunk_->writes.size() <= kFewWrites;
    if (!writes_here) HandOver();
    RocksJournal& journal = *std::exchange(journal_, nullptr);
    if (!writes_here) return;
    writes_ = true;
    journal.WriteHere(chunk_);
    writes_ = false;
  }

  void HandOver() {
    if (chunk_->writes.empty()) return;
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
  bool writes_ = false;  // looks at the journal's queue itself, as soon as it has answered
};

// Writes that are written together, as they come to be.
class RocksJournal::Group {
 public:
  // `entries`: where they are gathered.
  Group(const RocksDatabase& database, Lives& lives, LogEntries& entries, std::uint64_t sessions)
      : database_(database), lives_(lives), entries_(entries), sessions_(sessions) {
    if (lives_.size() > kMaxLives) lives_.clear();
  }

  const RocksDatabase& database() const { return database_; }

  void Put(std::string_view key, std::string_view value) { entries_.Put(key, value); }
  void Delete(std::string_view key) { entries_.Delete(key); }
  void AddBatch(const CompactText& uid, std::uint64_t number, std::string_view batch) {
    entries_.AddBatch(uid, number, batch);
  }
  void AddEntry(std::string_view entry) { entries_.AddBatchEntry(entry); }
  void TrimUnsettled(std::string_view uid, std::uint64_t number) { entries_.Trim(CompactText(uid), number); }
  void DropUnsettled(std::string_view uid) { entries_.Drop(CompactText(uid)); }

  // Stays until another one is looked for. With the writes of this group.
  absl::StatusOr<Life*> FindLife(const std::string& uid) {
    if (const auto found = lives_.find(CompactText::Key(uid)); found != lives_.end()) return &found->life;
    return ReadLife(uid);
  }
  absl::StatusOr<Life*> FindLife(const CompactText& uid) {
    if (const auto found = lives_.find(uid.key()); found != lives_.end()) return &found->life;
    return ReadLife(uid.str());
  }
  void PrefetchLife(const CompactText& uid) const { lives_.prefetch(uid.key()); }
  void AddLife(const SessionKey& key, BatchId tail) {
    Life& life = Keep(CompactText(key.uid));
    life.is_there = true;
    life.id = CompactText(key.id);
    life.tail = tail;
    life.trimmed = 0;
  }
  void DropLife(const std::string& uid) { Keep(CompactText(uid)).is_there = false; }

  // Whether the id stands for that life. With the writes of this group.
  absl::StatusOr<bool> Stands(const SessionKey& key) {
    if (const auto found = lives_.find(CompactText::Key(key.uid)); found != lives_.end()) {
      return found->life.is_there && found->life.id == key.id;
    }
    std::string id;
    const rocksdb::Status status = database_.db().Get(rocksdb::ReadOptions(), keys::LifeKey(key.uid), &id);
    if (!status.ok() && !status.IsNotFound()) return FailedRead(status);
    return status.ok() && id == key.id;
  }

  // Whether a session has this id. With the writes of this group.
  absl::StatusOr<bool> IsTaken(const std::string& id) {
    if (const auto found = taken_.find(id); found != taken_.end()) return found->second;
    rocksdb::PinnableSlice head;
    const rocksdb::Status status =
        database_.db().Get(rocksdb::ReadOptions(), database_.db().DefaultColumnFamily(), keys::HeadKey(id), &head);
    if (!status.ok() && !status.IsNotFound()) return FailedRead(status);
    return status.ok();
  }
  // REQUIRES: the id is taken.
  bool HasReadableHead(const std::string& id) {
    if (taken_.contains(id)) return true;  // written in this group
    std::string head;
    return database_.db().Get(rocksdb::ReadOptions(), keys::HeadKey(id), &head).ok() && DecodeHead(head).ok();
  }
  void SetTaken(const std::string& id, bool taken) {
    taken_[id] = taken;
    sessions_ = taken ? sessions_ + 1 : sessions_ - 1;
    sessions_changed_ = true;
  }

  void AddDue(const std::string& id, std::optional<absl::Time> time) {
    if (!time || *time == absl::InfiniteFuture()) return;
    std::string key = keys::DueKey(*time, id);
    Put(key, "");
    dues_added.push_back(std::move(key));
  }

  bool AddsTombstone(std::string_view key) const {
    return std::any_of(expiries_added.begin(), expiries_added.end(),
                       [key](const std::string& expiry) { return keys::TombstoneInExpiryKey(expiry) == key; });
  }

  // Another write, after those that wait now.
  void Continue(Apply apply) { more.push_back(std::move(apply)); }

  // What is to be done.
  const LogEntries& Finish() {
    if (sessions_changed_) Put(keys::kSessionCount, keys::EncodeCount(sessions_));
    return entries_;
  }
  std::uint64_t sessions() const { return sessions_; }

  // What the indices have after it.
  std::vector<std::string> dues_added;
  std::optional<absl::Time> due_removed;  // the earliest
  std::vector<std::string> expiries_added;
  std::optional<Front> expiries;  // what an expiry left
  std::vector<Apply> more;

 private:
  Life& Keep(CompactText uid) { return lives_.insert(KnownLife{.uid = std::move(uid)}).first->life; }
  absl::StatusOr<Life*> ReadLife(const std::string& uid) {
    std::string id;
    const rocksdb::Status status = database_.db().Get(rocksdb::ReadOptions(), keys::LifeKey(uid), &id);
    if (!status.ok() && !status.IsNotFound()) return FailedRead(status);
    absl::StatusOr<Tail> tail = Tail{};
    if (status.ok()) tail = RocksDatabase::Moment(database_, uid).FindTail();
    if (!tail.ok()) return tail.status();
    Life& life = Keep(CompactText(uid));
    life.is_there = status.ok();
    if (status.ok()) life.id = CompactText(id);
    life.tail = tail->id;
    return &life;
  }

  const RocksDatabase& database_;
  Lives& lives_;
  LogEntries& entries_;
  absl::flat_hash_map<std::string, bool> taken_;
  std::uint64_t sessions_;
  bool sessions_changed_ = false;
};

RocksJournal::RocksJournal(Options options)
    : options_(std::move(options)), max_group_bytes_(std::min(kMaxGroupBytes, options_.segment_bytes / 2)) {}

absl::Status RocksJournal::PrepareDirectory() {
  std::unique_ptr<rocksdb::Env> own;
  if (options_.file_system) own = rocksdb::NewCompositeEnv(options_.file_system);
  rocksdb::Env& env = own ? *own : *rocksdb::Env::Default();
  const std::string& directory = options_.directory;
  std::error_code error;
  const bool made = std::filesystem::create_directories(directory, error);
  if (error) return absl::UnavailableError(absl::StrCat(directory, " cannot be made: ", error.message()));
  if (made) {
    std::filesystem::path parent = std::filesystem::absolute(directory, error).lexically_normal().parent_path();
    if (directory.ends_with('/')) parent = parent.parent_path();
    if (const rocksdb::Status synced = SyncDirectory(env, parent.string()); !synced.ok()) {
      return absl::UnavailableError(absl::StrCat(parent.string(), " cannot be synced: ", synced.ToString()));
    }
  }

  const std::string format = directory + "/FORMAT";
  if (env.FileExists(format).ok()) {
    std::string text;
    if (const rocksdb::Status read = rocksdb::ReadFileToString(&env, format, &text); !read.ok()) {
      return absl::UnavailableError(absl::StrCat(format, " cannot be read: ", read.ToString()));
    }
    absl::string_view line = text;
    int version = 0;
    if (!absl::ConsumePrefix(&line, kFormatLine) || !absl::SimpleAtoi(line, &version) || version < 1) {
      return absl::FailedPreconditionError(absl::StrCat(format, " is not that of a corod journal"));
    }
    if (version > kFormatVersion) {
      return absl::FailedPreconditionError(absl::StrCat("the journal in ", directory,
                                                        " was written by a newer corod (format ", version,
                                                        "; this one knows ", kFormatVersion, ")"));
    }
    // What version 1 wrote is read as it is; it must not read what is written from now on.
    return version == kFormatVersion ? absl::OkStatus() : WriteFormat(env, directory);
  }

  std::vector<std::string> children;
  if (const rocksdb::Status listed = env.GetChildren(directory, &children); !listed.ok()) {
    return absl::UnavailableError(absl::StrCat(directory, " cannot be read: ", listed.ToString()));
  }
  for (const std::string& child : children) {
    if (child == "." || child == ".." || child == "FORMAT.new") continue;
    return absl::FailedPreconditionError(
        absl::StrCat(directory, " holds ", child, " and is no corod journal; give a directory of its own"));
  }
  return WriteFormat(env, directory);
}

absl::Status RocksJournal::SyncDataDirectory() const {
  std::unique_ptr<rocksdb::Env> own;
  if (options_.file_system) own = rocksdb::NewCompositeEnv(options_.file_system);
  const rocksdb::Status synced = SyncDirectory(own ? *own : *rocksdb::Env::Default(), options_.directory);
  if (synced.ok()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(options_.directory, " cannot be synced: ", synced.ToString()));
}

absl::StatusOr<std::unique_ptr<RocksDatabase>> RocksJournal::OpenDatabase() const {
  return RocksDatabase::Open({.directory = options_.directory,
                              .block_cache_bytes = options_.block_cache_bytes,
                              .write_buffer_bytes = options_.write_buffer_bytes,
                              .segment_bytes = options_.segment_bytes,
                              .file_system = options_.file_system});
}

void RocksJournal::UseDatabase(std::unique_ptr<RocksDatabase> database) {
  lives_.clear();
  sessions_ = database->sessions();
  {
    const MutexLock lock(index_mutex_);
    dues_ = {};
    expiries_ = {std::string(keys::kExpiries), absl::InfinitePast()};
    expiring_ = false;
    ++index_changes_;
  }
  const std::vector<std::string> garbage = database->garbage();
  writable_ = database.get();
  {
    const MutexLock lock(mutex_);
    tended_database_ = writable_;
    settling_ = false;
    settled_segments_ = 0;
    flush_failure_.clear();
    spare_failure_.clear();
    next_spare_ = {};
    tend_.NotifyOne();
  }
  {
    const MutexLock lock(database_mutex_);
    database_ = std::move(database);
  }
  for (const std::string& uid : garbage) Enqueue(CleaningUp(uid));
}

absl::StatusOr<std::unique_ptr<RocksJournal>> RocksJournal::Open(Options options) {
  std::unique_ptr<RocksJournal> journal(new RocksJournal(std::move(options)));
  if (absl::Status prepared = journal->PrepareDirectory(); !prepared.ok()) return prepared;
  absl::StatusOr<std::unique_ptr<RocksDatabase>> database = journal->OpenDatabase();
  if (!database.ok()) return database.status();
  if (absl::Status synced = journal->SyncDataDirectory(); !synced.ok()) return synced;
  journal->UseDatabase(*std::move(database));
  for (int i = 0; i < 2; ++i) journal->threads_.emplace_back([&journal = *journal] { journal.Work(); });
  journal->threads_.emplace_back([&journal = *journal] { journal.Tend(); });
  return journal;
}

RocksJournal::~RocksJournal() {
  Shutdown();
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    changed_.NotifyAll();
    tend_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void RocksJournal::Shutdown() {
  bool sync = false;
  {
    const MutexLock lock(mutex_);
    shutdown_ = true;
    if (threads_.empty()) return;
    while (!queue_.empty() || writing_ || answering_ > 0) finished_.Wait(mutex_);
    sync = available_;
    writing_ = true;
  }
  PauseTending();
  if (sync && SyncLog()) {
    LogMemory();
    // The next start has nothing to read then. If it fails, that start does it.
    const rocksdb::Status emptied = writable_->Empty();
    if (!emptied.ok()) spdlog::warn("the journal's log cannot be emptied: {}", emptied.ToString());
  }
  const MutexLock lock(mutex_);
  unsynced_ = false;
  settling_ = false;
  writing_ = false;
  changed_.NotifyAll();
}

void RocksJournal::LogMemory() const {
  const Lease database(*this);
  if (!database) return;
  std::uint64_t memtables = 0, cache = 0, tables = 0;
  database->db().GetAggregatedIntProperty(rocksdb::DB::Properties::kSizeAllMemTables, &memtables);
  database->db().GetIntProperty(rocksdb::DB::Properties::kBlockCacheUsage, &cache);  // one cache for all families
  database->db().GetAggregatedIntProperty(rocksdb::DB::Properties::kEstimateTableReadersMem, &tables);
  // What is in the log and not in RocksDB yet is its memtable's first half.
  const std::uint64_t log = database->log().memory_bytes() + database->unsettled().memory_bytes();
  memtables += log;
  spdlog::debug(
      "RocksDB holds {} bytes in memory: {} in memtables, {} in its block cache, {} for open tables; {} of the "
      "memtables' are the write-ahead log's",
      memtables + cache + tables, memtables, cache, tables, log);
}

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

RocksJournal::Chunk& RocksJournal::ChunkFor(std::size_t bytes) const {
  if (queue_.empty() || IsFull(*queue_.back(), bytes)) queue_.push_back(NewChunk());
  return *queue_.back();
}

void RocksJournal::TakeOver(std::unique_ptr<Chunk>& chunk) {
  if (chunk->writes.empty()) return;
  if (shutdown_) {
    for (Write& write : chunk->writes) Refuse(write);
  }
  queue_.push_back(std::exchange(chunk, NewChunk()));
}

void RocksJournal::WriteHere(std::unique_ptr<Chunk>& chunk) {
  const MutexLock lock(mutex_);
  TakeOver(chunk);
  for (int i = 0; i < kMaxTurnsOfCaller && !queue_.empty() && !writing_ && available_; ++i) TakeTurn(Thread::kCallers);
  if (!writing_) WakeForTheRest();
}

void RocksJournal::WakeForTheRest() {
  const bool forgets_to_sync = unsynced_ && !waits_to_sync_;
  if (!queue_.empty() || forgets_to_sync || settling_ || !available_) changed_.NotifyOne();
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

void RocksJournal::Work() {
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);  // nobody reads this thread's counters
  Outbox::OfThisThread().NoteJournalsThread();
  mutex_.Lock();
  while (true) {
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
      if (!writing_ && !available_) {
        changed_.WaitFor(mutex_, next_attempt_ - now);
      } else if (!writing_ && unsynced_) {
        waits_to_sync_ = true;
        changed_.WaitFor(mutex_, next_sync_ - now);
        waits_to_sync_ = false;
      } else {
        changed_.Wait(mutex_);
      }
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
    if (thread == Thread::kJournals) WakeForTheRest();
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
  Group group(*writable_, lives_, entries_, sessions_);
  bool synced = false;
  for (const std::unique_ptr<Chunk>& chunk : chunks) {
    for (std::size_t i = 0; i < chunk->writes.size(); ++i) {
      if (i + kFar < chunk->writes.size()) group.PrefetchLife(chunk->writes[i + kFar].uid);
      Write& write = chunk->writes[i];
      write.status = write.more && write.more->apply ? write.more->apply(group) : Extend(group, write, *chunk);
      if (write.status.ok() && write.synced) synced = true;
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
    spdlog::error("the journal cannot be written: {}", written.ToString());
    lives_.clear();
    for (const std::unique_ptr<Chunk>& chunk : chunks) {
      for (Write& write : chunk->writes) write.status = JournalUnavailable(written.ToString());
    }
    const MutexLock lock(index_mutex_);
    expiring_ = false;
    return false;
  }
  sessions_ = group.sessions();
  NoteIndexChanges(group);
  for (Apply& apply : group.more) Enqueue(std::move(apply));
  return true;
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
  if (!settled.ok()) spdlog::error("the journal cannot be written: {}", settled.ToString());
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

void RocksJournal::NoteIndexChanges(const Group& group) {
  if (group.dues_added.empty() && !group.due_removed && group.expiries_added.empty() && !group.expiries) return;
  const MutexLock lock(index_mutex_);
  ++index_changes_;
  if (group.due_removed && dues_.earliest && *group.due_removed <= *dues_.earliest) dues_.earliest.reset();
  for (const std::string& key : group.dues_added) {
    const absl::Time time = keys::ParseDueKey(key).time;
    if (dues_.earliest) dues_.earliest = std::min(*dues_.earliest, time);
    if (key < dues_.key) dues_.key = key;
  }
  if (group.expiries) {
    expiries_ = *group.expiries;
    expiring_ = false;
  }
  for (const std::string& key : group.expiries_added) {
    expiries_.earliest = std::min(*expiries_.earliest, keys::TimeInExpiryKey(key));
    if (key < expiries_.key) expiries_.key = key;
  }
}

bool RocksJournal::SyncLog() {
  const rocksdb::Status synced = writable_->log().Sync();
  if (!synced.ok()) spdlog::error("the journal cannot be synced: {}", synced.ToString());
  return synced.ok();
}

bool RocksJournal::Recover() {
  {
    std::unique_ptr<rocksdb::Env> own;
    if (options_.file_system) own = rocksdb::NewCompositeEnv(options_.file_system);
    rocksdb::Env& env = own ? *own : *rocksdb::Env::Default();
    // Until there is room to write, what is open can still be read. Opening writes a table of what the log holds.
    std::uint64_t free = 0;
    if (env.GetFreeSpace(options_.directory, &free).ok() && free < BytesOfLog(env, options_.directory + "/log")) {
      return false;
    }
    const std::string probe = options_.directory + "/PROBE";
    const bool writable =
        rocksdb::WriteStringToFile(&env, std::string(kProbeBytes, ' '), probe, /*should_sync=*/true).ok();
    const bool removed = env.DeleteFile(probe).ok();
    if (!writable || !removed) return false;
  }
  PauseTending();
  std::unique_ptr<RocksDatabase> old;
  {
    const MutexLock lock(database_mutex_);
    old = std::move(database_);
    while (readers_ > 0) no_readers_.Wait(database_mutex_);
  }
  writable_ = nullptr;
  old.reset();
  absl::StatusOr<std::unique_ptr<RocksDatabase>> opened = OpenDatabase();
  if (!opened.ok()) {
    spdlog::error("{}", std::string(opened.status().message()));
    return false;
  }
  UseDatabase(*std::move(opened));
  spdlog::info("the journal can be written again");
  return true;
}

RocksJournal::Apply RocksJournal::CleaningUp(std::string uid) const {
  return [this, uid = std::move(uid)](Group& group) -> absl::Status {
    const RocksDatabase& database = group.database();
    SessionRange range(database.db(), uid);
    std::size_t deleted = 0;
    for (range.SeekToFirst(); range.Valid() && deleted < kMaxDeletes; range.Next(), ++deleted) {
      group.Delete(range.key());
    }
    if (absl::Status status = range.status(); !status.ok()) return status;
    if (range.Valid()) {
      group.Continue(CleaningUp(uid));
    } else {
      group.Delete(keys::GarbageKey(uid));
    }
    return absl::OkStatus();
  };
}

void RocksJournal::RemoveLife(Group& group, const SessionKey& key) {
  group.Delete(keys::HeadKey(key.id));
  group.Delete(keys::LifeKey(key.uid));
  group.Put(keys::GarbageKey(key.uid), "");
  group.DropUnsettled(key.uid);
  group.DropLife(key.uid);
  group.SetTaken(key.id, false);
  group.Continue(CleaningUp(key.uid));
}

void RocksJournal::Create(NewSession session, Done done) {
  struct Encoded {
    SessionKey key;
    std::string replaces;
    std::string head;
    std::string checkpoint_key;  // empty: none
    std::string checkpoint;
    std::vector<std::pair<std::uint64_t, std::string>> log;  // numbers and batches
    BatchId tail;
    std::optional<absl::Time> due;
  };
  Encoded encoded{session.head.key, session.replaces, Encode(session.head), {}, {}, {}, {}, session.due};
  std::size_t bytes = encoded.head.size();
  if (session.checkpoint) {
    encoded.tail = session.checkpoint->after;
    encoded.checkpoint_key = keys::CheckpointKey(encoded.key.uid, session.checkpoint->step);
    encoded.checkpoint = Encode(*session.checkpoint);
    bytes += encoded.checkpoint.size();
  }
  for (const Batch& batch : session.log) {
    encoded.tail = batch.id;
    encoded.log.emplace_back(batch.id.number, Encode(batch));
    bytes += encoded.log.back().second.size();
  }
  auto apply = [this, encoded = std::move(encoded)](Group& group) -> absl::Status {
    const absl::StatusOr<bool> taken = group.IsTaken(encoded.key.id);
    if (!taken.ok()) return taken.status();
    if (*taken == encoded.replaces.empty()) return Conflict("the session id stands for another");
    if (*taken) {
      const absl::StatusOr<bool> replaces = group.Stands({encoded.key.id, encoded.replaces});
      if (!replaces.ok()) return replaces.status();
      if (!*replaces) return Conflict("the session id stands for another");
      RemoveLife(group, {encoded.key.id, encoded.replaces});
    }
    group.SetTaken(encoded.key.id, true);
    group.Put(keys::HeadKey(encoded.key.id), encoded.head);
    group.Put(keys::LifeKey(encoded.key.uid), encoded.key.id);
    if (!encoded.checkpoint_key.empty()) group.Put(encoded.checkpoint_key, encoded.checkpoint);
    if (!encoded.log.empty()) {
      const CompactText uid(encoded.key.uid);
      for (const auto& [number, batch] : encoded.log) group.AddBatch(uid, number, batch);
    }
    group.AddLife(encoded.key, encoded.tail);
    group.AddDue(encoded.key.id, encoded.due);
    return absl::OkStatus();
  };
  Enqueue(std::move(apply), std::move(done), /*synced=*/true, bytes);
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
                                             Chunk& chunk) {
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

void RocksJournal::Save(Saved saved, Done done) {
  std::string head = Encode(saved.head);
  std::string checkpoint = saved.checkpoint ? Encode(*saved.checkpoint) : std::string();
  const std::size_t size = head.size() + checkpoint.size();
  auto apply = [key = saved.head.key, due = saved.due, step = saved.checkpoint ? saved.checkpoint->step : 0,
                head = std::move(head), checkpoint = std::move(checkpoint)](Group& group) -> absl::Status {
    const absl::StatusOr<bool> there = group.Stands(key);
    if (!there.ok()) return there.status();
    if (!*there) return absl::OkStatus();
    group.Put(keys::HeadKey(key.id), head);
    if (!checkpoint.empty()) group.Put(keys::CheckpointKey(key.uid, step), checkpoint);
    group.AddDue(key.id, due);
    return absl::OkStatus();
  };
  Enqueue(std::move(apply), std::move(done), saved.synced, size);
}

void RocksJournal::Trim(const SessionKey& key, BatchId checkpoint_after, std::vector<Step> checkpoints) {
  auto apply = [this, key, checkpoint_after, checkpoints = std::move(checkpoints)](Group& group) -> absl::Status {
    const RocksDatabase& database = group.database();
    const absl::StatusOr<Life*> life = group.FindLife(key.uid);
    if (!life.ok()) return life.status();
    if (!(*life)->is_there || !((*life)->id == key.id)) return absl::OkStatus();
    for (const Step step : checkpoints) group.Delete(keys::CheckpointKey(key.uid, step));
    if (checkpoint_after.number <= (*life)->trimmed) return absl::OkStatus();
    group.TrimUnsettled(key.uid, checkpoint_after.number);
    SessionRange range(database.db(), key.uid);
    std::size_t deleted = 0;
    // A run goes when its last batch may go.
    range.Seek(keys::BatchKey(key.uid, (*life)->trimmed));
    for (; range.AtRun() && keys::NumberIn(range.key()) < checkpoint_after.number; range.Next()) {
      if (deleted++ == kMaxDeletes) {
        (*life)->trimmed = keys::NumberIn(range.key());
        group.Continue([this, key, checkpoint_after](Group&) {
          Trim(key, checkpoint_after, {});
          return absl::OkStatus();
        });
        return absl::OkStatus();
      }
      group.Delete(range.key());
    }
    if (absl::Status status = range.status(); !status.ok()) return status;
    (*life)->trimmed = checkpoint_after.number;
    return absl::OkStatus();
  };
  Enqueue(std::move(apply));
}

void RocksJournal::Remove(const SessionKey& key, std::optional<Tombstone> tombstone, Done done) {
  std::string tombstone_key, expiry_key, bytes;
  if (tombstone) {
    tombstone_key = keys::TombstoneKey(key.id, tombstone->request_id);
    expiry_key = keys::ExpiryKey(tombstone->expire_time, tombstone_key);
    bytes = Encode(*tombstone);
  }
  const std::size_t size = bytes.size();
  auto apply = [this, key, tombstone_key = std::move(tombstone_key), expiry_key = std::move(expiry_key),
                bytes = std::move(bytes)](Group& group) -> absl::Status {
    if (key.uid.empty()) {
      const absl::StatusOr<bool> taken = group.IsTaken(key.id);
      if (!taken.ok() && !absl::IsDataLoss(taken.status())) return taken.status();
      if (taken.ok() && !*taken) return absl::OkStatus();
      if (taken.ok() && group.HasReadableHead(key.id)) return Conflict("the session can be read");
      group.Delete(keys::HeadKey(key.id));
      group.SetTaken(key.id, false);
    } else {
      const absl::StatusOr<bool> there = group.Stands(key);
      if (!there.ok()) return there.status();
      if (*there) RemoveLife(group, key);
    }
    if (!bytes.empty()) {
      group.Put(tombstone_key, bytes);
      group.Put(expiry_key, "");
      group.expiries_added.push_back(expiry_key);
    }
    return absl::OkStatus();
  };
  Enqueue(std::move(apply), std::move(done), /*synced=*/true, size);
}

absl::StatusOr<std::optional<Journal::Stored>> RocksJournal::Find(std::string_view id) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  std::string head;
  const rocksdb::Status found = database->db().Get(rocksdb::ReadOptions(), ToSlice(keys::HeadKey(id)), &head);
  if (found.IsNotFound()) return std::optional<Stored>();
  if (!found.ok()) return FailedRead(found);
  return Describe(*database, id, std::move(head));
}

absl::StatusOr<std::vector<Journal::Listed>> RocksJournal::List(std::string_view after, std::size_t limit) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  Range heads(database->db(), keys::HeadKey(after) + '\0', std::string(keys::kHeadsEnd));
  std::vector<Listed> listed;
  for (heads.SeekToFirst(); heads.Valid() && listed.size() < limit; heads.Next()) {
    std::string id(keys::IdInHeadKey(heads.key()));
    absl::StatusOr<std::optional<Stored>> stored = Describe(*database, id, std::string(heads.value()));
    if (!stored.ok()) {
      listed.push_back({std::move(id), stored.status()});
    } else if (*stored) {  // else it was removed meanwhile
      listed.push_back({std::move(id), **std::move(stored)});
    }
  }
  if (absl::Status status = heads.status(); !status.ok()) return status;
  return listed;
}

absl::StatusOr<std::optional<Checkpoint>> RocksJournal::FindCheckpoint(const SessionKey& key, Step step) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  SessionRange range(database->db(), key.uid);
  absl::Status damage;
  if (range.IsLifeOf(key.id)) {
    for (range.SeekForPrev(keys::CheckpointKey(key.uid, step)); range.AtCheckpoint(); range.Prev()) {
      absl::StatusOr<Checkpoint> checkpoint = DecodeCheckpoint(range.value());
      if (checkpoint.ok()) return std::optional<Checkpoint>(*std::move(checkpoint));
      if (damage.ok()) damage = checkpoint.status();
    }
  }
  if (absl::Status status = range.status(); !status.ok()) return status;
  if (!damage.ok()) return damage;
  return std::optional<Checkpoint>();
}

absl::StatusOr<std::vector<Step>> RocksJournal::ListCheckpoints(const SessionKey& key) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  SessionRange range(database->db(), key.uid);
  std::vector<Step> steps;
  if (range.IsLifeOf(key.id)) {
    for (range.Seek(keys::CheckpointKey(key.uid, 0)); range.AtCheckpoint(); range.Next()) {
      steps.push_back(keys::NumberIn(range.key()));
    }
  }
  if (absl::Status status = range.status(); !status.ok()) return status;
  return steps;
}

absl::StatusOr<std::vector<Batch>> RocksJournal::Read(const SessionKey& key, BatchId after,
                                                      std::size_t max_bytes) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  // First what is not settled: a batch that is settled meanwhile is found in RocksDB as well as here, never in neither.
  std::string unsettled;
  database->unsettled().Read(CompactText::Key(key.uid), after.number, max_bytes, unsettled);
  LogReader log(after, max_bytes);
  SessionRange range(database->db(), key.uid);
  if (!range.IsLifeOf(key.id)) {
    if (absl::Status status = range.status(); !status.ok()) return status;
    return std::vector<Batch>();
  }
  range.Seek(keys::BatchKey(key.uid, after.number + 1));
  while (range.AtRun() && log.Take(range.value(), keys::NumberIn(range.key()))) range.Next();
  if (absl::Status status = range.status(); !status.ok() && !log.HasEnded()) {
    if (log.batches().empty()) return status;
    return std::move(log).batches();
  }
  log.Take(unsettled, std::numeric_limits<std::uint64_t>::max());
  if (!log.status().ok()) return log.status();
  return std::move(log).batches();
}

absl::StatusOr<std::optional<Tombstone>> RocksJournal::FindTombstone(std::string_view id,
                                                                     std::string_view request_id) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  std::string bytes;
  const rocksdb::Status found = database->db().Get(rocksdb::ReadOptions(), keys::TombstoneKey(id, request_id), &bytes);
  if (found.IsNotFound()) return std::optional<Tombstone>();
  if (!found.ok()) return FailedRead(found);
  absl::StatusOr<Tombstone> tombstone = DecodeTombstone(bytes, request_id);
  if (!tombstone.ok()) return tombstone.status();
  return std::optional<Tombstone>(*std::move(tombstone));
}

absl::StatusOr<std::vector<Journal::Due>> RocksJournal::ListDue(absl::Time now, const std::optional<Due>& after,
                                                                std::size_t limit) const {
  ExpireTombstones(now);
  const Lease database(*this);
  if (!database) return Lease::Missing();
  std::string from(keys::kDues);
  {
    const MutexLock lock(index_mutex_);
    from = std::max(from, dues_.key);
  }
  if (after) from = std::max(from, keys::DueKey(after->time, after->id) + '\0');
  Range range(database->db(), from, std::string(keys::kDuesEnd));
  std::vector<Due> entries;
  for (range.SeekToFirst(); range.Valid() && entries.size() < limit; range.Next()) {
    Due due = keys::ParseDueKey(range.key());
    if (due.time > now) break;
    entries.push_back(std::move(due));
  }
  if (absl::Status status = range.status(); !status.ok()) return status;
  return entries;
}

void RocksJournal::ExpireTombstones(absl::Time now) const {
  {
    const MutexLock lock(index_mutex_);
    if (expiring_ || !expiries_.earliest || *expiries_.earliest > now) return;
    expiring_ = true;
  }
  auto apply = [this, now](Group& group) -> absl::Status {
    const RocksDatabase& database = group.database();
    std::string from;
    {
      const MutexLock lock(index_mutex_);
      from = expiries_.key;
    }
    Range range(database.db(), from, std::string(keys::kExpiriesEnd));
    std::size_t deleted = 0;
    for (range.SeekToFirst(); range.Valid() && deleted < kMaxDeletes; range.Next(), ++deleted) {
      if (keys::TimeInExpiryKey(range.key()) > now) break;
      const std::string tombstone(keys::TombstoneInExpiryKey(range.key()));
      group.Delete(range.key());
      // Unless a later Delete with the same request id left another one, maybe in this group.
      if (group.AddsTombstone(tombstone)) continue;
      std::string bytes;
      if (database.db().Get(rocksdb::ReadOptions(), tombstone, &bytes).ok()) {
        const absl::StatusOr<Tombstone> current = DecodeTombstone(bytes, "");
        if (!current.ok() || current->expire_time <= now) group.Delete(tombstone);
      }
    }
    const absl::Status status = range.status();
    group.expiries = status.ok() && range.Valid() ? Front{std::string(range.key()), keys::TimeInExpiryKey(range.key())}
                                                  : Front{from, status.ok() ? absl::InfiniteFuture() : now};
    return status;
  };
  Enqueue(std::move(apply));
}

void RocksJournal::Reschedule(const Due& entry, std::optional<absl::Time> next) {
  auto apply = [entry, next](Group& group) {
    group.Delete(keys::DueKey(entry.time, entry.id));
    group.due_removed = std::min(group.due_removed.value_or(entry.time), entry.time);
    group.AddDue(entry.id, next);
    return absl::OkStatus();
  };
  Enqueue(std::move(apply));
}

absl::Time RocksJournal::EarliestDue() const {
  std::string from;
  std::uint64_t changes = 0;
  {
    const MutexLock lock(index_mutex_);
    if (dues_.earliest) return *dues_.earliest;
    from = dues_.key.empty() ? std::string(keys::kDues) : dues_.key;
    changes = index_changes_;
  }
  const Lease database(*this);
  if (!database) return absl::InfinitePast();
  Range range(database->db(), from, std::string(keys::kDuesEnd));
  range.SeekToFirst();
  if (!range.status().ok()) return absl::InfinitePast();
  const std::string first(range.Valid() ? range.key() : keys::kDuesEnd);
  const absl::Time earliest = range.Valid() ? keys::ParseDueKey(first).time : absl::InfiniteFuture();
  const MutexLock lock(index_mutex_);
  if (changes == index_changes_) dues_ = {first, earliest};
  return earliest;
}

}  // namespace corod
