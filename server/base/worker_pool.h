#ifndef COROD_SERVER_BASE_WORKER_POOL_H_
#define COROD_SERVER_BASE_WORKER_POOL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "server/base/executor.h"
#include "server/base/mutex.h"

namespace corod {

// Threads for steps that take long. A task that finds every thread busy gets a new one while there are few, two for
// each processor: more would not do more unless they wait for something. So beyond that there are new ones when tasks
// wait and for 10 ms no thread has come to one, up to `max_threads`. Then a task waits its turn, as it does when the
// system gives no more threads (without any, the caller of Run runs it). Threads that find nothing to do for a while
// end.
class WorkerPool : public Executor {
 public:
  explicit WorkerPool(std::size_t max_threads);
  // As Shutdown.
  ~WorkerPool() override;

  void Run(std::function<void()> task) override;

  // Runs what is queued, then ends the threads. Tasks that come later are run by the caller of Run.
  void Shutdown();

 private:
  // False if the system gives no more threads.
  bool StartThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The thread that notices when none comes to a task. False as StartThread.
  bool StartWatching() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Work(std::list<std::thread>::iterator self);
  void Watch();

  const std::size_t max_threads_;
  const std::size_t few_;
  Mutex mutex_;
  CondVar work_or_shutdown_;
  CondVar thread_ended_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  std::list<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::list<std::thread> ended_ ABSL_GUARDED_BY(mutex_);  // to be joined
  std::size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;  // tasks
  bool shutdown_ ABSL_GUARDED_BY(mutex_) = false;

  CondVar tasks_wait_;
  bool watching_ ABSL_GUARDED_BY(mutex_) = false;  // tasks wait, and that is known
  std::thread watcher_ ABSL_GUARDED_BY(mutex_);    // if it was ever needed
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_WORKER_POOL_H_
