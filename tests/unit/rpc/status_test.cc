#include "server/rpc/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/failure.h"

namespace corod::rpc {
namespace {

using testing::Pair;
using testing::UnorderedElementsAre;

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

google::rpc::ErrorInfo InfoOf(const grpc::Status& status) {
  const google::rpc::Status details = DetailsOf(status);
  google::rpc::ErrorInfo info;
  EXPECT_TRUE(details.details_size() > 0 && details.details(0).UnpackTo(&info));
  return info;
}

TEST(StatusTest, EveryReasonHasItsCodeAndErrorInfo) {
  const auto check = [](Reason reason, grpc::StatusCode code, const std::string& name) {
    const grpc::Status status = ToGrpcStatus(Failed(reason, "why", {{"session_id", "s"}}));
    EXPECT_EQ(status.error_code(), code) << name;
    EXPECT_EQ(status.error_message(), "why");
    EXPECT_EQ(DetailsOf(status).code(), code) << name;
    EXPECT_EQ(DetailsOf(status).message(), "why");
    EXPECT_EQ(InfoOf(status).reason(), name);
    EXPECT_EQ(InfoOf(status).domain(), "corod");
    EXPECT_THAT(InfoOf(status).metadata(), UnorderedElementsAre(Pair("executed", "no"), Pair("session_id", "s")));
  };
  check(Reason::SESSION_NOT_FOUND, grpc::NOT_FOUND, "SESSION_NOT_FOUND");
  check(Reason::COROUTINE_NOT_FOUND, grpc::NOT_FOUND, "COROUTINE_NOT_FOUND");
  check(Reason::SESSION_EXISTS, grpc::ALREADY_EXISTS, "SESSION_EXISTS");
  check(Reason::INVALID_SESSION_ID, grpc::INVALID_ARGUMENT, "INVALID_SESSION_ID");
  check(Reason::INVALID_ARGUMENTS, grpc::INVALID_ARGUMENT, "INVALID_ARGUMENTS");
  check(Reason::INVALID_EXCEPTION, grpc::INVALID_ARGUMENT, "INVALID_EXCEPTION");
  check(Reason::INVALID_PAGE_TOKEN, grpc::INVALID_ARGUMENT, "INVALID_PAGE_TOKEN");
  check(Reason::VALUE_TOO_DEEP, grpc::INVALID_ARGUMENT, "VALUE_TOO_DEEP");
  check(Reason::VALUE_TOO_LARGE, grpc::INVALID_ARGUMENT, "VALUE_TOO_LARGE");
  check(Reason::NOT_PRIMED, grpc::FAILED_PRECONDITION, "NOT_PRIMED");
  check(Reason::NOT_DURABLE, grpc::FAILED_PRECONDITION, "NOT_DURABLE");
  check(Reason::DURABILITY_UNAVAILABLE, grpc::FAILED_PRECONDITION, "DURABILITY_UNAVAILABLE");
  check(Reason::VERSION_UNAVAILABLE, grpc::FAILED_PRECONDITION, "VERSION_UNAVAILABLE");
  check(Reason::REPLY_FORGOTTEN, grpc::FAILED_PRECONDITION, "REPLY_FORGOTTEN");
  check(Reason::STEP_MISMATCH, grpc::ABORTED, "STEP_MISMATCH");
  check(Reason::REQUEST_ID_REUSED, grpc::ABORTED, "REQUEST_ID_REUSED");
  check(Reason::PREDECESSOR_FAILED, grpc::ABORTED, "PREDECESSOR_FAILED");
  check(Reason::TOO_MANY_SESSIONS, grpc::RESOURCE_EXHAUSTED, "TOO_MANY_SESSIONS");
  check(Reason::QUEUE_FULL, grpc::RESOURCE_EXHAUSTED, "QUEUE_FULL");
  check(Reason::DRAINING, grpc::UNAVAILABLE, "DRAINING");
  check(Reason::JOURNAL_UNAVAILABLE, grpc::UNAVAILABLE, "JOURNAL_UNAVAILABLE");
}

TEST(StatusTest, WhereWaitingHelpsThereIsARetryInfo) {
  const grpc::Status status = ToGrpcStatus(Failed(Reason::DRAINING, "", {}, absl::Milliseconds(2500)));
  ASSERT_EQ(DetailsOf(status).details_size(), 2);
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(DetailsOf(status).details(1).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 2);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
}

TEST(StatusTest, WhereItDoesNotThereIsNone) {
  EXPECT_EQ(DetailsOf(ToGrpcStatus(Failed(Reason::NOT_PRIMED, ""))).details_size(), 1);
}

TEST(StatusTest, NotStartedSaysThatItWasNotExecuted) {
  const grpc::Status status = ToGrpcStatus(NotStarted(absl::StatusCode::kDeadlineExceeded, "late"));
  EXPECT_EQ(status.error_code(), grpc::DEADLINE_EXCEEDED);
  EXPECT_EQ(InfoOf(status).reason(), "");
  EXPECT_THAT(InfoOf(status).metadata(), UnorderedElementsAre(Pair("executed", "no")));
}

TEST(StatusTest, LongWordsOfTheClientsAreShortenedToFitIntoTrailers) {
  const std::string name(100'000, 'x');
  const grpc::Status status = ToGrpcStatus(Failed(Reason::COROUTINE_NOT_FOUND, "no " + name, {{"coroutine", name}}));
  EXPECT_LT(status.error_message().size() + status.error_details().size(), 2'000u);
  EXPECT_EQ(InfoOf(status).reason(), "COROUTINE_NOT_FOUND");
  EXPECT_THAT(InfoOf(status).metadata().at("coroutine"),
              testing::AllOf(testing::StartsWith("xxx"), testing::EndsWith("...")));
}

TEST(StatusTest, ShorteningKeepsCharactersWhole) {
  std::string text;
  for (int i = 0; i < 1'000; ++i) text += "\xe2\x82\xac";
  const google::rpc::ErrorInfo info =
      InfoOf(ToGrpcStatus(Failed(Reason::COROUTINE_NOT_FOUND, text, {{"coroutine", text}})));
  EXPECT_EQ(info.metadata().at("coroutine"), text.substr(0, 255) + "...");
}

TEST(StatusTest, FailureOfOneCommandSaysTheSame) {
  v1::Failure failure;
  ToFailure(Failed(Reason::QUEUE_FULL, "why", {{"session_id", "s"}}, absl::Milliseconds(100)), &failure);
  EXPECT_EQ(failure.code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(failure.reason(), "QUEUE_FULL");
  EXPECT_EQ(failure.message(), "why");
  EXPECT_THAT(failure.metadata(), UnorderedElementsAre(Pair("executed", "no"), Pair("session_id", "s")));
  EXPECT_EQ(failure.retry_delay().nanos(), 100'000'000);
}

TEST(StatusTest, FailureWhereWaitingDoesNotHelpHasNoDelay) {
  v1::Failure failure;
  ToFailure(Failed(Reason::STEP_MISMATCH, ""), &failure);
  EXPECT_FALSE(failure.has_retry_delay());
}

}  // namespace
}  // namespace corod::rpc
