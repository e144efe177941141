#include "server/coroutine/slab.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <utility>
#include <vector>

namespace corod {
namespace {

class SlabTest : public testing::TestWithParam<std::size_t> {};

TEST_P(SlabTest, ObjectsDoNotOverlap) {
  Slab slab(GetParam());
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same each time
  std::vector<std::pair<char*, char>> used;
  std::uniform_int_distribution<int> any(0, 1 << 30);
  const auto check_and_free = [&](std::size_t i) {
    for (std::size_t byte = 0; byte < GetParam(); ++byte) ASSERT_EQ(used[i].first[byte], used[i].second);
    slab.Free(used[i].first);
    used[i] = used.back();
    used.pop_back();
  };
  // Grows to many chunks, shrinks to none, three times.
  for (const int grows : {3, 1, 3, 1, 3, 0}) {
    for (int i = 0; i < 20'000 && (grows != 0 || !used.empty()); ++i) {
      if (used.empty() || any(random) % 4 < grows) {
        auto* object = static_cast<char*>(slab.Allocate());
        const char mark = static_cast<char>(any(random));
        std::memset(object, mark, GetParam());
        used.emplace_back(object, mark);
      } else {
        check_and_free(static_cast<std::size_t>(any(random)) % used.size());
      }
    }
  }
  while (!used.empty()) check_and_free(used.size() - 1);
}

TEST_P(SlabTest, ObjectsAreAligned) {
  Slab slab(GetParam());
  const std::size_t alignment = GetParam() % 16 == 0 ? 16 : 8;
  std::vector<void*> used;
  for (int i = 0; i < 10'000; ++i) {
    used.push_back(slab.Allocate());
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(used.back()) % alignment, 0u);
  }
  for (void* object : used) slab.Free(object);
}

// Under AddressSanitizer what is freed rests for a while.
#if !__has_feature(address_sanitizer)
TEST_P(SlabTest, UsesAgainWhatWasFreed) {
  Slab slab(GetParam());
  void* const first = slab.Allocate();
  slab.Free(first);
  for (int i = 0; i < 1'000; ++i) {
    void* object = slab.Allocate();
    EXPECT_EQ(object, first);
    slab.Free(object);
  }
}

TEST_P(SlabTest, GivesBackWhatIsNotUsed) {
  constexpr std::size_t kRegion = std::size_t{2} << 20;
  const std::size_t objects = 4 * kRegion / GetParam();
  Slab slab(GetParam());
  std::vector<void*> used;
  used.reserve(objects);
  const std::size_t before = SlabBytes();
  for (std::size_t i = 0; i < objects; ++i) used.push_back(slab.Allocate());
  const std::size_t most = SlabBytes() - before;
  EXPECT_GE(most, 3 * kRegion);
  EXPECT_LE(most, 6 * kRegion);
  for (void* object : used) slab.Free(object);
  EXPECT_LE(SlabBytes() - before, kRegion);
}

// Not even one chunk each, which would hold a region.
TEST(SlabsTest, EmptyOnesHoldNothing) {
  constexpr std::size_t kRegion = std::size_t{2} << 20;
  constexpr std::size_t kSize = 64;
  constexpr std::size_t kSlabs = 6;
  std::vector<std::unique_ptr<Slab>> slabs;
  std::vector<std::pair<Slab*, void*>> used;
  const std::size_t before = SlabBytes();
  for (std::size_t i = 0; i < kSlabs; ++i) {  // a region and more of each
    Slab& slab = *slabs.emplace_back(std::make_unique<Slab>(kSize));
    for (std::size_t j = 0; j < kRegion / kSize * 5 / 4; ++j) used.emplace_back(&slab, slab.Allocate());
  }
  EXPECT_GE(SlabBytes() - before, kSlabs * kRegion);
  for (const auto& [slab, object] : used) slab->Free(object);
  EXPECT_LE(SlabBytes(), before + kRegion);
}
#endif

INSTANTIATE_TEST_SUITE_P(Sizes, SlabTest, testing::Values(8, 16, 40, 104, 112, 1024));

}  // namespace
}  // namespace corod
