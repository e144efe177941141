#include "server/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/auth/authenticator.h"
#include "server/auth/identities.h"
#include "server/base/clock.h"
#include "tests/unit/base/temporary_files.h"

namespace corod {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Flags Listening(const std::string& address) {
  Flags flags;
  flags.listen = address;
  return flags;
}

// Why the server is not to listen so.
std::string Refused(const Flags& flags) {
  const absl::Status status = CheckExposure(flags);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return std::string(status.message());
}

TEST(ListenerTest, ItsOwnMachineMayDoEverything) {
  for (const char* address : {"127.0.0.1:7117", "127.1.2.3:0", "localhost:1", "[::1]:7117"}) {
    EXPECT_TRUE(CheckExposure(Listening(address)).ok()) << address;
  }
}

TEST(ListenerTest, OtherMachinesNeedBothTlsAndCredentials) {
  for (const char* address : {"0.0.0.0:7117", "[::]:7117", "10.0.0.1:1", "corod.example:1", "127.0.0.1.example:1",
                              "localhost.example:1", "[::2]:1"}) {
    Flags flags = Listening(address);
    EXPECT_THAT(Refused(flags), AllOf(HasSubstr(address), HasSubstr("--insecure"),
                                      HasSubstr("--tls-cert and --tls-key"), HasSubstr("--identities or --jwks")));
    flags.tls.certificate = "certificate";
    EXPECT_THAT(Refused(flags), AllOf(Not(HasSubstr("--tls-cert")), HasSubstr("--identities or --jwks")));
    flags.jwks = "jwks";
    EXPECT_TRUE(CheckExposure(flags).ok()) << address;
    flags.tls.certificate.clear();
    EXPECT_THAT(Refused(flags), AllOf(HasSubstr("--tls-cert and --tls-key"), Not(HasSubstr("--identities"))));
    flags.insecure = true;
    EXPECT_TRUE(CheckExposure(flags).ok()) << address;
  }
}

TEST(ListenerTest, OtherMachinesReadTheMetricsOnlyIfThatIsMeant) {
  Flags flags = Listening("127.0.0.1:7117");
  flags.metrics = "0.0.0.0:9117";
  EXPECT_THAT(Refused(flags), AllOf(HasSubstr("--metrics 0.0.0.0:9117"), HasSubstr("--insecure-metrics")));
  flags.insecure_metrics = true;
  EXPECT_TRUE(CheckExposure(flags).ok());
  flags = Listening("0.0.0.0:7117");
  flags.metrics = "127.0.0.1:9117";
  flags.tls.certificate = "certificate";
  flags.jwks = "jwks";
  EXPECT_TRUE(CheckExposure(flags).ok());
  flags.metrics = "[::]:9117";
  EXPECT_THAT(Refused(flags), HasSubstr("--metrics [::]:9117"));
  flags.insecure = true;
  EXPECT_TRUE(CheckExposure(flags).ok()) << "everything may be read then";
}

TEST(ListenerTest, ReflectionIsServedWhereItsCallsCanBeHeldToSomething) {
  metrics::Metrics metrics("test");
  Accounts accounts(metrics);
  Flags flags;
  EXPECT_TRUE(ServesReflection(flags, rpc::Access(nullptr, accounts)));
  const TemporaryFolder folder;
  const std::string identities = folder.Put("identities", NewToken({"ada", "team-a", Role::kDrive})->line);
  const SystemClock clock;
  const auto authenticator = Authenticator::Open({.identities_file = identities}, clock);
  ASSERT_TRUE(authenticator.ok()) << authenticator.status();
  const rpc::Access held(authenticator->get(), accounts);
  EXPECT_FALSE(ServesReflection(flags, held));
  flags.tls.certificate = "certificate";
  EXPECT_TRUE(ServesReflection(flags, held));
}

}  // namespace
}  // namespace corod
