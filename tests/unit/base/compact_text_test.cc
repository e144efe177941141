#include "server/base/compact_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace corod {
namespace {

// In the order of the texts.
std::vector<std::string> Texts() {
  std::vector<std::string> texts = {
      "",
      "a",
      "session-1",
      std::string(15, 'x'),
      std::string(16, 'x'),
      std::string(128, 'x'),
      std::string("a\0b", 3),
      "00000000-0000-4000-8000-000000000000",
      "00000000-0000-4000-8000-000000000001",
      "0189abcd-ef01-7345-8678-9abcdef01234",
      "ffffffff-ffff-5fff-bfff-ffffffffffff",
      // None of these is a UUID in its usual form.
      "ffffffff-ffff-5fff-cfff-ffffffffffff",
      "ffffffff-ffff-5fff-7fff-ffffffffffff",
      "FFFFFFFF-FFFF-5FFF-BFFF-FFFFFFFFFFFF",
      "ffffffff-ffff-5fff-bfff-fffffffffffg",
      "ffffffff-ffff-5fff-bfff-ffffffffffff0",
      "ffffffff-ffff-5fff-bfff-fffffffffff",
      "ffffffff_ffff-5fff-bfff-ffffffffffff",
      "ffffffff-ffff05fff-bfff-ffffffffffff",
  };
  std::sort(texts.begin(), texts.end());
  return texts;
}

TEST(CompactTextTest, GivesBackWhatItWasMadeOf) {
  for (const std::string& text : Texts()) {
    CompactText compact(text);
    EXPECT_EQ(compact.str(), text);
    CompactText::Buffer buffer;
    EXPECT_EQ(compact.View(buffer), text);
    const CompactText moved(std::move(compact));
    EXPECT_EQ(moved.str(), text);
    CompactText assigned("another text that lies on the heap");
    assigned = CompactText(text);
    EXPECT_EQ(assigned.str(), text);
  }
}

TEST(CompactTextTest, IsEqualToItselfAlone) {
  for (const std::string& a : Texts()) {
    for (const std::string& b : Texts()) {
      EXPECT_EQ(CompactText(a) == CompactText(b), a == b) << a << ' ' << b;
      EXPECT_EQ(CompactText(a) == b, a == b) << a << ' ' << b;
      EXPECT_EQ(CompactText(a) < CompactText(b), a < b) << a << ' ' << b;
    }
  }
}

TEST(CompactTextTest, EachCharacterOfAUuidCounts) {
  const std::string uuid = "01234567-89ab-4def-8123-456789abcdef";
  for (std::size_t place = 0; place < uuid.size(); ++place) {
    for (int c = 0; c < 256; ++c) {
      std::string changed = uuid;
      changed[place] = static_cast<char>(c);
      ASSERT_EQ(CompactText(changed).str(), changed);
      ASSERT_EQ(CompactText(changed) == uuid, changed == uuid) << changed;
    }
  }
}

TEST(CompactTextTest, KeysOfEqualTextsHashAlike) {
  for (const std::string& text : Texts()) {
    EXPECT_EQ(CompactText(text).key().hash(), CompactText::Key(text).hash()) << text;
    EXPECT_TRUE(CompactText(text).key() == CompactText::Key(text)) << text;
  }
}

TEST(CompactTextTest, CopiesAreEqual) {
  for (const std::string& text : Texts()) EXPECT_EQ(CompactText(text).Copy().str(), text);
}

TEST(CompactTextTest, AUuidIsSixteenBytes) {
  const std::string text = "01234567-89ab-4cde-8f01-23456789abcd";
  const CompactText uuid(text);
  ASSERT_TRUE(uuid.IsUuid());
  const CompactText::Uuid bytes = uuid.uuid();
  EXPECT_EQ(std::string(bytes.data(), bytes.size()),
            std::string("\x01\x23\x45\x67\x89\xab\x4c\xde\x8f\x01\x23\x45\x67\x89\xab\xcd", 16));
  EXPECT_EQ(CompactText::FromUuid(bytes)->str(), text);
  CompactText::Uuid other = bytes;
  other[8] = 0x0f;  // another variant
  EXPECT_FALSE(CompactText::FromUuid(other).has_value());
  EXPECT_FALSE(CompactText("short").IsUuid());
  EXPECT_FALSE(CompactText("a text that lies on the heap").IsUuid());
}

TEST(CompactTextTest, HashesSpread) {
  // Ids that differ in their last bytes alone, both in the bits that choose a part of the table and in those within.
  for (const char* prefix : {"s", "00000000-0000-4000-8000-00000000", "a text that lies on the heap"}) {
    std::vector<int> high(64);
    std::vector<int> low(64);
    for (int i = 1000; i < 9192; ++i) {
      const std::size_t hash = CompactText::Key(prefix + std::to_string(i)).hash();
      ++high[hash >> 58];
      ++low[hash & 63];
    }
    for (const std::vector<int>& counts : {high, low}) {
      EXPECT_GT(*std::min_element(counts.begin(), counts.end()), 64) << prefix;
      EXPECT_LT(*std::max_element(counts.begin(), counts.end()), 256) << prefix;
    }
  }
}

}  // namespace
}  // namespace corod
