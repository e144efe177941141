#include "client/cli/pipeline_text.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/json_value.h"
#include "server/coroutine/map.h"

namespace corod::cli {
namespace {

constexpr const char* kEach = "each";  // an argument that is the stage's own

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  absl::StatusOr<List> Parse() {
    List stages;
    do {
      absl::StatusOr<Value> stage = ParseStage();
      if (!stage.ok()) return stage.status();
      stages.push_back(*std::move(stage));
    } while (Skip('|'));
    return stages;
  }

 private:
  bool AtEnd() const { return at_ == text_.size(); }
  bool AtEndOfStage() {
    while (!AtEnd() && IsSpace(text_[at_])) ++at_;
    return AtEnd() || text_[at_] == '|';
  }
  bool Skip(char c) {
    const bool there = !AtEnd() && text_[at_] == c;
    if (there) ++at_;
    return there;
  }

  absl::Status Wrong(std::size_t at, std::string_view what) const {
    const std::string_view before = text_.substr(0, at);
    const auto position = 1 + std::count_if(before.begin(), before.end(), [](char c) { return (c & 0xc0) != 0x80; });
    return absl::InvalidArgumentError(absl::StrCat("the pipeline, position ", position, ": ", std::string(what)));
  }

  absl::StatusOr<Value> ParseStage() {
    if (AtEndOfStage()) return Wrong(at_, "a coroutine's name is missing");
    const std::size_t start = at_;
    const std::string name(TakeWord());
    if (name.find('=') != std::string::npos)
      return Wrong(start, absl::StrCat("a stage begins with a coroutine's name, not with ", name));
    Map stage{{"coroutine", name}};
    Map arguments;
    while (!AtEndOfStage()) {
      if (absl::Status wrong = ParseArgument(stage, arguments); !wrong.ok()) return wrong;
    }
    if (!arguments.empty()) stage["arguments"] = std::move(arguments);
    return stage;
  }

  absl::Status ParseArgument(Map& stage, Map& arguments) {
    const std::size_t start = at_;
    while (!AtEnd() && !IsSpace(text_[at_]) && text_[at_] != '|' && text_[at_] != '=') ++at_;
    const std::string name(text_.substr(start, at_ - start));
    if (name.empty() || !Skip('=')) return Wrong(start, absl::StrCat("an argument is written name=value, not ", name));
    const std::size_t start_of_value = at_;
    absl::StatusOr<std::string_view> text = TakeValue();
    if (!text.ok()) return text.status();
    absl::StatusOr<Value> value = ParseValue(*text);
    if (!value.ok()) return Wrong(start_of_value, absl::StrCat(name, ": ", value.status().message()));
    if (arguments.Find(name) != nullptr || (name == kEach && stage.Find(kEach) != nullptr))
      return Wrong(start, absl::StrCat(name, " is given twice"));
    if (name != kEach) {
      arguments[name] = *std::move(value);
    } else if (value->kind() == Value::Kind::kBoolean) {
      stage[kEach] = *std::move(value);
    } else {
      return Wrong(start_of_value, "each must be true or false");
    }
    return absl::OkStatus();
  }

  std::string_view TakeWord() {
    const std::size_t start = at_;
    while (!AtEnd() && !IsSpace(text_[at_]) && text_[at_] != '|') ++at_;
    return text_.substr(start, at_ - start);
  }

  absl::StatusOr<std::string_view> TakeValue() {
    if (AtEnd()) return std::string_view();
    const std::size_t start = at_;
    std::string_view value;
    if (Skip('\'')) {
      at_ = std::min(text_.find('\'', at_), text_.size());
      if (AtEnd()) return Wrong(start, "a quote is not closed");
      value = text_.substr(start + 1, at_ - start - 1);
      ++at_;
    } else if (text_[at_] == '"' || text_[at_] == '[' || text_[at_] == '{') {
      if (!SkipJson())
        return Wrong(start, absl::StrCat("a ", text_[start] == '"' ? "quote" : "bracket", " is not closed"));
      value = text_.substr(start, at_ - start);
    } else {
      return TakeWord();
    }
    if (AtEnd() || IsSpace(text_[at_]) || text_[at_] == '|') return value;
    return Wrong(at_, "there must be a space or a | behind the value");
  }

  // A JSON text, list or map, whatever is in it. False: it does not end.
  bool SkipJson() {
    std::size_t depth = 0;
    do {
      const char c = text_[at_++];
      if (c == '"' && !SkipRestOfText()) return false;
      if (c == '[' || c == '{') ++depth;
      if ((c == ']' || c == '}') && depth > 0) --depth;
      if (depth == 0) return true;
    } while (!AtEnd());
    return false;
  }
  bool SkipRestOfText() {
    while (!AtEnd()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (c == '\\' && !AtEnd()) ++at_;
    }
    return false;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

bool IsPipelineText(std::string_view text) { return text.find('|') != std::string_view::npos; }

absl::StatusOr<List> ParsePipelineText(std::string_view text) { return Parser(text).Parse(); }

}  // namespace corod::cli
