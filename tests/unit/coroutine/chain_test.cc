// Rules 75 and 76: long chains of delegation, and circles.

#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

using Rule75 = CoroutineTest;
using Rule76 = CoroutineTest;

// The innermost level.
Coroutine Leaf(Log* log) {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally fin(self, [log]() noexcept { log->push_back("fin"); });
  Value value = "leaf";
  while (true) {
    try {
      value = co_yield value;
      if (value == "stop") co_return value;
    } catch (const py::ValueError&) {
      value = "caught";
    }
  }
}

Coroutine Level(Coroutine sub) {
  Value result = co_await YieldFrom(std::move(sub));
  co_return result;
}

// A chain of `levels` coroutines, the leaf included.
Coroutine Chain(int levels, Log* log) {
  Coroutine chain = Leaf(log);
  for (int i = 1; i < levels; ++i) chain = Level(std::move(chain));
  return chain;
}

TEST_F(Rule75, AThousandLevelsAreSentTo) {
  Log log;
  Driven g = MADE(Chain(1000, &log));
  EXPECT_EQ(Text(g.Next()), "Y('leaf')");
  EXPECT_EQ(Text(g.Send("v")), "Y('v')");
  EXPECT_EQ(Text(g.Send("stop")), "R('stop')");
  EXPECT_EQ(log, Log{"fin"});
}

TEST_F(Rule75, AThousandLevelsAreThrownInto) {
  Log log;
  Driven g = MADE(Chain(1000, &log));
  EXPECT_EQ(Text(g.Next()), "Y('leaf')");
  EXPECT_EQ(Text(g.Throw(Exception("ValueError"))), "Y('caught')");
  EXPECT_EQ(Text(g.Throw(Exception("KeyError", {"k"}))), "X(KeyError: 'k')");
  EXPECT_EQ(log, Log{"fin"});
}

TEST_F(Rule75, AThousandLevelsAreClosed) {
  Log log;
  Driven g = MADE(Chain(1000, &log));
  EXPECT_EQ(Text(g.Next()), "Y('leaf')");
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(log, Log{"fin"});
}

TEST_F(Rule75, OneMoreIsARecursionErrorAtTheInnermostLevelThatIsLeft) {
  Log log;
  Driven g = MADE(Chain(1001, &log));
  EXPECT_EQ(Text(g.Next()), "X(RecursionError: maximum recursion depth exceeded)");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(log, Log());
}

TEST_F(Rule75, AThousandLevelsMadeByPuttingStartedChainsTogetherAreTheLimitToo) {
  Log log;
  for (const int levels : {1000, 1001}) {
    Coroutine chain = Chain(500, &log);
    EXPECT_EQ(Text(chain.Next()), "Y('leaf')");
    for (int i = 500; i < levels; ++i) chain = Level(std::move(chain));
    EXPECT_EQ(Text(chain.Next()), levels == 1000 ? "Y(None)" : "X(RecursionError: maximum recursion depth exceeded)");
  }
}

Coroutine SharedLevel(CoroutineRef sub) {
  Value result = co_await YieldFrom(sub);
  co_return result;
}

TEST_F(Rule75, SharedLevelsHaveTheSameLimit) {
  Log log;
  std::vector<Coroutine> levels;
  levels.push_back(Leaf(&log));
  while (levels.size() < 1000) levels.push_back(SharedLevel(levels.back().ref()));
  EXPECT_EQ(Text(levels.back().Next()), "Y('leaf')");
  levels.push_back(SharedLevel(levels.back().ref()));
  EXPECT_EQ(Text(levels.back().Next()), "X(RecursionError: maximum recursion depth exceeded)");
}

Coroutine DelegatesTwice(Log* log) {
  co_await YieldFrom(Chain(900, log));
  co_await YieldFrom(Chain(900, log));
  co_return "done";
}

TEST_F(Rule75, ALevelThatIsDoneCountsNoMore) {
  Log log;
  Driven g = MADE(DelegatesTwice(&log));
  EXPECT_EQ(Text(g.Next()), "Y('leaf')");
  EXPECT_EQ(Text(g.Send("stop")), "Y('leaf')");
  EXPECT_EQ(Text(g.Send("stop")), "R('done')");
}

// Yields `name`, then delegates to `to`.
Coroutine Around(const char* name, const Coroutine* to) {
  co_yield name;
  co_await YieldFrom(to->ref());
  co_return Value();
}

TEST_F(Rule76, ACircleOfTwoIsAValueError) {
  Coroutine a;
  Coroutine b;
  a = Around("a", &b);
  b = Around("b", &a);
  EXPECT_EQ(Text(a.Next()), "Y('a')");
  EXPECT_EQ(Text(a.Next()), "Y('b')");
  EXPECT_EQ(Text(a.Next()), "X(ValueError: generator already executing)");
  EXPECT_EQ(a.state(), kClosed);
  EXPECT_EQ(b.state(), kClosed);
}

TEST_F(Rule76, ACircleOfThreeIsAValueError) {
  Coroutine a;
  Coroutine b;
  Coroutine c;
  a = Around("a", &b);
  b = Around("b", &c);
  c = Around("c", &a);
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(a.Next().value, name);
  EXPECT_EQ(Text(a.Next()), "X(ValueError: generator already executing)");
  EXPECT_EQ(c.state(), kClosed);
}

TEST_F(Rule76, ClosingACircleBeforeItIsClosedEnds) {
  Coroutine a;
  Coroutine b;
  a = Around("a", &b);
  b = Around("b", &a);
  EXPECT_EQ(Text(a.Next()), "Y('a')");
  EXPECT_EQ(Text(a.Next()), "Y('b')");
  EXPECT_EQ(Text(a.Close()), "R(None)");
  EXPECT_EQ(b.state(), kClosed);
}

}  // namespace
}  // namespace corod
