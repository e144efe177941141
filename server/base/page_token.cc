#include "server/base/page_token.h"

#include "absl/strings/escaping.h"
#include "server/base/failure.h"

namespace corod {
namespace {

constexpr char kVersion = '1';
constexpr std::size_t kHashBytes = 8;

std::string HashBytes(std::uint64_t hash) {
  std::string bytes;
  for (std::size_t i = 0; i < kHashBytes; ++i, hash >>= 8) bytes += static_cast<char>(hash & 0xff);
  return bytes;
}

// Ties key and query together, so that a token is taken back only whole (FNV-1a).
std::string Check(std::string_view key, std::uint64_t query) {
  std::uint64_t hash = 0xcbf29ce484222325 ^ query;
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return HashBytes(hash);
}

}  // namespace

std::string MakePageToken(std::string_view key, std::uint64_t query) {
  std::string token(1, kVersion);
  token += Check(key, query);
  token += key;
  return absl::WebSafeBase64Escape(token);
}

absl::StatusOr<std::string> ReadPageToken(std::string_view token, std::uint64_t query) {
  if (token.empty()) return std::string();
  std::string decoded;
  if (!absl::WebSafeBase64Unescape(absl::string_view(token.data(), token.size()), &decoded) ||
      decoded.size() < 1 + kHashBytes || decoded[0] != kVersion) {
    return Failed(Reason::INVALID_PAGE_TOKEN, "page_token is not one that this server gave; begin again without it");
  }
  std::string key = decoded.substr(1 + kHashBytes);
  if (decoded.substr(1, kHashBytes) != Check(key, query)) {
    return Failed(Reason::INVALID_PAGE_TOKEN,
                  "page_token belongs to a request with other filters; repeat those, or begin again without it");
  }
  return key;
}

}  // namespace corod
