#ifndef COROD_SERVER_BASE_WORKER_POOL_H_
#define COROD_SERVER_BASE_WORKER_POOL_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "server/base/executor.h"
#include "server/base/mutex.h"
#include "server/base/oldest.h"

namespace corod {

// Threads for steps that take long. A task that finds every thread busy gets a new one, up to `max_threads`; then it
// waits its turn, as it does when the system gives no more threads (without any, the caller of Run runs it). Threads
// that find nothing to do for a while end.
class WorkerPool : public Executor {
 public:
  explicit WorkerPool(std::size_t max_threads);
  // As Shutdown.
  ~WorkerPool() override;

  void Run(std::function<void()> task) override;
  absl::Duration LongestWait() const override { return oldest_.Wait(); }

  // How many tasks wait for a thread.
  std::size_t Queued() const;

  // Runs what is queued, then ends the threads. Tasks that come later are run by the caller of Run.
  void Shutdown();

 private:
  struct Task {
    std::function<void()> run;
    Oldest::Time since;
  };

  // False if the system gives no more threads.
  bool StartThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Work(std::list<std::thread>::iterator self);

  const std::size_t max_threads_;
  mutable Mutex mutex_;
  CondVar work_or_shutdown_;
  CondVar thread_ended_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  Oldest oldest_;  // of tasks_
  std::list<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::list<std::thread> ended_ ABSL_GUARDED_BY(mutex_);  // to be joined
  std::size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool shutdown_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_WORKER_POOL_H_
