#ifndef COROD_SERVER_AUTH_IDENTITIES_H_
#define COROD_SERVER_AUTH_IDENTITIES_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/auth/digest.h"
#include "server/auth/identity.h"

namespace corod {

// What an identities file says: who has which static token and which certificate. Its lines are
//
//   NAME NAMESPACE ROLE sha256:SALT:HASH       the token NAME.SECRET; HASH is the SHA-256 of SALT and SECRET
//   NAME NAMESPACE ROLE certificate:SUBJECT    a client certificate with this name (certificate_names.h)
//
// SALT and HASH are hexadecimal, SALT is 16 to 64 bytes. A # at the beginning or after a space begins a comment. A NAME
// may have several lines, so that one of its credentials can be replaced while the other is in use; all say the same
// namespace and role. Immutable.
class Identities {
 public:
  // INVALID_ARGUMENT, in one line that names `file` and the line, if the text is not as above or names nobody. Nothing
  // of a line is repeated but a NAME, since it may hold a secret.
  static absl::StatusOr<Identities> Parse(std::string_view text, std::string_view file);

  // Whose static token `name`.`secret` is; null: nobody's. Takes as long for a name that is unknown as for one that has
  // another secret.
  std::shared_ptr<const Identity> FindToken(std::string_view name, std::string_view secret) const;

  // Whose certificate has this name; null: nobody's.
  std::shared_ptr<const Identity> FindCertificate(std::string_view subject) const;

  // How many names there are.
  std::size_t size() const { return people_.size(); }

 private:
  struct Secret {
    std::string salt;
    Digest hash;
  };
  struct Person {
    std::shared_ptr<const Identity> identity;
    int line = 0;  // the first
    std::vector<Secret> secrets;
  };
  struct Certificate {
    std::shared_ptr<const Identity> identity;
    int line = 0;
  };

  // What is wrong with a line, which says `identity`; empty: it is taken.
  std::string AddLine(const Identity& identity, std::string_view credential, int line);
  std::string AddSecret(std::string_view salt_and_hash, Person& person);

  std::map<std::string, Person, std::less<>> people_;
  std::map<std::string, Certificate, std::less<>> certificates_;
  std::size_t most_secrets_ = 1;  // of one name
};

// A new static token.
struct NewTokenResult {
  std::string token;  // what its owner sends; it is kept nowhere
  std::string line;   // for the identities file, without a newline
};

// Makes a token of 32 random bytes for `identity`. INVALID_ARGUMENT if its name or namespace cannot stand in an
// identities file.
absl::StatusOr<NewTokenResult> NewToken(const Identity& identity);

}  // namespace corod

#endif  // COROD_SERVER_AUTH_IDENTITIES_H_
