// Sleep and wake: a durable session leaves memory and comes back from its log as if nothing had been.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "server/coroutine/errors.h"
#include "tests/unit/session/durable_test_base.h"

namespace corod {
namespace {

using testing::AllOf;

class WakeTest : public DurableTest {};

TEST_F(WakeTest, SessionThatNobodyUsesLeavesMemoryAndComesBack) {
  Prime("counter");
  Pass(options_.durability.passivate_after - absl::Milliseconds(1));
  EXPECT_TRUE(Exists());
  Pass(absl::Milliseconds(1));
  EXPECT_FALSE(Exists());
  EXPECT_EQ(sessions_->live(), 0u);
  EXPECT_EQ(sessions_->size(), 1u);
  EXPECT_EQ(LiveFrames().frames, 0u);
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
  EXPECT_TRUE(Exists());
}

TEST_F(WakeTest, WhileTooMuchWaitsNobodyIsWokenButToEnd) {
  Prime("counter");
  Sleep();
  executor_.SetLongestWait(absl::Seconds(2));
  EXPECT_THAT(Send(), FailsWith(Reason::OVERLOADED));
  EXPECT_FALSE(Exists());
  EXPECT_THAT(Close(), IsStep(2));
  EXPECT_THAT(Delete(), IsOk());
}

TEST_F(WakeTest, OneReplayHoweverManyWait) {
  Prime("tallying");
  for (int i = 0; i < 9; ++i) ASSERT_THAT(Send(), IsOk());
  CrashAndRestart();
  probe_.tallied = 0;
  std::vector<Call*> calls;
  for (int i = 0; i < 50; ++i) calls.push_back(&Submit(Sending()));
  RunAll();
  EXPECT_EQ(probe_.tallied, 60);
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(calls[static_cast<std::size_t>(i)]->answer(), AllOf(IsStep(11 + i), Yields(11 + i)));
  }
}

TEST_F(WakeTest, PageOfAListReadsItsPageAlone) {
  for (int i = 0; i < 400; ++i) Prime("counter", "s" + std::to_string(1'000 + i));
  Sleep();
  constexpr std::size_t kPage = 10;
  std::string token;
  for (int page = 0; page < 3; ++page) {
    const std::size_t before = durable_journal_.listed();
    std::vector<std::string> ids;
    const absl::StatusOr<std::string> next = ListNow(
        *sessions_, {.page_token = token, .page_size = kPage},
        [&ids](const SessionInfo& info) {
          if (ids.size() == kPage) return false;
          ids.push_back(info.key.id);
          return true;
        },
        [this] { RunAll(); });
    ASSERT_THAT(next, IsOk());
    EXPECT_EQ(ids.size(), kPage);
    EXPECT_EQ(ids.front(), "s" + std::to_string(1'000 + page * 10));
    EXPECT_LE(durable_journal_.listed() - before, kPage + 1);
    token = *next;
  }
  EXPECT_EQ(sessions_->live(), 0u);
}

TEST_F(WakeTest, UnknownAndBadIdsAreRefused) {
  EXPECT_THAT(Do(Sending().To("none")), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(Do(Deleting().To("none").Id("d")), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(Do(Sending().To("a b")), FailsWith(Reason::INVALID_SESSION_ID));
  EXPECT_THAT(Get("none"), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(Get("a b"), FailsWith(Reason::INVALID_SESSION_ID));
  EXPECT_THAT(Update({}, "none"), FailsWith(Reason::SESSION_NOT_FOUND));
  EXPECT_THAT(Do(Sending().To("none").Cancel()), FailsWithCode(absl::StatusCode::kCancelled));
}

TEST_F(WakeTest, WhatTheServerLacksIsLeftUntouched) {
  Prime("echo");
  Crash();
  const Catalog empty;
  {
    Sessions lacking(options_, empty, clock_, executor_, random_, durable_journal_);
    Call call(Operation::kSend);
    lacking.Submit("s", &call);
    RunAll();
    EXPECT_THAT(call.answer(), FailsWith(Reason::VERSION_UNAVAILABLE));
    Call deletes(Operation::kDelete);
    lacking.Submit("s", &deletes);
    RunAll();
    EXPECT_THAT(deletes.answer(), FailsWith(Reason::VERSION_UNAVAILABLE));
    const absl::StatusOr<SessionInfo> info = GetNow(lacking, "s", {}, [this] { RunAll(); });
    ASSERT_THAT(info, IsOk());
    EXPECT_EQ(info->coroutine, "echo");
    EXPECT_EQ(info->definition, nullptr);
  }
  Restart();
  EXPECT_THAT(Send("a"), AllOf(IsStep(2), Yields("a")));
}

TEST_F(WakeTest, WhileTheJournalCannotBeReadCommandsFailThenItWorks) {
  Prime("counter");
  CrashAndRestart();
  durable_journal_.FailReads(true);
  EXPECT_TRUE(IsFailure(Send().status(), Reason::JOURNAL_UNAVAILABLE));
  EXPECT_TRUE(IsFailure(Get().status(), Reason::JOURNAL_UNAVAILABLE));
  EXPECT_TRUE(IsFailure(Fork(Forking()).status(), Reason::JOURNAL_UNAVAILABLE));
  EXPECT_TRUE(IsFailure(Export().status(), Reason::JOURNAL_UNAVAILABLE));
  EXPECT_TRUE(IsFailure(StartWatch(1).status(), Reason::JOURNAL_UNAVAILABLE));
  EXPECT_TRUE(IsFailure(Create(Spec("counter")).status(), Reason::JOURNAL_UNAVAILABLE));
  durable_journal_.FailReads(false);
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
}

TEST_F(WakeTest, GetAndListDoNotWake) {
  Prime("counter");
  ASSERT_THAT(Send(), IsOk());
  for (const bool crashed : {false, true}) {
    if (crashed) {
      ASSERT_THAT(Send(), IsOk());
      CrashAndRestart();
    } else {
      Sleep();
    }
    const SessionInfo info = LookAt();
    EXPECT_EQ(info.steps, crashed ? 3u : 2u);
    EXPECT_EQ(info.state, CoroutineState::kSuspended);
    EXPECT_FALSE(info.live);
    const std::vector<SessionInfo> all = ListAll();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].steps, info.steps);
    EXPECT_EQ(all[0].last_outcome, info.last_outcome);
    EXPECT_EQ(sessions_->live(), 0u);
  }
}

TEST_F(WakeTest, ListShowsWhatSleepsAndWhatLivesInOneOrder) {
  for (int i = 0; i < 700; ++i) Make(i % 3 ? "echo" : "counter", "s" + std::to_string(1000 + i));
  Sleep();
  for (int i = 0; i < 700; i += 2) ASSERT_THAT(Do(Sending().To("s" + std::to_string(1000 + i))), IsOk());
  const std::vector<SessionInfo> all = ListAll();
  ASSERT_EQ(all.size(), 700u);
  for (int i = 0; i < 700; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)].key.id, "s" + std::to_string(1000 + i));
  EXPECT_EQ(ListAll({.state = CoroutineState::kCreated}).size(), 350u);
  EXPECT_EQ(ListAll({.coroutine = "counter"}).size(), 234u);
}

TEST_F(WakeTest, UpdateOutlivesSleepAndCrash) {
  Prime("counter");
  Session::Changes changes;
  changes.labels = {{"k", "v"}};
  changes.idle_timeout = absl::Hours(5);
  Sleep();
  ASSERT_THAT(Update(changes), IsOk());
  CrashAndRestart();
  EXPECT_EQ(LookAt().labels, changes.labels);
  EXPECT_EQ(LookAt().idle_timeout, absl::Hours(5));
  ASSERT_THAT(Send(), IsStep(2));
  EXPECT_EQ(LookAt().labels, changes.labels);
}

TEST_F(WakeTest, CommandThatComesWhileItFallsAsleepKeepsItAwake) {
  Prime("counter");
  durable_journal_.HoldAnswers();
  Sleep();
  EXPECT_TRUE(Exists());
  const Call& call = Submit(Sending());
  durable_journal_.GiveAnswers();
  RunAll();
  EXPECT_THAT(call.answer(), AllOf(IsStep(2), Yields(2)));
  EXPECT_TRUE(Exists());
}

TEST_F(WakeTest, SessionThatCannotBeSavedStaysAwake) {
  Prime("counter");
  durable_journal_.FailSaves(true);
  Sleep();
  EXPECT_TRUE(Exists());
  durable_journal_.FailSaves(false);
  EXPECT_THAT(Send(), AllOf(IsStep(2), Yields(2)));
  Sleep();
  EXPECT_FALSE(Exists());
}

TEST_F(WakeTest, DropsRunNoCleanup) {
  Prime("counted");
  for (int i = 0; i < 100; ++i) {
    if (i % 2) {
      Sleep();
    } else {
      CrashAndRestart();
    }
    ASSERT_THAT(Send(i), AllOf(IsStep(i + 2), Yields(i)));
  }
  EXPECT_EQ(probe_.cleanups, 0);
  ASSERT_THAT(Close(), IsStep(102));
  EXPECT_EQ(probe_.cleanups, 1);
}

TEST_F(WakeTest, DrainPutsDurableSessionsToSleepAndClosesNone) {
  Prime("counted");
  for (int i = 0; i < 10; ++i) Prime("counter", "c" + std::to_string(i));
  int done = 0;
  const Call& last = Submit(Sending("last"));
  sessions_->Drain([&done] { ++done; });
  RunAll();
  EXPECT_EQ(done, 1);
  EXPECT_TRUE(last.answered());
  EXPECT_EQ(sessions_->live(), 0u);
  EXPECT_EQ(probe_.cleanups, 0);
  CrashAndRestart();
  EXPECT_EQ(LookAt().state, CoroutineState::kSuspended);
  EXPECT_THAT(Do(Sending().To("c3")), AllOf(IsStep(2), Yields(2)));
}

TEST_F(WakeTest, WhatWasUsedLongestAgoMakesRoom) {
  options_.durability.max_live_sessions = 3;
  Restart();
  for (const char* id : {"a", "b", "c"}) {
    Prime("counter", id);
    clock_.Advance(absl::Seconds(1));
  }
  ASSERT_THAT(Do(Sending().To("a")), IsStep(2));
  clock_.Advance(absl::Seconds(1));
  Prime("counter", "d");
  EXPECT_EQ(sessions_->live(), 3u);
  EXPECT_TRUE(Exists("a"));
  EXPECT_FALSE(Exists("b"));
  EXPECT_TRUE(Exists("c"));
  EXPECT_TRUE(Exists("d"));
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Do(Sending().To("b")), AllOf(IsStep(2), Yields(2)));
  EXPECT_FALSE(Exists("c"));
  EXPECT_EQ(sessions_->live(), 3u);
}

TEST_F(WakeTest, MoreSessionsThanFitInMemoryAllWork) {
  options_.durability.max_live_sessions = 10;
  Restart();
  for (int i = 0; i < 100; ++i) Prime("counter", "s" + std::to_string(i));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 100; ++i) {
      ASSERT_THAT(Do(Sending().To("s" + std::to_string(i))), AllOf(IsStep(round + 2), Yields(round + 2)));
      ASSERT_LE(sessions_->live(), 10u);
    }
  }
}

// Each body, with random commands: one that leaves memory between any two steps is as one that never does.

struct Body {
  const char* name;
  Map arguments;
  std::vector<Value> sends;
};

std::vector<Body> Bodies() {
  const std::vector<Value> numbers{1, 2.5, -3, true, 0, 1e6};
  const std::vector<Value> any{Value(), 1, "two", List{3}, Map{{"four", 4}}};
  const std::vector<Value> text{"a,b\n", "\"x\"\n", "{\"k\": 1}\n", "[1, 2", "]\n", "\n", "part", Value(), "7\r\n"};
  return {
      {"averager", {}, numbers},
      {"csv_parser", {{"header", true}}, {"a,b\n", "1,2\n3", ",4\n", "\"q\"", ",5\n", ""}},
      {"json_lines", {}, {"{\"k\": 1}\n", "[1, 2", "]\n", "7", "\n", ""}},
      {"line_splitter", {{"keep_ends", true}}, text},
      {"rolling_stats", {{"window", 3}}, numbers},
      {"sliding_window", {{"size", 2}}, any},
      {"smtp_receiver",
       {},
       {"EHLO me", "MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA", "Subject: x", "", "text", ".", "RSET", "NOOP",
        "huh"}},
      {"token_counter", {}, {"a", "b", "c"}},
      {"echo", {}, any},
      {"counter", {}, any},
      {"obedient", {}, {Order("yield", 1), Order("yield", "x"), Order("yield", List{1, 2})}},
      {"raises_at_once", {}, any},
      {"returns_at_once", {{"value", 5}}, any},
      {"stubborn", {{"times", 3}}, any},
      {"last_words", {}, any},
      {"failing_cleanup", {}, any},
      {"counted", {}, any},
      {"stubborn_counted", {}, any},
      {"tallying", {}, any},
      {"changes_error", {}, any},
      {"raises_argument", {{"error", py::ValueError("e")}}, any},
      {"dicing", {}, any},
      {"versioned", {}, any},
  };
}

// Always the same number.
class FixedRandom : public Random {
 public:
  explicit FixedRandom(std::uint64_t number) : number_(number) {}
  std::uint64_t Next() override { return number_; }

 private:
  const std::uint64_t number_;
};

class TwinTest : public DurableTest, public testing::WithParamInterface<std::size_t> {};

TEST_P(TwinTest, DropsBetweenStepsChangeNothing) {
  const Body body = Bodies()[GetParam()];
  options_.durability.checkpoint_every = 3;
  options_.retention = absl::Hours(1'000);
  MemoryJournal none(executor_);
  for (unsigned seed = 0; seed < 6; ++seed) {
    CrashAndRestart();
    std::mt19937 random(seed);
    Sessions::Options ephemeral = options_;
    ephemeral.idle_timeout = absl::InfiniteDuration();
    CreateSpec spec = Spec(body.name);
    spec.arguments = body.arguments;
    spec.if_exists = IfExists::kReplaceFinished;
    spec.session_id = "s" + std::to_string(seed);
    Make(spec);
    FixedRandom same_seed(Stored(spec.session_id).head.seed);
    Sessions twins(ephemeral, catalog_, clock_, executor_, same_seed, none);
    twins.Create(spec, [](const absl::StatusOr<Created>& made) { ASSERT_THAT(made, IsOk()); });
    RunAll();
    for (int i = 0; i < 60; ++i) {
      clock_.Advance(absl::Milliseconds(1));
      if (seed == 0 || random() % 3 == 0) {
        if (random() % 2) {
          Sleep();
        } else {
          CrashAndRestart();
        }
      }
      const unsigned die = random() % 30;
      const Value value = i == 0 ? Value() : body.sends[random() % body.sends.size()];
      const bool throws = die == 0 && i > 5;
      const bool closes = die == 1 && i > 20;
      const Operation operation = throws ? Operation::kThrow : closes ? Operation::kClose : Operation::kSend;
      const auto with = [&] { return throws ? Value(py::ValueError("thrown")) : closes ? Value() : value; };
      Call ours(operation, with());
      Call theirs(operation, with());
      sessions_->Submit(spec.session_id, &ours);
      RunAll();
      twins.Submit(spec.session_id, &theirs);
      RunAll();
      ASSERT_TRUE(ours.answered() && theirs.answered());
      ASSERT_EQ(Describe(ours.answer()), Describe(theirs.answer())) << body.name << " " << i;
      ASSERT_THAT(ours.answer(), IsOk());
      ASSERT_EQ(ours.answer()->outcome, theirs.answer()->outcome) << body.name << " " << i;
      const SessionInfo info = LookAt(spec.session_id);
      const SessionInfo twin = GetNow(twins, spec.session_id).value();
      ASSERT_EQ(info.state, twin.state);
      ASSERT_EQ(info.steps, twin.steps);
      ASSERT_EQ(info.last_outcome, twin.last_outcome);
      ASSERT_FALSE(info.problem);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Bodies, TwinTest, testing::Range(std::size_t{0}, Bodies().size()),
                         [](const auto& info) { return std::string(Bodies()[info.param].name); });

}  // namespace
}  // namespace corod
