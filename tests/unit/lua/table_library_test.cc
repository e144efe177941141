#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "server/lua/meter.h"
#include "tests/unit/lua/script_state.h"

namespace corod::lua {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kSameAsLua[] = {
    // concat
    R"(return table.concat(__list{1, 2, 'x', 1.5, 2^53, -0.0, 1e100}, ', '), table.concat(__list{}),
       table.concat(__list{'a'}, 'b'))",
    R"(local t = __list{'a', 'b', 'c'} return table.concat(t, '-', 2), table.concat(t, '-', 2, 2), table.concat(t, '-',
       3, 2), table.concat(t, 7, 1))",
    R"(return table.concat(__map({5, 'e', 6, 'f'}, 2), '', 5, 6), table.concat(__map({math.maxinteger, 'm'}, 1), 'x',
       math.maxinteger))",
    R"(return fails(table.concat, __list{1, __list{}, 3}), fails(table.concat, __list{1}, '', 1, 2),
       fails(table.concat, __list{true}))",
    R"(return fails(table.concat, 1), fails(table.concat), fails(table.concat, __list{}, __list{}), fails(table.concat,
       __list{}, '', 'x'))",
    R"(return table.concat(setmetatable(__list{}, __map({'__index', function(_, i) return i * 10 end, '__len',
       function() return 4 end}, 2)), ' '))",
    R"(return table.concat(__list{'a\0b', 'c'}, '\0') == 'a\0b\0c')",
    R"(return fails(table.concat, setmetatable(__list{}, __map({'__len', function() return 'x' end}, 1))))",
    // insert
    R"(local t = __list{1, 2} table.insert(t, 3) table.insert(t, 1, 0) table.insert(t, 5, 9) return t, #t)",
    R"(local t = __list{} table.insert(t, 1, 'a') table.insert(t, 1, 'b') table.insert(t, 2, 'c') return t)",
    R"(return fails(table.insert, __list{1}, 3, 1), fails(table.insert, __list{1}, 0, 1), fails(table.insert, __list{},
       1, 2, 3))",
    R"(return fails(table.insert, __list{}), fails(table.insert, 1, 1), fails(table.insert, __list{}, 'x', 1),
       fails(table.insert))",
    R"(local t = __list{1} table.insert(t, nil) return #t, t)",
    R"(local log = __list{} local t = setmetatable(__list{}, __map({'__newindex', function(t, k, v) log[#log + 1] = k
       rawset(t, k, v) end}, 1)) table.insert(t, 'a') table.insert(t, 1, 'b') return t, log)",
    R"(return fails(table.insert, setmetatable(__list{}, __map({'__len', function() return math.maxinteger end}, 1)),
       0, 1))",
    // remove
    R"(local t = __list{1, 2, 3, 4} return table.remove(t), table.remove(t, 1), table.remove(t, 3), t, #t)",
    R"(return table.remove(__list{}), table.remove(__list{}, 0), table.remove(__list{}, 1), table.remove(__list{1}, 2),
       table.remove(__list{'a'}, 1))",
    R"(return fails(table.remove, 1), fails(table.remove), fails(table.remove, __list{1}, 'x'))",
    R"(local t = __map({0, 'zero'}, 1) return table.remove(t, #t), next(t))",
    R"(return select('#', table.remove(__list{})), table.remove(__list{1, 2, 3}, 2.0), fails(table.remove, __list{1},
       1.5))",
    // move
    R"(local t = __list{1, 2, 3} return table.move(t, 1, 3, 2), t)",
    R"(local t = __list{1, 2, 3, 4, 5} table.move(t, 2, 5, 1) return t, table.move(t, 1, 0, 7) == t)",
    R"(local a, b = __list{1, 2, 3}, __list{} return table.move(a, 1, 3, 1, b) == b, b, table.move(a, 1, 2, 3, b))",
    R"(return fails(table.move, __list{}, 0, math.maxinteger, 1), fails(table.move, __list{}, 1, 2, math.maxinteger),
       fails(table.move, __list{}, 1, 2))",
    R"(return fails(table.move, 1, 1, 1, 1), fails(table.move, __list{}, 1, 1, 1, 5), fails(table.move, __list{}, -1,
       math.maxinteger, 2))",
    R"(local t = setmetatable(__list{}, __map({'__index', function(_, k) return k * 10 end}, 1)) table.move(t, 1, 3, 2)
       return t[2], t[3], t[4])",
    R"(local log = __list{} local t = setmetatable(__list{}, __map({'__index', function(_, k) log[#log + 1] = 'r' .. k
       return k end, '__newindex', function(_, k) log[#log + 1] = 'w' .. k end}, 2)) table.move(t, 1, 3, 2)
       table.move(t, 1, 3, 0) return log)",
    // pack and unpack
    R"(local t = table.pack(1, nil, 3, nil) return t.n, #table.pack(), t[1], t[2], t[3], table.pack().n)",
    R"(return table.unpack(__list{1, 2, 3}), (table.unpack(__list{1, 2}, 2)), select('#', table.unpack(__list{}, 1, 3)))",
    R"(return table.unpack(__list{1, 2, 3}, -1, 1), table.unpack(__list{1, 2}, 2, 1), table.unpack(table.pack(nil, 2),
       1, 2))",
    R"(return fails(table.unpack, __list{}, 0, math.maxinteger), fails(table.unpack, __list{}, math.mininteger,
       math.maxinteger))",
    R"(return fails(table.unpack, __list{}, 1, 1e6 + 1), fails(table.unpack, __list{}, 1, 1e8), fails(table.unpack),
       fails(table.unpack, __list{}, 'x'))",
    R"(return select('#', table.unpack(__list{}, math.maxinteger, math.maxinteger)), select('#', table.unpack(__list{},
       math.mininteger, math.mininteger + 1)))",
    R"(return table.unpack('abc', 1, 2), select('#', table.unpack('abc')), select('#', table.unpack(__list{}, 1, 1e5)))",
    R"(return table.unpack(setmetatable(__list{}, __map({'__index', function(_, i) return i end, '__len', function()
       return 3 end}, 2))))",
    // sort
    R"(local t = __list{3, 1, 2, 1.5, -1} table.sort(t) return t)",
    R"(local t = __list{'b', 'a', 'C', '', 'ab', 'a\0b'} table.sort(t) return table.concat(t, ' '))",
    R"(local t = __list{3, 1, 2} table.sort(t, function(a, b) return a > b end) return t, select('#', table.sort(t)))",
    R"(return fails(table.sort, __list{1, 'x'}), fails(table.sort, __list{true, false}), fails(table.sort,
       __list{__list{}, __list{}}))",
    R"(return fails(table.sort, __list{1, 2}, 1), fails(table.sort, 1), fails(table.sort, __list{1}, 1),
       fails(table.sort, __list{1, 2}, __list{}))",
    R"(return fails(table.sort, __list{2, 1}, function() error('mine', 0) end))",
    R"(return fails(table.sort, setmetatable(__list{}, __map({'__len', function() return math.maxinteger end}, 1))))",
    R"(local t = setmetatable(__list{}, __map({'__index', function(_, i) return -i end, '__len', function() return 3
       end}, 2)) table.sort(t) return rawget(t, 1), rawget(t, 2), rawget(t, 3))",
    R"(local mt = __map({'__lt', function(a, b) return a.v < b.v end}, 1) local t = __list{} for i, v in
       ipairs(__list{3, 1, 2}) do t[i] = setmetatable(__map({'v', v}, 1), mt) end table.sort(t) return t[1].v, t[2].v,
       t[3].v)",
    R"(local co = coroutine.wrap(function() table.sort(__list{2, 1}, coroutine.yield) end) return fails(co))",
};

TEST(TableLibraryTest, SameAsLua) {
  for (const char* source : kSameAsLua) {
    ScriptState ours;
    ScriptState stock(ScriptState::Kind::kStock);
    const std::string expected = stock.Run(source);
    EXPECT_EQ(ours.Run(source), expected) << source;
    EXPECT_THAT(expected, Not(HasSubstr("script:"))) << source;
  }
}

TEST(TableLibraryTest, RandomSequencesAreTheSameAsInLua) {
  for (int seed = 1; seed <= 20; ++seed) {
    const std::string source = "local seed = " + std::to_string(seed) + R"(
      local function random(n) seed = (seed * 1103515245 + 12345) % 2147483648 return (seed >> 8) % n + 1 end
      local t, other, log = __list{}, __list{}, __list{}
      for step = 1, 400 do
        local kind = random(8)
        if kind <= 2 then table.insert(t, random(1000))
        elseif kind == 3 then table.insert(t, random(#t + 1), random(1000))
        elseif kind == 4 then log[#log + 1] = table.remove(t) or 'none'
        elseif kind == 5 and #t > 0 then log[#log + 1] = table.remove(t, random(#t))
        elseif kind == 6 then
          -- Numbers that differ, since Lua's own sort is not stable.
          for i = 1, #t do t[i] = t[i] * 1000 + i end
          table.sort(t, random(2) == 1 and function(a, b) return a > b end or nil)
        elseif kind == 7 and #t > 0 then
          local first, last = random(#t), random(#t)
          other = table.move(t, first, last, random(#other + 1), other)
        else
          log[#log + 1] = table.concat(t, ',') .. select('#', table.unpack(t))
        end
        log[#log + 1] = #t .. ' ' .. #other
      end
      return table.concat(log, ' '), table.concat(t, ' '), table.concat(other, ' ')
    )";
    ScriptState ours;
    ScriptState stock(ScriptState::Kind::kStock);
    const std::string expected = stock.Run(source);
    ASSERT_THAT(expected, Not(HasSubstr("error")));
    EXPECT_EQ(ours.Run(source), expected) << seed;
  }
}

class TableLibrary : public ::testing::Test {
 protected:
  std::string Run(const std::string& script) { return script_.Run(script); }

  std::uint64_t Charged(const std::string& script) {
    const std::uint64_t before = script_.meter().instructions;
    Run(script);
    return before - script_.meter().instructions;
  }

  std::size_t Asked(const std::string& script) {
    const std::size_t before = script_.meter().asked;
    Run(script);
    return script_.meter().asked - before;
  }

  ScriptState script_;
};

TEST_F(TableLibrary, WhatPackMakes) {
  EXPECT_EQ(Run("return table.pack(), table.pack(1, 2), table.pack(nil, 2, nil)"), "{n=0} {1=1 2=2 n=2} {2=2 n=3}");
  EXPECT_EQ(Run("local t = table.pack(1, 2) t[3] = 3 t.x = 1 t[2] = nil t[2] = 2 return t, #t"),
            "{1=1 2=2 3=3 n=2 x=1} 3");
  EXPECT_EQ(Run("local t = table.pack(table.unpack(__list{}, 1, 100)) t[100] = 1 t[101] = 2 return t"),
            "{n=100 100=1 101=2}");
}

TEST_F(TableLibrary, RemoveOutOfBounds) {
  // Lua 5.4.4 names the wrong argument.
  for (const char* call : {"__list{1, 2}, 4", "__list{1, 2}, 0", "__list{}, 2"}) {
    EXPECT_EQ(Run(std::string("return fails(table.remove, ") + call + ")"),
              "bad argument #2 to 'table.remove' (position out of bounds)");
  }
}

TEST_F(TableLibrary, SortOfNil) {
  EXPECT_THAT(Run("return fails(table.sort, __list{1, 2, nil, 4})"), HasSubstr("attempt to compare"));
}

TEST_F(TableLibrary, NotANumberIsTheSameEverywhere) {
  EXPECT_EQ(Run("return table.concat(__list{0/0, -(0/0), 1/0}, ' ')"), "nan nan inf");
}

TEST_F(TableLibrary, SortIsStable) {
  EXPECT_EQ(Run(R"(
    local t = __list{}
    for i = 1, 1000 do t[i] = __map({'key', i * 7919 % 10, 'i', i}, 2) end
    table.sort(t, function(a, b) return a.key < b.key end)
    for i = 2, 1000 do
      local a, b = t[i - 1], t[i]
      if a.key > b.key or a.key == b.key and a.i >= b.i then return i, a, b end
    end
    return #t
  )"),
            "1000");
}

TEST_F(TableLibrary, SortOfAnySize) {
  EXPECT_EQ(Run(R"(
    for n = 0, 70 do
      local t, sum = __list{}, 0
      for i = 1, n do t[i] = i * 7919 % 101 sum = sum + t[i] end
      table.sort(t)
      for i = 1, n do sum = sum - t[i] if i > 1 and t[i - 1] > t[i] then return n, i end end
      if sum ~= 0 or #t ~= n then return n, sum end
    end
    return 'ok'
  )"),
            "ok");
}

TEST_F(TableLibrary, SortOfWhatIsSortedIsQuick) {
  EXPECT_EQ(Run("local n, t = 0, __list{} for i = 1, 1000 do t[i] = i end "
                "table.sort(t, function(a, b) n = n + 1 return a < b end) return n"),
            "999");
}

TEST_F(TableLibrary, SortByAnOrderThatContradictsItself) {
  for (const char* order :
       {"function() return true end", "function() return false end", "function(a, b) return a <= b end",
        "function(a, b) n = n + 1 return n * 7919 % 5 < 2 end"}) {
    SCOPED_TRACE(order);
    EXPECT_EQ(Run(std::string("n = 0 local t = __list{} for i = 1, 500 do t[i] = i end table.sort(t, ") + order + R"()
      local sum = 0
      for i, v in ipairs(t) do sum = sum + v end
      return sum, #t
    )"),
              "125250 500");
  }
  EXPECT_EQ(Run("local t = __list{3, 0/0, 1, 0/0, 2} table.sort(t) return #t"), "5");
}

TEST_F(TableLibrary, ComparisonThatMeddles) {
  // What sort looks at was taken before the first comparison.
  EXPECT_EQ(Run(R"(local t = __list{3, 1, 2} table.sort(t, function(a, b) t[1] = nil t.x = 1 t[9] = 9 return a < b end)
       return t)"),
            "{1=1 2=2 3=3 x=1 9=9}");
  EXPECT_EQ(
      Run("local t = __list{3, 1, 2} local f = fails(table.sort, t, function(a, b) error('mine', 0) end) return f, t"),
      "mine {1=3 2=1 3=2}");
}

TEST_F(TableLibrary, OrderOfKeysThatTheLibrarySets) {
  EXPECT_EQ(
      Run("local t = __map({'n', 0}, 1) table.insert(t, 'a') table.insert(t, 1, 'b') table.move(t, 1, 2, 5) return t"),
      "{1=b 2=a n=0 5=b 6=a}");
}

TEST_F(TableLibrary, WorkIsCounted) {
  Run("t = __list{} for i = 1, 10000 do t[i] = i end s = string.rep('x', 16000)");
  EXPECT_GE(Charged("table.insert(t, 1, 0)"), 10000U);
  EXPECT_GE(Charged("table.remove(t, 1)"), 10000U);
  EXPECT_GE(Charged("table.move(t, 1, 10000, 1, __list{})"), 10000U);
  EXPECT_GE(Charged("table.concat(t)"), 10000U);
  EXPECT_GE(Charged("return #table.pack(table.unpack(t))"), 20000U);
  EXPECT_GE(Charged("table.sort(t, function(a, b) return a > b end)"), 50000U);
  EXPECT_GE(Charged("local u = __list{s, s} table.sort(u)"), 1000U);
  EXPECT_GE(Charged("table.concat(__list{s, s}, s)"), 3000U);
  EXPECT_LE(Charged("table.insert(t, 0) table.remove(t) table.concat(__list{1, 2}) table.unpack(__list{1})"), 20U);
}

TEST_F(TableLibrary, MemoryIsCounted) {
  Run("t = __list{} for i = 1, 10000 do t[i] = i end s = string.rep('x', 16000)");
  EXPECT_GE(Asked("table.concat(__list{s, s}, s)"), 48000U);
  EXPECT_GE(Asked("table.unpack(t)"), 160000U);
  EXPECT_GE(Asked("table.pack(table.unpack(t))"), 320000U);
  EXPECT_GE(Asked("table.sort(t)"), 160000U);
}

TEST_F(TableLibrary, TooManyResultsAreRefusedWithoutCost) {
  EXPECT_LE(Charged("return fails(table.unpack, __list{}, 1, 1e8)"), 10U);
}

TEST_F(TableLibrary, EndsBeforeTheWorkIsDone) {
  for (const char* source :
       {"return pcall(table.insert, setmetatable(__list{}, __map({'__len', function() return 1 << 62 end}, 1)), 1, 1)",
        "return pcall(table.remove, setmetatable(__list{}, __map({'__len', function() return 1 << 62 end}, 1)), 1)",
        "return pcall(table.move, __list{}, 1, 1 << 62, 2)", "return pcall(table.unpack, __list{}, 1, 999999)",
        "return pcall(table.sort, setmetatable(__list{}, __map({'__len', function() return 1 << 30 end}, 1)))",
        "return pcall(table.concat, setmetatable(__list{}, __map({'__index', function() return 'x' end}, 1)), '', 1, 1 "
        "<< 62)"}) {
    ScriptState script;
    script.meter().instructions = 1000;
    EXPECT_EQ(script.Run(source), "false nil") << source;
    EXPECT_EQ(script.meter().abort, Abort::kInstructions);
  }
}

}  // namespace
}  // namespace corod::lua
