#ifndef COROD_SERVER_BASE_PAGE_TOKEN_H_
#define COROD_SERVER_BASE_PAGE_TOKEN_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace corod {

// A page token that says: go on after `key`, for the query whose filters have this hash.
std::string MakePageToken(std::string_view key, std::uint64_t query);

// The key of a token; empty for the empty token. INVALID_PAGE_TOKEN for what MakePageToken did not make, or made for a
// query with other filters.
absl::StatusOr<std::string> ReadPageToken(std::string_view token, std::uint64_t query);

}  // namespace corod

#endif  // COROD_SERVER_BASE_PAGE_TOKEN_H_
