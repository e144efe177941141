#include "server/coroutine/map.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/coroutine/text_form.h"

namespace corod {
namespace {

std::string Key(int i) { return "key " + std::to_string(i); }

Map MapOf(int size) {
  Map map;
  for (int i = 0; i < size; ++i) map[Key(i)] = i;
  return map;
}

TEST(MapTest, EntriesKeepTheOrderInWhichTheyCame) {
  const Map map{{"b", 1}, {"a", 2}, {"c", 3}};
  EXPECT_EQ(Repr(map), "{'b': 1, 'a': 2, 'c': 3}");
}

TEST(MapTest, SettingAKeyAgainKeepsItsPlace) {
  Map map{{"b", 1}, {"a", 2}};
  map["b"] = 3;
  EXPECT_EQ(Repr(map), "{'b': 3, 'a': 2}");
}

TEST(MapTest, OfEqualKeysInAnInitialiserTheLastValueCounts) {
  EXPECT_EQ(Repr(Map({{"a", 1}, {"b", 2}, {"a", 3}})), "{'a': 3, 'b': 2}");
}

TEST(MapTest, ANewKeyIsNull) {
  Map map;
  EXPECT_TRUE(map["a"].is_null());
  EXPECT_EQ(map.size(), 1u);
}

TEST(MapTest, FindOfWhatIsNotThereIsNullptr) {
  EXPECT_EQ(Map().Find("a"), nullptr);
  EXPECT_EQ(MapOf(100).Find("a"), nullptr);
  EXPECT_EQ(MapOf(100).Find(""), nullptr);
}

TEST(MapTest, EveryKeyIsFoundAtEverySize) {
  Map map;
  for (int size = 0; size < 300; ++size) {
    for (int i = 0; i < size; ++i)
      ASSERT_TRUE(map.Find(Key(i)) && *map.Find(Key(i)) == Value(i)) << i << " of " << size;
    ASSERT_EQ(map.Find(Key(size)), nullptr);
    map[Key(size)] = size;
  }
}

TEST(MapTest, ErasingKeepsTheOrderOfTheRest) {
  Map map{{"a", 1}, {"b", 2}, {"c", 3}};
  EXPECT_TRUE(map.Erase("b"));
  EXPECT_FALSE(map.Erase("b"));
  EXPECT_EQ(Repr(map), "{'a': 1, 'c': 3}");
}

TEST(MapTest, AnErasedKeyComesBackAtTheEnd) {
  Map map{{"a", 1}, {"b", 2}};
  EXPECT_TRUE(map.Erase("a"));
  map["a"] = 3;
  EXPECT_EQ(Repr(map), "{'b': 2, 'a': 3}");
}

TEST(MapTest, ErasingDownToNothingFindsTheRestAtEverySize) {
  Map map = MapOf(100);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(map.Erase(Key(i)));
    ASSERT_EQ(map.Find(Key(i)), nullptr);
    for (int j = i + 1; j < 100; ++j) ASSERT_NE(map.Find(Key(j)), nullptr) << j;
  }
  EXPECT_TRUE(map.empty());
}

TEST(MapTest, ManyRandomChangesGiveWhatAPlainListGives) {
  std::mt19937 random(1);
  Map map;
  std::vector<std::pair<std::string, int>> model;
  for (int step = 0; step < 5000; ++step) {
    const std::string key = Key(static_cast<int>(random() % 60));
    const auto at = std::find_if(model.begin(), model.end(), [&](const auto& entry) { return entry.first == key; });
    if (random() % 3 == 0) {
      ASSERT_EQ(map.Erase(key), at != model.end());
      if (at != model.end()) model.erase(at);
    } else {
      map[key] = step;
      if (at != model.end()) {
        at->second = step;
      } else {
        model.emplace_back(key, step);
      }
    }
  }
  ASSERT_EQ(map.size(), model.size());
  auto entry = map.begin();
  for (const auto& [key, value] : model) {
    EXPECT_EQ(entry->key, key);
    EXPECT_EQ(entry->value, Value(value));
    ++entry;
  }
}

TEST(MapTest, EqualityLooksAtTheOrder) {
  EXPECT_EQ((Map{{"a", 1}, {"b", 2}}), (Map{{"a", 1}, {"b", 2}}));
  EXPECT_FALSE((Map{{"a", 1}, {"b", 2}}) == (Map{{"b", 2}, {"a", 1}}));
  EXPECT_FALSE((Map{{"a", 1}}) == (Map{{"a", 1.0}}));
}

TEST(MapTest, AMapThatShrankEqualsOneThatNeverGrew) {
  Map shrunk = MapOf(50);
  for (int i = 3; i < 50; ++i) shrunk.Erase(Key(i));
  EXPECT_EQ(shrunk, MapOf(3));
}

TEST(MapTest, KeysMayHoldAnyBytes) {
  Map map;
  const std::string key("a\0b", 3);
  map[key] = 1;
  EXPECT_EQ(map.Find("a"), nullptr);
  EXPECT_NE(map.Find(key), nullptr);
}

}  // namespace
}  // namespace corod
