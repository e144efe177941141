#include "server/base/worker_pool.h"

#include <chrono>
#include <system_error>
#include <utility>

namespace corod {
namespace {

constexpr std::chrono::seconds kIdle(10);

}  // namespace

WorkerPool::WorkerPool(std::size_t max_threads) : max_threads_(max_threads) {}

WorkerPool::~WorkerPool() { Shutdown(); }

void WorkerPool::Run(std::function<void()> task) {
  {
    const MutexLock lock(mutex_);
    if (!shutdown_) {
      tasks_.push_back({std::move(task), std::chrono::steady_clock::now()});
      oldest_.NoteFirst(tasks_);
      if (idle_ >= tasks_.size()) {
        work_or_shutdown_.NotifyOne();
        return;
      }
      if (threads_.size() >= max_threads_ || StartThread() || !threads_.empty()) return;
      task = std::move(tasks_.back().run);  // there is no thread that would come to it
      tasks_.pop_back();
      oldest_.NoteFirst(tasks_);
    }
  }
  task();
}

std::size_t WorkerPool::Queued() const {
  const MutexLock lock(mutex_);
  return tasks_.size();
}

bool WorkerPool::StartThread() {
  const auto self = threads_.emplace(threads_.end());
  try {
    *self = std::thread([this, self] { Work(self); });
  } catch (const std::system_error&) {
    threads_.erase(self);
    return false;
  }
  return true;
}

void WorkerPool::Work(std::list<std::thread>::iterator self) {
  mutex_.Lock();
  while (true) {
    if (!tasks_.empty()) {
      const std::function<void()> task = std::move(tasks_.front().run);
      tasks_.pop_front();
      oldest_.NoteFirst(tasks_);
      mutex_.Unlock();
      task();
      mutex_.Lock();
      continue;
    }
    if (shutdown_) break;
    ++idle_;
    const bool notified = work_or_shutdown_.WaitFor(mutex_, kIdle);
    --idle_;
    if (!notified && tasks_.empty()) break;
  }
  // Whoever ended before is joined by whoever ends next, the last ones by Shutdown.
  std::list<std::thread> ended;
  ended.swap(ended_);
  ended_.splice(ended_.end(), threads_, self);
  thread_ended_.NotifyAll();
  mutex_.Unlock();
  for (std::thread& thread : ended) thread.join();
}

void WorkerPool::Shutdown() {
  std::list<std::thread> ended;
  {
    const MutexLock lock(mutex_);
    shutdown_ = true;
    work_or_shutdown_.NotifyAll();
    while (!threads_.empty()) thread_ended_.Wait(mutex_);
    ended.swap(ended_);
  }
  for (std::thread& thread : ended) thread.join();
}

}  // namespace corod
