#include "server/journal/rocks_journal.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/perf_level.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/snapshot.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>
#include <rocksdb/write_batch.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/failure.h"
#include "server/journal/codec.h"
#include "server/journal/rocks_keys.h"
#include "server/journal/valid_batches.h"

namespace corod {
namespace {

namespace keys = rocks_keys;

constexpr int kFormatVersion = 1;
constexpr absl::string_view kFormatLine = "corod journal ";
constexpr std::size_t kMaxGroupBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxGroupWrites = 4096;
constexpr std::size_t kMaxLives = 32'768;
// Keys that one write in a group deletes of what nobody waits for.
constexpr std::size_t kMaxDeletes = 1'024;
constexpr std::chrono::milliseconds kAttemptInterval(200);
constexpr std::size_t kProbeBytes = std::size_t{64} << 10;

rocksdb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

absl::Status Unavailable(std::string_view why) {
  return Doubtful(Reason::JOURNAL_UNAVAILABLE,
                  absl::StrCat("the journal is unavailable: ", absl::string_view(why.data(), why.size())), {},
                  absl::Milliseconds(500));
}

absl::Status Conflict(absl::string_view why) { return absl::AbortedError(why); }

// Of a read. REQUIRES: not ok.
absl::Status FailedRead(const rocksdb::Status& status) {
  if (status.IsCorruption()) return absl::DataLossError(absl::StrCat("the journal is damaged: ", status.ToString()));
  return Unavailable(status.ToString());
}

absl::Status FailedOpen(const std::string& directory, const rocksdb::Status& status) {
  const std::string text = status.ToString();
  if (status.IsIOError() && text.find("lock ") != std::string::npos && text.find("LOCK") != std::string::npos) {
    return absl::UnavailableError(absl::StrCat(directory, " is in use by another corod"));
  }
  return absl::UnavailableError(absl::StrCat("the journal in ", directory, " cannot be opened: ", text));
}

// Of RocksDB's write-ahead logs.
std::uint64_t BytesOfLogs(rocksdb::Env& env, const std::string& directory) {
  std::vector<std::string> names;
  if (!env.GetChildren(directory, &names).ok()) return 0;
  std::uint64_t bytes = 0;
  for (const std::string& name : names) {
    std::uint64_t size = 0;
    if (name.ends_with(".log") && env.GetFileSize(absl::StrCat(directory, "/", name), &size).ok()) bytes += size;
  }
  return bytes;
}

// RocksDB would go on by itself after some failures (a full disk): it appends what it still has of a failed write to
// the log, behind what is torn, and flushes. What was in doubt could then come back at any later start. So it takes no
// more writes after whatever failure, also one in the background, until it is opened anew. But for a compaction that
// finds no room: nothing depends on it, and RocksDB tries again when there is room.
class EndsAtTheFirstFailure : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override {
    if (!IsHarmless(reason, *error)) *error = rocksdb::Status(*error, rocksdb::Status::kFatalError);
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason reason, rocksdb::Status error, bool* recovers) override {
    if (!IsHarmless(reason, error)) *recovers = false;
  }

 private:
  static bool IsHarmless(rocksdb::BackgroundErrorReason reason, const rocksdb::Status& error) {
    return reason == rocksdb::BackgroundErrorReason::kCompaction && error.IsNoSpace();
  }
};

}  // namespace

// The open database. Where it stands in memory does not change.
struct RocksJournal::Database {
  ~Database() {
    if (db) static_cast<void>(db->Close());
  }

  std::unique_ptr<rocksdb::Env> env;  // null: the machine's
  std::unique_ptr<rocksdb::DB> db;
  std::uint64_t sessions = 0;        // when it was opened
  std::vector<std::string> garbage;  // uids whose removal was not finished when it was opened
};

namespace {

// Reads keys from `begin` to before `end`, at one moment.
class Range {
 public:
  Range(rocksdb::DB& db, std::string begin, std::string end, const rocksdb::Snapshot* snapshot = nullptr)
      : begin_(std::move(begin)), end_(std::move(end)), lower_(begin_), upper_(end_) {
    options_.iterate_lower_bound = &lower_;
    options_.iterate_upper_bound = &upper_;
    options_.snapshot = snapshot;
    iterator_.reset(db.NewIterator(options_));
  }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

  bool Valid() const { return iterator_->Valid(); }
  std::string_view key() const { return View(iterator_->key()); }
  std::string_view value() const { return View(iterator_->value()); }
  void Seek(std::string_view key) { iterator_->Seek(ToSlice(key)); }
  void SeekToFirst() { iterator_->SeekToFirst(); }
  void SeekForPrev(std::string_view key) { iterator_->SeekForPrev(ToSlice(key)); }
  void SeekToLast() { iterator_->SeekToLast(); }
  void Next() { iterator_->Next(); }
  void Prev() { iterator_->Prev(); }
  // Of what made it invalid: OK at the end.
  absl::Status status() const {
    const rocksdb::Status status = iterator_->status();
    return status.ok() ? absl::OkStatus() : FailedRead(status);
  }

 private:
  const std::string begin_, end_;
  const rocksdb::Slice lower_, upper_;
  rocksdb::ReadOptions options_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

// All that a session has.
class SessionRange : public Range {
 public:
  SessionRange(rocksdb::DB& db, const std::string& uid, const rocksdb::Snapshot* snapshot = nullptr)
      : Range(db, keys::PrefixOf(uid), keys::EndOf(uid), snapshot), prefix_(keys::PrefixOf(uid)), uid_(uid) {}

  // Whether this is a life of the session with that id that was not removed.
  bool IsLifeOf(std::string_view id) {
    SeekToFirst();
    return Valid() && key() == keys::LifeKey(uid_) && value() == id;
  }
  bool AtBatch() const { return Valid() && keys::IsBatchOf(prefix_, key()); }
  bool AtCheckpoint() const { return Valid() && keys::IsCheckpointOf(prefix_, key()); }

  struct Tail {
    BatchId id;
    Step last_step = 0;
  };
  absl::StatusOr<Tail> FindTail() {
    SeekToLast();
    if (AtBatch()) {
      const absl::StatusOr<Batch> batch = DecodeBatch(value());
      if (!batch.ok()) return batch.status();
      return Tail{batch->id, LastStep(*batch)};
    }
    if (AtCheckpoint()) {
      const absl::StatusOr<Checkpoint> checkpoint = DecodeCheckpoint(value());
      if (!checkpoint.ok()) return checkpoint.status();
      return Tail{checkpoint->after, checkpoint->step};
    }
    if (absl::Status read = status(); !read.ok()) return read;
    return Tail{};
  }
  // The last batch that is not damaged; {} if there is none.
  absl::StatusOr<Tail> FindLastReadable() {
    for (SeekToLast(); AtBatch(); Prev()) {
      const absl::StatusOr<Batch> batch = DecodeBatch(value());
      if (batch.ok()) return Tail{batch->id, LastStep(*batch)};
    }
    if (absl::Status read = status(); !read.ok()) return read;
    return Tail{};
  }

 private:
  const std::string prefix_;
  const std::string uid_;
};

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
  const Database* operator->() const { return database_; }
  const Database& operator*() const { return *database_; }
  static absl::Status Missing() { return Unavailable("it is being opened again"); }

 private:
  const RocksJournal& journal_;
  const Database* database_;
};

// Writes that are written together, as they come to be.
class RocksJournal::Group {
 public:
  Group(const Database& database, absl::flat_hash_map<std::string, Life>& lives, std::uint64_t sessions)
      : database_(database), lives_(lives), sessions_(sessions) {
    if (lives_.size() > kMaxLives) lives_.clear();
  }

  const Database& database() const { return database_; }

  void Put(std::string_view key, std::string_view value) { Note(batch_.Put(ToSlice(key), ToSlice(value))); }
  void Delete(std::string_view key) { Note(batch_.Delete(ToSlice(key))); }

  // Stays until the group ends. With the writes of this group.
  absl::StatusOr<Life*> FindLife(const std::string& uid) {
    if (const auto found = lives_.find(uid); found != lives_.end()) return &found->second;
    Life life;
    SessionRange range(*database_.db, uid);
    range.Seek(keys::LifeKey(uid));
    if (range.Valid() && range.key() == keys::LifeKey(uid)) {
      life.is_there = true;
      life.id = std::string(range.value());
      const absl::StatusOr<SessionRange::Tail> tail = range.FindTail();
      if (!tail.ok()) return tail.status();
      life.tail = tail->id;
    } else if (absl::Status status = range.status(); !status.ok()) {
      return status;
    }
    return &(lives_[uid] = std::move(life));
  }
  void AddLife(const SessionKey& key, BatchId tail) { lives_[key.uid] = {true, key.id, tail, 0}; }
  void DropLife(const std::string& uid) { lives_[uid] = {}; }

  // Whether the id stands for that life. With the writes of this group.
  absl::StatusOr<bool> Stands(const SessionKey& key) {
    if (const auto found = lives_.find(key.uid); found != lives_.end()) {
      return found->second.is_there && found->second.id == key.id;
    }
    std::string id;
    const rocksdb::Status status = database_.db->Get(rocksdb::ReadOptions(), keys::LifeKey(key.uid), &id);
    if (!status.ok() && !status.IsNotFound()) return FailedRead(status);
    return status.ok() && id == key.id;
  }

  // Whether a session has this id. With the writes of this group.
  absl::StatusOr<bool> IsTaken(const std::string& id) {
    if (const auto found = taken_.find(id); found != taken_.end()) return found->second;
    rocksdb::PinnableSlice head;
    const rocksdb::Status status =
        database_.db->Get(rocksdb::ReadOptions(), database_.db->DefaultColumnFamily(), keys::HeadKey(id), &head);
    if (!status.ok() && !status.IsNotFound()) return FailedRead(status);
    return status.ok();
  }
  // REQUIRES: the id is taken.
  bool HasReadableHead(const std::string& id) {
    if (taken_.contains(id)) return true;  // written in this group
    std::string head;
    return database_.db->Get(rocksdb::ReadOptions(), keys::HeadKey(id), &head).ok() && DecodeHead(head).ok();
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

  // Another write, after those that wait now.
  void Continue(Apply apply) { more.push_back(std::move(apply)); }

  rocksdb::Status Commit(bool synced) {
    if (!status_.ok()) return status_;
    if (batch_.Count() == 0) return {};
    if (sessions_changed_) Put(keys::kSessionCount, keys::EncodeCount(sessions_));
    rocksdb::WriteOptions options;
    options.sync = synced;
    return database_.db->Write(options, &batch_);
  }
  bool IsEmpty() const { return batch_.Count() == 0; }
  std::uint64_t sessions() const { return sessions_; }

  // What the indices have after it.
  std::vector<std::string> dues_added;
  std::optional<absl::Time> due_removed;  // the earliest
  std::vector<std::string> expiries_added;
  std::optional<Front> expiries;  // what an expiry left
  std::vector<Apply> more;

 private:
  void Note(const rocksdb::Status& status) {
    if (status_.ok()) status_ = status;
  }

  const Database& database_;
  absl::flat_hash_map<std::string, Life>& lives_;
  absl::flat_hash_map<std::string, bool> taken_;
  std::uint64_t sessions_;
  bool sessions_changed_ = false;
  rocksdb::WriteBatch batch_;
  rocksdb::Status status_;
};

RocksJournal::RocksJournal(Options options)
    : options_(std::move(options)), database_directory_(options_.directory + "/rocksdb") {}

absl::Status RocksJournal::PrepareDirectory() {
  std::unique_ptr<rocksdb::Env> own;
  if (options_.file_system) own = rocksdb::NewCompositeEnv(options_.file_system);
  rocksdb::Env& env = own ? *own : *rocksdb::Env::Default();
  const std::string& directory = options_.directory;
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return absl::UnavailableError(absl::StrCat(directory, " cannot be made: ", error.message()));

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
    return absl::OkStatus();
  }

  const std::string draft = format + ".new";
  std::vector<std::string> children;
  if (const rocksdb::Status listed = env.GetChildren(directory, &children); !listed.ok()) {
    return absl::UnavailableError(absl::StrCat(directory, " cannot be read: ", listed.ToString()));
  }
  for (const std::string& child : children) {
    if (child == "." || child == ".." || child == "FORMAT.new") continue;
    return absl::FailedPreconditionError(
        absl::StrCat(directory, " holds ", child, " and is no corod journal; give a directory of its own"));
  }
  rocksdb::Status made =
      rocksdb::WriteStringToFile(&env, absl::StrCat(kFormatLine, kFormatVersion, "\n"), draft, /*should_sync=*/true);
  if (made.ok()) made = env.RenameFile(draft, format);
  std::unique_ptr<rocksdb::Directory> handle;
  if (made.ok()) made = env.NewDirectory(directory, &handle);
  if (made.ok()) made = handle->Fsync();
  if (made.ok()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(format, " cannot be written: ", made.ToString()));
}

absl::StatusOr<std::unique_ptr<RocksJournal::Database>> RocksJournal::OpenDatabase() const {
  auto database = std::make_unique<Database>();
  rocksdb::Options options;
  if (options_.file_system) {
    database->env = rocksdb::NewCompositeEnv(options_.file_system);
    options.env = database->env.get();
  }
  options.create_if_missing = true;
  // A full memory table ends its write-ahead log, too.
  options.write_buffer_size = std::min(options_.max_wal_bytes, options_.write_buffer_bytes / 2);
  options.max_write_buffer_number = static_cast<int>(options_.write_buffer_bytes / options.write_buffer_size);
  options.db_write_buffer_size = options_.write_buffer_bytes;
  // What a crash tore ends the log; all before it counts.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.recycle_log_file_num = 0;
  options.manual_wal_flush = false;
  // Reserved blocks would let a full disk go unnoticed while they last, and be reserved anew at each opening.
  options.allow_fallocate = false;
  // After a failure the database is opened anew, by Recover alone.
  options.max_bgerror_resume_count = 0;
  options.listeners.push_back(std::make_shared<EndsAtTheFirstFailure>());
  // Nothing that grows with the number of tables, when it is opened or while it is.
  options.max_open_files = 512;
  options.skip_stats_update_on_db_open = true;
  options.skip_checking_sst_file_sizes_on_db_open = true;
  options.max_background_jobs = 2;
  options.bytes_per_sync = std::uint64_t{1} << 20;
  options.max_log_file_size = std::size_t{4} << 20;
  options.keep_log_file_num = 4;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.stats_dump_period_sec = 0;
  // A session's next batch comes behind its last one: the place is found from there.
  options.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(keys::kUuidPrefixBytes));

  rocksdb::BlockBasedTableOptions tables;
  tables.block_cache = rocksdb::NewLRUCache(options_.block_cache_bytes);
  tables.cache_index_and_filter_blocks = true;
  tables.pin_l0_filter_and_index_blocks_in_cache = true;
  tables.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  // In small parts: the filter of a whole table is too large for a part of the cache, so each look-up would read it.
  tables.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  tables.partition_filters = true;
  tables.format_version = 5;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(tables));
  options.level_compaction_dynamic_level_bytes = true;
  // What was trimmed or is no longer due goes soon, since reading steps over each deleted key.
  options.table_properties_collector_factories.push_back(rocksdb::NewCompactOnDeletionCollectorFactory(4'096, 2'048));

  rocksdb::DB* db = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(options, database_directory_, &db);
  if (!opened.ok()) return FailedOpen(options_.directory, opened);
  database->db.reset(db);

  std::string count;
  const rocksdb::Status counted = db->Get(rocksdb::ReadOptions(), ToSlice(keys::kSessionCount), &count);
  if (counted.ok()) {
    const std::optional<std::uint64_t> sessions = keys::DecodeCount(count);
    if (!sessions)
      return absl::DataLossError(absl::StrCat("the journal in ", options_.directory, " has no count of sessions"));
    database->sessions = *sessions;
  } else if (!counted.IsNotFound()) {
    return FailedOpen(options_.directory, counted);
  }
  Range garbage(*db, std::string(keys::kGarbage), std::string(keys::kGarbageEnd));
  for (garbage.SeekToFirst(); garbage.Valid(); garbage.Next()) {
    database->garbage.emplace_back(keys::UidInGarbageKey(garbage.key()));
  }
  if (absl::Status status = garbage.status(); !status.ok()) return status;
  return database;
}

void RocksJournal::UseDatabase(std::unique_ptr<Database> database) {
  lives_.clear();
  sessions_ = database->sessions;
  {
    const MutexLock lock(index_mutex_);
    dues_ = {};
    expiries_ = {std::string(keys::kExpiries), absl::InfinitePast()};
    expiring_ = false;
    ++index_changes_;
  }
  const std::vector<std::string> garbage = database->garbage;
  writable_ = database.get();
  {
    const MutexLock lock(database_mutex_);
    database_ = std::move(database);
  }
  for (const std::string& uid : garbage) Enqueue({.apply = CleaningUp(uid)});
}

absl::StatusOr<std::unique_ptr<RocksJournal>> RocksJournal::Open(Options options) {
  std::unique_ptr<RocksJournal> journal(new RocksJournal(std::move(options)));
  if (absl::Status prepared = journal->PrepareDirectory(); !prepared.ok()) return prepared;
  absl::StatusOr<std::unique_ptr<Database>> database = journal->OpenDatabase();
  if (!database.ok()) return database.status();
  journal->UseDatabase(*std::move(database));
  for (int i = 0; i < 2; ++i) journal->threads_.emplace_back([&journal = *journal] { journal.Work(); });
  return journal;
}

RocksJournal::~RocksJournal() {
  Shutdown();
  {
    const MutexLock lock(mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void RocksJournal::Shutdown() {
  bool sync = false;
  {
    const MutexLock lock(mutex_);
    shutdown_ = true;
    if (threads_.empty()) return;
    while (!queue_.empty() || writing_ || groups_answered_ != groups_taken_) finished_.Wait(mutex_);
    sync = available_;
    writing_ = true;
  }
  if (sync) {
    static_cast<void>(SyncLog());
    LogMemory();
  }
  const MutexLock lock(mutex_);
  unsynced_ = false;
  writing_ = false;
  changed_.NotifyAll();
}

void RocksJournal::LogMemory() const {
  const Lease database(*this);
  if (!database) return;
  std::uint64_t memtables = 0, cache = 0, tables = 0;
  database->db->GetAggregatedIntProperty(rocksdb::DB::Properties::kSizeAllMemTables, &memtables);
  database->db->GetIntProperty(rocksdb::DB::Properties::kBlockCacheUsage, &cache);  // one cache for all families
  database->db->GetAggregatedIntProperty(rocksdb::DB::Properties::kEstimateTableReadersMem, &tables);
  spdlog::debug("RocksDB holds {} bytes in memory: {} in memtables, {} in its block cache, {} for open tables",
                memtables + cache + tables, memtables, cache, tables);
}

void RocksJournal::Enqueue(Write write) const {
  bool wakes = false;
  {
    const MutexLock lock(mutex_);
    if (shutdown_) {
      write.apply = [](Group&) { return Failed(Reason::JOURNAL_UNAVAILABLE, "the journal takes nothing more"); };
    }
    queue_.push_back(std::move(write));
    // Whoever writes looks at the queue when it has done.
    wakes = queue_.size() == 1 && (!writing_ || !available_);
  }
  if (wakes) changed_.NotifyOne();
}

void RocksJournal::Work() {
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);  // nobody reads this thread's counters
  mutex_.Lock();
  while (true) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!queue_.empty() && (!writing_ || !available_)) {
      TakeTurn();
    } else if (!available_ && !writing_ && !ending_ && now >= next_attempt_) {
      writing_ = true;
      mutex_.Unlock();
      const bool recovered = Recover();
      mutex_.Lock();
      available_ = recovered;
      next_attempt_ = std::chrono::steady_clock::now() + kAttemptInterval;
      writing_ = false;
      changed_.NotifyAll();
    } else if (available_ && unsynced_ && !writing_ && now >= next_sync_) {
      writing_ = true;
      unsynced_ = false;
      mutex_.Unlock();
      const bool synced = SyncLog();
      mutex_.Lock();
      if (!synced) available_ = false;
      writing_ = false;
      changed_.NotifyAll();
    } else if (ending_ && queue_.empty()) {
      break;
    } else {
      if (queue_.empty() && !writing_ && groups_answered_ == groups_taken_) finished_.NotifyAll();
      if (!writing_ && !available_) {
        changed_.WaitFor(mutex_, next_attempt_ - now);
      } else if (!writing_ && unsynced_) {
        changed_.WaitFor(mutex_, next_sync_ - now);
      } else {
        changed_.Wait(mutex_);
      }
    }
  }
  mutex_.Unlock();
}

void RocksJournal::TakeTurn() {
  if (available_) {
    // Those who are about to ask for something and wait for a processor come into this group, then.
    writing_ = true;
    mutex_.Unlock();
    std::this_thread::yield();
    mutex_.Lock();
    writing_ = false;
  }
  std::vector<Write> writes;
  std::size_t bytes = 0;
  while (!queue_.empty() && writes.size() < kMaxGroupWrites && bytes < kMaxGroupBytes) {
    bytes += queue_.front().bytes;
    writes.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  const std::uint64_t turn = groups_taken_++;
  if (available_) {
    writing_ = true;
    mutex_.Unlock();
    const bool done = Commit(writes);
    mutex_.Lock();
    if (!done) {
      available_ = false;
      next_attempt_ = std::chrono::steady_clock::now();
    } else if (options_.sync == Sync::kInterval && !unsynced_) {
      unsynced_ = true;
      next_sync_ = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(options_.sync_interval);
    }
    writing_ = false;
    // The other thread writes what has come meanwhile, or waits for the time to sync or to try again.
    if (!queue_.empty() || unsynced_ || !available_) changed_.NotifyOne();
  } else {
    for (Write& write : writes) write.status = Unavailable("an earlier write failed");
  }
  while (groups_answered_ != turn) answered_.Wait(mutex_);
  mutex_.Unlock();
  for (Write& write : writes) {
    if (write.done) write.done(std::move(write.status));
  }
  writes.clear();
  mutex_.Lock();
  ++groups_answered_;
  answered_.NotifyAll();
}

bool RocksJournal::Commit(std::vector<Write>& writes) {
  Group group(*writable_, lives_, sessions_);
  bool synced = false;
  for (Write& write : writes) {
    write.status = write.apply(group);
    if (write.status.ok() && write.synced) synced = true;
  }
  const rocksdb::Status written = group.Commit(synced && options_.sync == Sync::kAlways);
  if (!written.ok()) {
    spdlog::error("the journal cannot be written: {}", written.ToString());
    lives_.clear();
    for (Write& write : writes) write.status = Unavailable(written.ToString());
    const MutexLock lock(index_mutex_);
    expiring_ = false;
    return false;
  }
  sessions_ = group.sessions();
  NoteIndexChanges(group);
  for (Apply& apply : group.more) Enqueue({.apply = std::move(apply)});
  return true;
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
  const rocksdb::Status synced = writable_->db->SyncWAL();
  if (!synced.ok()) spdlog::error("the journal cannot be synced: {}", synced.ToString());
  return synced.ok();
}

// RocksDB could also go on with the database as it is (DB::Resume); then what was in doubt could stay in a log file
// that a later start reads.
bool RocksJournal::Recover() {
  {
    std::unique_ptr<rocksdb::Env> own;
    if (options_.file_system) own = rocksdb::NewCompositeEnv(options_.file_system);
    rocksdb::Env& env = own ? *own : *rocksdb::Env::Default();
    // Until there is room to write, what is open can still be read. Opening writes a table of what the logs hold.
    std::uint64_t free = 0;
    if (env.GetFreeSpace(options_.directory, &free).ok() && free < BytesOfLogs(env, database_directory_)) return false;
    const std::string probe = options_.directory + "/PROBE";
    const bool writable =
        rocksdb::WriteStringToFile(&env, std::string(kProbeBytes, ' '), probe, /*should_sync=*/true).ok();
    const bool removed = env.DeleteFile(probe).ok();
    if (!writable || !removed) return false;
  }
  std::unique_ptr<Database> old;
  {
    const MutexLock lock(database_mutex_);
    old = std::move(database_);
    while (readers_ > 0) no_readers_.Wait(database_mutex_);
  }
  writable_ = nullptr;
  old.reset();
  absl::StatusOr<std::unique_ptr<Database>> opened = OpenDatabase();
  if (!opened.ok()) {
    spdlog::error("{}", std::string(opened.status().message()));
    return false;
  }
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const rocksdb::Status probed = (*opened)->db->Put(synced, ToSlice(keys::kProbe), "");
  UseDatabase(*std::move(opened));
  if (!probed.ok()) return false;
  spdlog::info("the journal can be written again");
  return true;
}

RocksJournal::Apply RocksJournal::CleaningUp(std::string uid) const {
  return [this, uid = std::move(uid)](Group& group) -> absl::Status {
    const Database& database = group.database();
    SessionRange range(*database.db, uid);
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
  group.DropLife(key.uid);
  group.SetTaken(key.id, false);
  group.Continue(CleaningUp(key.uid));
}

void RocksJournal::Create(NewSession session, Done done) {
  struct Encoded {
    SessionKey key;
    std::string replaces;
    std::string head;
    std::vector<std::pair<std::string, std::string>> log;  // keys and values
    BatchId tail;
    std::optional<absl::Time> due;
  };
  Encoded encoded{session.head.key, session.replaces, Encode(session.head), {}, {}, session.due};
  std::size_t bytes = encoded.head.size();
  if (session.checkpoint) {
    encoded.tail = session.checkpoint->after;
    encoded.log.emplace_back(keys::CheckpointKey(encoded.key.uid, session.checkpoint->step),
                             Encode(*session.checkpoint));
  }
  for (const Batch& batch : session.log) {
    encoded.tail = batch.id;
    encoded.log.emplace_back(keys::BatchKey(encoded.key.uid, batch.id.number), Encode(batch));
  }
  for (const auto& [key, value] : encoded.log) bytes += value.size();
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
    for (const auto& [key, value] : encoded.log) group.Put(key, value);
    group.AddLife(encoded.key, encoded.tail);
    group.AddDue(encoded.key.id, encoded.due);
    return absl::OkStatus();
  };
  Enqueue({.apply = std::move(apply), .done = std::move(done), .bytes = bytes, .synced = true});
}

void RocksJournal::Append(const SessionKey& key, const Batch& batch, std::optional<absl::Time> due, Done done) {
  std::string bytes = Encode(batch);
  const std::size_t size = bytes.size();
  auto apply = [key, id = batch.id, previous = batch.previous, due, bytes = std::move(bytes)](Group& group) {
    const absl::StatusOr<Life*> life = group.FindLife(key.uid);
    if (!life.ok()) return life.status();
    if (!(*life)->is_there || (*life)->id != key.id) return Conflict("the session is not there");
    if ((*life)->tail != previous || id.number <= previous.number) {
      return Conflict("somebody else wrote to the session's log");
    }
    group.Put(keys::BatchKey(key.uid, id.number), bytes);
    group.AddDue(key.id, due);
    (*life)->tail = id;
    return absl::OkStatus();
  };
  Enqueue({.apply = std::move(apply), .done = std::move(done), .bytes = size, .synced = true});
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
  Enqueue({.apply = std::move(apply), .done = std::move(done), .bytes = size, .synced = saved.synced});
}

void RocksJournal::Trim(const SessionKey& key, BatchId checkpoint_after, std::vector<Step> checkpoints) {
  auto apply = [this, key, checkpoint_after, checkpoints = std::move(checkpoints)](Group& group) -> absl::Status {
    const Database& database = group.database();
    const absl::StatusOr<Life*> life = group.FindLife(key.uid);
    if (!life.ok()) return life.status();
    if (!(*life)->is_there || (*life)->id != key.id) return absl::OkStatus();
    for (const Step step : checkpoints) group.Delete(keys::CheckpointKey(key.uid, step));
    if (checkpoint_after.number <= (*life)->trimmed) return absl::OkStatus();
    SessionRange range(*database.db, key.uid);
    std::size_t deleted = 0;
    range.Seek(keys::BatchKey(key.uid, (*life)->trimmed));
    for (; range.AtBatch() && keys::NumberIn(range.key()) < checkpoint_after.number; range.Next()) {
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
  Enqueue({.apply = std::move(apply)});
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
  Enqueue({.apply = std::move(apply), .done = std::move(done), .bytes = size, .synced = true});
}

absl::StatusOr<std::optional<Journal::Stored>> RocksJournal::Find(std::string_view id) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  rocksdb::ManagedSnapshot snapshot(database->db.get());
  rocksdb::ReadOptions options;
  options.snapshot = snapshot.snapshot();
  rocksdb::PinnableSlice bytes;
  const rocksdb::Status found =
      database->db->Get(options, database->db->DefaultColumnFamily(), keys::HeadKey(id), &bytes);
  if (found.IsNotFound()) return std::optional<Stored>();
  if (!found.ok()) return FailedRead(found);
  absl::StatusOr<Stored> stored = Describe(*database, View(bytes), snapshot.snapshot());
  if (!stored.ok()) return stored.status();
  return std::optional<Stored>(*std::move(stored));
}

absl::StatusOr<Journal::Stored> RocksJournal::Describe(const Database& database, std::string_view head,
                                                       const rocksdb::Snapshot* snapshot) {
  absl::StatusOr<Head> decoded = DecodeHead(head);
  if (!decoded.ok()) return decoded.status();
  SessionRange range(*database.db, decoded->key.uid, snapshot);
  absl::StatusOr<SessionRange::Tail> tail = range.FindTail();
  if (absl::IsDataLoss(tail.status())) {  // whoever reads on finds the damage
    tail = range.FindLastReadable();
    if (tail.ok()) tail->last_step = std::max(tail->last_step, decoded->steps) + 1;
  }
  if (!tail.ok()) return tail.status();
  return Stored{*std::move(decoded), tail->id, tail->last_step};
}

absl::StatusOr<std::vector<Journal::Listed>> RocksJournal::List(std::string_view after, std::size_t limit) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  rocksdb::ManagedSnapshot snapshot(database->db.get());
  Range heads(*database->db, keys::HeadKey(after) + '\0', std::string(keys::kHeadsEnd), snapshot.snapshot());
  std::vector<Listed> listed;
  for (heads.SeekToFirst(); heads.Valid() && listed.size() < limit; heads.Next()) {
    listed.push_back(
        {std::string(keys::IdInHeadKey(heads.key())), Describe(*database, heads.value(), snapshot.snapshot())});
  }
  if (absl::Status status = heads.status(); !status.ok()) return status;
  return listed;
}

absl::StatusOr<std::optional<Checkpoint>> RocksJournal::FindCheckpoint(const SessionKey& key, Step step) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  SessionRange range(*database->db, key.uid);
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
  SessionRange range(*database->db, key.uid);
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
  SessionRange range(*database->db, key.uid);
  std::vector<Batch> batches;
  std::optional<ValidBatches> valid;
  std::size_t bytes = 0;
  if (range.IsLifeOf(key.id)) {
    for (range.Seek(keys::BatchKey(key.uid, after.number + 1)); range.AtBatch(); range.Next()) {
      if (!batches.empty() && bytes + range.value().size() > max_bytes) break;
      bytes += range.value().size();
      absl::StatusOr<Batch> batch = DecodeBatch(range.value());
      if (!batch.ok()) {
        if (batches.empty()) return batch.status();
        break;
      }
      if (!valid) {
        if (after != BatchId() && batch->previous.number > after.number) {
          return absl::OutOfRangeError("that part of the log was trimmed away");
        }
        valid.emplace(after == BatchId() ? batch->previous : after);
      }
      if (valid->Take(*batch)) batches.push_back(*std::move(batch));
    }
  }
  if (absl::Status status = range.status(); !status.ok() && batches.empty()) return status;
  return batches;
}

absl::StatusOr<std::optional<Tombstone>> RocksJournal::FindTombstone(std::string_view id,
                                                                     std::string_view request_id) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  std::string bytes;
  const rocksdb::Status found = database->db->Get(rocksdb::ReadOptions(), keys::TombstoneKey(id, request_id), &bytes);
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
  Range range(*database->db, from, std::string(keys::kDuesEnd));
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
    const Database& database = group.database();
    std::string from;
    {
      const MutexLock lock(index_mutex_);
      from = expiries_.key;
    }
    Range range(*database.db, from, std::string(keys::kExpiriesEnd));
    std::size_t deleted = 0;
    for (range.SeekToFirst(); range.Valid() && deleted < kMaxDeletes; range.Next(), ++deleted) {
      if (keys::TimeInExpiryKey(range.key()) > now) break;
      const std::string tombstone(keys::TombstoneInExpiryKey(range.key()));
      group.Delete(range.key());
      // Unless a later Delete with the same request id left another one.
      std::string bytes;
      if (database.db->Get(rocksdb::ReadOptions(), tombstone, &bytes).ok()) {
        const absl::StatusOr<Tombstone> current = DecodeTombstone(bytes, "");
        if (!current.ok() || current->expire_time <= now) group.Delete(tombstone);
      }
    }
    const absl::Status status = range.status();
    group.expiries = status.ok() && range.Valid() ? Front{std::string(range.key()), keys::TimeInExpiryKey(range.key())}
                                                  : Front{from, status.ok() ? absl::InfiniteFuture() : now};
    return status;
  };
  Enqueue({.apply = std::move(apply)});
}

void RocksJournal::Reschedule(const Due& entry, std::optional<absl::Time> next) {
  auto apply = [entry, next](Group& group) {
    group.Delete(keys::DueKey(entry.time, entry.id));
    group.due_removed = std::min(group.due_removed.value_or(entry.time), entry.time);
    group.AddDue(entry.id, next);
    return absl::OkStatus();
  };
  Enqueue({.apply = std::move(apply)});
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
  Range range(*database->db, from, std::string(keys::kDuesEnd));
  range.SeekToFirst();
  if (!range.status().ok()) return absl::InfinitePast();
  const std::string first(range.Valid() ? range.key() : keys::kDuesEnd);
  const absl::Time earliest = range.Valid() ? keys::ParseDueKey(first).time : absl::InfiniteFuture();
  const MutexLock lock(index_mutex_);
  if (changes == index_changes_) dues_ = {first, earliest};
  return earliest;
}

}  // namespace corod
