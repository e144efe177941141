#include "server/journal/rocks_database.h"

#include <rocksdb/cache.h>
#include <rocksdb/file_system.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/utilities/table_properties_collectors.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/journal/rocks_file_system.h"
#include "server/journal/rocks_keys.h"
#include "server/log/log.h"

namespace corod {
namespace {

namespace keys = rocks_keys;

// Of batches that are put into RocksDB at once.
constexpr std::size_t kSettleBytes = std::size_t{256} << 10;

absl::Status FailedOpen(const std::string& directory, const rocksdb::Status& status) {
  const std::string text = status.ToString();
  if (status.IsIOError() && text.find("lock ") != std::string::npos && text.find("LOCK") != std::string::npos) {
    return absl::UnavailableError(absl::StrCat(directory, " is in use by another corod"));
  }
  return absl::UnavailableError(absl::StrCat("the journal in ", directory, " cannot be opened: ", text));
}

// RocksDB would go on by itself after some failures (a full disk), and nobody could say any more what is in its tables
// and what is needed of the log. So it takes no more writes after whatever failure, also one in the background, until
// it is opened anew. But for a compaction that finds no room: nothing depends on it, and RocksDB tries again when there
// is room.
class EndsAtTheFirstFailure : public rocksdb::EventListener {
 public:
  explicit EndsAtTheFirstFailure(std::atomic<bool>& failed) : failed_(failed) {}

  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override {
    if (IsHarmless(reason, *error)) return;
    *error = rocksdb::Status(*error, rocksdb::Status::kFatalError);
    failed_ = true;
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason reason, rocksdb::Status error, bool* recovers) override {
    if (!IsHarmless(reason, error)) *recovers = false;
  }

 private:
  static bool IsHarmless(rocksdb::BackgroundErrorReason reason, const rocksdb::Status& error) {
    return reason == rocksdb::BackgroundErrorReason::kCompaction && error.IsNoSpace();
  }

  std::atomic<bool>& failed_;
};

// Applied entries need no log of RocksDB's: they have ours.
rocksdb::WriteOptions WithoutLog() {
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  return options;
}

std::shared_ptr<rocksdb::FileSystem> OrDefault(const std::shared_ptr<rocksdb::FileSystem>& file_system) {
  return file_system ? file_system : rocksdb::FileSystem::Default();
}

}  // namespace

// What is in a table is in the log: else the log could be shorter after a loss of power, and not be done again.
class RocksDatabase::SyncsTheLogFirst : public rocksdb::EventListener {
 public:
  explicit SyncsTheLogFirst(RocksDatabase& database) : database_(database) {}

  void OnFlushBegin(rocksdb::DB*, const rocksdb::FlushJobInfo&) override {
    const rocksdb::IOStatus synced = database_.log_.Sync();
    if (synced.ok()) return;
    COROD_LOG(kJournal, kError, "the journal cannot be synced", {{"error", synced.ToString()}});
    database_.log_failed_ = true;
    database_.file_system_->RefuseNewFiles();
  }

 private:
  RocksDatabase& database_;
};

RocksDatabase::RocksDatabase(const Options& options)
    : log_({OrDefault(options.file_system), options.directory + "/log", options.segment_bytes, options.metrics}) {}

RocksDatabase::~RocksDatabase() {
  if (db_) static_cast<void>(db_->Close());
}

rocksdb::Status RocksDatabase::OpenRocks(const Options& wanted) {
  rocksdb::Options options;
  file_system_ = std::make_shared<RocksFileSystem>(OrDefault(wanted.file_system));
  env_ = rocksdb::NewCompositeEnv(file_system_);
  options.env = env_.get();
  // Compactions only take time that nobody else wants, or whoever waits for a step waits behind them. When they fall so
  // far behind that writes wait for them, there is time. These are the threads of the whole process.
  env_->LowerThreadPoolCPUPriority(rocksdb::Env::Priority::LOW, rocksdb::CpuPriority::kLow);
  options.create_if_missing = true;
  options.disable_auto_compactions = !wanted.compacts;
  // It is flushed when a segment of the log was settled; by itself it only is if the segments are larger.
  options.write_buffer_size = wanted.write_buffer_bytes / 2;
  options.db_write_buffer_size = wanted.write_buffer_bytes;
  options.max_write_buffer_number = 4;
  options.avoid_flush_during_shutdown = true;
  // Of its own log, which version 1 wrote: what a crash tore ends it; all before counts.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // Reserved blocks would let a full disk go unnoticed while they last, and be reserved anew at each opening.
  options.allow_fallocate = false;
  // After a failure the database is opened anew, by Recover alone.
  options.max_bgerror_resume_count = 0;
  options.listeners.push_back(std::make_shared<EndsAtTheFirstFailure>(failed_));
  options.listeners.push_back(std::make_shared<SyncsTheLogFirst>(*this));
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

  rocksdb::BlockBasedTableOptions tables;
  tables.block_cache = rocksdb::NewLRUCache(wanted.block_cache_bytes);
  tables.cache_index_and_filter_blocks = true;
  tables.pin_l0_filter_and_index_blocks_in_cache = true;
  tables.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  // In small parts: the filter of a whole table is too large for a part of the cache, so each look-up would read it.
  tables.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  tables.partition_filters = true;
  tables.format_version = 5;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(tables));
  options.level_compaction_dynamic_level_bytes = true;
  // What was just written is soon merged, and compressed then.
  options.compression_per_level.assign(static_cast<std::size_t>(options.num_levels), options.compression);
  options.compression_per_level[0] = rocksdb::kNoCompression;
  // What was trimmed or is no longer due goes soon, since reading steps over each deleted key.
  options.table_properties_collector_factories.push_back(rocksdb::NewCompactOnDeletionCollectorFactory(4'096, 2'048));

  rocksdb::DB* db = nullptr;
  rocksdb::Status opened = rocksdb::DB::Open(options, wanted.directory + "/rocksdb", &db);
  db_.reset(db);
  return opened;
}

absl::StatusOr<std::unique_ptr<RocksDatabase>> RocksDatabase::Open(const Options& options) {
  std::unique_ptr<RocksDatabase> database(new RocksDatabase(options));
  rocksdb::Status status = database->OpenRocks(options);
  if (status.ok()) status = database->log_.Open();
  if (status.ok() && !database->log_.damage().empty()) {
    COROD_LOG(kJournal, kWarning, "the journal's log is not whole",
              {{"directory", options.directory}, {"damage", database->log_.damage()}});
  }
  for (const std::string_view record : database->log_.found()) {
    if (status.ok()) status = database->Apply(record, /*puts=*/true);
  }
  if (status.ok() && !database->log_.found().empty()) status = database->SettleAll();
  if (status.ok()) status = database->log_.Begin();
  if (!status.ok()) return FailedOpen(options.directory, status);

  std::string count;
  status = database->db_->Get(rocksdb::ReadOptions(), ToSlice(keys::kSessionCount), &count);
  if (status.ok()) {
    const std::optional<std::uint64_t> sessions = keys::DecodeCount(count);
    if (!sessions) {
      return absl::DataLossError(absl::StrCat("the journal in ", options.directory, " has no count of sessions"));
    }
    database->sessions_ = *sessions;
  } else if (!status.IsNotFound()) {
    return FailedOpen(options.directory, status);
  }
  // Only of those of namespaces; all others are what is left of the count.
  Range heads(*database->db_, keys::HeadKey("/"), keys::HeadKey("0"));
  for (heads.SeekToFirst(); heads.Valid(); heads.Next()) {
    ++database->prefixed_[std::string(PrefixIn(keys::IdInHeadKey(heads.key())))];
  }
  if (absl::Status read = heads.status(); !read.ok()) return read;
  Range garbage(*database->db_, std::string(keys::kGarbage), std::string(keys::kGarbageEnd));
  for (garbage.SeekToFirst(); garbage.Valid(); garbage.Next()) {
    database->garbage_.emplace_back(keys::UidInGarbageKey(garbage.key()));
  }
  if (absl::Status read = garbage.status(); !read.ok()) return read;
  return database;
}

rocksdb::Status RocksDatabase::Write(const LogEntries& entries, bool synced) {
  if (log_failed_) return rocksdb::Status::IOError("the log could not be synced");
  std::string_view record;
  rocksdb::Status status = log_.Append(entries.bytes(), &record);
  if (status.ok() && synced) status = log_.Sync();
  return status.ok() ? Apply(record, entries.has_puts()) : status;
}

rocksdb::Status RocksDatabase::Apply(std::string_view entries, bool puts) {
  LogEntry entry;
  batch_.Clear();
  if (puts) {
    std::string_view rest = entries;
    rocksdb::Status status;
    while (status.ok() && TakeEntry(rest, entry)) {
      if (entry.kind == LogEntry::Kind::kPut) status = batch_.Put(ToSlice(entry.key), ToSlice(entry.value));
      if (entry.kind == LogEntry::Kind::kDelete) status = batch_.Delete(ToSlice(entry.key));
    }
    if (!status.ok()) return status;
    if (!rest.empty()) return rocksdb::Status::Corruption("a record of the log cannot be understood");
  }
  const MutexLock lock(unsettled_.mutex());
  if (batch_.Count() > 0) {
    rocksdb::Status status = db_->Write(WithoutLog(), &batch_);
    if (!status.ok()) return status;
  }
  while (TakeEntry(entries, entry)) {
    switch (entry.kind) {
      case LogEntry::Kind::kPut:
      case LogEntry::Kind::kDelete:
        break;
      case LogEntry::Kind::kBatch:
        unsettled_.Add(entry.uid, entry.number, entry.value);
        break;
      case LogEntry::Kind::kTrim:
        unsettled_.Trim(entry.uid, entry.number);
        break;
      case LogEntry::Kind::kDrop:
        unsettled_.Drop(entry.uid);
        break;
    }
  }
  return {};
}

rocksdb::Status RocksDatabase::Settle(std::size_t max_bytes, bool* done) {
  *done = false;
  if (log_failed_) return rocksdb::Status::IOError("the log could not be synced");
  batch_.Clear();
  rocksdb::Status status;
  unsettled_.Gather(max_bytes, [&](const CompactText& uid, std::uint64_t number, std::string_view run) {
    CompactText::Buffer buffer;
    const rocksdb::Status put = batch_.Put(ToSlice(keys::BatchKey(uid.View(buffer), number)), ToSlice(run));
    if (status.ok()) status = put;
  });
  if (status.ok() && batch_.Count() > 0) status = db_->Write(WithoutLog(), &batch_);
  // Not before it can be read there.
  if (status.ok()) *done = unsettled_.Forget();
  return status;
}

rocksdb::Status RocksDatabase::Flush() {
  rocksdb::FlushOptions options;
  options.wait = true;
  options.allow_write_stall = true;
  rocksdb::Status status = db_->Flush(options);
  // When there was nothing to be flushed, too: what comes next may do without a part of the log.
  return status.ok() ? rocksdb::Status(log_.Sync()) : status;
}

rocksdb::Status RocksDatabase::SettleAll() {
  unsettled_.BeginSegment();
  while (unsettled_.HasFullSegment()) {
    bool done = false;
    if (rocksdb::Status status = Settle(kSettleBytes, &done); !status.ok()) return status;
  }
  return Flush();
}

rocksdb::Status RocksDatabase::Empty() {
  rocksdb::Status status = SettleAll();
  return status.ok() ? rocksdb::Status(log_.Begin()) : status;
}

rocksdb::Status RocksDatabase::CopyTo(const std::string& directory) {
  // RocksDB's copy lacks what has not been settled by then, and has puts of what is; the log, copied behind it and with
  // all that was recycled since, does both once more.
  const GroupLog::Hold hold(log_);
  rocksdb::Checkpoint* made = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(db_.get(), &made);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  if (status.ok()) status = checkpoint->CreateCheckpoint(directory + "/rocksdb");
  return status.ok() ? rocksdb::Status(hold.CopyTo(directory + "/log")) : status;
}

RocksDatabase::Moment::Moment(const RocksDatabase& database, std::string_view uid) : database_(database), uid_(uid) {
  const MutexLock lock(database_.unsettled_.mutex());
  last_ = database_.unsettled_.FindLast(CompactText::Key(uid_));
  snapshot_ = database_.db_->GetSnapshot();
}

RocksDatabase::Moment::~Moment() { database_.db_->ReleaseSnapshot(snapshot_); }

absl::StatusOr<Tail> RocksDatabase::Moment::FindTail() const {
  if (last_) return TailOf(*last_);
  return SessionRange(*database_.db_, uid_, snapshot_).FindTail();
}

}  // namespace corod
