#include "server/base/fair_mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"

namespace corod {
namespace {

TEST(FairMutexTest, IsHeldByOneAtATime) {
  constexpr int kThreads = 8;
  constexpr int kTimes = 5'000;
  FairMutex mutex;
  int count = 0;
  std::atomic<int> tried{0};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      for (int j = 0; j < kTimes; ++j) {
        if (i % 2 == 0) {
          mutex.Lock();
        } else if (!mutex.TryLock()) {
          continue;
        } else {
          tried.fetch_add(1);
        }
        ++count;
        mutex.Unlock();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads / 2 * kTimes + tried.load());
}

TEST(FairMutexTest, WhoeverWaitsGetsItWhileAnotherComesBackForIt) {
  FairMutex mutex;
  int turns = 0;
  std::atomic<bool> begun{false};
  mutex.Lock();
  std::thread other([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    begun = true;
    mutex.Lock();
    ++turns;
    mutex.Unlock();
  });
  while (!begun) std::this_thread::yield();
  while (turns == 0) {
    mutex.Unlock();
    mutex.Lock();
  }
  mutex.Unlock();
  other.join();
  EXPECT_EQ(turns, 1);
  const auto try_it = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return mutex.TryLock(); };
  EXPECT_TRUE(try_it());
  EXPECT_FALSE(try_it());
}

}  // namespace
}  // namespace corod
