#include "client/cpp/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "client/cpp/service_error.h"
#include "tests/unit/client/fake_service.h"
#include "tests/unit/client/fake_world.h"

namespace corod::client {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int kCancelled = 1;
constexpr int kUnavailable = 14;
constexpr int kNotFound = 5;
constexpr int kResourceExhausted = 8;

class ConnectionTest : public ::testing::Test {
 protected:
  std::shared_ptr<Connection> Connect(ConnectionOptions options = {}) {
    absl::StatusOr<std::shared_ptr<Connection>> connection =
        Connection::Make(OpenChannel(service_.address()), options, world_.dependencies);
    EXPECT_TRUE(connection.ok()) << connection.status();
    return *connection;
  }

  void FailWith(int times, Refusal failure) {
    service_.script().failures = times;
    service_.script().failure = std::move(failure);
  }

  absl::Status Send(Connection& connection, const std::string& request_id = "") {
    v1::SendRequest request;
    request.set_session_id("s1");
    request.set_request_id(request_id);
    return connection.Send(request).status();
  }

  std::vector<std::string> SentIds() {
    std::vector<std::string> ids;
    for (const v1::SendRequest& request : service_.requests().send) ids.push_back(request.request_id());
    return ids;
  }

  FakeService service_;
  FakeWorld world_;
};

TEST_F(ConnectionTest, RetriesWhatAServerThatIsEndingCancels) {
  FailWith(2, {.code = kCancelled});
  EXPECT_TRUE(Send(*Connect()).ok());
  EXPECT_THAT(SentIds(), SizeIs(3));
  FailWith(1, {.code = kCancelled, .metadata = {{"executed", "no"}}});
  EXPECT_TRUE(absl::IsCancelled(Send(*Connect())));
}

TEST_F(ConnectionTest, RetriesUnavailableWithTheSameRequestId) {
  FailWith(3, {.code = kUnavailable});
  EXPECT_TRUE(Send(*Connect()).ok());
  const std::vector<std::string> ids = SentIds();
  ASSERT_THAT(ids, SizeIs(4));
  EXPECT_THAT(ids[0], SizeIs(36));
  EXPECT_THAT(ids, Each(ids[0]));
}

TEST_F(ConnectionTest, WhatPassesIsTriedAgainWhenTheServerSays) {
  for (const Refusal& refusal :
       {Refusal{.code = kResourceExhausted, .reason = "RATE_LIMITED", .metadata = {{"executed", "no"}}},
        Refusal{.code = kUnavailable, .reason = "DRAINING", .metadata = {{"executed", "no"}}}}) {
    Refusal delayed = refusal;
    delayed.retry_delay = absl::Seconds(3);
    FailWith(1, delayed);
    EXPECT_TRUE(Send(*Connect({.request_ids = RequestIds::kAsGiven})).ok()) << refusal.reason;
  }
  EXPECT_THAT(SentIds(), SizeIs(4));
  EXPECT_THAT(world_.sleeper->slept(), ElementsAre(absl::Seconds(3), absl::Seconds(3)));
}

TEST_F(ConnectionTest, OtherLimitsDoNotPassByThemselves) {
  FailWith(1, {.code = kResourceExhausted, .reason = "TOO_MANY_SESSIONS", .metadata = {{"executed", "no"}}});
  EXPECT_EQ(Send(*Connect()).code(), absl::StatusCode::kResourceExhausted);
  FailWith(1, {.code = kResourceExhausted});
  EXPECT_EQ(Send(*Connect()).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(SentIds(), SizeIs(2));
}

TEST_F(ConnectionTest, ARateThatIsLimitedBeyondTheDeadlineIsTold) {
  FailWith(1, {.code = kResourceExhausted, .reason = "RATE_LIMITED", .retry_delay = absl::Minutes(1)});
  EXPECT_EQ(Send(*Connect()).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(world_.sleeper->slept(), IsEmpty());
}

TEST_F(ConnectionTest, EachCallHasItsOwnRequestId) {
  const std::shared_ptr<Connection> connection = Connect();
  ASSERT_TRUE(Send(*connection).ok());
  ASSERT_TRUE(Send(*connection).ok());
  const std::vector<std::string> ids = SentIds();
  EXPECT_THAT(std::set<std::string>(ids.begin(), ids.end()), SizeIs(2));
}

TEST_F(ConnectionTest, KeepsARequestIdThatIsGiven) {
  EXPECT_TRUE(Send(*Connect(), "mine").ok());
  EXPECT_THAT(SentIds(), ElementsAre("mine"));
}

TEST_F(ConnectionTest, WaitsTwiceAsLongEachTime) {
  FailWith(4, {.code = kUnavailable});
  ConnectionOptions options;
  options.retry = {
      .max_attempts = 5, .first_delay = absl::Milliseconds(100), .max_delay = absl::Milliseconds(400), .factor = 2};
  EXPECT_TRUE(Send(*Connect(options)).ok());
  const std::vector<absl::Duration> slept = world_.sleeper->slept();
  const std::vector<absl::Duration> whole = {absl::Milliseconds(100), absl::Milliseconds(200), absl::Milliseconds(400),
                                             absl::Milliseconds(400)};
  ASSERT_THAT(slept, SizeIs(whole.size()));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_GE(slept[i], whole[i] / 2);
    EXPECT_LE(slept[i], whole[i]);
  }
}

TEST_F(ConnectionTest, WaitsAsLongAsTheServiceAsks) {
  FailWith(1, {.code = kUnavailable, .reason = "DRAINING", .retry_delay = absl::Seconds(7)});
  EXPECT_TRUE(Send(*Connect()).ok());
  EXPECT_THAT(world_.sleeper->slept(), ElementsAre(absl::Seconds(7)));
}

TEST_F(ConnectionTest, WaitsForItsChannelAfterWhatIsNotTheServices) {
  FailWith(2, {.code = kUnavailable});
  EXPECT_TRUE(Send(*Connect()).ok());
  EXPECT_THAT(world_.sleeper->awaited(), ElementsAre(absl::Milliseconds(500), absl::Milliseconds(500)));
  FailWith(2, {.code = kUnavailable, .reason = "DRAINING"});
  EXPECT_TRUE(Send(*Connect()).ok());
  EXPECT_THAT(world_.sleeper->awaited(), SizeIs(2)) << "it is connected";
}

TEST_F(ConnectionTest, WaitsForItsChannelNoLongerThanTheDeadline) {
  FailWith(1, {.code = kUnavailable, .retry_delay = absl::Milliseconds(900)});
  ConnectionOptions options;
  options.timeout = absl::Seconds(1);
  static_cast<void>(Send(*Connect(options)));
  EXPECT_THAT(world_.sleeper->awaited(), ElementsAre(absl::Milliseconds(100)));
}

TEST_F(ConnectionTest, GivesUpAfterTheLastAttempt) {
  FailWith(100, {.code = kUnavailable, .reason = "DRAINING", .message = "going down"});
  ConnectionOptions options;
  options.retry.max_attempts = 3;
  const absl::Status status = Send(*Connect(options));
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(ErrorOf(status).reason, "DRAINING");
  EXPECT_THAT(SentIds(), SizeIs(3));
  EXPECT_THAT(world_.sleeper->slept(), SizeIs(2));
}

TEST_F(ConnectionTest, DoesNotWaitBeyondTheDeadline) {
  FailWith(100, {.code = kUnavailable, .retry_delay = absl::Seconds(4)});
  ConnectionOptions options;
  options.timeout = absl::Seconds(10);
  EXPECT_TRUE(absl::IsUnavailable(Send(*Connect(options))));
  EXPECT_THAT(world_.sleeper->slept(), ElementsAre(absl::Seconds(4), absl::Seconds(4)));
}

TEST_F(ConnectionTest, RetriesNothingElse) {
  FailWith(1, {.code = kNotFound, .reason = "SESSION_NOT_FOUND"});
  const absl::Status status = Send(*Connect());
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_EQ(ErrorOf(status).reason, "SESSION_NOT_FOUND");
  EXPECT_THAT(SentIds(), SizeIs(1));
}

TEST_F(ConnectionTest, WithoutARequestIdRetriesOnlyWhatDidNotRun) {
  ConnectionOptions options;
  options.request_ids = RequestIds::kAsGiven;
  const std::shared_ptr<Connection> connection = Connect(options);
  FailWith(1, {.code = kUnavailable, .reason = "JOURNAL_UNAVAILABLE"});
  EXPECT_TRUE(absl::IsUnavailable(Send(*connection)));
  FailWith(1, {.code = kUnavailable, .reason = "DRAINING", .metadata = {{"executed", "no"}}});
  EXPECT_TRUE(Send(*connection).ok());
  EXPECT_THAT(SentIds(), ElementsAre("", "", ""));
}

TEST_F(ConnectionTest, RetriesWhatOnlyReads) {
  FailWith(2, {.code = kUnavailable});
  EXPECT_TRUE(Connect()->Get(v1::GetRequest()).ok());
  EXPECT_THAT(service_.requests().get, SizeIs(3));
}

TEST_F(ConnectionTest, EveryCommandHasARequestId) {
  const std::shared_ptr<Connection> connection = Connect();
  EXPECT_TRUE(connection->Create(v1::CreateRequest()).ok());
  EXPECT_TRUE(connection->Throw(v1::ThrowRequest()).ok());
  EXPECT_TRUE(connection->Close(v1::CloseRequest()).ok());
  EXPECT_TRUE(connection->Delete(v1::DeleteRequest()).ok());
  const FakeService::Requests requests = service_.requests();
  EXPECT_THAT(requests.create.at(0).request_id(), Not(IsEmpty()));
  EXPECT_THAT(requests.raise.at(0).request_id(), Not(IsEmpty()));
  EXPECT_THAT(requests.close.at(0).request_id(), Not(IsEmpty()));
  EXPECT_THAT(requests.remove.at(0).request_id(), Not(IsEmpty()));
}

TEST_F(ConnectionTest, OptionsThatMakeNoSenseAreRefused) {
  const auto make = [](ConnectionOptions options) {
    return Connection::Make(OpenChannel("127.0.0.1:1"), options).status().code();
  };
  EXPECT_EQ(make({.timeout = absl::ZeroDuration()}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(make({.retry = {.max_attempts = 0}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(make({.retry = {.factor = 0.5}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(make({.retry = {.max_delay = absl::Milliseconds(1)}}), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace corod::client
