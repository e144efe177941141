// Fork: a new session that stands where another one stood.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/coroutine/errors.h"
#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

class ForkTest : public DurableTest {};

TEST_F(ForkTest, AtEachStepItGoesOnAsTheOriginalDid) {
  options_.durability.checkpoint_every = 4;
  Restart();
  for (const char* coroutine : {"averager", "counter"}) {
    CreateSpec spec = PrimedSpec(coroutine, coroutine);
    Make(spec);
    std::vector<Outcome> outcomes(2);
    for (int i = 2; i <= 20; ++i) {
      const absl::StatusOr<Reply> reply = Do(Sending(i).To(coroutine));
      ASSERT_THAT(reply, IsStep(i));
      outcomes.push_back(*reply->outcome);
    }
    for (int at = 1; at <= 20; ++at) {
      const std::string to = coroutine + std::to_string(at);
      const absl::StatusOr<SessionInfo> fork = Fork(Forking(at, to, coroutine));
      ASSERT_THAT(fork, IsOk());
      EXPECT_EQ(fork->steps, static_cast<Step>(at));
      if (at % 2) CrashAndRestart();
      for (int i = at + 1; i <= 20; ++i) {
        const absl::StatusOr<Reply> reply = Do(Sending(i).To(to));
        ASSERT_THAT(reply, IsStep(i));
        ASSERT_EQ(*reply->outcome, outcomes[static_cast<std::size_t>(i)]) << at;
      }
    }
    EXPECT_EQ(LookAt(coroutine).steps, 20u);
    EXPECT_THAT(Fork(Forking(21, "none", coroutine)), FailsWith(Reason::INVALID_ARGUMENTS));
  }
}

TEST_F(ForkTest, KnowsNoRequestIds) {
  Prime("counter");
  ASSERT_THAT(Do(Sending().Id("r")), IsStep(2));
  ASSERT_THAT(Fork(Forking()), IsOk());
  EXPECT_THAT(Do(Sending().To("f").Id("r")), AllOf(IsStep(3), Yields(3)));
  EXPECT_THAT(Do(Sending().Id("r")), RepeatsStep(2));
}

TEST_F(ForkTest, SentAgainItFindsWhatItMade) {
  Prime("counter");
  ForkSpec spec = Forking(1);
  spec.request_id = "q";
  const absl::StatusOr<SessionInfo> first = Fork(spec);
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(Delete(), IsOk());
  CrashAndRestart();
  const absl::StatusOr<SessionInfo> again = Fork(spec);
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->key, first->key);
  spec.at_step = 0;
  EXPECT_THAT(Fork(spec), FailsWith(Reason::REQUEST_ID_REUSED));
  spec.request_id = "other";
  EXPECT_THAT(Fork(spec), FailsWith(Reason::SESSION_EXISTS));
}

TEST_F(ForkTest, OfAFinishedSession) {
  Prime("last_words");
  ASSERT_THAT(Close(), Returns("bye"));
  ASSERT_THAT(Fork(Forking()), IsOk());
  ASSERT_THAT(Fork(Forking(1, "g")), IsOk());
  EXPECT_EQ(LookAt("f").state, CoroutineState::kClosed);
  EXPECT_THAT(Do(Closing().To("g")), AllOf(IsStep(2), Returns("bye")));
}

TEST_F(ForkTest, EphemeralAndUnknownSessionsAreRefused) {
  CreateSpec spec = PrimedSpec("counter");
  spec.durability = Durability::kEphemeral;
  Make(spec);
  EXPECT_THAT(Fork(Forking()), FailsWith(Reason::NOT_DURABLE));
  EXPECT_THAT(Fork(Forking({}, "f", "none")), FailsWith(Reason::SESSION_NOT_FOUND));
}

}  // namespace
}  // namespace corod
