#include "server/base/limited_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "server/base/worker_pool.h"

namespace corod {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Keeps what it is given until it is told to run it.
class Held : public Executor {
 public:
  void Run(std::function<void()> task) override { tasks.push_back(std::move(task)); }
  absl::Duration LongestWait() const override { return wait; }
  void RunNext() {
    const std::function<void()> task = std::move(tasks.front());
    tasks.pop_front();
    task();
  }
  std::deque<std::function<void()>> tasks;
  absl::Duration wait = absl::ZeroDuration();
};

TEST(LimitedExecutorTest, TakesNoMoreThanItsLimit) {
  Held held;
  LimitedExecutor limited(held, 2);
  std::vector<int> ran;
  for (int i = 0; i < 5; ++i) limited.Run([&ran, i] { ran.push_back(i); });
  EXPECT_EQ(held.tasks.size(), 2u);
  EXPECT_THAT(ran, IsEmpty());
  held.RunNext();
  EXPECT_THAT(ran, ElementsAre(0, 2, 3, 4));
  limited.Run([&ran] { ran.push_back(5); });
  EXPECT_EQ(held.tasks.size(), 2u) << "one has ended";
  held.RunNext();
  held.RunNext();
  EXPECT_THAT(ran, ElementsAre(0, 2, 3, 4, 1, 5));
}

TEST(LimitedExecutorTest, SaysHowLongTheNextHasWaited) {
  Held held;
  LimitedExecutor limited(held, 1);
  absl::Duration seen;
  limited.Run([&] { seen = limited.LongestWait(); });
  EXPECT_EQ(limited.LongestWait(), absl::ZeroDuration());
  limited.Run([] {});
  limited.Run([] {});
  const absl::Duration wait = limited.LongestWait();
  EXPECT_GT(wait, absl::ZeroDuration());
  held.RunNext();
  EXPECT_GE(seen, wait);
  EXPECT_EQ(limited.LongestWait(), absl::ZeroDuration());
  held.wait = absl::Hours(1);
  EXPECT_EQ(limited.LongestWait(), absl::Hours(1)) << "it waits there, too";
}

TEST(LimitedExecutorTest, ATaskMayRunAnother) {
  Held held;
  LimitedExecutor limited(held, 1);
  std::vector<int> ran;
  limited.Run([&] {
    limited.Run([&ran] { ran.push_back(2); });
    ran.push_back(1);
  });
  held.RunNext();
  EXPECT_THAT(ran, ElementsAre(1, 2));
  EXPECT_THAT(held.tasks, IsEmpty());
}

TEST(LimitedExecutorTest, RunsAllWhenItIsGone) {
  Held held;
  int ran = 0;
  {
    LimitedExecutor limited(held, 1);
    for (int i = 0; i < 3; ++i) limited.Run([&ran] { ++ran; });
  }
  held.RunNext();
  EXPECT_EQ(ran, 3);
}

TEST(LimitedExecutorTest, RunsAllFromManyThreads) {
  constexpr int kTasks = 10'000;
  std::atomic<int> ran{0}, at_once{0}, most{0};
  WorkerPool pool(64);
  LimitedExecutor limited(pool, 3);
  for (int i = 0; i < kTasks; ++i) {
    limited.Run([&] {
      const int now = ++at_once;
      int before = most;
      while (before < now && !most.compare_exchange_weak(before, now)) {
      }
      ++ran;
      --at_once;
    });
  }
  pool.Shutdown();
  EXPECT_EQ(ran, kTasks);
  EXPECT_LE(most, 3);
}

}  // namespace
}  // namespace corod
