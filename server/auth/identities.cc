#include "server/auth/identities.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace corod {
namespace {

constexpr std::string_view kSecretPrefix = "sha256:";
constexpr std::string_view kCertificatePrefix = "certificate:";
constexpr std::size_t kMinSaltBytes = 16, kMaxSaltBytes = 64;
constexpr const char* kNamespaceRule = "1 to 63 of a-z0-9-, with a letter or digit first and last";
constexpr const char* kNameRule = "1 to 128 of A-Za-z0-9_-, with a letter or digit first";
constexpr const char* kRoleRule = "observe, drive, define or admin";

bool IsIdentityName(std::string_view name) {
  constexpr std::size_t kMaxBytes = 128;
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kMaxBytes && absl::ascii_isalnum(static_cast<unsigned char>(name.front())) &&
         std::all_of(name.begin(), name.end(), allowed);
}

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// The words of a line, up to its comment.
std::vector<std::string_view> WordsOf(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    while (!line.empty() && IsSpace(line.front())) line.remove_prefix(1);
    if (line.empty() || line.front() == '#') return words;
    const auto size = static_cast<std::size_t>(std::find_if(line.begin(), line.end(), IsSpace) - line.begin());
    words.push_back(line.substr(0, size));
    line.remove_prefix(size);
  }
}

// Empty if it is not hexadecimal, or no whole number of bytes.
std::string BytesOf(std::string_view hex) {
  const auto is_digit = [](char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)); };
  if (hex.size() % 2 != 0 || !std::all_of(hex.begin(), hex.end(), is_digit)) return "";
  return absl::HexStringToBytes(absl::string_view(hex.data(), hex.size()));
}

std::string HexOf(std::string_view bytes) {
  return absl::BytesToHexString(absl::string_view(bytes.data(), bytes.size()));
}

std::string HexOf(const Digest& digest) {
  return HexOf(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

}  // namespace

absl::StatusOr<Identities> Identities::Parse(std::string_view text, std::string_view file) {
  const auto refuse = [file](const std::string& why) {
    return absl::InvalidArgumentError("identities file " + std::string(file) + ": " + why);
  };
  Identities identities;
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::vector<std::string_view> words = WordsOf(line);
    if (words.empty()) continue;
    const auto refuse_line = [&refuse, number](const std::string& why) {
      return refuse("line " + std::to_string(number) + ": " + why);
    };
    if (words.size() != 4) return refuse_line("a line reads NAME NAMESPACE ROLE CREDENTIAL");
    if (!IsIdentityName(words[0])) return refuse_line(std::string("the name is not ") + kNameRule);
    if (!IsNamespaceName(words[1])) return refuse_line(std::string("the namespace is not ") + kNamespaceRule);
    const std::optional<Role> role = RoleNamed(words[2]);
    if (!role) return refuse_line(std::string("the role is not ") + kRoleRule);
    const std::string fault =
        identities.AddLine({std::string(words[0]), std::string(words[1]), *role}, words[3], number);
    if (!fault.empty()) return refuse_line(fault);
  }
  if (identities.people_.empty()) {
    return refuse("it names nobody; a line reads NAME NAMESPACE ROLE CREDENTIAL, and 'corod token NAME' makes one");
  }
  return identities;
}

std::string Identities::AddLine(const Identity& identity, std::string_view credential, int line) {
  Person& person = people_[identity.name];
  if (!person.identity) {
    person.identity = std::make_shared<const Identity>(identity);
    person.line = line;
  } else if (*person.identity != identity) {
    return "'" + identity.name + "' has another namespace or role in line " + std::to_string(person.line) +
           "; all lines of a name say the same";
  }
  if (credential.starts_with(kSecretPrefix)) return AddSecret(credential.substr(kSecretPrefix.size()), person);
  if (!credential.starts_with(kCertificatePrefix) || credential.size() == kCertificatePrefix.size()) {
    return "the credential is neither sha256:SALT:HASH nor certificate:SUBJECT";
  }
  const auto [place, is_new] = certificates_.try_emplace(std::string(credential.substr(kCertificatePrefix.size())),
                                                         Certificate{person.identity, line});
  if (!is_new) return "the certificate is that of line " + std::to_string(place->second.line) + "; leave one of them";
  return "";
}

std::string Identities::AddSecret(std::string_view salt_and_hash, Person& person) {
  const std::size_t colon = salt_and_hash.find(':');
  if (colon == std::string_view::npos) return "the credential is not sha256:SALT:HASH; 'corod token NAME' makes one";
  Secret secret;
  secret.salt = BytesOf(salt_and_hash.substr(0, colon));
  if (secret.salt.size() < kMinSaltBytes || secret.salt.size() > kMaxSaltBytes) {
    return "the salt is not 16 to 64 bytes in hexadecimal; 'corod token NAME' makes one";
  }
  const std::string hash = BytesOf(salt_and_hash.substr(colon + 1));
  if (hash.size() != secret.hash.size()) {
    return "the hash is not 32 bytes in hexadecimal, as SHA-256 gives them; 'corod token NAME' makes one";
  }
  std::copy(hash.begin(), hash.end(), secret.hash.begin());
  if (IsSame(Sha256(secret.salt), secret.hash)) return "the hash is that of an empty secret";
  person.secrets.push_back(std::move(secret));
  most_secrets_ = std::max(most_secrets_, person.secrets.size());
  return "";
}

std::shared_ptr<const Identity> Identities::FindToken(std::string_view name, std::string_view secret) const {
  static const Secret kDecoy{std::string(kMinSaltBytes, '\0'), {}};
  const auto person = people_.find(name);
  const std::size_t secrets = person == people_.end() ? 0 : person->second.secrets.size();
  bool found = false;
  for (std::size_t i = 0; i < most_secrets_; ++i) {
    const bool real = i < secrets;
    const Secret& candidate = real ? person->second.secrets[i] : kDecoy;
    const bool same = IsSame(Sha256(candidate.salt, secret), candidate.hash);
    found |= real && same;
  }
  return found ? person->second.identity : nullptr;
}

std::shared_ptr<const Identity> Identities::FindCertificate(std::string_view subject) const {
  const auto found = certificates_.find(subject);
  return found == certificates_.end() ? nullptr : found->second.identity;
}

absl::StatusOr<NewTokenResult> NewToken(const Identity& identity) {
  if (!IsIdentityName(identity.name)) {
    return absl::InvalidArgumentError(std::string("the name of a token's owner is ") + kNameRule);
  }
  if (!IsNamespaceName(identity.name_space)) {
    return absl::InvalidArgumentError(std::string("a namespace is ") + kNamespaceRule);
  }
  constexpr std::size_t kSecretBytes = 32;
  const std::string secret = absl::WebSafeBase64Escape(SecretBytes(kSecretBytes));
  const std::string salt = SecretBytes(kMinSaltBytes);
  NewTokenResult result;
  result.token = identity.name + "." + secret;
  result.line = identity.name + " " + identity.name_space + " " + std::string(NameOf(identity.role)) + " " +
                std::string(kSecretPrefix) + HexOf(salt) + ":" + HexOf(Sha256(salt, secret));
  return result;
}

}  // namespace corod
