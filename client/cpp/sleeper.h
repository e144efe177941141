#ifndef COROD_CLIENT_CPP_SLEEPER_H_
#define COROD_CLIENT_CPP_SLEEPER_H_

#include "absl/time/time.h"

namespace corod::client {

// How a thread waits between two attempts. Safe from many threads.
class Sleeper {
 public:
  virtual ~Sleeper() = default;
  // Returns after `duration`.
  virtual void Sleep(absl::Duration duration) = 0;
};

// Lets the thread sleep.
class SystemSleeper : public Sleeper {
 public:
  void Sleep(absl::Duration duration) override;
};

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_SLEEPER_H_
