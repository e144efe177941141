// Fuzzes what tells callers: tokens, identities files and key sets.
//
// A token that nobody signed is never accepted, whatever it says; one whose claims the fuzzer wrote and the right key
// signed gives an identity that may be one, or a refusal with its reason. No refusal repeats what was refused. A file
// that is refused is named in one line; one that is accepted has something in it.
//
// A finding again: build-fuzz/fuzz/tokens build-fuzz/findings/tokens/crash-...
// An input: which parser, and the text. A token that is signed is HEADER, a newline, CLAIMS.
#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "server/auth/identities.h"
#include "server/auth/json_web_token.h"
#include "server/auth/key_set.h"
#include "server/base/failure.h"
#include "tests/fuzz/input.h"

namespace corod::fuzz {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'900'000'000);

std::string Base64Url(std::string_view bytes) {
  return absl::WebSafeBase64Escape(absl::string_view(bytes.data(), bytes.size()));
}

// A key whose private half is known here.
EVP_PKEY* SigningKey() {
  static EVP_PKEY* const kKey = [] {
    const std::string seed(32, 's');
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(seed.data()),
                                        seed.size());
  }();
  return kKey;
}

const KeySet& SigningKeys() {
  static const KeySet* const kKeys = [] {
    unsigned char bytes[32];
    std::size_t size = sizeof(bytes);
    if (EVP_PKEY_get_raw_public_key(SigningKey(), bytes, &size) != 1) std::abort();
    return new KeySet(*KeySet::Parse(R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"d","x":")" +
                                         Base64Url({reinterpret_cast<const char*>(bytes), size}) + R"("}]})",
                                     "keys"));
  }();
  return *kKeys;
}

// Keys whose private halves nobody has.
const KeySet& Keys() {
  static const KeySet* const kKeys = new KeySet(*KeySet::Parse(
      R"({"keys":[{"kty":"RSA","kid":"r","e":"AQAB","n":")"
      "xo2Mt5actkqwMZR_VC849_H4Pbhta-fzVQt_aic-vfNQtmlW5rBNcEvtXbkxHs99-IKzI9hVmctCIGNKFxfeUE9B3Ab7zy5t"
      "rG_K7PYk8nypFJSVceKqFySkD_HaUndaf1pbhlSlLlWbbPBcxu3Ld4rtzgUytn7hp7RY3ci4a04OwUaeIadwYg7RZk4VU0Cy"
      "BsbkLuRJfu-7gZNcioRfsQsLi2-SysI02-sbmBhQIjhJ-G83EvW6CxKfnHQdznvdYGv_d-zZuhTcL5ZJ9Gz-QOIhEPNpsu8c"
      "5QDrvEUJZq8OjmCW4PE8w5NsjeJO1q9CXANjLJTwiHXsAyHJxid-Mw"
      R"("},)"
      R"({"kty":"EC","crv":"P-256","kid":"e","x":"hp1e-azbKD4z6UMBxsVfNMi3muYLSJMq2wCk5LGbfUM","y":"JXIToWTDY1ZSsMNW6wPo548bm3Wmbc04Mu47DTbXTD0"},)"
      R"({"kty":"OKP","crv":"Ed25519","kid":"d","x":"Pa1rjYlF54PvKuxC31R2fB1pz3zTBUKVGhUOYKxVyn0"}]})",
      "keys"));
  return *kKeys;
}

std::string Sign(const std::string& text) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  std::string signature(64, '\0');
  std::size_t size = signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, SigningKey()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1) {
    std::abort();
  }
  return signature;
}

void CheckRefusal(const absl::Status& status, std::string_view token) {
  const FailureDetails details = DetailsOf(status);
  Require(IsFailure(status, Reason::CREDENTIALS_INVALID), "refused with another reason: " + status.ToString());
  Require(details.metadata.contains("problem"), "refused without a problem");
  constexpr std::size_t kLong = 24;  // no word of a message is as long; a token with spaces may hold a message
  const std::string message(status.message());
  for (std::size_t i = 0; i + kLong <= std::min<std::size_t>(token.size(), 256); ++i) {
    const std::string_view piece = token.substr(i, kLong);
    if (piece.find(' ') != std::string_view::npos) continue;
    if (message.find(piece) != std::string::npos) Fail("a refusal repeats the token: " + message);
  }
}

void CheckUnsigned(std::string_view token) {
  const absl::StatusOr<VerifiedToken> verified = VerifyJsonWebToken(token, Keys(), {"i", "a"}, kNow);
  Require(!verified.ok(), "a token that nobody signed was accepted");
  CheckRefusal(verified.status(), token);
}

void CheckSigned(std::string_view text) {
  const std::size_t size = text.find('\n');
  const std::string_view header = text.substr(0, size);
  const std::string_view claims = size == std::string_view::npos ? std::string_view() : text.substr(size + 1);
  const std::string unsigned_token = Base64Url(header) + "." + Base64Url(claims);
  const std::string token = unsigned_token + "." + Base64Url(Sign(unsigned_token));
  const absl::StatusOr<VerifiedToken> verified = VerifyJsonWebToken(token, SigningKeys(), {"i", "a"}, kNow);
  if (!verified.ok()) return CheckRefusal(verified.status(), token);
  const Identity& identity = verified->identity;
  Require(!identity.name.empty() && identity.name.find('\n') == std::string::npos, "a name that is none");
  Require(IsNamespaceName(identity.name_space), "a namespace that is none: " + identity.name_space);
  Require(RoleNamed(NameOf(identity.role)) == identity.role, "a role that is none");
  Require(verified->good_for > kNow, "accepted though it has expired");
  // The same with any other signature is not.
  std::string other = token;
  other[unsigned_token.size() + 1] = other[unsigned_token.size() + 1] == 'A' ? 'B' : 'A';
  Require(!VerifyJsonWebToken(other, SigningKeys(), {"i", "a"}, kNow).ok(), "accepted with another signature");
}

void CheckFault(const absl::Status& status, std::string_view begin) {
  const std::string message(status.message());
  Require(status.code() == absl::StatusCode::kInvalidArgument, "refused with another code: " + status.ToString());
  Require(message.starts_with(begin) && message.find('\n') == std::string::npos, "not one line: " + message);
  const auto is_plain = [](char c) { return absl::ascii_isprint(static_cast<unsigned char>(c)); };
  Require(std::all_of(message.begin(), message.end(), is_plain), "repeats what it refused: " + message);
}

void CheckIdentities(std::string_view text) {
  const absl::StatusOr<Identities> identities = Identities::Parse(text, "people");
  if (!identities.ok()) return CheckFault(identities.status(), "identities file people: ");
  Require(identities->size() > 0, "a file that names nobody was accepted");
  Require(!identities->FindToken("nobody", "") && !identities->FindToken("ada", ""), "an empty secret was accepted");
}

void CheckKeySet(std::string_view text) {
  const absl::StatusOr<KeySet> keys = KeySet::Parse(text, "keys");
  if (!keys.ok()) return CheckFault(keys.status(), "key set keys: ");
  Require(keys->size() > 0, "a set without keys was accepted");
  // A key that was accepted can verify, and does not take just anything.
  const std::string token = Base64Url(R"({"alg":"EdDSA"})") + ".e30." + Base64Url(std::string(64, 's'));
  Require(!VerifyJsonWebToken(token, *keys, {"i", "a"}, kNow).ok(), "a signature of anything was accepted");
}

void TestOneInput(Input input) {
  switch (input.Pick(4)) {
    case 0:
      return CheckUnsigned(input.Rest());
    case 1:
      return CheckIdentities(input.Rest());
    case 2:
      return CheckKeySet(input.Rest());
    default:
      return CheckSigned(input.Rest());
  }
}

}  // namespace
}  // namespace corod::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  corod::fuzz::TestOneInput(corod::fuzz::Input(data, size));
  return 0;
}
