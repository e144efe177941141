#ifndef COROD_SERVER_JOURNAL_SESSION_COUNTS_H_
#define COROD_SERVER_JOURNAL_SESSION_COUNTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "server/base/mutex.h"

namespace corod {

// The beginning of an id up to its second '/', if it begins with one; else empty.
inline std::string_view PrefixIn(std::string_view id) {
  if (!id.starts_with('/')) return {};
  return id.substr(0, id.find('/', 1) + 1);
}

// How many sessions there are of each prefix. Thread-safe.
class SessionCounts {
 public:
  using Counts = std::map<std::string, std::int64_t, std::less<>>;

  void Set(Counts counts) {
    const MutexLock lock(mutex_);
    counts_ = std::move(counts);
  }
  void Add(const Counts& more) {
    const MutexLock lock(mutex_);
    for (const auto& [prefix, count] : more) counts_[prefix] += count;
  }
  std::size_t Of(std::string_view prefix) const {
    const MutexLock lock(mutex_);
    const auto found = counts_.find(prefix);
    return found == counts_.end() ? 0 : static_cast<std::size_t>(found->second);
  }
  // Of all that have one.
  std::size_t Prefixed() const {
    const MutexLock lock(mutex_);
    std::int64_t all = 0;
    for (const auto& [prefix, count] : counts_) all += prefix.empty() ? 0 : count;
    return static_cast<std::size_t>(all);
  }

 private:
  mutable Mutex mutex_;
  Counts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_SESSION_COUNTS_H_
