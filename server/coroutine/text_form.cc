#include "server/coroutine/text_form.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "server/coroutine/exception.h"
#include "server/coroutine/map.h"
#include "server/coroutine/utf8.h"

namespace corod {
namespace {

void AppendHex(std::string& out, std::uint32_t value, int digits) {
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += "0123456789abcdef"[(value >> shift) & 15];
}

char QuoteFor(std::string_view text) {
  return text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
}

// str.isprintable() of one character: no control, format character, separator (but for the space), private one or
// non-character. Those that no version of Unicode has assigned count as printable below U+E0000.
bool IsPrintable(char32_t c) {
  if (c >= 0x20 && c < 0x7f) return true;
  struct Range {
    char32_t first, last;
  };
  static constexpr auto kRefused = std::to_array<Range>({
      {0x0, 0x1f},        {0x7f, 0xa0},       {0xad, 0xad},       {0x600, 0x605},     {0x61c, 0x61c},
      {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},     {0x1680, 0x1680},
      {0x180e, 0x180e},   {0x2000, 0x200f},   {0x2028, 0x202f},   {0x205f, 0x206f},   {0x3000, 0x3000},
      {0xe000, 0xf8ff},   {0xfeff, 0xfeff},   {0xfff0, 0xfffb},   {0x110bd, 0x110bd}, {0x110cd, 0x110cd},
      {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe00ff}, {0xe01f0, 0x10ffff},
  });
  if ((c & 0xfffe) == 0xfffe) return false;
  return std::none_of(kRefused.begin(), kRefused.end(),
                      [c](Range range) { return c >= range.first && c <= range.last; });
}

bool AppendCommonEscape(std::string& out, char32_t c, char quote) {
  if (c == static_cast<char32_t>(quote) || c == U'\\') {
    out += '\\';
    out += static_cast<char>(c);
    return true;
  }
  if (c == U'\n') out += "\\n";
  if (c == U'\r') out += "\\r";
  if (c == U'\t') out += "\\t";
  return c == U'\n' || c == U'\r' || c == U'\t';
}

void AppendText(std::string& out, std::string_view text) {
  const char quote = QuoteFor(text);
  out += quote;
  while (!text.empty()) {
    const Utf8Character next = DecodeUtf8(text);
    const std::string_view bytes = text.substr(0, next.size);
    text.remove_prefix(next.size);
    if (AppendCommonEscape(out, next.code_point, quote)) continue;
    if (next.valid && IsPrintable(next.code_point)) {
      out += bytes;
    } else if (next.code_point < 0x100) {
      out += "\\x";
      AppendHex(out, next.code_point, 2);
    } else if (next.code_point < 0x10000) {
      out += "\\u";
      AppendHex(out, next.code_point, 4);
    } else {
      out += "\\U";
      AppendHex(out, next.code_point, 8);
    }
  }
  out += quote;
}

void AppendBlob(std::string& out, std::string_view bytes) {
  const char quote = QuoteFor(bytes);
  out += 'b';
  out += quote;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (AppendCommonEscape(out, byte, quote)) continue;
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += "\\x";
      AppendHex(out, byte, 2);
    }
  }
  out += quote;
}

// The shortest digits that read back as `number`; an exponent below 1e-4 and from 1e16 on.
void AppendNumber(std::string& out, double number) {
  if (std::isnan(number)) {
    out += "nan";
    return;
  }
  if (std::isinf(number)) {
    out += number < 0 ? "-inf" : "inf";
    return;
  }
  std::array<char, 400> buffer;
  const double magnitude = std::fabs(number);
  const bool scientific = magnitude != 0 && (magnitude < 1e-4 || magnitude >= 1e16);
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, format).ptr;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  out += text;
  if (!scientific && text.find('.') == std::string_view::npos) out += ".0";
}

void AppendRepr(std::string& out, const Value& value);

void AppendItems(std::string& out, const List& items) {
  bool first = true;
  for (const Value& item : items) {
    if (!first) out += ", ";
    first = false;
    AppendRepr(out, item);
  }
}

void AppendRepr(std::string& out, const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      out += "None";
      break;
    case Value::Kind::kBoolean:
      out += value.AsBoolean() ? "True" : "False";
      break;
    case Value::Kind::kInteger:
      out += std::to_string(value.AsInteger());
      break;
    case Value::Kind::kNumber:
      AppendNumber(out, value.AsNumber());
      break;
    case Value::Kind::kText:
      AppendText(out, value.AsText());
      break;
    case Value::Kind::kBlob:
      AppendBlob(out, value.AsBlob());
      break;
    case Value::Kind::kList:
      out += '[';
      AppendItems(out, value.AsList());
      out += ']';
      break;
    case Value::Kind::kMap: {
      out += '{';
      bool first = true;
      for (const Map::Entry& entry : value.AsMap()) {
        if (!first) out += ", ";
        first = false;
        AppendText(out, entry.key);
        out += ": ";
        AppendRepr(out, entry.value);
      }
      out += '}';
      break;
    }
    case Value::Kind::kMessage:
      out += "Any(" + value.AsMessage().type_url + ")";
      break;
    case Value::Kind::kException: {
      const Exception exception = value.AsException();
      out += exception.type().substr(exception.type().rfind('.') + 1);
      out += '(';
      AppendItems(out, exception.arguments());
      out += ')';
      break;
    }
  }
}

}  // namespace

std::string Repr(const Value& value) {
  std::string out;
  AppendRepr(out, value);
  return out;
}

std::string Str(const Value& value) {
  if (value.kind() == Value::Kind::kText) return value.AsText();
  if (value.kind() == Value::Kind::kException) return value.AsException().message();
  return Repr(value);
}

}  // namespace corod
