#include "server/coroutine/utf8.h"

namespace corod {
namespace {

struct Form {
  std::uint8_t size;            // 0: not a first byte
  unsigned char second_lowest;  // what the second byte may be; the others are 80..BF
  unsigned char second_highest;
};

Form FormOf(unsigned char first) {
  if (first < 0x80) return {1, 0, 0};
  if (first >= 0xc2 && first <= 0xdf) return {2, 0x80, 0xbf};
  if (first == 0xe0) return {3, 0xa0, 0xbf};
  if (first == 0xed) return {3, 0x80, 0x9f};
  if (first >= 0xe1 && first <= 0xef) return {3, 0x80, 0xbf};
  if (first == 0xf0) return {4, 0x90, 0xbf};
  if (first == 0xf4) return {4, 0x80, 0x8f};
  if (first >= 0xf1 && first <= 0xf3) return {4, 0x80, 0xbf};
  return {0, 0, 0};
}

bool FollowsAt(std::string_view text, std::size_t i, const Form& form) {
  const auto byte = static_cast<unsigned char>(text[i]);
  return i == 1 ? byte >= form.second_lowest && byte <= form.second_highest : byte >= 0x80 && byte <= 0xbf;
}

}  // namespace

Utf8Character DecodeUtf8(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const Utf8Character invalid{first, 1, false};
  const Form form = FormOf(first);
  if (form.size == 1) return {first, 1, true};
  if (form.size == 0 || text.size() < form.size) return invalid;
  char32_t code_point = first & (0x7f >> form.size);
  for (std::size_t i = 1; i < form.size; ++i) {
    if (!FollowsAt(text, i, form)) return invalid;
    code_point = (code_point << 6) | (static_cast<unsigned char>(text[i]) & 0x3f);
  }
  return {code_point, form.size, true};
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Character next = DecodeUtf8(text);
    if (!next.valid) return false;
    text.remove_prefix(next.size);
  }
  return true;
}

std::size_t CompleteUtf8Prefix(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const std::size_t start = text.size() - back;
    const Form form = FormOf(static_cast<unsigned char>(text[start]));
    if (form.size == 0) {
      const auto byte = static_cast<unsigned char>(text[start]);
      if (byte >= 0x80 && byte <= 0xbf) continue;  // a following byte: its first byte is further back
      return text.size();
    }
    if (form.size <= back) return text.size();
    for (std::size_t i = 1; i < back; ++i) {
      if (!FollowsAt(text.substr(start), i, form)) return text.size();
    }
    return start;
  }
  return text.size();
}

}  // namespace corod
