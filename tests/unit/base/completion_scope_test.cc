#include "server/base/completion_scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace corod {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Work final : public CompletionScope::Deferred {
 public:
  explicit Work(std::function<void()> does) : does_(std::move(does)) {}

 private:
  void RunDeferred() override { does_(); }
  const std::function<void()> does_;
};

class CompletionScopeTest : public testing::Test {
 protected:
  std::function<void()> Says(std::string what) {
    return [this, what] { said_.push_back(what); };
  }
  std::vector<std::string> said_;
};

TEST_F(CompletionScopeTest, WithoutAScopeItIsRunAtOnce) {
  EXPECT_FALSE(CompletionScope::Active());
  Work work(Says("a"));
  CompletionScope::Defer(work);
  EXPECT_THAT(said_, ElementsAre("a"));
}

TEST_F(CompletionScopeTest, RunsInOrderWhenTheScopeEnds) {
  Work a(Says("a")), b(Says("b")), c(Says("c"));
  {
    const CompletionScope scope;
    EXPECT_TRUE(CompletionScope::Active());
    for (Work* work : {&b, &a, &c}) CompletionScope::Defer(*work);
    EXPECT_THAT(said_, IsEmpty());
  }
  EXPECT_THAT(said_, ElementsAre("b", "a", "c"));
  EXPECT_FALSE(CompletionScope::Active());
}

TEST_F(CompletionScopeTest, OutermostScopeCounts) {
  Work a(Says("a")), b(Says("b"));
  {
    const CompletionScope outer;
    {
      const CompletionScope inner;
      CompletionScope::Defer(a);
    }
    EXPECT_TRUE(CompletionScope::Active());
    EXPECT_THAT(said_, IsEmpty());
    CompletionScope::Defer(b);
  }
  EXPECT_THAT(said_, ElementsAre("a", "b"));
}

TEST_F(CompletionScopeTest, WhatIsDeferredMeanwhileIsRunToo) {
  int rounds = 0;
  Work* itself = nullptr;
  Work other(Says("other"));
  Work again([&] {
    said_.emplace_back("again");
    EXPECT_TRUE(CompletionScope::Active());
    if (++rounds == 1) {
      CompletionScope::Defer(*itself);
      CompletionScope::Defer(other);
    }
  });
  itself = &again;
  {
    const CompletionScope scope;
    CompletionScope::Defer(again);
  }
  EXPECT_THAT(said_, ElementsAre("again", "again", "other"));
}

TEST_F(CompletionScopeTest, WhatFollowsComesBehindTheScopeAndMayHaveOneOfItsOwn) {
  Work own(Says("of its own")), other(Says("other")), deferred(Says("deferred"));
  Work follows([&] {
    EXPECT_FALSE(CompletionScope::Active());
    const CompletionScope scope;
    CompletionScope::Defer(own);
    said_.emplace_back("follows");
  });
  {
    const CompletionScope scope;
    CompletionScope::Follow(follows);
    {
      const CompletionScope inner;
      CompletionScope::Follow(other);
    }
    CompletionScope::Defer(deferred);
    EXPECT_THAT(said_, IsEmpty());
  }
  EXPECT_THAT(said_, ElementsAre("deferred", "follows", "of its own", "other"));
}

TEST_F(CompletionScopeTest, ItMayFreeItself) {
  std::unique_ptr<Work> work;
  work = std::make_unique<Work>([&] {
    said_.emplace_back("gone");
    work.reset();
  });
  Work behind(Says("behind"));
  {
    const CompletionScope scope;
    CompletionScope::Defer(*work);
    CompletionScope::Defer(behind);
  }
  EXPECT_THAT(said_, ElementsAre("gone", "behind"));
}

TEST_F(CompletionScopeTest, AScopeIsItsThreads) {
  const CompletionScope scope;
  Work work(Says("other thread's"));
  std::thread([&] {
    EXPECT_FALSE(CompletionScope::Active());
    CompletionScope::Defer(work);
  }).join();
  EXPECT_THAT(said_, ElementsAre("other thread's"));
}

TEST_F(CompletionScopeTest, OneScopeAfterTheOther) {
  Work work(Says("a"));
  for (int i = 0; i < 2; ++i) {
    const CompletionScope scope;
    CompletionScope::Defer(work);
  }
  EXPECT_THAT(said_, ElementsAre("a", "a"));
}

}  // namespace
}  // namespace corod
