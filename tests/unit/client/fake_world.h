#ifndef COROD_TESTS_UNIT_CLIENT_FAKE_WORLD_H_
#define COROD_TESTS_UNIT_CLIENT_FAKE_WORLD_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "client/cpp/retry.h"
#include "server/base/mutex.h"

// Clock, random numbers and sleep for tests: nothing takes time.
namespace corod::client {

// The time is what it is set to.
class FakeClock : public Clock {
 public:
  absl::Time Now() const override {
    MutexLock lock(mutex_);
    return now_;
  }
  void Advance(absl::Duration duration) {
    MutexLock lock(mutex_);
    now_ += duration;
  }

 private:
  mutable Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::UnixEpoch();
};

// Sleeping puts the clock forward and is written down; so is the time that a connection is waited for, which never
// comes.
class FakeSleeper : public Sleeper {
 public:
  explicit FakeSleeper(std::shared_ptr<FakeClock> clock) : clock_(std::move(clock)) {}

  void Sleep(absl::Duration duration) override {
    clock_->Advance(duration);
    MutexLock lock(mutex_);
    slept_.push_back(duration);
  }
  void AwaitConnection(grpc::Channel& /*channel*/, absl::Duration most) override {
    MutexLock lock(mutex_);
    awaited_.push_back(most);
  }
  std::vector<absl::Duration> slept() const {
    MutexLock lock(mutex_);
    return slept_;
  }
  std::vector<absl::Duration> awaited() const {
    MutexLock lock(mutex_);
    return awaited_;
  }

 private:
  const std::shared_ptr<FakeClock> clock_;
  mutable Mutex mutex_;
  std::vector<absl::Duration> slept_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Duration> awaited_ ABSL_GUARDED_BY(mutex_);
};

// 64 bits that count up from `first`, in the upper half of the word.
class FakeRandom : public Random {
 public:
  std::uint64_t Next() override { return next_ += std::uint64_t{1} << 32; }

 private:
  std::atomic<std::uint64_t> next_ = 0;
};

struct FakeWorld {
  std::shared_ptr<FakeClock> clock = std::make_shared<FakeClock>();
  std::shared_ptr<FakeSleeper> sleeper = std::make_shared<FakeSleeper>(clock);
  Dependencies dependencies{.clock = clock, .random = std::make_shared<FakeRandom>(), .sleeper = sleeper};
};

}  // namespace corod::client

#endif  // COROD_TESTS_UNIT_CLIENT_FAKE_WORLD_H_
