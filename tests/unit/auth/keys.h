#ifndef COROD_TESTS_UNIT_AUTH_KEYS_H_
#define COROD_TESTS_UNIT_AUTH_KEYS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/pem.h"

namespace corod {

// The time in these tests until it is advanced.
inline const absl::Time kNow = absl::FromUnixSeconds(1'900'000'000);

class TokenClock : public Clock {
 public:
  absl::Time Now() const override { return kNow + absl::Seconds(seconds_.load()); }
  void Advance(int seconds) { seconds_ += seconds; }

 private:
  std::atomic<int> seconds_{0};
};

// A key pair made with OpenSSL, which also signs here, so that what the server verifies comes from another library.
class TestKey {
 public:
  static TestKey Rsa(int bits = 2048);
  static TestKey Ec(const char* curve = "P-256");
  static TestKey Ed25519();

  EVP_PKEY* get() const { return key_.get(); }
  // The public half as a JWK, with more members of this JSON text (`,"kid":"a"`).
  std::string Jwk(std::string_view more = "") const;
  std::string PublicPem() const;
  std::string PrivatePem(const char* password = nullptr) const;
  // A signature as a token has it: RSA's PKCS #1, two numbers for a curve, Ed25519's.
  std::string Sign(std::string_view data) const;
  // The same with SHA-384.
  std::string SignWithSha384(std::string_view data) const;
  // RSA's with PSS padding.
  std::string SignWithPss(std::string_view data) const;
  // A curve's signature as OpenSSL gives it.
  std::string SignInDer(std::string_view data) const;

 private:
  explicit TestKey(EVP_PKEY* key) : key_(key) {}
  std::string SignAsItIs(std::string_view data, const char* digest, bool pss = false) const;
  std::string Number(const char* name) const;  // base64url

  PrivateKeyHandle key_;
};

std::string KeySetOf(const std::vector<std::string>& jwks);

// A JSON object's members, each a JSON text.
using Members = std::map<std::string, std::string>;
std::string JsonOf(const Members& members);
// `members` with those of `changed`; one that is empty is left out.
Members Changed(Members members, const Members& changed);

// What a good token says at kNow: it is ada's, a driver's in the namespace team-a, for an hour.
Members GoodClaims();

std::string Base64Url(std::string_view bytes);
// HEADER.CLAIMS, base64url.
std::string Unsigned(const std::string& header, const std::string& claims);
std::string Signed(const Members& header, const Members& claims, const TestKey& key);

struct CertificateOptions {
  std::string common_name = "a client";
  std::string alternative;  // as in OpenSSL's configuration: "DNS:a,URI:b"
  absl::Time begins = kNow - absl::Hours(1);
  absl::Time expires = kNow + absl::Hours(1);
  std::string second_common_name = {};
};
// A certificate in PEM, signed by its own key.
std::string CertificateOf(const TestKey& key, const CertificateOptions& options = {});

}  // namespace corod

#endif  // COROD_TESTS_UNIT_AUTH_KEYS_H_
