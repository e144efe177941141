#ifndef COROD_CLIENT_LOAD_UNARY_LOAD_H_
#define COROD_CLIENT_LOAD_UNARY_LOAD_H_

#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/load/found.h"

namespace grpc {
class Channel;
}

namespace corod::load {

// Makes unary calls of one method, with requests that were serialized before: one connection, a thread that takes the
// answers and makes the next calls.
class UnaryLoad {
 public:
  // Looks at an answer; an error ends the load.
  using Check = absl::Status (*)(grpc::ByteBuffer& response);
  // nullptr: any answer is fine, as long as the call is.
  static constexpr Check kAnyAnswer = nullptr;

  // Whether a call that is answered with NOT_FOUND ends the load.
  enum class Absent : std::uint8_t { kIsAnError, kIsFine };

  // Whether a call that the service refuses for a reason of its own ends the load, or is counted by its reason.
  enum class Refusal : std::uint8_t { kIsAnError, kIsCounted };

  // What becomes of a call that is due while as many as there may be are under way: it is made later, which counts as
  // its latency, or never, and is counted.
  enum class Beyond : std::uint8_t { kIsLate, kIsDropped };

  struct Options {
    std::string method;  // "/corod.v1.CoroutineService/Send"
    Check check = kAnyAnswer;
    int outstanding = 64;
    Absent absent = Absent::kIsAnError;
    Refusal refusal = Refusal::kIsAnError;
    // With a rate: how many calls may be under way.
    std::size_t most_at_rate = 4'096;
    Beyond beyond = Beyond::kIsLate;
  };

  // Copies of `requests` share their bytes. REQUIRES: there are some.
  UnaryLoad(std::shared_ptr<grpc::Channel> channel, std::vector<grpc::ByteBuffer> requests, Options options);
  ~UnaryLoad();
  UnaryLoad(const UnaryLoad&) = delete;
  UnaryLoad& operator=(const UnaryLoad&) = delete;

  // As many calls as are answered within `duration`, `outstanding` at a time; an answer's latency is from its call's
  // start. The requests come in their order, again from the first after the last; a next run goes on behind the one
  // before it.
  absl::StatusOr<Found> Run(absl::Duration duration);

  // `rate` calls a second, whatever becomes of those before (`outstanding` does not bind them); an answer's latency is
  // from the moment at which its call was due, so that a server that stalls is not asked less. At most `most_at_rate`
  // are under way.
  absl::StatusOr<Found> RunAtRate(absl::Duration duration, double rate);

  // Each request once.
  absl::StatusOr<Found> RunOnce();

  // Ends the run, or the next one, as if its time were over. From any thread.
  void Stop() { stopped_.store(true, std::memory_order_relaxed); }

 private:
  class Calls;

  absl::StatusOr<Found> RunClosed(absl::Duration duration, std::uint64_t count);

  const std::shared_ptr<grpc::Channel> channel_;
  const std::vector<grpc::ByteBuffer> requests_;
  const Options options_;
  std::size_t next_ = 0;
  std::atomic<bool> stopped_ = false;
};

}  // namespace corod::load

#endif  // COROD_CLIENT_LOAD_UNARY_LOAD_H_
