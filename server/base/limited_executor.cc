#include "server/base/limited_executor.h"

#include <utility>

namespace corod {

void LimitedExecutor::Run(std::function<void()> task) {
  {
    const MutexLock lock(queue_->mutex);
    if (queue_->working == limit_) {
      queue_->tasks.push_back(std::move(task));
      return;
    }
    ++queue_->working;
  }
  executor_.Run([queue = queue_, task = std::move(task)] {
    task();
    queue->Work();
  });
}

void LimitedExecutor::Queue::Work() {
  mutex.Lock();
  while (!tasks.empty()) {
    {
      const std::function<void()> task = std::move(tasks.front());
      tasks.pop_front();
      mutex.Unlock();
      task();
    }
    mutex.Lock();
  }
  --working;
  mutex.Unlock();
}

}  // namespace corod
