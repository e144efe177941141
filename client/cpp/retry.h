#ifndef COROD_CLIENT_CPP_RETRY_H_
#define COROD_CLIENT_CPP_RETRY_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cpp/sleeper.h"
#include "server/base/clock.h"
#include "server/base/random.h"

namespace corod::client {

// How often and after how long a call that failed with UNAVAILABLE or RATE_LIMITED is made again.
struct RetryPolicy {
  // The first one included; 1: never again.
  int max_attempts = 10;
  // The wait after the first attempt; each further one is `factor` times as long, up to `max_delay`.
  absl::Duration first_delay = absl::Milliseconds(100);
  absl::Duration max_delay = absl::Seconds(5);
  double factor = 2;
};

// What the library takes from the world, for tests to replace.
struct Dependencies {
  std::shared_ptr<const Clock> clock = std::make_shared<SystemClock>();
  std::shared_ptr<Random> random = std::make_shared<SystemRandom>();
  std::shared_ptr<Sleeper> sleeper = std::make_shared<SystemSleeper>();
};

// The attempts of one call: whether there is another one, and the wait before it. For one thread.
class Retry {
 public:
  // No attempt begins at or after `deadline`. `channel`: over which they are made.
  Retry(const RetryPolicy& policy, absl::Time deadline, std::shared_ptr<grpc::Channel> channel,
        Dependencies dependencies);

  // After an attempt that failed: false if it was the last one. Else waits, and the next one is due.
  //
  // Only what may pass (MayPass) is tried again. The wait is drawn from the upper half of what the policy says,
  // so that clients that failed together do not come back together, and is never shorter than what the service asked
  // for (RetryInfo). After a failure that is not the service's the channel has some more time to connect again.
  bool WaitForNext(const absl::Status& failure);

  // An attempt achieved something: the count and the waits begin anew.
  void Restart() { attempts_ = 0; }

 private:
  absl::Duration NextDelay(absl::Duration asked);

  const RetryPolicy policy_;
  const absl::Time deadline_;
  const std::shared_ptr<grpc::Channel> channel_;
  const Dependencies dependencies_;
  int attempts_ = 0;  // that failed
};

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_RETRY_H_
