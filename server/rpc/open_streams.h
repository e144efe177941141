#ifndef COROD_SERVER_RPC_OPEN_STREAMS_H_
#define COROD_SERVER_RPC_OPEN_STREAMS_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"

namespace corod::rpc {

// A stream whose client may stop reading. What it is to be sent is bounded; one that takes nothing of it for too long
// is ended, so that it does not hold that for ever.
class OpenStream : public ReferenceCounted {
 public:
  virtual ~OpenStream() = default;
  // Looks at how it gets on. Called now and then, by one thread.
  virtual void Look(absl::Time now, absl::Duration timeout) = 0;
};

// Finds out, by looking now and then, whether a stream's client takes what is written. Costs the stream a number.
// Not thread-safe.
class Progress {
 public:
  void Wrote() { ++writes_; }
  // `writing`: something is being written. Whether one write has been seen under way for `timeout`; if so, it is asked
  // again after as long a time. Nobody knows when a write began that was not seen before, however long ago that was.
  bool IsStuck(bool writing, absl::Time now, absl::Duration timeout) {
    const bool is_same = writing && was_writing_ && writes_ == seen_;
    was_writing_ = writing;
    seen_ = writes_;
    if (!is_same) since_ = now;
    if (now - since_ < timeout) return false;
    since_ = now;
    return true;
  }

 private:
  std::uint64_t writes_ = 0;
  std::uint64_t seen_ = 0;  // at the last look, as was_writing_
  bool was_writing_ = false;
  absl::Time since_ = absl::InfiniteFuture();
};

// READER_TOO_SLOW.
absl::Status ReaderTooSlow(absl::Duration timeout);

// The streams of a server. Thread-safe.
class OpenStreams {
 public:
  explicit OpenStreams(absl::Duration timeout) : timeout_(timeout) {}
  OpenStreams(const OpenStreams&) = delete;
  OpenStreams& operator=(const OpenStreams&) = delete;

  void Add(OpenStream* stream);
  void Remove(OpenStream* stream);
  // Looks at each, if the last look was a second ago or more; by one thread.
  void Look(absl::Time now);
  absl::Duration timeout() const { return timeout_; }

 private:
  const absl::Duration timeout_;
  absl::Time looked_ = absl::InfinitePast();  // of whoever looks
  Mutex mutex_;
  absl::flat_hash_set<OpenStream*> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_OPEN_STREAMS_H_
