#ifndef COROD_TESTS_UNIT_SESSION_FAKES_H_
#define COROD_TESTS_UNIT_SESSION_FAKES_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/executor.h"
#include "server/base/mutex.h"
#include "server/base/random.h"

namespace corod {

// A time that goes on when it is told to. Thread-safe.
class FakeClock : public Clock {
 public:
  absl::Time Now() const override { return absl::UnixEpoch() + absl::Hours(1) + absl::Nanoseconds(ns_.load()); }
  void Advance(absl::Duration by) { ns_.fetch_add(absl::ToInt64Nanoseconds(by)); }

 private:
  std::atomic<std::int64_t> ns_{0};
};

// Runs tasks when it is told to, in order. Thread-safe.
class ManualExecutor : public Executor {
 public:
  void Run(std::function<void()> task) override {
    const MutexLock lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  // What the tasks are said to have waited.
  void SetLongestWait(absl::Duration wait) { wait_ns_ = absl::ToInt64Nanoseconds(wait); }
  absl::Duration LongestWait() const override { return absl::Nanoseconds(wait_ns_.load()); }
  // False if there was none.
  bool RunOne() {
    std::function<void()> task;
    {
      const MutexLock lock(mutex_);
      if (tasks_.empty()) return false;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
    return true;
  }
  void RunAll() {
    while (RunOne()) {
    }
  }

 private:
  std::atomic<std::int64_t> wait_ns_{0};
  Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
};

// The same numbers in every run (SplitMix64). Thread-safe.
class SequenceRandom : public Random {
 public:
  explicit SequenceRandom(std::uint64_t seed = 0) : state_(seed) {}

  std::uint64_t Next() override {
    std::uint64_t bits = state_.fetch_add(0x9e3779b97f4a7c15) + 0x9e3779b97f4a7c15;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
    return bits ^ (bits >> 31);
  }

 private:
  std::atomic<std::uint64_t> state_;
};

// Where threads wait for the test, and the test for them.
class Gate {
 public:
  // Waits until the gate is open.
  void Pass() {
    const MutexLock lock(mutex_);
    ++arrived_;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(mutex_);
  }
  void WaitForArrivals(int count) {
    const MutexLock lock(mutex_);
    while (arrived_ < count) changed_.Wait(mutex_);
  }
  void Open() {
    const MutexLock lock(mutex_);
    open_ = true;
    changed_.NotifyAll();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int arrived_ ABSL_GUARDED_BY(mutex_) = 0;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace corod

#endif  // COROD_TESTS_UNIT_SESSION_FAKES_H_
