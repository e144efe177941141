#ifndef COROD_SERVER_CATALOG_BUILTIN_WORDS_H_
#define COROD_SERVER_CATALOG_BUILTIN_WORDS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/coroutine/errors.h"

// Sequences of 64-bit integers and doubles as bytes of a saved state, lowest byte first on every machine.
namespace corod::builtin {

template <typename Items>
std::string ToBytes(const Items& items) {
  std::string bytes;
  bytes.reserve(8 * items.size());
  for (const auto& item : items) {
    auto word = std::bit_cast<std::uint64_t>(item);
    for (int i = 0; i < 8; ++i, word >>= 8) bytes += static_cast<char>(word & 0xff);
  }
  return bytes;
}

// Raises ValueError if `bytes` are no whole number of them.
template <typename T>
std::vector<T> FromBytes(std::string_view bytes) {
  if (bytes.size() % 8 != 0) throw py::ValueError("a saved state ends inside of a word");
  std::vector<T> items;
  items.reserve(bytes.size() / 8);
  for (; !bytes.empty(); bytes.remove_prefix(8)) {
    std::uint64_t word = 0;
    for (std::size_t i = 8; i-- > 0;) word = (word << 8) | static_cast<unsigned char>(bytes[i]);
    items.push_back(std::bit_cast<T>(word));
  }
  return items;
}

}  // namespace corod::builtin

#endif  // COROD_SERVER_CATALOG_BUILTIN_WORDS_H_
