#ifndef COROD_SERVER_BASE_OLDEST_H_
#define COROD_SERVER_BASE_OLDEST_H_

#include <atomic>
#include <chrono>
#include <cstdint>

#include "absl/time/time.h"

namespace corod {

// Since when the oldest waits of what waits in a queue: whoever holds the queue's lock notes it, anybody may ask.
class Oldest {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void Note(Time since) { since_.store(since.time_since_epoch().count(), std::memory_order_relaxed); }
  void NoteNone() { since_.store(0, std::memory_order_relaxed); }
  // Notes the first of `queue`, of which each was put there at its `since`.
  template <typename Queue>
  void NoteFirst(const Queue& queue) {
    queue.empty() ? NoteNone() : Note(queue.front().since);
  }

  // How long it has waited until now; zero: nothing waits.
  absl::Duration Wait() const {
    const std::int64_t since = since_.load(std::memory_order_relaxed);
    if (since == 0) return absl::ZeroDuration();
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch() - Time::duration(since));
  }

 private:
  std::atomic<std::int64_t> since_{0};
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_OLDEST_H_
