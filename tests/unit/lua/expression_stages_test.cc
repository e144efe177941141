#include "server/lua/expression_stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/catalog/restart_check.h"
#include "tests/unit/lua/driving.h"

namespace corod::lua {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ExpressionStagesTest : public ScriptTest {
 protected:
  ExpressionStagesTest() { AddExpressionStages(catalog_, scripts_); }

  std::variant<std::vector<Value>, ArgumentError> Bind(const char* stage, const std::string& expression) {
    return catalog_.Find(stage)->BindArguments({{"expression", expression}});
  }
  // One that has begun.
  Coroutine Begin(const char* stage, const std::string& expression) {
    auto bound = Bind(stage, expression);
    if (const auto* error = std::get_if<ArgumentError>(&bound)) {
      ADD_FAILURE() << error->message;
      return {};
    }
    Coroutine coroutine = catalog_.Find(stage)->create(std::get<std::vector<Value>>(bound), 0);
    EXPECT_EQ(Next(coroutine), "Y None");
    return coroutine;
  }
  // What a stage answers first.
  std::string Answer(const char* stage, const std::string& expression, Value value) {
    Coroutine coroutine = Begin(stage, expression);
    return Send(coroutine, std::move(value));
  }
  // Why an expression is refused; empty: it is not.
  std::string RefusalOf(const std::string& expression) {
    const auto bound = Bind("map", expression);
    const auto* error = std::get_if<ArgumentError>(&bound);
    if (error) EXPECT_EQ(error->parameter, "expression");
    return error ? error->message : "";
  }
};

TEST_F(ExpressionStagesTest, MapAnswersWithWhatTheExpressionMakes) {
  Coroutine total = Begin("map", "value.price * value.count");
  EXPECT_EQ(Send(total, Map{{"price", 2.5}, {"count", 4}}), "Y 10.0");
  EXPECT_EQ(Send(total, Map{{"price", 3}, {"count", 2}}), "Y 6");
  EXPECT_EQ(Next(total), "Y None");
  EXPECT_EQ(Close(total), "R None");
  EXPECT_EQ(Answer("map", "{name = value, sizes = {#value, 1}}", "ab"), "Y {'name': 'ab', 'sizes': [2, 1]}");
  EXPECT_EQ(Answer("map", "string.upper(value) -- loud", "ab"), "Y 'AB'");
  EXPECT_EQ(Answer("map", "value.nothing", Map{{"a", 1}}), "Y None");
  EXPECT_EQ(Answer("map", "math.max(\n  value[1],\n  value[2])", List{1, 5}), "Y 5");
}

TEST_F(ExpressionStagesTest, FilterAnswersWithTheValueOrNull) {
  Coroutine large = Begin("filter", "value > 3");
  EXPECT_EQ(Send(large, 5), "Y 5");
  EXPECT_EQ(Send(large, 2), "Y None");
  EXPECT_EQ(Next(large), "Y None");
  EXPECT_EQ(Answer("filter", "value.flag", Map{{"flag", Value()}}), "Y None");
  EXPECT_EQ(Answer("filter", "0", "a"), "Y 'a'");
}

TEST_F(ExpressionStagesTest, WhatAnExpressionRaisesEndsTheStage) {
  Coroutine field = Begin("map", "value.a.b");
  EXPECT_EQ(Send(field, Map()), "X RuntimeError: map:1: attempt to index a nil value (field 'a')");
  EXPECT_EQ(Send(field, Map()), "R None");
  EXPECT_EQ(Answer("filter", "error({type = 'ValueError', message = 'no'})", 1), "X ValueError: no");
}

TEST_F(ExpressionStagesTest, WhatIsNoExpressionIsRefused) {
  EXPECT_THAT(RefusalOf("value.price *"), AllOf(HasSubstr("argument 'expression' must be an expression in Lua"),
                                                HasSubstr("expression:1: unexpected symbol near <eof>")));
  for (const char* wrong : {"", " ", "--", "1, 2", "value;", "1) + (2", "1 end while true do", "value) end error(",
                            "value --[[", "return 1", "...", "value = 2", "1\n) end --", "]]"}) {
    EXPECT_THAT(RefusalOf(wrong), HasSubstr("must be an expression in Lua")) << wrong;
  }
  EXPECT_THAT(RefusalOf(std::string(5'000, ' ') + "1"), HasSubstr("must have at most 4096 bytes"));
}

TEST_F(ExpressionStagesTest, NothingIsLeftOfAnEvaluation) {
  for (const char* counter :
       {"(function() n = (n or 0) + 1 return n end)()", "(function() _ENV.n = (_ENV.n or 0) + 1 return n end)()",
        "(function() _G.n = (_G.n or 0) + 1 return n end)()",
        "(function() rawset(_ENV, 'n', (n or 0) + 1) return n end)()"}) {
    Coroutine coroutine = Begin("map", counter);
    EXPECT_EQ(Send(coroutine, 1), "Y 1") << counter;
    EXPECT_EQ(Send(coroutine, 1), "Y 1") << counter;
  }
  EXPECT_THAT(Answer("map", "(function() string.n = 1 end)()", 1), HasSubstr("X "));
  EXPECT_EQ(Answer("map", "getmetatable(_ENV)", 1), "Y False");
}

TEST_F(ExpressionStagesTest, AnExpressionCannotStopTheStage) {
  for (const char* stops : {"yield(1)", "delegate('averager')", "coroutine.yield(1)", "finally(print)"}) {
    EXPECT_THAT(Answer("map", stops, 1), HasSubstr("X RuntimeError: map:1: attempt to")) << stops;
  }
}

TEST_F(ExpressionStagesTest, StagesAreRestartable) {
  std::vector<CheckedCommand> commands{CheckedCommand::Send(Value())};
  for (int i = 0; i < 20; ++i) commands.push_back(CheckedCommand::Send(i));
  commands.push_back(CheckedCommand::Throw(Exception("ValueError")));
  for (const char* stage : {"map", "filter"}) {
    const auto bound = Bind(stage, "value % 3 == random(0)");
    const auto bound_below = Bind(stage, "value * math.random() > 2");
    for (const auto& arguments : {bound, bound_below}) {
      const RestartCheck check =
          CheckRestarts(*catalog_.Find(stage), std::get<std::vector<Value>>(arguments), commands);
      EXPECT_FALSE(check.difference) << check.difference->what;
      EXPECT_GT(check.restarts, 0u);
    }
    const auto made = catalog_.Find(stage)->Restart(std::get<std::vector<Value>>(bound), "no state");
    ASSERT_TRUE(std::holds_alternative<Exception>(made));
    EXPECT_EQ(std::get<Exception>(made).type(), "TypeError");
  }
}

TEST_F(ExpressionStagesTest, WhatIsGoneIsNotKeptCompiled) {
  const auto churn = [this] {
    for (int i = 0; i < 2'000; ++i) {
      Coroutine coroutine = Begin("map", "value + " + std::to_string(i));
      EXPECT_EQ(Send(coroutine, 1), "Y " + std::to_string(i + 1));
    }
  };
  churn();
  const std::size_t before = scripts_.bytes();
  churn();
  churn();
  EXPECT_LT(scripts_.bytes(), before + before / 2);
}

}  // namespace
}  // namespace corod::lua
