// What comes of each attempt of the corpus, and of definitions that are too large, too deep or no scripts at all; and
// that nobody else notices.
#include "tests/unit/lua/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/lua/thread.h"
#include "tests/unit/lua/driving.h"

namespace corod::lua {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// While it lives, a step may take less of the processor, so that the clock ends it soon.
class ShortClock {
 public:
  ShortClock() { limits.time = std::chrono::milliseconds(500); }
  ~ShortClock() { limits.time = before_; }
  ShortClock(const ShortClock&) = delete;
  ShortClock& operator=(const ShortClock&) = delete;

 private:
  const std::chrono::nanoseconds before_ = limits.time;
};

// A session that uses what all share, of the same universe as what is tried.
class Neighbour {
 public:
  explicit Neighbour(Catalog& catalog, Scripts& scripts) {
    static constexpr const char* kSource = R"(
      n = 0
      return function()
        while true do
          n = n + 1
          local garbage = {}
          for i = 1, 20000 do garbage = {garbage[1]} end
          local ok, e = pcall(error, {type = "KeyError", message = "k"})
          local co = coroutine.wrap(function(a) return coroutine.yield(a) + 1 end)
          local keys = {}
          for k in pairs{z = 1, a = 2, [1] = 3} do keys[#keys + 1] = k end
          yield(list(n, ("x"):rep(3), table.concat({1, 2}, ","), e.type, tostring(e), co(1), co(2), keys, #keys,
                     mark, ({}).x, string.mine, getmetatable({}), math.floor(2.5), rawlen(_G)))
        end
      end)";
    auto defined = scripts.Define("neighbour", 1, kSource, "");
    if (const auto* wrong = std::get_if<std::string>(&defined)) {
      ADD_FAILURE() << *wrong;
      return;
    }
    catalog.Add(std::get<Definition>(std::move(defined)), catalog.revision() + 1);
    session_ = catalog.Find("neighbour", 1)->create({}, catalog.revision());
  }

  // One step, which must come out as always, and leaves some garbage.
  void Check() {
    const StepScope step({.time = {}, .seed = 1, .step = ++steps_});
    EXPECT_EQ(ScriptTestShown(session_.Next()),
              "Y [" + std::to_string(steps_) +
                  ", 'xxx', '1,2', 'KeyError', 'table', 1, 3, [1, 'z', 'a'], 3, None, None, None, None, 2, 0]");
  }

 private:
  static std::string ScriptTestShown(const Outcome& outcome) {
    return (outcome.kind == Outcome::Kind::kYielded ? "Y " : "X ") + Repr(outcome.value);
  }

  Coroutine session_;
  std::uint64_t steps_ = 0;
};

class CorpusTest : public testing::TestWithParam<const Attempt*> {};

// Of what was tried its compiled code stays, and what the collector has not come to.
constexpr std::size_t kMayStay = std::size_t{512} << 10;
constexpr int kCollections = 400;

TEST_P(CorpusTest, ComesToItsEnd) {
  const Attempt& attempt = *GetParam();
  std::optional<ShortClock> clock;
  if (attempt.cost == Attempt::Cost::kClock) clock.emplace();
  Catalog catalog;
  Scripts scripts(catalog, Scripts::kUnbounded, 1);
  Neighbour neighbour(catalog, scripts);
  neighbour.Check();
  const std::size_t before = scripts.bytes();
  const std::vector<std::string> outcomes = Outcomes(catalog, scripts, attempt);
  if (attempt.refusal) {
    EXPECT_EQ(outcomes, std::vector<std::string>{attempt.refusal});
  } else {
    ASSERT_EQ(outcomes.size(), attempt.steps.size());
    for (std::size_t i = 0; i < outcomes.size(); ++i) EXPECT_EQ(outcomes[i], attempt.steps[i].outcome) << "step " << i;
  }
  neighbour.Check();
  for (int i = 0; i < kCollections && scripts.bytes() > before + kMayStay; ++i) neighbour.Check();
  EXPECT_LE(scripts.bytes(), before + kMayStay);
}

std::vector<const Attempt*> Attempts() {
  std::vector<const Attempt*> attempts;
  for (const Attempt& attempt : Corpus()) attempts.push_back(&attempt);
  return attempts;
}

std::string NameOf(const testing::TestParamInfo<const Attempt*>& info) {
  std::string name = info.param->name;
  std::ranges::replace(name, '/', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Attempts, CorpusTest, testing::ValuesIn(Attempts()), NameOf);

TEST(CorpusTest, IsLargeEnough) { EXPECT_GE(Corpus().size(), 120u); }

// Sessions of one definition in one universe, each of which tries to leave something for the other.
class SessionsOfOneDefinitionTest : public testing::Test {
 protected:
  // Both sessions' outcomes of two steps each, in turns.
  std::vector<std::string> InTurns(const std::string& source) {
    auto defined = scripts_.Define("script", 1, source, "");
    if (const auto* wrong = std::get_if<std::string>(&defined)) return {*wrong};
    catalog_.Add(std::get<Definition>(std::move(defined)), 1);
    Coroutine first = catalog_.Find("script", 1)->create({}, 1);
    Coroutine second = catalog_.Find("script", 1)->create({}, 1);
    std::vector<std::string> outcomes;
    for (std::uint64_t step = 1; step <= 2; ++step) {
      for (Coroutine* session : {&first, &second}) {
        const StepScope scope({.time = {}, .seed = 1, .step = step});
        const Outcome outcome = session->Next();
        outcomes.push_back((outcome.kind == Outcome::Kind::kRaised ? "X " : "") + Repr(outcome.value));
      }
    }
    return outcomes;
  }

  Catalog catalog_;
  Scripts scripts_{catalog_, Scripts::kUnbounded, 1};
};

using testing::ElementsAre;

TEST_F(SessionsOfOneDefinitionTest, ShareNoGlobals) {
  EXPECT_THAT(InTurns("return function() while true do _G.n = (n or 0) + 1 yield(n) end end"),
              ElementsAre("1", "1", "2", "2"));
}

TEST_F(SessionsOfOneDefinitionTest, ShareNoUpvalues) {
  EXPECT_THAT(InTurns("local n = 0 return function() while true do n = n + 1 yield(n) end end"),
              ElementsAre("1", "1", "2", "2"));
}

TEST_F(SessionsOfOneDefinitionTest, ShareNoTables) {
  EXPECT_THAT(
      InTurns("local t = {n = 0} return function() while true do t.n = t.n + 1 t[#t + 1] = 1 yield(#t) end end"),
      ElementsAre("1", "1", "2", "2"));
}

TEST_F(SessionsOfOneDefinitionTest, ShareNoMetatables) {
  EXPECT_THAT(InTurns(R"(
                local mt = {} local t = setmetatable({}, mt)
                return function() while true do yield(t.x) mt.__index = {x = 1} setmetatable({}, {}).y = 1 end end)"),
              ElementsAre("None", "None", "1", "1"));
}

TEST_F(SessionsOfOneDefinitionTest, ShareNoExceptions) {
  EXPECT_THAT(InTurns(R"(
                return function()
                  while true do
                    local _, e = pcall(error, {type = "KeyError"})
                    local before = e.mark
                    e.mark = "left" e.type = "ValueError"
                    yield(before)
                  end
                end)"),
              ElementsAre("None", "None", "None", "None"));
}

TEST_F(SessionsOfOneDefinitionTest, ShareNoStringMethods) {
  EXPECT_THAT(InTurns(R"(
                return function()
                  while true do
                    local ok = pcall(function() string.mark = 1 end) or pcall(rawset, string, "mark", 1)
                    yield(list(ok, ("x").mark))
                  end
                end)"),
              ElementsAre("[False, None]", "[False, None]", "[False, None]", "[False, None]"));
}

TEST_F(SessionsOfOneDefinitionTest, ShareNoConstructors) {
  EXPECT_THAT(InTurns(R"(
                local _, _, l, m = ...
                return function()
                  while true do
                    _G.__list = nil _G["__map"] = function() return "mine" end
                    yield(list(#{1, 2}, ({x = 1}).x, type(l), type(m)))
                  end
                end)"),
              testing::Each("[2, 1, 'function', 'function']"));
}

TEST_F(SessionsOfOneDefinitionTest, ShareNoFinalizers) {
  EXPECT_THAT(InTurns("return function() finally(function() yield(m) end) yield(0) m = (m or 0) + 1 end"),
              ElementsAre("0", "0", "1", "1"));
}

// --- Definitions

class DefinitionsTest : public ScriptTest {};

std::string Times(std::size_t count, const std::string& text) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

TEST_F(DefinitionsTest, MayBeLong) {
  const std::string comment = "--" + std::string(std::size_t{1} << 20, 'x') + "\n";
  EXPECT_EQ(Refusal(comment + "return function() end"), "");
  const std::string statements = Times(40'000, "x = {1, a = 2} ");  // 600 KB, with as many constructors
  EXPECT_EQ(Refusal(statements + "return function() end"), "");
  const std::string text = "return function() return #'" + std::string(std::size_t{1} << 20, 'x') + "' end";
  Coroutine coroutine = Create(text);
  EXPECT_EQ(Next(coroutine), "R 1048576");
}

TEST_F(DefinitionsTest, NestOnlySoDeep) {
  for (const auto& [open, close] : std::vector<std::pair<std::string, std::string>>{{"(", ")"},
                                                                                    {"{", "}"},
                                                                                    {"- ", ""},
                                                                                    {"not ", ""},
                                                                                    {"function() return ", " end"},
                                                                                    {"{{}, ", "}"},
                                                                                    {"f(", ")"},
                                                                                    {"{x = ", "}"},
                                                                                    {"1 .. ", ""},
                                                                                    {"2 ^ ", ""}}) {
    EXPECT_EQ(Refusal("local f = 1 local x = function() return " + Times(60, open) + "1" + Times(60, close) +
                      " end return function() end"),
              "")
        << open;
    for (const std::size_t depth : {250u, 100'000u}) {
      EXPECT_THAT(
          Refusal("local f = 1 local x = " + Times(depth, open) + "1" + Times(depth, close)),
          testing::AnyOf(HasSubstr("overflow"), HasSubstr("too many"), HasSubstr("C levels"), HasSubstr("too complex")))
          << open << depth;
    }
  }
  EXPECT_THAT(Refusal(Times(100'000, "do ")), HasSubstr("overflow"));
  EXPECT_THAT(Refusal(Times(100'000, "while true do ")), HasSubstr("overflow"));
  EXPECT_THAT(Refusal(Times(100'000, "[")), StartsWith("script:1:"));
  EXPECT_THAT(Refusal(Times(100'000, "[=")), StartsWith("script:1:"));
  EXPECT_THAT(Refusal(Times(100'000, "}")), StartsWith("script:1:"));
}

TEST_F(DefinitionsTest, HaveOnlySoManyLocalsAndUpvalues) {
  std::string locals;
  for (int i = 0; i < 300; ++i) locals += "local a" + std::to_string(i) + " = 1 ";
  EXPECT_THAT(Refusal("return function() " + locals + " end"), HasSubstr("too many local variables"));
  std::string outer;
  std::string uses = "return function() local s = 0 ";
  for (int block = 0; block < 2; ++block) {
    if (block == 1) outer += "local function middle() ";
    for (int i = 0; i < 150; ++i) {
      const std::string name = "a" + std::to_string(block) + "_" + std::to_string(i);
      outer += "local " + name + " = 1 ";
      uses += "s = s + " + name + " ";
    }
  }
  EXPECT_THAT(Refusal(outer + uses + "return s end end return middle()"), HasSubstr("too many upvalues"));
  std::string parameters;
  for (int i = 0; i < 300; ++i) parameters += (i == 0 ? "a" : ", a") + std::to_string(i);
  EXPECT_THAT(Refusal("return function(" + parameters + ") end"), HasSubstr("too many local variables"));
}

// Lua 5.4.4 makes wrong code of some operations with constants when there are many (its bugs 3 and 4). Whatever it
// makes, it may do no harm, and must do the same each time.
TEST_F(DefinitionsTest, MayHaveManyConstants) {
  for (const int count : {200, 256, 300, 70'000}) {
    std::string source = "return function() local t = {} local n = 7 ";
    for (int i = 0; i < count; ++i) source += "t[" + std::to_string(i % 50 + 1) + "] = 'k" + std::to_string(i) + "' ";
    source += R"(
        local ok, a = pcall(function(n) return 0x7fffffffff & n, n | 0x123456789abc, 1.5 + n, n - 2.5, "x" .. n end, n)
        local b = pcall(function() return n & 0x7fffffffff1, 0x7fffffffff2 & n, 987654.25 * n, n ~ 0x7fffffffff3 end)
        local c, d = 0x7fffffffff4 & n, n + 987655.25
        return list(ok, a, b, t[1], #t) end)";
    const std::string first = Next(*std::make_unique<Coroutine>(Create(source)));
    for (int i = 0; i < 5; ++i) {
      Catalog catalog;
      Scripts scripts(catalog, Scripts::kUnbounded, 1);
      const std::vector<const char*> commands = {"next"};
      EXPECT_EQ(Outcomes(catalog, scripts, source, commands), std::vector<std::string>{first}) << count;
    }
    EXPECT_THAT(first, StartsWith("R [True, 7, True, 'k")) << count;
  }
}

TEST_F(DefinitionsTest, AreNoBytecode) {
  EXPECT_THAT(Refusal("\x1bLua"), HasSubstr("attempt to load a binary chunk"));
  EXPECT_THAT(Refusal(std::string("\x1bLuaT\0\x19\x93\r\n\x1a\n", 12)), HasSubstr("attempt to load a binary chunk"));
  EXPECT_THAT(Refusal(std::string("\0", 1)), StartsWith("script:1:"));
  EXPECT_THAT(Refusal("#!/usr/bin/lua\nreturn function() end"), StartsWith("script:1:"));
  EXPECT_THAT(Refusal("\xef\xbb\xbfreturn function() end"), StartsWith("script:1:"));
  EXPECT_THAT(Refusal(std::string("return function() return 'a\0b' end", 34)), "");
}

TEST_F(DefinitionsTest, CannotHideAConstructor) {
  // Each has a table that must know the order of its keys, near something that might be taken for the end or the
  // beginning of a comment or text.
  for (const char* before :
       {"local s = '--[[' ", "local s = \"]]\" --]] {\n", "--[==[ ]] ]=] { ]==] ", "local s = [==[ ]] ]==] ",
        "local s = '\\\n{' ", "local s = '\\z   \n  {' ", "local s = '\\'{' ", "local n = 0x.8p1 ",
        "local n = 3 --[=[ { ]=] ", "---[[ {\n", "local s = '\\u{7B}' ", "::l:: goto m ::m:: "}) {
    const std::string source =
        std::string("return function() ") + before +
        "local t = {z = 1, y = 2, x = 3} local keys = {} for k in pairs(t) do keys[#keys + 1] = k "
        "end return keys end";
    Coroutine coroutine = Create(source);
    EXPECT_EQ(Next(coroutine), "R ['z', 'y', 'x']") << before;
  }
}

}  // namespace
}  // namespace corod::lua
