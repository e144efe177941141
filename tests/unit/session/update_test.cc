// Update: labels, idle timeout, expiry.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/session/sessions_test_base.h"

namespace corod {
namespace {

using testing::ElementsAre;
using testing::Pair;

class UpdateTest : public SessionsTest {
 protected:
  UpdateTest() { Prime("counted"); }
  absl::StatusOr<SessionInfo> Update(const Session::Changes& changes) { return UpdateNow(*sessions_, "s", changes); }
};

TEST_F(UpdateTest, AddsChangesAndRemovesLabels) {
  ASSERT_THAT(Update({.labels = {{"a", "1"}, {"b", "2"}}}), IsOk());
  ASSERT_THAT(Update({.labels = {{"b", "3"}}, .remove_labels = {"a", "missing"}}), IsOk());
  EXPECT_THAT(Look().labels, ElementsAre(Pair("b", "3")));
}

TEST_F(UpdateTest, LabelThatIsRemovedAndSetIsSet) {
  ASSERT_THAT(Update({.labels = {{"a", "1"}}}), IsOk());
  ASSERT_THAT(Update({.labels = {{"a", "2"}}, .remove_labels = {"a"}}), IsOk());
  EXPECT_THAT(Look().labels, ElementsAre(Pair("a", "2")));
}

TEST_F(UpdateTest, TooManyLabelsChangeNothing) {
  Session::Changes many;
  for (int i = 0; i < 64; ++i) many.labels[std::to_string(i)] = "x";
  ASSERT_THAT(Update(many), IsOk());
  EXPECT_THAT(Update({.labels = {{"one more", "x"}}, .idle_timeout = absl::Seconds(1)}),
              FailsWith(Reason::INVALID_ARGUMENTS));
  EXPECT_EQ(Look().labels.size(), 64u);
  EXPECT_EQ(Look().idle_timeout, absl::Hours(1));
  EXPECT_THAT(Update({.labels = {{"one more", "x"}}, .remove_labels = {"0"}}), IsOk());
}

TEST_F(UpdateTest, LabelThatIsTooLongIsRefused) {
  EXPECT_THAT(Update({.labels = {{"a", std::string(1025, 'x')}}}), FailsWith(Reason::INVALID_ARGUMENTS));
  EXPECT_TRUE(Look().labels.empty());
}

TEST_F(UpdateTest, ShorterIdleTimeoutTakesEffect) {
  clock_.Advance(absl::Minutes(5));
  ASSERT_THAT(Update({.idle_timeout = absl::Minutes(10)}), IsOk());
  EXPECT_EQ(sessions_->Sweep(), clock_.Now() + absl::Minutes(5)) << "it counts from the last use";
  Pass(absl::Minutes(5));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
  EXPECT_EQ(probe_.cleanups, 1);
}

TEST_F(UpdateTest, IdleTimeoutThatHasPassedAlreadyClosesAtOnce) {
  clock_.Advance(absl::Minutes(5));
  ASSERT_THAT(Update({.idle_timeout = absl::Minutes(1)}), IsOk());
  Sweep();
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

TEST_F(UpdateTest, LongerIdleTimeoutTakesEffect) {
  ASSERT_THAT(Update({.idle_timeout = absl::Hours(3)}), IsOk());
  Pass(absl::Hours(2));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
}

TEST_F(UpdateTest, IdleTimeoutOfZeroIsNever) {
  ASSERT_THAT(Update({.idle_timeout = absl::ZeroDuration()}), IsOk());
  Pass(absl::Hours(1000));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
}

TEST_F(UpdateTest, ExpireTimeTakesEffectAndCanBeTakenAway) {
  ASSERT_THAT(Update({.expire_time = clock_.Now() + absl::Minutes(1)}), IsOk());
  ASSERT_THAT(Update({.expire_time = absl::InfiniteFuture()}), IsOk());
  Pass(absl::Minutes(2));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
  ASSERT_THAT(Update({.expire_time = clock_.Now() + absl::Minutes(1)}), IsOk());
  Pass(absl::Minutes(1));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

TEST_F(UpdateTest, NegativeIdleTimeoutIsRefused) {
  EXPECT_THAT(Update({.idle_timeout = absl::Seconds(-1)}), FailsWith(Reason::INVALID_ARGUMENTS));
}

TEST_F(UpdateTest, IsNoStep) {
  ASSERT_THAT(Update({.labels = {{"a", "1"}}}), IsOk());
  EXPECT_EQ(Look().steps, 1u);
}

TEST_F(UpdateTest, OfNoSessionIsNotFound) {
  EXPECT_THAT(UpdateNow(*sessions_, "t", {}), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(UpdateNow(*sessions_, "", {}), FailsWith(Reason::INVALID_SESSION_ID));
}

TEST_F(UpdateTest, OfAFinishedSessionChangesItsLabels) {
  ASSERT_THAT(Close(), IsOk());
  ASSERT_THAT(Update({.labels = {{"a", "1"}}}), IsOk());
  Pass(absl::Minutes(5));
  EXPECT_FALSE(Exists()) << "its retention is as it was";
}

}  // namespace
}  // namespace corod
