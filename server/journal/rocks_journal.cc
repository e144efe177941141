#include "server/journal/rocks_journal.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/journal/file_copies.h"
#include "server/journal/journal_directory.h"
#include "server/journal/rocks_database.h"
#include "server/journal/rocks_keys.h"
#include "server/journal/rocks_lease.h"
#include "server/log/log.h"

// Opens, closes, and opens again what could not be written.

namespace corod {
namespace {

namespace keys = rocks_keys;

constexpr int kFormatVersion = kJournalFormat;
constexpr absl::string_view kFormatLine(kJournalFormatLine.data(), kJournalFormatLine.size());
constexpr std::size_t kProbeBytes = std::size_t{64} << 10;

// Of the segments of the write-ahead log; opening writes what they hold into a table.
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

}  // namespace

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
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, error);  // it is nobody else's business
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
    // What an older corod wrote is read as it is; it must not read what is written from now on.
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
                              .compacts = options_.compacts,
                              .file_system = options_.file_system,
                              .metrics = options_.metrics});
}

void RocksJournal::UseDatabase(std::unique_ptr<RocksDatabase> database) {
  lives_.clear();
  catalog_revision_.reset();
  sessions_ = database->sessions();
  counts_.Set(database->prefixed());
  {
    const MutexLock lock(index_mutex_);
    dues_ = {};
    expiries_ = {std::string(keys::kExpiries), absl::InfinitePast()};
    expiring_ = false;
    ++index_changes_;
  }
  const std::vector<std::string> garbage = database->garbage();
  log_damage_ = database->log().damage();
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
  if (absl::Status removed = journal->RemoveBackupStage(); !removed.ok()) return removed;
  journal->UseDatabase(*std::move(database));
  for (int i = 0; i < kThreads; ++i) journal->threads_.emplace_back([&journal = *journal] { journal.Work(); });
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
    while (!queue_.empty() || writing_ || answering_ > 0 || copying_) finished_.Wait(mutex_);
    sync = available_;
    writing_ = true;
  }
  PauseTending();
  if (sync && SyncLog()) {
    LogMemory();
    // The next start has nothing to read then. If it fails, that start does it.
    const rocksdb::Status emptied = writable_->Empty();
    if (!emptied.ok()) {
      COROD_LOG(kJournal, kWarning, "the journal's log cannot be emptied", {{"error", emptied.ToString()}});
    }
  }
  const MutexLock lock(mutex_);
  unsynced_ = false;
  settling_ = false;
  writing_ = false;
  changed_.NotifyAll();
}

std::size_t RocksJournal::QueuedWrites() const {
  const MutexLock lock(mutex_);
  std::size_t writes = 0;
  for (const std::unique_ptr<Chunk>& chunk : queue_) writes += chunk->writes.size();
  return writes;
}

std::optional<std::uint64_t> RocksJournal::BytesOnDisk() const {
  const Lease database(*this);
  std::uint64_t tables = 0;
  if (!database || !database->db().GetAggregatedIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &tables)) {
    return std::nullopt;
  }
  std::unique_ptr<rocksdb::Env> own;
  if (options_.file_system) own = rocksdb::NewCompositeEnv(options_.file_system);
  return tables + BytesOfLog(own ? *own : *rocksdb::Env::Default(), options_.directory + "/log");
}

std::optional<std::uint64_t> RocksJournal::BytesOf(std::uint32_t uid_group) const {
  const Lease database(*this);
  if (!database) return std::nullopt;
  const std::string begin = keys::GroupPrefix(uid_group);
  const std::string end = keys::EndOfGroup(uid_group);
  const rocksdb::Range range(begin, end);
  rocksdb::SizeApproximationOptions options;
  options.include_memtables = true;
  std::uint64_t bytes = 0;
  rocksdb::DB& db = database->db();
  if (!db.GetApproximateSizes(options, db.DefaultColumnFamily(), &range, 1, &bytes).ok()) return std::nullopt;
  return bytes;
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
  COROD_LOG(kJournal, kDebug, "what RocksDB holds in memory, in bytes",
            {{"all", memtables + cache + tables},
             {"memtables", memtables},
             {"write_ahead_log", log},  // a part of the memtables'
             {"block_cache", cache},
             {"open_tables", tables}});
}

bool RocksJournal::SyncLog() {
  const rocksdb::Status synced = writable_->log().Sync();
  if (!synced.ok()) COROD_LOG(kJournal, kError, "the journal cannot be synced", {{"error", synced.ToString()}});
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
    COROD_LOG(kJournal, kError, "the journal cannot be opened again", {{"error", opened.status().message()}});
    return false;
  }
  UseDatabase(*std::move(opened));
  COROD_LOG(kJournal, kInfo, "the journal can be written again");
  return true;
}

}  // namespace corod
