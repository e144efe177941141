// What scripts hold in memory, about.
#include "server/coroutine/held.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/unit/lua/driving.h"

namespace corod::lua {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::Le;

using HeldTest = ScriptTest;

constexpr std::size_t kText = 1'000'000;

std::size_t HeldBytesOf(const Coroutine& coroutine) {
  HeldMemory held;
  coroutine.AddHeld(held);
  return held.bytes();
}

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
  const std::size_t empty = HeldBytesOf(coroutine);
  EXPECT_THAT(empty, AllOf(Ge(1'000u), Le(4'000u)));
  for (int i = 0; i < 5; ++i) Send(coroutine, 1);
  EXPECT_THAT(HeldBytesOf(coroutine), AllOf(Ge(5 * kText), Le(10 * kText)));
  EXPECT_EQ(Next(coroutine), "Y 0");
  EXPECT_LE(HeldBytesOf(coroutine), empty + 1'000);
}

TEST_F(HeldTest, OneThatHasNotBegunCountsAsOneThatHas) {
  EXPECT_GE(HeldBytesOf(Create("return function() yield(1) end")), 1'000u);
}

TEST_F(HeldTest, WhatAStepAsksForIsNoted) {
  Coroutine coroutine = Create("return function() while true do yield(#(('x'):rep(1000000) .. 'y')) end end");
  const StepScope step({.time = time_, .seed = 7, .step = 1});
  coroutine.Next();
  EXPECT_THAT(step.bytes_asked(), AllOf(Ge(2 * kText), Le(4 * kText)));
}

TEST_F(HeldTest, WhatIsThrownAwayDoesNotCount) {
  Coroutine coroutine = Create(R"(
    return function()
      local n = 0
      while true do
        do
          local t = {}
          for i = 1, 100 do t[i] = {i, tostring(i)} end
          n = n + #t
        end
        yield(n)
      end
    end)");
  for (int i = 0; i < 1'000; ++i) {
    Next(coroutine);
    ASSERT_LE(HeldBytesOf(coroutine), 6'000u) << i;
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
  EXPECT_THAT(HeldBytesOf(coroutine), AllOf(Ge(4 * kText), Le(8 * kText)));
}

TEST_F(HeldTest, WhatItDelegatesToCounts) {
  ASSERT_NE(Define("return function() local kept = (\"x\"):rep(1000000) while true do yield(#kept) end end", "holds"),
            nullptr);
  Coroutine coroutine = Create("return function() delegate(\"holds\") end");
  EXPECT_EQ(Next(coroutine), "Y 1000000");
  EXPECT_THAT(HeldBytesOf(coroutine), AllOf(Ge(kText), Le(3 * kText)));
}

// When what a script holds is looked at hangs on much else; that must not be seen.
TEST_F(HeldTest, LookingChangesNothing) {
  const Definition* definition = Define(R"(
    local function deep(n) if n == 0 then yield("deep") else deep(n - 1) end return n end
    return function()
      local t = {}
      while true do
        for i = 1, 50 do t[#t + 1] = {i} end
        if #t > 500 then t = {} end
        finally(function() end)
        deep(#t % 7 * 30)
        yield(#t)
      end
    end)");
  ASSERT_NE(definition, nullptr);
  Coroutine looked_at = definition->create({}, catalog_.revision());
  Coroutine alone = definition->create({}, catalog_.revision());
  for (std::uint64_t number = 1; number <= 400; ++number) {
    std::size_t asked = 0;
    for (Coroutine* coroutine : {&looked_at, &alone}) {
      const StepScope step({.time = time_, .seed = 7, .step = number});
      const std::string shown = Shown(coroutine->Next());
      ASSERT_TRUE(shown.starts_with("Y ")) << shown;
      if (coroutine == &looked_at) {
        asked = step.bytes_asked();
      } else {
        ASSERT_EQ(step.bytes_asked(), asked) << number;
      }
    }
    static_cast<void>(HeldBytesOf(looked_at));
  }
}

}  // namespace
}  // namespace corod::lua
