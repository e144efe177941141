#include "client/cli/pipeline_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/cli/json_value.h"

namespace corod::cli {
namespace {

using ::testing::StartsWith;

std::string Stages(const std::string& text) {
  const absl::StatusOr<List> stages = ParsePipelineText(text);
  return stages.ok() ? ToJson(Value(*stages)) : std::string(stages.status().message());
}

TEST(PipelineTextTest, StagesHaveNamesAndArguments) {
  EXPECT_EQ(Stages("averager"), R"([{"coroutine": "averager"}])");
  EXPECT_EQ(Stages(" line_splitter|csv_parser header=true  delimiter=; | averager "),
            R"([{"coroutine": "line_splitter"}, {"coroutine": "csv_parser", "arguments": {"header": true, )"
            R"("delimiter": ";"}}, {"coroutine": "averager"}])");
}

TEST(PipelineTextTest, EachIsTheStagesOwn) {
  EXPECT_EQ(Stages("json_lines each=true | averager each=false"),
            R"([{"coroutine": "json_lines", "each": true}, {"coroutine": "averager", "each": false}])");
  EXPECT_EQ(Stages("json_lines each=1 | a"), "the pipeline, position 17: each must be true or false");
  EXPECT_EQ(Stages("a each=true each=true"), "the pipeline, position 13: each is given twice");
}

TEST(PipelineTextTest, ValuesAreReadAsOnACommandLine) {
  EXPECT_EQ(Stages(R"(a n=3 t="3" b=hello l=[1, "x y|"] m={"a": {"b": "}"}} e= q="a \" | b")"),
            R"([{"coroutine": "a", "arguments": {"n": 3, "t": "3", "b": "hello", "l": [1, "x y|"], )"
            R"("m": {"a": {"b": "}"}}, "e": "", "q": "a \" | b"}}])");
  EXPECT_EQ(Stages("a s='x | y' n='3' t='\"3\"' | b"),
            R"([{"coroutine": "a", "arguments": {"s": "x | y", "n": 3, "t": "3"}}, {"coroutine": "b"}])");
  EXPECT_EQ(Stages("a x=b=c"), R"([{"coroutine": "a", "arguments": {"x": "b=c"}}])");
}

TEST(PipelineTextTest, WhatIsWrongIsToldWithItsPosition) {
  EXPECT_EQ(Stages("|"), "the pipeline, position 1: a coroutine's name is missing");
  EXPECT_EQ(Stages("a | "), "the pipeline, position 5: a coroutine's name is missing");
  EXPECT_EQ(Stages("a || b"), "the pipeline, position 4: a coroutine's name is missing");
  EXPECT_EQ(Stages("header=true | b"),
            "the pipeline, position 1: a stage begins with a coroutine's name, not with header=true");
  EXPECT_EQ(Stages("é header | b"), "the pipeline, position 3: an argument is written name=value, not header");
  EXPECT_EQ(Stages("a =1"), "the pipeline, position 3: an argument is written name=value, not ");
  EXPECT_EQ(Stages("a x='b | c"), "the pipeline, position 5: a quote is not closed");
  EXPECT_EQ(Stages("a x=\"b | c"), "the pipeline, position 5: a quote is not closed");
  EXPECT_EQ(Stages("a x=[1 | c"), "the pipeline, position 5: a bracket is not closed");
  EXPECT_EQ(Stages("a x=\"b\"c"), "the pipeline, position 8: there must be a space or a | behind the value");
  EXPECT_THAT(Stages("a x=[1,] | c"), StartsWith("the pipeline, position 5: x: "));
  EXPECT_EQ(Stages("a x=1 x=2"), "the pipeline, position 7: x is given twice");
}

}  // namespace
}  // namespace corod::cli
