#ifndef COROD_SERVER_CATALOG_BUILTIN_EXACT_STATISTICS_H_
#define COROD_SERVER_CATALOG_BUILTIN_EXACT_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/coroutine/value.h"

namespace corod::builtin {

// A sum of numbers without any rounding, so that what was added can be subtracted again and leaves no trace: a
// fixed-point number as wide as its summands ask for (at most some 70 words).
class ExactSum {
 public:
  // sign * magnitude * 2^exponent. REQUIRES: magnitude < 2^106.
  struct Term {
    unsigned __int128 magnitude;
    int exponent;
    bool negative;
  };

  // A natural number times 2^(64 * exponent), with a sign. Lowest word first, without zero words at either end.
  struct Total {
    std::vector<std::uint64_t> words;
    int exponent = 0;
    bool negative = false;
  };

  void Add(Term term);
  Total total() const;

  Value Save() const;
  static ExactSum Load(const Value& saved);

 private:
  // Makes room for the words of the exponents `lowest` to `highest`.
  void Cover(int lowest, int highest);

  // Two's complement, lowest word first. The highest word is all zeros or all ones: the sign.
  std::vector<std::uint64_t> words_;
  int exponent_ = 0;  // words_[0] counts 2^(64 * exponent_)
};

// The mean, the variance and the standard deviation of numbers that come and go: the exact value, rounded once,
// whatever the numbers were and however many have gone. That is what Python's `statistics` computes, to the last bit.
class ExactStatistics {
 public:
  // REQUIRES: `number` is finite.
  void Add(double number);
  // REQUIRES: `number` was added and not removed since.
  void Remove(double number);

  std::int64_t count() const { return count_; }

  struct Result {
    double mean;
    // Of a sample: divided by count - 1. 0 if there is one number. Infinite if it is too large for a double.
    double variance;
    double standard_deviation;
  };
  // REQUIRES: count() > 0.
  Result Compute() const;

  // For Kept (kept.h).
  Value Save() const;
  static ExactStatistics Load(const Value& saved);

 private:
  ExactSum sum_;
  ExactSum squares_;
  std::int64_t count_ = 0;
};

}  // namespace corod::builtin

#endif  // COROD_SERVER_CATALOG_BUILTIN_EXACT_STATISTICS_H_
