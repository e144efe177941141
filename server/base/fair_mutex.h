#ifndef COROD_SERVER_BASE_FAIR_MUTEX_H_
#define COROD_SERVER_BASE_FAIR_MUTEX_H_

#include <atomic>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "server/base/mutex.h"

namespace corod {

// A mutex that threads get in the order in which they came, so that who holds it for long can let the others through.
class ABSL_LOCKABLE FairMutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION();
  // False, without waiting, if somebody holds it or waits for it.
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true);
  void Unlock() ABSL_UNLOCK_FUNCTION();
  // REQUIRES: the caller holds it.
  bool IsWantedByOthers() const {
    return next_.load(std::memory_order_relaxed) - serving_.load(std::memory_order_relaxed) > 1;
  }

 private:
  // Each thread draws a number and waits for its turn. (Whoever waits has drawn its number before it looks whose turn
  // it is; whoever gives the turn to the next looks afterwards whether there is one.)
  std::atomic<std::uint64_t> next_{0};     // the number that the next to come draws
  std::atomic<std::uint64_t> serving_{0};  // whose turn it is
  Mutex mutex_;                            // for those that wait
  CondVar served_;
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_FAIR_MUTEX_H_
