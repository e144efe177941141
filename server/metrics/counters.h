#ifndef COROD_SERVER_METRICS_COUNTERS_H_
#define COROD_SERVER_METRICS_COUNTERS_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/time/time.h"
#include "server/metrics/cells.h"

// What those who count see. Handles of a word, to numbers that stay as long as the Cells that they are made with.
// Thread-safe; adding takes about two nanoseconds and never waits.
namespace corod::metrics {

// Goes up.
class Counter {
 public:
  explicit Counter(Cells& cells) : first_(cells.Allocate(1)) {}

  void Add(std::uint64_t by = 1) const { AddTo(first_, by); }
  std::uint64_t value() const { return SumOf(first_); }

 private:
  Cell* first_;
};

// A counter for each of `n` kinds.
template <typename Kind, std::size_t n>
class CounterBy {
 public:
  static_assert(n <= kSlotCells);
  explicit CounterBy(Cells& cells) : first_(cells.Allocate(n)) {}

  void Add(Kind kind, std::uint64_t by = 1) const { AddTo(first_ + static_cast<std::size_t>(kind), by); }
  std::uint64_t value(Kind kind) const { return SumOf(first_ + static_cast<std::size_t>(kind)); }

 private:
  Cell* first_;
};

// Goes up and down, counted where things begin and end; on different threads if need be.
class Level {
 public:
  explicit Level(Cells& cells) : first_(cells.Allocate(1)) {}

  void Add(std::int64_t by = 1) const { AddTo(first_, static_cast<std::uint64_t>(by)); }
  void Subtract(std::int64_t by = 1) const { Add(-by); }
  // Below 0 for a moment, maybe, while threads add and subtract.
  std::int64_t value() const { return static_cast<std::int64_t>(SumOf(first_)); }

 private:
  Cell* first_;
};

// What is set as a whole, now and then. Unset at first.
class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  std::optional<double> value() const {
    const double value = value_.load(std::memory_order_relaxed);
    return std::isnan(value) ? std::nullopt : std::optional(value);
  }

 private:
  std::atomic<double> value_{std::numeric_limits<double>::quiet_NaN()};
};

// How often values were at most `unit`, 2 * `unit`, 4 * `unit` and so on, `bounds` times, or more; and their sum.
template <std::uint64_t unit, std::size_t bounds>
class Log2Histogram {
 public:
  static constexpr std::size_t kBounds = bounds;
  static constexpr std::uint64_t BoundOf(std::size_t bucket) { return unit << bucket; }

  explicit Log2Histogram(Cells& cells) : first_(cells.Allocate(bounds + 2)) {}

  // `times` values that are the same.
  void ObserveValue(std::uint64_t value, std::uint64_t times = 1) const {
    AddTo(first_ + BucketOf(value), times);
    AddTo(first_ + bounds + 1, value * times);
  }

  struct Snapshot {
    std::array<std::uint64_t, bounds + 1> counts{};  // not cumulative; the last: of what is above all bounds
    std::uint64_t count = 0;                         // of all
    std::uint64_t sum = 0;
  };
  Snapshot Read() const {
    Snapshot snapshot;
    for (std::size_t i = 0; i <= bounds; ++i) {
      snapshot.counts[i] = SumOf(first_ + i);
      snapshot.count += snapshot.counts[i];
    }
    snapshot.sum = SumOf(first_ + bounds + 1);
    return snapshot;
  }

 private:
  static std::size_t BucketOf(std::uint64_t value) {
    if (value == 0) return 0;
    return std::min(static_cast<std::size_t>(std::bit_width((value - 1) / unit)), bounds);
  }

  Cell* first_;
};

// In nanoseconds: from 10 us by powers of two to 42 s.
class LatencyHistogram : public Log2Histogram<10'000, 23> {
 public:
  using Log2Histogram::Log2Histogram;

  // A time below 0, of a clock that was set, is 0.
  void Observe(std::chrono::nanoseconds took, std::uint64_t times = 1) const {
    ObserveValue(static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)), times);
  }
  void Observe(absl::Duration took, std::uint64_t times = 1) const {
    ObserveValue(static_cast<std::uint64_t>(std::max<std::int64_t>(absl::ToInt64Nanoseconds(took), 0)), times);
  }
};

// How many: from 1 by powers of two to 4096.
class SizeHistogram : public Log2Histogram<1, 13> {
 public:
  using Log2Histogram::Log2Histogram;

  void Observe(std::uint64_t size) const { ObserveValue(size); }
};

}  // namespace corod::metrics

#endif  // COROD_SERVER_METRICS_COUNTERS_H_
