#ifndef COROD_CLIENT_LOAD_LATENCIES_H_
#define COROD_CLIENT_LOAD_LATENCIES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace corod::load {

// How long many things took: a histogram with buckets that are less than 1 % wide. For one thread.
class Latencies {
 public:
  Latencies();

  // Negative ones count as 0, those above an hour as an hour.
  void Add(absl::Duration latency);
  void Add(const Latencies& other);

  std::uint64_t count() const { return count_; }
  // What a share of `part` (0.99) does not exceed, to 1 %; zero if there are none.
  absl::Duration Quantile(double part) const;
  absl::Duration max() const { return absl::Nanoseconds(max_); }

 private:
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
  std::int64_t max_ = 0;
};

}  // namespace corod::load

#endif  // COROD_CLIENT_LOAD_LATENCIES_H_
