#include "client/cpp/watch_stream.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "client/cpp/service_error.h"

namespace corod::client {

WatchStream::WatchStream(std::shared_ptr<Connection> connection, std::string session_id, WatchOptions options)
    : connection_(std::move(connection)),
      session_id_(std::move(session_id)),
      options_(std::move(options)),
      resume_step_(options_.from_step),
      retry_(options_.retry ? connection_->NewRetry(*options_.retry, absl::InfiniteFuture())
                            : connection_->NewRetry(absl::InfiniteFuture())) {}

absl::StatusOr<std::optional<v1::Event>> WatchStream::Next() {
  while (!result_) {
    if (!calls_.is_open()) {
      v1::WatchRequest request;
      request.set_session_id(session_id_);
      if (resume_step_) request.set_from_step(*resume_step_);
      calls_.Open(connection_->OpenWatch(request));
    }
    v1::WatchResponse response;
    if (calls_.Read(&response)) {
      v1::Event& event = *response.mutable_event();
      if (resume_step_ && event.step() < *resume_step_) continue;  // had it
      resume_step_ = event.step() + 1;
      retry_.Restart();
      return std::optional<v1::Event>(std::move(event));
    }
    const absl::Status status = calls_.status();
    if (!WaitForNext(status)) result_ = status;
  }
  if (!result_->ok()) return *result_;
  return std::optional<v1::Event>();
}

bool WatchStream::WaitForNext(const absl::Status& status) {
  if (status.ok() || calls_.cancelled()) return false;
  const ServiceError error = ErrorOf(status);
  const bool too_slow = error.reason == "WATCHER_TOO_SLOW";
  if (too_slow && !resume_step_) {
    const auto found = error.metadata.find("resume_step");
    std::uint64_t step = 0;
    if (found != error.metadata.end() && absl::SimpleAtoi(found->second, &step)) resume_step_ = step;
  }
  if (options_.resumption == Resumption::kByCaller) return false;
  if (!too_slow && !IsAway(status)) return false;
  if (options_.on_break) options_.on_break(status);
  // A watcher that was too slow is let in again as one whose connection broke.
  const bool again = retry_.WaitForNext(too_slow ? absl::UnavailableError(status.message()) : status);
  return again && !calls_.cancelled();
}

}  // namespace corod::client
