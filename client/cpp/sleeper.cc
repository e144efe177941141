#include "client/cpp/sleeper.h"

#include "absl/time/clock.h"

namespace corod::client {

void SystemSleeper::Sleep(absl::Duration duration) { absl::SleepFor(duration); }

}  // namespace corod::client
