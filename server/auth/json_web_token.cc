#include "server/auth/json_web_token.h"

#include <rhonabwy.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "server/auth/json.h"

namespace corod {
namespace {

struct JwsDeleter {
  void operator()(jws_t* jws) const { r_jws_free(jws); }
};
using Jws = std::unique_ptr<jws_t, JwsDeleter>;

absl::Status RefuseForm(const std::string& what) {
  return RefuseCredentials("malformed", "the token " + what + "; send it as its issuer gave it");
}

// The bytes that `part` stands for, if it is the one base64url text for them.
std::optional<std::string> Decoded(std::string_view part) {
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  };
  std::string bytes;
  if (part.empty() || !std::all_of(part.begin(), part.end(), allowed) ||
      !absl::WebSafeBase64Unescape(absl::string_view(part.data(), part.size()), &bytes) || bytes.empty() ||
      absl::WebSafeBase64Escape(bytes) != part) {
    return std::nullopt;
  }
  return bytes;
}

// What a header says that matters.
struct Header {
  SignatureAlgorithm algorithm;
  std::optional<std::string_view> key_id;
};

bool IsTokenType(std::string type) {
  absl::AsciiStrToLower(&type);
  return type == "jwt" || type == "at+jwt" || type == "application/jwt" || type == "application/at+jwt";
}

absl::StatusOr<Header> ReadHeader(const json_t* header) {
  const std::optional<std::string_view> name = TextAt(header, "alg");
  const std::optional<SignatureAlgorithm> algorithm = name ? SignatureAlgorithmNamed(*name) : std::nullopt;
  if (!algorithm) {
    return RefuseCredentials(
        "algorithm", "the token is not signed with RS256, ES256 or EdDSA; its issuer must sign in one of these ways");
  }
  if (json_object_get(header, "crit")) return RefuseForm("has an extension that must be understood (crit) and is not");
  // Neither is part of a signed JSON Web Token, and the library would act on it.
  if (json_object_get(header, "zip")) return RefuseForm("is compressed");
  if (json_object_get(header, "b64")) return RefuseForm("has a payload in another form (b64)");
  if (json_object_get(header, "typ")) {
    const std::optional<std::string_view> type = TextAt(header, "typ");
    if (!type || !IsTokenType(std::string(*type))) return RefuseForm("is of a type (typ) that is not for access");
  }
  const std::optional<std::string_view> key_id = TextAt(header, "kid");
  if (json_object_get(header, "kid") && !key_id) return RefuseForm("has a key id (kid) that is no text");
  return Header{*algorithm, key_id};
}

absl::Status CheckSignature(std::string_view token, std::string_view signature, const Header& header, json_t* key) {
  absl::Status refused = RefuseCredentials(
      "signature", "the token's signature is not that of its key; send it as its issuer gave it, or get a new one");
  // Two numbers of 32 bytes. The library also takes those of wider curves.
  constexpr std::size_t kEs256Bytes = 64;
  if (header.algorithm == SignatureAlgorithm::kEs256 && signature.size() != kEs256Bytes) return refused;
  jws_t* made = nullptr;
  if (r_jws_init(&made) != RHN_OK) return absl::ResourceExhaustedError("no memory to verify a token");
  const Jws jws(made);
  // R_PARSE_NONE: no key is taken from the header, and nothing unsigned is accepted.
  if (r_jws_advanced_compact_parsen(jws.get(), token.data(), token.size(), R_PARSE_NONE, R_FLAG_IGNORE_REMOTE) !=
      RHN_OK) {
    return RefuseForm("cannot be read");
  }
  return r_jws_verify_signature(jws.get(), key, R_FLAG_IGNORE_REMOTE) == RHN_OK ? absl::OkStatus() : refused;
}

absl::Status RefuseClaims(const std::string& what) {
  return RefuseCredentials("claims", "the token's " + what + "; its issuer must change that");
}

// A NumericDate; nothing if the claim is no number.
std::optional<absl::Time> TimeAt(const json_t* claims, const char* claim) {
  const json_t* const found = json_object_get(claims, claim);
  if (json_is_integer(found)) return absl::UnixEpoch() + absl::Seconds(json_integer_value(found));
  if (json_is_real(found)) return absl::UnixEpoch() + absl::Seconds(json_real_value(found));
  return std::nullopt;
}

// Until when the token is accepted; a refusal if that is not now.
absl::StatusOr<absl::Time> CheckTimes(const json_t* claims, absl::Time now) {
  const std::optional<absl::Time> expires = TimeAt(claims, "exp");
  if (!expires) return RefuseClaims("time of expiry (exp) is missing, or no number");
  for (const char* const claim : {"nbf", "iat"}) {
    if (!json_object_get(claims, claim)) continue;
    const std::optional<absl::Time> begins = TimeAt(claims, claim);
    if (!begins) return RefuseClaims(std::string(claim) + " is no number");
    if (now + kClockLeeway < *begins) {
      return RefuseCredentials("not_yet_valid",
                               "the token is not valid yet; send it later, or set the clocks of its issuer and of this "
                               "server");
    }
  }
  const absl::Time good_for = *expires + kClockLeeway;
  if (now >= good_for) return RefuseCredentials("expired", "the token has expired; get a new one");
  return good_for;
}

bool IsFor(const json_t* claims, std::string_view audience) {
  const json_t* const found = json_object_get(claims, "aud");
  if (!json_is_array(found)) return TextAt(claims, "aud") == audience;
  for (std::size_t i = 0; i < json_array_size(found); ++i) {
    const json_t* const one = json_array_get(found, i);
    if (json_is_string(one) && std::string_view(json_string_value(one), json_string_length(one)) == audience)
      return true;
  }
  return false;
}

absl::StatusOr<Identity> IdentityOf(const json_t* claims, const TokenRules& rules) {
  constexpr std::size_t kMaxNameBytes = 255;
  const std::optional<std::string_view> name = TextAt(claims, "sub");
  const auto is_control = [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); };
  if (!name || name->empty() || name->size() > kMaxNameBytes || std::any_of(name->begin(), name->end(), is_control)) {
    return RefuseClaims("subject (sub) is not 1 to 255 bytes of text on one line");
  }
  const std::optional<std::string_view> name_space = TextAt(claims, rules.namespace_claim.c_str());
  if (!name_space || !IsNamespaceName(*name_space)) {
    return RefuseClaims("namespace (" + rules.namespace_claim +
                        ") is not 1 to 63 of a-z0-9-, with a letter or digit first and last");
  }
  const std::optional<std::string_view> role_name = TextAt(claims, rules.role_claim.c_str());
  const std::optional<Role> role = role_name ? RoleNamed(*role_name) : std::nullopt;
  if (!role) return RefuseClaims("role (" + rules.role_claim + ") is not observe, drive, define or admin");
  return Identity{std::string(*name), std::string(*name_space), *role};
}

}  // namespace

absl::StatusOr<VerifiedToken> VerifyJsonWebToken(std::string_view token, const KeySet& keys, const TokenRules& rules,
                                                 absl::Time now) {
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return RefuseForm("has not three parts");
  }
  const std::optional<std::string> header_text = Decoded(token.substr(0, first));
  const std::optional<std::string> claims_text = Decoded(token.substr(first + 1, second - first - 1));
  const std::string_view signature_part = token.substr(second + 1);
  const std::optional<std::string> signature = Decoded(signature_part);
  const Json header_json = header_text ? ParseJsonObject(*header_text) : nullptr;
  // The algorithm first, so that one who sends a token without signature hears why.
  if (!header_json) return RefuseForm("has no header that can be read");
  const absl::StatusOr<Header> header = ReadHeader(header_json.get());
  if (!header.ok()) return header.status();
  if (!claims_text || !signature) return RefuseForm("has a part that is empty or not base64url");

  const absl::StatusOr<json_t*> key = keys.Find(header->key_id, header->algorithm);
  if (!key.ok()) return key.status();
  absl::Status signed_by_key = CheckSignature(token, *signature, *header, *key);
  if (!signed_by_key.ok()) return signed_by_key;

  const Json claims = ParseJsonObject(*claims_text);
  if (!claims) return RefuseForm("has no claims that can be read");
  const absl::StatusOr<absl::Time> good_for = CheckTimes(claims.get(), now);
  if (!good_for.ok()) return good_for.status();
  if (TextAt(claims.get(), "iss") != rules.issuer) {
    return RefuseCredentials("issuer",
                             "the token is of another issuer; get one from the issuer that this server is set to");
  }
  if (!IsFor(claims.get(), rules.audience)) {
    return RefuseCredentials("audience", "the token is not for this server; get one whose audience (aud) has it");
  }
  absl::StatusOr<Identity> identity = IdentityOf(claims.get(), rules);
  if (!identity.ok()) return identity.status();
  return VerifiedToken{*std::move(identity), *good_for};
}

}  // namespace corod
