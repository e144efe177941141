#ifndef COROD_SERVER_JOURNAL_VARINT_H_
#define COROD_SERVER_JOURNAL_VARINT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

// Numbers as protobuf's wire format has them: seven bits a byte, the lowest first.
namespace corod {

inline void AppendVarint(std::uint64_t number, std::string& to) {
  for (; number >= 0x80; number >>= 7) to.push_back(static_cast<char>(number | 0x80));
  to.push_back(static_cast<char>(number));
}

// Takes a number from the beginning of `bytes`. False: there is none.
inline bool TakeVarint(std::string_view& bytes, std::uint64_t& number) {
  number = 0;
  for (std::size_t i = 0; i < bytes.size() && i < 10; ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    number |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      bytes.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

// Takes a text whose length stands before it. False: there is none.
inline bool TakeText(std::string_view& bytes, std::string_view& text) {
  std::uint64_t size = 0;
  if (!TakeVarint(bytes, size) || size > bytes.size()) return false;
  text = bytes.substr(0, static_cast<std::size_t>(size));
  bytes.remove_prefix(static_cast<std::size_t>(size));
  return true;
}

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_VARINT_H_
