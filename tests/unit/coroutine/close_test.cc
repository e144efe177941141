// Rules 38 to 49: close. Rule 83: a drop is not a close.

#include <cstdint>
#include <functional>

#include "tests/unit/coroutine/coroutine_fixture.h"

namespace corod {
namespace {

using Rule38 = CoroutineTest;
using Rule39 = CoroutineTest;
using Rule40 = CoroutineTest;
using Rule41 = CoroutineTest;
using Rule42 = CoroutineTest;
using Rule43 = CoroutineTest;
using Rule44 = CoroutineTest;
using Rule45 = CoroutineTest;
using Rule46 = CoroutineTest;
using Rule47 = CoroutineTest;
using Rule48 = CoroutineTest;
using Rule49 = CoroutineTest;
using Rule83 = CoroutineTest;

Coroutine LoggingFinally(Log* log) {
  const CoroutineRef self = co_await ThisCoroutine();
  log->push_back("runs");
  Finally fin(self, [log]() noexcept { log->push_back("finally"); });
  co_yield 1;
  co_return Value();
}

TEST_F(Rule38, CloseBeforeTheStartRunsNothing) {
  Log log;
  Driven g = MADE(LoggingFinally(&log));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(log, Log());
}

// Does `on_exit` when it is closed.
Coroutine OnExit(std::function<void(const Exception&)> on_exit) {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit& e) {
    on_exit(e);
    throw;
  }
  co_return Value();
}

TEST_F(Rule39, CloseRaisesGeneratorExitAtTheYield) {
  Log log;
  Driven g = Primed(MADE(OnExit([&](const Exception& exit) { log.push_back(ChainText(exit)); })));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(log, Log{"GeneratorExit"});
  EXPECT_EQ(g.state(), kClosed);
}

Coroutine NestedFinally(Log* log) {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally outer(self, [log]() noexcept { log->push_back("outer"); });
  Finally inner(self, [log]() noexcept { log->push_back("inner"); });
  try {
    co_yield 1;
  } catch (const py::BaseException& e) {  // a `with` statement's __exit__
    log->push_back("exit " + e.type());
    throw;
  }
  co_return Value();
}

TEST_F(Rule40, CleanupRunsOnceInnermostFirst) {
  Log log;
  Driven g = Primed(MADE(NestedFinally(&log)));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(log, (Log{"exit GeneratorExit", "inner", "outer"}));
}

Coroutine ReturnsAtOnce() { co_return 4; }

Coroutine Raises() {
  co_yield 1;
  throw py::ValueError("v");
}

TEST_F(Rule41, CloseAfterTheEndDoesNothing) {
  Driven returned = MADE(ReturnsAtOnce());
  EXPECT_EQ(Text(returned.Next()), "R(4)");
  EXPECT_EQ(Text(returned.Close()), "R(None)");
  Driven failed = Primed(MADE(Raises()));
  EXPECT_EQ(Text(failed.Next()), "X(ValueError: v)");
  EXPECT_EQ(Text(failed.Close()), "R(None)");
}

Coroutine ReturnsOnExit() {
  try {
    co_yield 1;
  } catch (const py::GeneratorExit&) {
    co_return 7;
  }
  co_return Value();
}

TEST_F(Rule42, CloseReturnsWhatTheBodyReturnsOnGeneratorExit) {
  Driven g = Primed(MADE(ReturnsOnExit()));
  EXPECT_EQ(Text(g.Close()), "R(7)");
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

Coroutine ReturnsLater() {
  co_yield 1;
  co_return 0;
}

TEST_F(Rule43, CodeAfterTheYieldIsNotReached) {
  Driven g = Primed(MADE(ReturnsLater()));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(g.state(), kClosed);
}

Coroutine Ignores(int times) {
  for (int n = 0; n < times; ++n) {
    try {
      co_yield n;
    } catch (const py::GeneratorExit&) {
    }
  }
  co_yield "last";
  co_return Value();
}

TEST_F(Rule44, YieldDuringCloseRaisesAndStaysSuspended) {
  Driven g = Primed(MADE(Ignores(1)));
  const Exception raised = g.Close().exception();
  EXPECT_EQ(ChainText(raised), "RuntimeError: generator ignored GeneratorExit");
  EXPECT_FALSE(raised.context());
  EXPECT_EQ(g.state(), kSuspended);
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

TEST_F(Rule44, AfterIgnoringACloseItMayBeClosedAgain) {
  Driven g = Primed(MADE(Ignores(2)));
  EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule45, AnotherExceptionDuringCloseHasTheExitAsContext) {
  Driven g = Primed(MADE(OnExit([](const Exception&) { throw py::TypeError("fie!"); })));
  EXPECT_EQ(Text(g.Close()), "X(TypeError: fie! <ctx GeneratorExit>)");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Close()), "R(None)");
}

TEST_F(Rule46, AFreshGeneratorExitIsSwallowed) {
  Log log;
  Driven g = Primed(MADE(OnExit([&](const Exception&) {
    log.push_back("raises");
    throw py::GeneratorExit("mine");
  })));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(log, Log{"raises"});
}

TEST_F(Rule47, AStopIterationDuringCloseBecomesARuntimeError) {
  Driven g = Primed(MADE(OnExit([](const Exception&) { throw py::StopIteration(); })));
  EXPECT_EQ(
      Text(g.Close()),
      "X(RuntimeError: generator raised StopIteration <cause StopIteration> <ctx StopIteration> <ctx GeneratorExit>)");
  EXPECT_EQ(g.state(), kClosed);
}

Coroutine CatchesExceptions(Log* log) {
  try {
    co_yield 1;
  } catch (const py::Exception&) {
    log->push_back("except Exception");
  } catch (const std::exception&) {
    log->push_back("std::exception");
  }
  co_return Value();
}

TEST_F(Rule48, ExceptExceptionDoesNotCatchGeneratorExit) {
  Log log;
  Driven g = Primed(MADE(CatchesExceptions(&log)));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(log, Log());
}

Coroutine IgnoresAndLogs(Log* log) {
  for (int n = 1;; ++n) {
    try {
      co_yield n;
    } catch (const py::GeneratorExit&) {
      log->push_back("exit " + std::to_string(n));
    }
  }
}

Coroutine DelegatesTo(Coroutine sub) {
  co_await YieldFrom(std::move(sub));
  co_return Value();
}

TEST_F(Rule49, ASubThatIgnoredItsCloseIsClosedOnceMoreWhenItsDelegatorLetsGo) {
  Log log;
  Driven g = Primed(MADE(DelegatesTo(IgnoresAndLogs(&log))));
  EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(log, (Log{"exit 1", "exit 2"}));
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule49, ADroppedUnstartedOneRunsNothing) {
  Log log;
  {
    const Driven g = MADE(LoggingFinally(&log));
  }
  EXPECT_EQ(log, Log());
}

TEST_F(Rule83, FinallyRunsOnClose) {
  Log log;
  Driven g = Primed(MADE(LoggingFinally(&log)));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(log, (Log{"runs", "finally"}));
}

TEST_F(Rule83, FinallyRunsOnReturn) {
  Log log;
  Driven g = Primed(MADE(LoggingFinally(&log)));
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(log, (Log{"runs", "finally"}));
}

TEST_F(Rule83, FinallyRunsOnRaise) {
  Log log;
  Driven g = Primed(MADE(LoggingFinally(&log)));
  EXPECT_EQ(Text(g.Throw(Exception("ValueError"))), "X(ValueError)");
  EXPECT_EQ(log, (Log{"runs", "finally"}));
}

Coroutine Counting(int* handlers, int* cleanups) {
  const CoroutineRef self = co_await ThisCoroutine();
  Finally fin(self, [cleanups]() noexcept { ++*cleanups; });
  try {
    co_yield 1;
  } catch (...) {
    ++*handlers;
    throw;
  }
  co_return Value();
}

TEST_F(Rule83, NothingOfTheBodyRunsWhenItIsDropped) {
  int handlers = 0;
  int cleanups = 0;
  for (int i = 0; i < 100; ++i) const Coroutine g = Primed(Counting(&handlers, &cleanups));
  EXPECT_EQ(handlers, 0);
  EXPECT_EQ(cleanups, 0);
  Driven g = Primed(MADE(Counting(&handlers, &cleanups)));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(handlers, 1);
  EXPECT_EQ(cleanups, 1);
}

TEST_F(Rule83, NothingOfAWholeChainRunsWhenItIsDropped) {
  int handlers = 0;
  int cleanups = 0;
  for (int i = 0; i < 100; ++i) const Coroutine g = Primed(DelegatesTo(DelegatesTo(Counting(&handlers, &cleanups))));
  EXPECT_EQ(handlers, 0);
  EXPECT_EQ(cleanups, 0);
}

TEST_F(Rule83, FinallyRunsOnceForACoroutineThatFinishedBeforeItIsDestroyed) {
  int handlers = 0;
  int cleanups = 0;
  {
    Driven g = Primed(MADE(Counting(&handlers, &cleanups)));
    EXPECT_EQ(Text(g.Next()), "R(None)");
  }
  EXPECT_EQ(cleanups, 1);
}

}  // namespace
}  // namespace corod
