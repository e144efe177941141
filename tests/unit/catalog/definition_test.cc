#include "server/catalog/definition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "server/catalog/registration.h"
#include "server/coroutine/map.h"

namespace corod {
namespace {

using ::testing::ElementsAre;

Coroutine Nothing(std::int64_t, double, bool, std::string, Value) { co_return Value(); }

class BindArgumentsTest : public ::testing::Test {
 protected:
  std::vector<Value> Bound(const Map& arguments) const {
    const auto result = definition_.BindArguments(arguments);
    if (const auto* error = std::get_if<ArgumentError>(&result)) ADD_FAILURE() << error->message;
    return std::holds_alternative<ArgumentError>(result) ? std::vector<Value>() : std::get<std::vector<Value>>(result);
  }

  ArgumentError Refused(const Map& arguments) const {
    const auto result = definition_.BindArguments(arguments);
    return std::holds_alternative<ArgumentError>(result) ? std::get<ArgumentError>(result) : ArgumentError();
  }

  std::string Message(const Map& arguments) const { return Refused(arguments).message; }

  const Definition definition_ = Native("thing", 1, &Nothing)
                                     .Takes("size", "", AtLeast(1), AtMost(9))
                                     .Takes("ratio", "", Optional(0.5), AtLeast(0))
                                     .Takes("keep", "", Optional(false))
                                     .Takes("name", "", Optional(""))
                                     .Takes("anything", "", Optional(nullptr));
};

TEST_F(BindArgumentsTest, ArgumentsComeInTheOrderOfParameters) {
  EXPECT_THAT(Bound({{"anything", List{1}}, {"name", "n"}, {"keep", true}, {"ratio", 2.5}, {"size", 3}}),
              ElementsAre(Value(3), Value(2.5), Value(true), Value("n"), Value(List{1})));
}

TEST_F(BindArgumentsTest, DefaultsAreFilledIn) {
  EXPECT_THAT(Bound({{"size", 3}}), ElementsAre(Value(3), Value(0.5), Value(false), Value(""), Value()));
}

TEST_F(BindArgumentsTest, IntegerBecomesNumberWhereNumberIsAsked) {
  EXPECT_THAT(Bound({{"size", 3}, {"ratio", 2}}), ElementsAre(Value(3), Value(2.0), Value(false), Value(""), Value()));
}

TEST_F(BindArgumentsTest, MissingArgumentNamesTheParameter) {
  EXPECT_EQ(Refused({}).parameter, "size");
  EXPECT_EQ(Message({}), "argument 'size' is missing; it must be an integer, at least 1, at most 9");
}

TEST_F(BindArgumentsTest, UnknownArgumentNamesThoseThatThereAre) {
  EXPECT_EQ(Refused({{"size", 1}, {"sise", 1}}).parameter, "sise");
  EXPECT_EQ(Message({{"size", 1}, {"sise", 1}}),
            "there is no argument 'sise': 'thing' takes 'size', 'ratio', 'keep', 'name' and 'anything'");
}

TEST_F(BindArgumentsTest, ArgumentOfWrongTypeSaysWhatWouldDo) {
  EXPECT_EQ(Refused({{"size", "abc"}}).parameter, "size");
  EXPECT_EQ(Message({{"size", "abc"}}), "argument 'size' must be an integer, at least 1, at most 9; got 'abc' (str)");
  EXPECT_EQ(Message({{"size", 1}, {"ratio", "1"}}), "argument 'ratio' must be a number, at least 0; got '1' (str)");
  EXPECT_EQ(Message({{"size", 1}, {"keep", 1}}), "argument 'keep' must be a boolean; got 1 (int)");
  EXPECT_EQ(Message({{"size", 1}, {"name", nullptr}}), "argument 'name' must be a text; got None (NoneType)");
}

TEST_F(BindArgumentsTest, BooleanIsNeitherIntegerNorNumber) {
  EXPECT_EQ(Message({{"size", true}}), "argument 'size' must be an integer, at least 1, at most 9; got True (bool)");
  EXPECT_EQ(Message({{"size", 1}, {"ratio", true}}), "argument 'ratio' must be a number, at least 0; got True (bool)");
}

TEST_F(BindArgumentsTest, NumberIsNoIntegerEvenIfItIsWhole) {
  EXPECT_EQ(Message({{"size", 3.0}}), "argument 'size' must be an integer, at least 1, at most 9; got 3.0 (float)");
}

TEST_F(BindArgumentsTest, FailedCheckSaysWhichOne) {
  EXPECT_EQ(Refused({{"size", 0}}).parameter, "size");
  EXPECT_EQ(Message({{"size", 0}}), "argument 'size' must be at least 1; got 0");
  EXPECT_EQ(Message({{"size", 10}}), "argument 'size' must be at most 9; got 10");
}

TEST_F(BindArgumentsTest, RangeOfNumberHasNoOtherEndAndHoldsNoNan) {
  EXPECT_EQ(Bound({{"size", 1}, {"ratio", 1e300}})[1], Value(1e300));
  EXPECT_EQ(Message({{"size", 1}, {"ratio", std::numeric_limits<double>::quiet_NaN()}}),
            "argument 'ratio' must be at least 0; got nan");
}

TEST_F(BindArgumentsTest, LongArgumentIsCutInTheMessageBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "\u20ac";
  const std::string message = Message({{"size", text}});
  EXPECT_LT(message.size(), 200u);
  EXPECT_THAT(message, ::testing::EndsWith("\u20ac... (str)"));
}

TEST_F(BindArgumentsTest, CoroutineWithoutParametersSaysSo) {
  const Definition definition = Native("bare", 1, +[]() -> Coroutine { co_return Value(); });
  const auto result = definition.BindArguments({{"size", 1}});
  EXPECT_EQ(std::get<ArgumentError>(result).message, "there is no argument 'size': 'bare' takes no arguments");
}

}  // namespace
}  // namespace corod
