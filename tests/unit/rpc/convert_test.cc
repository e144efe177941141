#include "server/rpc/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <string>

#include "server/base/failure.h"
#include "server/coroutine/errors.h"
#include "server/coroutine/map.h"
#include "tests/unit/session/sessions_test_base.h"

namespace corod::rpc {
namespace {

using testing::ElementsAre;
using testing::Pair;

template <typename T>
std::string ParameterOf(const absl::StatusOr<T>& result) {
  EXPECT_THAT(result, FailsWith(Reason::INVALID_ARGUMENTS));
  return DetailsOf(result.status()).metadata["parameter"];
}

Caller Anybody() {
  static auto* const counted = new metrics::Metrics("test");
  static auto* const accounts = new Accounts(*counted);
  return Caller(accounts->Of(kDefaultNamespace));
}

absl::StatusOr<CreateSpec> Read(const v1::CreateRequest& request) {
  return FromProto(request, Anybody(), ValueLimits());
}

// Create.

TEST(CreateFromProtoTest, EveryFieldIsRead) {
  v1::CreateRequest request;
  request.set_coroutine("echo");
  (*request.mutable_arguments())["a"].set_integer(1);
  request.set_session_id("s");
  request.set_prime(true);
  request.mutable_idle_timeout()->set_nanos(500'000'000);
  request.set_durability(v1::DURABILITY_DURABLE);
  (*request.mutable_labels())["k"] = "v";
  request.set_request_id("r");
  request.set_if_exists(v1::IF_EXISTS_REPLACE_FINISHED);
  request.set_version(3);
  request.mutable_expire_time()->set_seconds(100);
  const absl::StatusOr<CreateSpec> spec = Read(request);
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->coroutine, "echo");
  EXPECT_EQ(spec->arguments, (Map{{"a", 1}}));
  EXPECT_EQ(spec->session_id, "s");
  EXPECT_TRUE(spec->prime);
  EXPECT_EQ(spec->idle_timeout, absl::Milliseconds(500));
  EXPECT_EQ(spec->durability, Durability::kDurable);
  EXPECT_THAT(spec->labels, ElementsAre(Pair("k", "v")));
  EXPECT_EQ(spec->request_id, "r");
  EXPECT_EQ(spec->if_exists, IfExists::kReplaceFinished);
  EXPECT_EQ(spec->version, 3u);
  EXPECT_EQ(spec->expire_time, absl::FromUnixSeconds(100));
}

TEST(CreateFromProtoTest, WhatIsNotSaidIsTheDefault) {
  const absl::StatusOr<CreateSpec> spec = Read({});
  ASSERT_THAT(spec, IsOk());
  EXPECT_FALSE(spec->idle_timeout.has_value());
  EXPECT_EQ(spec->durability, Durability::kDefault);
  EXPECT_EQ(spec->if_exists, IfExists::kFail);
  EXPECT_EQ(spec->expire_time, absl::InfiniteFuture());
}

TEST(CreateFromProtoTest, EnumsOutOfRangeAreNamed) {
  v1::CreateRequest durability;
  durability.set_durability(static_cast<v1::Durability>(9));
  EXPECT_EQ(ParameterOf(Read(durability)), "durability");
  v1::CreateRequest if_exists;
  if_exists.set_if_exists(static_cast<v1::IfExists>(-1));
  EXPECT_EQ(ParameterOf(Read(if_exists)), "if_exists");
}

TEST(CreateFromProtoTest, TimesOutOfRangeAreNamed) {
  struct Case {
    std::int64_t seconds;
    std::int32_t nanos;
  };
  for (const Case& bad :
       {Case{-1, 0}, Case{0, -1}, Case{1, 1'000'000'000}, Case{std::numeric_limits<std::int64_t>::max(), 0}}) {
    v1::CreateRequest idle;
    idle.mutable_idle_timeout()->set_seconds(bad.seconds);
    idle.mutable_idle_timeout()->set_nanos(bad.nanos);
    EXPECT_EQ(ParameterOf(Read(idle)), "idle_timeout");
    v1::CreateRequest expire;
    expire.mutable_expire_time()->set_seconds(bad.seconds);
    expire.mutable_expire_time()->set_nanos(bad.nanos);
    EXPECT_EQ(ParameterOf(Read(expire)), "expire_time");
  }
}

TEST(CreateFromProtoTest, LongestTimesAreTaken) {
  v1::CreateRequest request;
  request.mutable_idle_timeout()->set_seconds(315'576'000'000);
  request.mutable_expire_time()->set_seconds(253'402'300'799);
  const absl::StatusOr<CreateSpec> spec = Read(request);
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->idle_timeout, absl::Seconds(315'576'000'000));
  EXPECT_LT(spec->expire_time, absl::InfiniteFuture());
}

TEST(CreateFromProtoTest, RequestIdOfMoreThan128BytesIsRefused) {
  v1::CreateRequest request;
  request.set_request_id(std::string(128, 'r'));
  EXPECT_THAT(Read(request), IsOk());
  request.set_request_id(std::string(129, 'r'));
  EXPECT_EQ(ParameterOf(Read(request)), "request_id");
}

TEST(CreateFromProtoTest, ArgumentOverTheLimitsIsRefused) {
  v1::CreateRequest request;
  (*request.mutable_arguments())["a"].set_text("xxxx");
  EXPECT_THAT(FromProto(request, Anybody(), {.max_bytes = 5}), FailsWith(Reason::VALUE_TOO_LARGE));
  (*request.mutable_arguments())["a"].mutable_exception();
  EXPECT_THAT(Read(request), FailsWith(Reason::INVALID_EXCEPTION));
}

// List and Update.

TEST(ListFromProtoTest, StatesAreRead) {
  const auto state_of = [](v1::State state) {
    v1::ListRequest request;
    request.set_state(state);
    return FromProto(request, Anybody())->state;
  };
  EXPECT_EQ(state_of(v1::STATE_UNSPECIFIED), std::nullopt);
  EXPECT_EQ(state_of(v1::STATE_CREATED), CoroutineState::kCreated);
  EXPECT_EQ(state_of(v1::STATE_SUSPENDED), CoroutineState::kSuspended);
  EXPECT_EQ(state_of(v1::STATE_RUNNING), CoroutineState::kRunning);
  EXPECT_EQ(state_of(v1::STATE_CLOSED), CoroutineState::kClosed);
}

TEST(ListFromProtoTest, FiltersAreRead) {
  v1::ListRequest request;
  request.set_page_token("t");
  request.set_coroutine("echo");
  (*request.mutable_labels())["k"] = "v";
  request.set_has_problem(true);
  const absl::StatusOr<ListQuery> query = FromProto(request, Anybody());
  ASSERT_THAT(query, IsOk());
  EXPECT_EQ(query->page_token, "t");
  EXPECT_EQ(query->coroutine, "echo");
  EXPECT_THAT(query->labels, ElementsAre(Pair("k", "v")));
  EXPECT_TRUE(query->has_problem);
}

TEST(ListFromProtoTest, UnknownStateIsNamed) {
  v1::ListRequest request;
  request.set_state(static_cast<v1::State>(77));
  EXPECT_EQ(ParameterOf(FromProto(request, Anybody())), "state");
}

TEST(UpdateFromProtoTest, WhatIsNotSaidStays) {
  const absl::StatusOr<Session::Changes> changes = FromProto(v1::UpdateRequest());
  ASSERT_THAT(changes, IsOk());
  EXPECT_FALSE(changes->idle_timeout.has_value());
  EXPECT_FALSE(changes->expire_time.has_value());
}

TEST(UpdateFromProtoTest, ExpireTimeOfZeroTakesItAway) {
  v1::UpdateRequest request;
  request.mutable_expire_time();
  EXPECT_EQ(FromProto(request)->expire_time, absl::InfiniteFuture());
}

TEST(UpdateFromProtoTest, TimesOutOfRangeAreNamed) {
  v1::UpdateRequest request;
  request.mutable_idle_timeout()->set_seconds(-5);
  EXPECT_EQ(ParameterOf(FromProto(request)), "idle_timeout");
}

TEST(PageSizeTest, IsTheDefaultBoundedAndNotNegative) {
  EXPECT_EQ(*PageSize(0), 100u);
  EXPECT_EQ(*PageSize(1), 1u);
  EXPECT_EQ(*PageSize(1'000), 1'000u);
  EXPECT_EQ(*PageSize(1'001), 1'000u);
  EXPECT_EQ(ParameterOf(PageSize(-1)), "page_size");
}

TEST(ToTimeTest, NoDeadlineIsNever) {
  EXPECT_EQ(ToTime(std::chrono::system_clock::time_point::max()), absl::InfiniteFuture());
  const auto later = std::chrono::system_clock::time_point(std::chrono::seconds(100));
  EXPECT_EQ(ToTime(later), absl::FromUnixSeconds(100));
}

// What goes out.

class ToProtoTest : public SessionsTest {
 protected:
  v1::Session Show(Detail detail = Detail::kFull) const {
    v1::Session proto;
    ToProto(Look(), detail, &proto);
    return proto;
  }
  static v1::Outcome Show(const Outcome& outcome, Loudness loudness) {
    v1::Outcome proto;
    ToProto(Reply{7, outcome, false}, loudness, &proto);
    return proto;
  }
};

TEST_F(ToProtoTest, SessionShowsAllOfIt) {
  CreateSpec spec = PrimedSpec("stubborn");
  spec.arguments["times"] = 1;
  spec.labels["k"] = "v";
  spec.idle_timeout = absl::Milliseconds(1500);
  spec.expire_time = clock_.Now() + absl::Hours(1);
  Make(spec);
  const v1::Session session = Show();
  EXPECT_EQ(session.session_id(), "s");
  EXPECT_EQ(session.coroutine(), "stubborn");
  EXPECT_EQ(session.version(), 1u);
  EXPECT_EQ(session.arguments().at("times").integer(), 1);
  EXPECT_EQ(session.state(), v1::STATE_SUSPENDED);
  EXPECT_EQ(session.steps(), 1u);
  EXPECT_EQ(session.last_outcome().step(), 1u);
  EXPECT_EQ(session.last_outcome().yielded().integer(), 0);
  EXPECT_EQ(session.labels().at("k"), "v");
  EXPECT_EQ(session.durability(), v1::DURABILITY_EPHEMERAL);
  EXPECT_EQ(session.idle_timeout().seconds(), 1);
  EXPECT_EQ(session.idle_timeout().nanos(), 500'000'000);
  EXPECT_EQ(session.create_time().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_EQ(session.expire_time().seconds(), absl::ToUnixSeconds(clock_.Now() + absl::Hours(1)));
  EXPECT_EQ(session.uid(), Look().key.uid);
  EXPECT_TRUE(session.live());
  EXPECT_FALSE(session.has_problem());
}

TEST_F(ToProtoTest, SessionThatNeverIdlesOrExpiresShowsZeroAndNothing) {
  CreateSpec spec = Spec("echo");
  spec.idle_timeout = absl::ZeroDuration();
  Make(spec);
  EXPECT_TRUE(Show().has_idle_timeout());
  EXPECT_EQ(Show().idle_timeout().seconds(), 0);
  EXPECT_FALSE(Show().has_expire_time());
  EXPECT_FALSE(Show().has_last_outcome());
  EXPECT_EQ(Show().state(), v1::STATE_CREATED);
}

TEST_F(ToProtoTest, BasicViewLeavesArgumentsAndOutcomeOut) {
  CreateSpec spec = PrimedSpec("stubborn");
  spec.arguments["times"] = 1;
  Make(spec);
  EXPECT_TRUE(Show(Detail::kBasic).arguments().empty());
  EXPECT_FALSE(Show(Detail::kBasic).has_last_outcome());
  EXPECT_EQ(Show(Detail::kBasic).steps(), 1u);
}

TEST_F(ToProtoTest, FinishedSessionIsNotLive) {
  Prime("echo");
  ASSERT_THAT(Close(), IsOk());
  EXPECT_EQ(Show().state(), v1::STATE_CLOSED);
  EXPECT_FALSE(Show().live());
}

TEST_F(ToProtoTest, OutcomesOfEveryKind) {
  EXPECT_EQ(Show(Outcome::Yielded(1), Loudness::kLoud).yielded().integer(), 1);
  EXPECT_EQ(Show(Outcome::Returned("x"), Loudness::kLoud).returned().text(), "x");
  EXPECT_EQ(Show(Outcome::Raised(py::KeyError("k")), Loudness::kLoud).raised().type(), "KeyError");
  EXPECT_EQ(Show(Outcome::Yielded(1), Loudness::kLoud).step(), 7u);
}

TEST_F(ToProtoTest, NullThatWasYieldedIsNotNothing) {
  EXPECT_EQ(Show(Outcome::Yielded(Value()), Loudness::kLoud).result_case(), v1::Outcome::kYielded);
  EXPECT_EQ(Show(Outcome::Returned(Value()), Loudness::kLoud).result_case(), v1::Outcome::kReturned);
}

TEST_F(ToProtoTest, QuietOutcomeHasItsKindAndNoValue) {
  const v1::Outcome yielded = Show(Outcome::Yielded(1), Loudness::kQuiet);
  EXPECT_EQ(yielded.result_case(), v1::Outcome::kYielded);
  EXPECT_EQ(yielded.yielded().kind_case(), v1::Value::KIND_NOT_SET);
  const v1::Outcome raised = Show(Outcome::Raised(py::KeyError("k")), Loudness::kQuiet);
  EXPECT_EQ(raised.result_case(), v1::Outcome::kRaised);
  EXPECT_EQ(raised.raised().type(), "");
}

TEST_F(ToProtoTest, CoroutineShowsWhatACallerMustKnow) {
  v1::Coroutine proto;
  ToProto(*catalog_.Find("sliding_window"), &proto);
  EXPECT_EQ(proto.name(), "sliding_window");
  EXPECT_EQ(proto.language(), v1::LANGUAGE_NATIVE);
  EXPECT_NE(proto.stops_when(), "");
  ASSERT_EQ(proto.parameters_size(), 1);
  EXPECT_EQ(proto.parameters(0).name(), "size");
  EXPECT_TRUE(proto.parameters(0).required());
}

}  // namespace
}  // namespace corod::rpc
