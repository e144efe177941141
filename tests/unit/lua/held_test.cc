// What scripts hold in memory, about.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>

#include "tests/unit/lua/driving.h"

namespace corod::lua {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::Le;

using HeldTest = ScriptTest;

constexpr std::size_t kText = 1'000'000;

TEST_F(HeldTest, ItIsWhatCanBeReached) {
  Coroutine coroutine = Create(R"(
    return function()
      local keep = {}
      while true do
        local sent = yield(#keep)
        if sent then keep[#keep + 1] = ("x"):rep(1000000) .. #keep else keep = {} end
      end
    end)");
  EXPECT_EQ(Next(coroutine), "Y 0");
  const std::size_t empty = coroutine.HeldBytes();
  EXPECT_THAT(empty, AllOf(Ge(1'000u), Le(4'000u)));
  for (int i = 0; i < 5; ++i) Send(coroutine, 1);
  EXPECT_THAT(coroutine.HeldBytes(), AllOf(Ge(5 * kText), Le(10 * kText)));
  EXPECT_EQ(Next(coroutine), "Y 0");
  // It is found out when as much again was asked for.
  for (int i = 0; i < 12; ++i) Send(coroutine, i % 2 == 0 ? Value(1) : Value());
  EXPECT_LE(coroutine.HeldBytes(), 4 * kText);
}

TEST_F(HeldTest, WhatIsThrownAwayCountsForAWhileOnly) {
  Coroutine coroutine = Create(R"(
    return function()
      local n = 0
      while true do
        local t = {}
        for i = 1, 100 do t[i] = {i, tostring(i)} end
        n = n + #t
        yield(n)
      end
    end)");
  for (int i = 0; i < 1'000; ++i) {
    Next(coroutine);
    ASSERT_LE(coroutine.HeldBytes(), 100'000u) << i;
  }
}

TEST_F(HeldTest, ARestartableOneHoldsItsState) {
  Coroutine coroutine = Create(R"(
    return {
      state = {kept = {}},
      run = function(state)
        while true do
          yield(#state.kept)
          state.kept[#state.kept + 1] = ("x"):rep(1000000) .. #state.kept
        end
      end})");
  for (int i = 0; i < 5; ++i) Next(coroutine);
  EXPECT_THAT(coroutine.HeldBytes(), AllOf(Ge(4 * kText), Le(8 * kText)));
}

TEST_F(HeldTest, WhatItDelegatesToCounts) {
  ASSERT_NE(Define("return function() local kept = (\"x\"):rep(1000000) while true do yield(#kept) end end", "holds"),
            nullptr);
  Coroutine coroutine = Create("return function() delegate(\"holds\") end");
  EXPECT_EQ(Next(coroutine), "Y 1000000");
  EXPECT_THAT(coroutine.HeldBytes(), AllOf(Ge(kText), Le(3 * kText)));
}

// What a session holds is looked at more often than its limit needs; that must not be seen.
TEST_F(HeldTest, LookingChangesNothing) {
  const Definition* definition = Define(R"(
    return function()
      local t = {}
      while true do
        for i = 1, 50 do t[#t + 1] = {i} end
        if #t > 500 then t = {} end
        finally(function() end)
        yield(#t)
      end
    end)");
  Coroutine coroutine = definition->create({}, catalog_.revision());
  for (int step = 1; step <= 400; ++step) {
    ASSERT_EQ(Next(coroutine), "Y " + std::to_string((step - 1) % 11 == 10 ? 0 : ((step - 1) % 11 + 1) * 50)) << step;
  }
}

}  // namespace
}  // namespace corod::lua
