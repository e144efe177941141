#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "tests/unit/catalog/driving.h"

namespace corod {
namespace {

class RollingStatsTest : public DrivingTest {
 protected:
  Value StatisticsOf(const List& numbers, std::int64_t window = 0) {
    Outcome outcome = Create("rolling_stats", {{"window", window}});
    for (const Value& number : numbers) outcome = Send(number);
    return outcome.value;
  }
  static double NumberIn(const Value& statistics, const char* key) { return statistics.AsMap().Find(key)->AsNumber(); }
};

TEST_F(RollingStatsTest, OneNumberHasNoVariance) {
  EXPECT_EQ(StatisticsOf({-2}), Value(Map{{"count", 1},
                                          {"mean", -2.0},
                                          {"variance", nullptr},
                                          {"standard_deviation", nullptr},
                                          {"min", -2.0},
                                          {"max", -2.0}}));
}

TEST_F(RollingStatsTest, SmallDifferencesOfLargeNumbersKeepTheirDigits) {
  const Value statistics = StatisticsOf({1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16});
  EXPECT_EQ(NumberIn(statistics, "variance"), 30.0);
  EXPECT_EQ(NumberIn(statistics, "mean"), 1e9 + 10);
}

// A window that has seen very many numbers, some enormous, answers as one that has seen only the last.
TEST_F(RollingStatsTest, WhatHasLeftTheWindowLeavesNoTrace) {
  constexpr int kSlides = COROD_TEST_AS_SHIPPED ? 1'000'000 : 50'000;
  Create("rolling_stats", {{"window", 5}});
  Outcome outcome;
  List last;
  std::uint64_t random = 1;
  for (int i = 0; i < kSlides; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    double number = 1e9 + std::ldexp(static_cast<double>(random >> 11), -53) * 1e-3;
    if (i % 1000 == 0) number = i % 2000 == 0 ? 1e200 : -1e-200;
    outcome = Send(number);
    if (i >= kSlides - 5) last.emplace_back(number);
  }
  EXPECT_EQ(outcome.value, StatisticsOf(last));
  EXPECT_LT(NumberIn(outcome.value, "variance"), 1e-6);
}

TEST_F(RollingStatsTest, ExtremesOfTheRangeAreExact) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  constexpr double kTiniest = std::numeric_limits<double>::denorm_min();
  const Value huge = StatisticsOf({kLargest, -kLargest});
  EXPECT_EQ(NumberIn(huge, "mean"), 0.0);
  EXPECT_EQ(NumberIn(huge, "variance"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(NumberIn(huge, "standard_deviation"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(NumberIn(StatisticsOf({1e200, -1e200}), "standard_deviation"), std::sqrt(2.0) * 1e200);
  const Value tiny = StatisticsOf({kTiniest, 3 * kTiniest});
  EXPECT_EQ(NumberIn(tiny, "mean"), 2 * kTiniest);
  EXPECT_EQ(NumberIn(tiny, "variance"), 0.0);
  EXPECT_EQ(NumberIn(tiny, "standard_deviation"), kTiniest);
  EXPECT_EQ(NumberIn(StatisticsOf({1.0, kTiniest, -1.0}), "mean"), 0.0);
  EXPECT_EQ(NumberIn(StatisticsOf({kLargest, kLargest, kLargest}), "mean"), kLargest);
}

TEST_F(RollingStatsTest, MeanThatLiesHalfwayRoundsToEven) {
  EXPECT_EQ(NumberIn(StatisticsOf({1.0, std::nextafter(1.0, 2.0)}), "mean"), 1.0);
  const double odd = std::nextafter(1.0, 2.0);
  EXPECT_EQ(NumberIn(StatisticsOf({odd, std::nextafter(odd, 2.0)}), "mean"), std::nextafter(odd, 2.0));
}

TEST_F(RollingStatsTest, NumbersThatAreNotFiniteAreRefused) {
  for (const auto& [number, name] :
       {std::pair(std::nan(""), "nan"), std::pair(HUGE_VAL, "inf"), std::pair(-HUGE_VAL, "-inf")}) {
    Create("rolling_stats");
    EXPECT_THAT(Send(number), Raises("ValueError", std::string("number must be finite, not ") + name));
  }
}

}  // namespace
}  // namespace corod
