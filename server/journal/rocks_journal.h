#ifndef COROD_SERVER_JOURNAL_ROCKS_JOURNAL_H_
#define COROD_SERVER_JOURNAL_ROCKS_JOURNAL_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "server/base/compact_text.h"
#include "server/base/mutex.h"
#include "server/base/oldest.h"
#include "server/journal/journal.h"
#include "server/journal/log_entries.h"
#include "server/journal/session_counts.h"

namespace rocksdb {
class FileSystem;
class Status;
}  // namespace rocksdb

namespace corod {

namespace metrics {
struct JournalMetrics;
}  // namespace metrics
class RocksDatabase;

// The journal on this machine's disk, in a directory of its own (docs/journal.md has the bytes).
//
// Threads take turns: one compares all that was asked meanwhile, writes and syncs what is to be done as one record of
// the write-ahead log, and does it; then it answers that group, while another thread writes the next one. Two threads
// are the journal's own. What a thread appends in the middle of many commands (CompletionScope) is gathered without a
// lock and handed over together; if it is little, the thread takes the turn itself when nobody else writes, since
// waking one of the journal's would take longer than the work.
// Batches that are appended stay in the log at first, and in memory; when a segment of it is full, they are put into
// RocksDB session by session between two groups, and a third thread makes RocksDB write a table, after which the
// segment is used again.
//
// When a write fails, its whole group is in doubt and so is all that follows, until the directory can be written again;
// then the database is opened anew, which decides what of the doubtful is in the log.
class RocksJournal : public Journal {
 public:
  // What OK promises of a write that is stable.
  enum class Sync : std::uint8_t {
    kAlways,    // it survives the loss of power
    kInterval,  // the same, after at most `sync_interval`; it survives the end of the process at once
    kNever,     // it survives the end of the process
  };
  struct Options {
    std::string directory = {};  // made if it is not there
    Sync sync = Sync::kAlways;
    absl::Duration sync_interval = absl::Milliseconds(100);
    // After a failure: how long from one attempt to go on to the next.
    absl::Duration attempt_interval = absl::Milliseconds(200);
    // What is read again soon.
    std::size_t block_cache_bytes = std::size_t{64} << 20;
    // What RocksDB was given and is not in a table yet: this much in memory, at most.
    std::size_t write_buffer_bytes = std::size_t{64} << 20;
    // Of a segment of the write-ahead log. There are up to four; three are also in memory, and are read by Open.
    std::size_t segment_bytes = std::size_t{8} << 20;
    // Merges tables, as a server should.
    bool compacts = true;
    std::shared_ptr<rocksdb::FileSystem> file_system = nullptr;  // null: the machine's
    // Must stay longer than the journal; null: nothing is counted.
    const metrics::JournalMetrics* metrics = nullptr;
  };

  // kUnavailable if another process has the directory; kFailedPrecondition if it is not a journal's or a newer corod's,
  // and nothing in it is changed.
  static absl::StatusOr<std::unique_ptr<RocksJournal>> Open(Options options);
  ~RocksJournal() override;

  bool IsDurable() const override { return true; }

  void Create(NewSession session, Done done) override;
  void Append(const SessionKey& key, const Batch& batch, std::optional<absl::Time> due, Done done) override;
  void AppendTo(const CompactText& id, const CompactText& uid, const Batch& batch, std::optional<absl::Time> due,
                Then then) override;
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
  // As it was when the journal can be read no more; the infinite past if it never could.
  absl::Time EarliestDue() const override;
  std::size_t size() const override { return sessions_.load(std::memory_order_relaxed); }
  std::size_t CountIn(std::string_view prefix) const override {
    return prefix.empty() ? size() - std::min(size(), counts_.Prefixed()) : counts_.Of(prefix);
  }
  std::size_t QueuedWrites() const override;
  absl::Duration LongestWait() const override { return oldest_.Wait(); }
  std::optional<std::uint64_t> BytesOnDisk() const override;
  std::optional<std::uint64_t> BytesOf(std::uint32_t uid_group) const override;
  void LogMemory() const override;
  absl::StatusOr<BackedUp> Backup(const std::string& directory, const std::atomic<bool>& cancelled) override;
  void Shutdown() override;

  // Where the write-ahead log ended that was found, if it was not whole; for people.
  const std::string& log_damage() const { return log_damage_; }
  // Reads all of RocksDB's tables, and compares their checksums. kDataLoss, or what reading fails with.
  absl::Status VerifyTables() const;

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  enum class Thread { kJournals, kCallers };
  class Lease;
  class Group;
  class Outbox;

  // Compares, and adds to the group what is to be written.
  using Apply = std::function<absl::Status(Group&)>;
  struct Write {
    // What few have.
    struct More {
      Apply apply = nullptr;  // done in the place of an append
      Done done = nullptr;    // may be empty; in the place of `then`
      // An append's that is also to be looked at later.
      CompactText id = {};
      std::optional<absl::Time> due = {};
    };

    void Prefetch(bool near) const {
      if (then.kind) then.kind->prefetch(then.a, then.b, near);
    }
    void Answer() {
      if (then.kind) {
        then(std::move(status));
      } else if (more->done) {
        more->done(std::move(status));
      }
    }

    Then then = {};
    std::unique_ptr<More> more = nullptr;
    absl::Status status = {};
    CompactText uid = {};
    std::size_t id_hash = 0;  // a uid has one id: this finds who mixes them up
    BatchId batch = {};
    BatchId previous = {};
    std::uint32_t at = 0;  // of its entry, in the chunk's
    std::uint32_t size = 0;
    bool is_append = true;
    bool synced = true;
  };
  // What is to be written together with others.
  struct Chunk {
    void Clear() {
      writes.clear();
      entries.clear();
      bytes = 0;
      appends = 0;
      only_appends = true;
    }
    std::vector<Write> writes;
    LogEntries entries;     // of those that are appended
    std::size_t bytes = 0;  // with what the others will write
    std::size_t appends = 0;
    SteadyTime first_append;  // when it came; if that is counted
    SteadyTime since;         // when it came into the queue
    bool only_appends = true;
  };
  // What the thread that writes knows of one life of a session.
  struct Life {
    CompactText id = {};
    BatchId tail = {};
    std::uint64_t trimmed = 0;  // no batch has a number below this
    bool is_there = false;
  };
  struct KnownLife {
    CompactText uid;
    mutable Life life = {};
  };
  struct HashByUid {
    using is_transparent = void;
    std::size_t operator()(const CompactText::Key& uid) const { return uid.hash(); }
    std::size_t operator()(const KnownLife& life) const { return life.uid.key().hash(); }
  };
  struct SameUid {
    using is_transparent = void;
    bool operator()(const KnownLife& a, const CompactText::Key& b) const { return a.uid.key() == b; }
    bool operator()(const KnownLife& a, const KnownLife& b) const { return a.uid == b.uid; }
  };
  using Lives = absl::flat_hash_set<KnownLife, HashByUid, SameUid>;
  // The earliest key of an index that may be there, so that reading does not begin with what was deleted.
  struct Front {
    std::string key;
    std::optional<absl::Time> earliest;  // unset: not known
  };

  explicit RocksJournal(Options options);
  absl::Status PrepareDirectory();
  // What was made in the directory when it was opened.
  absl::Status SyncDataDirectory() const;
  // What a backup left that ended before it was made.
  absl::Status RemoveBackupStage() const;
  // Copies what belongs to one moment into the stage.
  absl::StatusOr<BackedUp> CopyToStage(const std::string& stage) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::unique_ptr<RocksDatabase>> OpenDatabase() const;
  void UseDatabase(std::unique_ptr<RocksDatabase> database);

  // Anything but an append. `bytes`: about so many will be written.
  void Enqueue(Apply apply, Done done = nullptr, bool synced = false, std::size_t bytes = 0) const;
  // `bytes`: the batch's.
  Write& AddAppend(const CompactText& id, const CompactText& uid, const Batch& batch, std::string_view bytes,
                   std::optional<absl::Time> due, Then then, Chunk& chunk) const;
  static absl::Status TakesNothingMore(Group& group);
  static void Refuse(Write& write);
  // Whether who is about to put something into the queue must wake a thread for it.
  bool MustWake() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Where the next write goes.
  void PutIntoQueue(std::unique_ptr<Chunk> chunk) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Chunk& ChunkFor(std::size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::unique_ptr<Chunk> NewChunk() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsFull(const Chunk& chunk, std::size_t bytes) const;
  void Work();
  // Writes what the queue holds, then calls back.
  void TakeTurn(Thread thread) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // At the end of a caller's scope: takes over what it appended, and takes turns on its thread if nobody else does.
  void WriteHere(std::unique_ptr<Chunk>& chunk) ABSL_LOCKS_EXCLUDED(mutex_);
  // Puts it into the queue, and another one in its place.
  void TakeOver(std::unique_ptr<Chunk>& chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a caller's thread may take the next turn: nobody writes, and what waits will not keep it for long.
  bool IsForCaller() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One of the journal's own threads, if there is more to be done.
  void WakeForTheRest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same when a caller's thread has written and is about to answer, after which it takes another turn by itself.
  void WakeBehindCaller() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // For as long as callers' threads take turns, or until there is something to do.
  void LookAfterCallers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // For whoever waits for all that was asked.
  void TellIfFinished() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BecomeUnavailable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: the journal is unavailable.
  bool Commit(std::vector<std::unique_ptr<Chunk>>& chunks);
  absl::Status Extend(Group& group, const Write& write, const Chunk& chunk);
  // Of what was written.
  void CountAppends(const std::vector<std::unique_ptr<Chunk>>& chunks) const;
  // Calls back.
  static void Answer(std::vector<std::unique_ptr<Chunk>>& chunks, bool appends);
  void NoteIndexChanges(const Group& group);
  // So that the log has room for a record; waits for the thread in the background if need be.
  rocksdb::Status MakeRoom(std::size_t bytes);
  // Puts some batches of a full segment into RocksDB. False: the journal is unavailable.
  bool Settle(std::size_t bytes);
  rocksdb::Status SettleSome(std::size_t bytes);
  // In the background: flushes RocksDB, so that segments can be used again, and gets the next one ready.
  void Tend();
  // It gets nothing to do any more, and is doing nothing.
  void PauseTending();
  // False: it still cannot be written.
  bool Recover();
  bool SyncLog();
  void ExpireTombstones(absl::Time now) const;
  Apply CleaningUp(std::string uid) const;
  void RemoveLife(Group& group, const SessionKey& key);

  static constexpr int kThreads = 2;  // that take turns
  static constexpr std::size_t kMaxGroupBytes = std::size_t{1} << 20;

  const Options options_;
  const std::size_t max_group_bytes_;

  // Of the thread that set writing_.
  RocksDatabase* writable_ = nullptr;
  Lives lives_;
  std::optional<std::uint64_t> catalog_revision_;  // the last one there is; unset: not known
  LogEntries entries_;
  std::size_t last_group_bytes_ = 0;
  std::atomic<std::uint64_t> sessions_{0};
  SessionCounts counts_;
  std::string log_damage_;
  std::atomic<bool> backing_up_{false};

  mutable Mutex mutex_;
  mutable CondVar changed_;  // there is something to do
  CondVar turn_is_over_;
  CondVar finished_;
  // The last one is added to.
  mutable std::deque<std::unique_ptr<Chunk>> queue_ ABSL_GUARDED_BY(mutex_);
  mutable Oldest oldest_;  // of queue_
  mutable std::vector<std::unique_ptr<Chunk>> empty_chunks_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool available_ ABSL_GUARDED_BY(mutex_) = true;
  bool settling_ ABSL_GUARDED_BY(mutex_) = false;  // there is a full segment to be settled
  bool unsynced_ ABSL_GUARDED_BY(mutex_) = false;  // Sync::kInterval
  int idle_ ABSL_GUARDED_BY(mutex_) = 0;           // of the journal's own threads
  std::uint64_t turns_of_callers_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t seen_turns_of_callers_ ABSL_GUARDED_BY(mutex_) = 0;  // by one of the journal's own threads
  bool look_after_callers_ ABSL_GUARDED_BY(mutex_) = false;          // one of them is to
  bool looking_after_callers_ ABSL_GUARDED_BY(mutex_) = false;       // one of them does
  bool waits_to_sync_ ABSL_GUARDED_BY(mutex_) = false;               // a thread will wake when it is time
  SteadyTime next_sync_ ABSL_GUARDED_BY(mutex_);
  SteadyTime next_attempt_ ABSL_GUARDED_BY(mutex_);
  bool shutdown_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool copying_ ABSL_GUARDED_BY(mutex_) = false;  // for a backup: the log may not be begun anew
  int answering_ ABSL_GUARDED_BY(mutex_) = 0;     // groups that were taken and are not answered
  // Of groups that hold more than appends: these are answered in order.
  std::uint64_t turns_taken_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t turns_over_ ABSL_GUARDED_BY(mutex_) = 0;

  // Of what is done in the background.
  CondVar tend_;                                                      // there is something to do
  CondVar tended_;                                                    // something was done, or failed
  RocksDatabase* tended_database_ ABSL_GUARDED_BY(mutex_) = nullptr;  // null: nothing may be done
  bool tending_ ABSL_GUARDED_BY(mutex_) = false;
  std::size_t settled_segments_ ABSL_GUARDED_BY(mutex_) = 0;  // to be flushed
  std::string flush_failure_ ABSL_GUARDED_BY(mutex_);         // why there is no flush any more
  std::string spare_failure_ ABSL_GUARDED_BY(mutex_);         // why the next segment is not ready
  SteadyTime next_spare_ ABSL_GUARDED_BY(mutex_);

  mutable Mutex database_mutex_;
  mutable CondVar no_readers_;
  std::unique_ptr<RocksDatabase> database_ ABSL_GUARDED_BY(database_mutex_);  // null: being opened anew
  mutable int readers_ ABSL_GUARDED_BY(database_mutex_) = 0;

  mutable Mutex index_mutex_;
  mutable Front dues_ ABSL_GUARDED_BY(index_mutex_);
  mutable Front expiries_ ABSL_GUARDED_BY(index_mutex_);
  std::uint64_t index_changes_ ABSL_GUARDED_BY(index_mutex_) = 0;
  mutable bool expiring_ ABSL_GUARDED_BY(index_mutex_) = false;

  std::vector<std::thread> threads_;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_ROCKS_JOURNAL_H_
