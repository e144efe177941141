#ifndef COROD_SERVER_JOURNAL_ROCKS_DATABASE_H_
#define COROD_SERVER_JOURNAL_ROCKS_DATABASE_H_

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/journal/group_log.h"
#include "server/journal/log_entries.h"
#include "server/journal/rocks_range.h"
#include "server/journal/session_counts.h"
#include "server/journal/unsettled.h"

namespace corod {

class RocksFileSystem;

// What RocksJournal has on its disk, open: the write-ahead log, RocksDB behind it, and the batches that are in the one
// and not in the other yet. One thread writes, any may read.
class RocksDatabase {
 public:
  struct Options {
    std::string directory;  // of the journal
    std::size_t block_cache_bytes = 0;
    std::size_t write_buffer_bytes = 0;
    std::size_t segment_bytes = 0;
    bool compacts = true;  // merges tables
    std::shared_ptr<rocksdb::FileSystem> file_system;
    const metrics::JournalMetrics* metrics = nullptr;  // null: nothing is counted
  };

  // Does what the log says, once more perhaps, and begins it anew: what it finds is in tables then.
  static absl::StatusOr<std::unique_ptr<RocksDatabase>> Open(const Options& options);
  ~RocksDatabase();
  RocksDatabase(const RocksDatabase&) = delete;
  RocksDatabase& operator=(const RocksDatabase&) = delete;

  rocksdb::DB& db() const { return *db_; }
  GroupLog& log() { return log_; }
  const GroupLog& log() const { return log_; }
  Unsettled& unsettled() { return unsettled_; }
  const Unsettled& unsettled() const { return unsettled_; }

  // When it was opened.
  std::uint64_t sessions() const { return sessions_; }
  // The same by the prefix of their ids, of those that have one.
  const SessionCounts::Counts& prefixed() const { return prefixed_; }
  // Uids whose removal was not finished then.
  const std::vector<std::string>& garbage() const { return garbage_; }

  // Writes a record into the log, and does what it says. REQUIRES: the log has room.
  rocksdb::Status Write(const LogEntries& entries, bool synced);

  // Puts batches of the oldest full segment of the log into RocksDB, about `max_bytes` of them. `*done`: that were all.
  rocksdb::Status Settle(std::size_t max_bytes, bool* done);
  // Puts all that RocksDB has into tables. On any thread.
  rocksdb::Status Flush();
  // Puts all there is into tables, and begins the log anew. REQUIRES: nothing is flushed or recycled meanwhile.
  rocksdb::Status Empty();

  // Puts what Open needs to find all that was written before the call into `directory`, which is there and holds
  // neither `rocksdb` nor `log`. Synced, but for the names of these two. On any thread, one at a time; others write
  // meanwhile.
  rocksdb::Status CopyTo(const std::string& directory);
  // RocksDB takes no more writes, and CopyTo cannot do its work, until it is opened anew.
  bool failed() const { return failed_; }
  // Reads all of RocksDB's tables and compares their checksums.
  rocksdb::Status Verify() const { return db_->VerifyChecksum(); }

  // As it is at one moment, with a snapshot of that moment.
  class Moment {
   public:
    Moment(const RocksDatabase& database, std::string_view uid);
    ~Moment();
    Moment(const Moment&) = delete;
    Moment& operator=(const Moment&) = delete;

    const rocksdb::Snapshot* snapshot() const { return snapshot_; }
    // How far the session's log goes.
    absl::StatusOr<Tail> FindTail() const;

   private:
    const RocksDatabase& database_;
    const std::string uid_;
    std::optional<std::string> last_;  // batch, if it is not settled
    const rocksdb::Snapshot* snapshot_;
  };

 private:
  class SyncsTheLogFirst;

  explicit RocksDatabase(const Options& options);
  rocksdb::Status OpenRocks(const Options& options);
  // Does what a record of the log says. `puts`: it may hold puts and deletes.
  rocksdb::Status Apply(std::string_view entries, bool puts);
  rocksdb::Status SettleAll();

  std::shared_ptr<RocksFileSystem> file_system_;
  std::unique_ptr<rocksdb::Env> env_;
  GroupLog log_;
  std::atomic<bool> log_failed_{false};
  std::atomic<bool> failed_{false};
  Unsettled unsettled_;
  rocksdb::WriteBatch batch_;
  std::unique_ptr<rocksdb::DB> db_;
  std::uint64_t sessions_ = 0;
  SessionCounts::Counts prefixed_;
  std::vector<std::string> garbage_;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_ROCKS_DATABASE_H_
