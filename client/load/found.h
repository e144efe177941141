#ifndef COROD_CLIENT_LOAD_FOUND_H_
#define COROD_CLIENT_LOAD_FOUND_H_

#include <chrono>
#include <cstdint>

#include "absl/time/time.h"
#include "client/load/latencies.h"

namespace corod::load {

// What came of a load.
struct Found {
  std::uint64_t commands = 0;  // that were answered while it ran
  std::uint64_t messages = 0;  // in which those answers came
  absl::Duration took = {};
  Latencies latencies = {};  // of each message

  // Commands a second.
  double rate() const { return static_cast<double>(commands) / absl::ToDoubleSeconds(took); }
};

// A server that answers nothing for so long does not answer.
inline constexpr std::chrono::seconds kPatience{60};
// How often a load that hears nothing looks whether it is to end.
inline constexpr std::chrono::milliseconds kLook{100};

}  // namespace corod::load

#endif  // COROD_CLIENT_LOAD_FOUND_H_
