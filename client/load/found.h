#ifndef COROD_CLIENT_LOAD_FOUND_H_
#define COROD_CLIENT_LOAD_FOUND_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "client/load/latencies.h"

namespace corod::load {

// What came of a load.
struct Found {
  std::uint64_t commands = 0;  // that were answered while it ran
  std::uint64_t messages = 0;  // in which those answers came
  absl::Duration took = {};
  Latencies latencies = {};  // of each message
  // Where the load is asked to count them, calls that were not made, and refused ones by their reasons.
  std::uint64_t dropped = 0;
  std::map<std::string, std::uint64_t> refused = {};

  // Commands a second.
  double rate() const { return static_cast<double>(commands) / absl::ToDoubleSeconds(took); }
};

// A server that answers nothing for so long does not answer.
inline constexpr std::chrono::seconds kPatience{60};
// How often a load that hears nothing looks whether it is to end.
inline constexpr std::chrono::milliseconds kLook{100};

}  // namespace corod::load

#endif  // COROD_CLIENT_LOAD_FOUND_H_
