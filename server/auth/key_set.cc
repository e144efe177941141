#include "server/auth/key_set.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <rhonabwy.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "server/auth/identity.h"

namespace corod {
namespace {

constexpr std::string_view kAlgorithms[] = {"RS256", "ES256", "EdDSA"};

// The kind of key that goes with each algorithm: kty, crv (none: has no curves), and its numbers.
struct Kind {
  std::string_view type, curve;
  std::vector<const char*> numbers;
};
const Kind& KindFor(SignatureAlgorithm algorithm) {
  static const Kind kKinds[] = {{"RSA", "", {"n", "e"}}, {"EC", "P-256", {"x", "y"}}, {"OKP", "Ed25519", {"x"}}};
  return kKinds[static_cast<std::size_t>(algorithm)];
}

// Members that a public key has not.
constexpr const char* kSecrets[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct KeyContextDeleter {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};

std::optional<SignatureAlgorithm> AlgorithmFor(const json_t* key) {
  const std::optional<std::string_view> type = TextAt(key, "kty"), curve = TextAt(key, "crv");
  for (std::size_t i = 0; i < std::size(kAlgorithms); ++i) {
    const auto algorithm = static_cast<SignatureAlgorithm>(i);
    const Kind& kind = KindFor(algorithm);
    if (type == kind.type && (kind.curve.empty() || curve == kind.curve)) return algorithm;
  }
  return std::nullopt;
}

// The key's numbers alone.
Json Bare(const json_t* key, const Kind& kind) {
  Json bare(json_object());
  const auto copy = [&bare, key](const char* member) {
    json_object_set(bare.get(), member, json_object_get(key, member));
  };
  copy("kty");
  if (!kind.curve.empty()) copy("crv");
  for (const char* const number : kind.numbers) copy(number);
  return bare;
}

// What is wrong with a bare key's numbers; empty: nothing.
std::string FaultOfNumbers(json_t* bare, const Kind& kind) {
  for (const char* const number : kind.numbers) {
    if (!TextAt(bare, number)) return std::string("it has no '") + number + "'";
  }
  constexpr std::size_t kMaxBytes = 8192;
  unsigned char der[kMaxBytes];
  std::size_t size = sizeof(der);
  const unsigned char* at = der;
  if (r_jwk_is_valid(bare) != RHN_OK ||
      r_jwk_export_to_pem_der(bare, R_FORMAT_DER, der, &size, R_FLAG_IGNORE_REMOTE) != RHN_OK) {
    return "its numbers are no key";
  }
  const std::unique_ptr<EVP_PKEY, KeyDeleter> key(d2i_PUBKEY(nullptr, &at, static_cast<long>(size)));
  const std::unique_ptr<EVP_PKEY_CTX, KeyContextDeleter> context(key ? EVP_PKEY_CTX_new(key.get(), nullptr) : nullptr);
  const bool sound = context && EVP_PKEY_public_check(context.get()) == 1;
  ERR_clear_error();
  if (!sound) return "its numbers are no key";
  constexpr int kMinRsaBits = 2048;
  if (kind.type == "RSA" && EVP_PKEY_get_bits(key.get()) < kMinRsaBits) {
    return "RSA of fewer than 2048 bits can be broken";
  }
  return "";
}

// Why the key is not for verifying what is signed with `algorithm`; empty: it is.
std::string FaultOfUse(const json_t* key, SignatureAlgorithm algorithm) {
  if (json_object_get(key, "alg") && TextAt(key, "alg") != NameOf(algorithm)) {
    return "its alg is not " + std::string(NameOf(algorithm));
  }
  if (json_object_get(key, "use") && TextAt(key, "use") != "sig") return "its use is not sig";
  const json_t* const operations = json_object_get(key, "key_ops");
  if (!operations) return "";
  for (std::size_t i = 0; i < json_array_size(operations); ++i) {
    const char* const operation = json_string_value(json_array_get(operations, i));
    if (operation && std::string_view(operation) == "verify") return "";
  }
  return "its key_ops have no verify";
}

}  // namespace

std::string_view NameOf(SignatureAlgorithm algorithm) { return kAlgorithms[static_cast<std::size_t>(algorithm)]; }

std::optional<SignatureAlgorithm> SignatureAlgorithmNamed(std::string_view name) {
  const auto* const found = std::find(std::begin(kAlgorithms), std::end(kAlgorithms), name);
  if (found == std::end(kAlgorithms)) return std::nullopt;
  return static_cast<SignatureAlgorithm>(found - std::begin(kAlgorithms));
}

absl::StatusOr<KeySet> KeySet::Parse(std::string_view text, std::string_view file) {
  static const bool kReady = r_global_init() == RHN_OK;
  const auto refuse = [file](const std::string& why) {
    return absl::InvalidArgumentError("key set " + std::string(file) + ": " + why);
  };
  if (!kReady) return refuse("the library that reads it does not start");
  std::string place;
  const Json parsed = ParseJsonObject(text, &place);
  if (!parsed) return refuse(place + ": it is no JSON object, or has a key twice");
  const json_t* const keys = json_object_get(parsed.get(), "keys");
  if (!json_is_array(keys)) return refuse("it has no list 'keys'; a JSON Web Key Set reads {\"keys\": [...]}");
  KeySet set;
  for (std::size_t i = 0; i < json_array_size(keys); ++i) {
    const std::string fault = set.AddKey(json_array_get(keys, i), i);
    if (!fault.empty()) return refuse(fault);
  }
  if (set.keys_.empty()) {
    return refuse("it has no key that can be used: RSA, P-256 or Ed25519, for signatures" +
                  (set.left_out_.empty() ? "" : "; " + set.left_out_.front()));
  }
  return set;
}

std::string KeySet::AddKey(const json_t* key, std::size_t index) {
  const std::string called = "key " + std::to_string(index + 1);
  if (!json_is_object(key)) return called + " is no JSON object";
  for (const char* const secret : kSecrets) {
    if (!json_object_get(key, secret)) continue;
    return called + " holds a secret ('" + secret + "'); leave only the public half here, and make a new key";
  }
  const json_t* const id = json_object_get(key, "kid");
  if (id && !json_is_string(id)) return called + " has a kid that is no text";
  const auto leave_out = [this, &called](const std::string& why) {
    left_out_.push_back(called + " is left out: " + why);
    return std::string();
  };
  const std::optional<SignatureAlgorithm> algorithm = AlgorithmFor(key);
  if (!algorithm) return leave_out("it is neither RSA nor P-256 nor Ed25519");
  std::string fault = FaultOfUse(key, *algorithm);
  if (!fault.empty()) return leave_out(fault);
  const Kind& kind = KindFor(*algorithm);
  Json bare = Bare(key, kind);
  fault = FaultOfNumbers(bare.get(), kind);
  if (!fault.empty()) return leave_out(fault);
  Key added{std::nullopt, *algorithm, std::move(bare)};
  if (id) added.id = *TextAt(key, "kid");
  const bool taken = std::any_of(keys_.begin(), keys_.end(), [&added](const Key& other) {
    return other.id && other.id == added.id && other.algorithm == added.algorithm;
  });
  if (taken) return called + " has the kid of another " + std::string(NameOf(*algorithm)) + " key";
  keys_.push_back(std::move(added));
  return "";
}

absl::StatusOr<json_t*> KeySet::Find(std::optional<std::string_view> id, SignatureAlgorithm algorithm) const {
  json_t* found = nullptr;
  bool is_known = false;
  for (const Key& key : keys_) {
    if (id && key.id != *id) continue;
    is_known = true;
    if (key.algorithm != algorithm) continue;
    if (found) {
      return RefuseCredentials("unknown_key",
                               "the token does not say which key it is signed with; its issuer must "
                               "write the key's id (kid) into the header");
    }
    found = key.key.get();
  }
  if (found) return found;
  if (id && is_known) {
    return RefuseCredentials(
        "algorithm", "the token is signed in another way than its key is for; its issuer must use the key's algorithm");
  }
  return RefuseCredentials("unknown_key",
                           "this server does not know the key that the token is signed with; get a new "
                           "token, or give the server the issuer's present key set");
}

}  // namespace corod
