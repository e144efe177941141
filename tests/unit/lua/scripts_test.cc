#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "server/coroutine/errors.h"
#include "server/coroutine/map.h"
#include "tests/unit/lua/driving.h"

namespace corod::lua {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

using ScriptsTest = ScriptTest;

constexpr const char* kAverager = R"(
  return function()
    local total, count = 0, 0
    local average
    while true do
      total = total + yield(average)
      count = count + 1
      average = total / count
    end
  end)";

TEST_F(ScriptsTest, Averages) {
  Coroutine averager = Create(kAverager);
  EXPECT_EQ(averager.state(), CoroutineState::kCreated);
  EXPECT_EQ(Next(averager), "Y None");
  EXPECT_EQ(Send(averager, 10), "Y 10.0");
  EXPECT_EQ(Send(averager, 20.5), "Y 15.25");
  EXPECT_EQ(averager.state(), CoroutineState::kSuspended);
  EXPECT_EQ(Close(averager), "R None");
  EXPECT_EQ(averager.state(), CoroutineState::kClosed);
}

TEST_F(ScriptsTest, SessionsShareNothing) {
  const char* source = "n = 0  return function() while true do n = n + 1  yield(n) end end";
  std::vector<Coroutine> sessions;
  for (int i = 0; i < 5; ++i) sessions.push_back(Create(source));
  for (Coroutine& session : sessions) EXPECT_EQ(Next(session), "Y 1");
  for (Coroutine& session : sessions) EXPECT_EQ(Next(session), "Y 2");
}

TEST_F(ScriptsTest, TakesItsArguments) {
  const char* source = "return function(first, second) yield(list(first, second)) end";
  Coroutine both = Create(source, {{"second", 2}, {"first", "a"}});
  EXPECT_EQ(Next(both), "Y ['a', 2]");
  Coroutine one = Create(source, {{"second", 2}});
  EXPECT_EQ(Next(one), "Y [None, 2]");
}

TEST_F(ScriptsTest, DescribesItself) {
  const Definition* definition = Define(R"(
    return {
      run = function(size, name) return size end,
      parameters = {{name = "size", type = "integer", documentation = "how many"},
                    {name = "name", type = "text", default = "x"}},
      summary = "a summary", documentation = "more", sends = "numbers", sends_kind = "number", yields = "sums",
      returns = "the size", stops_when = "it is closed",
    })");
  ASSERT_TRUE(definition);
  EXPECT_EQ(definition->language, Language::kLua);
  ASSERT_EQ(definition->parameters.size(), 2u);
  EXPECT_EQ(definition->parameters[0].name, "size");
  EXPECT_EQ(definition->parameters[0].type, ParameterType::kInteger);
  EXPECT_EQ(definition->parameters[0].documentation, "how many");
  EXPECT_FALSE(definition->parameters[0].default_value);
  EXPECT_EQ(definition->parameters[1].default_value, Value("x"));
  EXPECT_EQ(definition->summary, "a summary");
  EXPECT_EQ(definition->documentation, "more");
  EXPECT_EQ(definition->sends, "numbers");
  EXPECT_EQ(definition->sends_kind, SendsKind::kNumber);
  EXPECT_EQ(definition->yields, "sums");
  EXPECT_EQ(definition->returns, "the size");
  EXPECT_EQ(definition->stops_when, "it is closed");
  EXPECT_FALSE(definition->restartable);
}

TEST_F(ScriptsTest, RefusesWhatIsWrongAndSaysWhere) {
  EXPECT_THAT(Refusal("return function() x = = 1 end"), StartsWith("script:1: unexpected symbol near '='"));
  EXPECT_THAT(Refusal("\n\nlocal t = {a = 1"), StartsWith("script:3: '}' expected"));
  EXPECT_THAT(Refusal("\n\nnothing()"), HasSubstr("script:3: attempt to call a nil value (global 'nothing')"));
  EXPECT_THAT(Refusal(""), HasSubstr("must return a function"));
  EXPECT_THAT(Refusal("return 7"),
              HasSubstr("must return a function, or a table with one as 'run'; it returns number"));
  EXPECT_THAT(Refusal("return {}"), HasSubstr("'run' must be the script's function, and is a nil"));
  EXPECT_THAT(Refusal("return {run = function() end, sumary = ''}"), HasSubstr("has a field 'sumary'"));
  EXPECT_THAT(Refusal("return {run = function(a) end, parameters = {}}"),
              HasSubstr("'run' takes 1 parameters, and 'parameters' describes 0"));
  EXPECT_THAT(Refusal("return {run = function(a) end, parameters = {{name = 'a', type = 'int'}}}"),
              HasSubstr("the type of parameter 'a' must be 'boolean', 'integer', 'number', 'text' or 'value'"));
  EXPECT_THAT(Refusal("return function(...) end"), HasSubstr("its parameters need names"));
  EXPECT_THAT(Refusal("yield(1) return function() end"), HasSubstr("cannot yield here"));
  EXPECT_THAT(Refusal("while true do end"), HasSubstr("the step took more than 10,000,000 instructions"));
  EXPECT_THAT(Refusal("\x1bLua"), HasSubstr("attempt to load a binary chunk"));
  EXPECT_THAT(Refusal(kAverager), IsEmpty());
}

TEST_F(ScriptsTest, ReturnsAndRaises) {
  EXPECT_EQ(Run("return 7"), "R 7");
  EXPECT_EQ(Run(""), "R None");
  EXPECT_EQ(Run("error{type = 'KeyError', message = 'k'}"), "X KeyError: 'k'");
  EXPECT_EQ(Run("error('boom')"), "X RuntimeError: script:2: boom");
  EXPECT_EQ(Run("error('boom', 0)"), "X RuntimeError: boom");
  EXPECT_EQ(Run("local t; return t.x"), "X RuntimeError: script:2: attempt to index a nil value (local 't')");
  EXPECT_EQ(Run("error{type = 'StopIteration'}"), "X RuntimeError: generator raised StopIteration");
  EXPECT_EQ(Run("error{}"), "X RuntimeError: (error object is a table value)");
  EXPECT_EQ(Run("assert(false, 'so')"), "X AssertionError: so");
  EXPECT_EQ(Run("assert(nil)"), "X AssertionError: assertion failed!");
}

TEST_F(ScriptsTest, CatchesWhatIsThrownIn) {
  Coroutine coroutine = Create(R"(
    return function()
      while true do
        local ok, e = pcall(yield, "ready")
        if not ok then
          yield(list(e.type, e.message, e.arguments, isinstance(e, "LookupError")))
        end
      end
    end)");
  EXPECT_EQ(Next(coroutine), "Y 'ready'");
  EXPECT_EQ(Throw(coroutine, Exception("KeyError", {"k"})), R"(Y ['KeyError', "'k'", ['k'], True])");
  EXPECT_EQ(Next(coroutine), "Y 'ready'");
  EXPECT_EQ(Throw(coroutine, Exception("mine.Error", {1, 2})), "Y ['mine.Error', '(1, 2)', [1, 2], False]");
}

TEST_F(ScriptsTest, WhatIsRaisedAgainIsTheSame) {
  Coroutine coroutine = Create(R"(
    return function()
      local ok, e = pcall(yield, 1)
      yield(2)
      error(e)
    end)");
  EXPECT_EQ(Next(coroutine), "Y 1");
  const Exception thrown("ValueError", {"v"});
  EXPECT_EQ(Throw(coroutine, thrown), "Y 2");
  const Outcome outcome = coroutine.Next();
  ASSERT_EQ(outcome.kind, Outcome::Kind::kRaised);
  EXPECT_TRUE(outcome.exception().Is(thrown));
  EXPECT_FALSE(thrown.context());
}

TEST_F(ScriptsTest, WhatIsRaisedInAHandlerHasAContext) {
  Coroutine coroutine = Create(R"(
    return function()
      xpcall(yield, function(e)
        local sent = yield("handling " .. e.type)
        error{type = "ValueError", message = "in the handler", cause = sent}
      end, 1)
    end)");
  EXPECT_EQ(Next(coroutine), "Y 1");
  const Exception thrown("KeyError", {"k"});
  EXPECT_EQ(Throw(coroutine, thrown), "Y 'handling KeyError'");
  const Outcome outcome = coroutine.Next();
  ASSERT_EQ(outcome.kind, Outcome::Kind::kRaised);
  EXPECT_EQ(outcome.exception().type(), "ValueError");
  ASSERT_TRUE(outcome.exception().context());
  EXPECT_TRUE(outcome.exception().context()->Is(thrown));
}

TEST_F(ScriptsTest, WhatIsThrownIntoAHandlerHasAContext) {  // rule 30
  Coroutine coroutine = Create("return function() xpcall(yield, function(e) yield(2) end, 1) end");
  EXPECT_EQ(Next(coroutine), "Y 1");
  const Exception first("KeyError", {"k"});
  EXPECT_EQ(Throw(coroutine, first), "Y 2");
  const Exception second("ValueError", {"v"});
  EXPECT_EQ(Throw(coroutine, second), "X ValueError: v");
  ASSERT_TRUE(second.context());
  EXPECT_TRUE(second.context()->Is(first));
}

TEST_F(ScriptsTest, ABareErrorRaisesAgain) {  // rule 33
  Coroutine coroutine = Create("return function() xpcall(yield, function() yield(2) error() end, 1) end");
  EXPECT_EQ(Next(coroutine), "Y 1");
  EXPECT_EQ(Throw(coroutine, Exception("KeyError", {"k"})), "Y 2");
  EXPECT_EQ(Next(coroutine), "X KeyError: 'k'");
  EXPECT_EQ(Run("error()"), "X RuntimeError: No active exception to reraise");
}

TEST_F(ScriptsTest, ACauseThatIsSetLeavesItTheSame) {
  Coroutine coroutine = Create(R"(
    return function()
      local _, e = pcall(yield, 1)
      e.cause = {type = "KeyError", arguments = {"k"}}
      error(e)
    end)");
  EXPECT_EQ(Next(coroutine), "Y 1");
  const Exception thrown("mine.Error", {"v"}, {"ValueError", "Exception", "BaseException"});
  const Outcome outcome = coroutine.Throw(thrown);
  ASSERT_EQ(outcome.kind, Outcome::Kind::kRaised);
  EXPECT_TRUE(outcome.exception().Is(thrown));
  ASSERT_TRUE(thrown.cause());
  EXPECT_EQ(thrown.cause()->type(), "KeyError");
  EXPECT_TRUE(thrown.suppress_context());
}

TEST_F(ScriptsTest, ACauseThatIsNullHidesTheContext) {
  Coroutine coroutine = Create(R"(
    return function()
      xpcall(error, function() error{type = "ValueError", cause = null} end, {type = "KeyError"})
    end)");
  const Outcome outcome = coroutine.Next();
  ASSERT_EQ(outcome.kind, Outcome::Kind::kRaised);
  EXPECT_FALSE(outcome.exception().cause());
  EXPECT_TRUE(outcome.exception().context());
  EXPECT_TRUE(outcome.exception().suppress_context());
}

TEST_F(ScriptsTest, OneThatIsChangedIsAnotherOfTheSameType) {
  Coroutine coroutine = Create(R"(
    return function()
      local _, e = pcall(yield, 1)
      e.message = "changed"
      error(e)
    end)");
  EXPECT_EQ(Next(coroutine), "Y 1");
  const Exception thrown("mine.Error", {"v"}, {"ValueError", "Exception", "BaseException"});
  const Outcome outcome = coroutine.Throw(thrown);
  ASSERT_EQ(outcome.kind, Outcome::Kind::kRaised);
  EXPECT_FALSE(outcome.exception().Is(thrown));
  EXPECT_EQ(outcome.exception().message(), "changed");
  EXPECT_TRUE(outcome.exception().IsA("ValueError"));
}

TEST_F(ScriptsTest, TablesOfOneExceptionAreEqual) {
  EXPECT_EQ(Run(R"(
    local first
    local _, second = pcall(xpcall, error, function(e) first = e error() end, {type = "KeyError"})
    local _, other = pcall(error, {type = "KeyError"})
    return list(first == second, first == other))"),
            "R [True, False]");
}

TEST_F(ScriptsTest, OnlyExceptionsAreInstances) {
  EXPECT_EQ(Run("return list(isinstance({}, 'Exception'), isinstance(map{type = 'KeyError'}, 'KeyError'))"),
            "R [False, False]");
}

TEST_F(ScriptsTest, ALongChainOfCausesIsNoTree) {
  EXPECT_EQ(Run(R"(
    local function chain(n)
      xpcall(function()
        if n == 0 then error{type = "KeyError"} end
        chain(n - 1)
      end, function(e) error{type = "ValueError", arguments = {n}, cause = e} end)
    end
    local _, e = pcall(chain, 20)
    return list(e.type, e.cause == e.context, e.cause.cause.arguments))"),
            "R ['ValueError', True, [18]]");
}

TEST_F(ScriptsTest, AnExceptionDoesNotHoldItself) {  // as an argument of its context
  EXPECT_EQ(Run(R"(
    local _, e = pcall(error, {type = "KeyError"})
    xpcall(error, function()
      xpcall(error, function() error() end, e)
    end, {type = "ValueError", arguments = {e}}))"),
            "X KeyError");
}

TEST_F(ScriptsTest, ACauseThatLeadsBackIsACopy) {
  EXPECT_EQ(Run(R"(
    local _, e = pcall(error, {type = "KeyError"})
    e.cause = e
    local is = isinstance(e, "KeyError")
    return list(is, e.cause == e, e.cause.type, e.cause.cause))"),
            "R [True, False, 'KeyError', None]");
}

TEST_F(ScriptsTest, WhatIsRaisedUnderAHandlerThatDelegatesHasAContext) {
  Define("return function() local _, e = pcall(yield, 1) error{type = 'KeyError'} end", "inner");
  Define("return function() error() end", "reraising");
  Coroutine coroutine = Create(R"(
    return function()
      xpcall(error, function() delegate("inner") end, {type = "ValueError"})
    end)");
  EXPECT_EQ(Next(coroutine), "Y 1");
  const Outcome raised = coroutine.Next();
  ASSERT_EQ(raised.kind, Outcome::Kind::kRaised);
  EXPECT_EQ(raised.exception().type(), "KeyError");
  ASSERT_TRUE(raised.exception().context());
  EXPECT_EQ(raised.exception().context()->type(), "ValueError");
  EXPECT_EQ(Run("xpcall(error, function() delegate('reraising') end, {type = 'ValueError'})"), "X ValueError");
  Coroutine refused =
      Create("return function() xpcall(error, function() delegate('no') end, {type = 'ValueError'}) end");
  const Outcome refusal = refused.Next();
  ASSERT_EQ(refusal.kind, Outcome::Kind::kRaised);
  EXPECT_EQ(refusal.exception().type(), "LookupError");
  ASSERT_TRUE(refusal.exception().context());
}

TEST_F(ScriptsTest, FinalizersRunAtTheEnd) {
  const char* source = R"(
    return function(ends)
      finally(function(e) yield("outer " .. (e and e.type or "-")) end)
      do
        local _ <close> = finally(function(e) yield("block") end)
      end
      local _ <close> = finally(function(e) yield("inner " .. (e and e.type or "-")) end)
      yield("ready")
      if ends == "raise" then error{type = "ValueError"} end
      return 7
    end)";
  Coroutine returns = Create(source, {{"ends", "return"}});
  EXPECT_EQ(Next(returns), "Y 'block'");
  EXPECT_EQ(Next(returns), "Y 'ready'");
  EXPECT_EQ(Next(returns), "Y 'inner -'");
  EXPECT_EQ(Next(returns), "Y 'outer -'");
  EXPECT_EQ(Next(returns), "R 7");
  Coroutine raises = Create(source, {{"ends", "raise"}});
  EXPECT_EQ(Next(raises), "Y 'block'");
  EXPECT_EQ(Next(raises), "Y 'ready'");
  EXPECT_EQ(Next(raises), "Y 'inner ValueError'");
  EXPECT_EQ(Next(raises), "Y 'outer ValueError'");
  EXPECT_EQ(Next(raises), "X ValueError");
}

TEST_F(ScriptsTest, CloseRunsWhatIsToBeClosed) {
  Coroutine coroutine = Create(R"(
    return function()
      local ok, e = pcall(function()
        local _ <close> = setmetatable({}, {__close = function(_, e) closed = e.type end})
        yield(1)
      end)
      return list(closed, e.type)
    end)");
  EXPECT_EQ(Next(coroutine), "Y 1");
  EXPECT_EQ(Close(coroutine), "R ['GeneratorExit', 'GeneratorExit']");
}

TEST_F(ScriptsTest, IgnoringACloseIsAnError) {  // rule 44
  Coroutine coroutine = Create("return function() while true do pcall(yield, 1) end end");
  EXPECT_EQ(Next(coroutine), "Y 1");
  EXPECT_EQ(Close(coroutine), "X RuntimeError: generator ignored GeneratorExit");
  EXPECT_EQ(coroutine.state(), CoroutineState::kSuspended);
}

TEST_F(ScriptsTest, DroppingRunsNothing) {  // rule 83
  const char* source = R"(
    return function(log)
      finally(function() error("it was run") end)
      local _ <close> = finally(function() error("it was run") end)
      yield(1)
    end)";
  for (int i = 0; i < 100; ++i) {
    Coroutine coroutine = Create(source);
    EXPECT_EQ(Next(coroutine), "Y 1");
  }
}

TEST_F(ScriptsTest, Delegates) {
  Define(kAverager, "averager");
  Define("return function(n) for i = 1, n do yield(i) end return 'done' end", "counter");
  Coroutine coroutine = Create(R"(
    return function()
      local done = delegate("counter", {n = 2})
      yield(done)
      local ok, e = pcall(delegate, "averager")
      yield(list(e.type, e.message))
      ok, e = pcall(delegate, "nobody")
      yield(list(e.type, e.message))
      ok, e = pcall(delegate, "counter", {m = 1})
      return list(e.type, e.message)
    end)");
  EXPECT_EQ(Next(coroutine), "Y 1");
  EXPECT_EQ(Next(coroutine), "Y 2");
  EXPECT_EQ(Next(coroutine), "Y 'done'");
  EXPECT_EQ(Next(coroutine), "Y None");
  EXPECT_EQ(Send(coroutine, 4), "Y 4.0");
  EXPECT_EQ(Throw(coroutine, Exception("ValueError", {"v"})), "Y ['ValueError', 'v']");
  EXPECT_EQ(Next(coroutine), R"(Y ['LookupError', "no coroutine 'nobody' in the catalog"])");
  EXPECT_EQ(Next(coroutine), R"(R ['ValueError', "there is no argument 'm': 'counter' takes 'n'"])");
}

TEST_F(ScriptsTest, DelegatesToWhatWasThereWhenItBegan) {
  Define("return function() return 'old' end", "inner");
  Coroutine coroutine = Create("return function() yield(1) return delegate('inner') end");
  EXPECT_EQ(Next(coroutine), "Y 1");
  Define("return function() return 'new' end", "inner");
  EXPECT_EQ(Next(coroutine), "R 'old'");
}

TEST_F(ScriptsTest, NestedCoroutinesAreTheScriptsOwn) {
  EXPECT_EQ(Run(R"(
    local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end)
    return list(co(1), co(10)))"),
            "R [2, 20]");
  EXPECT_EQ(Run(R"(
    local co = coroutine.create(function() error{type = "KeyError", message = "k"} end)
    local ok, e = coroutine.resume(co)
    return list(ok, e.type, coroutine.status(co)))"),
            "R [False, 'KeyError', 'dead']");
  EXPECT_EQ(Run("local co = coroutine.wrap(function() delegate('x') end) co()"),
            "X RuntimeError: delegate stands in the script's own function, not in a coroutine");
}

// Each yields where another function of the library, or of Lua's, has called the script: what that was at is gone on
// with, and errors find who catches them.
TEST_F(ScriptsTest, YieldsFromWhereItIsCalled) {
  Coroutine coroutine = Create(R"(
    return function()
      local seen = list()
      local function see(v) seen[#seen + 1] = v end
      see(pcall(function() see(yield("pcall")) error{type = "KeyError", message = "k"} end))
      see(select(2, xpcall(function() error{type = "KeyError"} end, function(e) return yield("handler") .. e.type end)))
      local t = setmetatable({}, {__index = function(_, k) return yield(k) end,
                                  __newindex = function(_, k, v) see(yield(k .. "=" .. v)) end,
                                  __add = function() return yield("add") end,
                                  __concat = function() return yield("concat") end,
                                  __lt = function() return yield("less") end,
                                  __call = function(_, v) return yield(v) end,
                                  __len = function() return yield("len") end,
                                  __pairs = function() return function(_, k) if not k then return yield("next") end end end,
                                  __close = function() see(yield("close")) end})
      see(t.x) t.y = 1 see(t + 1) see(t .. "") see(t < t) see(t("call")) see(#t)
      for k in pairs(t) do see(k) end
      do local _ <close> = t end
      local inner = coroutine.wrap(function() see(coroutine.yield(pcall(coroutine.yield, "inner"))) return "end" end)
      see(inner()) see(inner("in")) see(inner(2))
      see(pcall(table.sort, {2, 1}, function(a, b) return yield(a) end))
      see(yield("after"))
      return seen
    end)");
  std::vector<std::string> outcomes = {Next(coroutine)};
  for (int i = 1; outcomes.back().starts_with("Y"); ++i) outcomes.push_back(Send(coroutine, Value(i)));
  EXPECT_THAT(outcomes, ElementsAre("Y 'pcall'", "Y 'handler'", "Y 'x'", "Y 'y=1'", "Y 'add'", "Y 'concat'", "Y 'less'",
                                    "Y 'call'", "Y 'len'", "Y 'next'", "Y 'close'", "Y 'after'",
                                    "R [1, False, '2KeyError', 3, 4, 5, 6, True, 8, 9, 10, 11, 'inner', True, 2, "
                                    "'end', False, 12]"));
}

TEST_F(ScriptsTest, KnowsTheTimeAndDraws) {
  EXPECT_EQ(Run("return time()"), "R 1.5");
  Coroutine coroutine = Create("return function() yield(list(random(), random(6), random(5, 6))) end");
  step_ = 1;
  const std::string drawn = Next(coroutine);
  Coroutine again = Create("return function() yield(list(math.random(), math.random(6), math.random(5, 6))) end");
  step_ = 1;
  EXPECT_EQ(Next(again), drawn);
  EXPECT_EQ(Run("return random(2, 1)"), "X RuntimeError: script:2: bad argument #2 to 'random' (interval is empty)");
}

TEST_F(ScriptsTest, PowersCountForWhatTheyTake) {
  EXPECT_THAT(Run("local x, y, z = 1.1, 1.3  for i = 1, 1e6 do z = x ^ y end"), StartsWith("X BudgetExceeded"));
  EXPECT_EQ(Run("local x = 1.1  for i = 1, 1e4 do x = 1.1 ^ (i % 7) end  return 'done'"), "R 'done'");
}

TEST_F(ScriptsTest, ARestartableOneGoesOnWithItsState) {
  const Definition* definition = Define(R"(
    return {
      state = {total = 0, count = 0},
      run = function(state, factor)
        local average
        if state.count > 0 then average = state.total / state.count end
        while true do
          local sent = yield(average)
          state.total = state.total + factor * sent
          state.count = state.count + 1
          average = state.total / state.count
        end
      end,
    })");
  ASSERT_TRUE(definition);
  EXPECT_TRUE(definition->restartable);
  ASSERT_EQ(definition->parameters.size(), 1u);
  EXPECT_EQ(definition->parameters[0].name, "factor");
  Coroutine coroutine = definition->create({2}, 0);
  EXPECT_EQ(Next(coroutine), "Y None");
  EXPECT_EQ(Send(coroutine, 10), "Y 20.0");
  const std::optional<Value> saved = coroutine.Save();
  ASSERT_TRUE(saved);
  EXPECT_EQ(Repr(*saved), "{'total': 20, 'count': 1}");
  auto restarted = definition->Restart({2}, *saved);
  ASSERT_TRUE(std::holds_alternative<Coroutine>(restarted));
  EXPECT_EQ(Send(std::get<Coroutine>(restarted), 20), "Y 30.0");
  EXPECT_EQ(Send(coroutine, 20), "Y 30.0");
}

TEST_F(ScriptsTest, AStateThatCannotBeKeptIsNotSaved) {
  Coroutine coroutine = Create("return {state = {}, run = function(state) state.f = yield  yield(1) end}");
  EXPECT_EQ(Next(coroutine), "Y 1");
  EXPECT_EQ(coroutine.Save(), std::nullopt);
  EXPECT_EQ(Next(coroutine), "R None");
}

TEST_F(ScriptsTest, NothingOfLuasReachesOutOfTheScript) {
  EXPECT_EQ(Run(R"(
    local found = {}
    for _, name in ipairs{"io", "os", "debug", "package", "require", "load", "loadstring", "loadfile", "dofile",
                          "collectgarbage", "print", "warn", "rawprint"} do
      if _ENV[name] ~= nil then found[#found + 1] = name end
    end
    for _, name in ipairs{"dump", "pack", "unpack", "packsize"} do
      if string[name] ~= nil then found[#found + 1] = "string." .. name end
    end
    return found)"),
            "R []");
}

}  // namespace
}  // namespace corod::lua
