#include "server/auth/identity.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "server/base/failure.h"

namespace corod {
namespace {

constexpr std::string_view kRoles[] = {"observe", "drive", "define", "admin"};

bool IsLowerOrDigit(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return absl::ascii_islower(byte) || absl::ascii_isdigit(byte);
}

}  // namespace

std::string_view NameOf(Role role) { return kRoles[static_cast<std::size_t>(role)]; }

std::optional<Role> RoleNamed(std::string_view name) {
  const auto* const found = std::find(std::begin(kRoles), std::end(kRoles), name);
  if (found == std::end(kRoles)) return std::nullopt;
  return static_cast<Role>(found - std::begin(kRoles));
}

bool IsNamespaceName(std::string_view name) {
  constexpr std::size_t kMaxBytes = 63;
  return !name.empty() && name.size() <= kMaxBytes && IsLowerOrDigit(name.front()) && IsLowerOrDigit(name.back()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return IsLowerOrDigit(c) || c == '-'; });
}

absl::Status RefuseCredentials(std::string_view problem, std::string_view message) {
  return Failed(Reason::CREDENTIALS_INVALID, message, {{"problem", std::string(problem)}});
}

}  // namespace corod
