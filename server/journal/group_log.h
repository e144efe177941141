#ifndef COROD_SERVER_JOURNAL_GROUP_LOG_H_
#define COROD_SERVER_JOURNAL_GROUP_LOG_H_

#include <rocksdb/file_system.h>
#include <rocksdb/io_status.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/base/mutex.h"

namespace corod {

namespace metrics {
struct JournalMetrics;
}  // namespace metrics

// A write-ahead log: records, each whole or not at all, in segments that are files of one size. A segment is written
// full of zeros before it is used, and used again when nothing needs its records any more, so that a sync writes data
// and nothing of the file system's (docs/journal.md has the bytes).
//
// Two threads use it: the *writer*, which appends, and one in the *background*, which gets the next segment ready and
// takes back what was retired. Sync may be called by others, too. When a call of the writer's has failed, all that is
// allowed is to destroy it; one of the background's may be made again.
class GroupLog {
 public:
  struct Options {
    std::shared_ptr<rocksdb::FileSystem> file_system;
    std::string directory;
    std::size_t segment_bytes = std::size_t{8} << 20;
    const metrics::JournalMetrics* metrics = nullptr;  // of what is written and synced; null: nothing is counted
  };

  explicit GroupLog(Options options);
  ~GroupLog();
  GroupLog(const GroupLog&) = delete;
  GroupLog& operator=(const GroupLog&) = delete;

  // Reads what the log holds, and makes it stable: it is what every later Open finds, until Begin.
  rocksdb::IOStatus Open();
  // The records that Open found, in order. They stand until Begin.
  const std::vector<std::string_view>& found() const { return found_; }
  // Where a log ends that is not whole, for people; empty: it is whole.
  const std::string& damage() const { return damage_; }

  // Forgets all records, for good, and begins an empty log. Also later, by the writer, while there is nothing in the
  // background.
  rocksdb::IOStatus Begin();

  // Writer. Whether a record of `bytes` goes into the current segment.
  bool HasRoom(std::size_t bytes) const;
  // Writer. Begins the next segment, with room for a record of `bytes`. REQUIRES: SpareIsReady(), or
  // NeedsOwnSegment(bytes).
  rocksdb::IOStatus Turn(std::size_t bytes);
  bool NeedsOwnSegment(std::size_t bytes) const;
  bool SpareIsReady() const;
  // Writer. REQUIRES: HasRoom. `*where`: the record in memory, until its segment is recycled.
  rocksdb::IOStatus Append(std::string_view record, std::string_view* where);
  // Makes all that was appended stable. Fails for ever once it has failed: what was to be written then may never be.
  rocksdb::IOStatus Sync();

  // How many segments stand before the current one.
  std::size_t full_segments() const;

  // Background. Gets the next segment ready.
  rocksdb::IOStatus PrepareSpare();
  // Background. Forgets the records of the oldest segment. REQUIRES: it is not the current one.
  rocksdb::IOStatus RecycleOldest();

  // While it lives, what is recycled stays as it is, so that CopyTo finds it. One at a time; any thread.
  class Hold {
   public:
    explicit Hold(GroupLog& log);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    // Writes what the log holds, with all that has been recycled meanwhile, into `directory`, which is made: a log to
    // be opened. Synced, but for the name of the directory. Others may append and recycle meanwhile.
    rocksdb::IOStatus CopyTo(const std::string& directory) const;

   private:
    GroupLog& log_;
  };

  // Of the segments' copies in memory.
  std::size_t memory_bytes() const;

 private:
  struct Segment;

  static std::string PathOf(const std::string& directory, std::uint64_t file);
  std::string PathOf(std::uint64_t file) const { return PathOf(options_.directory, file); }
  // A file full of zeros.
  rocksdb::IOStatus Make(std::size_t bytes, std::shared_ptr<Segment>* made);
  rocksdb::IOStatus Load(std::uint64_t file, std::shared_ptr<Segment>* loaded);
  // What the segment is to be from now on. Synced.
  rocksdb::IOStatus WriteHeader(Segment& segment, std::uint64_t generation);
  rocksdb::IOStatus WriteRecord(Segment& segment, std::string_view record, std::string_view* where);
  // The first record of a segment.
  rocksdb::IOStatus BeginSegment(Segment& segment, std::uint64_t end_of_last);
  rocksdb::IOStatus Remove(std::uint64_t file);
  // Takes a file of the right size that is not used, or makes one.
  rocksdb::IOStatus TakeFile(std::shared_ptr<Segment>* taken);
  rocksdb::IOStatus SyncDirectory(const std::string& directory) const;
  // Uses the file of a segment that is not needed again, or tells that it is to be removed. REQUIRES: it is in no list.
  bool TakeBack(std::shared_ptr<Segment>& segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  rocksdb::IOStatus SyncSegments() ABSL_EXCLUSIVE_LOCKS_REQUIRED(sync_mutex_);

  const Options options_;
  // Open's.
  std::vector<std::string_view> found_;
  std::string damage_;
  std::vector<std::shared_ptr<Segment>> loaded_;

  Mutex sync_mutex_;  // before mutex_
  rocksdb::IOStatus sync_failure_ ABSL_GUARDED_BY(sync_mutex_);
  mutable Mutex mutex_;
  std::uint64_t last_file_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t last_generation_ ABSL_GUARDED_BY(mutex_) = 0;          // that any file has seen
  std::deque<std::shared_ptr<Segment>> used_ ABSL_GUARDED_BY(mutex_);  // the last one is the current one
  std::shared_ptr<Segment> spare_ ABSL_GUARDED_BY(mutex_);             // ready for the generation that comes next
  std::vector<std::shared_ptr<Segment>> free_ ABSL_GUARDED_BY(mutex_);
  bool holds_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<Segment>> held_ ABSL_GUARDED_BY(mutex_);  // recycled while somebody holds
  Segment* current_ = nullptr;                                          // the writer's
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_GROUP_LOG_H_
