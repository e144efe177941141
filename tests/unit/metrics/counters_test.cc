#include "server/metrics/counters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace corod::metrics {
namespace {

// On so many threads at the same time.
template <typename Work>
void OnThreads(int count, Work work) {
  std::latch all_there(count);
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&all_there, &work, i] {
      all_there.arrive_and_wait();
      work(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(CounterTest, BeginsAtZeroAndAddsUp) {
  Cells cells;
  const Counter counter(cells), other(cells);
  EXPECT_EQ(counter.value(), 0);
  counter.Add();
  counter.Add(41);
  EXPECT_EQ(counter.value(), 42);
  EXPECT_EQ(other.value(), 0);
}

TEST(CounterTest, IncrementsOfManyThreadsAddUp) {
  Cells cells;
  const Counter counter(cells);
  // More than there are slots, so that some share one.
  constexpr int kThreads = static_cast<int>(kSlots) + 20;
  constexpr std::uint64_t kEach = 20'000;
  OnThreads(kThreads, [&counter](int) {
    for (std::uint64_t i = 0; i < kEach; ++i) counter.Add();
  });
  EXPECT_EQ(counter.value(), kThreads * kEach);
}

TEST(CounterTest, WhatThreadsCountedThatHaveEndedStays) {
  Cells cells;
  const Counter counter(cells);
  constexpr int kThreads = 3 * static_cast<int>(kOwnSlots);  // one after the other: they have the same slots
  for (int i = 0; i < kThreads; ++i) std::thread([&counter] { counter.Add(2); }).join();
  EXPECT_EQ(counter.value(), 2 * kThreads);
}

TEST(CounterTest, AThreadsSlotIsItsOwnWhileItRuns) {
  constexpr int kThreads = static_cast<int>(kOwnSlots) / 2;
  Cells cells;
  const Counter counter(cells);
  std::vector<std::int32_t> slots(kThreads);
  std::latch all_counted(kThreads);
  OnThreads(kThreads, [&](int i) {
    counter.Add();
    slots[static_cast<std::size_t>(i)] = internal::slot;
    all_counted.arrive_and_wait();
  });
  EXPECT_EQ(std::set(slots.begin(), slots.end()).size(), slots.size());
  EXPECT_THAT(slots, testing::Each(testing::Ge(0)));
}

TEST(CounterTest, CountsWhileAThreadEnds) {
  struct CountsAtTheEnd {
    const Counter* counter = nullptr;
    ~CountsAtTheEnd() {
      if (counter) counter->Add();
    }
  };
  Cells cells;
  const Counter counter(cells);
  std::thread([&counter] {
    static thread_local CountsAtTheEnd at_the_end;  // is destroyed behind the slot, which comes later
    at_the_end.counter = &counter;
    counter.Add();
  }).join();
  EXPECT_EQ(counter.value(), 2);
}

TEST(CounterTest, EachKindHasItsOwn) {
  enum class Kind : std::uint8_t { kA, kB, kC };
  Cells cells;
  const CounterBy<Kind, 3> counters(cells);
  counters.Add(Kind::kB, 5);
  counters.Add(Kind::kC);
  EXPECT_EQ(counters.value(Kind::kA), 0);
  EXPECT_EQ(counters.value(Kind::kB), 5);
  EXPECT_EQ(counters.value(Kind::kC), 1);
}

TEST(LevelTest, GoesUpAndDownOnDifferentThreads) {
  Cells cells;
  const Level level(cells);
  OnThreads(8, [&level](int i) {
    for (int n = 0; n < 1'000; ++n) {
      if (i % 2 == 0) {
        level.Add(3);
      } else {
        level.Subtract(2);
      }
    }
  });
  EXPECT_EQ(level.value(), 4'000);
  level.Subtract(5'000);
  EXPECT_EQ(level.value(), -1'000);
}

TEST(GaugeTest, IsUnsetAtFirst) {
  Gauge gauge;
  EXPECT_EQ(gauge.value(), std::nullopt);
  gauge.Set(0);
  EXPECT_EQ(gauge.value(), 0);
  gauge.Set(1.5);
  EXPECT_EQ(gauge.value(), 1.5);
}

TEST(CellsTest, NumbersDoNotShareCells) {
  Cells cells;
  std::vector<Counter> counters;
  for (std::size_t i = 0; i < 3 * kSlotCells; ++i) counters.emplace_back(cells);
  for (std::size_t i = 0; i < counters.size(); ++i) counters[i].Add(i);
  for (std::size_t i = 0; i < counters.size(); ++i) EXPECT_EQ(counters[i].value(), i);
}

TEST(CellsTest, ARunThatDoesNotFitBeginsABlock) {
  Cells cells;
  Cell* const first = cells.Allocate(kSlotCells - 1);
  Cell* const second = cells.Allocate(2);
  AddTo(first + kSlotCells - 2, 1);
  AddTo(second, 10);
  AddTo(second + 1, 100);
  EXPECT_EQ(SumOf(first + kSlotCells - 2), 1);
  EXPECT_EQ(SumOf(second), 10);
  EXPECT_EQ(SumOf(second + 1), 100);
}

// The bucket of a value, among all.
template <typename Histogram>
std::size_t BucketOf(std::uint64_t value) {
  Cells cells;
  const Histogram histogram(cells);
  histogram.ObserveValue(value);
  const auto snapshot = histogram.Read();
  EXPECT_EQ(snapshot.count, 1);
  EXPECT_EQ(snapshot.sum, value);
  for (std::size_t i = 0; i < snapshot.counts.size(); ++i) {
    if (snapshot.counts[i] == 1) return i;
  }
  ADD_FAILURE() << "no bucket has " << value;
  return 0;
}

template <typename Histogram>
class HistogramTest : public testing::Test {};
using Histograms = testing::Types<LatencyHistogram, SizeHistogram>;
TYPED_TEST_SUITE(HistogramTest, Histograms);

TYPED_TEST(HistogramTest, AValueIsInTheFirstBucketWhoseBoundItDoesNotExceed) {
  EXPECT_EQ(BucketOf<TypeParam>(0), 0);
  EXPECT_EQ(BucketOf<TypeParam>(1), 0);
  for (std::size_t i = 0; i < TypeParam::kBounds; ++i) {
    EXPECT_EQ(BucketOf<TypeParam>(TypeParam::BoundOf(i)), i);
    EXPECT_EQ(BucketOf<TypeParam>(TypeParam::BoundOf(i) + 1), i + 1);
  }
  EXPECT_EQ(BucketOf<TypeParam>(std::numeric_limits<std::uint64_t>::max()), TypeParam::kBounds);
}

TEST(LatencyHistogramTest, BoundsGoFrom10MicrosecondsToMoreThan30Seconds) {
  EXPECT_EQ(LatencyHistogram::BoundOf(0), 10'000);
  EXPECT_GE(LatencyHistogram::BoundOf(LatencyHistogram::kBounds - 1), 30'000'000'000);
}

TEST(LatencyHistogramTest, CountsAndSumAreThoseOfTheValues) {
  Cells cells;
  const LatencyHistogram histogram(cells);
  histogram.Observe(absl::Microseconds(5));
  histogram.Observe(std::chrono::microseconds(15), 3);
  histogram.Observe(absl::Seconds(100));
  histogram.Observe(absl::Seconds(-1));  // as 0
  histogram.Observe(std::chrono::nanoseconds(-1));
  const LatencyHistogram::Snapshot snapshot = histogram.Read();
  EXPECT_EQ(snapshot.count, 7);
  EXPECT_EQ(snapshot.counts[0], 3);
  EXPECT_EQ(snapshot.counts[1], 3);
  EXPECT_EQ(snapshot.counts[LatencyHistogram::kBounds], 1);
  EXPECT_EQ(snapshot.sum, 5'000 + 3 * 15'000 + 100'000'000'000);
}

TEST(LatencyHistogramTest, ObservationsOfManyThreadsAddUp) {
  Cells cells;
  const SizeHistogram histogram(cells);
  constexpr int kThreads = 8;
  constexpr std::uint64_t kEach = 5'000;
  OnThreads(kThreads, [&histogram](int) {
    for (std::uint64_t i = 0; i < kEach; ++i) histogram.Observe(1 + i % 4);
  });
  const SizeHistogram::Snapshot snapshot = histogram.Read();
  EXPECT_EQ(snapshot.count, kThreads * kEach);
  EXPECT_EQ(snapshot.counts[0], kThreads * kEach / 4);
  EXPECT_EQ(snapshot.counts[1], kThreads * kEach / 4);
  EXPECT_EQ(snapshot.counts[2], kThreads * kEach / 2);
  EXPECT_EQ(snapshot.sum, kThreads * kEach / 4 * (1 + 2 + 3 + 4));
}

}  // namespace
}  // namespace corod::metrics
