#ifndef COROD_SERVER_SESSION_TROUBLED_SESSIONS_H_
#define COROD_SERVER_SESSION_TROUBLED_SESSIONS_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "server/base/mutex.h"

namespace corod {

// The sessions that are known to have a problem, in memory or not, by their uids: those that were found since the
// server began. Thread-safe.
class TroubledSessions {
 public:
  // False: that was known.
  bool Add(std::string_view uid) {
    const MutexLock lock(mutex_);
    const bool added = uids_.emplace(uid).second;
    size_.store(uids_.size(), std::memory_order_relaxed);
    return added;
  }
  // It is gone. Cheap if there are none.
  void Remove(std::string_view uid) {
    if (size() == 0) return;
    const MutexLock lock(mutex_);
    uids_.erase(std::string(uid));
    size_.store(uids_.size(), std::memory_order_relaxed);
  }
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> size_{0};
  Mutex mutex_;
  absl::flat_hash_set<std::string> uids_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_TROUBLED_SESSIONS_H_
