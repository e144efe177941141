#include "server/auth/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/auth/keys.h"
#include "tests/unit/base/temporary_files.h"

namespace corod {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class TlsFilesTest : public testing::Test {
 protected:
  absl::StatusOr<absl::Time> Check(absl::Time now = kNow) const {
    return CheckTlsFiles(certificate_, private_key_, client_ca_, now);
  }
  // It is refused because of this file, in one line.
  void ExpectFault(const std::string& file, const std::string& fault, absl::Time now = kNow) const {
    const absl::Status status = Check(now).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), StartsWith(file + ": "));
    EXPECT_THAT(std::string(status.message()), HasSubstr(fault));
    EXPECT_EQ(std::string(status.message()).find('\n'), std::string::npos);
  }

  TemporaryFolder folder_;
  TestKey key_ = TestKey::Ec(), other_ = TestKey::Ec();
  const std::string own_ = CertificateOf(key_), root_ = CertificateOf(other_);
  std::string certificate_ = folder_.Put("certificate.pem", own_);
  std::string private_key_ = folder_.Put("key.pem", key_.PrivatePem());
  std::string client_ca_ = folder_.Put("roots.pem", root_);
};

TEST_F(TlsFilesTest, GoodFilesGiveTheExpiryOfTheCertificate) {
  const absl::StatusOr<absl::Time> expires = Check();
  ASSERT_TRUE(expires.ok()) << expires.status();
  EXPECT_EQ(*expires, kNow + absl::Hours(1));
}

TEST_F(TlsFilesTest, ClientsMayShowNone) {
  client_ca_.clear();
  EXPECT_TRUE(Check().ok()) << Check().status();
}

TEST_F(TlsFilesTest, AChainAndTextBetween) {
  folder_.Put("certificate.pem", "the server's\n" + own_ + "\nthe one between\n" + root_);
  EXPECT_TRUE(Check().ok()) << Check().status();
}

TEST_F(TlsFilesTest, KeysOfEveryKind) {
  for (const auto& make : {+[] { return TestKey::Rsa(); }, +[] { return TestKey::Ed25519(); }}) {
    const TestKey key = make();
    folder_.Put("certificate.pem", CertificateOf(key));
    folder_.Put("key.pem", key.PrivatePem());
    EXPECT_TRUE(Check().ok()) << Check().status();
  }
}

TEST_F(TlsFilesTest, MissingFiles) {
  folder_.Remove("roots.pem");
  ExpectFault(client_ca_, "it cannot be read: No such file or directory");
  folder_.Remove("key.pem");
  ExpectFault(private_key_, "it cannot be read: No such file or directory");
  folder_.Remove("certificate.pem");
  ExpectFault(certificate_, "it cannot be read: No such file or directory");
}

TEST_F(TlsFilesTest, AFolder) {
  certificate_ = folder_.Path("");
  ExpectFault(certificate_, "it is no file");
}

TEST_F(TlsFilesTest, NoPem) {
  folder_.Put("roots.pem", "");
  ExpectFault(client_ca_, "it holds no certificate in PEM form");
  folder_.Put("key.pem", own_);
  ExpectFault(private_key_, "it holds no private key in PEM form");
  folder_.Put("certificate.pem", key_.PrivatePem());
  ExpectFault(certificate_, "it holds no certificate in PEM form");
}

TEST_F(TlsFilesTest, DamagedPem) {
  folder_.Put("roots.pem", root_ + own_.substr(0, own_.size() / 2));
  ExpectFault(client_ca_, "it holds a damaged certificate");
  const std::string pem = key_.PrivatePem();
  folder_.Put("key.pem", pem.substr(0, pem.size() / 2));
  ExpectFault(private_key_, "it holds a damaged private key");
  folder_.Put("certificate.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  ExpectFault(certificate_, "it holds a damaged certificate");
}

TEST_F(TlsFilesTest, AnEncryptedKey) {
  folder_.Put("key.pem", key_.PrivatePem("password"));
  ExpectFault(private_key_, "its private key is encrypted");
}

TEST_F(TlsFilesTest, TheKeyOfAnotherCertificate) {
  folder_.Put("key.pem", other_.PrivatePem());
  ExpectFault(private_key_, "it is not the key of the first certificate in " + certificate_);
}

TEST_F(TlsFilesTest, TheChainInTheWrongOrder) {
  folder_.Put("certificate.pem", root_ + own_);
  ExpectFault(private_key_, "it is not the key of the first certificate in " + certificate_);
}

TEST_F(TlsFilesTest, Expired) {
  ExpectFault(certificate_, "its certificate expired at 2030-03-17T18:46:40+00:00; renew it", kNow + absl::Hours(1));
  EXPECT_TRUE(Check(kNow + absl::Hours(1) - absl::Seconds(1)).ok());
}

TEST_F(TlsFilesTest, NotYetValid) { ExpectFault(certificate_, "is valid from", kNow - absl::Hours(2)); }

TEST_F(TlsFilesTest, ExpiredRoots) {
  const std::string old = CertificateOf(other_, {.expires = kNow - absl::Seconds(1)});
  folder_.Put("roots.pem", old);
  ExpectFault(client_ca_, "every certificate in it has expired");
  folder_.Put("roots.pem", old + root_);
  EXPECT_TRUE(Check().ok()) << "one is left";
}

}  // namespace
}  // namespace corod
