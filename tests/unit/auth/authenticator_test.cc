#include "server/auth/authenticator.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/base/failure.h"
#include "tests/unit/auth/keys.h"
#include "tests/unit/base/temporary_files.h"

namespace corod {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const Identity kAda{"ada", "team-a", Role::kDrive};
const Members kHeader{{"alg", R"("EdDSA")"}, {"kid", R"("d")"}};

class AuthenticatorTest : public testing::Test {
 protected:
  void Open(AuthenticatorOptions options) {
    absl::StatusOr<std::unique_ptr<Authenticator>> opened = Authenticator::Open(std::move(options), clock_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    authenticator_ = *std::move(opened);
  }
  // With ada's token and a key set.
  void OpenBoth() {
    AuthenticatorOptions options = both_;
    options.identities_file = PutPeople({ada_.line});
    options.jwks_file = PutKeys({key_.Jwk(R"(,"kid":"d")")});
    Open(std::move(options));
  }
  std::string PutPeople(const std::vector<std::string>& lines) const {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return folder_.Put("people", text);
  }
  std::string PutKeys(const std::vector<std::string>& jwks) const { return folder_.Put("keys", KeySetOf(jwks)); }

  absl::StatusOr<std::shared_ptr<const Identity>> Ask(const std::string& token) {
    return authenticator_->AuthenticateToken(token);
  }
  std::string ProblemOf(const std::string& token) {
    const absl::Status status = Ask(token).status();
    return status.ok() ? "none" : DetailsOf(status).metadata["problem"];
  }
  // A token of ada's that expires so many seconds from the beginning.
  std::string TokenFor(int seconds) const {
    return Signed(kHeader, Changed(GoodClaims(), {{"exp", std::to_string(absl::ToUnixSeconds(kNow) + seconds)}}), key_);
  }

  TemporaryFolder folder_;
  TokenClock clock_;
  TestKey key_ = TestKey::Ed25519(), other_key_ = TestKey::Ed25519();
  NewTokenResult ada_ = *NewToken(kAda), bob_ = *NewToken({"bob", "team-b", Role::kAdmin});
  AuthenticatorOptions both_{.rules = {"https://issuer.example.org", "corod"}};
  // What is said of it.
  std::vector<std::string> Reload() {
    std::vector<std::string> lines;
    for (const Authenticator::Reloaded& reloaded : authenticator_->Reload()) {
      EXPECT_EQ(reloaded.is_good, reloaded.line.find("stays in force") == std::string::npos) << reloaded.line;
      lines.push_back(reloaded.line);
    }
    return lines;
  }

  std::unique_ptr<Authenticator> authenticator_;
};

TEST_F(AuthenticatorTest, TokensOfBothKinds) {
  OpenBoth();
  const auto by_secret = Ask(ada_.token);
  ASSERT_TRUE(by_secret.ok()) << by_secret.status();
  EXPECT_EQ(**by_secret, kAda);
  const auto by_signature = Ask(TokenFor(3600));
  ASSERT_TRUE(by_signature.ok()) << by_signature.status();
  EXPECT_EQ(**by_signature, kAda);
  EXPECT_THAT(authenticator_->Describe(), ElementsAre("identities file " + folder_.Path("people") + ": 1 name",
                                                      "key set " + folder_.Path("keys") + ": 1 key can be used"));
}

TEST_F(AuthenticatorTest, IdentitiesAlone) {
  AuthenticatorOptions options;
  options.identities_file = PutPeople({ada_.line, bob_.line});
  Open(options);
  EXPECT_TRUE(Ask(ada_.token).ok());
  EXPECT_EQ(ProblemOf(TokenFor(3600)), "malformed");
  EXPECT_THAT(std::string(Ask(TokenFor(3600)).status().message()), HasSubstr("NAME.SECRET"));
}

TEST_F(AuthenticatorTest, KeysAlone) {
  AuthenticatorOptions options = both_;
  options.jwks_file = PutKeys({key_.Jwk(R"(,"kid":"d")")});
  Open(options);
  EXPECT_TRUE(Ask(TokenFor(3600)).ok());
  EXPECT_EQ(ProblemOf(ada_.token), "unknown");
  EXPECT_FALSE(authenticator_->AuthenticateCertificate({{"web"}, ""}).ok());
}

TEST_F(AuthenticatorTest, Certificates) {
  AuthenticatorOptions options;
  options.identities_file =
      PutPeople({"web team-a drive certificate:web.example.org",
                 "web team-a drive certificate:spiffe://example.org/web", "bob team-b admin certificate:bob"});
  Open(options);
  const auto ask = [this](std::vector<std::string> alternative, const std::string& common) {
    const auto found = authenticator_->AuthenticateCertificate({std::move(alternative), common});
    if (!found.ok()) EXPECT_TRUE(IsFailure(found.status(), Reason::CREDENTIALS_INVALID)) << found.status();
    return found.ok() ? (*found)->name : DetailsOf(found.status()).metadata["problem"];
  };
  EXPECT_EQ(ask({"web.example.org"}, ""), "web");
  EXPECT_EQ(ask({"other.example.org", "spiffe://example.org/web"}, ""), "web");
  EXPECT_EQ(ask({"web.example.org", "spiffe://example.org/web"}, ""), "web") << "both are web's";
  EXPECT_EQ(ask({}, "bob"), "bob");
  EXPECT_EQ(ask({"other.example.org"}, "bob"), "unknown") << "the common name counts only alone";
  EXPECT_EQ(ask({"web.example.org", "bob"}, ""), "unknown") << "whose is it?";
  EXPECT_EQ(ask({"example.org"}, ""), "unknown");
  EXPECT_EQ(ask({"WEB.example.org"}, ""), "unknown");
  EXPECT_EQ(ask({}, ""), "unknown");
  EXPECT_EQ(ask({""}, ""), "unknown");
}

TEST_F(AuthenticatorTest, WhatCannotBeOpened) {
  const auto fault = [this](const AuthenticatorOptions& options) {
    return std::string(Authenticator::Open(options, clock_).status().message());
  };
  EXPECT_THAT(fault({}), HasSubstr("name an identities file or a key set"));
  AuthenticatorOptions options;
  options.identities_file = folder_.Path("none");
  EXPECT_THAT(fault(options), StartsWith(folder_.Path("none") + ": it cannot be read"));
  options.identities_file = folder_.Put("people", "ada\n");
  EXPECT_THAT(fault(options), StartsWith("identities file " + folder_.Path("people") + ": line 1: "));
  options = both_;
  options.jwks_file = folder_.Put("keys", "{}");
  EXPECT_THAT(fault(options), StartsWith("key set " + folder_.Path("keys") + ": "));
  options.jwks_file = PutKeys({key_.Jwk()});
  EXPECT_EQ(fault(options), "");
  options.rules.issuer.clear();
  EXPECT_THAT(fault(options), HasSubstr("name the issuer and the audience"));
  options.rules = {"issuer", ""};
  EXPECT_THAT(fault(options), HasSubstr("name the issuer and the audience"));
  options.rules = {"issuer", "audience", "", "role"};
  EXPECT_THAT(fault(options), HasSubstr("name the claims"));
}

TEST_F(AuthenticatorTest, AVerifiedTokenIsRememberedForFiveMinutes) {
  OpenBoth();
  const std::string token = TokenFor(3600);
  const std::shared_ptr<const Identity> first = Ask(token).value();
  EXPECT_EQ(authenticator_->cached_tokens(), 1u);
  clock_.Advance(299);
  EXPECT_EQ(Ask(token).value(), first) << "the same object";
  clock_.Advance(1);
  const std::shared_ptr<const Identity> second = Ask(token).value();
  EXPECT_NE(second, first) << "verified again";
  EXPECT_EQ(*second, *first);
  EXPECT_EQ(authenticator_->cached_tokens(), 1u);
}

TEST_F(AuthenticatorTest, ARememberedTokenExpires) {
  OpenBoth();
  const std::string token = TokenFor(60);
  EXPECT_EQ(ProblemOf(token), "none");
  clock_.Advance(89);
  EXPECT_EQ(ProblemOf(token), "none") << "with half a minute for clocks";
  clock_.Advance(1);
  EXPECT_EQ(ProblemOf(token), "expired");
}

TEST_F(AuthenticatorTest, OnlyGoodTokensAreRemembered) {
  OpenBoth();
  ASSERT_TRUE(Ask(TokenFor(3600)).ok());
  for (int i = 0; i < 200; ++i) {
    EXPECT_FALSE(Ask("a.b.c" + std::to_string(i)).ok());
    EXPECT_FALSE(Ask(Signed(kHeader, GoodClaims(), other_key_)).ok());
    EXPECT_FALSE(Ask("ada.wrong" + std::to_string(i)).ok());
  }
  EXPECT_EQ(authenticator_->cached_tokens(), 1u);
}

TEST_F(AuthenticatorTest, NoMoreTokensAreRememberedThanAllowed) {
  both_.cached_tokens = 16;
  OpenBoth();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(Ask(TokenFor(3600 + i)).ok());
  EXPECT_LE(authenticator_->cached_tokens(), 16u);
}

TEST_F(AuthenticatorTest, ReloadWithoutAChangeSaysNothing) {
  OpenBoth();
  EXPECT_THAT(Reload(), IsEmpty());
  ASSERT_TRUE(Ask(TokenFor(3600)).ok());
  EXPECT_THAT(Reload(), IsEmpty());
  EXPECT_EQ(authenticator_->cached_tokens(), 1u) << "nothing is forgotten for nothing";
}

TEST_F(AuthenticatorTest, ReloadOfTheSameTextSaysNothing) {
  OpenBoth();
  PutPeople({ada_.line});
  EXPECT_THAT(Reload(), IsEmpty());
}

TEST_F(AuthenticatorTest, ReloadTakesAGoodChange) {
  OpenBoth();
  EXPECT_EQ(ProblemOf(bob_.token), "unknown");
  PutPeople({ada_.line, bob_.line});
  EXPECT_EQ(ProblemOf(bob_.token), "unknown") << "not before the reload";
  EXPECT_THAT(Reload(), ElementsAre("identities file " + folder_.Path("people") + ": 2 names, read again"));
  EXPECT_EQ(ProblemOf(bob_.token), "none");
  EXPECT_EQ(ProblemOf(ada_.token), "none");
  EXPECT_THAT(Reload(), IsEmpty());
}

TEST_F(AuthenticatorTest, ARevokedNameIsRefusedAfterReload) {
  OpenBoth();
  EXPECT_EQ(ProblemOf(ada_.token), "none");
  PutPeople({bob_.line});
  Reload();
  EXPECT_EQ(ProblemOf(ada_.token), "unknown");
}

TEST_F(AuthenticatorTest, ATokenWhoseKeyIsGoneIsRefusedAfterReload) {
  OpenBoth();
  const std::string token = TokenFor(3600);
  EXPECT_EQ(ProblemOf(token), "none");
  PutKeys({other_key_.Jwk(R"(,"kid":"d3")")});
  EXPECT_EQ(ProblemOf(token), "none");
  EXPECT_THAT(Reload(), ElementsAre(HasSubstr("1 key can be used, read again")));
  EXPECT_EQ(authenticator_->cached_tokens(), 0u);
  EXPECT_EQ(ProblemOf(token), "unknown_key");
}

TEST_F(AuthenticatorTest, AReplacedKeyOfTheSameIdIsTheNewOne) {
  OpenBoth();
  const std::string token = TokenFor(3600);
  EXPECT_EQ(ProblemOf(token), "none");
  PutKeys({other_key_.Jwk(R"(,"kid":"d")")});
  Reload();
  EXPECT_EQ(ProblemOf(token), "signature");
  EXPECT_EQ(ProblemOf(Signed(kHeader, GoodClaims(), other_key_)), "none");
}

TEST_F(AuthenticatorTest, ATokenIsRotatedWithoutAGap) {
  OpenBoth();
  const NewTokenResult next = *NewToken(kAda);
  PutPeople({ada_.line, next.line});
  Reload();
  EXPECT_EQ(ProblemOf(ada_.token), "none");
  EXPECT_EQ(ProblemOf(next.token), "none");
  PutPeople({next.line});
  Reload();
  EXPECT_EQ(ProblemOf(ada_.token), "unknown");
  EXPECT_EQ(ProblemOf(next.token), "none");
}

TEST_F(AuthenticatorTest, ABadChangeKeepsWhatWas) {
  OpenBoth();
  for (const std::string& bad : {std::string("ada team-a\n"), std::string(), bob_.line + "\nhalf a li"}) {
    folder_.Put("people", bad);
    EXPECT_THAT(Reload(), ElementsAre(AllOf(StartsWith("identities file " + folder_.Path("people")),
                                            EndsWith("; what it held before stays in force"))));
    EXPECT_THAT(Reload(), IsEmpty()) << "said once";
    EXPECT_EQ(ProblemOf(ada_.token), "none");
    EXPECT_EQ(ProblemOf(bob_.token), "unknown");
  }
  PutPeople({ada_.line});
  EXPECT_THAT(Reload(), ElementsAre(EndsWith(": 1 name, as before")));
}

TEST_F(AuthenticatorTest, BadKeysKeepThoseThatWere) {
  OpenBoth();
  const std::string token = TokenFor(3600);
  folder_.Put("keys", R"({"keys":[)");
  EXPECT_THAT(Reload(), ElementsAre(AllOf(StartsWith("key set " + folder_.Path("keys")),
                                          EndsWith("; what it held before stays in force"))));
  EXPECT_EQ(ProblemOf(token), "none");
  PutKeys({other_key_.Jwk()});
  EXPECT_THAT(Reload(), ElementsAre(EndsWith("read again")));
  EXPECT_EQ(ProblemOf(token), "unknown_key");
}

TEST_F(AuthenticatorTest, AFileThatIsGoneKeepsWhatWas) {
  OpenBoth();
  folder_.Remove("people");
  folder_.Remove("keys");
  EXPECT_THAT(Reload(),
              ElementsAre(AllOf(HasSubstr("people: it cannot be read: No such file"), EndsWith("stays in force")),
                          AllOf(HasSubstr("keys: it cannot be read: No such file"), EndsWith("stays in force"))));
  EXPECT_THAT(Reload(), IsEmpty()) << "said once";
  EXPECT_EQ(ProblemOf(ada_.token), "none");
  EXPECT_EQ(ProblemOf(TokenFor(3600)), "none");
  PutPeople({bob_.line});
  EXPECT_THAT(Reload(), ElementsAre(EndsWith(": 1 name, read again")));
  EXPECT_EQ(ProblemOf(ada_.token), "unknown");
  EXPECT_EQ(ProblemOf(bob_.token), "none");
}

TEST_F(AuthenticatorTest, OneBadFileDoesNotHoldTheOtherBack) {
  OpenBoth();
  folder_.Put("keys", "{}");
  PutPeople({bob_.line});
  EXPECT_EQ(Reload().size(), 2u);
  EXPECT_EQ(ProblemOf(ada_.token), "unknown");
  EXPECT_EQ(ProblemOf(bob_.token), "none");
  EXPECT_EQ(ProblemOf(TokenFor(3600)), "none");
}

TEST_F(AuthenticatorTest, KeysThatAreLeftOutAreNamed) {
  AuthenticatorOptions options = both_;
  options.jwks_file = PutKeys({key_.Jwk(R"(,"use":"enc")"), key_.Jwk(R"(,"kid":"d")")});
  Open(options);
  EXPECT_THAT(authenticator_->Describe(),
              ElementsAre(EndsWith("1 key can be used; key 1 is left out: its use is not sig")));
}

TEST_F(AuthenticatorTest, ManyThreadsAskWhileFilesChange) {
  OpenBoth();
  const std::string token = TokenFor(3600);
  std::atomic<int> wrong{0}, asked{0};
  std::atomic<bool> is_over{false};
  std::vector<std::thread> threads;
  threads.reserve(3);
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      while (!is_over) {
        const auto good = authenticator_->AuthenticateToken(i == 0 ? token : ada_.token);
        if (!good.ok() || **good != kAda) ++wrong;
        if (authenticator_->AuthenticateToken("eve.secret").ok()) ++wrong;
        ++asked;
      }
    });
  }
  for (int round = 0; round < 50 || asked < 200; ++round) {
    PutPeople(round % 2 == 0 ? std::vector<std::string>{ada_.line, bob_.line} : std::vector<std::string>{ada_.line});
    EXPECT_EQ(Reload().size(), 1u);
  }
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace corod
