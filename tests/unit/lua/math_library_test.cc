#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "server/lua/libraries.h"
#include "server/lua/lua_api.h"
#include "server/lua/mathematics.h"
#include "server/lua/meter.h"

namespace corod::lua {
namespace {

constexpr std::uint64_t kManyInstructions = 1'000'000'000;

// A state that has Lua's library as `stock` and ours as `ours`.
class MathLibraryTest : public ::testing::Test {
 protected:
  MathLibraryTest() {
    *static_cast<Meter**>(lua_getextraspace(state_)) = &meter_;
    luaL_openlibs(state_);
    lua_getglobal(state_, "math");
    lua_setglobal(state_, "stock");
    PushMathLibrary(state_);
    lua_setglobal(state_, "ours");
    Run(R"(
      function show(value)
        if math.type(value) == "float" then return ("float %a"):format(value) end
        return (math.type(value) or type(value)) .. " " .. tostring(value)
      end

      -- What a call gives, or its error, as a text.
      function try(library, name, ...)
        local method = library[name]
        local results = table.pack(pcall(function(...)
          local results = table.pack(method(...))
          return table.unpack(results, 1, results.n)
        end, ...))
        for i = 1, results.n do results[i] = show(results[i]) end
        return table.concat(results, "; ")
      end

      -- Where the libraries differ, as a text; empty: nowhere.
      function compare(name, ...)
        local expected, is = try(stock, name, ...), try(ours, name, ...)
        if expected == is then return "" end
        local arguments = table.pack(...)
        for i = 1, arguments.n do arguments[i] = show(arguments[i]) end
        return name .. "(" .. table.concat(arguments, ", ") .. ") is " .. is .. " and not " .. expected .. "\n"
      end

      -- Also texts that are numbers, and what is none.
      arguments = {
        0, 1, -1, 2, 3, -3, 7, 10, 255, 1 << 53, -1 << 53, math.maxinteger, math.mininteger, math.maxinteger - 1,
        0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, 1e15 + 0.5, 0x1p53, 0x1p62, 0x1p63, -0x1p63, -0x1.8p63, 1e308,
        0x1p-1074, -0x1p-1022, 3.999, math.huge, -math.huge, 0 / 0, "10", "0x10", " 3.5 ", "1e3", "-0.0", "abc", "", "5x",
        true, {}, print, n = 48
      }
      assert(arguments[arguments.n - 1] == print and arguments[arguments.n] == nil)
    )");
  }
  ~MathLibraryTest() override { lua_close(state_); }

  // What `source` returns as a text; or its error.
  std::string Run(const std::string& source) {
    if (luaL_loadbufferx(state_, source.data(), source.size(), "=test", "t") == LUA_OK) lua_pcall(state_, 0, 1, 0);
    std::string text = lua_isstring(state_, -1) != 0 ? lua_tostring(state_, -1) : luaL_typename(state_, -1);
    lua_pop(state_, 1);
    return text;
  }

  double Number(const std::string& expression) {
    EXPECT_EQ(luaL_dostring(state_, ("return " + expression).c_str()), LUA_OK) << expression;
    EXPECT_EQ(lua_isinteger(state_, -1), 0) << expression;
    const double number = lua_tonumber(state_, -1);
    lua_pop(state_, 1);
    return number;
  }

  Meter meter_{.instructions = kManyInstructions, .memory = kManyInstructions};
  lua_State* const state_ = luaL_newstate();
};

TEST_F(MathLibraryTest, HasWhatLuasHas) {
  EXPECT_EQ(
      Run(R"(
    local names = {}
    for name in pairs(ours) do
      if type(stock[name]) ~= type(ours[name]) then return name end
      names[#names + 1] = name
    end
    table.sort(names)
    return table.concat(names, " ")
  )"),
      "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad sin sqrt tan "
      "tointeger type ult");
  for (const std::string name : {"huge", "maxinteger", "mininteger", "pi"}) {
    EXPECT_EQ(Run("return show(ours." + name + ")"), Run("return show(stock." + name + ")")) << name;
  }
}

TEST_F(MathLibraryTest, ExactFunctionsAreLuas) {
  EXPECT_EQ(Run(R"(
    local differences = {}
    for _, name in ipairs{"abs", "ceil", "deg", "floor", "fmod", "max", "min", "modf", "rad", "sqrt", "tointeger", "type", "ult"} do
      differences[#differences + 1] = compare(name)
      for i = 1, arguments.n do
        differences[#differences + 1] = compare(name, arguments[i])
        for j = 1, arguments.n do
          differences[#differences + 1] = compare(name, arguments[i], arguments[j])
          differences[#differences + 1] = compare(name, 2, arguments[i], arguments[j])
        end
      end
    end
    return table.concat(differences)
  )"),
            "");
}

TEST_F(MathLibraryTest, ErrorsAreLuas) {
  EXPECT_EQ(Run(R"(
    local differences = {}
    for _, name in ipairs{"acos", "asin", "atan", "cos", "exp", "log", "sin", "tan"} do
      differences[#differences + 1] = compare(name)
      for _, wrong in ipairs{"abc", "", true, {}, print} do
        differences[#differences + 1] = compare(name, wrong)
        differences[#differences + 1] = compare(name, wrong, wrong)
        differences[#differences + 1] = compare(name, nil, wrong)
      end
    end
    for _, wrong in ipairs{"abc", "", true, {}, print} do
      differences[#differences + 1] = compare("atan", 1, wrong)
      differences[#differences + 1] = compare("log", 1, wrong)
    end
    return table.concat(differences)
  )"),
            "");
  EXPECT_EQ(Run("return ours.sin()"), "test:1: bad argument #1 to 'sin' (number expected, got no value)");
  EXPECT_EQ(Run("return ours.fmod(1, 0)"), "test:1: bad argument #2 to 'fmod' (zero)");
  EXPECT_EQ(Run("return ours.max()"), "test:1: bad argument #1 to 'max' (value expected)");
}

TEST_F(MathLibraryTest, OtherFunctionsAreCorrectlyRounded) {
  // Arguments that Debian 12's C library rounds wrong.
  EXPECT_EQ(Number("ours.exp(-0x1.83d0158adcd9p+1)"), 0x1.8be2bf90470a5p-5);
  EXPECT_EQ(Number("ours.log(0x1.f7fbd5249c2d5p+3)"), 0x1.60df1630ceeafp+1);
  EXPECT_EQ(Number("ours.log(0x1.f7fbd5249c2d5p+3, nil)"), 0x1.60df1630ceeafp+1);
  EXPECT_EQ(Number("ours.log(0x1.11970a629b225p+4, 2)"), 0x1.0622c30eb593dp+2);
  EXPECT_EQ(Number("ours.log('0x1.11970a629b225p+4', '2')"), 0x1.0622c30eb593dp+2);
  EXPECT_EQ(Number("ours.log(0x1.08bc40d8a4504p+1, 10.0)"), 0x1.432d2b0dd41ffp-2);
  EXPECT_EQ(Number("ours.sin(-0x1.fe3e5d2ccf4bep+3)"), 0x1.e1247e27f8a77p-3);
  EXPECT_EQ(Number("ours.cos(0x1.ca08547a5fc6cp+3)"), -0x1.674ba70af3169p-3);
  EXPECT_EQ(Number("ours.tan(0x1.30c8058ce96p+4)"), 0x1.9d9c21b0fd6cdp-3);
  EXPECT_EQ(Number("ours.asin(0x1.a7d488e47747ep-1)"), 0x1.f34892e470c2fp-1);
  EXPECT_EQ(Number("ours.acos(0x1.9bfdd80132bp-1)"), 0x1.4577357654c6fp-1);
  EXPECT_EQ(Number("ours.atan(-0x1.32f1cc034477p+2, 0x1.097efd8fa1126p+4)"), -0x1.201d4c0a50a3bp-2);
  EXPECT_EQ(Number("ours.atan(2)"), Atan2(2, 1));
  EXPECT_EQ(Number("ours.atan(2, nil)"), Atan2(2, 1));
  EXPECT_EQ(Number("ours.log(5, 3)"), Log(5) / Log(3));
  EXPECT_EQ(Number("ours.log(8, 2)"), 3);
  EXPECT_EQ(Number("ours.log(1000, 10)"), 3);
  EXPECT_EQ(Number("ours.log(0)"), -std::numeric_limits<double>::infinity());
}

TEST_F(MathLibraryTest, WhatCallsCost) {
  for (const auto& [call, instructions] : {
           std::pair<const char*, std::uint64_t>("exp(1)", 100),
           {"log(1)", 100},
           {"log(1, 2)", 100},
           {"log(1, 10)", 100},
           {"log(1, 3)", 200},
           {"sin(1)", 100},
           {"cos(1)", 100},
           {"tan(1)", 100},
           {"asin(1)", 100},
           {"acos(1)", 100},
           {"atan(1, 2)", 100},
           {"sqrt(2)", 0},
           {"floor(2.5)", 0},
           {"max(1)", 0},
           {"max(1, 2, 3)", 2},
           {"min(('x'):rep(20), ('x'):rep(32))", 3},
       }) {
    meter_.instructions = kManyInstructions;
    Run(std::string("return ours.") + call);
    EXPECT_EQ(kManyInstructions - meter_.instructions, instructions) << call;
  }
}

TEST_F(MathLibraryTest, CallsThatCostTooMuchEndTheStep) {
  for (const char* call : {"exp(1)", "log(1)", "log(1, 2)", "sin(1)", "atan(1)", "max(('x'):rep(101):byte(1, -1))"}) {
    meter_.instructions = 99;
    meter_.abort = Abort::kNone;
    EXPECT_EQ(Run(std::string("return ours.") + call), "nil") << call;
    EXPECT_EQ(meter_.abort, Abort::kInstructions) << call;
  }
}

}  // namespace
}  // namespace corod::lua
