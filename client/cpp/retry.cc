#include "client/cpp/retry.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "client/cpp/service_error.h"

namespace corod::client {

Retry::Retry(const RetryPolicy& policy, absl::Time deadline, Dependencies dependencies)
    : policy_(policy), deadline_(deadline), dependencies_(std::move(dependencies)) {}

bool Retry::WaitForNext(const absl::Status& failure) {
  ++attempts_;
  if (!MayPass(failure) || attempts_ >= policy_.max_attempts) return false;
  const absl::Duration delay = NextDelay(ErrorOf(failure).retry_delay);
  if (dependencies_.clock->Now() + delay >= deadline_) return false;
  dependencies_.sleeper->Sleep(delay);
  return true;
}

absl::Duration Retry::NextDelay(absl::Duration asked) {
  const absl::Duration whole =
      std::min(policy_.first_delay * std::pow(policy_.factor, attempts_ - 1), policy_.max_delay);
  const double part = std::ldexp(static_cast<double>(dependencies_.random->Next() >> 11), -53);  // of 1, evenly
  return std::max(whole / 2 + whole / 2 * part, asked);
}

}  // namespace corod::client
