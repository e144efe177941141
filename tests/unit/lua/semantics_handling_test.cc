// Rules 30, 32 and 33 for scripts: a yield inside an except or finally block, which are the handler of an xpcall and a
// finalizer.

#include <string>

#include "tests/unit/lua/semantics.h"

namespace corod::lua {
namespace {

using Rule30 = SemanticsTest;
using Rule32 = SemanticsTest;
using Rule33 = SemanticsTest;

// except KeyError: yield 1; then a bare raise.
constexpr const char* kYieldsInExcept =
    "return function(given) xpcall(error, function() yield(1) error() end, given) end";

// `body` in an `except` block, with KeyError('a') handled.
std::string WhileHandling(const std::string& body) {
  return "return function(given) xpcall(error, function(e) " + body + " end, {type = 'KeyError', message = 'a'}) end";
}

TEST_F(Rule30, AnExceptionThrownInGetsTheHandledOneAsContext) {
  const Exception error = KeyErrorA();
  Driven g = Primed(MADE(Create(kYieldsInExcept, {{"given", error}})));
  const Exception raised = g.Throw(ValueErrorV()).exception();
  EXPECT_EQ(ChainText(raised), "ValueError: v <ctx KeyError>");
  EXPECT_TRUE(raised.context()->Is(error));
}

TEST_F(Rule30, ThrowingTheVeryExceptionThatIsHandledMakesNoCircle) {
  const Exception error = KeyErrorA();
  Driven g = Primed(MADE(Create(kYieldsInExcept, {{"given", error}})));
  EXPECT_EQ(Text(g.Throw(error)), "X(KeyError: 'a')");
}

TEST_F(Rule30, RaisingTheContextOfTheHandledOneMakesNoCircle) {
  Driven g = Primed(MADE(Create(WhileHandling(R"(
    yield(1)
    xpcall(error, function() error(e) end, {type = "ValueError", message = "v"}))"))));
  EXPECT_EQ(Text(g.Next()), "X(KeyError: 'a' <ctx ValueError>)");
}

TEST_F(Rule30, TheExitOfACloseGetsTheHandledOneAsContext) {
  Driven g = Primed(MADE(Create(WhileHandling("xpcall(yield, function(exit) log(exit) error() end, 1)"))));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(logged, Log{"GeneratorExit <ctx KeyError>"});
}

TEST_F(Rule30, ThePcallInAHandlerSeesTheContext) {
  Driven g = Primed(MADE(Create(WhileHandling("local _, caught = pcall(yield, 1) log(caught)"))));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "R(None)");
  EXPECT_EQ(logged, Log{"ValueError: v <ctx KeyError>"});
}

constexpr const char* kRaisesOnNext = "return function() yield(1) error{type = 'TypeError', message = 't'} end";

TEST_F(Rule30, AnExceptionThrownThroughASubGetsTheDelegatorsHandledOneAsContext) {
  Define(kRaisesOnNext, "sub");
  Driven g = Primed(MADE(Create(WhileHandling("delegate('sub')"))));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "X(ValueError: v <ctx KeyError>)");
}

TEST_F(Rule30, WhatASubRaisesGetsTheDelegatorsHandledOneAsContext) {
  Define(kRaisesOnNext, "sub");
  Driven g = Primed(MADE(Create(WhileHandling("delegate('sub')"))));
  EXPECT_EQ(Text(g.Next()), "X(TypeError: t <ctx KeyError>)");
}

constexpr const char* kRaisesInItsHandler = R"(
  return function()
    xpcall(function()
      if yield(1) == "own" then error{type = "ValueError", message = "own"} end
    end, function(e) error{type = "TypeError", message = "t"} end)
  end)";

TEST_F(Rule30, TheContextsOfASubEndAtWhatItsDelegatorHandles) {
  Define(kRaisesInItsHandler, "sub");
  Driven g = Primed(MADE(Create(WhileHandling("delegate('sub')"))));
  EXPECT_EQ(Text(g.Send("own")), "X(TypeError: t <ctx ValueError> <ctx KeyError>)");
}

TEST_F(Rule30, OnItsWayUpFromAThrowTheDelegatorsHandledOneReplacesTheContext) {  // as CPython does
  Define(kRaisesInItsHandler, "sub");
  Driven g = Primed(MADE(Create(WhileHandling("delegate('sub')"))));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "X(TypeError: t <ctx KeyError>)");
}

TEST_F(Rule30, ASubThatHandlesNothingRaisesAgainWhatItsDelegatorHandles) {
  Define("return function() yield(1) error() end", "sub");
  Driven g = Primed(MADE(Create(WhileHandling("delegate('sub')"))));
  EXPECT_EQ(Text(g.Next()), "X(KeyError: 'a')");
}

TEST_F(Rule30, AnErrorOfTheEngineGetsTheHandledOneAsContext) {
  Driven g = Primed(MADE(Create(WhileHandling("yield(1) delegate('nobody')"))));
  EXPECT_EQ(Text(g.Next()), "X(LookupError: no coroutine 'nobody' in the catalog <ctx KeyError>)");
}

constexpr const char* kHandlesForAWhile = R"(
  return function()
    xpcall(error, function()
      xpcall(error, function() yield("inner") end, {type = "LookupError"})
      yield("outer")
    end, {type = "KeyError", message = "a"})
    yield("none")
  end)";

TEST_F(Rule30, HandlingNestsAndEndsWithItsBlock) {
  const auto thrown_at = [this](int yields) {
    Driven g = MADE(Create(kHandlesForAWhile));
    for (int i = 0; i < yields; ++i) EXPECT_EQ(g.Next().kind, Outcome::Kind::kYielded);
    return Text(g.Throw(ValueErrorV()));
  };
  EXPECT_EQ(thrown_at(1), "X(ValueError: v <ctx LookupError> <ctx KeyError>)");
  EXPECT_EQ(thrown_at(2), "X(ValueError: v <ctx KeyError>)");
  EXPECT_EQ(thrown_at(3), "X(ValueError: v)");
}

TEST_F(Rule30, WhatIsRaisedLaterInTheBlockHasTheHandledOneAsContext) {
  for (const char* raises : {"error{type = 'TypeError', message = 'late'}",
                             "pcall(error, 'caught') error{type = 'TypeError', message = 'late'}",
                             "pcall(yield) error{type = 'TypeError', message = 'late'}"}) {
    Driven g = Primed(MADE(Create(WhileHandling("yield(1) " + std::string(raises)))));
    Outcome outcome = g.Next();
    if (outcome.kind == Outcome::Kind::kYielded) outcome = g.Throw(ValueErrorV());
    EXPECT_EQ(Text(outcome), "X(TypeError: late <ctx KeyError>)") << raises;
  }
}

TEST_F(Rule30, AStopIterationThatLeavesTheBlockHasItToo) {
  Driven g = Primed(MADE(Create(WhileHandling("yield(1) error{type = 'StopIteration'}"))));
  EXPECT_EQ(Text(g.Next()),
            "X(RuntimeError: generator raised StopIteration <cause StopIteration> <ctx StopIteration> <ctx KeyError>)");
}

// As the calls of another generator's next() and close() would.
TEST_F(Rule30, AnInnerCoroutineThatFailsLeavesNothingHandled) {
  for (const char* fails :
       {"coroutine.resume(inner, 'raise')", "pcall(coroutine.wrap(function() error('e') end))",
        "coroutine.close(inner)", "table.pack(pcall(table.sort, {2, 1}, function() error('e') end))",
        "pcall(string.gsub, 'a', 'a', function() error('e') end)"}) {
    Driven g = Primed(MADE(Create(std::string(R"(
      return function()
        local inner = coroutine.create(function()
          local _ <close> = setmetatable({}, {__close = function() error{type = "ValueError"} end})
          if coroutine.yield() then error{type = "IndexError"} end
        end)
        coroutine.resume(inner)
        yield(1)
        local _ = )") + fails + R"(
        error{type = "KeyError"}
      end)")));
    EXPECT_EQ(Text(g.Next()), "X(KeyError)") << fails;
  }
}

TEST_F(Rule30, WhatIsThrownIntoAFinallyHasThePendingOneAsContext) {
  for (const FinallyForm& finally : kFinallyForms) {
    const std::string source = finally.Around("yield('cleanup')", "yield(1) if given then local t  t.x = 1 end");
    Driven thrown = Primed(MADE(Create(source)));
    EXPECT_EQ(Text(thrown.Throw(ValueErrorV())), "Y('cleanup')") << finally.name;
    EXPECT_EQ(Text(thrown.Throw(KeyErrorA())), "X(KeyError: 'a' <ctx ValueError>)") << finally.name;
    Driven closed = Primed(MADE(Create(source)));
    EXPECT_EQ(closed.Close().kind, Outcome::Kind::kRaised);
    EXPECT_EQ(Text(closed.Throw(KeyErrorA())), "X(KeyError: 'a' <ctx GeneratorExit>)") << finally.name;
    Driven fails = Primed(MADE(Create(source, {{"given", true}})));
    EXPECT_EQ(Text(fails.Next()), "Y('cleanup')") << finally.name;
    EXPECT_EQ(Text(fails.Throw(KeyErrorA())), "X(KeyError: 'a' <ctx RuntimeError>)") << finally.name;
    Driven returns = Primed(MADE(Create(source)));
    EXPECT_EQ(Text(returns.Next()), "Y('cleanup')") << finally.name;
    EXPECT_EQ(Text(returns.Throw(KeyErrorA())), "X(KeyError: 'a')") << finally.name;
  }
}

TEST_F(Rule32, AYieldInFinallyPutsThePendingExceptionOff) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("yield('cleanup')", "yield(1) return 'end'"))));
    EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y('cleanup')") << finally.name;
    EXPECT_EQ(g.state(), kSuspended);
    EXPECT_EQ(Text(g.Next()), "X(ValueError: v)") << finally.name;
    EXPECT_EQ(g.state(), kClosed);
  }
}

TEST_F(Rule32, WhatWasPutOffIsTheSameObject) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("yield('cleanup')", "yield(1) return 'end'"))));
    const Exception thrown = ValueErrorV();
    EXPECT_EQ(Text(g.Throw(thrown)), "Y('cleanup')");
    EXPECT_TRUE(g.Next().exception().Is(thrown)) << finally.name;
    EXPECT_FALSE(thrown.context());
  }
}

TEST_F(Rule32, AnErrorOfLuasIsPutOffAsItIs) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("log(e) yield('cleanup')", "yield(1) local t  t.x = 1"))));
    EXPECT_EQ(Text(g.Next()), "Y('cleanup')") << finally.name;
    EXPECT_EQ(Text(g.Next()), "X(RuntimeError: script:1: attempt to index a nil value (local 't'))") << finally.name;
    EXPECT_EQ(logged, Log{"RuntimeError: script:1: attempt to index a nil value (local 't')"}) << finally.name;
    logged.clear();
  }
}

TEST_F(Rule32, EachFinallySeesTheSameObject) {
  Driven g = Primed(MADE(Create(R"(
    return function()
      local outer, block
      finally(function(e) outer = outer or e log(e == outer) log(e == block) end)
      finally(function(e) outer = e end)
      local _ <close> = finally(function(e) log(e == block) end)
      local _ <close> = setmetatable({}, {__close = function(_, e) block = e end})
      yield(1)
    end)")));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "X(ValueError: v)");
  EXPECT_EQ(logged, (Log{"true", "true", "true"}));
}

TEST_F(Rule32, WhatLuaRaisesIsTheSameObjectForTheFinallysOfTheBody) {
  Driven g = Primed(MADE(Create(R"(
    return function()
      local seen
      finally(function(e) log(e == seen) log(e) end)
      finally(function(e) seen = e end)
      yield(1)
      error("text", 0)
    end)")));
  EXPECT_EQ(Text(g.Next()), "X(RuntimeError: text)");
  EXPECT_EQ(logged, (Log{"true", "RuntimeError: text"}));
}

TEST_F(Rule32, AFinallyThatCatchesSomethingLeavesNoTraceOfIt) {
  for (const FinallyForm& finally : kFinallyForms) {
    const std::string cleanup = "pcall(error, 'caught') xpcall(error, function() yield('handler') end, 'caught')";
    Driven raises = Primed(MADE(Create(finally.Around(cleanup, "yield(1) error('text', 0)"))));
    EXPECT_EQ(Text(raises.Next()), "Y('handler')") << finally.name;
    EXPECT_EQ(Text(raises.Next()), "X(RuntimeError: text)") << finally.name;
    Driven thrown = Primed(MADE(Create(finally.Around(cleanup, "yield(1)"))));
    EXPECT_EQ(Text(thrown.Throw(ValueErrorV())), "Y('handler')") << finally.name;
    EXPECT_EQ(Text(thrown.Next()), "X(ValueError: v)") << finally.name;
  }
}

TEST_F(Rule32, AFinallyOfABlockInAHandlerEndsThere) {
  for (const char* finally : {"finally(function() end)", "setmetatable({}, {__close = function() end})"}) {
    Driven g = Primed(MADE(Create(R"(
      return function()
        xpcall(error, function()
          do local _ <close> = )" +
                                  std::string(finally) + R"( end
          pcall(function() local _ <close> = )" +
                                  finally + R"( error{type = "IndexError"} end)
          yield(1)
          error{type = "ValueError"}
        end, {type = "KeyError"})
      end)")));
    EXPECT_EQ(Text(g.Next()), "X(ValueError <ctx KeyError>)") << finally;
  }
}

TEST_F(Rule32, ACloseMayBeSetWhileTheBlockIsOpen) {
  Driven g = Primed(MADE(Create(R"(
    return function()
      local meta = {__close = function() log("first") end}
      local _ <close> = setmetatable({}, meta)
      meta.__close = function(_, e) log(e) yield("second") end
      yield(1)
    end)")));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y('second')");
  EXPECT_EQ(Text(g.Next()), "X(ValueError: v)");
  EXPECT_EQ(logged, Log{"ValueError: v"});
}

TEST_F(Rule32, WithoutAPendingExceptionFinallyJustYields) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("yield('cleanup')", "yield(1) return 'end'"))));
    EXPECT_EQ(Text(g.Next()), "Y('cleanup')") << finally.name;
    EXPECT_EQ(Text(g.Next()), "R('end')") << finally.name;
  }
}

TEST_F(Rule32, AYieldInFinallyDuringCloseIgnoresTheExit) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("yield('cleanup')", "yield(1)"))));
    EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)") << finally.name;
    EXPECT_EQ(g.state(), kSuspended);
    EXPECT_EQ(Text(g.Close()), "R(None)") << finally.name;
    EXPECT_EQ(g.state(), kClosed);
  }
}

TEST_F(Rule32, AnExitThatWasIgnoredSoComesOutOfTheNextResume) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("yield('cleanup')", "yield(1)"))));
    EXPECT_EQ(g.Close().kind, Outcome::Kind::kRaised);
    EXPECT_EQ(Text(g.Next()), "X(GeneratorExit)") << finally.name;
    EXPECT_EQ(g.state(), kClosed);
  }
}

TEST_F(Rule32, ADelegationInAFinallyPutsItOffToo) {
  Define("return function() yield('sub') end", "sub");
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("delegate('sub')", "yield(1)"))));
    EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y('sub')") << finally.name;
    EXPECT_EQ(Text(g.Next()), "X(ValueError: v)") << finally.name;
  }
}

TEST_F(Rule32, WhatASubOfAFinallyRaisesHasThePendingOneAsContext) {
  Define(kRaisesOnNext, "sub");
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("delegate('sub')", "yield(1)"))));
    EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y(1)") << finally.name;
    EXPECT_EQ(Text(g.Next()), "X(TypeError: t <ctx ValueError>)") << finally.name;
  }
}

TEST_F(Rule32, AnExceptionThatIsCaughtInAFinallyLeavesThePendingOne) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("pcall(yield, 'cleanup')", "yield(1)"))));
    EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y('cleanup')") << finally.name;
    EXPECT_EQ(Text(g.Throw(KeyErrorA())), "X(ValueError: v)") << finally.name;
  }
}

TEST_F(Rule33, ABareRaiseAfterAYieldRaisesTheOriginal) {
  const Exception error = KeyErrorA();
  Driven g = Primed(MADE(Create(kYieldsInExcept, {{"given", error}})));
  const Outcome outcome = g.Next();
  EXPECT_EQ(Text(outcome), "X(KeyError: 'a')");
  EXPECT_TRUE(outcome.exception().Is(error));
}

TEST_F(Rule33, SoDoesOneInAFinally) {
  for (const FinallyForm& finally : kFinallyForms) {
    Driven g = Primed(MADE(Create(finally.Around("yield('cleanup') error()", "yield(1)"))));
    EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y('cleanup')") << finally.name;
    EXPECT_EQ(Text(g.Next()), "X(ValueError: v)") << finally.name;
  }
}

TEST_F(Rule33, AnotherExceptionThatWasHandledMeanwhileIsForgotten) {
  Driven g = Primed(MADE(Create(WhileHandling(R"(
    yield(1)
    xpcall(yield, function() yield(3) end, 2)
    error())"))));
  EXPECT_EQ(Text(g.Next()), "Y(2)");
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y(3)");
  EXPECT_EQ(Text(g.Next()), "X(KeyError: 'a')");
}

TEST_F(Rule33, WithNothingHandledItIsARuntimeError) {
  for (const char* source :
       {"return function() yield(1) error() end", "return function() pcall(error, 'caught') yield(1) error() end",
        "return function() xpcall(error, function() end, 'caught') yield(1) error() end"}) {
    Driven g = Primed(MADE(Create(source)));
    EXPECT_EQ(Text(g.Next()), "X(RuntimeError: No active exception to reraise)") << source;
  }
}

// A generator has its own.
TEST_F(Rule33, AnInnerCoroutineKeepsWhatItHandles) {
  Driven g = Primed(MADE(Create(R"(
    return function()
      local inner = coroutine.wrap(function()
        xpcall(error, function() coroutine.yield() error() end, {type = "KeyError", message = "a"})
      end)
      inner()
      yield(1)
      inner()
    end)")));
  EXPECT_EQ(Text(g.Next()), "X(KeyError: 'a')");
}

TEST_F(Rule33, AnInnerCoroutineThatHandlesNothingHandlesWhatItsCallerDoes) {
  const auto raised = [this](const std::string& inner) {
    Driven g = Primed(MADE(Create("return function() local inner = coroutine.wrap(function() " + inner + R"( end)
        inner()
        yield(1)
        xpcall(error, function() inner() end, {type = "KeyError", message = "a"})
      end)")));
    return Text(g.Next());
  };
  EXPECT_EQ(raised("coroutine.yield() error{type = 'ValueError'}"), "X(ValueError <ctx KeyError>)");
  EXPECT_EQ(raised("coroutine.yield() error()"), "X(KeyError: 'a')");
  EXPECT_EQ(raised("xpcall(error, function() coroutine.yield() error{type = 'ValueError'} end, {type = 'IndexError'})"),
            "X(ValueError <ctx IndexError>)");
}

// CPython would have a GeneratorExit in between; Lua closes without one.
TEST_F(Rule33, AnInnerCoroutineThatIsClosedStillHandlesIt) {
  Driven g = Primed(MADE(Create(R"(
    return function()
      local inner = coroutine.create(function()
        local _ <close> = setmetatable({}, {__close = function() error{type = "ValueError"} end})
        xpcall(error, coroutine.yield, {type = "IndexError"})
      end)
      coroutine.resume(inner)
      yield(1)
      xpcall(error, function() log(select(2, coroutine.close(inner))) error() end, {type = "KeyError", message = "a"})
    end)")));
  EXPECT_EQ(Text(g.Next()), "X(KeyError: 'a')");
  EXPECT_EQ(logged, Log{"ValueError <ctx IndexError>"});
}

}  // namespace
}  // namespace corod::lua
