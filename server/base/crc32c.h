#ifndef COROD_SERVER_BASE_CRC32C_H_
#define COROD_SERVER_BASE_CRC32C_H_

#include <cstdint>
#include <string_view>

namespace corod {

// CRC-32C (Castagnoli; RFC 3720) of what `before` is the CRC of, and `bytes` behind it. With the processor's own
// instruction where it has one.
std::uint32_t Crc32c(std::string_view bytes, std::uint32_t before = 0);

}  // namespace corod

#endif  // COROD_SERVER_BASE_CRC32C_H_
