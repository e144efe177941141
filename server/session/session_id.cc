#include "server/session/session_id.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "server/base/failure.h"
#include "server/catalog/namespaces.h"

namespace corod {

absl::Status CheckSessionId(std::string_view qualified) {
  const std::string_view id = LocalName(qualified);
  constexpr std::size_t kMaxBytes = 128;
  const auto refused = [](const std::string& what) {
    return Failed(
        Reason::INVALID_SESSION_ID,
        "session_id " + what +
            "; it is 1 to 128 of A-Za-z0-9._:-, begins and ends with a letter or digit, and has no two dots together");
  };
  if (id.empty()) return refused("is empty");
  if (id.size() > kMaxBytes) return refused("has " + std::to_string(id.size()) + " bytes");
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == ':' || c == '-';
  };
  if (!std::all_of(id.begin(), id.end(), allowed)) return refused("holds a character that it may not");
  if (!absl::ascii_isalnum(static_cast<unsigned char>(id.front())) ||
      !absl::ascii_isalnum(static_cast<unsigned char>(id.back()))) {
    return refused("begins or ends with a sign");
  }
  if (id.find("..") != std::string_view::npos) return refused("has two dots together");
  return absl::OkStatus();
}

}  // namespace corod
