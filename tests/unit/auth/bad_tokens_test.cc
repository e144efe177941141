// Every kind of bad token that we know of, through the door that a server uses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "server/auth/authenticator.h"
#include "server/base/failure.h"
#include "tests/unit/auth/keys.h"
#include "tests/unit/base/temporary_files.h"

namespace corod {
namespace {

using testing::HasSubstr;
using testing::Not;

// A server that knows ada and bob by tokens, and five keys.
struct World {
  TemporaryFolder folder;
  TokenClock clock;
  std::string ada, bob;  // tokens
  TestKey rsa = TestKey::Rsa(), ec = TestKey::Ec(), ed = TestKey::Ed25519(), second_ed = TestKey::Ed25519(),
          for_encryption = TestKey::Ec(), of_attacker = TestKey::Rsa(), ec_of_attacker = TestKey::Ec();
  std::unique_ptr<Authenticator> authenticator;

  World() {
    const NewTokenResult first = *NewToken({"ada", "team-a", Role::kDrive});
    const NewTokenResult second = *NewToken({"bob", "team-a", Role::kAdmin});
    ada = first.token;
    bob = second.token;
    AuthenticatorOptions options;
    options.identities_file = folder.Put("people", first.line + "\n" + second.line + "\n");
    options.jwks_file = folder.Put(
        "keys", KeySetOf({rsa.Jwk(R"(,"kid":"r")"), ec.Jwk(R"(,"kid":"e")"), ed.Jwk(R"(,"kid":"d")"),
                          second_ed.Jwk(R"(,"kid":"d2")"), for_encryption.Jwk(R"(,"kid":"enc","use":"enc")")}));
    options.rules = {"https://issuer.example.org", "corod"};
    absl::StatusOr<std::unique_ptr<Authenticator>> opened = Authenticator::Open(options, clock);
    if (!opened.ok()) std::abort();
    authenticator = *std::move(opened);
  }
};

World& TheWorld() {
  static World* const kWorld = new World;
  return *kWorld;
}

struct BadToken {
  const char* name;
  const char* problem;
  std::function<std::string(World&)> make;

  friend void PrintTo(const BadToken& token, std::ostream* out) { *out << token.name; }
};

class BadTokensTest : public testing::TestWithParam<BadToken> {};

TEST_P(BadTokensTest, IsRefused) {
  World& world = TheWorld();
  const std::string token = GetParam().make(world);
  const std::size_t cached = world.authenticator->cached_tokens();
  const absl::StatusOr<std::shared_ptr<const Identity>> found = world.authenticator->AuthenticateToken(token);
  ASSERT_FALSE(found.ok()) << "accepted: " << token;
  EXPECT_TRUE(IsFailure(found.status(), Reason::CREDENTIALS_INVALID)) << found.status();
  EXPECT_EQ(DetailsOf(found.status()).metadata["problem"], GetParam().problem) << found.status();
  const std::string message(found.status().message());
  EXPECT_THAT(message, HasSubstr("; ")) << "it says what to do";
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  // Nothing of the token, neither of its text nor of what it says.
  for (std::size_t i = 0; i + 12 <= token.size(); ++i) ASSERT_THAT(message, Not(HasSubstr(token.substr(i, 12))));
  EXPECT_THAT(message, Not(HasSubstr("mallory")));
  EXPECT_EQ(world.authenticator->cached_tokens(), cached);
}

const Members kRs{{"alg", R"("RS256")"}, {"kid", R"("r")"}};
const Members kEs{{"alg", R"("ES256")"}, {"kid", R"("e")"}};
const Members kEd{{"alg", R"("EdDSA")"}, {"kid", R"("d")"}};

std::string Seconds(int from_now) { return std::to_string(absl::ToUnixSeconds(kNow) + from_now); }

// A token of the right key with these claims.
std::function<std::string(World&)> Claims(const Members& changed) {
  return [changed](World& world) { return Signed(kEd, Changed(GoodClaims(), changed), world.ed); };
}

// A token of the RSA key with this in its header.
std::function<std::string(World&)> Header(const Members& changed) {
  return [changed](World& world) { return Signed(Changed(kRs, changed), GoodClaims(), world.rsa); };
}

// A token without signature of this algorithm.
std::function<std::string(World&)> WithoutSignature(const std::string& algorithm) {
  return [algorithm](World&) { return Unsigned(JsonOf({{"alg", '"' + algorithm + '"'}}), JsonOf(GoodClaims())) + "."; };
}

std::function<std::string(World&)> Text(std::string token) {
  return [token = std::move(token)](World&) { return token; };
}

// A token whose header claims to be symmetric, with the public key as its secret.
std::string WithHmac(const std::string& secret) {
  const std::string text = Unsigned(R"({"alg":"HS256","kid":"r"})", JsonOf(GoodClaims()));
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
  return text + "." + Base64Url({reinterpret_cast<const char*>(mac), size});
}

// A good token, its parts changed.
std::string Edited(World& world, const std::function<void(std::string&, std::string&, std::string&)>& edit) {
  const std::string token = Signed(kRs, GoodClaims(), world.rsa);
  const std::size_t first = token.find('.'), second = token.find('.', first + 1);
  std::string header = token.substr(0, first), claims = token.substr(first + 1, second - first - 1),
              signature = token.substr(second + 1);
  edit(header, claims, signature);
  return header + "." + claims + "." + signature;
}

std::string SignatureBytes(const std::string& part) {
  std::string bytes;
  absl::WebSafeBase64Unescape(part, &bytes);
  return bytes;
}

const BadToken kTimes[] = {
    {"expired", "expired", Claims({{"exp", Seconds(-30)}})},
    {"expired_long_ago", "expired", Claims({{"exp", "0"}})},
    {"expired_before_time_began", "expired", Claims({{"exp", "-1e300"}})},
    {"exp_missing", "claims", Claims({{"exp", ""}})},
    {"exp_as_text", "claims", Claims({{"exp", '"' + Seconds(3600) + '"'}})},
    {"exp_null", "claims", Claims({{"exp", "null"}})},
    {"exp_in_a_list", "claims", Claims({{"exp", "[" + Seconds(3600) + "]"}})},
    {"exp_too_large_for_a_number", "malformed", Claims({{"exp", "1e999"}})},
    {"not_yet_valid", "not_yet_valid", Claims({{"nbf", Seconds(31)}})},
    {"issued_in_the_future", "not_yet_valid", Claims({{"iat", Seconds(31)}})},
    {"nbf_as_text", "claims", Claims({{"nbf", R"("0")"}})},
    {"iat_as_text", "claims", Claims({{"iat", R"("0")"}})},
};

const BadToken kWrongClaims[] = {
    {"wrong_issuer", "issuer", Claims({{"iss", R"("https://issuer.example.org/")"}})},
    {"missing_issuer", "issuer", Claims({{"iss", ""}})},
    {"issuer_in_a_list", "issuer", Claims({{"iss", R"(["https://issuer.example.org"])"}})},
    {"wrong_audience", "audience", Claims({{"aud", R"("corod2")"}})},
    {"missing_audience", "audience", Claims({{"aud", ""}})},
    {"empty_audience", "audience", Claims({{"aud", R"("")"}})},
    {"audience_in_no_list_item", "audience", Claims({{"aud", R"(["a", ["corod"], {"corod": 1}])"}})},
    {"audience_in_an_object", "audience", Claims({{"aud", R"({"corod": "corod"})"}})},
    {"role_unknown", "claims", Claims({{"role", R"("mallory")"}})},
    {"role_in_capitals", "claims", Claims({{"role", R"("ADMIN")"}})},
    {"role_missing", "claims", Claims({{"role", ""}})},
    {"role_in_a_list", "claims", Claims({{"role", R"(["admin"])"}})},
    {"namespace_missing", "claims", Claims({{"namespace", ""}})},
    {"namespace_empty", "claims", Claims({{"namespace", R"("")"}})},
    {"namespace_with_bad_characters", "claims", Claims({{"namespace", R"("mallory/../team-b")"}})},
    {"namespace_with_a_zero", "malformed", Claims({{"namespace", R"("team-a\u0000b")"}})},
    {"subject_missing", "claims", Claims({{"sub", ""}})},
    {"subject_empty", "claims", Claims({{"sub", R"("")"}})},
    {"subject_on_two_lines", "claims", Claims({{"sub", R"("mallory\nadmin")"}})},
    {"subject_too_long", "claims", Claims({{"sub", '"' + std::string(256, 'a') + '"'}})},
    {"claims_are_a_list", "malformed",
     [](World& world) {
       const std::string text = Unsigned(JsonOf(kEd), "[]");
       return text + "." + Base64Url(world.ed.Sign(text));
     }},
    {"claim_twice", "malformed",
     [](World& world) {
       const std::string claims = JsonOf(GoodClaims());
       const std::string text = Unsigned(JsonOf(kEd), claims.substr(0, claims.size() - 1) + R"(,"role":"admin"})");
       return text + "." + Base64Url(world.ed.Sign(text));
     }},
};

const BadToken kAlgorithms[] = {
    {"alg_none", "algorithm", WithoutSignature("none")},
    {"alg_none_in_capitals", "algorithm", WithoutSignature("NONE")},
    {"alg_none_capital_first", "algorithm", WithoutSignature("None")},
    {"alg_none_mixed", "algorithm", WithoutSignature("nOnE")},
    {"alg_empty", "algorithm", WithoutSignature("")},
    {"alg_none_with_a_signature", "algorithm", Header({{"alg", R"("none")"}})},
    {"alg_none_in_two_parts", "unknown", [](World&) { return Unsigned(R"({"alg":"none"})", JsonOf(GoodClaims())); }},
    {"alg_missing", "algorithm", Header({{"alg", ""}})},
    {"alg_is_a_number", "algorithm", Header({{"alg", "5"}})},
    {"alg_in_lower_case", "algorithm", Header({{"alg", R"("rs256")"}})},
    {"alg_twice", "malformed",
     [](World& world) {
       const std::string text = Unsigned(R"({"alg":"none","kid":"r","alg":"RS256"})", JsonOf(GoodClaims()));
       return text + "." + Base64Url(world.rsa.Sign(text));
     }},
    {"hs256_with_the_public_key_in_pem", "algorithm", [](World& world) { return WithHmac(world.rsa.PublicPem()); }},
    {"hs256_with_the_public_jwk", "algorithm", [](World& world) { return WithHmac(world.rsa.Jwk(R"(,"kid":"r")")); }},
    {"hs256_with_an_empty_secret", "algorithm", [](World&) { return WithHmac(""); }},
    {"rs384", "algorithm",
     [](World& world) {
       const std::string text = Unsigned(R"({"alg":"RS384","kid":"r"})", JsonOf(GoodClaims()));
       return text + "." + Base64Url(world.rsa.SignWithSha384(text));
     }},
    {"ps256", "algorithm",
     [](World& world) {
       const std::string text = Unsigned(R"({"alg":"PS256","kid":"r"})", JsonOf(GoodClaims()));
       return text + "." + Base64Url(world.rsa.SignWithPss(text));
     }},
    {"pss_called_rs256", "signature",
     [](World& world) {
       const std::string text = Unsigned(JsonOf(kRs), JsonOf(GoodClaims()));
       return text + "." + Base64Url(world.rsa.SignWithPss(text));
     }},
    {"es384", "algorithm",
     [](World& world) {
       const std::string text = Unsigned(R"({"alg":"ES384","kid":"e"})", JsonOf(GoodClaims()));
       return text + "." + Base64Url(world.ec.SignWithSha384(text));
     }},
    {"key_of_another_algorithm", "algorithm",
     [](World& world) { return Signed(Changed(kEs, {{"kid", R"("r")"}}), GoodClaims(), world.ec); }},
};

const BadToken kKeys[] = {
    {"wrong_key", "signature", [](World& world) { return Signed(kRs, GoodClaims(), world.of_attacker); }},
    {"wrong_curve_key", "signature", [](World& world) { return Signed(kEs, GoodClaims(), world.ec_of_attacker); }},
    {"wrong_edwards_key", "signature", [](World& world) { return Signed(kEd, GoodClaims(), world.second_ed); }},
    {"unknown_kid", "unknown_key", Header({{"kid", R"("mallory")"}})},
    {"empty_kid", "unknown_key", Header({{"kid", R"("")"}})},
    {"kid_is_a_path", "unknown_key", Header({{"kid", R"("../../../../dev/null")"}})},
    {"kid_is_a_number", "malformed", Header({{"kid", "1"}})},
    {"no_kid_with_several_keys", "unknown_key",
     [](World& world) { return Signed({{"alg", R"("EdDSA")"}}, GoodClaims(), world.ed); }},
    {"key_is_for_encryption", "unknown_key",
     [](World& world) { return Signed(Changed(kEs, {{"kid", R"("enc")"}}), GoodClaims(), world.for_encryption); }},
    {"embedded_jwk", "signature",
     [](World& world) {
       return Signed(Changed(kRs, {{"jwk", world.of_attacker.Jwk(R"(,"kid":"r")")}}), GoodClaims(), world.of_attacker);
     }},
    {"embedded_jwk_with_its_own_kid", "unknown_key",
     [](World& world) {
       return Signed({{"alg", R"("RS256")"}, {"kid", R"("m")"}, {"jwk", world.of_attacker.Jwk(R"(,"kid":"m")")}},
                     GoodClaims(), world.of_attacker);
     }},
    {"jku", "signature",
     [](World& world) {
       return Signed(Changed(kRs, {{"jku", R"("https://127.0.0.1:1/mallory.json")"}}), GoodClaims(), world.of_attacker);
     }},
    {"x5u", "signature",
     [](World& world) {
       return Signed(Changed(kRs, {{"x5u", R"("https://127.0.0.1:1/mallory.pem")"}}), GoodClaims(), world.of_attacker);
     }},
    {"x5c", "signature",
     [](World& world) {
       std::string pem = CertificateOf(world.of_attacker);
       pem = pem.substr(pem.find('\n') + 1);
       pem.resize(pem.find("-----END"));
       std::erase(pem, '\n');
       return Signed(Changed(kRs, {{"x5c", "[\"" + pem + "\"]"}}), GoodClaims(), world.of_attacker);
     }},
};

const BadToken kForms[] = {
    {"empty", "malformed", Text("")},
    {"no_dot", "malformed", Text("adaXsecret")},
    {"three_dots_alone", "malformed", Text("...")},
    {"two_dots_alone", "malformed", Text("..")},
    {"four_parts", "malformed", [](World& world) { return Signed(kRs, GoodClaims(), world.rsa) + ".AAAA"; }},
    {"five_parts_as_when_encrypted", "malformed", Text("eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0.AAAA.AAAA.AAAA.AAAA")},
    {"empty_header", "malformed",
     [](World& world) {
       return Edited(world, [](std::string& header, std::string&, std::string&) { header.clear(); });
     }},
    {"empty_claims", "malformed",
     [](World& world) {
       return Edited(world, [](std::string&, std::string& claims, std::string&) { claims.clear(); });
     }},
    {"empty_signature", "malformed",
     [](World& world) {
       return Edited(world, [](std::string&, std::string&, std::string& signature) { signature.clear(); });
     }},
    {"not_base64", "malformed",
     [](World& world) {
       return Edited(world, [](std::string&, std::string& claims, std::string&) { claims[10] = '*'; });
     }},
    {"other_base64", "malformed",
     [](World& world) {
       return Edited(world, [](std::string&, std::string&, std::string& signature) { signature[10] = '+'; });
     }},
    {"padded", "malformed",
     [](World& world) {
       return Edited(world, [](std::string&, std::string&, std::string& signature) { signature += "=="; });
     }},
    {"unused_bits_set", "malformed",
     [](World& world) {
       return Edited(world, [](std::string&, std::string&, std::string& signature) {
         ++signature.back();  // 256 bytes leave four bits of the last character unused, which are zero
       });
     }},
    {"space_around", "malformed", [](World& world) { return " " + Signed(kRs, GoodClaims(), world.rsa); }},
    {"newline_at_the_end", "malformed", [](World& world) { return Signed(kRs, GoodClaims(), world.rsa) + "\n"; }},
    {"zero_inside", "malformed",
     [](World& world) {
       return Edited(world, [](std::string&, std::string&, std::string& signature) { signature[20] = '\0'; });
     }},
    {"header_is_no_json", "malformed", Text("bWFsbG9yeQ.e30.AAAA")},
    {"header_is_a_list", "malformed", Text("W10.e30.AAAA")},
    {"json_instead_of_three_parts", "malformed", Text(R"({"payload":"e30","signatures":[]})")},
    {"deeply_nested", "algorithm",
     [](World&) {
       return Unsigned(R"({"x":)" + std::string(2000, '[') + std::string(2000, ']') + "}", "{}") + ".AAAA";
     }},
    {"huge", "too_long", Text(std::string((8 << 10) + 1, 'a'))},
    {"huge_but_good", "too_long",
     [](World& world) {
       return Signed(kRs, Changed(GoodClaims(), {{"more", '"' + std::string(8 << 10, 'a') + '"'}}), world.rsa);
     }},
    {"crit", "malformed", Header({{"crit", R"(["exp"])"}, {"exp", "1"}})},
    {"crit_empty", "malformed", Header({{"crit", "[]"}})},
    {"compressed", "malformed", Header({{"zip", R"("DEF")"}})},
    {"payload_in_another_form", "malformed", Header({{"b64", "false"}})},
    {"type_for_logging_out", "malformed", Header({{"typ", R"("logout+jwt")"}})},
    {"type_is_a_number", "malformed", Header({{"typ", "1"}})},
};

const BadToken kSignatures[] = {
    {"truncated_signature", "signature",
     [](World& world) {
       return Edited(world, [](std::string&, std::string&, std::string& signature) {
         signature = Base64Url(SignatureBytes(signature).substr(0, 200));
       });
     }},
    {"lengthened_signature", "signature",
     [](World& world) {
       return Edited(world, [](std::string&, std::string&, std::string& signature) {
         signature = Base64Url(SignatureBytes(signature) + '\0');
       });
     }},
    {"flipped_signature_bit", "signature",
     [](World& world) {
       return Edited(world, [](std::string&, std::string&, std::string& signature) {
         std::string bytes = SignatureBytes(signature);
         bytes[100] = static_cast<char>(bytes[100] ^ 1);
         signature = Base64Url(bytes);
       });
     }},
    {"flipped_payload_bit", "signature",
     [](World& world) {
       return Edited(world, [](std::string&, std::string& claims, std::string&) {
         std::string bytes = SignatureBytes(claims);
         bytes[bytes.find("corod")] ^= 1;
         claims = Base64Url(bytes);
       });
     }},
    {"another_role_written_in", "signature",
     [](World& world) {
       return Edited(world, [](std::string&, std::string& claims, std::string&) {
         claims = Base64Url(JsonOf(Changed(GoodClaims(), {{"role", R"("admin")"}})));
       });
     }},
    {"header_of_another_token", "signature",
     [](World& world) {
       return Edited(world, [](std::string& header, std::string&, std::string&) {
         header = Base64Url(JsonOf(Changed(kRs, {{"typ", R"("JWT")"}})));
       });
     }},
    {"signature_of_zeros", "signature",
     [](World&) { return Unsigned(JsonOf(kEs), JsonOf(GoodClaims())) + "." + Base64Url(std::string(64, '\0')); }},
    {"edwards_signature_of_zeros", "signature",
     [](World&) { return Unsigned(JsonOf(kEd), JsonOf(GoodClaims())) + "." + Base64Url(std::string(64, '\0')); }},
    {"es256_in_der", "signature",
     [](World& world) {
       const std::string text = Unsigned(JsonOf(kEs), JsonOf(GoodClaims()));
       return text + "." + Base64Url(world.ec.SignInDer(text));
     }},
    {"es256_in_wider_numbers", "signature",
     [](World& world) {
       const std::string text = Unsigned(JsonOf(kEs), JsonOf(GoodClaims()));
       const std::string numbers = world.ec.Sign(text), zeros(16, '\0');
       return text + "." + Base64Url(zeros + numbers.substr(0, 32) + zeros + numbers.substr(32));
     }},
    {"one_byte_signature", "signature", [](World&) { return Unsigned(JsonOf(kRs), JsonOf(GoodClaims())) + ".AA"; }},
};

const BadToken kStatic[] = {
    {"wrong_secret", "unknown", [](World& world) { return world.ada.substr(0, world.ada.size() - 4) + "AAAA"; }},
    {"shortened_secret", "unknown", [](World& world) { return world.ada.substr(0, world.ada.size() - 1); }},
    {"lengthened_secret", "unknown", [](World& world) { return world.ada + "A"; }},
    {"unknown_name", "unknown", [](World& world) { return "eve" + world.ada.substr(world.ada.find('.')); }},
    {"secret_of_another_name", "unknown", [](World& world) { return "bob" + world.ada.substr(world.ada.find('.')); }},
    {"name_in_capitals", "unknown", [](World& world) { return "Ada" + world.ada.substr(world.ada.find('.')); }},
    {"secret_with_a_zero", "unknown", [](World& world) { return world.ada + std::string(1, '\0'); }},
    {"empty_secret", "malformed", Text("ada.")},
    {"empty_name", "malformed", Text(".mallory")},
    {"dot_alone", "malformed", Text(".")},
    {"hash_as_secret", "unknown",
     [](World& world) {
       const std::string line = NewToken({"ada", "team-a", Role::kDrive})->line;
       return "ada" + world.bob.substr(world.bob.find('.'), 2) + line.substr(line.rfind(':') + 1);
     }},
    {"static_huge", "too_long", Text("ada." + std::string(8 << 10, 'a'))},
};

std::string NameOfCase(const testing::TestParamInfo<BadToken>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Times, BadTokensTest, testing::ValuesIn(kTimes), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Claims, BadTokensTest, testing::ValuesIn(kWrongClaims), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Algorithms, BadTokensTest, testing::ValuesIn(kAlgorithms), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Keys, BadTokensTest, testing::ValuesIn(kKeys), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Forms, BadTokensTest, testing::ValuesIn(kForms), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Signatures, BadTokensTest, testing::ValuesIn(kSignatures), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Static, BadTokensTest, testing::ValuesIn(kStatic), NameOfCase);

// What the cases above are made from is good, or they would prove nothing.
TEST(AboutBadTokensTest, TheirOriginalsAreGood) {
  World& world = TheWorld();
  for (const std::string& token :
       {Signed(kRs, GoodClaims(), world.rsa), Signed(kEs, GoodClaims(), world.ec), Signed(kEd, GoodClaims(), world.ed),
        Edited(world, [](std::string&, std::string&, std::string&) {}), world.ada, world.bob}) {
    const auto found = world.authenticator->AuthenticateToken(token);
    EXPECT_TRUE(found.ok()) << found.status();
  }
}

TEST(AboutBadTokensTest, AnUnknownNameIsNotToldFromAWrongSecret) {
  World& world = TheWorld();
  const absl::Status unknown = world.authenticator->AuthenticateToken("eve.AAAA").status();
  const absl::Status wrong = world.authenticator->AuthenticateToken("ada.AAAA").status();
  EXPECT_EQ(unknown, wrong);
}

}  // namespace
}  // namespace corod
