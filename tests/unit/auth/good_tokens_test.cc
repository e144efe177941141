#include <gtest/gtest.h>

#include <string>

#include "server/auth/json_web_token.h"
#include "tests/unit/auth/keys.h"

namespace corod {
namespace {

const Identity kAda{"ada", "team-a", Role::kDrive};

class GoodTokensTest : public testing::Test {
 protected:
  static const TestKey& Rsa() {
    static const TestKey* const kKey = new TestKey(TestKey::Rsa());
    return *kKey;
  }
  static const TestKey& Ec() {
    static const TestKey* const kKey = new TestKey(TestKey::Ec());
    return *kKey;
  }
  static const TestKey& Ed() {
    static const TestKey* const kKey = new TestKey(TestKey::Ed25519());
    return *kKey;
  }
  static const KeySet& Keys() {
    static const KeySet* const kKeys = new KeySet(*KeySet::Parse(
        KeySetOf({Rsa().Jwk(R"(,"kid":"r")"), Ec().Jwk(R"(,"kid":"e")"), Ed().Jwk(R"(,"kid":"d")")}), ""));
    return *kKeys;
  }

  absl::StatusOr<VerifiedToken> Verify(const std::string& token, absl::Time now = kNow) const {
    return VerifyJsonWebToken(token, Keys(), rules_, now);
  }
  // A token with these claims is good.
  void ExpectGood(const Members& changed, const Identity& identity = kAda) const {
    const absl::StatusOr<VerifiedToken> verified =
        Verify(Signed({{"alg", R"("EdDSA")"}, {"kid", R"("d")"}}, Changed(GoodClaims(), changed), Ed()));
    ASSERT_TRUE(verified.ok()) << verified.status();
    EXPECT_EQ(verified->identity, identity);
  }
  void ExpectGoodHeader(const Members& header, const TestKey& key) const {
    const absl::StatusOr<VerifiedToken> verified = Verify(Signed(header, GoodClaims(), key));
    ASSERT_TRUE(verified.ok()) << verified.status();
    EXPECT_EQ(verified->identity, kAda);
    EXPECT_EQ(verified->good_for, kNow + absl::Hours(1) + kClockLeeway);
  }

  TokenRules rules_{"https://issuer.example.org", "corod"};
};

TEST_F(GoodTokensTest, RsaSignature) { ExpectGoodHeader({{"alg", R"("RS256")"}, {"kid", R"("r")"}}, Rsa()); }

TEST_F(GoodTokensTest, CurveSignature) {
  // Some have numbers that begin with zeros.
  for (int i = 0; i < 50; ++i) ExpectGoodHeader({{"alg", R"("ES256")"}, {"kid", R"("e")"}}, Ec());
}

TEST_F(GoodTokensTest, EdwardsSignature) { ExpectGoodHeader({{"alg", R"("EdDSA")"}, {"kid", R"("d")"}}, Ed()); }

TEST_F(GoodTokensTest, WithoutKeyIdWhereOneKeyFits) { ExpectGoodHeader({{"alg", R"("RS256")"}}, Rsa()); }

TEST_F(GoodTokensTest, OfATypeForAccess) {
  for (const char* const type : {"JWT", "jwt", "at+jwt", "application/at+JWT"}) {
    ExpectGoodHeader({{"alg", R"("EdDSA")"}, {"typ", '"' + std::string(type) + '"'}}, Ed());
  }
}

TEST_F(GoodTokensTest, KeysInTheHeaderAreIgnored) {
  ExpectGoodHeader({{"alg", R"("EdDSA")"},
                    {"kid", R"("d")"},
                    {"jwk", TestKey::Ed25519().Jwk()},
                    {"jku", R"("https://127.0.0.1:1/keys")"},
                    {"x5u", R"("https://127.0.0.1:1/certificate")"},
                    {"x5c", R"(["bm8gY2VydGlmaWNhdGU="])"}},
                   Ed());
}

TEST_F(GoodTokensTest, HeaderMayBeginWithASpace) {
  const std::string text = Unsigned(" { \"alg\": \"EdDSA\" }", JsonOf(GoodClaims()));
  const absl::StatusOr<VerifiedToken> verified = Verify(text + "." + Base64Url(Ed().Sign(text)));
  EXPECT_TRUE(verified.ok()) << verified.status();
}

TEST_F(GoodTokensTest, EveryRole) {
  for (const Role role : {Role::kObserve, Role::kDrive, Role::kDefine, Role::kAdmin}) {
    ExpectGood({{"role", '"' + std::string(NameOf(role)) + '"'}}, {"ada", "team-a", role});
  }
}

TEST_F(GoodTokensTest, AudienceInAList) { ExpectGood({{"aud", R"(["another", 7, "corod"])"}}); }

TEST_F(GoodTokensTest, IssueTimeMayBeMissing) { ExpectGood({{"iat", ""}}); }

TEST_F(GoodTokensTest, TimesMayHaveFractionsAndBeFarAway) {
  ExpectGood({{"exp", "1900000000.5"}, {"nbf", "1.9e9"}, {"iat", "1899999999.25"}});
  ExpectGood({{"exp", "1e300"}, {"nbf", "-1e300"}});
  ExpectGood({{"exp", "9223372036854775807"}, {"nbf", "-9223372036854775808"}});
}

TEST_F(GoodTokensTest, ClocksMayBeHalfAMinuteApart) {
  const std::int64_t now = absl::ToUnixSeconds(kNow);
  ExpectGood({{"exp", std::to_string(now - 29)}});
  ExpectGood({{"nbf", std::to_string(now + 30)}, {"iat", std::to_string(now + 30)}});
}

TEST_F(GoodTokensTest, ClaimsMayHaveOtherNames) {
  rules_.namespace_claim = "https://example.org/tenant";
  rules_.role_claim = "corod_role";
  ExpectGood({{"https://example.org/tenant", R"("team-b")"}, {"corod_role", R"("admin")"}},
             {"ada", "team-b", Role::kAdmin});
}

TEST_F(GoodTokensTest, AnySubjectOnOneLine) {
  ExpectGood({{"sub", R"("auth0|Ad\u00e4 <a@example.org>")"}},
             {"auth0|Ad\u00e4 <a@example.org>", "team-a", Role::kDrive});
}

}  // namespace
}  // namespace corod
