#ifndef COROD_SERVER_CATALOG_BUILTIN_SMTP_ADDRESS_H_
#define COROD_SERVER_CATALOG_BUILTIN_SMTP_ADDRESS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corod::builtin {

// What stands behind "FROM:" and "TO:" (RFC 5321, 4.1.2).
struct SmtpPath {
  // Without angle brackets and source route. Empty: the null path "<>". Without a domain only if it is "<postmaster>".
  std::string address;
  // What follows the path, in words: "SIZE=10".
  std::vector<std::string> parameters;
};

// nullopt: the syntax is wrong. Spaces before the path are tolerated.
std::optional<SmtpPath> ParseSmtpPath(std::string_view text);

// Domain, or an address in square brackets.
bool IsSmtpDomain(std::string_view text);

}  // namespace corod::builtin

#endif  // COROD_SERVER_CATALOG_BUILTIN_SMTP_ADDRESS_H_
