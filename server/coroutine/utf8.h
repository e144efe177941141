#ifndef COROD_SERVER_COROUTINE_UTF8_H_
#define COROD_SERVER_COROUTINE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace corod {

// The first character of a text.
struct Utf8Character {
  char32_t code_point;  // the byte itself if it is not valid
  std::uint8_t size;    // bytes taken; 1 if it is not valid
  bool valid;
};

// Decodes the first character by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
// REQUIRES: `text` is not empty.
Utf8Character DecodeUtf8(std::string_view text);

// Whether the whole of `text` is UTF-8.
bool IsUtf8(std::string_view text);

// The length of the longest prefix of `text` that ends at the end of a character: what is left is the beginning of a
// character that may be completed by bytes to come (at most 3 bytes). What can never become valid counts as complete.
std::size_t CompleteUtf8Prefix(std::string_view text);

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_UTF8_H_
