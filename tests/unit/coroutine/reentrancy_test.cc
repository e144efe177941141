// Rules 50 to 56: a running coroutine that is driven, and what can be seen of one from outside.

#include <functional>
#include <type_traits>

#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

using Rule50 = CoroutineTest;
using Rule52 = CoroutineTest;
using Rule53 = CoroutineTest;
using Rule54 = CoroutineTest;
using Rule55 = CoroutineTest;
using Rule56 = CoroutineTest;
using Rule58 = CoroutineTest;

constexpr const char* kAlreadyExecuting = "X(ValueError: generator already executing)";

// Drives itself and yields what came of it, as text.
Coroutine Drives(std::function<Outcome(CoroutineRef)> drive) {
  const CoroutineRef self = co_await ThisCoroutine();
  const Outcome outcome = drive(self);
  co_yield Text(outcome);
  co_yield "still alive";
  co_return Value();
}

TEST_F(Rule50, NextOfTheRunningOneIsAValueErrorAndLeavesItUnharmed) {
  Driven g = MADE(Drives([](CoroutineRef self) { return self.Next(); }));
  EXPECT_EQ(g.Next().value, kAlreadyExecuting);
  EXPECT_EQ(g.state(), kSuspended);
  EXPECT_EQ(Text(g.Next()), "Y('still alive')");
}

TEST_F(Rule50, SendToTheRunningOneIsAValueError) {
  Driven g = MADE(Drives([](CoroutineRef self) { return self.Send(nullptr); }));
  EXPECT_EQ(g.Next().value, kAlreadyExecuting);
}

TEST_F(Rule50, ThrowIntoTheRunningOneIsAValueError) {
  Driven g = MADE(Drives([](CoroutineRef self) { return self.Throw(Exception("KeyError", {"k"})); }));
  EXPECT_EQ(g.Next().value, kAlreadyExecuting);
}

TEST_F(Rule50, CloseOfTheRunningOneIsAValueError) {
  Driven g = MADE(Drives([](CoroutineRef self) { return self.Close(); }));
  EXPECT_EQ(g.Next().value, kAlreadyExecuting);
  EXPECT_EQ(g.state(), kSuspended);
}

Coroutine DrivesItselfInFinally(Log* log) {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally fin(self, [log, self]() noexcept {
    log->push_back(Text(self.Send(1)));
    log->push_back(Text(self.Close()));
    log->push_back(self.state() == CoroutineState::kRunning ? "running" : "not running");
  });
  co_yield 1;
  co_return "returned";
}

TEST_F(Rule50, ABodyIsRunningUntilItsLastFinallyHasRun) {
  const Log expected{kAlreadyExecuting, kAlreadyExecuting, "running"};
  Log log;
  Driven returns = Primed(MADE(DrivesItselfInFinally(&log)));
  EXPECT_EQ(Text(returns.Next()), "R('returned')");
  EXPECT_EQ(log, expected);
  log.clear();
  Driven raises = Primed(MADE(DrivesItselfInFinally(&log)));
  EXPECT_EQ(Text(raises.Throw(Exception("KeyError", {"k"}))), "X(KeyError: 'k')");
  EXPECT_EQ(log, expected);
  log.clear();
  Driven closes = Primed(MADE(DrivesItselfInFinally(&log)));
  EXPECT_EQ(Text(closes.Close()), "R(None)");
  EXPECT_EQ(log, expected);
}

TEST_F(Rule52, AlreadyExecutingComesBeforeTheCheckOfTheFirstValue) {
  Driven g = MADE(Drives([](CoroutineRef self) { return self.Send(5); }));
  EXPECT_EQ(g.Next().value, kAlreadyExecuting);
}

TEST_F(Rule52, WhatIsNoExceptionIsRefusedBeforeAlreadyExecuting) {
  Driven g = MADE(Drives([](CoroutineRef self) -> Outcome {
    try {
      return self.Throw(Value("abc").AsException());
    } catch (const py::TypeError& e) {
      return Outcome::Raised(e);
    }
  }));
  EXPECT_EQ(g.Next().value,
            "X(TypeError: exceptions must be classes or instances deriving from BaseException, not str)");
}

Coroutine NextsItselfUnguarded() {
  const CoroutineRef self = co_await ThisCoroutine();
  const Outcome outcome = self.Next();
  Raise(outcome.exception());
}

TEST_F(Rule53, UncaughtItPropagatesAndCloses) {
  Driven g = MADE(NextsItselfUnguarded());
  EXPECT_EQ(Text(g.Next()), kAlreadyExecuting);
  EXPECT_EQ(g.state(), kClosed);
}

Coroutine DelegatesToItself() {
  const CoroutineRef self = co_await ThisCoroutine();
  co_yield 1;
  co_await YieldFrom(self);
  co_return Value();
}

TEST_F(Rule53, DelegatingToItselfIsTheSameValueError) {
  Driven g = Primed(MADE(DelegatesToItself()));
  EXPECT_EQ(Text(g.Next()), kAlreadyExecuting);
  EXPECT_EQ(g.state(), kClosed);
}

Coroutine NotesItsState(CoroutineState* seen) {
  const CoroutineRef self = co_await ThisCoroutine();
  *seen = self.state();
  co_yield 1;
  co_return Value();
}

TEST_F(Rule54, TheStatesFollowEachOther) {
  CoroutineState inside = kClosed;
  Driven g = MADE(NotesItsState(&inside));
  EXPECT_EQ(g.state(), kCreated);
  EXPECT_EQ(Text(g.Next()), "Y(1)");
  EXPECT_EQ(inside, kRunning);
  EXPECT_EQ(g.state(), kSuspended);
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(g.state(), kClosed);
}

struct Seen {
  CoroutineState state = CoroutineState::kCreated;
  bool delegating = true;
};

Coroutine LooksAt(const Coroutine* delegator, Seen* seen) {
  *seen = {delegator->state(), delegator->ref().IsDelegating()};
  co_yield 1;
  co_return Value();
}

Coroutine YieldsAroundASub(Coroutine sub) {
  co_yield 0;
  co_await YieldFrom(std::move(sub));
  co_yield 2;
  co_return Value();
}

TEST_F(Rule54, ADelegatorIsRunningWhileItsSubRuns) {
  Coroutine g;
  Seen seen;
  g = YieldsAroundASub(LooksAt(&g, &seen));
  EXPECT_EQ(Text(g.Next()), "Y(0)");
  EXPECT_EQ(Text(g.Next()), "Y(1)");
  EXPECT_EQ(seen.state, kRunning);
  EXPECT_FALSE(seen.delegating);
}

TEST_F(Rule55, ItDelegatesOnlyWhileSuspendedInAYieldFrom) {
  Coroutine g;
  Seen seen;
  g = YieldsAroundASub(LooksAt(&g, &seen));
  EXPECT_FALSE(g.ref().IsDelegating());
  EXPECT_EQ(Text(g.Next()), "Y(0)");
  EXPECT_FALSE(g.ref().IsDelegating());
  EXPECT_EQ(Text(g.Next()), "Y(1)");
  EXPECT_TRUE(g.ref().IsDelegating());
  EXPECT_EQ(Text(g.Next()), "Y(2)");
  EXPECT_FALSE(g.ref().IsDelegating());
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_FALSE(g.ref().IsDelegating());
}

TEST_F(Rule56, AClosedOneKeepsNothingRunning) {
  Coroutine g;
  Seen seen;
  g = YieldsAroundASub(LooksAt(&g, &seen));
  EXPECT_EQ(Text(g.Next()), "Y(0)");
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_FALSE(g.ref().IsBeingDropped());
}

TEST_F(Rule58, ACoroutineCannotBeCopied) {
  EXPECT_FALSE(std::is_copy_constructible_v<Coroutine>);
  EXPECT_FALSE(std::is_copy_assignable_v<Coroutine>);
}

}  // namespace
}  // namespace corod
