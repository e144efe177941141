#include "server/base/fair_mutex.h"

namespace corod {

void FairMutex::Lock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const std::uint64_t number = next_.fetch_add(1);
  if (serving_.load() == number) return;
  const MutexLock lock(mutex_);
  while (serving_.load() != number) served_.Wait(mutex_);
}

bool FairMutex::TryLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  std::uint64_t number = serving_.load();
  return next_.compare_exchange_strong(number, number + 1);
}

void FairMutex::Unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const std::uint64_t next = serving_.load(std::memory_order_relaxed) + 1;
  serving_.store(next);
  if (next_.load() == next) return;
  const MutexLock lock(mutex_);
  served_.NotifyAll();
}

}  // namespace corod
