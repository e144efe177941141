#ifndef COROD_SERVER_BASE_LIMITED_EXECUTOR_H_
#define COROD_SERVER_BASE_LIMITED_EXECUTOR_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "server/base/executor.h"
#include "server/base/mutex.h"
#include "server/base/oldest.h"

namespace corod {

// Runs tasks on another executor, `limit` at a time, the others in order behind them: for many that are short, of which
// each would get a thread of its own there. A task must not wait for another one. May be gone before its tasks have
// run.
class LimitedExecutor : public Executor {
 public:
  LimitedExecutor(Executor& executor, std::size_t limit) : executor_(executor), limit_(limit) {}

  void Run(std::function<void()> task) override;
  // Here, or on the other executor.
  absl::Duration LongestWait() const override;

 private:
  struct Task {
    std::function<void()> run;
    Oldest::Time since;
  };
  struct Queue {
    void Work();

    Mutex mutex;
    std::deque<Task> tasks ABSL_GUARDED_BY(mutex);  // behind those that are at work
    Oldest oldest;                                  // of tasks
    std::size_t working ABSL_GUARDED_BY(mutex) = 0;
  };

  Executor& executor_;
  const std::size_t limit_;
  const std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_LIMITED_EXECUTOR_H_
