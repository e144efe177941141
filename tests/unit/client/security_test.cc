#include "client/cpp/security.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "corod/v1/catalog_service.grpc.pb.h"
#include "server/base/mutex.h"
#include "tests/unit/auth/keys.h"
#include "tests/unit/base/temporary_files.h"

namespace corod::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A catalog that writes down who asks.
class Catalog final : public v1::CatalogService::Service {
 public:
  grpc::Status ListCoroutines(grpc::ServerContext* context, const v1::ListCoroutinesRequest*,
                              v1::ListCoroutinesResponse*) override {
    const MutexLock lock(mutex_);
    std::string who;
    const auto [first, last] = context->client_metadata().equal_range("authorization");
    for (auto value = first; value != last; ++value) who += std::string(value->second.data(), value->second.size());
    for (const grpc::string_ref& name : context->auth_context()->FindPropertyValues("x509_common_name")) {
      who += "certificate of " + std::string(name.data(), name.size());
    }
    asked_.push_back(who);
    return grpc::Status::OK;
  }
  std::vector<std::string> asked() {
    const MutexLock lock(mutex_);
    return asked_;
  }

 private:
  Mutex mutex_;
  std::vector<std::string> asked_ ABSL_GUARDED_BY(mutex_);
};

// A key and a certificate that it signed itself, in files.
struct Certified {
  Certified(const TemporaryFolder& folder, const std::string& name, const std::string& alternative)
      : key(TestKey::Ec()),
        pem(CertificateOf(key, {.common_name = name,
                                .alternative = alternative,
                                .begins = absl::Now() - absl::Hours(1),
                                .expires = absl::Now() + absl::Hours(1)})),
        file(folder.Put(name + ".crt", pem)),
        key_file(folder.Put(name + ".key", key.PrivatePem())) {}

  TestKey key;
  std::string pem;
  std::string file;
  std::string key_file;
};

class SecurityTest : public ::testing::Test {
 protected:
  // Serves with these credentials; gives the address.
  std::string Serve(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", credentials, &port);
    builder.RegisterService(&catalog_);
    server_ = builder.BuildAndStart();
    return "127.0.0.1:" + std::to_string(port);
  }
  std::string ServeInPlaintext() { return Serve(grpc::InsecureServerCredentials()); }
  std::string ServeWithTls() {
    grpc::SslServerCredentialsOptions options(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_key_cert_pairs.push_back({own_.key.PrivatePem(), own_.pem});
    options.pem_root_certs = someone_.pem;
    return Serve(grpc::SslServerCredentials(options));
  }
  static absl::StatusOr<Client> Connect(const std::string& address, SecurityOptions security) {
    ConnectionOptions options;
    options.retry.max_attempts = 1;
    options.security = std::move(security);
    return Client::Connect(address, options);
  }
  static absl::Status List(Client& client) { return client.connection()->ListCoroutines({}).status(); }
  static absl::Status ListOnce(const std::string& address, SecurityOptions security) {
    absl::StatusOr<Client> client = Connect(address, std::move(security));
    return client.ok() ? List(*client) : client.status();
  }
  // The one line.
  static std::string Wrong(SecurityOptions security, const std::string& address = "127.0.0.1:1") {
    const absl::Status status = Connect(address, std::move(security)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
    return std::string(status.message());
  }

  const TemporaryFolder folder_;
  const Certified own_{folder_, "server", "IP:127.0.0.1,DNS:corod.example"};
  const Certified someone_{folder_, "someone", ""};
  Catalog catalog_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(SecurityTest, ThisMachineIsKnownByItsAddress) {
  for (const char* address :
       {"127.0.0.1:7117", "127.1.2.3:1", "localhost:7117", "[::1]:7117", "unix:/run/corod.sock"}) {
    EXPECT_TRUE(IsThisMachine(address)) << address;
  }
  for (const char* address : {"10.0.0.1:7117", "127.0.0.1.example:7117", "localhost.example:7117", "[::2]:7117",
                              "corod.example:7117", "dns:///127.0.0.1:1", "0.0.0.0:1", ""}) {
    EXPECT_FALSE(IsThisMachine(address)) << address;
  }
}

TEST_F(SecurityTest, TheTokenGoesWithEachCallOverTls) {
  const std::string address = ServeWithTls();
  absl::StatusOr<Client> client = Connect(address, {.tls = TlsOptions{.ca_file = own_.file}, .token = "a.b"});
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_TRUE(List(*client).ok());
  EXPECT_TRUE(List(*client).ok());
  EXPECT_THAT(catalog_.asked(), ElementsAre("Bearer a.b", "Bearer a.b"));
}

TEST_F(SecurityTest, ARenewedTokenIsUsedByTheNextCall) {
  for (const bool encrypted : {false, true}) {
    const std::string address = encrypted ? ServeWithTls() : ServeInPlaintext();
    SecurityOptions security{.token_file = folder_.Put("token", "first\n")};
    if (encrypted) security.tls = TlsOptions{.ca = own_.pem};
    absl::StatusOr<Client> client = Connect(address, security);
    ASSERT_TRUE(client.ok()) << client.status();
    EXPECT_TRUE(List(*client).ok());
    folder_.Put("token", "second");
    EXPECT_TRUE(List(*client).ok());
    folder_.Remove("token");
    EXPECT_TRUE(List(*client).ok());
    folder_.Put("token", "two words");
    EXPECT_TRUE(List(*client).ok());
    folder_.Put("token", " third \r\n");
    EXPECT_TRUE(List(*client).ok());
  }
  const std::vector<std::string> once = {"Bearer first", "Bearer second", "Bearer second", "Bearer second",
                                         "Bearer third"};
  std::vector<std::string> twice = once;
  twice.insert(twice.end(), once.begin(), once.end());
  EXPECT_EQ(catalog_.asked(), twice);
}

TEST_F(SecurityTest, WithoutATokenNothingIsSent) {
  EXPECT_TRUE(ListOnce(ServeInPlaintext(), {}).ok());
  EXPECT_THAT(catalog_.asked(), ElementsAre(""));
}

TEST_F(SecurityTest, ATokenIsNotSentInPlaintextToOtherMachines) {
  EXPECT_THAT(Wrong({.token = "secret"}, "corod.example:7117"),
              AllOf(HasSubstr("corod.example:7117 without TLS"), Not(HasSubstr("secret"))));
  EXPECT_TRUE(Connect("corod.example:7117", {.token = "secret", .token_in_plaintext = true}).ok());
  EXPECT_TRUE(Connect("unix:/run/corod.sock", {.token = "secret"}).ok());
}

TEST_F(SecurityTest, AServerThatIsNotTrustedIsNotTalkedTo) {
  const std::string address = ServeWithTls();
  EXPECT_TRUE(absl::IsUnavailable(ListOnce(address, {.tls = TlsOptions{.ca_file = someone_.file}, .token = "t"})));
  EXPECT_TRUE(absl::IsUnavailable(
      ListOnce(address, {.tls = TlsOptions{.ca_file = own_.file, .server_name = "other.example"}, .token = "t"})));
  EXPECT_THAT(catalog_.asked(), ElementsAre());
  EXPECT_TRUE(ListOnce(address, {.tls = TlsOptions{.ca_file = own_.file, .server_name = "corod.example"}}).ok());
}

TEST_F(SecurityTest, TheClientShowsItsCertificate) {
  const TlsOptions tls{.ca_file = own_.file, .certificate_file = someone_.file, .key_file = someone_.key_file};
  EXPECT_TRUE(ListOnce(ServeWithTls(), {.tls = tls}).ok());
  EXPECT_THAT(catalog_.asked(), ElementsAre("certificate of someone"));
}

TEST_F(SecurityTest, FilesThatWillNotDoAreNamed) {
  const auto wrong_tls = [](const TlsOptions& tls) { return Wrong({.tls = tls}); };
  EXPECT_THAT(wrong_tls({.ca_file = "/no/such"}), HasSubstr("/no/such: it cannot be read: No such file"));
  EXPECT_THAT(wrong_tls({.ca_file = "/tmp"}), HasSubstr("/tmp: it is no file"));
  EXPECT_THAT(wrong_tls({.ca_file = own_.key_file}), HasSubstr(own_.key_file + ": it holds no certificate"));
  EXPECT_THAT(wrong_tls({.ca = "none"}), HasSubstr("tls.ca: it holds no certificate"));
  EXPECT_THAT(wrong_tls({.ca_file = own_.file, .ca = own_.pem}), HasSubstr("one will do"));
  EXPECT_THAT(wrong_tls({.certificate_file = own_.file}), HasSubstr("go together"));
  EXPECT_THAT(wrong_tls({.key_file = own_.key_file}), HasSubstr("go together"));
  EXPECT_THAT(wrong_tls({.certificate_file = own_.key_file, .key_file = own_.key_file}), HasSubstr("no certificate"));
  EXPECT_THAT(wrong_tls({.certificate_file = own_.file, .key_file = own_.file}), HasSubstr("no private key"));
  EXPECT_THAT(wrong_tls({.certificate_file = own_.file, .key_file = someone_.key_file}),
              HasSubstr("it is not the key of the first certificate in " + own_.file));
  EXPECT_THAT(
      wrong_tls({.certificate_file = own_.file, .key_file = folder_.Put("encrypted", own_.key.PrivatePem("password"))}),
      HasSubstr("is encrypted"));
}

TEST_F(SecurityTest, TokensThatWillNotDoAreRefused) {
  EXPECT_THAT(Wrong({.token = " \n"}), HasSubstr("the token: it holds no token"));
  EXPECT_THAT(Wrong({.token = "secret words"}), AllOf(HasSubstr("one word"), Not(HasSubstr("secret"))));
  EXPECT_THAT(Wrong({.token = "a\x01"}), HasSubstr("one word"));
  EXPECT_THAT(Wrong({.token = "a", .token_file = "b"}), HasSubstr("one will do"));
  EXPECT_THAT(Wrong({.token_file = "/no/such"}), HasSubstr("/no/such: it cannot be read"));
  EXPECT_THAT(Wrong({.token_file = folder_.Put("empty", "\n")}), HasSubstr("empty: it holds no token"));
}

}  // namespace
}  // namespace corod::client
