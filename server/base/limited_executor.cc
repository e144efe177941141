#include "server/base/limited_executor.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace corod {

void LimitedExecutor::Run(std::function<void()> task) {
  {
    const MutexLock lock(queue_->mutex);
    if (queue_->working == limit_) {
      queue_->tasks.push_back({std::move(task), std::chrono::steady_clock::now()});
      queue_->oldest.NoteFirst(queue_->tasks);
      return;
    }
    ++queue_->working;
  }
  executor_.Run([queue = queue_, task = std::move(task)] {
    task();
    queue->Work();
  });
}

absl::Duration LimitedExecutor::LongestWait() const { return std::max(queue_->oldest.Wait(), executor_.LongestWait()); }

void LimitedExecutor::Queue::Work() {
  mutex.Lock();
  while (!tasks.empty()) {
    {
      const std::function<void()> task = std::move(tasks.front().run);
      tasks.pop_front();
      oldest.NoteFirst(tasks);
      mutex.Unlock();
      task();
    }
    mutex.Lock();
  }
  --working;
  mutex.Unlock();
}

}  // namespace corod
