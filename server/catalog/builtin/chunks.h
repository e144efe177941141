#ifndef COROD_SERVER_CATALOG_BUILTIN_CHUNKS_H_
#define COROD_SERVER_CATALOG_BUILTIN_CHUNKS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/coroutine/value.h"

// What the parsers share: a text that arrives in chunks, cut anywhere, and errors that say where in it they are.
namespace corod::builtin {

// A place in all the text that was sent. Both count from 1; columns count characters.
struct Place {
  std::int64_t line = 1;
  std::int64_t column = 1;

  Value Save() const;
  static Place Load(const Value& saved);
};

// Raises the ValueError of malformed input: its message is "line 3, column 5: `what`", its second argument a map with
// the line, the column and `parsed`, what the chunk held before that place.
[[noreturn]] void RaiseMalformed(Place place, const std::string& what, List parsed);

// Puts chunks, which are text or bytes, together to text: a character may begin in one chunk and end in the next. A
// byte order mark at the very beginning is left out.
class ChunkDecoder {
 public:
  struct Piece {
    std::string text;       // UTF-8, whole characters
    std::string malformed;  // what is wrong with the byte that follows `text`; empty: nothing
  };

  // What has become complete with `chunk`; null is an empty chunk. Raises TypeError for what is no text and no bytes.
  Piece Decode(const Value& chunk);
  // What is wrong if the text ends here; empty: nothing.
  std::string AtEnd() const;

  // For Kept (kept.h): what stands between two chunks.
  Value Save() const;
  static ChunkDecoder Load(const Value& saved);

 private:
  std::string unfinished_;  // the beginning of a character
  bool at_start_ = true;
};

// How many characters `text` has. REQUIRES: UTF-8.
std::int64_t CountCharacters(std::string_view text);

// A character in a message: 'x' if it is printable ASCII, else U+00E9.
std::string Describe(char32_t character);

}  // namespace corod::builtin

#endif  // COROD_SERVER_CATALOG_BUILTIN_CHUNKS_H_
