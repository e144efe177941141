#include "server/coroutine/fingerprint.h"

#include <limits>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/coroutine/map.h"
#include "server/coroutine/text_form.h"

namespace corod {
namespace {

std::uint64_t Of(const Value& value) { return Fingerprint().Add(value).value(); }

TEST(FingerprintTest, ValuesThatDifferHaveDifferentOnes) {
  const std::vector<Value> values = {
      nullptr,
      false,
      true,
      0,
      1,
      -1,
      0.0,
      -0.0,
      1.0,
      "",
      "1",
      "a",
      Value::Blob(""),
      Value::Blob("a"),
      List{},
      List{nullptr},
      List{Value(List{})},
      List{1, 2},
      List{2, 1},
      Map{},
      Map{{"a", 1}},
      Map{{"a", 1}, {"b", 2}},
      Map{{"b", 2}, {"a", 1}},
      Message{"a", "b"},
      Message{"ab", ""},
      Exception("E"),
      Exception("E", {1}),
      Exception("E", {}, {"B"}),
  };
  std::set<std::uint64_t> fingerprints;
  for (const Value& value : values) EXPECT_TRUE(fingerprints.insert(Of(value)).second) << Repr(value);
}

TEST(FingerprintTest, EqualValuesHaveEqualOnes) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Of(nan), Of(-nan));
  EXPECT_EQ(Of(List{1, Map{{"k", "v"}}}), Of(List{1, Map{{"k", "v"}}}));
  Exception a("ValueError", {"v"});
  const Exception b("ValueError", {"v"});
  a.SetTraceback("not compared");
  EXPECT_EQ(Of(a), Of(b));
}

TEST(FingerprintTest, NotesCauseAndContextCount) {
  std::set<std::uint64_t> fingerprints;
  const Exception other("KeyError");
  Exception plain("ValueError");
  Exception noted("ValueError");
  noted.AddNote("n");
  Exception caused("ValueError");
  caused.SetCause(other);
  Exception while_handling("ValueError");
  while_handling.SetContext(other);
  for (const Exception& each : {plain, noted, caused, while_handling}) fingerprints.insert(Of(each));
  EXPECT_EQ(fingerprints.size(), 4u);
}

TEST(FingerprintTest, AContextThatIsTheCauseCountsAsOneThatIsLikeIt) {
  Exception one("ValueError");
  one.SetCause(Exception("KeyError"));
  one.SetContext(Exception("KeyError"));
  Exception other("ValueError");
  const Exception shared("KeyError");
  other.SetCause(shared);
  other.SetContext(shared);
  EXPECT_EQ(Of(one), Of(other));
}

TEST(FingerprintTest, ALongChainOfRaiseFromTakesAsManyStepsAsItHasLevels) {
  Exception last("ValueError");
  for (int i = 0; i < 1000; ++i) {
    Exception next("ValueError");
    next.SetCause(last);
    next.SetContext(last);
    last = next;
  }
  EXPECT_NE(Of(last), Of(*last.cause()));
}

// What journals hold stays readable.
TEST(FingerprintTest, ItStaysAsItIs) {
  const Value value =
      List{nullptr, true, -7, 0.5, "text", Value::Blob("b"), Map{{"k", 1}}, Exception("ValueError", {"v"})};
  EXPECT_EQ(Of(value), 10501107519710765076u);
}

}  // namespace
}  // namespace corod
