#include "server/auth/certificate_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/base/failure.h"
#include "tests/unit/auth/keys.h"

namespace corod {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

CertificateNames NamesOf(const CertificateOptions& options) {
  absl::StatusOr<CertificateNames> names = NamesOfCertificate(CertificateOf(TestKey::Ed25519(), options));
  EXPECT_TRUE(names.ok()) << names.status();
  return names.value_or(CertificateNames{});
}

TEST(CertificateNamesTest, AlternativeNamesOfHostsAndUris) {
  const CertificateNames names =
      NamesOf({.common_name = "web",
               .alternative = "DNS:web.example.org,email:a@b.org,URI:spiffe://example.org/web,IP:10.0.0.1"});
  EXPECT_THAT(names.alternative, ElementsAre("web.example.org", "spiffe://example.org/web"));
  EXPECT_EQ(names.common_name, "") << "there are alternative names";
}

TEST(CertificateNamesTest, OtherAlternativeNamesHideTheCommonNameToo) {
  const CertificateNames names = NamesOf({.common_name = "web", .alternative = "email:a@b.org"});
  EXPECT_THAT(names.alternative, IsEmpty());
  EXPECT_EQ(names.common_name, "");
}

TEST(CertificateNamesTest, TheCommonNameIfThereIsNoOther) {
  const CertificateNames names = NamesOf({.common_name = "wëb"});
  EXPECT_THAT(names.alternative, IsEmpty());
  EXPECT_EQ(names.common_name, "wëb");
}

TEST(CertificateNamesTest, NoneOfTwoCommonNames) {
  EXPECT_EQ(NamesOf({.common_name = "a", .second_common_name = "b"}).common_name, "");
}

TEST(CertificateNamesTest, NoNameAtAll) {
  const CertificateNames names = NamesOf({.common_name = ""});
  EXPECT_THAT(names.alternative, IsEmpty());
  EXPECT_EQ(names.common_name, "");
}

TEST(CertificateNamesTest, ANameWithAZeroIsNone) {
  EXPECT_EQ(NamesOf({.common_name = std::string("web\0.evil.org", 13)}).common_name, "");
}

TEST(CertificateNamesTest, WhatIsNoCertificateIsRefused) {
  for (const std::string& pem : {std::string(), std::string("web"), TestKey::Ed25519().PublicPem(),
                                 std::string("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}) {
    const absl::Status status = NamesOfCertificate(pem).status();
    EXPECT_TRUE(IsFailure(status, Reason::CREDENTIALS_INVALID)) << status;
    EXPECT_EQ(DetailsOf(status).metadata["problem"], "malformed");
  }
}

}  // namespace
}  // namespace corod
