#include "server/base/fair_mutex.h"

namespace corod {

void FairMutex::Lock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const MutexLock lock(mutex_);
  const std::uint64_t number = next_++;
  while (serving_ != number) served_.Wait(mutex_);
}

bool FairMutex::TryLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const MutexLock lock(mutex_);
  if (next_ != serving_) return false;
  ++next_;
  return true;
}

void FairMutex::Unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const MutexLock lock(mutex_);
  ++serving_;
  if (next_ != serving_) served_.NotifyAll();
}

}  // namespace corod
