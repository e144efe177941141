#ifndef COROD_SERVER_WIRE_PLAIN_H_
#define COROD_SERVER_WIRE_PLAIN_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "server/coroutine/value.h"

// Protobuf's wire format (protobuf.dev/programming-guides/encoding) without protobuf's objects, for the few messages of
// which there is one for every step. What is not plain is left to protobuf, so that there is one place where it is
// checked and refused.
namespace corod::wire {

// Values that are written and read here: null, booleans, integers, numbers, texts and blobs.
inline bool IsPlain(const Value& value) { return value.kind() <= Value::Kind::kBlob; }

enum WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kLength = 2 };
// What stands before a field. Every field here has a number below 16, so it takes one byte.
constexpr std::uint8_t Tag(int field, WireType type) { return static_cast<std::uint8_t>(field << 3 | type); }

inline std::size_t VarintBytes(std::uint64_t number) {
  return (static_cast<std::size_t>(std::bit_width(number | 1)) + 6) / 7;
}
// Of a field with its tag. What is 0 is not written.
inline std::size_t VarintFieldBytes(std::uint64_t number) { return number == 0 ? 0 : 1 + VarintBytes(number); }
inline std::size_t Fixed64FieldBytes(std::uint64_t number) { return number == 0 ? 0 : 1 + sizeof(number); }
inline std::size_t LengthFieldBytes(std::size_t size) { return 1 + VarintBytes(size) + size; }

// Reads the parts of a message. Once something is wrong all that follows is.
class PlainReader {
 public:
  explicit PlainReader(std::string_view bytes) : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  bool AtEnd() const { return next_ == end_; }

  std::uint8_t Byte() {
    if (next_ == end_) return Fail();
    return static_cast<std::uint8_t>(*next_++);
  }
  std::uint64_t Varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::uint8_t byte = Byte();
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return Fail();
  }
  bool Boolean() { return Varint() != 0; }
  std::uint64_t Fixed64() {
    static_assert(std::endian::native == std::endian::little);
    std::uint64_t number = 0;
    if (end_ - next_ < static_cast<std::ptrdiff_t>(sizeof(number))) return Fail();
    std::memcpy(&number, next_, sizeof(number));
    next_ += sizeof(number);
    return number;
  }
  // What has its length before it.
  std::string_view Bytes() {
    const std::uint64_t length = Varint();
    if (length > static_cast<std::size_t>(end_ - next_)) {
      Fail();
      return {};
    }
    const std::string_view bytes(next_, static_cast<std::size_t>(length));
    next_ += length;
    return bytes;
  }
  std::string_view Ascii() {
    const std::string_view text = Bytes();
    std::uint8_t bits = 0;
    for (const char c : text) bits |= static_cast<std::uint8_t>(c);
    if (bits >= 0x80) Fail();
    return text;
  }
  std::uint8_t Fail() {
    ok_ = false;
    next_ = end_;
    return 0;
  }

 private:
  const char* next_;
  const char* end_;
  bool ok_ = true;
};

// Writes the parts of a message to where there is room for them.
class PlainWriter {
 public:
  explicit PlainWriter(char* to) : next_(to) {}

  void Byte(std::uint8_t byte) { *next_++ = static_cast<char>(byte); }
  void Varint(std::uint64_t number) {
    for (; number >= 0x80; number >>= 7) Byte(static_cast<std::uint8_t>(number | 0x80));
    Byte(static_cast<std::uint8_t>(number));
  }
  void Fixed64(std::uint64_t number) {
    static_assert(std::endian::native == std::endian::little);
    std::memcpy(next_, &number, sizeof(number));
    next_ += sizeof(number);
  }
  void VarintField(int field, std::uint64_t number) {
    if (number == 0) return;
    Byte(Tag(field, kVarint));
    Varint(number);
  }
  void Fixed64Field(int field, std::uint64_t number) {
    if (number == 0) return;
    Byte(Tag(field, kFixed64));
    Fixed64(number);
  }
  // Of what follows.
  void LengthField(int field, std::size_t size) {
    Byte(Tag(field, kLength));
    Varint(size);
  }
  void BytesField(int field, std::string_view bytes) {
    LengthField(field, bytes.size());
    if (!bytes.empty()) std::memcpy(next_, bytes.data(), bytes.size());
    next_ += bytes.size();
  }

 private:
  char* next_;
};

// A v1::Value. False: it is not plain, or damaged.
bool ReadPlainValue(std::string_view bytes, Value& value);
// REQUIRES: IsPlain(value).
std::size_t PlainValueBytes(const Value& value);
// Writes PlainValueBytes(value), those that protobuf would write. REQUIRES: IsPlain(value).
void WritePlainValue(const Value& value, PlainWriter& writer);

}  // namespace corod::wire

#endif  // COROD_SERVER_WIRE_PLAIN_H_
