// health and log-level.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "corod/v1/admin_service.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/unit/client/run_coroctl.h"

namespace corod::cli {
namespace {

using grpc::health::v1::HealthCheckResponse;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Health final : public grpc::health::v1::Health::Service {
 public:
  grpc::Status Check(grpc::ServerContext*, const grpc::health::v1::HealthCheckRequest* request,
                     HealthCheckResponse* response) override {
    if (!request->service().empty() && request->service() != "known") return {grpc::StatusCode::NOT_FOUND, "unknown"};
    response->set_status(status);
    return grpc::Status::OK;
  }

  HealthCheckResponse::ServingStatus status = HealthCheckResponse::SERVING;
};

class Admin final : public v1::AdminService::Service {
 public:
  grpc::Status GetLogLevels(grpc::ServerContext*, const v1::GetLogLevelsRequest*,
                            v1::GetLogLevelsResponse* response) override {
    if (refuses) return {grpc::StatusCode::PERMISSION_DENIED, "no"};
    Fill(response->mutable_levels());
    return grpc::Status::OK;
  }
  grpc::Status SetLogLevel(grpc::ServerContext*, const v1::SetLogLevelRequest* request,
                           v1::SetLogLevelResponse* response) override {
    if (refuses) return {grpc::StatusCode::PERMISSION_DENIED, "no"};
    for (auto& [area, level] : levels) {
      if (request->area().empty() || request->area() == area) level = request->level();
    }
    Fill(response->mutable_levels());
    return grpc::Status::OK;
  }

  std::vector<std::pair<std::string, std::string>> levels = {{"server", "info"}, {"journal", "off"}};
  bool refuses = false;

 private:
  void Fill(google::protobuf::RepeatedPtrField<v1::LogLevel>* filled) const {
    for (const auto& [area, level] : levels) {
      v1::LogLevel* const added = filled->Add();
      added->set_area(area);
      added->set_level(level);
    }
  }
};

class AdminCommandsTest : public ::testing::Test {
 protected:
  AdminCommandsTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&health_);
    builder.RegisterService(&admin_);
    server_ = builder.BuildAndStart();
  }
  Ran Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--server", "127.0.0.1:" + std::to_string(port_)});
    return RunCoroctl(arguments);
  }

  Health health_;
  Admin admin_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(AdminCommandsTest, AServerThatServesIsHealthy) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"health"}, {"health", "--service", "known"}}) {
    const Ran ran = Run(arguments);
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(ran.out, "SERVING\n");
    EXPECT_EQ(ran.err, "");
  }
  EXPECT_EQ(Run({"health", "--output", "json"}).out, "{\"status\": \"SERVING\"}\n");
}

TEST_F(AdminCommandsTest, AnythingElseIsNotHealthy) {
  Ran ran = Run({"health", "--service", "other"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "coroctl: the server tells nothing of a service other\n");
  health_.status = HealthCheckResponse::NOT_SERVING;
  ran = Run({"health"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "coroctl: NOT_SERVING: the server takes no new work\n");
  ran = RunCoroctl({"--server", "127.0.0.1:1", "health"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, StartsWith("coroctl: UNAVAILABLE: "));
}

TEST_F(AdminCommandsTest, LogLevelsAreShown) {
  EXPECT_EQ(Run({"log-level"}).out, "server   info\njournal  off\n");
  EXPECT_EQ(Run({"log-level", "journal"}).out, "journal  off\n");
  EXPECT_EQ(Run({"log-level", "journal", "--output", "json"}).out, "{\"area\": \"journal\", \"level\": \"off\"}\n");
}

TEST_F(AdminCommandsTest, LogLevelsAreChanged) {
  EXPECT_EQ(Run({"log-level", "journal", "debug"}).out, "journal  debug\n");
  EXPECT_EQ(Run({"log-level", "all", "trace"}).out, "server   trace\njournal  trace\n");
  EXPECT_EQ(admin_.levels[1].second, "trace");
}

TEST_F(AdminCommandsTest, AnAreaThatIsNotThereIsWrongUsage) {
  const Ran ran = Run({"log-level", "nowhere"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(ran.err, "coroctl: there is no area nowhere; there are server, journal\n");
}

TEST_F(AdminCommandsTest, WhoMayNotIsTold) {
  admin_.refuses = true;
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"log-level"}, {"log-level", "all", "info"}}) {
    const Ran ran = Run(arguments);
    EXPECT_EQ(ran.status, 3);
    EXPECT_EQ(ran.err, "coroctl: PERMISSION_DENIED: no\n");
  }
}

TEST_F(AdminCommandsTest, FilesThatCannotBeUsedAreWrongUsage) {
  const Ran ran = Run({"--tls-ca", "/no/such", "health"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(ran.err, "coroctl: /no/such: it cannot be read: No such file or directory\n");
  EXPECT_THAT(RunCoroctl({"--server", "corod.example:1", "--token-file", "/no/such", "list"}).err,
              HasSubstr("without TLS"));
}

}  // namespace
}  // namespace corod::cli
