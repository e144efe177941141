// The rules of docs/semantics.md for bodies that are scripts, in the order of coroutine_test: here 1 to 49, 54 and 83;
// 30, 32 and 33 in semantics_handling_test.cc, 55 to 77 in semantics_delegation_test.cc.
//
// Not here:
//   15, 22, 23, 24, 34, 58       bind callers
//   49's hook                    what becomes of an orphan's errors is the session layer's
//   50 to 53, 76's ValueError    a script has no reference to a session, its own included, that it could drive
//   54's RUNNING                 nothing looks at a script while it runs
//   56, 57                       nobody sees a script's frame or locals
//   61, 71, 74 and what 60, 62, 65, 69, 70 and 72 say of iterators and values   delegate() takes a coroutine's name
//   72's and 73's started, finished and shared subs   delegate() makes the sub anew, and nobody else has it
//   31's return in a finally     what a finalizer returns is dropped; a pcall that returns is the form that swallows
//   78 to 82                     the session layer and the wire, whatever the body is written in

#include "tests/unit/lua/semantics.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/coroutine/map.h"

namespace corod::lua {
namespace {

using Rule01 = SemanticsTest;
using Rule02 = SemanticsTest;
using Rule03 = SemanticsTest;
using Rule04 = SemanticsTest;
using Rule05 = SemanticsTest;
using Rule06 = SemanticsTest;
using Rule07 = SemanticsTest;
using Rule08 = SemanticsTest;
using Rule09 = SemanticsTest;
using Rule10 = SemanticsTest;
using Rule11 = SemanticsTest;
using Rule12 = SemanticsTest;
using Rule13 = SemanticsTest;
using Rule14 = SemanticsTest;
using Rule16 = SemanticsTest;
using Rule17 = SemanticsTest;
using Rule18 = SemanticsTest;
using Rule19 = SemanticsTest;
using Rule20 = SemanticsTest;
using Rule21 = SemanticsTest;
using Rule25 = SemanticsTest;
using Rule26 = SemanticsTest;
using Rule27 = SemanticsTest;
using Rule28 = SemanticsTest;
using Rule29 = SemanticsTest;
using Rule31 = SemanticsTest;
using Rule35 = SemanticsTest;
using Rule36 = SemanticsTest;
using Rule37 = SemanticsTest;
using Rule38 = SemanticsTest;
using Rule39 = SemanticsTest;
using Rule40 = SemanticsTest;
using Rule41 = SemanticsTest;
using Rule42 = SemanticsTest;
using Rule43 = SemanticsTest;
using Rule44 = SemanticsTest;
using Rule45 = SemanticsTest;
using Rule46 = SemanticsTest;
using Rule47 = SemanticsTest;
using Rule48 = SemanticsTest;
using Rule54 = SemanticsTest;
using Rule83 = SemanticsTest;

constexpr const char* kLogging = "return function() log('runs') yield(1) end";

TEST_F(Rule01, CreatingRunsNothing) {
  const Driven g = MADE(Create(kLogging));
  EXPECT_EQ(logged, Log());
  EXPECT_EQ(g.state(), kCreated);
}

TEST_F(Rule01, AnArgumentThatItDoesNotTakeIsNoMatterOfItsFirstStep) {
  const Definition* definition = Define("return function(a) log('runs') end");
  ASSERT_TRUE(definition);
  EXPECT_TRUE(std::holds_alternative<ArgumentError>(definition->BindArguments({{"b", 1}})));
  EXPECT_EQ(logged, Log());
}

TEST_F(Rule02, NextRunsToTheFirstYield) {
  Driven g = MADE(Create(kLogging));
  EXPECT_EQ(Text(g.Next()), "Y(1)");
  EXPECT_EQ(logged, Log{"runs"});
  EXPECT_EQ(g.state(), kSuspended);
}

TEST_F(Rule02, SendOfNullPrimes) {
  Driven g = MADE(Create(kLogging));
  EXPECT_EQ(Text(g.Send(nullptr)), "Y(1)");
}

TEST_F(Rule03, AnythingElseSentFirstIsATypeError) {
  for (const Value& value : {Value(false), Value(0), Value(""), Value(List{}), Value(5), Value(0.0)}) {
    Driven g = MADE(Create(kLogging));
    EXPECT_EQ(Text(g.Send(value)), "X(TypeError: can't send non-None value to a just-started generator)")
        << Repr(value);
    EXPECT_EQ(logged, Log());
  }
}

TEST_F(Rule04, ThatTypeErrorLeavesItCreated) {
  Driven g = MADE(Create(kLogging));
  EXPECT_EQ(g.Send(0).kind, Outcome::Kind::kRaised);
  EXPECT_EQ(g.state(), kCreated);
  EXPECT_EQ(Text(g.Next()), "Y(1)");
}

TEST_F(Rule05, RaisingBeforeTheFirstYieldClosesIt) {
  Driven g = MADE(Create("return function() error{type = 'KeyError', message = 'k'} end"));
  EXPECT_EQ(Text(g.Next()), "X(KeyError: 'k')");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

constexpr const char* kReturnsAtOnce = "return function() return 9 end";

TEST_F(Rule06, ReturningBeforeTheFirstYieldClosesIt) {
  Driven g = MADE(Create(kReturnsAtOnce));
  EXPECT_EQ(Text(g.Next()), "R(9)");
  EXPECT_EQ(g.state(), kClosed);
}

constexpr const char* kGot = "return function() local sent = yield('a') yield(list('got', sent)) end";

TEST_F(Rule07, TheSentValueIsTheValueOfTheYield) {
  Driven g = Primed(MADE(Create(kGot)));
  EXPECT_EQ(Text(g.Send(42)), "Y(['got', 42])");
}

TEST_F(Rule07, NextDeliversNull) {
  Driven g = Primed(MADE(Create(kGot)));
  EXPECT_EQ(Text(g.Next()), "Y(['got', None])");
}

TEST_F(Rule08, AYieldedNullDiffersFromAReturnedOne) {
  for (const char* source : {"return function() yield() end", "return function() yield(nil) return nil end",
                             "return function() yield(null) return null end"}) {
    Driven g = MADE(Create(source));
    EXPECT_EQ(g.Next(), Outcome::Yielded(Value()));
    EXPECT_EQ(g.Next(), Outcome::Returned(Value()));
  }
}

constexpr const char* kReturnsWhatIsSent = "return function() return yield(1) end";

TEST_F(Rule09, TheReturnedValueComesOut) {
  Driven g = Primed(MADE(Create(kReturnsWhatIsSent)));
  EXPECT_EQ(Text(g.Send("rv")), "R('rv')");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule09, ReturningNullIsFallingOffTheEnd) {
  Driven g = Primed(MADE(Create(kReturnsWhatIsSent)));
  EXPECT_EQ(Text(g.Next()), "R(None)");
  Driven falls = Primed(MADE(Create("return function() yield(1) end")));
  EXPECT_EQ(Text(falls.Next()), "R(None)");
}

TEST_F(Rule10, AReturnedListIsNotSplatted) {
  Driven g = Primed(MADE(Create(kReturnsWhatIsSent)));
  EXPECT_EQ(Text(g.Send(List{2, 3})), "R([2, 3])");
}

TEST_F(Rule10, AReturnedStopIterationIsAValue) {
  Driven g = Primed(MADE(Create(kReturnsWhatIsSent)));
  const Exception stop("StopIteration", {2});
  const Outcome outcome = g.Send(stop);
  EXPECT_EQ(outcome.kind, Outcome::Kind::kReturned);
  EXPECT_TRUE(outcome.value.AsException().Is(stop));
}

TEST_F(Rule11, TheReturnedValueIsDeliveredOnce) {
  Driven g = Primed(MADE(Create(kReturnsWhatIsSent)));
  EXPECT_EQ(Text(g.Send("rv")), "R('rv')");
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(Text(g.Send(nullptr)), "R(None)");
}

TEST_F(Rule12, SendingToAFinishedOneIsNoTypeError) {
  Driven g = MADE(Create(kReturnsAtOnce));
  EXPECT_EQ(Text(g.Next()), "R(9)");
  EXPECT_EQ(Text(g.Send("v")), "R(None)");
}

constexpr const char* kRaisesGiven = "return function(given) yield(1) error(given) end";

TEST_F(Rule13, AnUncaughtExceptionComesOutAsTheSameObject) {
  const Exception error = ValueErrorV();
  Driven g = Primed(MADE(Create(kRaisesGiven, {{"given", error}})));
  const Outcome outcome = g.Next();
  EXPECT_EQ(Text(outcome), "X(ValueError: v)");
  EXPECT_TRUE(outcome.exception().Is(error));
}

TEST_F(Rule13, AfterAnUncaughtExceptionItReturnsNullForEver) {
  Driven g = Primed(MADE(Create(kRaisesGiven, {{"given", ValueErrorV()}})));
  EXPECT_EQ(g.Next().kind, Outcome::Kind::kRaised);
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(Text(g.Send(3)), "R(None)");
}

TEST_F(Rule13, SoDoesAnErrorOfLuas) {
  Driven g = Primed(MADE(Create("return function() yield(1) local t  t.x = 1 end")));
  EXPECT_EQ(Text(g.Next()), "X(RuntimeError: script:1: attempt to index a nil value (local 't'))");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

TEST_F(Rule14, ALoopOverItLeavesTheReturnedValueOut) {
  std::vector<Value> items;
  Driven g = MADE(Create("return function() yield(1) yield(2) return 3 end"));
  for (Outcome each = g.Next(); each.kind == Outcome::Kind::kYielded; each = g.Next()) items.push_back(each.value);
  EXPECT_EQ(items, (std::vector<Value>{1, 2}));
}

// except ValueError: yields or returns its message.
std::string Catches(const std::string& verb) {
  return "return function() local ok, e = pcall(yield, 1) if ok then return end "
         "if not isinstance(e, 'ValueError') then error(e) end " +
         verb + "(list('caught', e.message)) end";
}

TEST_F(Rule16, AThrownExceptionThatIsCaughtGivesTheNextYield) {
  Driven g = Primed(MADE(Create(Catches("yield"))));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y(['caught', 'v'])");
  EXPECT_EQ(g.state(), kSuspended);
}

TEST_F(Rule17, CaughtAndReturnedClosesIt) {
  Driven g = Primed(MADE(Create(Catches("return"))));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "R(['caught', 'v'])");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule18, UncaughtItPropagatesAsTheSameObject) {
  // Passed by, and raised again in the three ways.
  for (const std::string& source : {std::string("return function() yield(1) end"), Catches("yield"),
                                    std::string("return function() xpcall(yield, function() error() end, 1) end"),
                                    std::string("return function() xpcall(yield, function(e) error(e) end, 1) end")}) {
    Driven g = Primed(MADE(Create(source)));
    const Exception thrown("KeyError", {"k"});
    const Outcome outcome = g.Throw(thrown);
    EXPECT_EQ(Text(outcome), "X(KeyError: 'k')");
    EXPECT_TRUE(outcome.exception().Is(thrown)) << source;
    EXPECT_EQ(g.state(), kClosed);
    EXPECT_EQ(Text(g.Next()), "R(None)");
  }
}

// In an `except` block.
std::string Handles(const std::string& handler) {
  return "return function(given) xpcall(yield, function(e) " + handler + " end, 1) end";
}

TEST_F(Rule19, WhatIsRaisedInAHandlerHasTheThrownOneAsContext) {
  Driven g = Primed(MADE(Create(Handles("error{type = 'KeyError', message = 'k'}"))));
  const Exception thrown = ValueErrorV();
  const Exception raised = g.Throw(thrown).exception();
  EXPECT_EQ(ChainText(raised), "KeyError: 'k' <ctx ValueError>");
  EXPECT_TRUE(raised.context()->Is(thrown));
  EXPECT_FALSE(raised.suppress_context());
}

TEST_F(Rule19, AnErrorOfLuasInAHandlerHasIt) {
  for (const char* handler : {"local t  t.x = 1", "error('text')", "assert(false)", "yield(yield)", "delegate()",
                              "string.rep()", "error()"}) {
    Driven g = Primed(MADE(Create(Handles(handler))));
    const Exception thrown = ValueErrorV();
    const Exception raised = g.Throw(thrown).exception();
    if (raised.Is(thrown)) {
      EXPECT_STREQ(handler, "error()");
    } else {
      ASSERT_TRUE(raised.context()) << handler;
      EXPECT_TRUE(raised.context()->Is(thrown)) << handler;
    }
  }
}

TEST_F(Rule19, RaiseFromSetsTheCauseAsWell) {
  Driven g = Primed(MADE(Create(Handles("error{type = 'KeyError', message = 'k', cause = e}"))));
  const Exception thrown = ValueErrorV();
  const Exception raised = g.Throw(thrown).exception();
  EXPECT_EQ(ChainText(raised), "KeyError: 'k' <cause ValueError> <ctx ValueError>");
  EXPECT_TRUE(raised.cause()->Is(thrown));
  EXPECT_TRUE(raised.suppress_context());
}

TEST_F(Rule19, RaiseFromNoneHidesTheContext) {
  Driven g = Primed(MADE(Create(Handles("error{type = 'KeyError', message = 'k', cause = null}"))));
  const Exception raised = g.Throw(ValueErrorV()).exception();
  EXPECT_EQ(ChainText(raised), "KeyError: 'k' <ctx ValueError>");
  EXPECT_TRUE(raised.suppress_context());
}

TEST_F(Rule19, WhatIsRaisedInAFinallyHasTheThrownOneAsContext) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("error{type = 'KeyError', message = 'k'}", "yield(1)"))));
    const Exception thrown = ValueErrorV();
    const Exception raised = g.Throw(thrown).exception();
    EXPECT_EQ(ChainText(raised), "KeyError: 'k' <ctx ValueError>") << finally.name;
    ASSERT_TRUE(raised.context()) << finally.name;
    EXPECT_TRUE(raised.context()->Is(thrown)) << finally.name;
  }
}

TEST_F(Rule19, AnErrorOfLuasIsTheContextOfWhatAFinallyRaises) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g =
        Primed(MADE(Create(finally.Around("error{type = 'KeyError', message = 'k'}", "yield(1) local t  t.x = 1"))));
    EXPECT_EQ(Text(g.Next()), "X(KeyError: 'k' <ctx RuntimeError>)") << finally.name;
  }
}

TEST_F(Rule19, SoItIsWhereTheCloseOfAMetatableIsATableThatIsCalled) {
  Driven g = Primed(MADE(Create(R"(
    return function()
      local call = setmetatable({}, {__call = function(_, value, e) log(e) error{type = "KeyError"} end})
      local _ <close> = setmetatable({}, {__close = call})
      yield(1)
      local t
      t.x = 1
    end)")));
  EXPECT_EQ(Text(g.Next()), "X(KeyError <ctx RuntimeError>)");
  EXPECT_EQ(logged, Log{"RuntimeError: script:7: attempt to index a nil value (local 't')"});
}

TEST_F(Rule19, AfterTheHandlerThereIsNoContext) {
  for (const char* source :
       {"return function() pcall(yield, 1) error{type = 'KeyError', message = 'k'} end",
        "return function() xpcall(yield, function() end, 1) error{type = 'KeyError', message = 'k'} end"}) {
    Driven g = Primed(MADE(Create(source)));
    EXPECT_EQ(Text(g.Throw(ValueErrorV())), "X(KeyError: 'k')") << source;
  }
}

constexpr const char* kLogsFinally = R"(
  return function()
    log("runs")
    finally(function() log("body") end)
    local _ <close> = finally(function() log("block") end)
    local _ <close> = setmetatable({}, {__close = function() log("__close") end})
    yield(1)
  end)";

TEST_F(Rule20, ThrowBeforeTheStartRunsNothingAndClosesIt) {
  Driven g = MADE(Create(kLogsFinally));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "X(ValueError: v)");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(logged, Log());
}

TEST_F(Rule21, ThrowAfterTheEndRaisesEveryTime) {
  Driven g = Primed(MADE(Create(Catches("return"))));
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "X(ValueError: v)");
  EXPECT_EQ(Text(g.Throw(Exception("ValueError", {"w"}))), "X(ValueError: w)");
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

const Exception kStop7("StopIteration", {7});

TEST_F(Rule25, AThrownStopIterationThatIsNotCaughtBecomesARuntimeError) {
  Driven g = Primed(MADE(Create(Catches("yield"))));
  const Exception raised = g.Throw(kStop7).exception();
  EXPECT_EQ(ChainText(raised),
            "RuntimeError: generator raised StopIteration <cause StopIteration> <ctx StopIteration>");
  EXPECT_TRUE(raised.cause()->Is(kStop7));
  EXPECT_TRUE(raised.context()->Is(kStop7));
  EXPECT_EQ(g.state(), kClosed);
}

constexpr const char* kCatchesStop = R"(
  return function()
    local ok, e = pcall(yield, 1)
    if not isinstance(e, "StopIteration") then error(e) end
    yield(list("si", e.arguments[1]))
  end)";

TEST_F(Rule26, AThrownStopIterationIsCaughtAsAnyOther) {
  Driven g = Primed(MADE(Create(kCatchesStop)));
  EXPECT_EQ(Text(g.Throw(kStop7)), "Y(['si', 7])");
}

TEST_F(Rule27, AStopIterationThrownBeforeTheStartIsARuntimeError) {
  Driven g = MADE(Create(kCatchesStop));
  EXPECT_EQ(Text(g.Throw(kStop7)),
            "X(RuntimeError: generator raised StopIteration <cause StopIteration> <ctx StopIteration>)");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule27, AStopIterationThrownAfterTheEndIsAReturn) {
  Driven g = MADE(Create(kCatchesStop));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(Text(g.Throw(kStop7)), "R(7)");
}

TEST_F(Rule28, AThrownGeneratorExitPropagatesUnlikeOnClose) {
  Driven g = Primed(MADE(Create(Catches("yield"))));
  const Exception exit("GeneratorExit");
  const Outcome outcome = g.Throw(exit);
  EXPECT_EQ(Text(outcome), "X(GeneratorExit)");
  EXPECT_TRUE(outcome.exception().Is(exit));
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule28, AYieldAfterAThrownGeneratorExitIsLegal) {
  for (const char* source :
       {"return function() pcall(yield, 1) yield(2) end", "return function() xpcall(yield, yield, 1) end",
        "return function() xpcall(yield, function() yield(2) end, 1) end"}) {
    Driven g = Primed(MADE(Create(source)));
    EXPECT_EQ(g.Throw(Exception("GeneratorExit")).kind, Outcome::Kind::kYielded) << source;
    EXPECT_EQ(g.state(), kSuspended);
    EXPECT_EQ(Text(g.Next()), "R(None)");
  }
}

TEST_F(Rule28, AReturnAfterAThrownGeneratorExitIsAReturn) {
  Driven g = Primed(MADE(Create("return function() pcall(yield, 1) return 3 end")));
  EXPECT_EQ(Text(g.Throw(Exception("GeneratorExit"))), "R(3)");
}

constexpr const char* kCatchesExceptions = R"(
  return function()
    local ok, e = pcall(yield, 1)
    if not ok then
      if not isinstance(e, "Exception") then error(e) end
      log(e.type)
    end
    yield("caught")
  end)";

TEST_F(Rule29, WhatIsABaseExceptionAlonePassesExceptException) {
  for (const char* type :
       {"KeyboardInterrupt", "SystemExit", "asyncio.CancelledError", "GeneratorExit", "BaseException"}) {
    Driven g = Primed(MADE(Create(kCatchesExceptions)));
    EXPECT_EQ(Text(g.Throw(Exception(type))), std::string("X(") + type + ")");
    EXPECT_EQ(logged, Log());
  }
}

TEST_F(Rule29, AUserTypeOfABaseExceptionPassesExceptException) {
  Driven g = Primed(MADE(Create(kCatchesExceptions)));
  EXPECT_EQ(Text(g.Throw(Exception("app.Abort", {}, {"BaseException"}))), "X(app.Abort)");
  EXPECT_EQ(logged, Log());
}

TEST_F(Rule29, AUserTypeWithoutBasesIsAnException) {
  Driven g = Primed(MADE(Create(kCatchesExceptions)));
  EXPECT_EQ(Text(g.Throw(Exception("app.Error"))), "Y('caught')");
  EXPECT_EQ(logged, Log{"app.Error"});
}

TEST_F(Rule29, SoItIsForWhatTheBodyRaises) {
  Driven g = MADE(Create(R"(
    return function()
      local function is(raised, name) return isinstance(select(2, pcall(error, raised)), name) end
      return list(is({type = "KeyError"}, "LookupError"), is({type = "LookupError"}, "KeyError"),
                  is({type = "app.Abort", bases = {"BaseException"}}, "Exception"), is({type = "app.Error"}, "Exception"),
                  is({type = "GeneratorExit"}, "Exception"), is("text", "RuntimeError"))
    end)"));
  EXPECT_EQ(Text(g.Next()), "R([True, False, False, True, False, True])");
}

TEST_F(Rule31, AReturnThatCatchesEverythingSwallowsWhatWasThrown) {
  Driven g = Primed(MADE(Create("return function() pcall(yield, 1) return 'swallowed' end")));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "R('swallowed')");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule31, WhatAFinalizerReturnsIsDropped) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("return 'swallowed'", "yield(1) return 'body'"))));
    EXPECT_EQ(Text(g.Throw(ValueErrorV())), "X(ValueError: v)") << finally.name;
    Driven returns = Primed(MADE(Create(finally.Around("return 'swallowed'", "yield(1) return 'body'"))));
    EXPECT_EQ(Text(returns.Next()), "R('body')") << finally.name;
  }
}

TEST_F(Rule35, AStopIterationThatLeavesTheBodyBecomesARuntimeError) {
  Driven g = Primed(MADE(Create(kRaisesGiven, {{"given", kStop7}})));
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
  Driven g = MADE(Create("return function() error{type = 'app.Stop', bases = {'StopIteration', 'Exception'}} end"));
  EXPECT_EQ(Text(g.Next()), "X(RuntimeError: generator raised StopIteration <cause app.Stop> <ctx app.Stop>)");
}

constexpr const char* kNextOfNothing = "local function next_of_nothing() error{type = 'StopIteration'} end ";

TEST_F(Rule36, SoDoesTheStopIterationOfAnInnerNext) {
  Driven g = MADE(Create(std::string(kNextOfNothing) + "return function() yield(next_of_nothing()) end"));
  EXPECT_EQ(Text(g.Next()),
            "X(RuntimeError: generator raised StopIteration <cause StopIteration> <ctx StopIteration>)");
}

TEST_F(Rule37, AStopIterationCaughtInsideIsLeftAlone) {
  Driven g = MADE(
      Create(std::string(kNextOfNothing) + "return function() local _, e = pcall(next_of_nothing) yield(e.type) end"));
  EXPECT_EQ(Text(g.Next()), "Y('StopIteration')");
}

TEST_F(Rule37, HandlersAndFinallysSeeTheStopIterationBeforeItIsReplaced) {
  Driven g = Primed(MADE(Create(R"(
    return function()
      finally(function(e) log(e) end)
      local _ <close> = finally(function(e) log(e) end)
      local _ <close> = setmetatable({}, {__close = function(_, e) log(e) end})
      xpcall(function() yield(1) error{type = "StopIteration"} end, function(e) log(e) error() end)
    end)")));
  EXPECT_EQ(g.Next().exception().type(), "RuntimeError");
  EXPECT_EQ(logged, (Log{"StopIteration", "StopIteration", "StopIteration", "StopIteration"}));
}

TEST_F(Rule38, CloseBeforeTheStartRunsNothing) {
  Driven g = MADE(Create(kLogsFinally));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(logged, Log());
}

TEST_F(Rule39, CloseRaisesGeneratorExitAtTheYield) {
  Driven g = Primed(MADE(Create(Handles("log(e) error()"))));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(logged, Log{"GeneratorExit"});
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule40, CleanupRunsOnceInnermostFirst) {
  Driven g = Primed(MADE(Create(R"(
    return function()
      finally(function(e) log("outer") log(e) end)
      finally(function(e) log("inner") log(e) end)
      local _ <close> = finally(function(e) log("block") log(e) end)
      do
        local _ <close> = finally(function(e) log("left") end)
      end
      local _ <close> = setmetatable({}, {__close = function(_, e) log("exit") log(e) end})
      yield(1)
    end)")));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(logged, (Log{"left", "exit", "GeneratorExit", "block", "GeneratorExit", "inner", "GeneratorExit", "outer",
                         "GeneratorExit"}));
}

TEST_F(Rule40, TheFinallyOfABlockRunsWhereTheBlockIsLeft) {
  for (const char* finally :
       {"finally(function(e) log(e) end)", "setmetatable({}, {__close = function(_, e) log(e) end})"}) {
    const auto left_by = [&](const std::string& body) {
      logged.clear();
      Driven g = Primed(MADE(Create("return function() yield(1) pcall(function() while true do local _ <close> = " +
                                    std::string(finally) + " " + body + " end end) log('after') yield(2) end")));
      EXPECT_EQ(Text(g.Next()), "Y(2)");
      return logged;
    };
    EXPECT_EQ(left_by("break"), (Log{"nil", "after"})) << finally;
    EXPECT_EQ(left_by("do return end"), (Log{"nil", "after"})) << finally;
    EXPECT_EQ(left_by("error{type = 'KeyError'}"), (Log{"KeyError", "after"})) << finally;
    EXPECT_EQ(left_by("error('text', 0)"), (Log{"RuntimeError: text", "after"})) << finally;
    EXPECT_EQ(left_by("delegate('nobody')"), (Log{"LookupError: no coroutine 'nobody' in the catalog", "after"}))
        << finally;
  }
}

TEST_F(Rule40, TheFinallyOfABlockRunsWhereAThrowLeavesIt) {
  for (const FinallyForm& finally : {kFinallyForms[0], kFinallyForms[2]}) {
    const std::string block = finally.Around("log(e)", "yield(1)").substr(std::string("return ").size());
    Driven thrown = Primed(MADE(Create("return function() pcall(" + block + ") log('after') yield(2) end")));
    EXPECT_EQ(Text(thrown.Throw(ValueErrorV())), "Y(2)") << finally.name;
    EXPECT_EQ(logged, (Log{"ValueError: v", "after"})) << finally.name;
    logged.clear();
    Driven closed = Primed(MADE(Create("return function() pcall(" + block + ") log('after') return 2 end")));
    EXPECT_EQ(Text(closed.Close()), "R(2)") << finally.name;
    EXPECT_EQ(logged, (Log{"GeneratorExit", "after"})) << finally.name;
    logged.clear();
  }
}

TEST_F(Rule40, ACleanupThatRaisesDoesNotKeepTheOthersFromRunning) {
  Driven g = Primed(MADE(Create(R"(
    return function()
      finally(function(e) log(e) end)
      finally(function() error{type = "KeyError"} end)
      local _ <close> = finally(function(e) log(e) end)
      local _ <close> = setmetatable({}, {__close = function() error{type = "ValueError"} end})
      yield(1)
    end)")));
  EXPECT_EQ(Text(g.Close()), "X(KeyError <ctx ValueError> <ctx GeneratorExit>)");
  EXPECT_EQ(logged, (Log{"ValueError <ctx GeneratorExit>", "KeyError <ctx ValueError> <ctx GeneratorExit>"}));
}

TEST_F(Rule40, WhatACleanupRaisesReplacesAReturn) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("log(e) error{type = 'KeyError'}", "yield(1) return 7"))));
    EXPECT_EQ(Text(g.Next()), "X(KeyError)") << finally.name;
    EXPECT_EQ(g.state(), kClosed);
    EXPECT_EQ(logged, Log{"nil"});
    logged.clear();
  }
}

TEST_F(Rule41, CloseAfterTheEndDoesNothing) {
  Driven returned = MADE(Create(kReturnsAtOnce));
  EXPECT_EQ(Text(returned.Next()), "R(9)");
  EXPECT_EQ(Text(returned.Close()), "R(None)");
  Driven failed = Primed(MADE(Create(kRaisesGiven, {{"given", ValueErrorV()}})));
  EXPECT_EQ(Text(failed.Next()), "X(ValueError: v)");
  EXPECT_EQ(Text(failed.Close()), "R(None)");
}

TEST_F(Rule42, CloseReturnsWhatTheBodyReturnsOnGeneratorExit) {
  Driven g = Primed(MADE(Create("return function() pcall(yield, 1) return 7 end")));
  EXPECT_EQ(Text(g.Close()), "R(7)");
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

TEST_F(Rule42, AFinallyRunsBeforeThatReturn) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("log(e)", "pcall(yield, 1) return 7"))));
    EXPECT_EQ(Text(g.Close()), "R(7)") << finally.name;
    EXPECT_EQ(logged, Log{"nil"}) << finally.name;
    logged.clear();
  }
}

TEST_F(Rule43, CodeAfterTheYieldIsNotReached) {
  Driven g = Primed(MADE(Create("return function() yield(1) log('reached') return 0 end")));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(logged, Log());
}

constexpr const char* kIgnores = R"(
  return function(times)
    for n = 0, times - 1 do pcall(yield, n) end
    yield("last")
  end)";

TEST_F(Rule44, YieldDuringCloseRaisesAndStaysSuspended) {
  Driven g = Primed(MADE(Create(kIgnores, {{"times", 1}})));
  const Exception raised = g.Close().exception();
  EXPECT_EQ(ChainText(raised), "RuntimeError: generator ignored GeneratorExit");
  EXPECT_FALSE(raised.context());
  EXPECT_EQ(g.state(), kSuspended);
  EXPECT_EQ(Text(g.Next()), "R(None)");
}

TEST_F(Rule44, AfterIgnoringACloseItMayBeClosedAgain) {
  Driven g = Primed(MADE(Create(kIgnores, {{"times", 2}})));
  EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule44, AReturnThatAFinallyPutsOffComesLater) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("yield('cleanup')", "pcall(yield, 1) return 7"))));
    EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)") << finally.name;
    EXPECT_EQ(g.state(), kSuspended);
    EXPECT_EQ(Text(g.Next()), "R(7)") << finally.name;
  }
}

TEST_F(Rule45, AnotherExceptionDuringCloseHasTheExitAsContext) {
  const std::string raises = "error{type = 'TypeError', message = 'fie!'}";
  std::vector<std::string> sources = {Handles(raises)};
  for (const FinallyForm& finally : kFinallyForms) sources.push_back(finally.Around(raises, "yield(1)"));
  for (const std::string& source : sources) {
    Driven g = Primed(MADE(Create(source)));
    EXPECT_EQ(Text(g.Close()), "X(TypeError: fie! <ctx GeneratorExit>)") << source;
    EXPECT_EQ(g.state(), kClosed);
    EXPECT_EQ(Text(g.Close()), "R(None)");
  }
}

TEST_F(Rule45, SoHasAnErrorOfLuas) {
  std::vector<std::string> sources = {Handles("error('text', 0)")};
  for (const FinallyForm& finally : kFinallyForms) sources.push_back(finally.Around("error('text', 0)", "yield(1)"));
  for (const std::string& source : sources) {
    Driven g = Primed(MADE(Create(source)));
    EXPECT_EQ(Text(g.Close()), "X(RuntimeError: text <ctx GeneratorExit>)") << source;
    EXPECT_EQ(g.state(), kClosed);
  }
}

TEST_F(Rule46, AFreshGeneratorExitIsSwallowed) {
  const std::string raises = "log('raises') error{type = 'GeneratorExit', message = 'mine'}";
  std::vector<std::string> sources = {Handles(raises)};
  for (const FinallyForm& finally : kFinallyForms) sources.push_back(finally.Around(raises, "yield(1)"));
  for (const std::string& source : sources) {
    Driven g = Primed(MADE(Create(source)));
    EXPECT_EQ(Text(g.Close()), "R(None)") << source;
    EXPECT_EQ(g.state(), kClosed);
    EXPECT_EQ(logged, Log{"raises"}) << source;
    logged.clear();
  }
}

TEST_F(Rule47, AStopIterationDuringCloseBecomesARuntimeError) {
  std::vector<std::string> sources = {Handles("error{type = 'StopIteration'}")};
  for (const FinallyForm& finally : kFinallyForms) {
    sources.push_back(finally.Around("error{type = 'StopIteration'}", "yield(1)"));
  }
  for (const std::string& source : sources) {
    Driven g = Primed(MADE(Create(source)));
    EXPECT_EQ(Text(g.Close()),
              "X(RuntimeError: generator raised StopIteration <cause StopIteration> <ctx StopIteration> <ctx "
              "GeneratorExit>)")
        << source;
    EXPECT_EQ(g.state(), kClosed);
  }
}

TEST_F(Rule48, ExceptExceptionDoesNotCatchGeneratorExit) {
  Driven g = Primed(MADE(Create(kCatchesExceptions)));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(logged, Log());
}

TEST_F(Rule54, TheStatesFollowEachOther) {
  Driven g = MADE(Create("return function() yield(1) end"));
  EXPECT_EQ(g.state(), kCreated);
  EXPECT_EQ(Text(g.Next()), "Y(1)");
  EXPECT_EQ(g.state(), kSuspended);
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(g.state(), kClosed);
}

const Log kFinallyRan = {"runs", "__close", "block", "body"};

TEST_F(Rule83, FinallyRunsOnClose) {
  Driven g = Primed(MADE(Create(kLogsFinally)));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(logged, kFinallyRan);
}

TEST_F(Rule83, FinallyRunsOnReturn) {
  Driven g = Primed(MADE(Create(kLogsFinally)));
  EXPECT_EQ(Text(g.Next()), "R(None)");
  EXPECT_EQ(logged, kFinallyRan);
}

TEST_F(Rule83, FinallyRunsOnRaise) {
  Driven g = Primed(MADE(Create(kLogsFinally)));
  EXPECT_EQ(Text(g.Throw(Exception("ValueError"))), "X(ValueError)");
  EXPECT_EQ(logged, kFinallyRan);
}

TEST_F(Rule83, FinallyRunsOnceForAScriptThatFinishedBeforeItIsDestroyed) {
  {
    Driven g = Primed(MADE(Create(kLogsFinally)));
    EXPECT_EQ(Text(g.Next()), "R(None)");
  }
  EXPECT_EQ(logged, kFinallyRan);
}

TEST_F(Rule83, NothingOfAScriptRunsWhenItIsDropped) {
  const Definition* definition = Define(R"(
    return function()
      log("runs")
      finally(function() log("body") end)
      local _ <close> = finally(function() log("block") end)
      local nested = coroutine.wrap(function()
        local _ <close> = setmetatable({}, {__close = function() log("nested") end})
        coroutine.yield()
      end)
      nested()
      xpcall(yield, function() log("handler") error() end, 1)
    end)");
  ASSERT_TRUE(definition);
  for (int i = 0; i < 100; ++i) const Coroutine g = Primed(definition->create({}, catalog_.revision()));
  EXPECT_EQ(logged, Log(100, "runs"));
}

TEST_F(Rule83, NothingOfAWholeChainRunsWhenItIsDropped) {
  Define(kLogsFinally, "logs");
  Define("return function() finally(function() log('outer') end) delegate('logs') end", "level");
  const Definition* definition = Define("return function() delegate('level') end");
  ASSERT_TRUE(definition);
  for (int i = 0; i < 100; ++i) const Coroutine g = Primed(definition->create({}, catalog_.revision()));
  EXPECT_EQ(logged, Log(100, "runs"));
}

}  // namespace
}  // namespace corod::lua
