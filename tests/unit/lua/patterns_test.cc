#include "server/lua/patterns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "server/lua/characters.h"

namespace corod::lua {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

struct OutOfSteps {};

class Steps final : public MatchHost {
 public:
  explicit Steps(std::uint64_t allowed = 1'000'000) : allowed_(allowed) {}

  std::uint64_t spent() const { return spent_; }
  std::uint64_t most_at_once() const { return most_at_once_; }

  void Spend(std::uint64_t steps) override {
    spent_ += steps;
    most_at_once_ = std::max(most_at_once_, steps);
    if (spent_ > allowed_) throw OutOfSteps();
  }
  [[noreturn]] void Fail(const std::string& message) override { throw std::runtime_error(message); }

 private:
  const std::uint64_t allowed_;
  std::uint64_t spent_ = 0;
  std::uint64_t most_at_once_ = 0;
};

// The match and then its captures, places as @1; nothing if there is no match.
std::vector<std::string> Found(std::string_view text, std::string_view pattern, std::size_t from = 0) {
  Steps steps;
  Matcher matcher(text, pattern, steps);
  if (!matcher.Find(from)) return {};
  std::vector<std::string> found{std::string(matcher.match())};
  for (int i = 0; i < matcher.captures(); ++i) {
    const Matcher::Captured captured = matcher.Capture(i);
    found.push_back(captured.position == 0 ? std::string(captured.text) : "@" + std::to_string(captured.position));
  }
  return found;
}

std::uint64_t StepsOf(std::string_view text, std::string_view pattern) {
  Steps steps(1'000'000'000);
  Matcher(text, pattern, steps).Find(0);
  return steps.spent();
}

std::uint64_t StepsOfPlain(std::string_view text, std::string_view part) {
  Steps steps;
  FindPlain(text, part, 0, steps);
  return steps.spent();
}

std::string Times(int count, std::string_view part) {
  std::string text;
  for (int i = 0; i < count; ++i) text += part;
  return text;
}

TEST(PatternsTest, Quantifiers) {
  EXPECT_THAT(Found("aaab", "a*"), ElementsAre("aaa"));
  EXPECT_THAT(Found("aaab", "a+b"), ElementsAre("aaab"));
  EXPECT_THAT(Found("aaab", "a-b"), ElementsAre("aaab"));
  EXPECT_THAT(Found("aaab", "a-"), ElementsAre(""));
  EXPECT_THAT(Found("aaab", "^a?a?b"), IsEmpty());
  EXPECT_THAT(Found("aaab", "a?a?b"), ElementsAre("aab"));
  EXPECT_THAT(Found("b", "a+"), IsEmpty());
  EXPECT_THAT(Found("a+b", "a%+b"), ElementsAre("a+b"));
}

TEST(PatternsTest, AnchorIsForTheCallerButTheEndIsNot) {
  EXPECT_THAT(Found("a^b", "^b"), ElementsAre("^b"));
  EXPECT_THAT(Found("ab$ab", "ab$"), ElementsAre("ab"));
  EXPECT_THAT(Found("ab$ab", "b$a"), ElementsAre("b$a"));
}

TEST(PatternsTest, SetsAndClasses) {
  EXPECT_THAT(Found("x-]y", "[]-]+"), ElementsAre("-]"));
  EXPECT_THAT(Found("x^y", "[^x^]"), ElementsAre("y"));
  EXPECT_THAT(Found("ab12_", "[%a1-2]+"), ElementsAre("ab12"));
  EXPECT_THAT(Found("ab]", "[^%]]+"), ElementsAre("ab"));
  EXPECT_THAT(Found("a-z", "[%a-z]+"), ElementsAre("a-z"));
  EXPECT_THAT(Found("B-", "[a-]"), ElementsAre("-"));
  EXPECT_THAT(Found(std::string_view("a\0b", 3), std::string_view("[^\0]\0.", 6)), ElementsAre(std::string("a\0b", 3)));
  EXPECT_THAT(Found("\xe9t\xe9", "%A+"), ElementsAre("\xe9"));
}

TEST(PatternsTest, ClassesAreThoseOfTheCLocale) {
  for (int c = 0; c < 256; ++c) {
    const auto byte = static_cast<unsigned char>(c);
    EXPECT_EQ(IsLetter(byte), std::isalpha(c) != 0) << c;
    EXPECT_EQ(IsControl(byte), std::iscntrl(c) != 0) << c;
    EXPECT_EQ(IsDigit(byte), std::isdigit(c) != 0) << c;
    EXPECT_EQ(IsGraphic(byte), std::isgraph(c) != 0) << c;
    EXPECT_EQ(IsLower(byte), std::islower(c) != 0) << c;
    EXPECT_EQ(IsPunctuation(byte), std::ispunct(c) != 0) << c;
    EXPECT_EQ(IsSpace(byte), std::isspace(c) != 0) << c;
    EXPECT_EQ(IsUpper(byte), std::isupper(c) != 0) << c;
    EXPECT_EQ(IsHexadecimal(byte), std::isxdigit(c) != 0) << c;
    EXPECT_EQ(ToLower(byte), std::tolower(c)) << c;
    EXPECT_EQ(ToUpper(byte), std::toupper(c)) << c;
  }
}

TEST(PatternsTest, Captures) {
  EXPECT_THAT(Found("key = value", "(%w+)%s*=%s*(%w+)"), ElementsAre("key = value", "key", "value"));
  EXPECT_THAT(Found("abc", "()b()"), ElementsAre("b", "@2", "@3"));
  EXPECT_THAT(Found("abc", "(a(b)(c))"), ElementsAre("abc", "abc", "b", "c"));
  EXPECT_THAT(Found("x'it''s'", "(['\"])(.-)%1%1"), ElementsAre("'it''", "'", "it"));
  EXPECT_THAT(Found("abab", "()(ab)%2"), ElementsAre("abab", "@1", "ab"));
  EXPECT_THAT(Found("a1", "()a%1"), IsEmpty());
  // What a branch that failed had captured is gone.
  EXPECT_THAT(Found("aab", "(a*)(a)b"), ElementsAre("aab", "a", "a"));
}

TEST(PatternsTest, BalancedAndFrontier) {
  EXPECT_THAT(Found("f(a(b)c) d)", "%b()"), ElementsAre("(a(b)c)"));
  EXPECT_THAT(Found("((a)", "%b()"), ElementsAre("(a)"));
  EXPECT_THAT(Found("a|b|c|", "%b||"), ElementsAre("|b|"));
  EXPECT_THAT(Found("THE (quick) fox", "%f[%a]%a+%f[%A]", 1), ElementsAre("quick"));
  EXPECT_THAT(Found("fox", std::string_view("x%f[\0]", 6)), ElementsAre("x"));
}

TEST(PatternsTest, FindGoesOnBehindTheLastMatch) {
  Steps steps;
  Matcher matcher("aab", "a*", steps);
  ASSERT_TRUE(matcher.Find(0));
  EXPECT_EQ(matcher.end(), 2U);
  // An empty match that ends where the last one did does not count.
  ASSERT_TRUE(matcher.Find(2, false, 2));
  EXPECT_EQ(matcher.start(), 3U);
  EXPECT_EQ(matcher.end(), 3U);
  EXPECT_FALSE(matcher.Find(3, false, 3));
  EXPECT_FALSE(matcher.Find(4));
  EXPECT_FALSE(Matcher("aab", "b", steps).Find(0, /*only_there=*/true));
}

TEST(PatternsTest, MalformedPatternsAreNoticedWhereAMatchComesToThem) {
  struct Case {
    std::string_view pattern;
    const char* message;
  };
  for (const auto& [pattern, message] : {
           Case{"%", "malformed pattern (ends with '%')"},
           {"[a", "malformed pattern (missing ']')"},
           {"[]", "malformed pattern (missing ']')"},
           {"[^]", "malformed pattern (missing ']')"},
           {"[a%]", "malformed pattern (missing ']')"},
           {"[a%", "malformed pattern (missing ']')"},
           {"%f", "missing '[' after '%f' in pattern"},
           {"%fa", "missing '[' after '%f' in pattern"},
           {"%b", "malformed pattern (missing arguments to '%b')"},
           {"%ba", "malformed pattern (missing arguments to '%b')"},
           {"(a", "unfinished capture"},
           {"a)", "invalid pattern capture"},
           {"(a))", "invalid pattern capture"},
           {"())", "invalid pattern capture"},
           {"%1", "invalid capture index %1"},
           {"(%1)", "invalid capture index %1"},
           {"(a)%2", "invalid capture index %2"},
           {"%0", "invalid capture index %0"},
       }) {
    EXPECT_THAT([pattern] { Found("a", pattern); }, ThrowsMessage<std::runtime_error>(message)) << pattern;
    EXPECT_THAT(Found("a", "x" + std::string(pattern)), IsEmpty()) << pattern;
  }
  EXPECT_THAT(Found("a", Times(32, "()")).size(), 33U);
  EXPECT_THAT([] { Found("a", Times(33, "()")); }, ThrowsMessage<std::runtime_error>("too many captures"));
}

TEST(PatternsTest, CaptureThatIsNotThere) {
  Steps steps;
  Matcher whole("abc", "b", steps);
  ASSERT_TRUE(whole.Find(0));
  EXPECT_EQ(whole.Capture(0).text, "b");
  EXPECT_THAT([&] { whole.Capture(1); }, ThrowsMessage<std::runtime_error>("invalid capture index %2"));
}

TEST(PatternsTest, MatchesWithinMatchesHaveALimit) {
  const std::string text(400, 'a');
  EXPECT_EQ(Found(text, Times(199, "a?")).at(0).size(), 199U);
  EXPECT_THAT([&] { Found(text, Times(200, "a?")); }, ThrowsMessage<std::runtime_error>("pattern too complex"));
  // What takes no match within a match has none.
  EXPECT_EQ(Found(text, Times(400, "a")).at(0).size(), 400U);
  EXPECT_EQ(Found(text, Times(5000, "b*")).at(0).size(), 0U);
}

TEST(PatternsTest, StepsArePaidForWhileTheyAreTaken) {
  Steps steps(100'000);
  const std::string text(40, 'a');
  Matcher bomb(text, "a*a*a*a*a*a*a*a*a*a*b", steps);
  EXPECT_THROW(bomb.Find(0), OutOfSteps);
  EXPECT_LE(steps.spent(), 100'000U + 256);
  EXPECT_LE(steps.most_at_once(), 256U);
}

TEST(PatternsTest, StepsAreInProportionToWhatIsLookedAt) {
  const std::string text(10'000, 'a');
  EXPECT_GE(StepsOf(text, "b"), 10'000U);
  EXPECT_LE(StepsOf(text, "b"), 40'000U);
  EXPECT_LE(StepsOf(text, "a"), 5U);
  EXPECT_GE(StepsOf(text, ".*"), 10'000U);
  EXPECT_LE(StepsOf(text, ".*"), 20'000U);
  // Each character of a set, each that a balanced match goes over, and what a back reference compares.
  EXPECT_GE(StepsOf(std::string(100, 'a'), "[" + std::string(100, 'x') + "]"), 10'000U);
  EXPECT_GE(StepsOf("a", "[" + std::string(1000, 'x') + "]"), 2000U);
  EXPECT_GE(StepsOf(std::string(100, '('), "%b()"), 4950U);
  EXPECT_GE(StepsOf(text + text, "^(" + std::string(10'000, 'a') + ")%1"), 10'000U + 10'000 / 16);
  // Where nothing matches, too.
  EXPECT_GE(StepsOf(text, "^") + StepsOf(text, "()x"), 10'000U);
}

TEST(PatternsTest, FindPlain) {
  Steps steps;
  EXPECT_EQ(FindPlain("abcabc", "ca", 0, steps), 2U);
  EXPECT_EQ(FindPlain("abcabc", "a", 1, steps), 3U);
  EXPECT_EQ(FindPlain("abcabc", "abc", 4, steps), Matcher::kNowhere);
  EXPECT_EQ(FindPlain("abc", "", 3, steps), 3U);
  EXPECT_EQ(FindPlain("abc", "", 4, steps), Matcher::kNowhere);
  EXPECT_EQ(FindPlain("", "", 0, steps), 0U);
  EXPECT_EQ(FindPlain("", "a", 0, steps), Matcher::kNowhere);
  EXPECT_EQ(FindPlain("abc", "abcd", 0, steps), Matcher::kNowhere);
  EXPECT_EQ(FindPlain(std::string_view("a\0b", 3), std::string_view("\0b", 2), 0, steps), 1U);
}

TEST(PatternsTest, FindPlainLooksAcrossItsWindows) {
  for (std::size_t before = 0; before < 700; ++before) {
    for (const std::string_view part : {"x", "xy", "xyzxyzxyz"}) {
      Steps steps;
      std::string text(before, 'x');
      if (part != "x") text += part;
      EXPECT_EQ(FindPlain(text, part, 0, steps), text.find(part)) << before << ' ' << part;
      EXPECT_EQ(FindPlain(text + "..", part, before / 2, steps), (text + "..").find(part, before / 2)) << before;
    }
  }
}

TEST(PatternsTest, FindPlainPaysForWhatItLooksAt) {
  const std::string text(1'000'000, 'a');
  Steps near_by;
  EXPECT_EQ(FindPlain(text, "a", 5, near_by), 5U);
  EXPECT_LE(near_by.spent(), 24U);
  Steps all;
  EXPECT_EQ(FindPlain(text, "b", 0, all), Matcher::kNowhere);
  EXPECT_GE(all.spent(), 1'000'000U / 16);
  EXPECT_LE(all.spent(), 1'100'000U / 16);
  EXPECT_GT(StepsOfPlain(text + "bb", "ab"), 1'000'000U / 4);
  // Linear also for a part that nearly matches everywhere.
  Steps hard;
  EXPECT_EQ(FindPlain(text, std::string(400'000, 'a') + "b", 0, hard), Matcher::kNowhere);
  EXPECT_LE(hard.spent(), 3'000'000U / 4);
}

TEST(PatternsTest, IsPlain) {
  EXPECT_TRUE(IsPlain("a]b)c{}|,!\"/"));
  for (const char c : std::string_view("^$*+?.([%-")) EXPECT_FALSE(IsPlain(std::string("ab") + c)) << c;
  EXPECT_FALSE(IsPlain(std::string_view("a\0.", 3)));
}

}  // namespace
}  // namespace corod::lua
