#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "server/coroutine/limits.h"
#include "tests/unit/catalog/driving.h"

namespace corod {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class ParserTest : public DrivingTest {
 protected:
  static const Map& DetailsOf(const Outcome& outcome) {
    static Map details;
    details = outcome.exception().arguments().at(1).AsMap();
    return details;
  }
};

TEST_F(ParserTest, WhatIsNeitherTextNorBytesIsRefused) {
  for (const char* name : {"line_splitter", "csv_parser", "json_lines"}) {
    Create(name);
    EXPECT_THAT(Send(List{}), Raises("TypeError", "chunk must be str or bytes, not list")) << name;
  }
}

TEST_F(ParserTest, NullIsAnEmptyChunk) {
  for (const char* name : {"line_splitter", "csv_parser", "json_lines"}) {
    Create(name);
    EXPECT_THAT(Send("1"), Yields(List{}));
    EXPECT_THAT(Next(), Yields(List{})) << name;
  }
}

TEST_F(ParserTest, CloseWithNothingLeftReturnsNull) {
  for (const char* name : {"line_splitter", "csv_parser", "json_lines"}) {
    Create(name);
    Send("1\n");
    EXPECT_THAT(Close(), Returns(nullptr)) << name;
    EXPECT_THAT(Close(), Returns(nullptr)) << name;
  }
}

TEST_F(ParserTest, CharacterMayBeCutAnywhere) {
  const std::string text = "\"\u20ac\U0001f600\"\n";
  for (const auto& [name, expected] : {std::pair<const char*, Value>("line_splitter", text.substr(0, text.size() - 1)),
                                       {"csv_parser", ListOf("\u20ac\U0001f600")},
                                       {"json_lines", "\u20ac\U0001f600"}}) {
    Create(name);
    for (std::size_t i = 0; i + 1 < text.size(); ++i) EXPECT_THAT(Send(Value::Blob(text.substr(i, 1))), Yields(List{}));
    EXPECT_THAT(Send(Value::Blob("\n")), Yields(List{expected})) << name;
  }
}

TEST_F(ParserTest, ByteOrderMarkAtTheBeginningIsLeftOut) {
  for (const char* name : {"line_splitter", "csv_parser", "json_lines"}) {
    Create(name);
    EXPECT_THAT(Send(Value::Blob("\xef")), Yields(List{}));
    Send(Value::Blob("\xbb\xbf"));
    EXPECT_THAT(Send(Value::Blob("1\x80")), Raises("ValueError", "line 1, column 2: invalid UTF-8: byte 0x80")) << name;
  }
}

TEST_F(ParserTest, TextInsideACharacterIsMalformed) {
  Create("line_splitter");
  Send(Value::Blob("a\xc3"));
  EXPECT_THAT(Send("b"), Raises("ValueError", "line 1, column 2: invalid UTF-8: byte 0xC3"));
}

TEST_F(ParserTest, EndInsideACharacterIsMalformed) {
  Create("json_lines");
  Send(Value::Blob("\n\"\xc3"));
  EXPECT_THAT(Close(), Raises("ValueError", "line 2, column 2: the text ends inside a UTF-8 character"));
}

TEST_F(ParserTest, WhatWasParsedBeforeMalformedInputIsKept) {
  Create("json_lines");
  Send("0\n");
  const Outcome json = Send("1\n[2]\n  ]\n4\n");
  EXPECT_THAT(json, Raises("ValueError", "line 4, column 3: expected a value, not ']'"));
  EXPECT_EQ(DetailsOf(json), (Map{{"line", 4}, {"column", 3}, {"parsed", List{1, List{2}}}}));

  Create("csv_parser");
  const Outcome csv = Send("a,b\n\"c\"d\n");
  EXPECT_THAT(csv, Raises("ValueError",
                          "line 2, column 4: expected ',' or the end of the line after the quoted field, not 'd'"));
  EXPECT_EQ(DetailsOf(csv), (Map{{"line", 2}, {"column", 4}, {"parsed", ListOf(List{"a", "b"})}}));

  Create("line_splitter");
  const Outcome lines = Send(Value::Blob("a\rb\r\xff"));
  EXPECT_THAT(lines, Raises("ValueError", "line 3, column 1: invalid UTF-8: byte 0xFF"));
  EXPECT_EQ(DetailsOf(lines), (Map{{"line", 3}, {"column", 1}, {"parsed", List{"a", "b"}}}));
}

TEST_F(ParserTest, ErrorWhileClosingHasTheCloseAsItsContext) {
  Create("csv_parser");
  Send("a,\"b");
  const Outcome outcome = Close();
  EXPECT_THAT(outcome, Raises("ValueError", "line 1, column 3: the quoted field is not closed"));
  EXPECT_EQ(outcome.exception().context()->type(), "GeneratorExit");
}

TEST_F(ParserTest, LineSplitterKeepsEndsAsTheyCame) {
  Create("line_splitter", {{"keep_ends", true}});
  EXPECT_THAT(Send("a\r"), Yields(List{}));
  EXPECT_THAT(Send("\nb\n\rc"), Yields(List{"a\r\n", "b\n", "\r"}));
  EXPECT_THAT(Send("\r"), Yields(List{}));
  EXPECT_THAT(Close(), Returns("c\r"));
}

TEST_F(ParserTest, CsvFieldMayHoldAllThatSeparates) {
  Create("csv_parser");
  EXPECT_THAT(Send("\"a,\r\n\"\"b\""), Yields(List{}));
  EXPECT_THAT(Send("\"\n\",c\r"), Yields(ListOf(List{"a,\r\n\"b\"\n", "c"})));
  EXPECT_THAT(Send("\n\n"), Yields(ListOf(List{})));
}

TEST_F(ParserTest, CsvDelimiterMustBeOneCharacter) {
  for (const char* delimiter : {"", ",,", "\"", "\n", "\r"}) {
    EXPECT_THAT([&] { Create("csv_parser", {{"delimiter", delimiter}}); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("one character, neither a quote nor a line end")));
  }
  Create("csv_parser", {{"delimiter", "\u20ac"}});
  EXPECT_THAT(Send("a\u20acb\n"), Yields(ListOf(List{"a", "b"})));
}

TEST_F(ParserTest, CsvHeaderTakesNoNameTwice) {
  Create("csv_parser", {{"header", true}});
  EXPECT_THAT(Send("\na,b,a\n"), Raises("ValueError", "line 2, column 5: the header has this name twice"));
}

TEST_F(ParserTest, EmptyNameAtTheEndOfTheTextIsWhereTheDelimiterEnds) {
  Create("csv_parser", {{"header", true}});
  Send(",");
  EXPECT_THAT(Close(), Raises("ValueError", "line 1, column 2: the header has this name twice"));
}

TEST_F(ParserTest, JsonThatNestsTooDeepIsMalformedHoweverDeep) {
  Create("json_lines");
  EXPECT_THAT(Send(std::string(100'000, '[') + "\n"),
              Raises("ValueError", "line 1, column 23: nested more than 22 deep"));
}

TEST_F(ParserTest, DeepestJsonFitsIntoReplies) {
  std::string text;
  for (int i = 0; i < 22; ++i) text += "{\"a\":";
  text += "1" + std::string(22, '}') + "\n";
  Create("json_lines");
  const Outcome yielded = Send(text);
  EXPECT_EQ(Measure(yielded.value, ValueLimits()).fault, ValueMeasure::Fault::kNone);
  const Outcome raised = Send(text + "]\n");
  EXPECT_EQ(Measure(raised.exception(), ValueLimits()).fault, ValueMeasure::Fault::kNone);
}

TEST_F(ParserTest, JsonKeepsIntegersAndNumbersApart) {
  Create("json_lines");
  EXPECT_THAT(Send("[10, 10.0, 9223372036854775807, 9223372036854775808, -9223372036854775808, -0, -0.0, 1e-400]\n"),
              Yields(ListOf(List{10, 10.0, std::numeric_limits<std::int64_t>::max(), 9223372036854775808.0,
                                 std::numeric_limits<std::int64_t>::min(), 0, -0.0, 0.0})));
}

TEST_F(ParserTest, LongLineInSmallChunksTakesLinearTime) {
  Create("json_lines");
  const std::string chunk(1000, ' ');
  for (int i = 0; i < 5'000; ++i) Send(chunk);
  EXPECT_THAT(Send("1\n"), Yields(List{1}));
}

}  // namespace
}  // namespace corod
