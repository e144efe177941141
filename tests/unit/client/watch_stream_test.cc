#include "client/cpp/watch_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "client/cpp/service_error.h"
#include "tests/unit/client/fake_service.h"
#include "tests/unit/client/fake_world.h"

namespace corod::client {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr int kUnavailable = 14;
constexpr int kResourceExhausted = 8;

class WatchStreamTest : public ::testing::Test {
 protected:
  WatchStreamTest() {
    for (int step = 1; step <= 5; ++step)
      service_.script().events.push_back(SendEvent(v1::Value(), Yielded(step, IntegerValue(step))));
  }

  std::shared_ptr<Connection> Connect() {
    return Connection::Make(OpenChannel(service_.address()), {}, world_.dependencies).value();
  }
  // Reads `stream` to its end, which goes to `status_`; the steps that came.
  std::vector<std::uint64_t> ReadAll(WatchStream& stream) {
    std::vector<std::uint64_t> steps;
    while (true) {
      const absl::StatusOr<std::optional<v1::Event>> event = stream.Next();
      status_ = event.status();
      if (!event.ok() || !*event) return steps;
      steps.push_back((*event)->step());
    }
  }
  std::vector<std::uint64_t> AskedFor() {
    std::vector<std::uint64_t> steps;
    for (const v1::WatchRequest& request : service_.requests().watch) steps.push_back(request.from_step());
    return steps;
  }
  static Refusal TooSlow(const std::string& resume_step) {
    return {.code = kResourceExhausted, .reason = "WATCHER_TOO_SLOW", .metadata = {{"resume_step", resume_step}}};
  }

  FakeService service_;
  FakeWorld world_;
  absl::Status status_;
};

TEST_F(WatchStreamTest, DeliversStepsUntilTheServiceEndsIt) {
  WatchStream stream(Connect(), "s1", {.from_step = 2});
  EXPECT_THAT(ReadAll(stream), ElementsAre(2, 3, 4, 5));
  EXPECT_TRUE(status_.ok());
  EXPECT_EQ(service_.requests().watch.at(0).session_id(), "s1");
  EXPECT_EQ(stream.resume_step(), 6u);
  EXPECT_FALSE(stream.Next()->has_value());  // still
}

TEST_F(WatchStreamTest, WithoutAStepOnlyWhatComesNext) {
  service_.script().session.set_steps(3);
  WatchStream stream(Connect(), "s1");
  EXPECT_THAT(ReadAll(stream), ElementsAre(4, 5));
  EXPECT_FALSE(service_.requests().watch.at(0).has_from_step());
}

TEST_F(WatchStreamTest, ByTheCallerABreakIsFinalAndTellsWhereToGoOn) {
  service_.script().streams = {{.messages = 2, .end = {.code = kUnavailable}}};
  WatchStream stream(Connect(), "s1", {.from_step = 1});
  EXPECT_THAT(ReadAll(stream), ElementsAre(1, 2));
  EXPECT_TRUE(absl::IsUnavailable(status_));
  EXPECT_EQ(stream.resume_step(), 3u);
  EXPECT_TRUE(absl::IsUnavailable(stream.Next().status()));
  EXPECT_THAT(service_.requests().watch, SizeIs(1));
}

TEST_F(WatchStreamTest, TooSlowBeforeTheFirstEventTellsTheServicesStep) {
  service_.script().streams = {{.messages = 0, .end = TooSlow("4")}};
  WatchStream stream(Connect(), "s1");
  EXPECT_THAT(ReadAll(stream), ElementsAre());
  EXPECT_EQ(ErrorOf(status_).reason, "WATCHER_TOO_SLOW");
  EXPECT_EQ(stream.resume_step(), 4u);
}

TEST_F(WatchStreamTest, ByTheStreamBreaksLeaveNoGapAndRepeatNothing) {
  service_.script().streams = {{.messages = 1, .end = {.code = kUnavailable}},
                               {.messages = 0, .end = {.code = kUnavailable}},
                               {.messages = 2, .end = TooSlow("4")}};
  int breaks = 0;
  WatchStream stream(
      Connect(), "s1",
      {.from_step = 1, .resumption = Resumption::kByStream, .on_break = [&](const absl::Status&) { ++breaks; }});
  EXPECT_THAT(ReadAll(stream), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_TRUE(status_.ok()) << status_;
  EXPECT_THAT(AskedFor(), ElementsAre(1, 2, 2, 4));
  EXPECT_EQ(breaks, 3);
}

TEST_F(WatchStreamTest, TooSlowWithAWrongStepLosesNothing) {
  service_.script().streams = {{.messages = 2, .end = TooSlow("5")}};
  WatchStream stream(Connect(), "s1", {.from_step = 1, .resumption = Resumption::kByStream});
  EXPECT_THAT(ReadAll(stream), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(WatchStreamTest, WhatTheServiceRepeatsIsLeftOut) {
  service_.script().events.insert(service_.script().events.begin() + 2, service_.script().events[0]);
  WatchStream stream(Connect(), "s1", {.from_step = 1});
  EXPECT_THAT(ReadAll(stream), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(WatchStreamTest, ByTheStreamGivesUpInTheEnd) {
  service_.script().streams = std::vector<FakeService::Streaming>(100, {.messages = 0, .end = {.code = kUnavailable}});
  RetryPolicy retry;
  retry.max_attempts = 3;
  WatchStream stream(Connect(), "s1", {.from_step = 1, .resumption = Resumption::kByStream, .retry = retry});
  EXPECT_THAT(ReadAll(stream), ElementsAre());
  EXPECT_TRUE(absl::IsUnavailable(status_));
  EXPECT_THAT(service_.requests().watch, SizeIs(3));
  EXPECT_THAT(world_.sleeper->awaited(), SizeIs(2)) << "what broke has to connect again";
}

TEST_F(WatchStreamTest, EachEventBeginsTheAttemptsAnew) {
  service_.script().streams = std::vector<FakeService::Streaming>(4, {.messages = 1, .end = {.code = kUnavailable}});
  RetryPolicy retry;
  retry.max_attempts = 2;
  WatchStream stream(Connect(), "s1", {.from_step = 1, .resumption = Resumption::kByStream, .retry = retry});
  EXPECT_THAT(ReadAll(stream), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(WatchStreamTest, OtherFailuresAreFinal) {
  service_.script().failures = 1;
  service_.script().failure = {.code = 11, .reason = "HISTORY_TRIMMED", .metadata = {{"earliest_step", "3"}}};
  WatchStream stream(Connect(), "s1", {.from_step = 1, .resumption = Resumption::kByStream});
  EXPECT_THAT(ReadAll(stream), ElementsAre());
  EXPECT_EQ(ErrorOf(status_).reason, "HISTORY_TRIMMED");
  EXPECT_EQ(ErrorOf(status_).metadata["earliest_step"], "3");
}

TEST_F(WatchStreamTest, CancelEndsANextThatWaits) {
  service_.script().streams = {{.stays = true}};
  WatchStream stream(Connect(), "s1", {.from_step = 6, .resumption = Resumption::kByStream});
  std::thread canceller([&stream] { stream.Cancel(); });
  EXPECT_TRUE(absl::IsCancelled(stream.Next().status()));
  canceller.join();
  EXPECT_TRUE(absl::IsCancelled(stream.Next().status()));
}

TEST_F(WatchStreamTest, MayBeLeftInTheMiddle) {
  service_.script().streams = {{.stays = true}};
  WatchStream stream(Connect(), "s1", {.from_step = 1});
  EXPECT_TRUE(stream.Next().ok());
}

TEST_F(WatchStreamTest, ServiceThatGoesAwayLeavesTheStepToGoOnWith) {
  auto service = std::make_unique<FakeService>();
  service->script().events = service_.script().events;
  service->script().streams = {{.messages = 2, .stays = true}};
  const auto connection = Connection::Make(OpenChannel(service->address()), {}, world_.dependencies).value();
  WatchStream stream(connection, "s1", {.from_step = 1});
  EXPECT_EQ(stream.Next().value()->step(), 1u);
  EXPECT_EQ(stream.Next().value()->step(), 2u);
  std::thread end([&service] { service.reset(); });
  ReadAll(stream);
  end.join();
  EXPECT_EQ(stream.resume_step(), 3u);
}

}  // namespace
}  // namespace corod::client
