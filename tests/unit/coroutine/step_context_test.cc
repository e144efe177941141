#include "server/coroutine/step_context.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

using StepContextTest = CoroutineTest;
using Time = std::chrono::sys_time<std::chrono::nanoseconds>;

constexpr StepContext At(std::int64_t nanoseconds) {
  return {.time = Time(std::chrono::nanoseconds(nanoseconds)), .seed = 0, .step = 0};
}

std::vector<std::uint64_t> Draw(const StepContext& context, int count) {
  const StepScope scope(context);
  std::vector<std::uint64_t> drawn;
  for (int i = 0; i < count; ++i) drawn.push_back(StepRandom());
  return drawn;
}

Coroutine TellsTime() {
  while (true) co_yield StepTime().time_since_epoch().count();
}

Coroutine Draws() {
  while (true) co_yield static_cast<std::int64_t>(StepRandom());
}

TEST_F(StepContextTest, WithoutAStepThereIsNeitherTimeNorChance) {
  EXPECT_THROW(StepTime(), py::RuntimeError);
  EXPECT_THROW(StepRandom(), py::RuntimeError);
  EXPECT_THROW(RandomBelow(5), py::RuntimeError);
  Coroutine g = TellsTime();
  EXPECT_EQ(Text(g.Next()), "X(RuntimeError: no step is running)");
}

TEST_F(StepContextTest, ABodySeesTheTimeOfEachStep) {
  Coroutine g = TellsTime();
  for (const std::int64_t time : {std::int64_t{5}, std::int64_t{3}, std::int64_t{1'700'000'000'123'456'789}}) {
    const StepScope scope(At(time));
    EXPECT_EQ(g.Next(), Outcome::Yielded(time));
  }
}

TEST_F(StepContextTest, TheEndOfAScopeBringsBackTheOneAround) {
  const StepScope outer(At(1));
  const std::uint64_t first = StepRandom();
  {
    const StepScope inner(At(2));
    EXPECT_EQ(StepTime(), Time(std::chrono::nanoseconds(2)));
    EXPECT_EQ(StepRandom(), first);
    const StepScope none;
    EXPECT_THROW(StepTime(), py::RuntimeError);
  }
  EXPECT_EQ(StepTime(), Time(std::chrono::nanoseconds(1)));
  EXPECT_EQ(StepRandom(), Draw(At(0), 2)[1]);
}

TEST_F(StepContextTest, AnotherThreadIsInNoStep) {
  const StepScope scope(At(1));
  std::thread([] { EXPECT_THROW(StepTime(), py::RuntimeError); }).join();
}

// The numbers of sessions that are in a log already: they never change.
TEST_F(StepContextTest, RandomNumbersAreThoseOfSplitmix64) {
  EXPECT_EQ(Draw({.time = {}, .seed = 0, .step = 0}, 3),
            (std::vector<std::uint64_t>{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f}));
}

TEST_F(StepContextTest, SeedAndStepChooseTheNumbers) {
  EXPECT_EQ(Draw({.time = {}, .seed = 0, .step = 1}, 2),
            (std::vector<std::uint64_t>{0xbfef8030ddc2d772, 0x5f552ce482f2aa47}));
  EXPECT_EQ(Draw({.time = {}, .seed = 1, .step = 0}, 2),
            (std::vector<std::uint64_t>{0x4181b152fb77616f, 0x169c646d52269d62}));
  EXPECT_EQ(Draw({.time = {}, .seed = 0x0123456789abcdef, .step = 1'000'000}, 2),
            (std::vector<std::uint64_t>{0x7e0bd5b7a3a44cc9, 0x3c2d34be41d84649}));
}

TEST_F(StepContextTest, AStepThatRunsAgainDrawsTheSame) {
  const auto run = [] {
    Coroutine g = Draws();
    std::vector<Value> drawn;
    for (std::uint64_t step = 1; step <= 5; ++step) {
      const StepScope scope({.time = {}, .seed = 7, .step = step});
      drawn.push_back(g.Next().value);
    }
    return drawn;
  };
  const std::vector<Value> drawn = run();
  EXPECT_EQ(run(), drawn);
  for (std::size_t i = 1; i < drawn.size(); ++i) EXPECT_NE(drawn[i], drawn[i - 1]);
}

Coroutine DrawsThenDelegates() {
  co_yield static_cast<std::int64_t>(StepRandom());
  StepRandom();
  co_return co_await YieldFrom(Draws());
}

Coroutine Drives() {
  Coroutine driven = Draws();
  while (true) {
    StepRandom();
    co_yield driven.Next().value;
  }
}

TEST_F(StepContextTest, WhatABodyDelegatesToOrDrivesIsInTheSameStep) {
  const StepContext context{.time = {}, .seed = 7, .step = 2};
  const auto second = static_cast<std::int64_t>(Draw(context, 2)[1]);
  Coroutine delegating = DrawsThenDelegates();
  {
    const StepScope scope({.time = {}, .seed = 7, .step = 1});
    delegating.Next();
  }
  {
    const StepScope scope(context);
    EXPECT_EQ(delegating.Next(), Outcome::Yielded(second));
  }
  Coroutine driving = Drives();
  const StepScope scope(context);
  EXPECT_EQ(driving.Next(), Outcome::Yielded(second));
}

TEST_F(StepContextTest, RandomBelowIsBelow) {
  const StepScope scope({.time = {}, .seed = 3, .step = 1});
  for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{10}, std::uint64_t{1} << 63,
                                (std::uint64_t{1} << 63) + 1, std::numeric_limits<std::uint64_t>::max()}) {
    for (int i = 0; i < 100; ++i) EXPECT_LT(RandomBelow(n), n);
  }
  EXPECT_THROW(RandomBelow(0), py::ValueError);
}

TEST_F(StepContextTest, RandomBelowGivesEachAsOften) {
  const StepScope scope({.time = {}, .seed = 4, .step = 1});
  std::array<int, 6> counts{};
  for (int i = 0; i < 60'000; ++i) ++counts.at(RandomBelow(6));
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
}

TEST_F(StepContextTest, RandomBelowDropsTheNumbersThatWouldFavourSome) {
  // 2^64 mod n is nearly 2^63: every second number is dropped.
  constexpr std::uint64_t kN = (std::uint64_t{1} << 63) + 1;
  const StepContext context{.time = {}, .seed = 0, .step = 0};
  std::vector<std::uint64_t> expected;
  for (const std::uint64_t drawn : Draw(context, 20)) {
    if (drawn >= (std::uint64_t{1} << 63) - 1) expected.push_back(drawn % kN);
  }
  const StepScope scope(context);
  for (const std::uint64_t number : expected) EXPECT_EQ(RandomBelow(kN), number);
}

}  // namespace
}  // namespace corod
