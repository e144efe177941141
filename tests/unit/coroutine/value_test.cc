#include "server/coroutine/value.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/coroutine/errors.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/map.h"
#include "server/coroutine/text_form.h"

namespace corod {
namespace {

using Kind = Value::Kind;

// One of every kind.
std::vector<Value> OneOfEach() {
  return {nullptr,
          true,
          1,
          1.5,
          "text",
          Value::Blob("blob"),
          List{1},
          Map{{"k", 1}},
          Message{"t", "p"},
          Exception("ValueError", {"v"})};
}

template <typename F>
std::string TypeErrorOf(const F& f) {
  try {
    f();
  } catch (const py::TypeError& e) {
    return e.message();
  }
  return "nothing was raised";
}

TEST(ValueTest, EachConstructorGivesItsKind) {
  const std::vector<Value> values = OneOfEach();
  const Kind kinds[] = {Kind::kNull, Kind::kBoolean, Kind::kInteger, Kind::kNumber,  Kind::kText,
                        Kind::kBlob, Kind::kList,    Kind::kMap,     Kind::kMessage, Kind::kException};
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i].kind(), kinds[i]) << i;
  EXPECT_EQ(Value().kind(), Kind::kNull);
}

TEST(ValueTest, ABooleanIsNoInteger) {
  EXPECT_EQ(Value(true).kind(), Kind::kBoolean);
  EXPECT_EQ(Value(1 == 1).kind(), Kind::kBoolean);
  EXPECT_FALSE(Value(true) == Value(1));
}

TEST(ValueTest, EveryIntegerTypeStaysAnInteger) {
  for (const Value& value : {Value(std::int8_t{-5}), Value(std::uint8_t{251}), Value(std::int64_t{-5}),
                             Value(std::size_t{5}), Value(static_cast<short>(5)), Value(5L), Value(5ULL)}) {
    EXPECT_EQ(value.kind(), Kind::kInteger);
  }
  EXPECT_EQ(Value(std::int8_t{-5}).AsInteger(), -5);
  EXPECT_EQ(Value(std::uint8_t{251}).AsInteger(), 251);
  EXPECT_EQ(Value(std::numeric_limits<std::int64_t>::min()).AsInteger(), std::numeric_limits<std::int64_t>::min());
}

TEST(ValueTest, ANumberStaysANumber) {
  EXPECT_EQ(Value(10.0).kind(), Kind::kNumber);
  EXPECT_FALSE(Value(10.0) == Value(10));
}

TEST(ValueTest, EveryFormOfTextIsText) {
  EXPECT_EQ(Value("a"), Value(std::string("a")));
  EXPECT_EQ(Value("a"), Value(std::string_view("a")));
  EXPECT_EQ(Value(std::string("a\0b", 3)).AsText().size(), 3u);
}

TEST(ValueTest, ABlobIsNoText) {
  EXPECT_FALSE(Value::Blob("a") == Value("a"));
  EXPECT_EQ(Value::Blob("a").AsBlob(), "a");
}

TEST(ValueTest, TypeNamesArePythons) {
  const std::vector<std::string> names = {"NoneType", "bool", "int",  "float", "str",
                                          "bytes",    "list", "dict", "Any",   "ValueError"};
  const std::vector<Value> values = OneOfEach();
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i].TypeName(), names[i]);
  EXPECT_EQ(Value(Exception("app.Error")).TypeName(), "Error");
}

TEST(ValueTest, TruthIsPythons) {
  for (const Value& value : {Value(), Value(false), Value(0), Value(0.0), Value(-0.0), Value(""), Value::Blob(""),
                             Value(List{}), Value(Map{})}) {
    EXPECT_FALSE(value.IsTrue()) << Repr(value);
  }
  for (const Value& value : {Value(true), Value(-1), Value(0.5), Value(std::numeric_limits<double>::quiet_NaN()),
                             Value("0"), Value::Blob("b"), Value(List{nullptr}), Value(Map{{"", nullptr}}),
                             Value(Message{}), Value(Exception("ValueError"))}) {
    EXPECT_TRUE(value.IsTrue()) << Repr(value);
  }
}

TEST(ValueTest, AccessorsGiveWhatWasPutIn) {
  EXPECT_EQ(Value(true).AsBoolean(), true);
  EXPECT_EQ(Value(7).AsInteger(), 7);
  EXPECT_EQ(Value(0.5).AsNumber(), 0.5);
  EXPECT_EQ(Value(List{1, 2}).AsList().size(), 2u);
  EXPECT_EQ(*Value(Map{{"k", 1}}).AsMap().Find("k"), Value(1));
  EXPECT_EQ(Value(Message{"t", "p"}).AsMessage(), (Message{"t", "p"}));
}

TEST(ValueTest, IntegersAndBooleansAreNumbersAsInPython) {
  EXPECT_EQ(Value(true).AsInteger(), 1);
  EXPECT_EQ(Value(3).AsNumber(), 3.0);
  EXPECT_EQ(Value(true).AsNumber(), 1.0);
}

TEST(ValueTest, AnAccessorOfAnotherKindRaisesTypeError) {
  EXPECT_EQ(TypeErrorOf([] { Value(1.0).AsInteger(); }), "'float' object cannot be interpreted as an integer");
  EXPECT_EQ(TypeErrorOf([] { Value("1").AsNumber(); }), "must be real number, not str");
  EXPECT_EQ(TypeErrorOf([] { Value(1).AsBoolean(); }), "expected bool, not int");
  EXPECT_EQ(TypeErrorOf([] { Value::Blob("a").AsText(); }), "expected str, not bytes");
  EXPECT_EQ(TypeErrorOf([] { Value("a").AsBlob(); }), "expected bytes, not str");
  EXPECT_EQ(TypeErrorOf([] { Value().AsList(); }), "expected list, not NoneType");
  EXPECT_EQ(TypeErrorOf([] { Value(List{}).AsMap(); }), "expected dict, not list");
  EXPECT_EQ(TypeErrorOf([] { Value(Map{}).AsMessage(); }), "expected Any, not dict");
  EXPECT_EQ(TypeErrorOf([] { Value(5).MutableList(); }), "expected list, not int");
  EXPECT_EQ(TypeErrorOf([] { Value(5).MutableMap(); }), "expected dict, not int");
}

TEST(ValueTest, WhatIsMovedFromIsNull) {
  for (Value& value : OneOfEach()) {
    const Value copy = value;
    const Value moved = std::move(value);
    EXPECT_TRUE(value.is_null());
    EXPECT_EQ(moved, copy);
  }
}

TEST(ValueTest, AssignmentReplacesEveryKindByEveryOther) {
  for (const Value& from : OneOfEach()) {
    for (Value to : OneOfEach()) {
      to = from;
      EXPECT_EQ(to, from);
      to = Value(from);
      EXPECT_EQ(to, from);
    }
  }
}

TEST(ValueTest, AssigningAValueToItselfKeepsIt) {
  for (Value& value : OneOfEach()) {
    const Value copy = value;
    Value& same = value;
    value = same;
    EXPECT_EQ(value, copy);
    value = std::move(same);
    EXPECT_EQ(value, copy);
  }
}

TEST(ValueTest, CopiesShareUntilOneIsChanged) {
  Value a = List{1};
  Value b = a;
  EXPECT_EQ(&a.AsList(), &b.AsList());
  b.MutableList().push_back(2);
  EXPECT_EQ(a, Value(List{1}));
  EXPECT_EQ(b, (Value(List{1, 2})));
}

TEST(ValueTest, ChangingAMapLeavesItsCopyAlone) {
  Value a = Map{{"k", 1}};
  const Value b = a;
  a.MutableMap()["k"] = 2;
  EXPECT_EQ(*b.AsMap().Find("k"), Value(1));
}

TEST(ValueTest, WhatNobodySharesIsChangedInPlace) {
  Value value = List{1};
  const List* before = &value.AsList();
  value.MutableList()[0] = 2;
  EXPECT_EQ(&value.AsList(), before);
}

TEST(ValueTest, AListInAListIsCopiedOnlyAsDeepAsItIsChanged) {
  Value a = List{List{1}, List{2}};
  Value b = a;
  b.MutableList()[0].MutableList().push_back(9);
  EXPECT_EQ(Repr(a), "[[1], [2]]");
  EXPECT_EQ(Repr(b), "[[1, 9], [2]]");
  EXPECT_EQ(&a.AsList()[1].AsList(), &b.AsList()[1].AsList());
}

TEST(ValueTest, AnExceptionIsOneObjectForAllItsHolders) {
  const Value a = Exception("ValueError");
  const Value b = a;
  b.AsException().AddNote("seen");
  EXPECT_EQ(a.AsException().notes(), std::vector<std::string>{"seen"});
}

TEST(ValueTest, EachKindEqualsItselfAlone) {
  const std::vector<Value> a = OneOfEach();
  const std::vector<Value> b = OneOfEach();
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) EXPECT_EQ(a[i] == b[j], i == j) << i << " " << j;
  }
}

TEST(ValueTest, NumbersAreEqualByContent) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Value(nan), Value(-nan));
  EXPECT_EQ(Value(nan), Value(std::numeric_limits<double>::signaling_NaN()));
  EXPECT_FALSE(Value(0.0) == Value(-0.0));
}

TEST(ValueTest, AListOfOneListIsNotItsItem) {
  const Value nested(List{Value(List{1})});
  EXPECT_EQ(Repr(nested), "[[1]]");
}

}  // namespace
}  // namespace corod
