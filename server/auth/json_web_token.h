#ifndef COROD_SERVER_AUTH_JSON_WEB_TOKEN_H_
#define COROD_SERVER_AUTH_JSON_WEB_TOKEN_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/auth/identity.h"
#include "server/auth/key_set.h"

namespace corod {

// What a token must say, and where it says who its owner is.
struct TokenRules {
  std::string issuer;    // `iss` is this
  std::string audience;  // `aud` is this, or holds it
  std::string namespace_claim = "namespace";
  std::string role_claim = "role";
};

struct VerifiedToken {
  Identity identity;    // its name is `sub`
  absl::Time good_for;  // until when it is accepted
};

// How far the clock of an issuer may be from ours.
inline constexpr absl::Duration kClockLeeway = absl::Seconds(30);

// Whose `token` is, a JSON Web Token (RFC 7519) in the compact form; CREDENTIALS_INVALID if it is not well formed, not
// signed by a key of the set, not valid at `now`, or does not say what the rules want. Claims are not looked at before
// the signature is verified. Keys and addresses of keys in the header are ignored. Safe from many threads.
absl::StatusOr<VerifiedToken> VerifyJsonWebToken(std::string_view token, const KeySet& keys, const TokenRules& rules,
                                                 absl::Time now);

}  // namespace corod

#endif  // COROD_SERVER_AUTH_JSON_WEB_TOKEN_H_
