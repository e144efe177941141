#include "client/cpp/service_error.h"

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/failure.h"

namespace corod::client {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

google::rpc::Status Details(const std::string& domain) {
  google::rpc::ErrorInfo info;
  info.set_reason("STEP_MISMATCH");
  info.set_domain(domain);
  (*info.mutable_metadata())["step"] = "7";
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(1);
  retry.mutable_retry_delay()->set_nanos(500'000'000);
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  details.add_details()->PackFrom(retry);
  return details;
}

TEST(ServiceErrorTest, StatusKeepsWhatItsDetailsSay) {
  const grpc::Status status(grpc::StatusCode::ABORTED, "not now", Details("corod").SerializeAsString());
  const absl::Status converted = StatusOf(status);
  EXPECT_TRUE(absl::IsAborted(converted));
  const ServiceError error = ErrorOf(converted);
  EXPECT_EQ(error.reason, "STEP_MISMATCH");
  EXPECT_EQ(error.message, "not now");
  EXPECT_THAT(error.metadata, ElementsAre(Pair("step", "7")));
  EXPECT_EQ(error.retry_delay, absl::Milliseconds(1500));
}

TEST(ServiceErrorTest, ReasonOfAnotherServiceIsNotOurs) {
  const grpc::Status status(grpc::StatusCode::ABORTED, "not now", Details("proxy.example").SerializeAsString());
  EXPECT_EQ(ErrorOf(StatusOf(status)).reason, "");
}

TEST(ServiceErrorTest, StatusWithoutDetailsHasNoReason) {
  const absl::Status status = StatusOf(grpc::Status(grpc::StatusCode::UNAVAILABLE, "no connection"));
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(ErrorOf(status).reason, "");
  EXPECT_EQ(ErrorOf(status).message, "no connection");
}

TEST(ServiceErrorTest, StatusWithSpoiltDetailsKeepsItsCode) {
  EXPECT_TRUE(absl::IsNotFound(StatusOf(grpc::Status(grpc::StatusCode::NOT_FOUND, "gone", "\xff\xff\xff"))));
}

TEST(ServiceErrorTest, OkIsOk) { EXPECT_TRUE(StatusOf(grpc::Status::OK).ok()); }

TEST(ServiceErrorTest, FailureOnDriveReadsAsTheStatusOfACall) {
  v1::Failure failure;
  failure.set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
  failure.set_reason("QUEUE_FULL");
  failure.set_message("too much");
  (*failure.mutable_metadata())["executed"] = "no";
  failure.mutable_retry_delay()->set_seconds(2);
  const absl::Status status = StatusOf(failure);
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  const ServiceError error = ErrorOf(status);
  EXPECT_EQ(error.reason, "QUEUE_FULL");
  EXPECT_THAT(error.metadata, ElementsAre(Pair("executed", "no")));
  EXPECT_EQ(error.retry_delay, absl::Seconds(2));
}

TEST(ServiceErrorTest, FailureIsNeverOk) {
  EXPECT_TRUE(absl::IsUnknown(StatusOf(v1::Failure())));
  v1::Failure failure;
  failure.set_code(99);
  EXPECT_TRUE(absl::IsUnknown(StatusOf(failure)));
}

TEST(ServiceErrorTest, RefusalOnThisSideHasItsReasonToo) {
  const absl::Status status = Failed(Reason::VALUE_TOO_DEEP, "too deep", {{"max_depth", "24"}});
  EXPECT_EQ(ErrorOf(status).reason, "VALUE_TOO_DEEP");
  EXPECT_EQ(ErrorOf(status).metadata["max_depth"], "24");
}

}  // namespace
}  // namespace corod::client
