#ifndef COROD_SERVER_BASE_EXECUTOR_H_
#define COROD_SERVER_BASE_EXECUTOR_H_

#include <functional>

#include "absl/time/time.h"

namespace corod {

// Runs what must not run on the thread at hand. Safe from many threads.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `task` later, once, on another thread or at another time; never before Run returns. Tasks of one caller may
  // overtake each other.
  virtual void Run(std::function<void()> task) = 0;
  // How long the task has waited that is next; zero: none waits. Takes no lock.
  virtual absl::Duration LongestWait() const { return absl::ZeroDuration(); }
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_EXECUTOR_H_
