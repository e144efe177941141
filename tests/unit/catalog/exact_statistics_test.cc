#include "server/catalog/builtin/exact_statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "tests/unit/catalog/driving.h"

namespace corod::builtin {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr unsigned __int128 kLargestMagnitude = (static_cast<unsigned __int128>(1) << 106) - 1;

double MeanOf(std::initializer_list<double> numbers) {
  ExactStatistics statistics;
  for (const double number : numbers) statistics.Add(number);
  return statistics.Compute().mean;
}

TEST(ExactSumTest, NothingIsZero) {
  EXPECT_THAT(ExactSum().total().words, IsEmpty());
  ExactSum sum;
  sum.Add({.magnitude = 0, .exponent = 100, .negative = true});
  EXPECT_THAT(sum.total().words, IsEmpty());
}

TEST(ExactSumTest, WhatIsSubtractedAgainLeavesNothing) {
  ExactSum sum;
  for (const bool negative : {false, true}) {
    for (int exponent = -2200; exponent < 2000; exponent += 61) sum.Add({kLargestMagnitude, exponent, negative});
  }
  EXPECT_THAT(sum.total().words, IsEmpty());
}

TEST(ExactSumTest, TotalHasNoZeroWordsAtItsEnds) {
  ExactSum sum;
  sum.Add({.magnitude = 1, .exponent = 130, .negative = true});
  sum.Add({.magnitude = 1, .exponent = -1, .negative = false});
  sum.Add({.magnitude = 1, .exponent = -1, .negative = true});
  const ExactSum::Total total = sum.total();
  EXPECT_THAT(total.words, ElementsAre(4u));
  EXPECT_EQ(total.exponent, 2);
  EXPECT_TRUE(total.negative);
}

#if COROD_TEST_AS_SHIPPED
// As many as it takes to fill the word above the largest term, on either side of zero.
TEST(ExactSumTest, ManyTermsCarryIntoFurtherWords) {
  constexpr int kTerms = 1 << 24;
  for (const bool negative : {false, true}) {
    ExactSum sum;
    for (int i = 0; i < kTerms; ++i) sum.Add({static_cast<unsigned __int128>(1) << 105, 63, negative});
    const ExactSum::Total total = sum.total();  // 2^(24 + 105 + 63)
    EXPECT_THAT(total.words, ElementsAre(1u));
    EXPECT_EQ(total.exponent, 3);
    EXPECT_EQ(total.negative, negative);
  }
}
#endif

// 1 + 2^-53 lies halfway between two doubles; the least bit below decides, however far below.
TEST(ExactStatisticsTest, LeastBitDecidesWhatLiesHalfway) {
  const double halfway = std::ldexp(1.0, -53);
  const double above = std::nextafter(1.0, 2.0);
  EXPECT_EQ(MeanOf({1.0, halfway, 0.0, 0.0}), 0.25);
  for (const int exponent : {-100, -126, -128, -140, -180, -300, -1074}) {
    const double least = std::ldexp(1.0, exponent);
    EXPECT_EQ(MeanOf({1.0, halfway, least, 0.0}), 0.25 * above) << exponent;
    EXPECT_EQ(MeanOf({1.0, halfway, -least, 0.0}), 0.25) << exponent;
    EXPECT_EQ(MeanOf({-1.0, -halfway, -least, 0.0}), -0.25 * above) << exponent;
  }
}

TEST(ExactStatisticsTest, VarianceOfEqualNumbersIsZero) {
  ExactStatistics statistics;
  for (int i = 0; i < 1000; ++i) statistics.Add(0.1);
  EXPECT_EQ(statistics.Compute().mean, 0.1);
  EXPECT_EQ(statistics.Compute().variance, 0.0);
  EXPECT_EQ(statistics.Compute().standard_deviation, 0.0);
}

TEST(ExactStatisticsTest, RemovedNumbersDoNotCount) {
  ExactStatistics statistics;
  for (const double number : {1e300, 1.0, 5e-324, 4.0}) statistics.Add(number);
  statistics.Remove(1e300);
  statistics.Remove(5e-324);
  EXPECT_EQ(statistics.count(), 2);
  EXPECT_EQ(statistics.Compute().mean, 2.5);
  EXPECT_EQ(statistics.Compute().variance, 4.5);
}

}  // namespace
}  // namespace corod::builtin
