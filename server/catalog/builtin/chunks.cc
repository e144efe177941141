#include "server/catalog/builtin/chunks.h"

#include <algorithm>
#include <utility>

#include "server/catalog/builtin/builtin.h"
#include "server/coroutine/errors.h"
#include "server/coroutine/kept.h"
#include "server/coroutine/map.h"
#include "server/coroutine/utf8.h"

namespace corod::builtin {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

void AppendHex(std::string& out, std::uint32_t value, int digits) {
  while (digits < 8 && value >> (4 * digits) != 0) ++digits;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += "0123456789ABCDEF"[(value >> shift) & 15];
}

std::string_view BytesOf(const Value& chunk) {
  switch (chunk.kind()) {
    case Value::Kind::kNull:
      return {};
    case Value::Kind::kText:
      return chunk.AsText();
    case Value::Kind::kBlob:
      return chunk.AsBlob();
    default:
      throw py::TypeError("chunk must be str or bytes, not " + ClassNameOf(chunk));
  }
}

// The length of the longest prefix that is UTF-8.
std::size_t ValidPrefix(std::string_view bytes) {
  std::size_t size = 0;
  while (size < bytes.size()) {
    if (static_cast<unsigned char>(bytes[size]) < 0x80) {
      ++size;
      continue;
    }
    const Utf8Character next = DecodeUtf8(bytes.substr(size));
    if (!next.valid) break;
    size += next.size;
  }
  return size;
}

}  // namespace

void RaiseMalformed(Place place, const std::string& what, List parsed) {
  std::string message = "line " + std::to_string(place.line) + ", column " + std::to_string(place.column) + ": " + what;
  Map details{{"line", place.line}, {"column", place.column}, {"parsed", std::move(parsed)}};
  py::ValueError error(message, std::move(details));
  error.SetMessage(std::move(message));
  throw error;
}

Value Place::Save() const { return List{line, column}; }

Place Place::Load(const Value& saved) {
  const List& fields = SavedFields(saved, 2);
  return {fields[0].AsInteger(), fields[1].AsInteger()};
}

ChunkDecoder::Piece ChunkDecoder::Decode(const Value& chunk) {
  Piece piece;
  piece.text = std::exchange(unfinished_, {});
  piece.text += BytesOf(chunk);
  const std::size_t valid = ValidPrefix(piece.text);
  const std::size_t complete = CompleteUtf8Prefix(piece.text);
  if (valid < complete) {
    piece.malformed = "invalid UTF-8: byte 0x";
    AppendHex(piece.malformed, static_cast<unsigned char>(piece.text[valid]), 2);
  } else {
    unfinished_ = piece.text.substr(valid);
  }
  piece.text.resize(valid);
  if (at_start_ && valid > 0) {
    at_start_ = false;
    if (piece.text.starts_with(kByteOrderMark)) piece.text.erase(0, kByteOrderMark.size());
  }
  return piece;
}

std::string ChunkDecoder::AtEnd() const {
  return unfinished_.empty() ? std::string() : "the text ends inside a UTF-8 character";
}

Value ChunkDecoder::Save() const { return List{Value::Blob(unfinished_), at_start_}; }

ChunkDecoder ChunkDecoder::Load(const Value& saved) {
  const List& fields = SavedFields(saved, 2);
  ChunkDecoder decoder;
  decoder.unfinished_ = fields[0].AsBlob();
  decoder.at_start_ = fields[1].AsBoolean();
  return decoder;
}

std::int64_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; });
}

std::string Describe(char32_t character) {
  if (character >= 0x20 && character < 0x7f) return {'\'', static_cast<char>(character), '\''};
  std::string text = "U+";
  AppendHex(text, character, 4);
  return text;
}

}  // namespace corod::builtin
