#ifndef COROD_SERVER_BASE_FAIR_MUTEX_H_
#define COROD_SERVER_BASE_FAIR_MUTEX_H_

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

 private:
  Mutex mutex_;
  CondVar served_;
  std::uint64_t next_ ABSL_GUARDED_BY(mutex_) = 0;     // the number that the next to come draws
  std::uint64_t serving_ ABSL_GUARDED_BY(mutex_) = 0;  // whose turn it is
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_FAIR_MUTEX_H_
