#ifndef COROD_SERVER_BASE_EXECUTOR_H_
#define COROD_SERVER_BASE_EXECUTOR_H_

#include <functional>

namespace corod {

// Runs what must not run on the thread at hand. Safe from many threads.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `task` later, once, on another thread or at another time; never before Run returns. Tasks of one caller may
  // overtake each other.
  virtual void Run(std::function<void()> task) = 0;
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_EXECUTOR_H_
