#include "server/auth/identities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "server/auth/digest.h"

namespace corod {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string Hex(const Digest& digest) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

// A line's credential for `secret`.
std::string CredentialFor(std::string_view secret, const std::string& salt = std::string(16, 's')) {
  return "sha256:" + absl::BytesToHexString(salt) + ":" + Hex(Sha256(salt, secret));
}

absl::StatusOr<Identities> Parsed(const std::string& text) { return Identities::Parse(text, "people"); }

TEST(DigestTest, IsSha256OfBothTexts) {
  constexpr const char* kOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(Hex(Sha256("abc")), kOfAbc);
  EXPECT_EQ(Hex(Sha256("a", "bc")), kOfAbc);
  EXPECT_EQ(Hex(Sha256("abc")), kOfAbc) << "again, in the same thread";
}

TEST(DigestTest, SecretBytesAreNeverTheSame) {
  std::set<std::string> made;
  for (int i = 0; i < 100; ++i) made.insert(SecretBytes(32));
  EXPECT_EQ(made.size(), 100u);
  EXPECT_EQ(made.begin()->size(), 32u);
}

TEST(IdentitiesTest, TokensAndCertificates) {
  const absl::StatusOr<Identities> identities = Parsed(
      "# who may come in\n"
      "\n"
      "ada  team-a\tadmin " +
      CredentialFor("one") +
      "   # since May\r\n"
      "bob default observe " +
      CredentialFor("two") +
      "\n"
      "web team-b drive certificate:spiffe://example.org/web#1\n"
      "ada team-a admin certificate:ada.example.org");
  ASSERT_TRUE(identities.ok()) << identities.status();
  EXPECT_EQ(identities->size(), 3u);
  const Identity ada{"ada", "team-a", Role::kAdmin};
  ASSERT_TRUE(identities->FindToken("ada", "one"));
  EXPECT_EQ(*identities->FindToken("ada", "one"), ada);
  EXPECT_EQ(*identities->FindToken("bob", "two"), (Identity{"bob", "default", Role::kObserve}));
  ASSERT_TRUE(identities->FindCertificate("spiffe://example.org/web#1"));
  EXPECT_EQ(*identities->FindCertificate("spiffe://example.org/web#1"), (Identity{"web", "team-b", Role::kDrive}));
  EXPECT_EQ(*identities->FindCertificate("ada.example.org"), ada);
  EXPECT_FALSE(identities->FindCertificate("ada"));
  EXPECT_FALSE(identities->FindCertificate(""));
}

TEST(IdentitiesTest, OnlyTheRightSecretOfTheRightName) {
  const absl::StatusOr<Identities> identities = Parsed("ada a drive " + CredentialFor("one") + "\nbob a drive " +
                                                       CredentialFor("two") + "\nweb a drive certificate:w");
  ASSERT_TRUE(identities.ok()) << identities.status();
  EXPECT_TRUE(identities->FindToken("ada", "one"));
  for (const auto& [name, secret] : std::vector<std::pair<std::string, std::string>>{{"ada", "two"},
                                                                                     {"ada", "on"},
                                                                                     {"ada", "onee"},
                                                                                     {"ada", ""},
                                                                                     {"Ada", "one"},
                                                                                     {"", "one"},
                                                                                     {"web", "one"},
                                                                                     {"web", "w"},
                                                                                     {"eve", "one"}}) {
    EXPECT_FALSE(identities->FindToken(name, secret)) << name << " " << secret;
  }
}

TEST(IdentitiesTest, ANameMayHaveSeveralTokens) {
  const absl::StatusOr<Identities> identities =
      Parsed("ada a drive " + CredentialFor("old") + "\nbob a drive " + CredentialFor("b") + "\nada a drive " +
             CredentialFor("new", std::string(64, 't')));
  ASSERT_TRUE(identities.ok()) << identities.status();
  EXPECT_EQ(identities->size(), 2u);
  EXPECT_TRUE(identities->FindToken("ada", "old"));
  EXPECT_TRUE(identities->FindToken("ada", "new"));
  EXPECT_FALSE(identities->FindToken("ada", "b"));
  EXPECT_TRUE(identities->FindToken("bob", "b"));
  EXPECT_FALSE(identities->FindToken("bob", "new"));
}

struct BadFile {
  const char* name;
  std::string line;
  const char* fault;
};

class BadIdentitiesTest : public testing::TestWithParam<BadFile> {};

TEST_P(BadIdentitiesTest, IsRefusedWithFileAndLine) {
  const absl::Status status = Parsed("# two good lines\nada a drive " + CredentialFor("one") +
                                     "\nweb a drive certificate:w\n" + GetParam().line + "\n")
                                  .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), StartsWith("identities file people: line 4: "));
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().fault));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("hidden"))) << "of what may be a secret";
}

const std::string kHash(64, '1'), kSalt(32, '2');

INSTANTIATE_TEST_SUITE_P(
    Lines, BadIdentitiesTest,
    testing::Values(
        BadFile{"three_words", "bob a drive", "NAME NAMESPACE ROLE CREDENTIAL"},
        BadFile{"five_words", "bob a drive certificate:a hidden", "NAME NAMESPACE ROLE CREDENTIAL"},
        BadFile{"credential_in_a_comment", "bob a drive #certificate:a", "NAME NAMESPACE ROLE CREDENTIAL"},
        BadFile{"name_with_a_dot", "bob.hidden a drive certificate:a", "the name is not"},
        BadFile{"name_too_long", std::string(129, 'a') + " a drive certificate:a", "the name is not"},
        BadFile{"namespace_in_capitals", "bob Hidden drive certificate:a", "the namespace is not"},
        BadFile{"role_unknown", "bob a hidden certificate:a", "the role is not observe, drive, define or admin"},
        BadFile{"token_itself", "bob a drive bob.hidden", "neither sha256:SALT:HASH nor certificate:SUBJECT"},
        BadFile{"certificate_without_name", "bob a drive certificate:", "neither"},
        BadFile{"certificate_twice", "bob a drive certificate:w", "is that of line 3"},
        BadFile{"hash_alone", "bob a drive sha256:" + kHash, "is not sha256:SALT:HASH"},
        BadFile{"salt_short", "bob a drive sha256:" + std::string(30, '2') + ":" + kHash, "salt is not 16 to 64"},
        BadFile{"salt_long", "bob a drive sha256:" + std::string(130, '2') + ":" + kHash, "salt is not 16 to 64"},
        BadFile{"salt_odd", "bob a drive sha256:" + kSalt + "2:" + kHash, "salt is not"},
        BadFile{"salt_not_hexadecimal", "bob a drive sha256:" + kSalt + "xx:" + kHash, "salt is not"},
        BadFile{"hash_short", "bob a drive sha256:" + kSalt + ":" + std::string(62, '1'), "hash is not 32 bytes"},
        BadFile{"hash_of_another_kind", "bob a drive sha256:" + kSalt + ":" + std::string(128, '1'), "not 32 bytes"},
        BadFile{"hash_not_hexadecimal", "bob a drive sha256:" + kSalt + ":hidden" + kHash, "hash is not"},
        BadFile{"empty_secret", "bob a drive " + CredentialFor(""), "the hash is that of an empty secret"},
        BadFile{"other_kind_of_hash", "bob a drive sha1:" + kSalt + ":" + kHash, "neither"},
        BadFile{"another_role", "ada a admin certificate:a", "'ada' has another namespace or role in line 2"},
        BadFile{"another_namespace", "ada b drive certificate:a", "'ada' has another namespace or role in line 2"}),
    [](const testing::TestParamInfo<BadFile>& info) { return std::string(info.param.name); });

TEST(IdentitiesTest, AFileThatNamesNobodyIsRefused) {
  for (const char* const text : {"", "\n\n", "# nobody yet\n"}) {
    const absl::Status status = Parsed(text).status();
    EXPECT_THAT(std::string(status.message()), StartsWith("identities file people: it names nobody")) << text;
  }
}

TEST(NewTokenTest, ItsLineTakesIt) {
  const Identity identity{"ada", "team-a", Role::kDefine};
  const absl::StatusOr<NewTokenResult> made = NewToken(identity);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_THAT(made->token, testing::MatchesRegex("ada\\.[A-Za-z0-9_-]{43}")) << "32 bytes in base64url";
  const std::string secret = made->token.substr(4);
  EXPECT_THAT(made->line, StartsWith("ada team-a define sha256:"));
  EXPECT_THAT(made->line, Not(HasSubstr(secret)));
  const absl::StatusOr<Identities> identities = Parsed(made->line + "\n");
  ASSERT_TRUE(identities.ok()) << identities.status();
  ASSERT_TRUE(identities->FindToken("ada", secret));
  EXPECT_EQ(*identities->FindToken("ada", secret), identity);
}

TEST(NewTokenTest, EachIsAnother) {
  const Identity identity{"ada", "a", Role::kDrive};
  std::set<std::string> tokens, lines;
  for (int i = 0; i < 20; ++i) {
    const absl::StatusOr<NewTokenResult> made = NewToken(identity);
    ASSERT_TRUE(made.ok()) << made.status();
    tokens.insert(made->token);
    lines.insert(made->line);
  }
  EXPECT_EQ(tokens.size(), 20u);
  EXPECT_EQ(lines.size(), 20u);
}

TEST(NewTokenTest, OfBadNamesIsRefused) {
  for (const char* const name : {"", "a.b", "a b", "-a", "a\n", "a#b"}) {
    EXPECT_EQ(NewToken({name, "a", Role::kDrive}).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_THAT(std::string(NewToken({"ada", "A", Role::kDrive}).status().message()),
              StartsWith("a namespace is 1 to 63"));
}

}  // namespace
}  // namespace corod
