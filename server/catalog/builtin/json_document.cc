#include "server/catalog/builtin/json_document.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <system_error>
#include <utility>

#include "server/catalog/builtin/chunks.h"
#include "server/coroutine/map.h"
#include "server/coroutine/utf8.h"

namespace corod::builtin {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::size_t kShownBytes = 40;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

void AppendUtf8(std::string& out, char32_t c) {
  const auto byte = [&out](char32_t bits) { out += static_cast<char>(static_cast<unsigned char>(bits)); };
  if (c < 0x80) {
    byte(c);
    return;
  }
  if (c < 0x800) {
    byte(0xc0 | (c >> 6));
  } else {
    if (c < 0x10000) {
      byte(0xe0 | (c >> 12));
    } else {
      byte(0xf0 | (c >> 18));
      byte(0x80 | ((c >> 12) & 0x3f));
    }
    byte(0x80 | ((c >> 6) & 0x3f));
  }
  byte(0x80 | (c & 0x3f));
}

// -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?, taken apart.
struct Number {
  bool valid = false;
  bool integer = false;  // neither fraction nor exponent
};

Number Classify(std::string_view token) {
  std::size_t i = token.starts_with('-') ? 1 : 0;
  const auto digits = [&] {
    const std::size_t start = i;
    while (i < token.size() && IsDigit(token[i])) ++i;
    return i - start;
  };
  const bool leading_zero = i < token.size() && token[i] == '0';
  const std::size_t whole = digits();
  if (whole == 0 || (leading_zero && whole > 1)) return {};
  if (i == token.size()) return {.valid = true, .integer = true};
  if (token[i] == '.') {
    ++i;
    if (digits() == 0) return {};
  }
  if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
    ++i;
    if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
    if (digits() == 0) return {};
  }
  return {.valid = i == token.size(), .integer = false};
}

// False: it is out of range. REQUIRES: a valid number; one without fraction and exponent for an integer.
template <typename T>
bool Convert(std::string_view token, T& number) {
  return std::from_chars(token.data(), token.data() + token.size(), number).ec == std::errc();
}

// Of a valid number token that no double is near: whether it is too large, not too small.
bool IsHuge(std::string_view token) {
  const std::size_t exponent_at = token.find_first_of("eE");
  const std::string_view mantissa = token.substr(0, exponent_at);
  std::int64_t exponent = 0;
  if (exponent_at != std::string_view::npos) {
    std::string_view digits = token.substr(exponent_at + 1);
    const bool negative = digits.starts_with('-');
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (read.ec == std::errc::result_out_of_range) return !negative;
  }
  // About the power of ten of the first digit that counts.
  const auto point = static_cast<std::int64_t>(std::min(mantissa.find('.'), mantissa.size()));
  const auto first = static_cast<std::int64_t>(mantissa.find_first_of("123456789"));
  return exponent + (point - first) > 0;
}

// Recursive descent. Each function leaves at_ behind what it has read; one that fails says so by its result, and error_
// holds the first thing wrong.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::variant<Value, JsonError> Parse() {
    Value document;
    if (!ReadValue(document, 0)) return std::move(*error_);
    SkipSpace();
    if (at_ < text_.size()) {
      Fail(at_, "expected the end of the line, not " + Next());
      return std::move(*error_);
    }
    return document;
  }

 private:
  bool Fail(std::size_t offset, std::string what) {
    error_ = JsonError{offset, std::move(what)};
    return false;
  }
  bool Expected(const std::string& what) { return Fail(at_, "expected " + what + ", not " + Next()); }

  // The next character, as a message names it.
  std::string Next() const {
    return at_ == text_.size() ? "the end of the line" : Describe(DecodeUtf8(text_.substr(at_)).code_point);
  }

  void SkipSpace() { at_ = std::min(text_.find_first_not_of(kSpace, at_), text_.size()); }

  // Skips white space and then `c`, if that is what comes.
  bool Skip(char c) {
    SkipSpace();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool ReadValue(Value& value, int depth) {
    SkipSpace();
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    if (c == '{' || c == '[') {
      if (depth == kMaxJsonDepth) return Fail(at_, "nested more than " + std::to_string(kMaxJsonDepth) + " deep");
      ++at_;
      return c == '{' ? ReadMap(value, depth + 1) : ReadList(value, depth + 1);
    }
    if (c == '"') {
      std::string text;
      if (!ReadString(text)) return false;
      value = Value(std::move(text));
      return true;
    }
    if (c == '-' || IsDigit(c)) return ReadNumber(value);
    if (IsLetter(c)) return ReadWord(value);
    return Expected("a value");
  }

  bool ReadList(Value& value, int depth) {
    List items;
    if (!Skip(']')) {
      do {
        if (!ReadValue(items.emplace_back(), depth)) return false;
      } while (Skip(','));
      if (!Skip(']')) return Expected("',' or ']'");
    }
    value = Value(std::move(items));
    return true;
  }

  bool ReadMap(Value& value, int depth) {
    Map map;
    if (!Skip('}')) {
      do {
        SkipSpace();
        if (at_ == text_.size() || text_[at_] != '"') return Expected("a name in double quotes");
        std::string name;
        if (!ReadString(name)) return false;
        if (!Skip(':')) return Expected("':'");
        if (!ReadValue(map[name], depth)) return false;
      } while (Skip(','));
      if (!Skip('}')) return Expected("',' or '}'");
    }
    value = Value(std::move(map));
    return true;
  }

  // The letters, digits and signs that come, as a number or a word should be made of.
  std::string_view Token() const {
    std::size_t end = at_;
    while (end < text_.size() && (IsLetter(text_[end]) || IsDigit(text_[end]) || text_[end] == '_' ||
                                  text_[end] == '+' || text_[end] == '-' || text_[end] == '.')) {
      ++end;
    }
    return text_.substr(at_, end - at_);
  }

  static std::string Quoted(std::string_view token) {
    const std::string shown(token.substr(0, kShownBytes));
    return "'" + shown + (token.size() > kShownBytes ? "...'" : "'");
  }

  bool ReadWord(Value& value) {
    const std::string_view word = Token();
    if (word == "true") {
      value = Value(true);
    } else if (word == "false") {
      value = Value(false);
    } else if (word == "null") {
      value = Value();
    } else {
      return Fail(at_, "expected a value, not " + Quoted(word));
    }
    at_ += word.size();
    return true;
  }

  bool ReadNumber(Value& value) {
    const std::string_view token = Token();
    const Number number = Classify(token);
    if (!number.valid) return Fail(at_, "malformed number " + Quoted(token));
    std::int64_t integer = 0;
    double real = 0;
    if (number.integer && Convert(token, integer)) {
      value = Value(integer);
    } else if (Convert(token, real)) {
      value = Value(real);
    } else if (IsHuge(token)) {
      return Fail(at_, "number out of range: " + Quoted(token));
    } else {
      value = Value(token.starts_with('-') ? -0.0 : 0.0);
    }
    at_ += token.size();
    return true;
  }

  bool ReadString(std::string& out) {
    const std::size_t start = at_++;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (c == '\\') {
        if (at_ + 1 == text_.size()) break;
        if (!ReadEscape(out)) return false;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        return Fail(at_, "control character " + Describe(static_cast<unsigned char>(c)) + " in a string");
      } else {
        out += c;
        ++at_;
      }
    }
    return Fail(start, "the string is not closed");
  }

  // REQUIRES: a backslash and one more byte at at_.
  bool ReadEscape(std::string& out) {
    const std::size_t start = at_++;
    if (text_[at_] == 'u') {
      ++at_;
      const std::optional<char32_t> unit = ReadHex();
      if (!unit) return Fail(start, "\\u needs four hexadecimal digits");
      char32_t c = *unit;
      if (c >= 0xd800 && c < 0xdc00 && text_.substr(at_).starts_with("\\u")) {
        const std::size_t second = at_;
        at_ += 2;
        const std::optional<char32_t> low = ReadHex();
        if (!low) return Fail(second, "\\u needs four hexadecimal digits");
        if (*low < 0xdc00 || *low > 0xdfff) return Fail(start, "unpaired surrogate " + Describe(c));
        c = 0x10000 + ((c - 0xd800) << 10) + (*low - 0xdc00);
      } else if (c >= 0xd800 && c < 0xe000) {
        return Fail(start, "unpaired surrogate " + Describe(c));
      }
      AppendUtf8(out, c);
      return true;
    }
    constexpr std::string_view kEscapes = "\"\\/bfnrt";
    const std::size_t escape = kEscapes.find(text_[at_]);
    if (escape == std::string_view::npos) return Fail(start, "unknown escape: a backslash and " + Next());
    out += "\"\\/\b\f\n\r\t"[escape];
    ++at_;
    return true;
  }

  // Four hexadecimal digits; at_ moves behind them.
  std::optional<char32_t> ReadHex() {
    const std::string_view digits = text_.substr(at_, 4);
    std::uint32_t value = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() < 4 || read.ec != std::errc() || read.ptr != digits.data() + 4) return std::nullopt;
    at_ += 4;
    return value;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  std::optional<JsonError> error_;
};

}  // namespace

std::variant<Value, JsonError> ParseJson(std::string_view line) { return Parser(line).Parse(); }

bool IsBlankJson(std::string_view line) { return line.find_first_not_of(kSpace) == std::string_view::npos; }

}  // namespace corod::builtin
