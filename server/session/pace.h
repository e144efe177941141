#ifndef COROD_SERVER_SESSION_PACE_H_
#define COROD_SERVER_SESSION_PACE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace corod {

// How long the steps of one definition take, which decides where they run: on the thread at hand if they are known to
// be quick (and the definition says that they never block), else on the executor, since a thread of gRPC's that is busy
// stalls every call of its channel. A definition is quick once 32 steps took less than 100 µs on average, until one
// takes more than 10 ms. Thread-safe; approximate under contention.
class Pace {
 public:
  // `learns`: each time that it turns out not to be quick, it takes twice as many steps until it is again. For those
  // that may be made to look quick, as scripts may.
  explicit Pace(bool learns) : learns_(learns) {}
  Pace() : Pace(false) {}

  bool IsQuick() const {
    return samples_.load(std::memory_order_relaxed) >= enough_.load(std::memory_order_relaxed) &&
           average_ns_.load(std::memory_order_relaxed) < kQuickNs;
  }

  // It is not known to be better since a step took long.
  bool IsSlow() const {
    const std::uint32_t enough = enough_.load(std::memory_order_relaxed);
    return average_ns_.load(std::memory_order_relaxed) > kSlowNs ||
           (enough > kEnough && samples_.load(std::memory_order_relaxed) < enough);
  }

  // How many steps take about so long; at least one. Any number while nothing is known.
  std::uint32_t StepsWithin(absl::Duration duration) const {
    const std::int64_t average = average_ns_.load(std::memory_order_relaxed);
    const std::int64_t steps = absl::ToInt64Nanoseconds(duration) / std::max<std::int64_t>(average, 1);
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(steps, 1, std::numeric_limits<std::uint32_t>::max()));
  }

  void Record(absl::Duration step) {
    const std::int64_t ns = absl::ToInt64Nanoseconds(step);
    const std::uint32_t enough = enough_.load(std::memory_order_relaxed);
    if (ns > kSlowNs) {
      samples_.store(0, std::memory_order_relaxed);
      average_ns_.store(ns, std::memory_order_relaxed);  // until there are others
      if (learns_ && enough < kMost) enough_.store(2 * enough, std::memory_order_relaxed);
      return;
    }
    const std::int64_t average = average_ns_.load(std::memory_order_relaxed);
    const std::uint32_t samples = samples_.load(std::memory_order_relaxed);
    if (samples >= enough && ns < kQuickNs && average < kQuickNs) return;  // quick as before: nothing to write
    average_ns_.store(samples == 0 ? ns : average + (ns - average) / 8, std::memory_order_relaxed);
    if (samples < enough) samples_.store(samples + 1, std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint32_t kEnough = 32;
  static constexpr std::uint32_t kMost = 1 << 20;
  static constexpr std::int64_t kQuickNs = 100'000;
  static constexpr std::int64_t kSlowNs = 10'000'000;

  const bool learns_;
  std::atomic<std::uint32_t> enough_{kEnough};
  std::atomic<std::int64_t> average_ns_{0};
  std::atomic<std::uint32_t> samples_{0};
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_PACE_H_
