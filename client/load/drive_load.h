#ifndef COROD_CLIENT_LOAD_DRIVE_LOAD_H_
#define COROD_CLIENT_LOAD_DRIVE_LOAD_H_

#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/load/found.h"

namespace grpc {
class Channel;
}

namespace corod::load {

// Keeps Drive streams busy with messages that were serialized before: one connection, one thread.
class DriveLoad {
 public:
  struct Options {
    std::size_t batch = 100;  // commands in each message
    int streams = 1;
    int outstanding = 8;  // messages on each stream that are not answered in full
  };

  // Copies of `requests` share their bytes. REQUIRES: there are some.
  DriveLoad(std::shared_ptr<grpc::Channel> channel, std::vector<grpc::ByteBuffer> requests, Options options);
  ~DriveLoad();
  DriveLoad(const DriveLoad&) = delete;
  DriveLoad& operator=(const DriveLoad&) = delete;

  // As many messages as are answered within `duration`. A message's latency is from its write to the moment at which as
  // many replies have come on its stream as commands had been written up to its end. The requests come in their order,
  // again from the first after the last; a next run goes on behind the one before it. Fails if a reply is no yield.
  absl::StatusOr<Found> Run(absl::Duration duration);

  // Each request once.
  absl::StatusOr<Found> RunOnce();

  // Ends the run, or the next one, as if its time were over. From any thread.
  void Stop() { stopped_.store(true, std::memory_order_relaxed); }

 private:
  class Streams;

  const std::shared_ptr<grpc::Channel> channel_;
  const std::vector<grpc::ByteBuffer> requests_;
  const Options options_;
  std::size_t next_ = 0;
  std::atomic<bool> stopped_ = false;
};

}  // namespace corod::load

#endif  // COROD_CLIENT_LOAD_DRIVE_LOAD_H_
