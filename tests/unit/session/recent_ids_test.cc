#include "server/session/recent_ids.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"

namespace corod {
namespace {

class Entry {
 public:
  Entry() = default;
  Entry(const std::string& id, int number) : id_(id), number_(number) {}

  const CompactText& id() const { return id_; }
  int number() const { return number_; }

 private:
  CompactText id_;
  int number_ = 0;
};

// Of each kind that a CompactText has: short, a UUID, on the heap.
std::string IdOf(int number) {
  switch (number % 3) {
    case 0:
      return absl::StrFormat("id %d", number);
    case 1:
      return absl::StrFormat("01234567-89ab-4def-8000-%012x", number);
    default:
      return absl::StrFormat("an id that is longer than what a text holds by itself: %d", number);
  }
}

std::optional<int> Find(const RecentIds<Entry>& ids, const std::string& id) {
  const Entry* found = ids.Find(CompactText::Key(id));
  return found ? std::optional<int>(found->number()) : std::nullopt;
}

TEST(RecentIdsTest, IsAQueueThatFindsByIdAtEverySize) {
  RecentIds<Entry> ids;
  std::deque<int> expected;
  std::mt19937 random(1);
  int next = 0;
  // Up to a size and down to none again, each time larger; on the way it wraps around.
  for (const std::size_t most : {1U, 3U, 8U, 9U, 40U, 300U}) {
    for (int i = 0; i < 3'000; ++i) {
      const bool adds = expected.empty() || (expected.size() < most && random() % 2 == 0);
      if (adds) {
        ids.Add(Entry(IdOf(next), next));
        expected.push_back(next++);
      } else {
        ids.RemoveOldest();
        expected.pop_front();
      }
      ASSERT_EQ(ids.size(), expected.size());
      for (const std::size_t at : {std::size_t{0}, expected.size() / 2, expected.size() - 1}) {
        if (at >= expected.size()) continue;
        ASSERT_EQ(ids[at].number(), expected[at]);
        ASSERT_EQ(Find(ids, IdOf(expected[at])), expected[at]);
      }
      ASSERT_EQ(Find(ids, IdOf(next)), std::nullopt);
      if (!expected.empty() && expected.front() > 0) {
        ASSERT_EQ(Find(ids, IdOf(expected.front() - 1)), std::nullopt);
      }
    }
    while (expected.size() < most) {
      ids.Add(Entry(IdOf(next), next));
      expected.push_back(next++);
    }
    for (std::size_t i = 0; i < most; ++i) {
      ASSERT_EQ(ids[i].number(), expected[i]);
      ASSERT_EQ(Find(ids, IdOf(expected[i])), expected[i]);
    }
    for (; !expected.empty(); expected.pop_front()) ids.RemoveOldest();
    EXPECT_EQ(ids.size(), 0);
    EXPECT_EQ(Find(ids, IdOf(next - 1)), std::nullopt);
  }
}

}  // namespace
}  // namespace corod
