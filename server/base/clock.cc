#include "server/base/clock.h"

#include "absl/time/clock.h"

namespace corod {

absl::Time SystemClock::Now() const { return absl::Now(); }

}  // namespace corod
