// Create: what it checks, its idempotency, what it does with an id that is taken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "server/coroutine/errors.h"
#include "server/coroutine/map.h"
#include "tests/unit/session/sessions_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

class CreateTest : public SessionsTest {
 protected:
  static CreateSpec WithId(CreateSpec spec, const std::string& request_id) {
    spec.request_id = request_id;
    return spec;
  }
  static CreateSpec IfTaken(CreateSpec spec, IfExists what) {
    spec.if_exists = what;
    return spec;
  }
  // Primed with this deadline; waits for RunAll.
  std::optional<absl::StatusOr<Created>>& Submit(const CreateSpec& spec) {
    auto& answer = *answers_.emplace_back(std::make_unique<std::optional<absl::StatusOr<Created>>>());
    sessions_->Create(spec, [&answer](absl::StatusOr<Created> created) { answer = std::move(created); });
    return answer;
  }

 private:
  std::vector<std::unique_ptr<std::optional<absl::StatusOr<Created>>>> answers_;
};

TEST_F(CreateTest, WithoutPrimeRunsNoCode) {
  probe_.during = [] { FAIL() << "ran"; };
  const absl::StatusOr<Created> created = Create(Spec("probing"));
  ASSERT_THAT(created, IsOk());
  EXPECT_FALSE(created->primed.has_value());
  EXPECT_EQ(StateOf(), CoroutineState::kCreated);
  EXPECT_EQ(Look().steps, 0u);
}

TEST_F(CreateTest, WithPrimeIsStepOne) {
  const absl::StatusOr<Created> created = Create(PrimedSpec("counter"));
  ASSERT_THAT(created, IsOk());
  EXPECT_THAT(absl::StatusOr<Reply>(*created->primed), AllOf(IsStep(1), Yields(1)));
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
}

TEST_F(CreateTest, PrimeOfABodyThatRaisesIsAnOutcome) {
  const absl::StatusOr<Created> created = Create(PrimedSpec("raises_at_once"));
  ASSERT_THAT(created, IsOk());
  EXPECT_THAT(absl::StatusOr<Reply>(*created->primed), Raises("ValueError", "at once"));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
  EXPECT_THAT(Send(), Returns(Value()));
}

TEST_F(CreateTest, WithoutIdMakesAValidOne) {
  const absl::StatusOr<Created> first = Create(Spec("echo", ""));
  const absl::StatusOr<Created> second = Create(Spec("echo", ""));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->session->id(), second->session->id());
  EXPECT_THAT(Do(Sending().To(first->session->id())), Yields(Value()));
}

TEST_F(CreateTest, ArgumentsReachTheBodyAndAreShown) {
  CreateSpec spec = PrimedSpec("returns_at_once");
  spec.arguments["value"] = 7;
  EXPECT_THAT(absl::StatusOr<Reply>(*Create(spec)->primed), Returns(7));
  EXPECT_THAT(Look().arguments, testing::ElementsAre(Value(7)));
}

TEST_F(CreateTest, MissingArgumentNamesTheParameter) {
  const absl::StatusOr<Created> created = Create(Spec("stubborn"));
  EXPECT_THAT(created, FailsWith(Reason::INVALID_ARGUMENTS));
  EXPECT_EQ(DetailsOf(created.status()).metadata["parameter"], "times");
  EXPECT_FALSE(Exists());
}

TEST_F(CreateTest, UnknownCoroutineIsNotFound) {
  EXPECT_THAT(Create(Spec("nothing")), FailsWith(Reason::COROUTINE_NOT_FOUND));
}

TEST_F(CreateTest, VersionIsTheNewestUnlessItIsNamed) {
  EXPECT_EQ(Create(PrimedSpec("versioned", "new"))->primed->outcome, Outcome::Yielded(2));
  CreateSpec old = PrimedSpec("versioned", "old");
  old.version = 1;
  EXPECT_EQ(Create(old)->primed->outcome, Outcome::Yielded(1));
}

TEST_F(CreateTest, VersionThatIsMissingIsUnavailable) {
  CreateSpec spec = Spec("versioned");
  spec.version = 3;
  EXPECT_THAT(Create(spec), FailsWith(Reason::VERSION_UNAVAILABLE));
}

TEST_F(CreateTest, DurableIsRefusedWithoutADurableJournal) {
  CreateSpec spec = Spec("echo");
  spec.durability = Durability::kDurable;
  EXPECT_THAT(Create(spec), FailsWith(Reason::DURABILITY_UNAVAILABLE));
  spec.durability = Durability::kEphemeral;
  EXPECT_THAT(Create(spec), IsOk());
}

TEST_F(CreateTest, InvalidSessionIdIsRefused) {
  EXPECT_THAT(Create(Spec("echo", "-")), FailsWith(Reason::INVALID_SESSION_ID));
}

TEST_F(CreateTest, NegativeIdleTimeoutIsRefused) {
  CreateSpec spec = Spec("echo");
  spec.idle_timeout = absl::Seconds(-1);
  EXPECT_THAT(Create(spec), FailsWith(Reason::INVALID_ARGUMENTS));
}

TEST_F(CreateTest, MoreThan64LabelsAreRefused) {
  CreateSpec spec = Spec("echo");
  for (int i = 0; i < 64; ++i) spec.labels[std::to_string(i)] = "x";
  EXPECT_THAT(Create(spec), IsOk());
  spec.session_id = "t";
  spec.labels["one more"] = "x";
  EXPECT_THAT(Create(spec), FailsWith(Reason::INVALID_ARGUMENTS));
}

TEST_F(CreateTest, LabelThatIsTooLongIsRefused) {
  CreateSpec spec = Spec("echo");
  spec.labels["name"] = std::string(1025, 'x');
  EXPECT_THAT(Create(spec), FailsWith(Reason::INVALID_ARGUMENTS));
  spec.labels = {{std::string(257, 'x'), "value"}};
  EXPECT_THAT(Create(spec), FailsWith(Reason::INVALID_ARGUMENTS));
  spec.labels = {{std::string(256, 'x'), std::string(1024, 'x')}};
  EXPECT_THAT(Create(spec), IsOk());
}

TEST_F(CreateTest, ExceptionAsArgumentStaysAsItWasGiven) {
  CreateSpec spec = PrimedSpec("raises_argument");
  spec.arguments["error"] = Value(py::KeyError("k"));
  Make(spec);
  EXPECT_THAT(Throw(py::ValueError("thrown")), Raises("ValueError", "thrown"));
  spec.session_id = "t";
  Make(spec);
  const absl::StatusOr<Reply> raised = Do(Sending().To("t"));
  ASSERT_THAT(raised, Raises("KeyError", "'k'"));
  const Exception shown = Look("t").arguments.front().AsException();
  EXPECT_FALSE(shown.Is(raised->outcome->exception()));
  EXPECT_FALSE(shown.Is(spec.arguments.begin()->value.AsException()));
}

// Idempotency.

TEST_F(CreateTest, RepeatedWithItsRequestIdFindsTheSessionItMade) {
  const CreateSpec spec = WithId(PrimedSpec("counter", ""), "r");
  const absl::StatusOr<Created> first = Create(spec);
  const absl::StatusOr<Created> second = Create(spec);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_FALSE(first->replayed);
  EXPECT_TRUE(second->replayed);
  EXPECT_EQ(first->session, second->session);
  EXPECT_THAT(absl::StatusOr<Reply>(*second->primed), AllOf(RepeatsStep(1), Yields(1)));
  EXPECT_EQ(sessions_->size(), 1u);
}

TEST_F(CreateTest, RepeatedWithoutPrimeRunsNoCode) {
  const CreateSpec spec = WithId(Spec("counter"), "r");
  Make(spec);
  const absl::StatusOr<Created> again = Create(spec);
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(again->replayed);
  EXPECT_FALSE(again->existed);
  EXPECT_FALSE(again->primed.has_value());
  EXPECT_EQ(StateOf(), CoroutineState::kCreated);
}

TEST_F(CreateTest, RepeatedAfterTheSessionFinishedAnswersAsBefore) {
  const CreateSpec spec = WithId(PrimedSpec("counter"), "r");
  Make(spec);
  ASSERT_THAT(Close(), Returns(Value()));
  const absl::StatusOr<Created> again = Create(spec);
  ASSERT_THAT(again, IsOk());
  EXPECT_THAT(absl::StatusOr<Reply>(*again->primed), AllOf(RepeatsStep(1), Yields(1)));
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

TEST_F(CreateTest, RepeatedWithOtherArgumentsIsRefused) {
  CreateSpec spec = WithId(Spec("stubborn"), "r");
  spec.arguments["times"] = 1;
  Make(spec);
  spec.arguments["times"] = 2;
  EXPECT_THAT(Create(spec), FailsWith(Reason::REQUEST_ID_REUSED));
}

TEST_F(CreateTest, RequestIdOfTheCreateCannotBeASends) {
  Make(WithId(PrimedSpec("echo"), "r"));
  EXPECT_THAT(Do(Sending(1).Id("r")), FailsWith(Reason::REQUEST_ID_REUSED));
}

TEST_F(CreateTest, ConcurrentDuplicatesPrimeOnce) {
  const CreateSpec spec = WithId(PrimedSpec("counter", ""), "r");
  const auto& first = Submit(spec);
  const auto& second = Submit(spec);
  RunAll();
  ASSERT_TRUE(first && first->ok() && second && second->ok());
  EXPECT_FALSE((*first)->replayed);
  EXPECT_TRUE((*second)->replayed);
  EXPECT_EQ((*first)->primed->outcome, (*second)->primed->outcome);
  EXPECT_EQ((*first)->session->Describe().steps, 1u);
}

TEST_F(CreateTest, RepeatedWhileDrainingIsAnsweredAsBefore) {
  const CreateSpec spec = WithId(PrimedSpec("counter"), "r");
  Make(spec);
  sessions_->Drain([] {});
  EXPECT_THAT(Create(spec), IsOk());
  EXPECT_THAT(Create(PrimedSpec("counter", "t")), FailsWith(Reason::DRAINING));
}

TEST_F(CreateTest, WhoseDeadlinePassesBeforeItIsPrimedLeavesNoSession) {
  CreateSpec spec = PrimedSpec("counter");
  spec.deadline = clock_.Now() + absl::Seconds(1);
  const auto& answer = Submit(spec);
  clock_.Advance(absl::Seconds(2));
  RunAll();
  EXPECT_THAT(*answer, FailsWithCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_FALSE(Exists());
  EXPECT_THAT(Create(PrimedSpec("counter")), IsOk());
}

TEST_F(CreateTest, DuplicateOfOneWhoseDeadlinePassedMakesTheSession) {
  CreateSpec spec = WithId(PrimedSpec("counter"), "r");
  spec.deadline = clock_.Now() + absl::Seconds(1);
  const auto& late = Submit(spec);
  spec.deadline = absl::InfiniteFuture();
  const auto& again = Submit(spec);
  clock_.Advance(absl::Seconds(2));
  RunAll();
  EXPECT_THAT(*late, FailsWithCode(absl::StatusCode::kDeadlineExceeded));
  ASSERT_THAT(*again, IsOk());
  EXPECT_FALSE((*again)->replayed);
  EXPECT_THAT(absl::StatusOr<Reply>(*(*again)->primed), Yields(1));
}

// An id that is taken.

TEST_F(CreateTest, TakenIdFails) {
  Make("echo");
  EXPECT_THAT(Create(Spec("echo")), FailsWith(Reason::SESSION_EXISTS));
  EXPECT_THAT(Create(WithId(Spec("echo"), "another")), FailsWith(Reason::SESSION_EXISTS));
}

TEST_F(CreateTest, IfExistsReturnGivesTheSessionUntouched) {
  Prime("counter");
  const absl::StatusOr<Created> found = Create(IfTaken(PrimedSpec("echo"), IfExists::kReturn));
  ASSERT_THAT(found, IsOk());
  EXPECT_TRUE(found->existed);
  EXPECT_FALSE(found->primed.has_value());
  EXPECT_THAT(Send(), Yields(2));
}

TEST_F(CreateTest, IfExistsReturnMakesASessionThatIsMissing) {
  const absl::StatusOr<Created> made = Create(IfTaken(PrimedSpec("counter"), IfExists::kReturn));
  ASSERT_THAT(made, IsOk());
  EXPECT_FALSE(made->existed);
  EXPECT_TRUE(made->primed.has_value());
}

TEST_F(CreateTest, ReplaceFinishedKeepsALiveSession) {
  Prime("counter");
  EXPECT_THAT(Create(IfTaken(Spec("echo"), IfExists::kReplaceFinished)), FailsWith(Reason::SESSION_EXISTS));
  EXPECT_THAT(Send(), Yields(2));
}

TEST_F(CreateTest, ReplaceFinishedGivesTheIdANewLife) {
  Prime("counter");
  ASSERT_THAT(Do(Closing().Id("r")), Returns(Value()));
  const std::string uid = Look().key.uid;
  Make(IfTaken(PrimedSpec("counter"), IfExists::kReplaceFinished));
  EXPECT_NE(Look().key.uid, uid);
  EXPECT_EQ(sessions_->size(), 1u);
  EXPECT_THAT(Do(Closing().Id("r")), IsStep(2)) << "request ids belong to one life";
}

TEST_F(CreateTest, ReplacedSessionIsNotForgottenTwice) {
  Prime("counter");
  ASSERT_THAT(Close(), IsOk());
  Make(IfTaken(PrimedSpec("counter"), IfExists::kReplaceFinished));
  Pass(absl::Minutes(10));  // past the retention of the one that was replaced
  EXPECT_EQ(StateOf(), CoroutineState::kSuspended);
}

TEST_F(CreateTest, ReplaceFinishedRepeatedDoesNotReplaceAgain) {
  const CreateSpec spec = WithId(IfTaken(PrimedSpec("counter"), IfExists::kReplaceFinished), "r");
  Make(spec);
  ASSERT_THAT(Close(), IsOk());
  const absl::StatusOr<Created> again = Create(spec);
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(StateOf(), CoroutineState::kClosed);
}

// Capacity.

TEST_F(CreateTest, BeyondTheLimitIsTooManySessions) {
  Restart({.max_sessions = 2});
  Make("echo", "a");
  Make("echo", "b");
  EXPECT_THAT(Create(PrimedSpec("echo", "c")), FailsWith(Reason::TOO_MANY_SESSIONS));
  EXPECT_EQ(sessions_->size(), 2u);
}

TEST_F(CreateTest, CapacityComesBackWithDeleteAndRetention) {
  Restart({.max_sessions = 1});
  Make("echo", "a");
  ASSERT_THAT(Do(Deleting().To("a")), IsOk());
  Make("echo", "b");
  ASSERT_THAT(Do(Closing().To("b")), IsOk());
  EXPECT_THAT(Create(Spec("echo", "c")), FailsWith(Reason::TOO_MANY_SESSIONS)) << "finished sessions count";
  Pass(absl::Minutes(6));
  EXPECT_THAT(Create(Spec("echo", "c")), IsOk());
}

TEST_F(CreateTest, ReplaceFinishedNeedsNoFreeCapacity) {
  Restart({.max_sessions = 1});
  Make("echo");
  ASSERT_THAT(Close(), IsOk());
  EXPECT_THAT(Create(IfTaken(Spec("echo"), IfExists::kReplaceFinished)), IsOk());
}

}  // namespace
}  // namespace corod
