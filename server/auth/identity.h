#ifndef COROD_SERVER_AUTH_IDENTITY_H_
#define COROD_SERVER_AUTH_IDENTITY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace corod {

// What a caller may do; each role may do what those before it may.
enum class Role : std::uint8_t { kObserve, kDrive, kDefine, kAdmin };

// "observe", "drive", "define", "admin".
std::string_view NameOf(Role role);
std::optional<Role> RoleNamed(std::string_view name);

// 1 to 63 of a-z0-9-, a letter or digit first and last.
bool IsNamespaceName(std::string_view name);

// Who a caller is.
struct Identity {
  std::string name;
  std::string name_space = "default";  // that of a server without authentication
  Role role = Role::kObserve;

  friend bool operator==(const Identity&, const Identity&) = default;
};

// CREDENTIALS_INVALID. `problem` is a word that clients may branch on: expired, not_yet_valid, signature, unknown_key,
// algorithm, malformed, issuer, audience, claims, unknown or too_long. `message` says what to do and holds nothing of
// what the caller sent.
absl::Status RefuseCredentials(std::string_view problem, std::string_view message);

}  // namespace corod

#endif  // COROD_SERVER_AUTH_IDENTITY_H_
