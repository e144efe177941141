#include "server/base/failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace corod {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(FailureTest, DetailsComeBackAsTheyWereGiven) {
  const absl::Status status =
      Failed(Reason::QUEUE_FULL, "too much", {{"session_id", "s"}, {"max_queued", "7"}}, absl::Milliseconds(1500));
  const FailureDetails details = DetailsOf(status);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "too much");
  EXPECT_EQ(details.reason, "QUEUE_FULL");
  EXPECT_THAT(details.metadata, ElementsAre(Pair("executed", "no"), Pair("max_queued", "7"), Pair("session_id", "s")));
  EXPECT_EQ(details.retry_delay, absl::Milliseconds(1500));
}

TEST(FailureTest, MetadataMayBeEmptyAndHoldAnyText) {
  const absl::Status status = Failed(Reason::SESSION_EXISTS, "", {{"empty", ""}, {"a/b", "\xc3\xa4\n"}});
  EXPECT_THAT(DetailsOf(status).metadata,
              ElementsAre(Pair("a/b", "\xc3\xa4\n"), Pair("empty", ""), Pair("executed", "no")));
}

TEST(FailureTest, ADoubtDoesNotSayThatNothingRan) {
  const absl::Status status = Doubtful(Reason::JOURNAL_UNAVAILABLE, "full", {{"a", "b"}}, absl::Seconds(1));
  EXPECT_TRUE(IsFailure(status, Reason::JOURNAL_UNAVAILABLE));
  EXPECT_THAT(DetailsOf(status).metadata, ElementsAre(Pair("a", "b")));
  EXPECT_EQ(DetailsOf(status).retry_delay, absl::Seconds(1));
}

TEST(FailureTest, WithoutRetryDelayWaitingDoesNotHelp) {
  EXPECT_EQ(DetailsOf(Failed(Reason::NOT_PRIMED, "")).retry_delay, absl::ZeroDuration());
}

TEST(FailureTest, IsRecognisedByItsReasonAlone) {
  const absl::Status status = Failed(Reason::STEP_MISMATCH, "");
  EXPECT_TRUE(IsFailure(status, Reason::STEP_MISMATCH));
  EXPECT_FALSE(IsFailure(status, Reason::REQUEST_ID_REUSED)) << "of the same code";
  EXPECT_FALSE(IsFailure(absl::AbortedError(""), Reason::STEP_MISMATCH));
  EXPECT_FALSE(IsFailure(absl::OkStatus(), Reason::STEP_MISMATCH));
}

TEST(FailureTest, EveryReasonComesBack) {
  for (std::size_t i = 0; i < kReasons; ++i) {
    const auto reason = static_cast<Reason>(i);
    EXPECT_NE(NameOf(reason), "UNKNOWN");
    EXPECT_EQ(ReasonOf(Failed(reason, "")), reason);
  }
  EXPECT_EQ(NameOf(static_cast<Reason>(kReasons)), "UNKNOWN");
  EXPECT_EQ(ReasonOf(absl::AbortedError("")), std::nullopt);
  EXPECT_EQ(ReasonOf(absl::OkStatus()), std::nullopt);
}

TEST(FailureTest, NotStartedHasACodeAndNoReason) {
  const absl::Status status = NotStarted(absl::StatusCode::kDeadlineExceeded, "late");
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(DetailsOf(status).reason, "");
  EXPECT_THAT(DetailsOf(status).metadata, ElementsAre(Pair("executed", "no")));
}

TEST(FailureTest, StatusOfOthersHasNoDetails) {
  EXPECT_EQ(DetailsOf(absl::InternalError("x")).reason, "");
  EXPECT_THAT(DetailsOf(absl::InternalError("x")).metadata, IsEmpty());
}

TEST(FailureTest, EveryReasonHasItsName) {
#define COROD_REASON(name, expected)      \
  EXPECT_EQ(NameOf(Reason::name), #name); \
  EXPECT_EQ(Failed(Reason::name, "").code(), absl::StatusCode::expected);
  COROD_REASONS(COROD_REASON)
#undef COROD_REASON
}

}  // namespace
}  // namespace corod
