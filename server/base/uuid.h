#ifndef COROD_SERVER_BASE_UUID_H_
#define COROD_SERVER_BASE_UUID_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/base/random.h"

namespace corod {

// A random UUID (RFC 9562, version 4), as 36 characters in lower case.
std::string RandomUuid(Random& random);

// The UUID (version 4) whose random bits these are: 122 of the 128 given.
std::string MakeUuid(std::uint64_t high, std::uint64_t low);

// A random UUID that begins with `group` (RFC 9562, version 8, which leaves that to whoever makes it).
std::string UuidIn(std::uint32_t group, Random& random);

// The UUID that `name` has for everyone (RFC 9562, version 5, in corod's own namespace).
std::string NamedUuid(std::string_view name);

}  // namespace corod

#endif  // COROD_SERVER_BASE_UUID_H_
