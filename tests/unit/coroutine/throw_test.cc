// Rules 16 to 37: throw, and PEP 479.

#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

using Rule16 = CoroutineTest;
using Rule17 = CoroutineTest;
using Rule18 = CoroutineTest;
using Rule19 = CoroutineTest;
using Rule20 = CoroutineTest;
using Rule21 = CoroutineTest;
using Rule23 = CoroutineTest;
using Rule25 = CoroutineTest;
using Rule26 = CoroutineTest;
using Rule27 = CoroutineTest;
using Rule28 = CoroutineTest;
using Rule29 = CoroutineTest;
using Rule31 = CoroutineTest;
using Rule35 = CoroutineTest;
using Rule36 = CoroutineTest;
using Rule37 = CoroutineTest;

const Exception kStop7("StopIteration", {7});

Exception ValueErrorV() { return Exception("ValueError", {"v"}); }

// Catches ValueError, and yields or returns its message.
Coroutine Catches(bool returns) {
  Value caught;
  try {
    co_yield 1;
  } catch (const py::ValueError& e) {
    caught = List{"caught", e.message()};
  }
  if (returns) co_return caught;
  co_yield caught;
  co_return Value();
}

TEST_F(Rule16, AThrownExceptionThatIsCaughtGivesTheNextYield) {
  Driven g = Primed(MADE(Catches(false)));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y(['caught', 'v'])");
  EXPECT_EQ(g.state(), kSuspended);
}

TEST_F(Rule17, CaughtAndReturnedClosesIt) {
  Driven g = Primed(MADE(Catches(true)));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "R(['caught', 'v'])");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule18, UncaughtItPropagatesAsTheSameObject) {
  Driven g = Primed(MADE(Catches(false)));
  const Exception thrown("KeyError", {"k"});
  const Outcome outcome = g.Throw(thrown);
  EXPECT_EQ(Text(outcome), "X(KeyError: 'k')");
  EXPECT_TRUE(outcome.exception().Is(thrown));
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

Coroutine RaisesNew(bool from) {
  try {
    co_yield 1;
  } catch (const py::ValueError& e) {
    if (from) throw From(py::KeyError("k"), e);
    throw py::KeyError("k");
  }
  co_return Value();
}

TEST_F(Rule19, WhatIsRaisedInAHandlerHasTheThrownOneAsContext) {
  Driven g = Primed(MADE(RaisesNew(false)));
  const Exception thrown = ValueErrorV();
  const Exception raised = g.Throw(thrown).exception();
  EXPECT_EQ(ChainText(raised), "KeyError: 'k' <ctx ValueError>");
  EXPECT_TRUE(raised.context()->Is(thrown));
  EXPECT_FALSE(raised.suppress_context());
}

TEST_F(Rule19, RaiseFromSetsTheCauseAsWell) {
  Driven g = Primed(MADE(RaisesNew(true)));
  const Exception thrown = ValueErrorV();
  const Exception raised = g.Throw(thrown).exception();
  EXPECT_EQ(ChainText(raised), "KeyError: 'k' <cause ValueError> <ctx ValueError>");
  EXPECT_TRUE(raised.cause()->Is(thrown));
  EXPECT_TRUE(raised.suppress_context());
}

Coroutine LoggingFinally(Log* log) {
  const CoroutineRef self = co_await ThisCoroutine();
  log->push_back("runs");
  Finally fin(self, [log]() noexcept { log->push_back("finally"); });
  co_yield 1;
  co_return Value();
}

TEST_F(Rule20, ThrowBeforeTheStartRunsNothingAndClosesIt) {
  Log log;
  Driven g = MADE(LoggingFinally(&log));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "X(ValueError: v)");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(log, Log());
}

TEST_F(Rule21, ThrowAfterTheEndRaisesEveryTime) {
  Driven g = Primed(MADE(Catches(true)));
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "X(ValueError: v)");
  EXPECT_EQ(Text(g.Throw(Exception("ValueError", {"w"}))), "X(ValueError: w)");
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

TEST_F(Rule23, AValueThatIsNoExceptionCannotBecomeOne) {
  Driven g = Primed(MADE(Catches(false)));
  try {
    static_cast<void>(g.Throw(Value("abc").AsException()));
    ADD_FAILURE() << "a text was thrown";
  } catch (const py::TypeError& e) {
    EXPECT_EQ(e.message(), "exceptions must be classes or instances deriving from BaseException, not str");
  }
  EXPECT_EQ(Text(g.Next()), "Y(None)");
}

TEST_F(Rule25, AThrownStopIterationThatIsNotCaughtBecomesARuntimeError) {
  Driven g = Primed(MADE(Catches(false)));
  const Exception raised = g.Throw(kStop7).exception();
  EXPECT_EQ(ChainText(raised),
            "RuntimeError: generator raised StopIteration <cause StopIteration> <ctx StopIteration>");
  EXPECT_TRUE(raised.cause()->Is(kStop7));
  EXPECT_TRUE(raised.context()->Is(kStop7));
  EXPECT_EQ(g.state(), kClosed);
}

Coroutine CatchesStop() {
  Value caught;
  try {
    co_yield 1;
  } catch (const py::StopIteration& e) {
    caught = List{"si", e.StopValue()};
  }
  co_yield caught;
  co_return Value();
}

TEST_F(Rule26, AThrownStopIterationIsCaughtAsAnyOther) {
  Driven g = Primed(MADE(CatchesStop()));
  EXPECT_EQ(Text(g.Throw(kStop7)), "Y(['si', 7])");
}

TEST_F(Rule27, AStopIterationThrownBeforeTheStartIsARuntimeError) {
  Driven g = MADE(CatchesStop());
  EXPECT_EQ(Text(g.Throw(kStop7)),
            "X(RuntimeError: generator raised StopIteration <cause StopIteration> <ctx StopIteration>)");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule27, AStopIterationThrownAfterTheEndIsAReturn) {
  Driven g = MADE(CatchesStop());
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(Text(g.Throw(kStop7)), "R(7)");
}

Coroutine CatchesExit(bool returns) {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit&) {
    if (returns) co_return 3;
  }
  co_yield 2;
  co_return Value();
}

TEST_F(Rule28, AThrownGeneratorExitPropagatesUnlikeOnClose) {
  Driven g = Primed(MADE(Catches(false)));
  const Exception exit("GeneratorExit");
  const Outcome outcome = g.Throw(exit);
  EXPECT_EQ(Text(outcome), "X(GeneratorExit)");
  EXPECT_TRUE(outcome.exception().Is(exit));
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule28, AYieldAfterAThrownGeneratorExitIsLegal) {
  Driven g = Primed(MADE(CatchesExit(false)));
  EXPECT_EQ(Text(g.Throw(Exception("GeneratorExit"))), "Y(2)");
  EXPECT_EQ(g.state(), kSuspended);
}

TEST_F(Rule28, AReturnAfterAThrownGeneratorExitIsAReturn) {
  Driven g = Primed(MADE(CatchesExit(true)));
  EXPECT_EQ(Text(g.Throw(Exception("GeneratorExit"))), "R(3)");
}

Coroutine CatchesExceptions(Log* log) {
  try {
    co_yield 1;
  } catch (const py::Exception& e) {
    log->push_back(e.type());
  }
  co_yield "caught";
  co_return Value();
}

TEST_F(Rule29, WhatIsABaseExceptionAlonePassesExceptException) {
  for (const char* type :
       {"KeyboardInterrupt", "SystemExit", "asyncio.CancelledError", "GeneratorExit", "BaseException"}) {
    Log log;
    Driven g = Primed(MADE(CatchesExceptions(&log)));
    EXPECT_EQ(Text(g.Throw(Exception(type))), std::string("X(") + type + ")");
    EXPECT_EQ(log, Log());
  }
}

TEST_F(Rule29, AUserTypeOfABaseExceptionPassesExceptException) {
  Log log;
  Driven g = Primed(MADE(CatchesExceptions(&log)));
  EXPECT_EQ(Text(g.Throw(Exception("app.Abort", {}, {"BaseException"}))), "X(app.Abort)");
  EXPECT_EQ(log, Log());
}

TEST_F(Rule29, AUserTypeWithoutBasesIsAnException) {
  Log log;
  Driven g = Primed(MADE(CatchesExceptions(&log)));
  EXPECT_EQ(Text(g.Throw(Exception("app.Error"))), "Y('caught')");
  EXPECT_EQ(log, Log{"app.Error"});
}

Coroutine ReturnsInFinally() {
  try {
    co_yield 1;
  } catch (...) {
    co_return "swallowed";
  }
  co_return "swallowed";
}

TEST_F(Rule31, AReturnInFinallySwallowsWhatWasThrown) {
  Driven g = Primed(MADE(ReturnsInFinally()));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "R('swallowed')");
  EXPECT_EQ(g.state(), kClosed);
}

Coroutine RaisesStop(Exception stop) {
  co_yield 1;
  Raise(stop);
}

TEST_F(Rule35, AStopIterationThatLeavesTheBodyBecomesARuntimeError) {
  Driven g = Primed(MADE(RaisesStop(kStop7)));
  const Exception raised = g.Next().exception();
  EXPECT_EQ(raised.type(), "RuntimeError");
  EXPECT_EQ(raised.message(), "generator raised StopIteration");
  EXPECT_TRUE(raised.cause()->Is(kStop7));
  EXPECT_TRUE(raised.context()->Is(kStop7));
  EXPECT_TRUE(raised.suppress_context());
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

TEST_F(Rule35, SoDoesWhatDerivesFromStopIteration) {
  Driven g = Primed(MADE(RaisesStop(Exception("app.Stop", {"z"}, {"StopIteration", "Exception", "BaseException"}))));
  EXPECT_EQ(Text(g.Next()), "X(RuntimeError: generator raised StopIteration <cause app.Stop> <ctx app.Stop>)");
}

// next() of an exhausted iterator.
Value NextOfNothing() { throw py::StopIteration(); }

Coroutine NextsAnExhaustedIterator() {
  co_yield NextOfNothing();
  co_return Value();
}

TEST_F(Rule36, SoDoesTheStopIterationOfAnInnerNext) {
  Driven g = MADE(NextsAnExhaustedIterator());
  EXPECT_EQ(Text(g.Next()),
            "X(RuntimeError: generator raised StopIteration <cause StopIteration> <ctx StopIteration>)");
}

Coroutine CatchesItsOwnStop() {
  Value value;
  try {
    value = NextOfNothing();
  } catch (const py::StopIteration&) {
    value = "ok";
  }
  co_yield value;
  co_return Value();
}

TEST_F(Rule37, AStopIterationCaughtInsideIsLeftAlone) {
  Driven g = MADE(CatchesItsOwnStop());
  EXPECT_EQ(Text(g.Next()), "Y('ok')");
}

Coroutine LogsStopOnItsWayOut(Log* log) {
  try {
    co_yield 1;
    throw py::StopIteration("z");
  } catch (const py::BaseException& e) {
    log->push_back(e.type());
    throw;
  }
}

TEST_F(Rule37, HandlersSeeTheStopIterationBeforeItIsReplaced) {
  Log log;
  Driven g = Primed(MADE(LogsStopOnItsWayOut(&log)));
  EXPECT_EQ(g.Next().exception().type(), "RuntimeError");
  EXPECT_EQ(log, Log{"StopIteration"});
}

}  // namespace
}  // namespace corod
