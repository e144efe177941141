// Rules 30, 32 and 33: a yield inside an except or finally block. C++ cannot yield inside a catch block; these bodies
// leave it first and declare with Handling that its exception is still being handled.

#include <optional>

#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

using Rule30 = CoroutineTest;
using Rule32 = CoroutineTest;
using Rule33 = CoroutineTest;

// except KeyError: yield 1; then a bare raise.
Coroutine YieldsInExcept(Exception error) {
  const CoroutineRef self = co_await ThisCoroutine();
  std::optional<Exception> caught;
  try {
    Raise(error);
  } catch (const py::KeyError& e) {
    caught = e;
  }
  Handling handling(self, *caught);
  co_yield 1;
  handling.Reraise();
}

Exception KeyErrorA() { return Exception("KeyError", {"a"}); }

TEST_F(Rule30, AnExceptionThrownInGetsTheHandledOneAsContext) {
  Driven g = Primed(MADE(YieldsInExcept(KeyErrorA())));
  EXPECT_EQ(Text(g.Throw(Exception("ValueError", {"v"}))), "X(ValueError: v <ctx KeyError>)");
}

TEST_F(Rule30, ThrowingTheVeryExceptionThatIsHandledMakesNoCircle) {
  const Exception error = KeyErrorA();
  Driven g = Primed(MADE(YieldsInExcept(error)));
  EXPECT_EQ(Text(g.Throw(error)), "X(KeyError: 'a')");
}

TEST_F(Rule30, TheExitOfACloseGetsTheHandledOneAsContext) {
  Log log;
  const auto body = [](Log* out) -> Coroutine {
    const CoroutineRef self = co_await ThisCoroutine();
    Handling handling(self, KeyErrorA());
    try {
      co_yield 1;
    } catch (const py::GeneratorExit& e) {
      out->push_back(ChainText(e));
      throw;
    }
    co_return Value();
  };
  Driven g = Primed(MADE(body(&log)));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(log, Log{"GeneratorExit <ctx KeyError>"});
}

Coroutine DelegatesWhileHandling(Coroutine sub) {
  const CoroutineRef self = co_await ThisCoroutine();
  Handling handling(self, KeyErrorA());
  co_await YieldFrom(std::move(sub));
  co_return Value();
}

Coroutine RaisesOnNext() {
  co_yield 1;
  throw py::TypeError("t");
}

TEST_F(Rule30, AnExceptionThrownThroughASubGetsTheDelegatorsHandledOneAsContext) {
  Driven g = Primed(MADE(DelegatesWhileHandling(RaisesOnNext())));
  EXPECT_EQ(Text(g.Throw(Exception("ValueError", {"v"}))), "X(ValueError: v <ctx KeyError>)");
}

TEST_F(Rule30, WhatASubRaisesGetsTheDelegatorsHandledOneAsContext) {
  Driven g = Primed(MADE(DelegatesWhileHandling(RaisesOnNext())));
  EXPECT_EQ(Text(g.Next()), "X(TypeError: t <ctx KeyError>)");
}

Coroutine RaisesInItsHandler() {
  try {
    const Value sent = co_yield 1;
    if (sent == "own") throw py::ValueError("own");
  } catch (const py::ValueError&) {
    throw py::TypeError("t");
  }
  co_return Value();
}

TEST_F(Rule30, TheContextsOfASubEndAtWhatItsDelegatorHandles) {
  Driven g = Primed(MADE(DelegatesWhileHandling(RaisesInItsHandler())));
  EXPECT_EQ(Text(g.Send("own")), "X(TypeError: t <ctx ValueError> <ctx KeyError>)");
}

TEST_F(Rule30, OnItsWayUpFromAThrowTheDelegatorsHandledOneReplacesTheContext) {  // as CPython does
  Driven g = Primed(MADE(DelegatesWhileHandling(RaisesInItsHandler())));
  EXPECT_EQ(Text(g.Throw(Exception("ValueError", {"v"}))), "X(TypeError: t <ctx KeyError>)");
}

TEST_F(Rule30, AnErrorOfTheEngineGetsTheHandledOneAsContext) {
  const auto body = []() -> Coroutine {
    const CoroutineRef self = co_await ThisCoroutine();
    Handling handling(self, KeyErrorA());
    const Value items = List{1, 2};
    co_await YieldFrom(items);
    co_return Value();
  };
  Driven g = Primed(MADE(body()));
  EXPECT_EQ(Text(g.Send(5)), "X(AttributeError: 'list_iterator' object has no attribute 'send' <ctx KeyError>)");
}

Coroutine HandlesForAWhile() {
  const CoroutineRef self = co_await ThisCoroutine();
  {
    Handling outer(self, KeyErrorA());
    {
      Handling inner(self, Exception("LookupError"));
      co_yield "inner";
    }
    co_yield "outer";
  }
  co_yield "none";
  co_return Value();
}

TEST_F(Rule30, HandlingNestsAndEndsWithItsBlock) {
  const auto thrown_at = [](int yields) {
    Driven g = MADE(HandlesForAWhile());
    for (int i = 0; i < yields; ++i) EXPECT_EQ(g.Next().kind, Outcome::Kind::kYielded);
    return Text(g.Throw(Exception("ValueError", {"v"})));
  };
  EXPECT_EQ(thrown_at(1), "X(ValueError: v <ctx LookupError>)");
  EXPECT_EQ(thrown_at(2), "X(ValueError: v <ctx KeyError>)");
  EXPECT_EQ(thrown_at(3), "X(ValueError: v)");
}

Coroutine RaisesNewWhileHandling() {
  const CoroutineRef self = co_await ThisCoroutine();
  Handling handling(self, KeyErrorA());
  co_yield 1;
  handling.Raise(py::TypeError("late"));
}

TEST_F(Rule30, WhatIsRaisedLaterInTheBlockHasTheHandledOneAsContext) {
  Driven g = Primed(MADE(RaisesNewWhileHandling()));
  EXPECT_EQ(Text(g.Next()), "X(TypeError: late <ctx KeyError>)");
}

// try: yield 1; finally: yield "cleanup"
Coroutine YieldsInFinally() {
  const CoroutineRef self = co_await ThisCoroutine();
  std::optional<Exception> pending;
  try {
    co_yield 1;
  } catch (const py::BaseException& e) {
    pending = e;
  }
  std::optional<Handling> handling;
  if (pending) handling.emplace(self, *pending);
  co_yield "cleanup";
  if (handling) handling->Reraise();
  co_return "end";
}

TEST_F(Rule32, AYieldInFinallyPutsThePendingExceptionOff) {
  Driven g = Primed(MADE(YieldsInFinally()));
  const Exception thrown("ValueError", {"v"});
  EXPECT_EQ(Text(g.Throw(thrown)), "Y('cleanup')");
  EXPECT_EQ(g.state(), kSuspended);
  EXPECT_TRUE(g.Next().exception().Is(thrown));
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule32, WithoutAPendingExceptionFinallyJustYields) {
  Driven g = Primed(MADE(YieldsInFinally()));
  EXPECT_EQ(Text(g.Next()), "Y('cleanup')");
  EXPECT_EQ(Text(g.Next()), "R('end')");
}

TEST_F(Rule32, AYieldInFinallyDuringCloseIgnoresTheExit) {
  Driven g = Primed(MADE(YieldsInFinally()));
  EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(g.state(), kSuspended);
  EXPECT_EQ(Text(g.Close()), "R(None)");
}

TEST_F(Rule33, ABareRaiseAfterAYieldRaisesTheOriginal) {
  const Exception error = KeyErrorA();
  Driven g = Primed(MADE(YieldsInExcept(error)));
  const Outcome outcome = g.Next();
  EXPECT_EQ(Text(outcome), "X(KeyError: 'a')");
  EXPECT_TRUE(outcome.exception().Is(error));
}

}  // namespace
}  // namespace corod
