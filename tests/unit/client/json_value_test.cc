#include "client/cli/json_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "server/coroutine/map.h"

namespace corod::cli {
namespace {

using ::testing::HasSubstr;

Value Parsed(std::string_view text) {
  const absl::StatusOr<Value> value = ParseJson(text);
  EXPECT_TRUE(value.ok()) << text << ": " << value.status();
  return value.ok() ? *value : Value();
}

std::string ParseError(std::string_view text) {
  const absl::StatusOr<Value> value = ParseValue(text);
  EXPECT_FALSE(value.ok()) << text;
  return std::string(value.status().message());
}

void ExpectRoundTrip(const Value& value, const std::string& json) {
  EXPECT_EQ(ToJson(value), json);
  EXPECT_EQ(Parsed(json), value) << json;
}

TEST(JsonValueTest, ScalarsKeepTheirKind) {
  ExpectRoundTrip(Value(), "null");
  ExpectRoundTrip(Value(true), "true");
  ExpectRoundTrip(Value(10), "10");
  ExpectRoundTrip(Value(10.0), "10.0");
  ExpectRoundTrip(Value(-0.0), "-0.0");
  ExpectRoundTrip(Value("10"), "\"10\"");
}

TEST(JsonValueTest, NumbersReadBackAsTheSameNumber) {
  ExpectRoundTrip(Value(0.1), "0.1");
  ExpectRoundTrip(Value(1e16), "1e+16");
  ExpectRoundTrip(Value(123456789012345680.0), "1.2345678901234568e+17");
  ExpectRoundTrip(Value(1e-5), "1e-05");
  ExpectRoundTrip(Value(std::numeric_limits<double>::max()), "1.7976931348623157e+308");
  ExpectRoundTrip(Value(std::numeric_limits<double>::denorm_min()), "5e-324");
  ExpectRoundTrip(Value(9007199254740993.0), "9007199254740992.0");
}

TEST(JsonValueTest, IntegersHave64Bits) {
  ExpectRoundTrip(Value(std::numeric_limits<std::int64_t>::max()), "9223372036854775807");
  ExpectRoundTrip(Value(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  for (const char* text : {"9223372036854775808", "-9223372036854775809", "99999999999999999999999"}) {
    EXPECT_THAT(ParseError(text), HasSubstr("beyond 64 bits")) << text;
  }
}

TEST(JsonValueTest, WhatIsNotFiniteHasAWord) {
  ExpectRoundTrip(Value(std::nan("")), R"({"$number": "nan"})");
  ExpectRoundTrip(Value(std::numeric_limits<double>::infinity()), R"({"$number": "inf"})");
  ExpectRoundTrip(Value(-std::numeric_limits<double>::infinity()), R"({"$number": "-inf"})");
  EXPECT_THAT(ParseError("1e400"), HasSubstr("beyond the range"));
}

TEST(JsonValueTest, TextEscapesControlCharactersAlone) {
  ExpectRoundTrip(Value("a\"b\\c\n\r\t"), R"("a\"b\\c\n\r\t")");
  ExpectRoundTrip(Value(std::string("\0\x1b[31m", 6)), R"("\u0000\u001b[31m")");
  ExpectRoundTrip(Value("\xc2\x9b"), R"("\u009b")");
  ExpectRoundTrip(Value("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"");
}

TEST(JsonValueTest, MapsKeepTheirOrder) {
  ExpectRoundTrip(Value(Map{{"b", 1}, {"a", List{Value(2), Value(2.0), Value()}}, {"", Map()}}),
                  R"({"b": 1, "a": [2, 2.0, null], "": {}})");
}

TEST(JsonValueTest, AKeyThatComesTwiceKeepsItsFirstPlaceAndItsLastValue) {
  EXPECT_EQ(Parsed(R"({"a": 1, "b": 2, "a": 3})"), Value(Map{{"a", 3}, {"b", 2}}));
}

TEST(JsonValueTest, BytesAreBase64) {
  ExpectRoundTrip(Value::Blob("hi"), R"({"$bytes": "aGk="})");
  ExpectRoundTrip(Value(List{Value::Blob(std::string("\xff\0", 2))}), R"([{"$bytes": "/wA="}])");
  EXPECT_THAT(ParseError(R"({"$bytes": "*"})"), HasSubstr("base64"));
  EXPECT_THAT(ParseError(R"({"$bytes": 5})"), HasSubstr("base64"));
}

TEST(JsonValueTest, MessagesKeepTheirBytes) {
  ExpectRoundTrip(Value(Message{"type.googleapis.com/a.B", "\x08\x01"}),
                  R"({"$message": {"type_url": "type.googleapis.com/a.B", "value": "CAE="}})");
}

TEST(JsonValueTest, ExceptionsKeepTheirChain) {
  const Exception cause("KeyError", {Value("k")});
  Exception exception("mine.Error", {Value(1), Value(2.0)}, {"LookupError"});
  exception.AddNote("a note");
  exception.SetCause(cause);
  exception.SetContext(cause);
  ExpectRoundTrip(Value(exception),
                  R"json({"$exception": {"type": "mine.Error", "message": "(1, 2.0)", "arguments": [1, 2.0], )json"
                  R"json("bases": ["LookupError"], "notes": ["a note"], )json"
                  R"json("cause": {"type": "KeyError", "message": "'k'", "arguments": ["k"]}, )json"
                  R"json("context_is_cause": true}})json");
}

TEST(JsonValueTest, AnExceptionNeedsNoMoreThanAType) {
  const Value value = Parsed(R"({"$exception": {"type": "KeyError", "arguments": ["k"]}})");
  EXPECT_EQ(value.AsException().message(), "'k'");
}

TEST(JsonValueTest, AContextThatIsSuppressedStaysSo) {
  Exception exception("ValueError", {Value("v")});
  exception.SetContext(Exception("KeyError"));
  exception.SetSuppressContext(true);
  ExpectRoundTrip(Value(exception), R"({"$exception": {"type": "ValueError", "message": "v", "arguments": ["v"], )"
                                    R"("context": {"type": "KeyError", "message": ""}, "suppress_context": true}})");
}

TEST(JsonValueTest, WrongExceptionsSayWhatIsWrong) {
  EXPECT_THAT(ParseError(R"({"$exception": {}})"), HasSubstr("needs a \"type\""));
  EXPECT_THAT(ParseError(R"({"$exception": 5})"), HasSubstr("must hold a map"));
  EXPECT_THAT(ParseError(R"({"$exception": {"type": "E", "notes": [5]}})"), HasSubstr("list of texts"));
  EXPECT_THAT(ParseError(R"({"$exception": {"type": "E", "colour": 5}})"), HasSubstr("unknown key, \"colour\""));
  EXPECT_THAT(ParseError(R"({"$exception": {"type": "E", "cause": {}}})"), HasSubstr("needs a \"type\""));
}

TEST(JsonValueTest, AMapThatLooksLikeSomethingElseIsWrapped) {
  ExpectRoundTrip(Value(Map{{"$bytes", "aGk="}}), R"({"$map": {"$bytes": "aGk="}})");
  ExpectRoundTrip(Value(Map{{"$map", Map{{"$number", "nan"}}}}), R"({"$map": {"$map": {"$map": {"$number": "nan"}}}})");
  ExpectRoundTrip(Value(Map{{"$map", Value::Blob("hi")}, {"x", 1}}),
                  R"({"$map": {"$map": {"$bytes": "aGk="}, "x": 1}})");
  ExpectRoundTrip(Value(Map{{"x", 1}, {"$bytes", "aGk="}}), R"({"x": 1, "$bytes": "aGk="})");
  ExpectRoundTrip(Value(Map{{"$set", 1}}), R"({"$set": 1})");
  EXPECT_THAT(ParseError(R"({"$bytes": "aGk=", "x": 1})"), HasSubstr("no other keys"));
  EXPECT_THAT(ParseError(R"({"$map": 1})"), HasSubstr("must hold a map"));
}

TEST(ParseValueTest, WhatIsNotJsonIsText) {
  for (const char* text :
       {"a", "hello world", "", "-", "tru", "NaN", "Infinity", "007", "1.2.3", "10 20", "--x", "caf\xc3\xa9"}) {
    const absl::StatusOr<Value> value = ParseValue(text);
    ASSERT_TRUE(value.ok()) << text << value.status();
    EXPECT_EQ(*value, Value(text));
  }
}

TEST(ParseValueTest, WhatIsJsonIsNotText) {
  EXPECT_EQ(*ParseValue(" 10 "), Value(10));
  EXPECT_EQ(*ParseValue("1e3"), Value(1000.0));
  EXPECT_EQ(*ParseValue("\"a\""), Value("a"));
  EXPECT_EQ(*ParseValue("[]"), Value(List()));
}

TEST(ParseValueTest, ASlipInJsonIsNotSentAsText) {
  for (const char* text : {"{\"a\": 1", "[1, 2", "\"a", "[a]", "{a: 1}", R"("\ud800")"}) {
    EXPECT_THAT(ParseError(text), HasSubstr("begins as JSON but is not JSON")) << text;
  }
}

TEST(ParseValueTest, TextThatIsNotUtf8IsRefused) { EXPECT_EQ(ParseError("a\xff"), "not UTF-8"); }

TEST(ParseValueTest, DeepNestingIsParsedAndBottomlessNestingRefused) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(ToJson(Parsed(nested(1000))), nested(1000));
  EXPECT_THAT(ParseError(nested(100000)), HasSubstr("nests more than"));
}

}  // namespace
}  // namespace corod::cli
