// The same request from many threads at once happens once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <string>
#include <vector>

#include "tests/concurrency/concurrency_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

class DuplicatesTest : public ConcurrencyTest {
 protected:
  // What kThreads threads were answered that did the same thing at once, `rounds` times over.
  template <typename Answer>
  std::vector<std::vector<Answer>> AtOnce(int rounds, const std::function<Answer(CallGroup&, int)>& act) {
    std::vector<std::vector<Answer>> answers(rounds, std::vector<Answer>(kThreads, absl::UnknownError("")));
    std::barrier together(kThreads);
    OnThreads([&](int thread) {
      for (int round = 0; round < rounds; ++round) {
        together.arrive_and_wait();
        CallGroup batch(*sessions_);
        answers[round][thread] = act(batch, round);
      }
    });
    return answers;
  }
  static absl::StatusOr<Reply> Do(CallGroup& batch, Call& call) {
    batch.Submit(call);
    batch.Wait();
    return call.answer();
  }
  template <typename Answer>
  static int CountFresh(const std::vector<Answer>& answers) {
    int fresh = 0;
    for (const Answer& answer : answers) {
      EXPECT_TRUE(answer.ok()) << answer.status();
      if (answer.ok() && !answer->replayed) ++fresh;
    }
    return fresh;
  }
};

TEST_F(DuplicatesTest, OfASendAreOneStepWithEqualReplies) {
  Prime("counter", "s");
  const auto rounds = AtOnce<absl::StatusOr<Reply>>(300, [](CallGroup& batch, int round) {
    return Do(batch, batch.New(Operation::kSend).Id(std::to_string(round)));
  });
  for (std::size_t round = 0; round < rounds.size(); ++round) {
    ASSERT_EQ(CountFresh(rounds[round]), 1);
    for (const auto& reply : rounds[round]) ASSERT_EQ(reply->outcome, Outcome::Yielded(Value(round + 2)));
  }
}

TEST_F(DuplicatesTest, OfACreateMakeOneSession) {
  const auto rounds = AtOnce<absl::StatusOr<Created>>(100, [](CallGroup& batch, int round) {
    CreateSpec spec = PrimedSpec("counter", "");
    spec.request_id = std::to_string(round);
    const absl::StatusOr<Created>& created = batch.Create(spec);
    batch.Wait();
    return created;
  });
  for (const auto& round : rounds) {
    ASSERT_EQ(CountFresh(round), 1);
    for (const auto& created : round) {
      ASSERT_EQ(created->session, round[0]->session);
      ASSERT_EQ(created->primed->outcome, Outcome::Yielded(1));
    }
  }
  EXPECT_EQ(sessions_->size(), 100u);
}

TEST_F(DuplicatesTest, OfACreateWithoutRequestIdMakeOneAndTheOthersFail) {
  const auto rounds = AtOnce<absl::StatusOr<Created>>(100, [](CallGroup& batch, int round) {
    const absl::StatusOr<Created>& created = batch.Create(PrimedSpec("counter", "s" + std::to_string(round)));
    batch.Wait();
    return created;
  });
  for (const auto& round : rounds) {
    int made = 0;
    for (const auto& created : round) {
      if (created.ok()) ++made;
      if (!created.ok()) ASSERT_TRUE(IsFailure(created.status(), Reason::SESSION_EXISTS)) << created.status();
    }
    ASSERT_EQ(made, 1);
  }
}

TEST_F(DuplicatesTest, OfADeleteCloseOnceWithEqualReplies) {
  for (int i = 0; i < 100; ++i) Prime("last_words", "s" + std::to_string(i));
  const auto rounds = AtOnce<absl::StatusOr<Reply>>(100, [](CallGroup& batch, int round) {
    return Do(batch, batch.New(Operation::kDelete).To("s" + std::to_string(round)).Id("r"));
  });
  for (const auto& round : rounds) {
    ASSERT_EQ(CountFresh(round), 1);
    for (const auto& reply : round) ASSERT_THAT(reply, Returns("bye"));
  }
  EXPECT_EQ(sessions_->size(), 0u);
}

TEST_F(DuplicatesTest, OfAReplaceFinishedMakeOneNewLife) {
  for (int i = 0; i < 50; ++i) Prime("raises_at_once", "s" + std::to_string(i));
  const auto rounds = AtOnce<absl::StatusOr<Created>>(50, [](CallGroup& batch, int round) {
    CreateSpec spec = PrimedSpec("counter", "s" + std::to_string(round));
    spec.if_exists = IfExists::kReplaceFinished;
    spec.request_id = "r";
    const absl::StatusOr<Created>& created = batch.Create(spec);
    batch.Wait();
    return created;
  });
  for (const auto& round : rounds) ASSERT_EQ(CountFresh(round), 1);
  EXPECT_EQ(sessions_->size(), 50u);
}

}  // namespace
}  // namespace corod
