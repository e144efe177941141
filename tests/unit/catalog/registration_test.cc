#include "server/catalog/registration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "server/catalog/catalog.h"
#include "server/coroutine/map.h"

namespace corod {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

Coroutine Echo(bool boolean, std::int64_t integer, double number, std::string text, Value any) {
  co_yield List{boolean, integer, number, text, any};
  co_return Value();
}

Coroutine Finished() noexcept { co_return Value(); }

bool IsShort(const Value& value) { return value.AsText().size() < 4; }

NativeDefinition EchoWith(ParameterRule rule) {
  return Native("echo", 7, &Echo)
      .Takes("boolean", "a switch", Optional(true))
      .Takes("integer", "how many", Between(-5, 5))
      .Takes("number", "how much", std::move(rule))
      .Takes("text", "which", MustBe("short", &IsShort))
      .Takes("any", "what")
      .StopsWhen("always");
}

TEST(RegistrationTest, TypesAreThoseOfTheSignature) {
  const Definition definition = EchoWith(AtMost(1));
  std::vector<std::string> types;
  for (const Parameter& parameter : definition.parameters) types.push_back(parameter.type_text);
  EXPECT_THAT(types, ElementsAre("boolean", "integer, from -5 to 5", "number, at most 1", "text, short", "any value"));
  EXPECT_EQ(definition.parameters[4].type, ParameterType::kValue);
  EXPECT_EQ(definition.version, 7u);
}

TEST(RegistrationTest, BodyGetsItsArguments) {
  const Definition definition = EchoWith(AtMost(1));
  const auto bound = definition.BindArguments({{"integer", 5}, {"number", -1}, {"text", "abc"}, {"any", Map()}});
  Coroutine coroutine = definition.create(std::get<std::vector<Value>>(bound), 0);
  EXPECT_EQ(coroutine.Next(), Outcome::Yielded(List{true, 5, -1.0, "abc", Map()}));
}

TEST(RegistrationTest, CreatingRunsNothingOfTheBody) {
  const Definition definition = Native("finished", 1, &Finished);
  const Coroutine coroutine = definition.create({}, 0);
  EXPECT_EQ(coroutine.state(), CoroutineState::kCreated);
}

struct Sum {
  double total = 0;

  Value Save() const { return total; }
  static Sum Load(const Value& saved) { return {saved.AsNumber()}; }
};

Coroutine Scaled(Kept<Sum> sum, double factor, std::string unit) {
  while (true) {
    Value sent = co_yield List{factor * sum->total, unit};
    if (sent.is_null()) co_return "done";
    sum->total += sent.AsNumber();
  }
}

Definition ScaledSum() { return Native("scaled", 2, &Scaled).Takes("factor", "").Takes("unit", "").StopsWhen("null"); }

TEST(RegistrationTest, BodyThatTakesAKeptIsRestartableAndTheKeptIsNoParameter) {
  const Definition definition = ScaledSum();
  EXPECT_TRUE(definition.restartable);
  EXPECT_EQ(definition.parameters.size(), 2u);
  EXPECT_EQ(definition.parameters[0].type, ParameterType::kNumber);
  Coroutine coroutine = definition.create({2.0, "m"}, 0);
  EXPECT_EQ(coroutine.Next(), Outcome::Yielded(List{0.0, "m"}));
  EXPECT_EQ(coroutine.Send(3), Outcome::Yielded(List{6.0, "m"}));
  EXPECT_EQ(coroutine.Save(), Value(3.0));
}

TEST(RegistrationTest, RestartedCoroutineWaitsWhereTheSavedOneDid) {
  auto restarted = ScaledSum().Restart({2.0, "m"}, Value(3.0));
  auto& coroutine = std::get<Coroutine>(restarted);
  EXPECT_EQ(coroutine.state(), CoroutineState::kSuspended);
  EXPECT_EQ(coroutine.Save(), Value(3.0));
  EXPECT_EQ(coroutine.Send(1), Outcome::Yielded(List{8.0, "m"}));
}

TEST(RegistrationTest, RestartWithWhatIsNoStateGivesWhatLoadRaised) {
  const auto restarted = ScaledSum().Restart({2.0, "m"}, "none");
  EXPECT_EQ(std::get<Exception>(restarted).type(), "TypeError");
}

Coroutine RaisesWhenRestarted(Kept<Sum> sum) {
  if (sum->total > 0) throw py::KeyError("lost");
  co_yield 1;
  co_return Value();
}

TEST(RegistrationTest, RestartOfABodyThatRaisesGivesWhatItRaised) {
  const Definition definition = Native("raises", 1, &RaisesWhenRestarted);
  const auto restarted = definition.Restart({}, Value(1.0));
  EXPECT_EQ(std::get<Exception>(restarted).type(), "KeyError");
}

TEST(RegistrationTest, BodyWithoutKeptIsNotRestartable) {
  const Definition definition = Native("finished", 1, &Finished);
  EXPECT_FALSE(definition.restartable);
  EXPECT_FALSE(definition.restart);
  const auto restarted = definition.Restart({}, Value());
  EXPECT_EQ(std::get<Exception>(restarted).message(), "finished version 1 is not restartable");
}

TEST(RegistrationTest, MustBeIsAskedWithItsWords) {
  const Definition definition = EchoWith(AtMost(1));
  const auto bound = definition.BindArguments({{"integer", 5}, {"number", -1}, {"text", "abcd"}, {"any", Map()}});
  EXPECT_EQ(std::get<ArgumentError>(bound).message, "argument 'text' must be short; got 'abcd'");
}

TEST(RegistrationTest, TooFewTakesNamesTheCoroutine) {
  Catalog catalog;
  EXPECT_THAT(
      [&] { catalog.Add(Native("echo", 1, &Echo).Takes("one", "").StopsWhen("never")); },
      ThrowsMessage<std::invalid_argument>("coroutine 'echo': its body has 5 parameter(s), Takes() describes 1"));
}

TEST(RegistrationTest, TooManyTakesNamesTheCoroutine) {
  Catalog catalog;
  EXPECT_THAT(
      [&] { catalog.Add(Native("finished", 1, &Finished).Takes("one", "").StopsWhen("never")); },
      ThrowsMessage<std::invalid_argument>("coroutine 'finished': its body has 0 parameter(s), Takes() describes 1"));
}

TEST(RegistrationTest, RangeOfTextIsRefused) {
  EXPECT_THAT([] { Native("echo", 1, &Echo).Takes("boolean", "", AtLeast(1)); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("'boolean'")));
}

TEST(RegistrationTest, DefaultThatItsParameterRefusesIsRefused) {
  Catalog catalog;
  EXPECT_THAT([&] { catalog.Add(EchoWith(Optional("no number"))); },
              ThrowsMessage<std::invalid_argument>(
                  "coroutine 'echo': its default: argument 'number' must be a number; got 'no number' (str)"));
}

TEST(RegistrationTest, ParametersOfOneNameAreRefused) {
  Catalog catalog;
  const NativeDefinition twice = Native(
                                     "twice", 1, +[](bool, bool) -> Coroutine { co_return Value(); })
                                     .Takes("a", "")
                                     .Takes("a", "")
                                     .StopsWhen("-");
  EXPECT_THAT([&] { catalog.Add(twice); },
              ThrowsMessage<std::invalid_argument>("coroutine 'twice': two parameters are 'a'"));
}

}  // namespace
}  // namespace corod
