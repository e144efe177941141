#include "client/cpp/retry.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "client/cpp/service_error.h"

namespace corod::client {

namespace {

// How long an attempt waits for the channel to connect again, at most.
constexpr absl::Duration kConnects = absl::Milliseconds(500);

}  // namespace

Retry::Retry(const RetryPolicy& policy, absl::Time deadline, std::shared_ptr<grpc::Channel> channel,
             Dependencies dependencies)
    : policy_(policy), deadline_(deadline), channel_(std::move(channel)), dependencies_(std::move(dependencies)) {}

bool Retry::WaitForNext(const absl::Status& failure) {
  ++attempts_;
  if (!MayPass(failure) || attempts_ >= policy_.max_attempts) return false;
  const absl::Duration delay = NextDelay(ErrorOf(failure).retry_delay);
  if (dependencies_.clock->Now() + delay >= deadline_) return false;
  dependencies_.sleeper->Sleep(delay);
  if (ErrorOf(failure).reason.empty()) {
    dependencies_.sleeper->AwaitConnection(*channel_, std::min(kConnects, deadline_ - dependencies_.clock->Now()));
  }
  return true;
}

absl::Duration Retry::NextDelay(absl::Duration asked) {
  const absl::Duration whole =
      std::min(policy_.first_delay * std::pow(policy_.factor, attempts_ - 1), policy_.max_delay);
  const double part = std::ldexp(static_cast<double>(dependencies_.random->Next() >> 11), -53);  // of 1, evenly
  return std::max(whole / 2 + whole / 2 * part, asked);
}

}  // namespace corod::client
