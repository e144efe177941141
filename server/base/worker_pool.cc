#include "server/base/worker_pool.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

namespace corod {
namespace {

constexpr std::chrono::seconds kIdle(10);
constexpr std::chrono::milliseconds kPatience(10);

}  // namespace

WorkerPool::WorkerPool(std::size_t max_threads)
    : max_threads_(max_threads), few_(2 * std::max<std::size_t>(1, std::thread::hardware_concurrency())) {}

WorkerPool::~WorkerPool() { Shutdown(); }

void WorkerPool::Run(std::function<void()> task) {
  {
    const MutexLock lock(mutex_);
    if (!shutdown_) {
      tasks_.push_back(std::move(task));
      if (idle_ >= tasks_.size()) {
        work_or_shutdown_.NotifyOne();
        return;
      }
      if (threads_.size() >= max_threads_) return;
      if (threads_.size() >= few_ && (watching_ || StartWatching())) return;
      if (StartThread() || !threads_.empty()) return;
      task = std::move(tasks_.back());  // there is no thread that would come to it
      tasks_.pop_back();
    }
  }
  task();
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

bool WorkerPool::StartWatching() {
  try {
    if (!watcher_.joinable()) watcher_ = std::thread([this] { Watch(); });
  } catch (const std::system_error&) {
    return false;
  }
  watching_ = true;
  tasks_wait_.NotifyOne();
  return true;
}

void WorkerPool::Watch() {
  const MutexLock lock(mutex_);
  while (!shutdown_) {
    watching_ = !tasks_.empty() && threads_.size() < max_threads_;
    if (!watching_) {
      tasks_wait_.Wait(mutex_);
      continue;
    }
    const std::uint64_t begun = begun_;
    tasks_wait_.WaitFor(mutex_, kPatience);
    if (begun_ != begun || shutdown_) continue;
    std::size_t more = std::min({tasks_.size(), threads_.size(), max_threads_ - threads_.size()});
    while (more > 0 && StartThread()) --more;
  }
}

void WorkerPool::Work(std::list<std::thread>::iterator self) {
  mutex_.Lock();
  while (true) {
    if (!tasks_.empty()) {
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      ++begun_;
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
    tasks_wait_.NotifyOne();
    while (!threads_.empty()) thread_ended_.Wait(mutex_);
    ended.swap(ended_);
    if (watcher_.joinable()) ended.push_back(std::move(watcher_));
  }
  for (std::thread& thread : ended) thread.join();
}

}  // namespace corod
