#include "server/base/uuid.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <cstdlib>

namespace corod {
namespace {

// uuid5(NAMESPACE_DNS, "corod")
constexpr std::array<std::uint8_t, 16> kNamespace = {0x61, 0x8d, 0x17, 0xac, 0x61, 0xad, 0x55, 0xff,
                                                     0x8c, 0x0d, 0xc5, 0x15, 0x41, 0xa7, 0xb0, 0x43};

std::string Format(std::array<std::uint8_t, 16> bytes, int version) {
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | (version << 4));
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += "0123456789abcdef"[bytes[i] >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

std::array<std::uint8_t, 16> BytesOf(std::uint64_t high, std::uint64_t low) {
  std::array<std::uint8_t, 16> bytes;
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<std::uint8_t>(high >> 8 * i);
    bytes[8 + i] = static_cast<std::uint8_t>(low >> 8 * i);
  }
  return bytes;
}

}  // namespace

std::string RandomUuid(Random& random) {
  const std::uint64_t high = random.Next();
  return MakeUuid(high, random.Next());
}

std::string MakeUuid(std::uint64_t high, std::uint64_t low) { return Format(BytesOf(high, low), 4); }

std::string UuidIn(std::uint32_t group, Random& random) {
  std::array<std::uint8_t, 16> bytes = BytesOf(random.Next(), random.Next());
  for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(group >> (24 - 8 * i));
  return Format(bytes, 8);
}

std::string NamedUuid(std::string_view name) {
  std::string input(kNamespace.begin(), kNamespace.end());
  input += name;
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest;
  if (EVP_Digest(input.data(), input.size(), digest.data(), nullptr, EVP_sha1(), nullptr) != 1) std::abort();
  std::array<std::uint8_t, 16> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = digest[i];
  return Format(bytes, 5);
}

}  // namespace corod
