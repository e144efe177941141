#include "server/lua/tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/lua/meter.h"
#include "tests/unit/lua/script_state.h"

namespace corod::lua {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

class TablesTest : public ::testing::Test {
 protected:
  std::string Run(const std::string& script) { return script_.Run(script); }
  lua_State* state() const { return script_.get(); }

  ScriptState script_;
};

// --- The order ---

TEST_F(TablesTest, ItemsComeFirstThenKeysAsTheyCame) {
  EXPECT_EQ(Run("local t = __map({'z', 1, 'a', 2}, 2) t.m = 3 t[1] = 4 t[2] = 5 t.b = 6 return t"),
            "{1=4 2=5 z=1 a=2 m=3 b=6}");
  EXPECT_EQ(Run("local t = __list{7, 8} t.x = 1 t[4] = 2 t[true] = 3 t[1.5] = 4 t[-1] = 5 t[0] = 6 return t"),
            "{1=7 2=8 x=1 4=2 true=3 1.5=4 -1=5 0=6}");
}

TEST_F(TablesTest, KeyThatComesAgainIsTheLast) {
  EXPECT_EQ(Run("local t = __map({'a', 1, 'b', 2, 'c', 3}, 3) t.a = nil t.a = 4 return t"), "{b=2 c=3 a=4}");
  EXPECT_EQ(Run("local t = __map({'a', 1, 'b', 2}, 2) t.b = nil t.b = 3 t.a = nil return t"), "{b=3}");
  // Also after the last one was found to be gone.
  EXPECT_EQ(Run("local t = __map({'a', 1}, 1) t.a = nil local k = next(t) t.a = 2 return k, t"), "nil {a=2}");
  EXPECT_EQ(Run("local t = __map({'a', 1, 'b', 2}, 2) t.a = nil t.b = nil t.b = 5 t.a = 6 return t"), "{b=5 a=6}");
}

TEST_F(TablesTest, KeyThatIsOverwrittenStaysWhereItIs) {
  EXPECT_EQ(Run("local t = __map({'a', 1, 'b', 2}, 2) t.a = 3 rawset(t, 'b', false) return t"), "{a=3 b=false}");
}

TEST_F(TablesTest, ItemsHaveTheirPlaces) {
  EXPECT_EQ(Run("local t = __list{1, 2, 3, 4} t[2] = nil local before = keys(t) t[2] = 5 return before, t"),
            "1 3 4 {1=1 2=5 3=3 4=4}");
  EXPECT_EQ(Run("local t = __list{1, 2, 3} t.x = 0 t[2] = nil t[4] = 4 t[2] = 5 return t"), "{1=1 2=5 3=3 4=4 x=0}");
  EXPECT_EQ(Run("return __list{1, nil, 3, nil}, __list{nil, nil, 3}"), "{1=1 3=3} {3=3}");
}

TEST_F(TablesTest, KeysThatAnItemJoinsBecomeItems) {
  EXPECT_EQ(
      Run("local t = __list{} t[3] = 'c' t.x = 'x' t[2] = 'b' local before = keys(t) t[1] = 'a' return before, t"),
      "3 x 2 {1=a 2=b 3=c x=x}");
  EXPECT_EQ(Run(R"(local t = __list{} for i = 100, 1, -1 do t[i] = i end t.x = 1 return #t, table.concat(t) ==
       keys(t):gsub('[ x]', ''))"),
            "100 true");
}

TEST_F(TablesTest, ListBehindAGapIsGoneThroughToItsEnd) {
  EXPECT_EQ(Run(R"(
    local t = __list{}
    for i = 1, 1000 do t[i] = i end
    for i = 1, 999 do t[i] = nil end
    local n = 0
    for k, v in pairs(t) do n = n + v end
    return n, next(t)
  )"),
            "1000 1000 1000");
}

TEST_F(TablesTest, FloatsThatAreIntegersAreTheSameKeys) {
  EXPECT_EQ(Run("local t = __list{} t[1.0] = 'a' t[2^53] = 'b' return t, t[1], math.type(next(t)), next(t, 1.0)"),
            "{1=a 9007199254740992=b} a integer 9007199254740992 b");
}

TEST_F(TablesTest, QueueIsGoneThroughInTheTimeOfWhatIsInIt) {
  // Items that moved on are no items any more.
  for (const char* start : {"__map({'first', 1}, 1)", "__list{}"}) {
    SCOPED_TRACE(start);
    const std::string made = std::string("t = ") + start;
    ASSERT_EQ(Run(made + R"(
      for i = 1, 100000 do
        t[i] = i
        if i > 10 then t[i - 10] = nil end
      end
    )"),
              "");
    const std::uint64_t before = script_.meter().instructions;
    EXPECT_THAT(Run("return keys(t)"), HasSubstr("99991 99992 99993 99994 99995 99996 99997 99998 99999 100000"));
    EXPECT_LT(before - script_.meter().instructions, 1000U);
  }
}

TEST_F(TablesTest, ManyKeys) {
  EXPECT_EQ(Run(R"(
    local t, expected = __list{}, __list{}
    for i = 1, 3000 do t['k' .. i] = i end
    for i = 1, 3000 do if i % 3 ~= 0 then t['k' .. i] = nil end end
    for i = 1, 3000, 7 do t['k' .. i] = -i end
    local count, last = 0, nil
    local seen = __list{}
    for k, v in pairs(t) do
      count = count + 1
      if seen[k] then return 'twice', k end
      seen[k] = true
      if t[k] ~= v then return 'wrong', k end
    end
    local n = 0
    for i = 1, 3000 do if t['k' .. i] then n = n + 1 if not seen['k' .. i] then return 'missed', i end end end
    return count == n, next(t)
  )"),
            "true k3 3");
}

TEST_F(TablesTest, NextFromAnyKey) {
  EXPECT_EQ(Run(R"(
    local t = __list{1, 2}
    for i = 1, 20 do t['k' .. i] = i end
    return next(t, 'k7'), next(t, 'k3'), next(t, 2), next(t, 'k20'), next(t, 'k19')
  )"),
            "k8 k4 k1 nil k20 20");
  EXPECT_EQ(Run("return fails(next, __map({'a', 1}, 1), 'b'), fails(next, __list{1}, 'b'), fails(next, __list{1}, 99)"),
            "invalid key to 'next' invalid key to 'next' invalid key to 'next'");
  EXPECT_EQ(Run("return next(__list{}), next(map(__list{})), next(__list{1}, 1)"), "nil nil nil");
}

TEST_F(TablesTest, KeysMayBeClearedWhileGoneThrough) {
  for (const char* made :
       {"__list{1, 2, 3, 4, 5}", "__map({'a', 1, 3, 2, 2, 3, 1, 4, 'b', 5}, 5)",
        "(function() local t = __list{} for i = 1, 50 do t['k' .. i % 13 .. i] = i end return t end)()"}) {
    SCOPED_TRACE(made);
    EXPECT_EQ(Run(std::string("local t = ") + made + R"(
      local n, all = 0, 0
      for _ in pairs(t) do all = all + 1 end
      for k in pairs(t) do
        n = n + 1
        t[k] = nil
        -- What else is looked at does not matter.
        local other = next(t)
        for k2 in pairs(t) do other = k2 end
      end
      return n == all, next(t)
    )"),
              "true nil");
  }
}

TEST_F(TablesTest, EventsAreKeysLikeOthers) {
  EXPECT_EQ(
      Run("local mt = __map({'a', 1, '__len', 2, 'b', 3, '__index', 4}, 4) mt.__len = nil mt.__len = 5 return mt"),
      "{a=1 b=3 __index=4 __len=5}");
  EXPECT_EQ(Run("local mt = __map({'__add', 1}, 1) mt.__add = 2 return mt, mt.__add, rawget(mt, '__add'), next(mt)"),
            "{__add=2} 2 2 __add 2");
  EXPECT_EQ(Run(R"(local mt = __list{} mt.__newindex = 7 mt.__len = 8 mt.x = 9 mt.__newindex = nil mt.y = 1 return mt,
       mt.__newindex)"),
            "{__len=8 x=9 y=1} nil");
}

TEST_F(TablesTest, ConstructorTakesPairsInOrder) {
  EXPECT_EQ(Run("return __map({'x', 1, 'y', nil, 'x', 2, 1, 3}, 4)"), "{1=3 x=2}");
  EXPECT_EQ(Run("return __map({'x', 1, 'y', 2, 'x', nil, 'x', 3}, 4)"), "{y=2 x=3}");
  EXPECT_EQ(Run("return __map({'x', 1, 1, 'a'}, 2, 2, 'b', nil, 'd')"), "{1=a 2=b x=1 4=d}");
  EXPECT_EQ(Run("return __map({}, 0), __map({'x', nil}, 1), __map({'x', 1}, 1, 1)"), "{} {} {x=1}");
  EXPECT_EQ(Run("return fails(__map, {nil, 1}, 1), fails(__map, {nil, nil}, 1), fails(__map, {0/0, 1}, 1)"),
            "table index is nil table index is nil table index is NaN");
  EXPECT_THAT(Run("__map({}, -1)"), HasSubstr("out of range"));
  EXPECT_EQ(Run("local t = __map({}, 0, math.maxinteger, 1, 2) return t[math.maxinteger], t[math.mininteger]"), "1 2");
  // It is a new table; the one with the pairs is not touched.
  EXPECT_EQ(Run("local raw = {'a', 1} local t = __map(raw, 1) t.b = 2 return rawlen(raw), t"), "2 {a=1 b=2}");
  EXPECT_EQ(Run("local t = __map({'a', 1}, 1) return rawequal(__list(t), t), t"), "true {a=1}");
}

TEST_F(TablesTest, ListKeepsNils) {
  EXPECT_EQ(Run("local t = list(nil, 1, nil) return t, #t, t[3] == null, #list()"), "{1=null 2=1 3=null} 3 true 0");
  EXPECT_EQ(Run("local t = list(table.unpack(list(1, 2), 1, 200)) return #t, t[200]"), "200 null");
}

TEST_F(TablesTest, LengthIsABorder) {
  EXPECT_EQ(Run("local t = __map({'n', 0}, 1) for i = 1, 5 do t[i] = i end t[5] = nil t[4] = nil return #t, rawlen(t)"),
            "3 3");
  EXPECT_EQ(
      Run("local t = __map({'n', 0, 2, 2, 3, 3}, 3) local a = #t t[1] = 1 local b = #t t[2] = nil return a, b, #t"),
      "0 3 3");
  EXPECT_EQ(
      Run(R"(local t = __map({'n', 0}, 1) for i = 1, 9 do t[i] = i end for i = 9, 1, -1 do t[i] = nil assert(#t == i -
       1) end return #t)"),
      "0");
  EXPECT_EQ(Run("return rawlen('abc'), fails(rawlen, 5)"),
            "3 bad argument #1 to 'rawlen' (table or string expected, got number)");
}

TEST_F(TablesTest, WrongKeys) {
  EXPECT_EQ(Run("local t = __list{} return fails(function() t[nil] = 1 end), fails(function() t[0/0] = 1 end)"),
            "table index is nil table index is NaN");
  EXPECT_EQ(Run("return fails(rawset, __list{}, nil, 1), fails(rawset, __list{}, 0/0, nil)"),
            "table index is nil table index is NaN");
  EXPECT_EQ(Run("local t = __list{} t[1] = nil t.x = nil t[null] = 1 return t, t[nil]"), "{null=1} nil");
  EXPECT_THAT(Run("local t = __list{}\nt[nil] = 1"), HasSubstr("script:2: table index is nil"));
}

// --- Metatables ---

TEST_F(TablesTest, ObjectsAndTheirClasses) {
  EXPECT_EQ(Run(R"(
    local Account = __list{}
    Account.__index = Account
    function Account.new(owner) return setmetatable(__map({'owner', owner}, 1), Account) end
    function Account:greet() return 'I am ' .. self.owner end
    local Special = setmetatable(__list{}, __map({'__index', Account, '__call', function(class, owner)
      return setmetatable(Account.new(owner), class)
    end}, 2))
    Special.__index = Special
    Special.__tostring = function(self) return 'special ' .. self.owner end
    Special.__eq = function(a, b) return a.owner == b.owner end
    Special.__lt = function(a, b) return a.owner < b.owner end
    Special.__concat = function(a, b) return 'joined' end
    function Special:bye() return 'bye ' .. self.owner end
    local a, b = Account.new('a'), Special('b')
    return a:greet(), b:greet(), b:bye(), tostring(b), b == Special('b'), b < Special('c'), b .. '', a.bye,
           Special.__index == Special, Special.__add, getmetatable(b) == Special, getmetatable(Special).__index == Account
  )"),
            "I am a I am b bye b special b true true joined nil true nil true true");
}

TEST_F(TablesTest, MetamethodsMayComeLaterChangeAndGo) {
  EXPECT_EQ(Run(R"(
    local mt = __list{}
    local t = setmetatable(__list{}, mt)
    local out = __list{}
    mt.__index = function(_, k) return 'f' .. k end
    out[1] = t.a
    mt.__index = __map({'a', 'table'}, 1)
    out[2] = t.a
    mt.__index = nil
    out[3] = t.a == nil
    mt.__newindex = function(t, k, v) rawset(t, k, v .. '!') end
    t.x = 'x'
    out[4] = t.x
    mt.__newindex = nil
    t.y = 'y'
    out[5] = keys(t)
    mt.__len = function() return 42 end
    out[6] = #t
    mt.__len = nil
    out[7] = #t
    mt.__call = function(self, a) return a end
    out[8] = t(5)
    mt.__newindex = __list{}
    t.z = 'z'
    out[9] = mt.__newindex.z
    mt.__pairs = function(t) return function(_, k) if not k then return 'only' end end, t, nil end
    out[10] = keys(t)
    return out
  )"),
            "{1=fa 2=table 3=true 4=x! 5=x y 6=42 7=0 8=5 9=z 10=only}");
}

// A class is a metatable and has one.
TEST_F(TablesTest, MetatablesOfMetatables) {
  EXPECT_EQ(Run(R"(
    local log = __list{}
    local meta = __map({'__index', function(t, k) log[#log + 1] = 'get ' .. k return k end,
                        '__newindex', function(t, k, v) log[#log + 1] = 'set ' .. k rawset(t, k, v) end}, 2)
    local class = setmetatable(__list{}, meta)
    class.__index = class                    -- meta's __newindex is asked, since it is not there
    class.__index = class                    -- and now it is
    local object = setmetatable(__list{}, class)
    local a, b, c = object.foo, class.__len, rawget(class, '__index') == class
    class.__len = function() return 9 end
    local d = #object
    class.__len = nil
    class.__len = function() return 8 end
    meta.__newindex = nil
    class.__len = nil
    class.__len = function() return 7 end
    meta.__index = nil
    return a, b, c, d, #object, class.nothing, class.__add, log
  )"),
            "foo __len true 9 7 nil nil {1=set __index 2=get foo 3=get __len 4=set __len 5=set __len}");
}

TEST_F(TablesTest, TableMayBeItsOwnMetatable) {
  EXPECT_EQ(
      Run(R"(local t = __list{} setmetatable(t, t) t.__index = function(_, k) return k .. '?' end t.x = 1 return t.x,
       t.y, t.__add, t.__index ~= nil)"),
      "1 y? __add? true");
  EXPECT_EQ(Run("local t = __list{} t.__index = t setmetatable(t, t) return fails(function() return t.x end)"),
            "'__index' chain too long; possible loop");
}

TEST_F(TablesTest, MetamethodsThatYield) {
  EXPECT_EQ(Run(R"(
    local meta = __map({'__index', function(t, k) return coroutine.yield('get ' .. k) end,
                        '__newindex', function(t, k, v) rawset(t, k, coroutine.yield('set ' .. k)) end,
                        '__pairs', function(t) coroutine.yield('pairs') return next, t, nil end}, 3)
    local class = setmetatable(__list{}, meta)
    rawset(class, '__index', class)
    local object = setmetatable(__list{}, class)
    local co = coroutine.wrap(function()
      local got = object.foo
      class.bar = 1
      for k, v in pairs(class) do if k ~= '__index' then got = got .. ' ' .. k .. '=' .. v end end
      return got
    end)
    return co(), co('foo'), co('bar'), co()
  )"),
            "get foo set bar pairs foo bar=bar");
}

TEST_F(TablesTest, WhatGetmetatableTells) {
  EXPECT_EQ(Run("return getmetatable(__list{}), getmetatable(__map({'a', 1}, 1)), getmetatable(''), getmetatable(1)"),
            "nil nil nil nil");
  EXPECT_EQ(Run(R"(local mt = __list{} local t = setmetatable(__list{}, mt) return getmetatable(t) == mt, keys(mt),
       rawget(mt, '__newindex'), rawget(mt, '__len'), mt.__newindex, mt.__len)"),
            "true  nil nil nil nil");
  EXPECT_EQ(Run(R"(local f, mt = function() end, __list{} mt.__close = f local first = mt.__close == f
       mt.__close = 1 local second = mt.__close mt.__close = nil return first, keys(mt), second, mt.__close)"),
            "true  1 nil");
  EXPECT_EQ(Run(R"(local t = setmetatable(__list{}, __map({'__metatable', 'secret'}, 1)) return getmetatable(t),
       fails(setmetatable, t, nil))"),
            "secret cannot change a protected metatable");
  EXPECT_EQ(Run(R"(local t = setmetatable(__list{}, __map({'__metatable', false}, 1)) return getmetatable(t),
       fails(setmetatable, t, nil))"),
            "false cannot change a protected metatable");
  EXPECT_EQ(Run("return fails(setmetatable, __list{}), fails(setmetatable, 1, nil), fails(setmetatable, __list{}, 1)"),
            "bad argument #2 to 'setmetatable' (nil or table expected, got no value) "
            "bad argument #1 to 'setmetatable' (table expected, got number) "
            "bad argument #2 to 'setmetatable' (nil or table expected, got number)");
}

TEST_F(TablesTest, MetatableMayBeTakenAway) {
  EXPECT_EQ(Run(R"(
    local out = __list{}
    for i, made in ipairs(list(__list{}, __map({'a', 1}, 1), __map({'__index', __map({'deep', 1}, 1)}, 1))) do
      local before = keys(made)
      setmetatable(made, __map({'__index', __map({'b', 2}, 1)}, 1))
      assert(made.b == 2)
      setmetatable(made, nil)
      assert(made.b == nil and getmetatable(made) == nil and keys(made) == before)
      assert(i < 3 or made.__index.deep == 1)
      made.z = 1
      made[1] = 2
      out[i] = keys(made) .. ' ' .. #made
    end
    return out
  )"),
            "{1=1 z 1 2=1 a z 1 3=1 __index z 1}");
}

TEST_F(TablesTest, EventsThatWereThereBeforeTheMetatable) {
  EXPECT_EQ(Run("local t = __map({'__add', 5}, 1) setmetatable(t, __list{}) return t.__add, t.__sub"), "5 nil");
  EXPECT_EQ(Run("local t = __map({'__add', 5}, 1) setmetatable(t, __map({'__newindex', function() end}, 1)) "
                "t.__add = 6 t.__sub = 7 return t"),
            "{__add=6}");
}

TEST_F(TablesTest, LengthIsOursWithoutTheMetatable) {
  EXPECT_EQ(Run("t = __map({'a', 1}, 1) setmetatable(t, __list{}) setmetatable(t, nil)"), "");
  lua_getglobal(state(), "t");
  EXPECT_EQ(luaL_getmetafield(state(), -1, "__len"), LUA_TFUNCTION);
}

TEST_F(TablesTest, LengthOfObjects) {
  EXPECT_EQ(Run("local t = setmetatable(__list{1, 2, 3}, __list{}) t.x = 1 t[4] = 4 return #t, rawlen(t)"), "4 4");
  EXPECT_EQ(Run(R"(local t = setmetatable(__list{1, 2, 3}, __map({'__len', function() return 'many' end}, 1)) return #t,
       rawlen(t))"),
            "many 3");
}

// --- What scripts must not get at ---

TEST_F(TablesTest, NoFinalizersAndNoWeakTables) {
  for (const char* key : {"__gc", "__mode"}) {
    SCOPED_TRACE(key);
    const std::string refused = "tables cannot have a field '" + std::string(key) + "'";
    const std::string k = "local k = '" + std::string(key) + "' ";
    EXPECT_EQ(Run(k + "return fails(function() local t = __list{} t[k] = 'k' end)"), refused);
    EXPECT_EQ(Run(k + "return fails(rawset, __list{}, k, 'k')"), refused);
    EXPECT_EQ(Run(k + "return fails(__map, {k, 'k'}, 1)"), refused);
    EXPECT_EQ(Run(k + "return fails(function() local t = setmetatable(__list{}, __list{}) t[k] = 'k' end)"), refused);
    EXPECT_EQ(Run(k + R"(
      -- What would do it in Lua: the metatable of the metatable lets new keys through.
      local meta = __list{}
      local mt = setmetatable(__list{}, meta)
      setmetatable(__list{}, mt)
      meta.__newindex = nil
      rawset(meta, '__newindex', nil)
      local a = fails(function() mt[k] = 'k' end)
      meta.__newindex = function(t, k, v) rawset(t, k, v) end
      local b = fails(function() mt[k] = 'k' end)
      meta.__newindex = __list{}
      local c = fails(function() mt[k] = 'k' end)
      meta.__newindex = nil
      setmetatable(mt, nil)
      local d = fails(function() mt[k] = 'k' end)
      return a == b and b == c and c == d, a, rawget(mt, k), mt[k]
    )"),
              "true " + refused + " nil nil");
    // Past the library, too.
    EXPECT_EQ(Run(k + R"(
      local mt = __list{}
      local t = setmetatable(__list{}, __map({'__newindex', mt, '__index', mt}, 2))
      return fails(function() t[k] = 'k' end)
    )"),
              refused);
    EXPECT_EQ(Run(k + "return rawget(__list{}, k), (rawset(__list{}, k, nil))[k]"), "nil nil");
  }
  EXPECT_EQ(Run(R"(
    local t = setmetatable(__list{}, __list{})
    getmetatable(t).__index = function() end
    t[1] = __list{}
    t[__list{}] = 1
    collectgarbage() collectgarbage()
    local n = 0
    for _ in pairs(t) do n = n + 1 end
    return n
  )"),
            "2");
}

TEST_F(TablesTest, NewKeysAreAlwaysSeen) {
  // Where scripts change what Lua asks for new keys, or take it away.
  EXPECT_EQ(Run(R"(
    local mt = __map({'__newindex', function() end}, 1)
    local t = setmetatable(__list{}, mt)
    t.a = 1
    mt.__newindex = nil
    t.b = 2
    rawset(mt, '__newindex', nil)
    t.c = 3
    for k in pairs(mt) do mt[k] = nil end
    t.d = 4
    mt.__len = nil
    mt.__newindex = false
    local failed = fails(function() t.e = 5 end)
    mt.__newindex = nil
    t.f = 6
    return t, #t, failed
  )"),
            "{b=2 c=3 d=4 f=6} 0 attempt to index a boolean value");
}

TEST_F(TablesTest, HiddenKeysAreOutOfReach) {
  for (std::uintptr_t bits = 1; bits <= 12; ++bits) {
    lua_pushlightuserdata(state(), std::bit_cast<void*>(bits));
    lua_setglobal(state(), "hidden");
    EXPECT_THAT(Run("return fails(rawset, __list{}, hidden, 1)"), HasSubstr("table index is light userdata"));
    EXPECT_THAT(Run("return fails(function() local t = __list{} t[hidden] = 1 end)"),
                HasSubstr("table index is light userdata"));
    EXPECT_THAT(Run("return fails(rawset, map(__list{}), hidden, 1)"), HasSubstr("table index is light userdata"));
    EXPECT_THAT(Run("return fails(next, __map({'a', 1}, 1), hidden)"), HasSubstr("invalid key"));
  }
  EXPECT_EQ(Run(R"(
    local kinds = list(__list{}, __list{1, nil, 3}, __map({'a', 1}, 1), map(__list{}), setmetatable(__list{}, __list{}), table)
    for i = 1, 20 do kinds[2][i] = i end
    kinds[7] = setmetatable(__list{}, kinds[5])
    for i = 1, 40 do kinds[3]['k' .. i] = i end
    local odd = 0
    for _, t in ipairs(kinds) do
      for k, v in pairs(t) do
        if type(k) == 'userdata' or type(v) == 'userdata' then odd = odd + 1 end
      end
      if rawget(t, null) ~= nil or t[null] ~= nil then odd = odd + 1 end
    end
    return odd
  )"),
            "0");
}

TEST_F(TablesTest, ReadOnlyTables) {
  EXPECT_EQ(Run("return keys(table)"), "concat insert move pack remove sort unpack");
  EXPECT_EQ(Run(R"(local n = 0 for k, v in next, table do n = n + (v == table[k] and 1 or 0) end return n, (next(table,
       'sort')))"),
            "7 unpack");
  EXPECT_EQ(
      Run("return rawget(table, 'sort') == table.sort, table.nothing, #table, rawlen(table), getmetatable(table)"),
      "true nil 0 0 nil");
  const std::string refused = "cannot set 'sort': the table is read-only";
  EXPECT_EQ(Run("return fails(function() table.sort = 1 end)"), refused);
  EXPECT_EQ(Run("return fails(function() table.sort = nil end)"), refused);
  EXPECT_EQ(Run("return fails(rawset, table, 'sort', 1)"), refused);
  EXPECT_EQ(Run("return fails(rawset, table, 'new', 1)"), "cannot set 'new': the table is read-only");
  EXPECT_EQ(Run("return fails(table.insert, table, 1)"), "cannot set a field: the table is read-only");
  EXPECT_EQ(Run("return fails(table.move, list(1), 1, 1, 1, table)"), "cannot set a field: the table is read-only");
  EXPECT_EQ(Run("return fails(setmetatable, table, __list{}), fails(setmetatable, table, nil)"),
            "cannot change a protected metatable cannot change a protected metatable");
  EXPECT_EQ(Run("return fails(setmetatable, __list{}, table)"), "a read-only table cannot be a metatable");
  EXPECT_EQ(Run("return fails(map, table)"), "the table is read-only");
  EXPECT_EQ(Run("return fails(function() table[1] = 1 end), fails(function() table.__index = 1 end)"),
            "cannot set a field: the table is read-only cannot set '__index': the table is read-only");
  EXPECT_EQ(Run("return fails(next, table, 'x')"), "invalid key to 'next'");
  // It can be inherited from.
  EXPECT_EQ(Run(R"(local t = setmetatable(__list{}, __map({'__index', table}, 1)) t.sort = 1 return t, t.concat ==
       table.concat)"),
            "{sort=1} true");
}

TEST_F(TablesTest, ReadOnlyTableInTheOrderOfTheSharedOne) {
  lua_State* lua = state();
  NewMap(lua);
  for (const char* key : {"z", "a", "m"}) {
    lua_pushstring(lua, key);
    lua_pushinteger(lua, 1);
    Set(lua, -3);
  }
  NewList(lua);
  NewReadOnly(lua);
  EXPECT_TRUE(IsMap(lua, -1));
  lua_Integer position = 0;
  std::string keys;
  while (NextEntry(lua, -1, &position)) {
    keys += lua_tostring(lua, -2);
    lua_pop(lua, 2);
  }
  EXPECT_EQ(keys, "zam");
  lua_setglobal(lua, "shared");
  EXPECT_EQ(Run("return shared, next(shared, 'z')"), "{z=1 a=1 m=1} a 1");
}

TEST_F(TablesTest, ReadOnlyList) {
  lua_State* lua = state();
  lua_newtable(lua);
  for (int i = 1; i <= 3; ++i) {
    lua_pushinteger(lua, i * 10);
    lua_rawseti(lua, -2, i);
  }
  lua_newtable(lua);
  NewReadOnly(lua);
  EXPECT_EQ(LengthOf(lua, -1), 3);
  lua_setglobal(lua, "shared");
  EXPECT_EQ(Run("return shared, #shared, rawlen(shared), rawget(shared, 2), table.concat(shared, ' ')"),
            "{1=10 2=20 3=30} 3 3 20 10 20 30");
}

// --- From C++ ---

TEST_F(TablesTest, ListsAndMaps) {
  EXPECT_EQ(Run(R"(
    kinds = list(__list{}, __list{1, 2}, list(), __map({}, 0), __map({1, 1}, 1), map(__list{}), map(list(1, 2)))
    kinds[8] = __list{1, 2} kinds[8][3] = 3
    kinds[9] = __list{1, 2} kinds[9][4] = 3
    kinds[10] = __list{1} kinds[10].x = 1 kinds[10].x = nil
    kinds[11] = __list{1, 2, 3} kinds[11][2] = nil kinds[11][2] = 2 kinds[11][3] = nil
    kinds[12] = __list{1, 2, 3} kinds[12].x = nil kinds[12][7] = nil
    kinds[13] = __list{} kinds[13][0] = 1
    kinds[14] = __list{} setmetatable(__list{}, kinds[14])
    kinds[15] = __list{} for i = 1, 100 do kinds[15][i] = i end for i = 100, 1, -1 do kinds[15][i] = nil end
    kinds[16] = table.pack()
  )"),
            "");
  const std::string expected = "LLLMMMMLMMLLMLLM";
  std::string found;
  lua_getglobal(state(), "kinds");
  for (int i = 1; i <= static_cast<int>(expected.size()); ++i) {
    lua_rawgeti(state(), -1, i);
    found += IsMap(state(), -1) ? 'M' : 'L';
    lua_pop(state(), 1);
  }
  EXPECT_EQ(found, expected);
}

TEST_F(TablesTest, MadeFromOutside) {
  lua_State* lua = state();
  lua_settop(lua, 0);
  NewMap(lua, 3);
  EXPECT_TRUE(IsMap(lua, 1));
  EXPECT_EQ(LengthOf(lua, 1), 0);
  for (const char* key : {"x", "c", "x", "__index"}) {
    lua_pushstring(lua, key);
    lua_pushinteger(lua, lua_gettop(lua));
    Set(lua, 1);
  }
  lua_pushnumber(lua, 1.0);
  lua_pushboolean(lua, 1);
  Set(lua, -3);
  lua_pushstring(lua, "gone");
  lua_pushnil(lua);
  Set(lua, 1);
  EXPECT_EQ(lua_gettop(lua), 1);
  EXPECT_EQ(LengthOf(lua, -1), 1);
  lua_setglobal(lua, "t");
  EXPECT_EQ(Run("t.new = 1 return t"), "{1=true x=2 c=2 __index=2 new=1}");

  lua_settop(lua, 0);
  NewList(lua, 100);
  for (int i = 1; i <= 100; ++i) {
    lua_pushinteger(lua, i);
    lua_rawseti(lua, 1, i);
  }
  EXPECT_FALSE(IsMap(lua, 1));
  EXPECT_EQ(LengthOf(lua, 1), 100);
  lua_setglobal(lua, "t");
  EXPECT_EQ(
      Run(R"(t[50] = nil local n = 0 for k in pairs(t) do n = n + k end t.x = 1 for k, v in pairs(t) do n = n + v end
       return n, #keys(t))"),
      "10001 290");
}

TEST_F(TablesTest, MetatableOfManySessionsStaysAsItIs) {
  lua_State* lua = state();
  NewMap(lua);
  NewMap(lua);
  lua_pushliteral(lua, "__index");
  lua_getglobal(lua, "table");
  Set(lua, -3);
  SetSharedMetatable(lua);
  lua_getmetatable(lua, -1);
  const void* shared = lua_topointer(lua, -1);
  const auto push = [&](const char* name) {
    lua_newtable(lua);
    lua_pushvalue(lua, 2);
    lua_setmetatable(lua, -2);
    lua_setglobal(lua, name);
  };
  lua_replace(lua, 2);
  lua_settop(lua, 2);
  push("one");
  push("other");
  lua_pushvalue(lua, 2);
  lua_setglobal(lua, "metatable");
  EXPECT_EQ(Run("before = '' for k, v in base_next, metatable do before = before .. tostring(k) .. tostring(v) end"),
            "");
  // Events of one's own make a difference for oneself.
  EXPECT_EQ(
      Run("one.x = 1 one.__index = 2 one.__add = 3 return one, one.__index, one.sort == table.sort, getmetatable(one)"),
      "{x=1 __index=2 __add=3} 2 true false");
  EXPECT_EQ(Run("other.x = 1 return other, other.__index, other.sort == table.sort, getmetatable(other)"),
            "{x=1} nil true false");
  EXPECT_EQ(Run("local now = '' for k, v in base_next, metatable do now = now .. tostring(k) .. tostring(v) end return "
                "now == before"),
            "true");
  lua_getglobal(lua, "other");
  lua_getmetatable(lua, -1);
  EXPECT_EQ(lua_topointer(lua, -1), shared);
  EXPECT_THAT(Run("return fails(setmetatable, one, nil), fails(setmetatable, other, nil)"),
              "cannot change a protected metatable cannot change a protected metatable");
}

TEST_F(TablesTest, FunctionsAddedToATableOfOurs) {
  NewList(state());
  AddTableFunctions(state());
  lua_setglobal(state(), "t");
  EXPECT_EQ(Run("return keys(t)"),
            "pairs next ipairs rawset rawget rawlen rawequal setmetatable getmetatable list map __list __map");
}

TEST_F(TablesTest, SetRaises) {
  for (const auto& [push, what] : std::vector<std::pair<void (*)(lua_State*), std::string>>{
           {[](lua_State* lua) { lua_pushnil(lua); }, "table index is nil"},
           {[](lua_State* lua) { lua_pushnumber(lua, std::numeric_limits<double>::quiet_NaN()); },
            "table index is NaN"},
           {[](lua_State* lua) { lua_pushliteral(lua, "__gc"); }, "tables cannot have a field '__gc'"}}) {
    lua_settop(state(), 0);
    lua_pushcfunction(state(), [](lua_State* lua) {
      NewList(lua);
      lua_insert(lua, 1);
      lua_pushinteger(lua, 1);
      Set(lua, 1);
      return 0;
    });
    push(state());
    EXPECT_EQ(lua_pcall(state(), 1, 0, 0), LUA_ERRRUN);
    EXPECT_EQ(lua_tostring(state(), -1), what);
  }
}

// --- Against a model ---

using Key = std::variant<lua_Integer, double, bool, std::string>;

void Push(lua_State* state, const Key& key) {
  struct Pusher {
    void operator()(lua_Integer each) const { lua_pushinteger(state, each); }
    void operator()(double each) const { lua_pushnumber(state, each); }
    void operator()(bool each) const { lua_pushboolean(state, each ? 1 : 0); }
    void operator()(const std::string& each) const { lua_pushlstring(state, each.data(), each.size()); }
    lua_State* state;
  };
  std::visit(Pusher{state}, key);
}

Key ToKey(lua_State* state, int index) {
  switch (lua_type(state, index)) {
    case LUA_TNUMBER:
      return lua_isinteger(state, index) ? Key(lua_tointeger(state, index)) : Key(lua_tonumber(state, index));
    case LUA_TBOOLEAN:
      return lua_toboolean(state, index) != 0;
    default:
      return std::string(lua_tostring(state, index));
  }
}

std::string Shown(const Key& key) {
  struct Shower {
    std::string operator()(lua_Integer each) const { return std::to_string(each); }
    std::string operator()(double each) const { return std::to_string(each); }
    std::string operator()(bool each) const { return each ? "true" : "false"; }
    std::string operator()(const std::string& each) const { return each; }
  };
  return std::visit(Shower{}, key);
}

// What tables.h says, told plainly.
class Model {
 public:
  using Entry = std::pair<Key, lua_Integer>;

  std::optional<lua_Integer> Get(const Key& key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? std::nullopt : std::optional(found->second);
  }
  bool Has(const Key& key) const { return values_.contains(key); }
  bool is_map() const { return is_map_; }

  void Set(const Key& key, std::optional<lua_Integer> value) {
    if (!value) {
      values_.erase(key);
      std::erase(others_, key);
    } else {
      if (!Has(key) && !IsItem(key)) {
        if (!is_map_) BecomeMap();
        others_.push_back(key);
      }
      values_[key] = *value;
      while (is_map_ && Has(items_ + 1)) ++items_;
    }
  }

  std::vector<Entry> Entries() const {
    std::vector<Entry> entries;
    const lua_Integer items = is_map_ ? items_ : LastItem();
    for (lua_Integer i = 1; i <= items; ++i) {
      if (Has(i)) entries.emplace_back(i, *Get(i));
    }
    for (const Key& key : others_) {
      const auto* item = std::get_if<lua_Integer>(&key);
      if (item == nullptr || *item < 1 || *item > items) entries.emplace_back(key, *Get(key));
    }
    return entries;
  }

  bool IsBorder(lua_Integer n) const { return (n == 0 || Has(n)) && !Has(n + 1); }

 private:
  // Of a list.
  lua_Integer LastItem() const {
    lua_Integer last = 0;
    for (const auto& [key, value] : values_) {
      if (const auto* item = std::get_if<lua_Integer>(&key)) last = std::max(last, *item);
    }
    return last;
  }

  lua_Integer ItemsThere(lua_Integer up_to) const {
    lua_Integer there = 0;
    for (lua_Integer i = 1; i <= up_to; ++i) there += Has(i) ? 1 : 0;
    return there;
  }

  void BecomeMap() {
    is_map_ = true;
    items_ = LastItem();
    Check();
  }

  void Check() {
    if (ItemsThere(items_) * 2 < items_) {
      lua_Integer dense = 0;
      while (Has(dense + 1)) ++dense;
      for (lua_Integer i = dense + 1; i <= items_; ++i) {
        std::erase(others_, Key(i));
        if (Has(i)) others_.emplace_back(i);
      }
      items_ = dense;
    }
    check_ = std::max<lua_Integer>(items_ * 2, 16);
  }

  // The key, which is not there, will be an item.
  bool IsItem(const Key& key) {
    const auto* item = std::get_if<lua_Integer>(&key);
    if (item == nullptr || *item < 1) return false;
    if (!is_map_) {
      if (*item > LastItem() + 1) return false;
      if (*item > reach_) {
        if (ItemsThere(reach_) * 2 < reach_) return false;
        reach_ *= 2;
      }
      return true;
    }
    if (*item == items_ + 1 && *item > check_) Check();
    return *item <= items_ + 1;
  }

  std::map<Key, lua_Integer> values_;
  std::vector<Key> others_;  // in order; those that have become items may still be there
  bool is_map_ = false;
  lua_Integer reach_ = 16;  // of a list
  lua_Integer items_ = 0;   // of a map
  lua_Integer check_ = 0;
};

class ModelTest : public ::testing::TestWithParam<int> {
 protected:
  ModelTest() : random_(static_cast<std::uint32_t>(GetParam())) {
    EXPECT_EQ(script_.Run(R"(
      function set(t, k, v) t[k] = v end
      function length(t) return #t end
      function append(t, v) t[#t + 1] = v end
      function pop(t) t[#t] = nil end
      insert, remove = table.insert, table.remove
    )"),
              "");
    NewList(lua());
    table_ = lua_gettop(lua());
  }

  lua_State* lua() const { return script_.get(); }

  lua_Integer Random(lua_Integer from, lua_Integer to) {
    return from + static_cast<lua_Integer>(random_() % static_cast<std::uint64_t>(to - from + 1));
  }

  // Calls a function of the script with the table and what `arguments` pushes.
  template <typename Arguments>
  void Call(const char* function, Arguments arguments, int results = 0) {
    lua_getglobal(lua(), function);
    const int at = lua_gettop(lua());
    lua_pushvalue(lua(), table_);
    arguments();
    ASSERT_EQ(lua_pcall(lua(), lua_gettop(lua()) - at, results, 0), LUA_OK) << lua_tostring(lua(), -1);
  }

  lua_Integer Length() {
    Call("length", [] {}, 1);
    const lua_Integer length = lua_tointeger(lua(), -1);
    lua_pop(lua(), 1);
    EXPECT_TRUE(model_.IsBorder(length)) << length;
    return length;
  }

  void Set(const Key& key, std::optional<lua_Integer> value) {
    Call("set", [&] {
      Push(lua(), key);
      if (value) {
        lua_pushinteger(lua(), *value);
      } else {
        lua_pushnil(lua());
      }
    });
    model_.Set(key, value);
  }

  // The entry behind the key, as next() tells.
  std::optional<Model::Entry> Next(const std::optional<Key>& key) {
    std::optional<Model::Entry> next;
    Call("next", [&] { key ? Push(lua(), *key) : lua_pushnil(lua()); }, 2);
    if (!lua_isnil(lua(), -2)) next.emplace(ToKey(lua(), -2), lua_tointeger(lua(), -1));
    lua_pop(lua(), 2);
    return next;
  }

  Key RandomKey() {
    const lua_Integer kind = Random(0, 9);
    if (kind < 5) return Random(1, spread_);
    if (kind < 8) return "k" + std::to_string(Random(1, spread_));
    switch (Random(0, 7)) {
      case 0:
        return Random(-3, 0);
      case 1:
        return static_cast<double>(Random(-5, 5)) + 0.5;
      case 2:
        return Random(0, 1) == 0;
      case 3:
        return std::string("__index");
      case 4:
        return std::string("__len2");
      case 5:
        return std::string("__call");
      case 6:
        return std::string(60, 'x') + std::to_string(Random(1, 3));
      default:
        return Random(1, 1000) * 1000;
    }
  }

  void Step() {
    const lua_Integer kind = Random(0, 99);
    const lua_Integer value = ++value_;
    if (kind < weight_append_) {
      const lua_Integer length = Length();
      Call("append", [&] { lua_pushinteger(lua(), value); });
      model_.Set(length + 1, value);
    } else if (kind < weight_append_ + 10) {
      const lua_Integer length = Length();
      if (Random(0, 1) == 0) {
        Call("pop", [] {});
        model_.Set(length, std::nullopt);
      } else if (length > 0) {
        // From the front.
        for (lua_Integer i = 1; i <= length + 1; ++i) {
          if (!model_.Has(i)) continue;
          Set(i, std::nullopt);
          break;
        }
      }
    } else if (kind < weight_append_ + 15) {
      const lua_Integer length = Length();
      const lua_Integer at = Random(1, length + 1);
      Call("insert", [&] {
        lua_pushinteger(lua(), at);
        lua_pushinteger(lua(), value);
      });
      for (lua_Integer i = length + 1; i > at; --i) model_.Set(i, model_.Get(i - 1));
      model_.Set(at, value);
    } else if (kind < weight_append_ + 20) {
      const lua_Integer length = Length();
      if (length == 0) return;
      const lua_Integer at = Random(1, length);
      Call("remove", [&] { lua_pushinteger(lua(), at); });
      for (lua_Integer i = at; i < length; ++i) model_.Set(i, model_.Get(i + 1));
      model_.Set(length, std::nullopt);
    } else if (kind < weight_append_ + 35) {
      // Something that is there.
      const std::vector<Model::Entry> entries = model_.Entries();
      if (entries.empty()) return;
      const Key key = entries[static_cast<std::size_t>(Random(0, static_cast<lua_Integer>(entries.size()) - 1))].first;
      Set(key, std::nullopt);
      if (Random(0, 1) == 0) Set(key, value);
    } else if (keys_) {
      Set(RandomKey(), Random(0, 4) == 0 ? std::nullopt : std::optional(value));
    }
  }

  std::vector<Model::Entry> AllByNext() {
    std::vector<Model::Entry> all;
    for (auto entry = Next(std::nullopt); entry; entry = Next(entry->first)) all.push_back(*entry);
    return all;
  }

  static std::string Shown(const std::vector<Model::Entry>& entries) {
    std::string shown;
    for (const auto& [key, value] : entries) shown += lua::Shown(key) + "=" + std::to_string(value) + " ";
    return shown;
  }

  void Check() {
    ASSERT_EQ(IsMap(lua(), table_), model_.is_map());
    const std::vector<Model::Entry> expected = model_.Entries();
    ASSERT_EQ(Shown(AllByNext()), Shown(expected));
    std::vector<Model::Entry> entries;
    lua_Integer position = 0;
    while (NextEntry(lua(), table_, &position)) {
      entries.emplace_back(ToKey(lua(), -2), lua_tointeger(lua(), -1));
      lua_pop(lua(), 2);
    }
    ASSERT_EQ(Shown(entries), Shown(expected));
    ASSERT_TRUE(model_.IsBorder(LengthOf(lua(), table_)));
    Length();
    for (int i = 0; i < 5 && !expected.empty(); ++i) {
      const auto at = static_cast<std::size_t>(Random(0, static_cast<lua_Integer>(expected.size()) - 1));
      const auto next = Next(expected[at].first);
      if (at + 1 == expected.size()) {
        ASSERT_FALSE(next) << lua::Shown(expected[at].first);
      } else {
        ASSERT_TRUE(next == expected[at + 1]) << lua::Shown(expected[at].first);
      }
    }
    ASSERT_EQ(lua_gettop(lua()), table_);
  }

  // Goes through it while keys are cleared.
  void CheckClearing() {
    const std::vector<Model::Entry> before = model_.Entries();
    std::optional<Key> key;
    for (const auto& [expected, value] : before) {
      if (!model_.Has(expected)) continue;
      const auto next = Next(key);
      ASSERT_TRUE(next);
      ASSERT_TRUE(next->first == expected) << lua::Shown(expected) << " not " << lua::Shown(next->first);
      key = expected;
      if (Random(0, 2) == 0) Set(expected, std::nullopt);
      if (Random(0, 4) == 0) {
        Set(before[static_cast<std::size_t>(Random(0, static_cast<lua_Integer>(before.size()) - 1))].first,
            std::nullopt);
      }
      if (Random(0, 4) == 0) AllByNext();
    }
    if (key) ASSERT_FALSE(Next(key));
  }

  void Run(int steps) {
    for (int i = 0; i < steps && !HasFailure(); ++i) {
      Step();
      if (i % 3 == 0) Check();
      if (i % 50 == 49) CheckClearing();
    }
  }

  ScriptState script_;
  std::mt19937 random_;
  int table_ = 0;
  Model model_;
  lua_Integer value_ = 0;
  lua_Integer spread_ = 12;
  lua_Integer weight_append_ = 15;
  bool keys_ = true;
};

TEST_P(ModelTest, FewKeys) { Run(600); }

TEST_P(ModelTest, ManyKeys) {
  spread_ = 120;
  Run(1500);
}

TEST_P(ModelTest, Lists) {
  keys_ = false;
  weight_append_ = 45;
  Run(600);
}

TEST_P(ModelTest, LongListsWithFewOtherKeys) {
  weight_append_ = 60;
  spread_ = 60;
  Run(800);
}

TEST_P(ModelTest, Queues) {
  // Window after window, with and without other keys.
  if (GetParam() % 2 == 0) Set(std::string("first"), 1);
  lua_Integer first = 1;
  for (lua_Integer i = 1; i <= 400; ++i) {
    Set(i, i);
    while (i - first > 1 + (GetParam() % 20) || (first <= i && Random(0, 3) == 0)) Set(first++, std::nullopt);
    if (i % 7 == 0) Check();
    if (i % 100 == 0) CheckClearing();
    if (Random(0, 50) == 0) Set("k" + std::to_string(i), i);
    if (HasFailure()) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, ::testing::Range(0, 30));

// --- The same in every state ---

// Random operations on tables of all kinds; returns all that a script can see of them. With scripts' own means only.
constexpr char kTrace[] = R"(
  local seed = SEED
  local function random(n) seed = (seed * 1103515245 + 12345) % 2147483648 return (seed >> 8) % n + 1 end
  local out = __list{}
  local function note(...) for _, each in ipairs(list(...)) do out[#out + 1] = tostring(each) end end
  local objects = __list{}
  for i = 1, 5 do objects[i] = setmetatable(__map({'id', i}, 1), __map({'__tostring', function(o) return 'o' .. o.id end}, 1)) end
  local words = __list{'alpha', 'beta', 'gamma', string.rep('long', 20), '__index', '__call', 'delta', 'x', 'y', 'z'}
  local function key()
    local kind = random(8)
    if kind <= 3 then return random(40) end
    if kind <= 5 then return words[random(#words)] end
    if kind == 6 then return 'k' .. random(60) end
    if kind == 7 then return objects[random(#objects)] end
    return random(2) == 1 and random(9) / 2 or random(2) == 1
  end
  local function keys_of(t)
    local all = __list{}
    for k in pairs(t) do all[#all + 1] = tostring(k) end
    return table.concat(all, ' ')
  end
  -- Lists with gaps: `#` is Lua's there.
  for round = 1, 20 do
    local t = round % 4 == 0 and __list{1, nil, 3, nil, 5, nil} or __list{}
    for step = 1, 60 do
      local kind = random(10)
      if kind <= 5 then t[#t + 1] = step
      elseif kind <= 7 and #t > 0 then t[random(#t)] = nil
      elseif kind == 8 then table.insert(t, random(#t + 1), step)
      elseif kind == 9 and #t > 0 then table.remove(t, random(#t))
      else local n = 0 for k in pairs(t) do n = n + k end note(n, next(t)) end
      note(#t)
    end
    note(keys_of(t))
  end
  -- And anything else.
  for round = 1, 20 do
    local t = round % 3 == 0 and setmetatable(__list{}, __list{}) or round % 3 == 1 and map(__list{}) or __list{1, 2, 3}
    for step = 1, 120 do
      local kind = random(10)
      if kind <= 5 then t[key()] = step
      elseif kind <= 7 then t[key()] = nil
      elseif kind == 8 then t[#t + 1] = step
      elseif kind == 9 then t[#t] = nil
      else for k in pairs(t) do if random(4) == 1 then t[k] = nil end end end
      note(#t)
      if step % 5 == 0 then note(keys_of(t)) end
    end
  end
  return table.concat(out, '\n')
)";

TEST(DeterminismTest, SameInEveryState) {
  // All at once, so that they lie elsewhere and have other seeds.
  std::vector<std::unique_ptr<ScriptState>> states;
  std::set<std::string> orders;
  std::vector<std::string> traces(3);
  for (int i = 0; i < 15; ++i) {
    auto& script = *states.emplace_back(std::make_unique<ScriptState>());
    // The collector's pace is another, too.
    script.Run(i % 3 == 0 ? "collectgarbage('generational')" : i % 3 == 1 ? "collectgarbage('setpause', 110)" : "");
    script.Run("for i = 1, " + std::to_string(i * 10) + " do _G['other' .. i] = {} end");
    const std::uint64_t before = script.meter().instructions;
    const std::size_t memory_before = script.meter().memory;
    for (std::size_t seed = 0; seed < traces.size(); ++seed) {
      std::string source = kTrace;
      source.replace(source.find("SEED"), 4, std::to_string(seed + 1));
      std::string trace = script.Run(source);
      trace += " used " + std::to_string(before - script.meter().instructions) + " " +
               std::to_string(memory_before - script.meter().memory);
      if (i == 0) traces[seed] = trace;
      ASSERT_THAT(trace, ::testing::Not(HasSubstr("error")));
      ASSERT_TRUE(trace == traces[seed]) << i;
    }
    // Lua itself.
    ScriptState stock(ScriptState::Kind::kStock);
    orders.insert(stock.Run("local t = {} for i = 1, 20 do t['key' .. i] = i end return keys(t)"));
  }
  EXPECT_GT(orders.size(), 3U) << "the states do not differ";
}

// --- Against Lua itself ---

// Nothing here depends on the order of keys that are not items.
constexpr const char* kSameAsLua[] = {
    R"(local t = __list{1, 2, 3} t[#t + 1] = 4 return t, #t, next(t), next(t, 4))",
    R"(local t = __map({'x', 1}, 1) t.x = nil return next(t), #t, t.x)",
    R"(local n = 0 for i, v in ipairs(__list{1, 2, nil, 4}) do n = n + v end return n)",
    R"(local t = setmetatable(__list{}, __map({'__index', function(_, i) if i < 5 then return i * i end end}, 1)) local
       s = 0 for _, v in ipairs(t) do s = s + v end return s)",
    R"(return fails(ipairs), fails(pairs), fails(next), fails(rawget), fails(rawset, 1), fails(rawlen), fails(rawequal,
       1))",
    R"(return fails(next, 1), fails(rawget, 1, 1), fails(rawset, __list{}, 1), fails(getmetatable), fails(setmetatable,
       __list{}))",
    R"(return fails(next, __list{}, 'x'), fails(function() local t = __list{} t[nil] = 1 end))",
    R"(return rawequal(1, 1.0), rawequal('a', 'a'), rawequal(__list{}, __list{}), rawlen('ab'), rawlen(__list{1, 2}))",
    R"(local t = setmetatable(__list{}, __map({'__index', function() return 1 end}, 1)) return t.x, rawget(t, 'x'))",
    R"(local t = setmetatable(__list{}, __map({'__newindex', function() end}, 1)) t.x = 1 rawset(t, 'y', 2) return t.x,
       t.y)",
    R"(local p = setmetatable(__list{}, __map({'__pairs', function(t) return 1, 2, 3, 4 end}, 1)) return pairs(p))",
    R"(local t = setmetatable(__list{}, __map({'__metatable', 5}, 1)) return getmetatable(t), fails(setmetatable, t,
       __list{}))",
    R"(local mt = __list{} local t = setmetatable(__list{}, mt) return getmetatable(t) == mt, setmetatable(t, nil) ==
       t, getmetatable(t))",
    R"(local t = __list{} t.x = 1 local u = setmetatable(__list{}, __map({'__index', t}, 1)) u.x = nil return u.x,
       rawget(u, 'x'))",
    R"(local t = setmetatable(__list{}, __map({'__len', function() return 7 end}, 1)) return #t, rawlen(t))",
    R"(local a = setmetatable(__list{}, __map({'__eq', function() return true end}, 1)) return a == __list{}, a ~=
       __list{}, rawequal(a, __list{}))",
    R"(local t = __list{} for i = 1, 300 do t[i] = i end for i = 300, 101, -1 do t[i] = nil end return #t, next(t, 99),
       next(t, 100))",
    R"(local t = __map({'a', 1}, 1) for k, v in pairs(t) do t[k] = nil end return next(t))",
    R"(local t = __list{} t[1] = 1 t[2.0] = 2 t[2^53] = 3 return t[2], t[2^53 | 0], #t)",
    R"(local t = __list{10, 20, 30} for k in pairs(t) do t[k] = nil end return next(t), #t)",
    R"(local c = __list{} c.__index = c c.__call = function(_, ...) return select('#', ...) end return
       setmetatable(__list{}, c)(1, nil, 2))",
    R"(local t = setmetatable(__list{}, __map({'__index', string}, 1)) return t.rep('a', 3), fails(function() return
       t.x.y end))",
    R"(local t = __list{} t.__index = t setmetatable(t, t) t.a = 1 return t.a, fails(function() return t.b end))",
    R"(local t = setmetatable(__list{}, __map({'__newindex', __list{}}, 1)) t.x = 1 return t.x,
       getmetatable(t).__newindex.x)",
    R"(return fails(function() setmetatable(__list{}, __map({'__newindex', 5}, 1)).x = 1 end))",
    R"(return fails(function() return setmetatable(__list{}, __map({'__index', 5}, 1)).x end))",
    R"(return select('#', next(__list{})), select('#', ipairs(__list{})), select('#', pairs(__list{})))",
};

TEST(SameAsLuaTest, Scripts) {
  for (const char* source : kSameAsLua) {
    ScriptState ours;
    ScriptState stock(ScriptState::Kind::kStock);
    const std::string expected = stock.Run(source);
    EXPECT_EQ(ours.Run(source), expected) << source;
    EXPECT_THAT(expected, ::testing::Not(HasSubstr("script:"))) << source;
  }
}

// --- What it costs ---

TEST_F(TablesTest, BytesOfMaps) {
  const auto cost = [&](const std::string& made, int keys) {
    const std::string script =
        "local t = " + made + " for i = 1, " + std::to_string(keys) + " do t[names[i]] = i end kept = t";
    EXPECT_EQ(Run("names = {} for i = 1, 200 do names[i] = 'k' .. i end"), "");
    Run(script);
    Run("kept = nil collectgarbage()");
    const std::size_t before = script_.Allocated();
    const std::size_t asked = script_.meter().asked;
    Run(script);
    Run("collectgarbage()");
    const std::size_t bytes = script_.Allocated() - before;
    RecordProperty("bytes_of_" + std::to_string(keys), std::to_string(bytes));
    RecordProperty("asked_of_" + std::to_string(keys), std::to_string(script_.meter().asked - asked));
    return std::pair(bytes, script_.meter().asked - asked);
  };
  // What a map of so many keys takes, and what the meter says it does.
  for (const auto& [keys, bytes] : {std::pair<int, std::size_t>{0, 160}, {2, 300}, {8, 650}, {100, 8500}}) {
    const auto [taken, counted] = cost("map(__list{})", keys);
    EXPECT_LE(taken, bytes) << keys;
    EXPECT_THAT(counted, AllOf(Ge(taken * 2 / 3), Le(taken * 2))) << keys;
  }
  EXPECT_LE(cost("__list{}", 0).first, 56U);
}

TEST_F(TablesTest, KeysThatBecameItemsAreForgotten) {
  EXPECT_EQ(Run("kept = __list{} for i = 1000, 2, -1 do kept[i] = i end collectgarbage()"), "");
  const std::size_t before = script_.Allocated();
  EXPECT_EQ(Run("kept[1] = 1 collectgarbage()"), "");
  EXPECT_LT(script_.Allocated() + 40'000, before);
}

TEST_F(TablesTest, MemoryIsCounted) {
  const auto asked = [&](const std::string& script) {
    const std::size_t before = script_.meter().asked;
    EXPECT_EQ(Run(script), "");
    return script_.meter().asked - before;
  };
  const std::size_t list = asked("t = __list{}");
  EXPECT_GE(list, 56U);
  EXPECT_EQ(asked("t = __list{1, 2, 3}"), list + (3 * 16));
  EXPECT_EQ(asked("t[4] = 1 t[5] = 1"), 2U * 16);
  EXPECT_EQ(asked("t[4] = 2 t.x = nil t[9] = nil"), 0U);
  const std::size_t key = asked("t.x = 1");
  EXPECT_GE(key, 40U);
  EXPECT_EQ(asked("t.x = 2 t.y = 1 t[true] = 1"), 2 * key);
  EXPECT_EQ(asked("t = __map({'a', 1, 'b', 2, 1, 3}, 3)"), list + (2 * key) + 16);
  EXPECT_EQ(asked("t = list(1, 2)"), list + (2 * 16));
}

TEST_F(TablesTest, EndsWhenTheBudgetDoes) {
  script_.meter().memory = 100'000;
  EXPECT_EQ(Run("return pcall(function() local t = __list{} for i = 1, 1e9 do t['k' .. i] = i end end)"), "false nil");
  EXPECT_EQ(script_.meter().abort, Abort::kMemory);
  // Whatever catches it.
  EXPECT_EQ(Run("return pcall(function() t = map(list()) end)"), "false nil");
}

TEST_F(TablesTest, LookingForWhatIsNotThereIsCounted) {
  Run("t = __list{} for i = 1, 10000 do t[i] = i end for i = 1, 10000 do t[i] = nil end");
  const auto charged = [&](const std::string& script) {
    const std::uint64_t before = script_.meter().instructions;
    EXPECT_EQ(Run(script), "");
    return before - script_.meter().instructions;
  };
  EXPECT_GE(charged("next(t)"), 10000U - 64);
  EXPECT_GE(charged("t.x = 1"), 10000U);
  EXPECT_LE(charged("next(t)"), 64U);
  EXPECT_LE(charged("t = __list{} for i = 1, 1000 do t[i] = i t['k' .. i] = i end"), 50'000U);
  EXPECT_LE(charged("for i = 1, 1000 do t['k' .. i] = nil t['k' .. i] = 1 end"), 50'000U);
  Run("for i = 1, 1000 do t['k' .. i] = nil end");
  EXPECT_GE(charged("next(t, 1000)"), 900U);
  EXPECT_LE(charged("next(t, 1000)"), 64U);
  // Where a border was is known also when the record is made anew.
  Run("for i = 1, 40 do t['k' .. i] = 1 assert(#t == 1000) end");
  EXPECT_LE(charged("for i = 41, 100 do t['k' .. i] = 1 assert(#t == 1000) end"), 60U * 50);
}

}  // namespace
}  // namespace corod::lua
