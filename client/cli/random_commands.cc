#include "client/cli/random_commands.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "server/coroutine/exception.h"
#include "server/coroutine/map.h"
#include "server/coroutine/utf8.h"

namespace corod::cli {
namespace {

constexpr std::size_t kLongestWord = 40;

bool IsNamePart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

std::vector<std::string> WordsOf(std::string_view source) {
  std::vector<std::string> words;
  const auto add = [&words](std::string_view word) {
    if (word.empty() || word.size() > kLongestWord || !IsUtf8(word)) return;
    if (std::find(words.begin(), words.end(), word) == words.end()) words.emplace_back(word);
  };
  for (std::size_t at = 0; at < source.size(); ++at) {
    const char c = source[at];
    if (c == '.') {
      std::size_t end = at + 1;
      while (end < source.size() && IsNamePart(source[end])) ++end;
      add(source.substr(at + 1, end - at - 1));
    } else if (c == '"' || c == '\'') {
      const std::size_t end = source.find_first_of(std::array{c, '\n'}.data(), at + 1, 2);
      if (end == std::string_view::npos) break;
      if (source[end] == c) add(source.substr(at + 1, end - at - 1));
      at = end;
    }
  }
  return words;
}

RandomCommands::Shape RandomCommands::NextShape() {
  switch (kind_) {
    case SendsKind::kText:
    case SendsKind::kBytes:
      return Shape::kTexts;
    case SendsKind::kNumber:
      return OneIn(2) ? Shape::kIntegers : Shape::kNumbers;
    case SendsKind::kJson:
      break;
  }
  constexpr std::array kShapes = {Shape::kIntegers, Shape::kNumbers, Shape::kTexts, Shape::kMaps, Shape::kAnything};
  return kShapes[Below(kShapes.size())];
}

std::string RandomCommands::Word() {
  static constexpr std::array kWords = {"a", "b", "name", "value", "", "é", "10", "x y"};
  if (!words_.empty() && !OneIn(4)) return words_[Below(words_.size())];
  return kWords[Below(kWords.size())];
}

Value RandomCommands::Integer() {
  static constexpr std::array<std::int64_t, 6> kEdges = {0, 1, -1, 1'000'000, INT64_MAX, INT64_MIN};
  if (OneIn(10)) return Value(kEdges[Below(kEdges.size())]);
  return Value(static_cast<std::int64_t>(Below(21)) - 5);
}

Value RandomCommands::Number() {
  static constexpr std::array kEdges = {0.0, -0.0, 0.1, 1e300, 5e-324, 0x1p53};
  if (OneIn(10)) return Value(kEdges[Below(kEdges.size())]);
  return Value((static_cast<double>(Below(20'001)) - 5'000) / 100);
}

Value RandomCommands::Text() {
  std::string text = Word();
  while (OneIn(3)) text += (OneIn(2) ? " " : ",") + Word();
  if (OneIn(4)) text += "\n";
  return kind_ == SendsKind::kBytes ? Value::Blob(std::move(text)) : Value(std::move(text));
}

Value RandomCommands::Anything(int depth) {
  switch (Below(depth < 3 ? 7 : 5)) {
    case 0:
      return Value();
    case 1:
      return Value(OneIn(2));
    case 2:
      return Integer();
    case 3:
      return Number();
    case 4:
      return Text();
    case 5: {
      List list;
      while (!OneIn(3)) list.push_back(Anything(depth + 1));
      return list;
    }
    default: {
      Map map;
      while (!OneIn(3)) map[Word()] = Anything(depth + 1);
      return map;
    }
  }
}

Value RandomCommands::NextValue(Shape shape) {
  if (!examples_.empty() && !OneIn(5)) return examples_[Below(examples_.size())];
  if (OneIn(30)) return Anything(0);
  switch (shape) {
    case Shape::kIntegers:
      return Integer();
    case Shape::kNumbers:
      return OneIn(4) ? Integer() : Number();
    case Shape::kTexts:
      return Text();
    case Shape::kMaps: {
      Map map;
      for (const std::string& word : words_) {
        if (!OneIn(3)) map[word] = OneIn(2) ? Integer() : Anything(1);
      }
      if (words_.empty() || OneIn(4)) map[Word()] = Anything(1);
      return map;
    }
    case Shape::kAnything:
      break;
  }
  return Anything(0);
}

std::vector<CheckedCommand> RandomCommands::Sequence(std::size_t longest) {
  static constexpr std::array kThrown = {"ValueError", "KeyError", "GeneratorExit", "RuntimeError"};
  std::vector<CheckedCommand> commands{CheckedCommand::Send(Value())};
  const Shape shape = NextShape();
  for (std::size_t left = Below(longest); left > 0; --left) {
    if (OneIn(40)) {
      commands.push_back(CheckedCommand::Throw(Exception(kThrown[Below(kThrown.size())])));
    } else {
      commands.push_back(CheckedCommand::Send(NextValue(shape)));
    }
  }
  if (commands.size() > 1 && !OneIn(3)) commands.back() = CheckedCommand::Close();
  return commands;
}

}  // namespace corod::cli
