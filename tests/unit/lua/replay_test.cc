// Each attempt of the corpus comes out the same in universes with other addresses and hash seeds: what a session's log
// is run in again.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "server/lua/thread.h"
#include "tests/unit/lua/corpus.h"

namespace corod::lua {
namespace {

// How often each is run again. Those that take a step's whole budget do so with a smaller one.
constexpr int kReplays = 1'000;
constexpr Limits kSmall = {.instructions = 50'000, .memory = std::size_t{512} << 10, .held = std::size_t{128} << 10};
// What runs until the clock ends it is not run again: that is not to the instruction.

class SmallLimits {
 public:
  SmallLimits() { limits = kSmall; }
  ~SmallLimits() { limits = before_; }
  SmallLimits(const SmallLimits&) = delete;
  SmallLimits& operator=(const SmallLimits&) = delete;

 private:
  const Limits before_ = limits;
};

std::uint64_t Fingerprint(const std::vector<std::string>& outcomes) {
  std::uint64_t digest = 0xcbf29ce484222325;
  for (const std::string& outcome : outcomes) {
    for (const char c : outcome + '\n') {
      digest ^= static_cast<unsigned char>(c);
      digest *= 0x100000001b3;
    }
  }
  return digest;
}

// Blocks of memory between those of the next universe.
class Junk {
 public:
  explicit Junk(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < 300; ++i) {
      const std::size_t size = 8 + random() % (i % 50 == 0 ? 100'000 : 400);
      blocks_.push_back(std::make_unique<char[]>(size));
      std::memset(blocks_.back().get(), static_cast<int>(random()), size);
    }
    // Holes for what comes.
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (random() % 2 == 0) blocks_[i].reset();
    }
  }

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;
};

std::vector<std::uint64_t> RunAll(Attempt::Cost cost, std::uint64_t seed) {
  const Junk junk(seed);
  Catalog catalog;
  Scripts scripts(catalog, Scripts::kUnbounded, 1);
  std::vector<std::uint64_t> digests;
  for (const Attempt& attempt : Corpus()) {
    if (attempt.cost == cost) digests.push_back(Fingerprint(Outcomes(catalog, scripts, attempt)));
  }
  return digests;
}

void Replay(Attempt::Cost cost) {
  std::vector<const Attempt*> attempts;
  for (const Attempt& attempt : Corpus()) {
    if (attempt.cost == cost) attempts.push_back(&attempt);
  }
  const std::vector<std::uint64_t> first = RunAll(cost, 0);
  ASSERT_EQ(first.size(), attempts.size());
  for (int i = 1; i <= kReplays; ++i) {
    const std::vector<std::uint64_t> again = RunAll(cost, static_cast<std::uint64_t>(i));
    for (std::size_t each = 0; each < first.size(); ++each) {
      ASSERT_EQ(again[each], first[each]) << attempts[each]->name << ", replay " << i;
    }
  }
}

TEST(ReplayTest, CheapAttemptsComeOutTheSame) { Replay(Attempt::Cost::kLittle); }

TEST(ReplayTest, ExpensiveAttemptsComeOutTheSame) {
  const SmallLimits small;
  Replay(Attempt::Cost::kBudget);
}

}  // namespace
}  // namespace corod::lua
