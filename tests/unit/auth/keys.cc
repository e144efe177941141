#include "tests/unit/auth/keys.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"

namespace corod {
namespace {

void Must(bool holds) {
  if (!holds) std::abort();
}

std::string ContentOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string content(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return content;
}

}  // namespace

TestKey TestKey::Rsa(int bits) { return TestKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t(bits))); }
TestKey TestKey::Ec(const char* curve) { return TestKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve)); }
TestKey TestKey::Ed25519() { return TestKey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")); }

std::string TestKey::Number(const char* name) const {
  BIGNUM* number = nullptr;
  Must(EVP_PKEY_get_bn_param(get(), name, &number) == 1);
  // A curve's coordinates have all their bytes.
  const int size = EVP_PKEY_is_a(get(), "EC") ? (EVP_PKEY_get_bits(get()) + 7) / 8 : BN_num_bytes(number);
  std::string bytes(static_cast<std::size_t>(size), '\0');
  Must(BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), size) == size);
  BN_free(number);
  return Base64Url(bytes);
}

std::string TestKey::Jwk(std::string_view more) const {
  std::string jwk;
  if (EVP_PKEY_is_a(get(), "RSA")) {
    jwk = R"({"kty":"RSA","n":")" + Number(OSSL_PKEY_PARAM_RSA_N) + R"(","e":")" + Number(OSSL_PKEY_PARAM_RSA_E) + '"';
  } else if (EVP_PKEY_is_a(get(), "EC")) {
    jwk = R"({"kty":"EC","crv":"P-)" + std::to_string(EVP_PKEY_get_bits(get())) + R"(","x":")" +
          Number(OSSL_PKEY_PARAM_EC_PUB_X) + R"(","y":")" + Number(OSSL_PKEY_PARAM_EC_PUB_Y) + '"';
  } else {
    std::string bytes(32, '\0');
    std::size_t size = bytes.size();
    Must(EVP_PKEY_get_raw_public_key(get(), reinterpret_cast<unsigned char*>(bytes.data()), &size) == 1);
    jwk = R"({"kty":"OKP","crv":"Ed25519","x":")" + Base64Url(bytes) + '"';
  }
  return jwk + std::string(more) + "}";
}

std::string TestKey::PublicPem() const {
  BIO* const bio = BIO_new(BIO_s_mem());
  Must(PEM_write_bio_PUBKEY(bio, get()) == 1);
  return ContentOf(bio);
}

std::string TestKey::PrivatePem(const char* password) const {
  BIO* const bio = BIO_new(BIO_s_mem());
  Must(PEM_write_bio_PKCS8PrivateKey(bio, get(), password ? EVP_aes_128_cbc() : nullptr, nullptr, 0, nullptr,
                                     const_cast<char*>(password)) == 1);
  return ContentOf(bio);
}

std::string TestKey::SignAsItIs(std::string_view data, const char* digest, bool pss) const {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  EVP_PKEY_CTX* key_context = nullptr;
  Must(EVP_DigestSignInit_ex(context.get(), &key_context, digest, nullptr, nullptr, get(), nullptr) == 1);
  if (pss) Must(EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) == 1);
  const auto* const bytes = reinterpret_cast<const unsigned char*>(data.data());
  std::size_t size = 0;
  Must(EVP_DigestSign(context.get(), nullptr, &size, bytes, data.size()) == 1);
  std::string signature(size, '\0');
  Must(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, data.size()) ==
       1);
  signature.resize(size);
  return signature;
}

std::string TestKey::SignInDer(std::string_view data) const { return SignAsItIs(data, "SHA256"); }

std::string TestKey::SignWithSha384(std::string_view data) const { return SignAsItIs(data, "SHA384"); }

std::string TestKey::SignWithPss(std::string_view data) const { return SignAsItIs(data, "SHA256", /*pss=*/true); }

std::string TestKey::Sign(std::string_view data) const {
  if (EVP_PKEY_is_a(get(), "ED25519")) return SignAsItIs(data, nullptr);
  if (EVP_PKEY_is_a(get(), "RSA")) return SignAsItIs(data, "SHA256");
  const std::string der = SignInDer(data);
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* const numbers = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  const int size = (EVP_PKEY_get_bits(get()) + 7) / 8;
  std::string signature(static_cast<std::size_t>(2 * size), '\0');
  auto* const bytes = reinterpret_cast<unsigned char*>(signature.data());
  Must(BN_bn2binpad(ECDSA_SIG_get0_r(numbers), bytes, size) == size &&
       BN_bn2binpad(ECDSA_SIG_get0_s(numbers), bytes + size, size) == size);
  ECDSA_SIG_free(numbers);
  return signature;
}

std::string KeySetOf(const std::vector<std::string>& jwks) { return R"({"keys":[)" + absl::StrJoin(jwks, ",") + "]}"; }

std::string JsonOf(const Members& members) {
  std::vector<std::string> texts;
  texts.reserve(members.size());
  for (const auto& [name, value] : members) texts.push_back('"' + name + "\":" + value);
  return "{" + absl::StrJoin(texts, ",") + "}";
}

Members Changed(Members members, const Members& changed) {
  for (const auto& [name, value] : changed) {
    members[name] = value;
    if (value.empty()) members.erase(name);
  }
  return members;
}

Members GoodClaims() {
  return {{"iss", R"("https://issuer.example.org")"},
          {"aud", R"("corod")"},
          {"sub", R"("ada")"},
          {"namespace", R"("team-a")"},
          {"role", R"("drive")"},
          {"exp", std::to_string(absl::ToUnixSeconds(kNow) + 3600)},
          {"iat", std::to_string(absl::ToUnixSeconds(kNow))}};
}

std::string Base64Url(std::string_view bytes) {
  return absl::WebSafeBase64Escape(absl::string_view(bytes.data(), bytes.size()));
}

std::string Unsigned(const std::string& header, const std::string& claims) {
  return Base64Url(header) + "." + Base64Url(claims);
}

std::string Signed(const Members& header, const Members& claims, const TestKey& key) {
  const std::string text = Unsigned(JsonOf(header), JsonOf(claims));
  return text + "." + Base64Url(key.Sign(text));
}

std::string CertificateOf(const TestKey& key, const CertificateOptions& options) {
  const CertificateHandle certificate(X509_new());
  X509* const made = certificate.get();
  Must(X509_set_version(made, 2) == 1);
  ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
  ASN1_TIME_set(X509_getm_notBefore(made), absl::ToTimeT(options.begins));
  ASN1_TIME_set(X509_getm_notAfter(made), absl::ToTimeT(options.expires));
  X509_NAME* const subject = X509_get_subject_name(made);
  for (const std::string& name : {options.common_name, options.second_common_name}) {
    if (name.empty()) continue;
    Must(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.data()), static_cast<int>(name.size()),
                                    -1, 0) == 1);
  }
  X509_set_issuer_name(made, subject);
  X509_set_pubkey(made, key.get());
  if (!options.alternative.empty()) {
    X509_EXTENSION* const names =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, options.alternative.c_str());
    Must(names && X509_add_ext(made, names, -1) == 1);
    X509_EXTENSION_free(names);
  }
  const bool has_digest = !EVP_PKEY_is_a(key.get(), "ED25519");
  Must(X509_sign(made, key.get(), has_digest ? EVP_sha256() : nullptr) > 0);
  BIO* const bio = BIO_new(BIO_s_mem());
  Must(PEM_write_bio_X509(bio, made) == 1);
  return ContentOf(bio);
}

}  // namespace corod
