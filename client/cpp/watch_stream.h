#ifndef COROD_CLIENT_CPP_WATCH_STREAM_H_
#define COROD_CLIENT_CPP_WATCH_STREAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/cpp/connection.h"
#include "client/cpp/read_call.h"
#include "corod/v1/coroutine_service.pb.h"

namespace corod::client {

// Who goes on when the call breaks, or the service says WATCHER_TOO_SLOW.
enum class Resumption : std::uint8_t { kByCaller, kByStream };

struct WatchOptions {
  // The first step to deliver. Unset: only what comes next.
  std::optional<std::uint64_t> from_step = {};
  Resumption resumption = Resumption::kByCaller;
  // With kByStream: how often and after how long. Unset: as the connection's calls.
  std::optional<RetryPolicy> retry = {};
  // With kByStream: told of each break before the wait for the next attempt, on the thread in Next.
  std::function<void(const absl::Status& why)> on_break = {};
};

// A session's steps by the Watch RPC, each once and in their order: those kept from `from_step` on, then those to come.
//
//     WatchStream watch(connection, "room-1", {.from_step = 1, .resumption = Resumption::kByStream});
//     while (true) {
//       absl::StatusOr<std::optional<v1::Event>> event = watch.Next();
//       if (!event.ok() || !*event) break;
//       Use(**event);
//     }
//
// By the stream, UNAVAILABLE and WATCHER_TOO_SLOW are followed by another call from the step after the last one, as
// often as the retry policy says; each event begins the count anew. A break before the first event of a stream without
// `from_step` may lose steps: one more than Get's `steps` is a from_step that does not.
//
// Thread safety: one thread calls Next and resume_step, any may Cancel. Makes its first call in Next.
class WatchStream {
 public:
  WatchStream(std::shared_ptr<Connection> connection, std::string session_id, WatchOptions options = {});
  WatchStream(const WatchStream&) = delete;
  WatchStream& operator=(const WatchStream&) = delete;

  // The next step; waits for it. nullopt: the service ended the stream, as nothing will follow. A failure is final;
  // HISTORY_TRIMMED if the step is not kept any more. Idempotency: reads.
  absl::StatusOr<std::optional<v1::Event>> Next();

  // The from_step of a stream that goes on where this one stands, without gap or repeat: after the last event, else as
  // asked for, else as WATCHER_TOO_SLOW says ("resume_step" in its metadata). Unset: what comes next.
  std::optional<std::uint64_t> resume_step() const { return resume_step_; }

  // Ends the stream soon: a Next that waits, and all that follow, return CANCELLED.
  void Cancel() { calls_.Cancel(); }
  bool cancelled() const { return calls_.cancelled(); }

 private:
  // After the call ended with `status`: whether another one is due.
  bool WaitForNext(const absl::Status& status);

  const std::shared_ptr<Connection> connection_;
  const std::string session_id_;
  const WatchOptions options_;
  std::optional<std::uint64_t> resume_step_;
  Retry retry_;
  std::optional<absl::Status> result_;  // set when the stream has ended
  ReadCalls<v1::WatchResponse> calls_;
};

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_WATCH_STREAM_H_
