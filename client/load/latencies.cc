#include "client/load/latencies.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace corod::load {
namespace {

// Each power of two nanoseconds is cut into so many buckets; below that, each nanosecond is one.
constexpr int kBits = 7;
constexpr std::uint64_t kParts = std::uint64_t{1} << kBits;
constexpr std::int64_t kLongest = std::int64_t{3'600} * 1'000'000'000;

std::size_t BucketOf(std::int64_t nanoseconds) {
  const auto value = static_cast<std::uint64_t>(nanoseconds);
  if (value < kParts) return value;
  const int shift = std::bit_width(value) - 1 - kBits;
  return (static_cast<std::size_t>(shift) << kBits) + (value >> shift);
}

// The longest that a bucket holds.
std::int64_t EndOf(std::size_t bucket) {
  if (bucket < kParts) return static_cast<std::int64_t>(bucket);
  const std::size_t shift = (bucket >> kBits) - 1;
  const std::uint64_t begin = (bucket - (shift << kBits)) << shift;
  return static_cast<std::int64_t>(begin + (std::uint64_t{1} << shift) - 1);
}

}  // namespace

Latencies::Latencies() : buckets_(BucketOf(kLongest) + 1) {}

void Latencies::Add(absl::Duration latency) {
  const std::int64_t nanoseconds = std::clamp(absl::ToInt64Nanoseconds(latency), std::int64_t{0}, kLongest);
  ++buckets_[BucketOf(nanoseconds)];
  ++count_;
  max_ = std::max(max_, nanoseconds);
}

void Latencies::Add(const Latencies& other) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

absl::Duration Latencies::Quantile(double part) const {
  const auto rank = static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen > 0 && seen >= rank) return absl::Nanoseconds(std::min(EndOf(i), max_));
  }
  return max();
}

}  // namespace corod::load
