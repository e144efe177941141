#include "server/base/worker_pool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <latch>
#include <set>
#include <thread>

#include "server/base/mutex.h"

namespace corod {
namespace {

// Each pool is declared last, so that its threads end before what they use.

TEST(WorkerPoolTest, RunsATaskOnAnotherThread) {
  std::promise<std::thread::id> ran;
  WorkerPool pool(4);
  pool.Run([&ran] { ran.set_value(std::this_thread::get_id()); });
  EXPECT_NE(ran.get_future().get(), std::this_thread::get_id());
}

TEST(WorkerPoolTest, GrowsWhileAllAreBlocked) {
  std::latch blocked(40);
  std::latch release(1);
  std::promise<bool> ran;
  WorkerPool pool(64);
  for (int i = 0; i < 40; ++i) {
    pool.Run([&] {
      blocked.count_down();
      release.wait();
    });
  }
  blocked.wait();
  pool.Run([&] { ran.set_value(!release.try_wait()); });
  EXPECT_TRUE(ran.get_future().get()) << "the forty are still blocked";
  release.count_down();
}

TEST(WorkerPoolTest, SaysHowManyTasksWait) {
  std::latch blocked(1);
  std::latch release(1);
  std::latch all_ran(3);
  WorkerPool pool(1);
  EXPECT_EQ(pool.Queued(), 0);
  EXPECT_EQ(pool.LongestWait(), absl::ZeroDuration());
  pool.Run([&] {
    blocked.count_down();
    release.wait();
  });
  blocked.wait();
  for (int i = 0; i < 3; ++i) pool.Run([&] { all_ran.count_down(); });
  EXPECT_EQ(pool.Queued(), 3);
  const absl::Duration wait = pool.LongestWait();
  EXPECT_GT(wait, absl::ZeroDuration());
  while (pool.LongestWait() == wait) std::this_thread::yield();
  EXPECT_GT(pool.LongestWait(), wait) << "the same task waits on";
  release.count_down();
  all_ran.wait();
  EXPECT_EQ(pool.Queued(), 0);
  EXPECT_EQ(pool.LongestWait(), absl::ZeroDuration());
}

TEST(WorkerPoolTest, HasNoMoreThreadsThanItMay) {
  std::latch blocked(2);
  std::latch release(1);
  Mutex mutex;
  std::set<std::thread::id> threads;
  WorkerPool pool(2);
  for (int i = 0; i < 20; ++i) {
    pool.Run([&, first = i < 2] {
      {
        const MutexLock lock(mutex);
        threads.insert(std::this_thread::get_id());
      }
      if (!first) return;
      blocked.count_down();
      release.wait();
    });
  }
  blocked.wait();
  release.count_down();
  pool.Shutdown();
  EXPECT_EQ(threads.size(), 2u);
}

TEST(WorkerPoolTest, ThreadThatIsFreeTakesTheNextTask) {
  std::promise<std::thread::id> first;
  std::promise<std::thread::id> second;
  WorkerPool pool(1);
  pool.Run([&] { first.set_value(std::this_thread::get_id()); });
  const std::thread::id thread = first.get_future().get();
  pool.Run([&] { second.set_value(std::this_thread::get_id()); });
  EXPECT_EQ(second.get_future().get(), thread);
}

TEST(WorkerPoolTest, TaskMayRunAnother) {
  std::promise<bool> ran;
  WorkerPool pool(1);
  pool.Run([&] { pool.Run([&] { ran.set_value(true); }); });
  EXPECT_TRUE(ran.get_future().get());
}

TEST(WorkerPoolTest, ShutdownRunsWhatIsQueued) {
  std::latch blocked(1);
  std::latch release(1);
  std::atomic<int> ran{0};
  WorkerPool pool(1);
  pool.Run([&] {
    blocked.count_down();
    release.wait();
  });
  blocked.wait();
  for (int i = 0; i < 100; ++i) pool.Run([&] { ++ran; });
  EXPECT_EQ(ran, 0);
  release.count_down();
  pool.Shutdown();
  EXPECT_EQ(ran, 100);
}

TEST(WorkerPoolTest, AfterShutdownTheCallerRuns) {
  WorkerPool pool(4);
  pool.Shutdown();
  std::thread::id ran_on;
  pool.Run([&] { ran_on = std::this_thread::get_id(); });
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST(WorkerPoolTest, ShutdownTwiceIsOne) {
  std::atomic<int> ran{0};
  WorkerPool pool(4);
  pool.Run([&ran] { ++ran; });
  pool.Shutdown();
  pool.Shutdown();
  EXPECT_EQ(ran, 1);
}

// In a child process, which may have no more threads and does not run as root.
TEST(WorkerPoolDeathTest, WithoutAnyThreadTheCallerRuns) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto child = [] {
    const rlimit none = {0, 0};
    if (geteuid() == 0 && setuid(65534) != 0) std::_Exit(2);
    if (setrlimit(RLIMIT_NPROC, &none) != 0) std::_Exit(3);
    WorkerPool pool(4);
    int ran = 0;
    pool.Run([&ran] { ++ran; });
    pool.Run([&ran] { ++ran; });
    pool.Shutdown();
    std::_Exit(ran == 2 ? 0 : 4);
  };
  EXPECT_EXIT(child(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace corod
