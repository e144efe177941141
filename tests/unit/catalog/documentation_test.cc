// What the documentation of the built-in coroutines says is true: its examples are run.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/unit/catalog/driving.h"

namespace corod {
namespace {

using Json = nlohmann::ordered_json;

Value FromJson(const Json& json) {
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_number_integer()) return Value(json.get<std::int64_t>());
  if (json.is_number()) return Value(json.get<double>());
  if (json.is_string()) return Value(json.get<std::string>());
  if (json.is_array()) {
    List items;
    for (const Json& item : json) items.push_back(FromJson(item));
    return items;
  }
  if (json.is_object()) {
    Map map;
    for (const auto& [name, value] : json.items()) map[name] = FromJson(value);
    return map;
  }
  return Value();
}

Value Parsed(const std::string& text) { return FromJson(Json::parse(text)); }

// The first word of `text`, which keeps the rest.
std::string TakeWord(std::string& text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string word = text.substr(0, end);
  text.erase(0, std::min(text.find_first_not_of(' ', end), text.size()));
  return word;
}

// The lines of each block that is fenced as "example". One that begins with a space goes on where the one before ended.
std::vector<std::vector<std::string>> ExamplesIn(const std::string& markdown) {
  std::vector<std::vector<std::string>> examples;
  std::istringstream lines(markdown);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line == "```example") {
      inside = true;
      examples.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside && line.starts_with(' ')) {
      examples.back().back() += line;
    } else if (inside) {
      examples.back().push_back(line);
    }
  }
  return examples;
}

class DocumentationTest : public DrivingTest {
 protected:
  Outcome Execute(std::string command) {
    const std::string verb = TakeWord(command);
    if (verb == "next") return Next();
    if (verb == "send") return Send(Parsed(command));
    if (verb == "throw") return Throw(TakeWord(command));
    EXPECT_EQ(verb, "close");
    return Close();
  }

  static std::string Described(const Outcome& outcome) { return ::testing::PrintToString(outcome); }

  // "send 10 -> yields 10.0"
  void Check(const std::string& line) {
    const std::size_t arrow = line.find(" -> ");
    ASSERT_NE(arrow, std::string::npos) << line;
    const Outcome outcome = Execute(line.substr(0, arrow));
    std::string expected = line.substr(arrow + 4);
    const std::string kind = TakeWord(expected);
    if (kind == "raises") {
      EXPECT_EQ(Described(outcome), "raises " + expected) << line;
    } else if (kind == "returns") {
      EXPECT_EQ(outcome, Outcome::Returned(Parsed(expected))) << line;
    } else {
      EXPECT_EQ(kind, "yields") << line;
      EXPECT_EQ(outcome, Outcome::Yielded(Parsed(expected))) << line;
    }
  }
};

TEST_F(DocumentationTest, ExamplesGoAsTheySay) {
  for (const Definition* definition : catalog_.ListAfter("", 1000)) {
    SCOPED_TRACE(definition->name);
    const auto examples = ExamplesIn(definition->documentation);
    EXPECT_FALSE(examples.empty());
    for (const std::vector<std::string>& example : examples) {
      auto line = example.begin();
      Map arguments;
      if (line->starts_with("create ")) arguments = Parsed((line++)->substr(7)).AsMap();
      CreateOnly(definition->name, arguments);
      for (; line != example.end(); ++line) Check(*line);
    }
  }
}

TEST_F(DocumentationTest, EverythingIsDescribed) {
  for (const Definition* definition : catalog_.ListAfter("", 1000)) {
    SCOPED_TRACE(definition->name);
    for (const std::string& text :
         {definition->summary, definition->sends, definition->yields, definition->returns, definition->stops_when}) {
      EXPECT_FALSE(text.empty());
      EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    }
    for (const Parameter& parameter : definition->parameters) EXPECT_FALSE(parameter.documentation.empty());
  }
}

}  // namespace
}  // namespace corod
