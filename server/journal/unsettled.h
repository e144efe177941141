#ifndef COROD_SERVER_JOURNAL_UNSETTLED_H_
#define COROD_SERVER_JOURNAL_UNSETTLED_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "server/base/compact_text.h"
#include "server/base/mutex.h"

namespace corod {

// The batches that are in the write-ahead log and not in RocksDB yet: by session, in order, where they lie in the log's
// memory. Each belongs to the segment of the log that was the current one when it came; segments are settled in order.
//
// One thread changes it, any reads.
class Unsettled {
 public:
  Unsettled();
  ~Unsettled();
  Unsettled(const Unsettled&) = delete;
  Unsettled& operator=(const Unsettled&) = delete;

  // Held for changes, so that a reader sees several of them as one.
  Mutex& mutex() const ABSL_LOCK_RETURNED(mutex_) { return mutex_; }

  // What comes from now on belongs to another segment.
  void BeginSegment();
  // A batch behind all others of its session. Its bytes stay where they are until its segment is settled.
  void Add(const CompactText& uid, std::uint64_t number, std::string_view batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets those of the session's with lower numbers.
  void Trim(const CompactText& uid, std::uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets all of the session's.
  void Drop(const CompactText& uid) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Whether there is a segment that gets no more batches and has not been settled.
  bool HasFullSegment() const { return segments_.size() > 1; }
  // Takes batches of the oldest segment, about `max_bytes` of them, and calls `settle(uid, number, run)` for the runs
  // that they make; `number` is that of a run's last batch. They stay here until Forget.
  using Settle = std::function<void(const CompactText& uid, std::uint64_t number, std::string_view run)>;
  void Gather(std::size_t max_bytes, const Settle& settle);
  // Forgets what was gathered. True: that was the last of its segment.
  bool Forget() ABSL_LOCKS_EXCLUDED(mutex_);

  // Appends to `run` the session's batches with numbers above `after`, as many as come to about `max_bytes`, at least
  // one if there is one.
  void Read(const CompactText::Key& uid, std::uint64_t after, std::size_t max_bytes, std::string& run) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // The session's last batch.
  std::optional<std::string> FindLast(const CompactText::Key& uid) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Beside the batches.
  std::size_t memory_bytes() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Batch;
  struct Session;
  struct Segment;
  struct HashByUid {
    using is_transparent = void;
    std::size_t operator()(const CompactText::Key& uid) const;
    std::size_t operator()(const std::unique_ptr<Session>& session) const;
  };
  struct SameUid {
    using is_transparent = void;
    bool operator()(const std::unique_ptr<Session>& session, const CompactText::Key& uid) const;
    bool operator()(const std::unique_ptr<Session>& a, const std::unique_ptr<Session>& b) const;
  };

  // Takes the first batch away from its session.
  void ForgetFirst(Session& session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  absl::flat_hash_set<std::unique_ptr<Session>, HashByUid, SameUid> sessions_ ABSL_GUARDED_BY(mutex_);
  // Of the thread that changes it.
  std::deque<std::unique_ptr<Segment>> segments_;
  struct Gathered {
    Session* session;
    std::size_t batches;
  };
  std::vector<Gathered> gathered_;
  std::string run_;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_UNSETTLED_H_
