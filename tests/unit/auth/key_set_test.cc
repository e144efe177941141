#include "server/auth/key_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/base/failure.h"
#include "tests/unit/auth/keys.h"

namespace corod {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string ProblemOf(const absl::Status& status) { return DetailsOf(status).metadata["problem"]; }

absl::StatusOr<KeySet> Parsed(const std::vector<std::string>& jwks) { return KeySet::Parse(KeySetOf(jwks), "keys"); }

TEST(KeySetTest, KeysOfEveryKindAreFoundByIdAndAlgorithm) {
  const absl::StatusOr<KeySet> keys =
      Parsed({TestKey::Rsa().Jwk(R"(,"kid":"r","alg":"RS256","use":"sig")"), TestKey::Ec().Jwk(R"(,"kid":"e")"),
              TestKey::Ed25519().Jwk(R"(,"kid":"d","key_ops":["sign","verify"])")});
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->size(), 3u);
  EXPECT_THAT(keys->left_out(), ElementsAre());
  EXPECT_TRUE(keys->Find("r", SignatureAlgorithm::kRs256).ok());
  EXPECT_TRUE(keys->Find("e", SignatureAlgorithm::kEs256).ok());
  EXPECT_TRUE(keys->Find("d", SignatureAlgorithm::kEdDsa).ok());
  EXPECT_EQ(ProblemOf(keys->Find("r", SignatureAlgorithm::kEs256).status()), "algorithm");
  EXPECT_EQ(ProblemOf(keys->Find("x", SignatureAlgorithm::kRs256).status()), "unknown_key");
  EXPECT_EQ(ProblemOf(keys->Find("", SignatureAlgorithm::kRs256).status()), "unknown_key");
}

TEST(KeySetTest, WithoutIdTheOnlyKeyOfTheAlgorithmIsFound) {
  const absl::StatusOr<KeySet> keys =
      Parsed({TestKey::Ec().Jwk(R"(,"kid":"e")"), TestKey::Ed25519().Jwk(R"(,"kid":"d")"), TestKey::Ed25519().Jwk()});
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_TRUE(keys->Find(std::nullopt, SignatureAlgorithm::kEs256).ok());
  EXPECT_EQ(ProblemOf(keys->Find(std::nullopt, SignatureAlgorithm::kEdDsa).status()), "unknown_key");
  EXPECT_EQ(ProblemOf(keys->Find(std::nullopt, SignatureAlgorithm::kRs256).status()), "unknown_key");
}

TEST(KeySetTest, KeysOfTwoKindsMayShareAnId) {
  const absl::StatusOr<KeySet> keys =
      Parsed({TestKey::Ec().Jwk(R"(,"kid":"a")"), TestKey::Ed25519().Jwk(R"(,"kid":"a")")});
  ASSERT_TRUE(keys.ok()) << keys.status();
  const absl::StatusOr<json_t*> curve = keys->Find("a", SignatureAlgorithm::kEs256);
  ASSERT_TRUE(curve.ok()) << curve.status();
  EXPECT_EQ(TextAt(*curve, "kty"), "EC");
}

TEST(KeySetTest, OfAKeyOnlyItsNumbersAreKept) {
  const absl::StatusOr<KeySet> keys =
      Parsed({TestKey::Ec().Jwk(R"(,"kid":"e","x5u":"https://127.0.0.1:1/x","x5c":["bm8gY2VydGlmaWNhdGU="],"y2":1)")});
  ASSERT_TRUE(keys.ok()) << keys.status();
  const absl::StatusOr<json_t*> key = keys->Find("e", SignatureAlgorithm::kEs256);
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ(json_object_size(*key), 4u) << "kty, crv, x, y";
}

struct LeftOut {
  const char* name;
  std::string jwk;
  const char* why;
};

class LeftOutTest : public testing::TestWithParam<LeftOut> {};

TEST_P(LeftOutTest, TheKeyAloneIsLeftOut) {
  const absl::StatusOr<KeySet> keys = Parsed({GetParam().jwk, TestKey::Ec().Jwk(R"(,"kid":"good")")});
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->size(), 1u);
  ASSERT_EQ(keys->left_out().size(), 1u);
  EXPECT_THAT(keys->left_out()[0], StartsWith("key 1 is left out: "));
  EXPECT_THAT(keys->left_out()[0], HasSubstr(GetParam().why));
  const absl::Status alone = Parsed({GetParam().jwk}).status();
  EXPECT_THAT(std::string(alone.message()), StartsWith("key set keys: it has no key that can be used"));
  EXPECT_THAT(std::string(alone.message()), HasSubstr(GetParam().why));
}

INSTANTIATE_TEST_SUITE_P(
    Keys, LeftOutTest,
    testing::Values(
        LeftOut{"for_encryption", TestKey::Ec().Jwk(R"(,"use":"enc")"), "its use is not sig"},
        LeftOut{"use_is_no_text", TestKey::Ec().Jwk(R"(,"use":1)"), "its use is not sig"},
        LeftOut{"for_signing_only", TestKey::Ec().Jwk(R"(,"key_ops":["sign"])"), "its key_ops have no verify"},
        LeftOut{"key_ops_is_no_list", TestKey::Ec().Jwk(R"(,"key_ops":"verify")"), "its key_ops have no verify"},
        LeftOut{"another_algorithm", TestKey::Ec().Jwk(R"(,"alg":"ES384")"), "its alg is not ES256"},
        LeftOut{"alg_is_no_text", TestKey::Ec().Jwk(R"(,"alg":null)"), "its alg is not ES256"},
        LeftOut{"for_pss", TestKey::Rsa().Jwk(R"(,"alg":"PS256")"), "its alg is not RS256"},
        LeftOut{"wider_curve", TestKey::Ec("P-384").Jwk(), "neither RSA nor P-256 nor Ed25519"},
        LeftOut{"key_exchange", R"({"kty":"OKP","crv":"X25519","x":"AAAA"})", "neither RSA nor P-256 nor Ed25519"},
        LeftOut{"no_kind", R"({"x":"AAAA"})", "neither RSA nor P-256 nor Ed25519"},
        LeftOut{"short_rsa", TestKey::Rsa(1024).Jwk(), "fewer than 2048 bits"},
        LeftOut{"no_y", R"({"kty":"EC","crv":"P-256","x":"AAAA"})", "it has no 'y'"},
        LeftOut{"modulus_is_no_text", R"({"kty":"RSA","n":7,"e":"AQAB"})", "it has no 'n'"},
        LeftOut{"not_on_the_curve",
                R"({"kty":"EC","crv":"P-256","x":")" + Base64Url(std::string(32, 'x')) + R"(","y":")" +
                    Base64Url(std::string(32, 'y')) + R"("})",
                "its numbers are no key"},
        LeftOut{"exponent_one", R"({"kty":"RSA","e":"AQ","n":")" + Base64Url(std::string(257, '\xff')) + R"("})",
                "its numbers are no key"},
        LeftOut{"not_base64", R"({"kty":"OKP","crv":"Ed25519","x":"**"})", "its numbers are no key"},
        LeftOut{"too_few_bytes", R"({"kty":"OKP","crv":"Ed25519","x":"AAAA"})", "its numbers are no key"}),
    [](const testing::TestParamInfo<LeftOut>& info) { return std::string(info.param.name); });

struct BadSet {
  const char* name;
  std::string text;
  const char* fault;
};

class BadKeySetTest : public testing::TestWithParam<BadSet> {};

TEST_P(BadKeySetTest, IsRefusedWithItsName) {
  const absl::Status status = KeySet::Parse(GetParam().text, "keys").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), StartsWith("key set keys: "));
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().fault));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("hidden"))) << "of what may be a secret";
}

std::string AndGood(const std::string& jwk) { return KeySetOf({TestKey::Ec().Jwk(R"(,"kid":"good")"), jwk}); }

INSTANTIATE_TEST_SUITE_P(
    Texts, BadKeySetTest,
    testing::Values(
        BadSet{"empty", "", "it is no JSON object"}, BadSet{"no_json", "{\n \"keys\": hidden}", "line 2, column"},
        BadSet{"a_list", "[]", "it is no JSON object"},
        BadSet{"a_key_alone", TestKey::Ec().Jwk(),
               R"(it has no list 'keys'; a JSON Web Key Set reads {"keys": [...]})"},
        BadSet{"twice", R"({"keys":[],"keys":[]})", "has a key twice"},
        BadSet{"no_keys", R"({"keys":[]})", "it has no key that can be used"},
        BadSet{"no_object", AndGood("1"), "key 2 is no JSON object"},
        BadSet{"private_half", AndGood(TestKey::Ec().Jwk(R"(,"d":"hidden")")), "key 2 holds a secret ('d')"},
        BadSet{"shared_secret", AndGood(R"({"kty":"oct","k":"hidden"})"), "key 2 holds a secret ('k')"},
        BadSet{"same_id", AndGood(TestKey::Ec().Jwk(R"(,"kid":"good")")), "key 2 has the kid of another ES256 key"},
        BadSet{"id_is_no_text", AndGood(TestKey::Ec().Jwk(R"(,"kid":7)")), "key 2 has a kid that is no text"}),
    [](const testing::TestParamInfo<BadSet>& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace corod
