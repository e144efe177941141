#ifndef COROD_SERVER_AUTH_KEY_SET_H_
#define COROD_SERVER_AUTH_KEY_SET_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/auth/json.h"

namespace corod {

// How a token may be signed. There is no other way.
enum class SignatureAlgorithm : std::uint8_t { kRs256, kEs256, kEdDsa };

// "RS256", "ES256", "EdDSA", as in a token's header.
std::string_view NameOf(SignatureAlgorithm algorithm);
std::optional<SignatureAlgorithm> SignatureAlgorithmNamed(std::string_view name);

// The public keys of whoever issues tokens: a JSON Web Key Set (RFC 7517). Of a key only its numbers, its id and what
// it may be used for are taken; certificates and addresses in it are not looked at, and nothing is fetched. Immutable.
class KeySet {
 public:
  // INVALID_ARGUMENT, in one line that names `file`, if the text is no key set, holds a secret, or has no key that can
  // be used: RSA of at least 2048 bits, P-256 or Ed25519, for signatures. Other keys are left out.
  static absl::StatusOr<KeySet> Parse(std::string_view text, std::string_view file);

  // The key that a token names; the set's only one of the algorithm if it names none. CREDENTIALS_INVALID otherwise.
  // The key lives as long as the set and is not to be changed.
  absl::StatusOr<json_t*> Find(std::optional<std::string_view> id, SignatureAlgorithm algorithm) const;

  // How many keys can be used.
  std::size_t size() const { return keys_.size(); }
  // A line for each key that was left out, with the reason.
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  struct Key {
    std::optional<std::string> id;
    SignatureAlgorithm algorithm;
    Json key;
  };

  // What is wrong with the whole file; empty: the key is in the set, or left out.
  std::string AddKey(const json_t* key, std::size_t index);

  std::vector<Key> keys_;
  std::vector<std::string> left_out_;
};

}  // namespace corod

#endif  // COROD_SERVER_AUTH_KEY_SET_H_
