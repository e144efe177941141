#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <latch>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "server/base/compact_pointer.h"
#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"

namespace corod {
namespace {

struct Counted : ReferenceCounted {
  explicit Counted(int& gone) : gone(gone) {}
  ~Counted() { ++gone; }
  int& gone;
};

TEST(CompactPointerTest, IsNullAtFirst) {
  EXPECT_FALSE(CompactPointer<int>());
  EXPECT_EQ(CompactPointer<int>().get(), nullptr);
}

TEST(CompactPointerTest, GivesBackTheAddress) {
  int local = 1;
  const auto heap = std::make_unique<int>(2);
  for (int* const object : {&local, heap.get()}) {
    CompactPointer<int> pointer(object);
    EXPECT_TRUE(pointer);
    EXPECT_EQ(pointer.get(), object);
    EXPECT_EQ(*pointer, *object);
    pointer = {};
    EXPECT_FALSE(pointer);
  }
}

TEST(CompactPointerTest, LiesAnywhere) {
  int object = 1;
  struct {
    char before = 'a';
    CompactPointer<int> pointer;
    char behind = 'z';
  } packed{.pointer = CompactPointer<int>(&object)};
  static_assert(sizeof(packed) == 8);
  EXPECT_EQ(packed.pointer.get(), &object);
  EXPECT_EQ(packed.before, 'a');
  EXPECT_EQ(packed.behind, 'z');
}

class IntrusivePtrTest : public testing::Test {
 protected:
  IntrusivePtr<Counted> New() { return IntrusivePtr<Counted>(new Counted(gone_)); }
  int gone_ = 0;
};

TEST_F(IntrusivePtrTest, LastOneFreesTheObject) {
  {
    const IntrusivePtr<Counted> first = New();
    {
      const IntrusivePtr<Counted> second = first;
    }
    EXPECT_EQ(gone_, 0);
  }
  EXPECT_EQ(gone_, 1);
}

TEST_F(IntrusivePtrTest, MovedFromIsNull) {
  IntrusivePtr<Counted> first = New();
  const IntrusivePtr<Counted> second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(second);
  EXPECT_EQ(gone_, 0);
}

TEST_F(IntrusivePtrTest, AssignmentFreesWhatWasHeld) {
  IntrusivePtr<Counted> first = New();
  first = New();
  EXPECT_EQ(gone_, 1);
  first = IntrusivePtr<Counted>();
  EXPECT_EQ(gone_, 2);
}

TEST_F(IntrusivePtrTest, AssignmentToItselfKeepsTheObject) {
  IntrusivePtr<Counted> first = New();
  const IntrusivePtr<Counted>& same = first;
  first = same;
  EXPECT_TRUE(first);
  EXPECT_EQ(gone_, 0);
}

TEST_F(IntrusivePtrTest, ComparesByObject) {
  const IntrusivePtr<Counted> first = New();
  EXPECT_EQ(first, IntrusivePtr<Counted>(first.get()));
  EXPECT_NE(first, New());
}

TEST_F(IntrusivePtrTest, ManyThreadsFreeTheObjectOnce) {
  IntrusivePtr<Counted> shared = New();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([copy = shared] {
      for (int j = 0; j < 1000; ++j) const IntrusivePtr<Counted> another = copy;
    });
  }
  shared = IntrusivePtr<Counted>();
  for (std::thread& thread : threads) thread.join();
  threads.clear();
  EXPECT_EQ(gone_, 1);
}

template <typename M>
class MutexTest : public testing::Test {};
using Mutexes = testing::Types<Mutex, SmallMutex>;
TYPED_TEST_SUITE(MutexTest, Mutexes);

TYPED_TEST(MutexTest, LetsOneInAtATime) {
  TypeParam mutex;
  std::int64_t count = 0;
  std::latch begin(8);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      begin.arrive_and_wait();
      for (int j = 0; j < 10'000; ++j) {
        const MutexLock lock(mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 80'000);
}

TEST(SmallMutexTest, TakesFourBytes) { EXPECT_EQ(sizeof(SmallMutex), 4u); }

TEST(CondVarTest, WakesWhoWaits) {
  Mutex mutex;
  CondVar changed;
  bool ready = false;
  bool woken = false;
  std::thread waiter([&] {
    const MutexLock lock(mutex);
    while (!ready) changed.Wait(mutex);
    woken = true;
  });
  {
    const MutexLock lock(mutex);
    ready = true;
    changed.NotifyAll();
  }
  waiter.join();
  EXPECT_TRUE(woken);
}

TEST(CondVarTest, WaitForEndsWithoutNotification) {
  Mutex mutex;
  CondVar never;
  const MutexLock lock(mutex);
  EXPECT_FALSE(never.WaitFor(mutex, std::chrono::milliseconds(1)));
}

}  // namespace
}  // namespace corod
