#ifndef COROD_CLIENT_CPP_SLEEPER_H_
#define COROD_CLIENT_CPP_SLEEPER_H_

#include <grpcpp/channel.h>

#include "absl/time/time.h"

namespace corod::client {

// How a thread waits between two attempts of a call. Safe from many threads.
class Sleeper {
 public:
  virtual ~Sleeper() = default;
  // Returns after `duration`.
  virtual void Sleep(absl::Duration duration) = 0;
  // Returns when the channel is connected, after `most` at the latest. A channel that was disconnected connects again
  // only while somebody waits for it, and until then calls fail at once.
  virtual void AwaitConnection(grpc::Channel& channel, absl::Duration most) = 0;
};

// Lets the thread wait.
class SystemSleeper : public Sleeper {
 public:
  void Sleep(absl::Duration duration) override;
  void AwaitConnection(grpc::Channel& channel, absl::Duration most) override;
};

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_SLEEPER_H_
