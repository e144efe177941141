#include "server/coroutine/text_form.h"

#include <cstdlib>
#include <limits>
#include <string>

#include "gtest/gtest.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/map.h"

namespace corod {
namespace {

struct Case {
  Value value;
  std::string repr;
};

Value NamedNumber(const std::string& name) {
  if (name == "nan") return std::numeric_limits<double>::quiet_NaN();
  return name == "inf" ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
}

#define NUMBER(number, repr) {Value(number), repr},
#define NAMED_NUMBER(name, repr) {NamedNumber(name), repr},
#define INTEGER(digits, repr) {Value(std::strtoll(digits, nullptr, 10)), repr},
#define TEXT(bytes, size, repr) {Value(std::string(bytes, size)), repr},
#define BLOB(bytes, size, repr) {Value::Blob(std::string(bytes, size)), repr},
const Case kCases[] = {
#include "tests/unit/coroutine/text_form_answers.inc"
};

TEST(TextFormTest, ReprOfScalarsIsCPythons) {
  EXPECT_GT(std::size(kCases), 500u);
  for (const Case& c : kCases) EXPECT_EQ(Repr(c.value), c.repr);
}

TEST(TextFormTest, StrOfScalarsIsReprButForText) {
  for (const Case& c : kCases) {
    EXPECT_EQ(Str(c.value), c.value.kind() == Value::Kind::kText ? c.value.AsText() : c.repr);
  }
}

TEST(TextFormTest, ConstantsHavePythonsNames) {
  EXPECT_EQ(Repr(nullptr), "None");
  EXPECT_EQ(Repr(true), "True");
  EXPECT_EQ(Repr(false), "False");
}

TEST(TextFormTest, WhatIsInAListOrMapIsInItsRepr) {
  EXPECT_EQ(Repr(List{}), "[]");
  EXPECT_EQ(Repr(Map{}), "{}");
  EXPECT_EQ(Repr(List{1, 1.0, "a", nullptr, List{true}}), "[1, 1.0, 'a', None, [True]]");
  EXPECT_EQ(Repr(Map{{"b", 1}, {"it's", Map{{"k", Value::Blob("x")}}}}), "{'b': 1, \"it's\": {'k': b'x'}}");
  EXPECT_EQ(Str(List{"a"}), "['a']");
}

TEST(TextFormTest, AnExceptionShowsItsClassAndArguments) {
  EXPECT_EQ(Repr(Exception("ValueError")), "ValueError()");
  EXPECT_EQ(Repr(Exception("ValueError", {"v", 2})), "ValueError('v', 2)");
  EXPECT_EQ(Repr(Exception("app.Error", {Value(List{1})})), "Error([1])");
  EXPECT_EQ(Repr(List{Exception("KeyError", {"k"})}), "[KeyError('k')]");
}

TEST(TextFormTest, StrOfAnExceptionIsItsMessage) {
  EXPECT_EQ(Str(Exception("ValueError", {"v"})), "v");
  EXPECT_EQ(Str(Exception("KeyError", {"k"})), "'k'");
}

TEST(TextFormTest, InvalidUtf8IsEscapedByteByByte) { EXPECT_EQ(Repr(std::string("a\xff\xc3")), "'a\\xff\\xc3'"); }

TEST(TextFormTest, AMessageShowsItsType) {
  EXPECT_EQ(Repr(Message{"type.googleapis.com/corod.Sample", "payload"}), "Any(type.googleapis.com/corod.Sample)");
}

}  // namespace
}  // namespace corod
