#ifndef COROD_SERVER_BASE_CLOCK_H_
#define COROD_SERVER_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace corod {

// Where the time comes from. Safe from many threads.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

// The machine's.
class SystemClock : public Clock {
 public:
  absl::Time Now() const override;
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_CLOCK_H_
