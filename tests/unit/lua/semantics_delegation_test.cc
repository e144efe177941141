// Rules 55 to 77, and 49 of a sub, for scripts: delegate().

#include <string>
#include <vector>

#include "server/coroutine/map.h"
#include "tests/unit/lua/semantics.h"

namespace corod::lua {
namespace {

using Rule49 = SemanticsTest;
using Rule55 = SemanticsTest;
using Rule59 = SemanticsTest;
using Rule60 = SemanticsTest;
using Rule62 = SemanticsTest;
using Rule63 = SemanticsTest;
using Rule64 = SemanticsTest;
using Rule65 = SemanticsTest;
using Rule66 = SemanticsTest;
using Rule67 = SemanticsTest;
using Rule68 = SemanticsTest;
using Rule69 = SemanticsTest;
using Rule70 = SemanticsTest;
using Rule75 = SemanticsTest;
using Rule76 = SemanticsTest;
using Rule77 = SemanticsTest;

// Logs what it gets and catches ValueErrors; returns "subret" when it is sent "stop".
constexpr const char* kSub = R"(
  return function()
    finally(function() log("s.fin") end)
    while true do
      local ok, sent = pcall(yield, "s")
      if not ok and not isinstance(sent, "ValueError") then
        error(sent)
      elseif not ok then
        log("caught " .. sent.message)
      elseif sent == "stop" then
        return "subret"
      else
        log("recv " .. tostring(sent))
      end
    end
  end)";

// `yield from sub`, then yields ["after", result].
constexpr const char* kOuter = R"(
  return function(sub, name)
    finally(function() log((name or "o") .. ".fin") end)
    local result = delegate(sub or "sub")
    yield(list("after", result))
  end)";

// Logs what comes out of the `yield from`, and yields "alive" or raises it again.
constexpr const char* kCatching = R"(
  return function(goes_on)
    xpcall(delegate, function(e)
      log(e)
      if not goes_on then error() end
    end, "sub")
    yield("alive")
  end)";

TEST_F(Rule49, ASubThatIgnoredItsCloseIsClosedOnceMoreWhenItsDelegatorLetsGo) {
  Define("return function() for n = 1, 9 do if not pcall(yield, n) then log('exit ' .. n) end end end", "sub");
  Driven g = Primed(MADE(Create("return function() delegate('sub') end")));
  EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(logged, (Log{"exit 1", "exit 2"}));
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule55, ItDelegatesOnlyWhileSuspendedInAYieldFrom) {
  Define("return function() yield(1) end", "sub");
  Driven g = MADE(Create("return function() yield(0) delegate('sub') yield(2) end"));
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

TEST_F(Rule59, TheFirstResumeIsNextAndTheValueSentThereIsLost) {
  Define("return function() log(yield(1)) yield(2) end", "sub");
  Driven g = Primed(MADE(Create("return function() yield(0) delegate('sub') end")));
  EXPECT_EQ(Text(g.Send("lost")), "Y(1)");
  EXPECT_EQ(logged, Log());
  EXPECT_EQ(Text(g.Send("s")), "Y(2)");
  EXPECT_EQ(logged, Log{"s"});
}

TEST_F(Rule60, ValuesPassThroughAndTheResultIsWhatTheSubReturns) {
  Define(kSub, "sub");
  Driven g = MADE(Create(kOuter));
  EXPECT_EQ(Text(g.Next()), "Y('s')");
  EXPECT_EQ(Text(g.Send(1)), "Y('s')");
  EXPECT_EQ(Text(g.Next()), "Y('s')");
  EXPECT_EQ(Text(g.Send("stop")), "Y(['after', 'subret'])");
  EXPECT_EQ(logged, (Log{"recv 1", "recv nil", "s.fin"}));
}

TEST_F(Rule60, ValuesPassThroughUnchanged) {
  Define(
      "return function() local got while true do got = yield(got) if got == 0 then return map{got = got} end end end",
      "sub");
  Driven g = Primed(MADE(Create(kOuter)));
  for (const Value& value : {Value(List{}), Value(Map{}), Value(1.0), Value(List{1, Value(), Map{{"k", 2}}}),
                             Value::Blob("\xff"), Value("text"), Value(true), Value()}) {
    EXPECT_EQ(g.Send(value), Outcome::Yielded(value));
  }
  EXPECT_EQ(Text(g.Send(0)), "Y(['after', {'got': 0}])");
}

TEST_F(Rule60, ASubThatNeverYieldsGivesItsResultAtOnce) {
  Define("return function() return 5 end", "sub");
  Driven g = MADE(Create(kOuter));
  EXPECT_EQ(Text(g.Next()), "Y(['after', 5])");
  Define("return function() end", "empty");
  Driven empty = MADE(Create(kOuter, {{"sub", "empty"}}));
  EXPECT_EQ(Text(empty.Next()), "Y(['after', None])");
}

TEST_F(Rule62, AThrownExceptionGoesToTheSub) {
  Define(kSub, "sub");
  Driven g = Primed(MADE(Create(kOuter)));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y('s')");
  EXPECT_EQ(logged, Log{"caught v"});
  EXPECT_EQ(g.state(), kSuspended);
}

TEST_F(Rule63, ASubThatCatchesAndReturnsLetsTheDelegatorGoOn) {
  Define("return function() pcall(yield, 1) return 'subret' end", "sub");
  Driven g = Primed(MADE(Create(kOuter)));
  EXPECT_EQ(Text(g.Throw(ValueErrorV())), "Y(['after', 'subret'])");
}

TEST_F(Rule64, WhatTheSubDoesNotCatchSurfacesAtTheYieldFrom) {
  Define(kSub, "sub");
  Driven g = Primed(MADE(Create(kCatching, {{"goes_on", true}})));
  EXPECT_EQ(Text(g.Throw(Exception("KeyError", {"k"}))), "Y('alive')");
  EXPECT_EQ(logged, (Log{"s.fin", "KeyError: 'k'"}));
}

TEST_F(Rule64, AnExceptionOnTheFirstNextSurfacesAtTheYieldFrom) {
  Define("return function() error{type = 'ZeroDivisionError', message = 'z'} end", "sub");
  Driven g = MADE(Create(kCatching, {{"goes_on", true}}));
  EXPECT_EQ(Text(g.Next()), "Y('alive')");
  EXPECT_EQ(logged, Log{"ZeroDivisionError: z"});
}

TEST_F(Rule64, ItComesOutAsTheSameObject) {
  Define(kSub, "sub");
  Driven g = Primed(MADE(Create(kCatching)));
  const Exception thrown = KeyErrorA();
  EXPECT_TRUE(g.Throw(thrown).exception().Is(thrown));
  EXPECT_FALSE(thrown.context());
}

TEST_F(Rule65, CloseClosesTheSubFirst) {
  Define(kSub, "sub");
  Driven g = Primed(MADE(Create(kOuter)));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(logged, (Log{"s.fin", "o.fin"}));
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule65, AThrownGeneratorExitClosesTheSubAndArrivesAsTheSameObject) {
  Define(kSub, "sub");
  Driven g = Primed(MADE(Create(kOuter)));
  const Exception exit("GeneratorExit", {"mine"});
  EXPECT_TRUE(g.Throw(exit).exception().Is(exit));
  EXPECT_EQ(logged, (Log{"s.fin", "o.fin"}));
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule65, TheSubSeesAnExitOfItsOwn) {
  Define("return function() xpcall(yield, function(e) log(e) error() end, 1) end", "sub");
  Driven g = Primed(MADE(Create(kCatching)));
  EXPECT_EQ(Text(g.Throw(Exception("GeneratorExit", {"mine"}))), "X(GeneratorExit: mine)");
  EXPECT_EQ(logged, (Log{"GeneratorExit", "GeneratorExit: mine"}));
}

TEST_F(Rule66, CleanupGoesFromTheInnermostOutwards) {
  Define("return function() finally(function() log('a.fin') end) yield(1) end", "a");
  Define("return function() local _ <close> = finally(function() log('b.fin') end) delegate('a') end", "b");
  Driven g = Primed(MADE(Create(kOuter, {{"sub", "b"}, {"name", "c"}})));
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(logged, (Log{"a.fin", "b.fin", "c.fin"}));
}

constexpr const char* kSwallowsExit = "return function() pcall(yield, 1) return 'swallowed' end";

TEST_F(Rule67, ASubThatReturnsOnExitDoesNotSpareItsDelegator) {
  Define(kSwallowsExit, "sub");
  Driven g = Primed(MADE(Create(kCatching)));
  EXPECT_EQ(Text(g.Throw(Exception("GeneratorExit", {"g"}))), "X(GeneratorExit: g)");
  EXPECT_EQ(logged, Log{"GeneratorExit: g"});
}

TEST_F(Rule67, CloseGivesTheOutermostReturn) {
  Define(kSwallowsExit, "sub");
  Driven g = Primed(MADE(Create("return function() pcall(delegate, 'sub') return 'outer' end")));
  EXPECT_EQ(Text(g.Close()), "R('outer')");
  Driven passes = Primed(MADE(Create("return function() return delegate('sub') end")));
  EXPECT_EQ(Text(passes.Close()), "R(None)");
}

constexpr const char* kIgnoresExit = "return function() pcall(yield, 1) yield(2) end";

TEST_F(Rule68, ASubThatYieldsDuringCloseIsARuntimeErrorInTheDelegator) {
  Define(kIgnoresExit, "sub");
  Driven g = Primed(MADE(Create(kCatching)));
  EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(logged, Log{"RuntimeError: generator ignored GeneratorExit"});
  EXPECT_EQ(g.state(), kClosed);
}

TEST_F(Rule69, WhatTheSubRaisesDuringCloseSurfacesInTheDelegator) {
  for (const FinallyForm& finally : kFinallyForms) {
    Define(finally.Around("error{type = 'ValueError', message = 'boom'}", "yield(1)"), "sub");
    Driven g = Primed(MADE(Create(kCatching)));
    EXPECT_EQ(Text(g.Close()), "X(ValueError: boom <ctx GeneratorExit>)") << finally.name;
    EXPECT_EQ(logged, Log{"ValueError: boom <ctx GeneratorExit>"}) << finally.name;
    logged.clear();
  }
}

TEST_F(Rule69, ADelegatorThatCatchesItAndYieldsHasIgnoredTheClose) {
  Define(kFinallyForms[0].Around("error{type = 'ValueError', message = 'boom'}", "yield(1)"), "sub");
  Driven g = Primed(MADE(Create(kCatching, {{"goes_on", true}})));
  EXPECT_EQ(Text(g.Close()), "X(RuntimeError: generator ignored GeneratorExit)");
  EXPECT_EQ(logged, Log{"ValueError: boom <ctx GeneratorExit>"});
  EXPECT_EQ(g.state(), kSuspended);
}

TEST_F(Rule70, AThrownStopIterationIsConvertedByTheSub) {
  Define("return function() yield(1) yield(2) end", "sub");
  Driven g = Primed(MADE(Create(kCatching)));
  EXPECT_EQ(g.Throw(Exception("StopIteration", {"s"})).exception().type(), "RuntimeError");
  EXPECT_EQ(logged, Log{"RuntimeError: generator raised StopIteration <cause StopIteration> <ctx StopIteration>"});
}

// A level above `levels - 1` others; the innermost catches ValueErrors.
constexpr const char* kLevel = R"(
  return function(levels)
    if levels > 1 then return delegate("level", {levels = levels - 1}) end
    finally(function() log("fin") end)
    local value = "leaf"
    while true do
      local ok
      ok, value = pcall(yield, value)
      if not ok and not isinstance(value, "ValueError") then error(value) end
      if not ok then value = "caught" end
      if value == "stop" then return value end
    end
  end)";

TEST_F(Rule75, AThousandLevelsAreSentTo) {
  Define(kLevel, "level");
  Driven g = MADE(Create(kLevel, {{"levels", 1000}}));
  EXPECT_EQ(Text(g.Next()), "Y('leaf')");
  EXPECT_EQ(Text(g.Send("v")), "Y('v')");
  EXPECT_EQ(Text(g.Send("stop")), "R('stop')");
  EXPECT_EQ(logged, Log{"fin"});
}

TEST_F(Rule75, AThousandLevelsAreThrownInto) {
  Define(kLevel, "level");
  Driven g = MADE(Create(kLevel, {{"levels", 1000}}));
  EXPECT_EQ(Text(g.Next()), "Y('leaf')");
  EXPECT_EQ(Text(g.Throw(Exception("ValueError"))), "Y('caught')");
  EXPECT_EQ(Text(g.Throw(Exception("KeyError", {"k"}))), "X(KeyError: 'k')");
  EXPECT_EQ(logged, Log{"fin"});
}

TEST_F(Rule75, AThousandLevelsAreClosed) {
  Define(kLevel, "level");
  Driven g = MADE(Create(kLevel, {{"levels", 1000}}));
  EXPECT_EQ(Text(g.Next()), "Y('leaf')");
  EXPECT_EQ(Text(g.Close()), "R(None)");
  EXPECT_EQ(logged, Log{"fin"});
}

TEST_F(Rule75, OneMoreIsARecursionError) {
  Define(kLevel, "level");
  Driven g = MADE(Create(kLevel, {{"levels", 1001}}));
  EXPECT_EQ(Text(g.Next()), "X(RecursionError: maximum recursion depth exceeded)");
  EXPECT_EQ(g.state(), kClosed);
  EXPECT_EQ(logged, Log());
}

TEST_F(Rule75, ALevelThatIsDoneCountsNoMore) {
  Define(kLevel, "level");
  Driven g = MADE(Create(
      "return function() delegate('level', {levels = 900}) delegate('level', {levels = 900}) return 'done' end"));
  EXPECT_EQ(Text(g.Next()), "Y('leaf')");
  EXPECT_EQ(Text(g.Send("stop")), "Y('leaf')");
  EXPECT_EQ(Text(g.Send("stop")), "R('done')");
}

// What a circle of names is: each time a new coroutine.
TEST_F(Rule76, ScriptsThatDelegateToEachOtherEndWithARecursionError) {
  Define("return function() end", "b");
  Define("return function() delegate('b') end", "a");
  Define("return function() yield('b') delegate('a') end", "b");
  Driven g = Primed(MADE(Create("return function() delegate('a') end")));
  int yields = 1;
  Outcome each = g.Next();
  for (; each.kind == Outcome::Kind::kYielded; each = g.Next()) ++yields;
  EXPECT_EQ(Text(each), "X(RecursionError: maximum recursion depth exceeded)");
  EXPECT_EQ(yields, 499);  // of the 1,000 levels, every other one but the first
  EXPECT_EQ(g.state(), kClosed);
}

struct Case {
  std::string command;
  std::string sub;
  std::string answer;
};

const Case kCases[] = {
#include "tests/unit/coroutine/matrix_answers.inc"
};

// What stands in the `finally` of the sub of that kind.
std::string CleanupOf(const std::string& kind) {
  if (kind.starts_with("raises ")) return "error{type = '" + kind.substr(7) + "', message = 'sub'}";
  return kind == "yields" ? "yield('cleanup')" : "";
}

std::vector<std::string> SubsOf(const std::string& kind) {
  if (kind == "returns") {
    return {"return function() pcall(yield, 1) return 'returned' end",
            "return function() local _ <close> = finally(function() end) xpcall(yield, function() end, 1) "
            "return 'returned' end"};
  }
  std::vector<std::string> subs = {"return function() xpcall(yield, function() " + CleanupOf(kind) +
                                   " error() end, 1) end"};
  for (const FinallyForm& finally : kFinallyForms) subs.push_back(finally.Around(CleanupOf(kind), "yield(1)"));
  return subs;
}

TEST_F(Rule77, EveryWayToEndASubGivesWhatCPythonGives) {
  EXPECT_EQ(std::size(kCases), 35u);
  for (const Case& c : kCases) {
    for (const std::string& sub : SubsOf(c.sub)) {
      Define(sub, "sub");
      Driven g = MADE(Create("return function() yield(list('after', delegate('sub'))) end"));
      EXPECT_EQ(Text(g.Next()), "Y(1)");
      const Exception thrown(c.command, {"thrown"});
      const Outcome outcome = c.command == "close" ? g.Close() : g.Throw(thrown);
      std::string answer = Text(outcome);
      if (outcome.kind == Outcome::Kind::kRaised && outcome.exception().Is(thrown)) answer += " the thrown one";
      answer += g.state() == kSuspended ? " SUSPENDED" : " CLOSED";
      EXPECT_EQ(answer, c.answer) << c.command << ", " << sub;
    }
  }
}

}  // namespace
}  // namespace corod::lua
