// What a session is built of: ids, the window of replies, known ids, the table, timers, pace, remembered deletions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/session/deleted_sessions.h"
#include "server/session/known_ids.h"
#include "server/session/pace.h"
#include "server/session/reply_window.h"
#include "server/session/session_id.h"
#include "server/session/session_table.h"
#include "server/session/timer_index.h"
#include "tests/unit/session/sessions_test_base.h"

namespace corod {
namespace {

// Session ids.

TEST(SessionIdTest, WhatMayNameASessionIsAccepted) {
  for (const std::string& id : {std::string("a"), std::string("0"), std::string("A-b_c:d.e9"), std::string("a.b.c"),
                                std::string("a--b"), std::string("a:_:b"), std::string(128, 'x')}) {
    EXPECT_THAT(CheckSessionId(id), IsOk()) << id;
  }
}

TEST(SessionIdTest, WhatMayNotIsRefused) {
  for (const std::string& id :
       {std::string(), std::string(129, 'x'), std::string("-a"), std::string("a-"), std::string(".a"),
        std::string("a."), std::string("_"), std::string("a..b"), std::string("a b"), std::string("a/b"),
        std::string("a\n"), std::string("\xc3\xa4"), std::string("a\0b", 3), std::string("a~")}) {
    EXPECT_THAT(CheckSessionId(id), FailsWith(Reason::INVALID_SESSION_ID)) << id;
  }
}

// The window of replies.

class ReplyWindowTest : public testing::Test {
 protected:
  void Remember(const std::string& id, std::size_t bytes) { window_.Remember(id, 0, ReplyOf(bytes), kLimits); }
  void RememberCreate(std::size_t bytes) { window_.RememberCreate(0, ReplyOf(bytes), kLimits); }
  // A reply that takes so many bytes; not 1.
  Reply ReplyOf(std::size_t bytes) {
    return {++step_, Outcome::Yielded(bytes == 0 ? Value() : Value(std::string(bytes - 2, 'x'))), false};
  }
  // 'a': answered, 'f': known and its answer forgotten, '-': not known.
  char KnownAs(const std::string& id) const {
    const std::optional<ReplyWindow::Known> known = window_.Find(id);
    return !known ? '-' : known->forgotten ? 'f' : 'a';
  }
  std::string Of(const std::vector<std::string>& ids) const {
    std::string all;
    for (const std::string& id : ids) all += KnownAs(id);
    return all;
  }

  static constexpr ReplyWindow::Limits kLimits{.ids = 3, .bytes = 100};
  ReplyWindow window_{"create"};
  Step step_ = 0;
};

TEST_F(ReplyWindowTest, KeepsTheNewestIds) {
  for (const char* id : {"a", "b", "c", "d"}) Remember(id, 2);
  EXPECT_EQ(Of({"a", "b", "c", "d"}), "-aaa");
  EXPECT_EQ(window_.Find("b")->reply.step, 2u);
}

TEST_F(ReplyWindowTest, KeepsEnoughOfAFingerprint) {
  for (const int bit : {0, 20, 47}) EXPECT_NE(ReplyWindow::Kept(5), ReplyWindow::Kept(5 ^ std::uint64_t{1} << bit));
}

TEST_F(ReplyWindowTest, AnswersAsItWasAnswered) {
  const Reply raised{7, Outcome::Raised(Exception("ValueError", {Value("no")})), false};
  window_.Remember("a", 5, raised, kLimits);
  const std::optional<ReplyWindow::Known> known = window_.Find("a");
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->fingerprint, 5u);
  EXPECT_EQ(known->reply.step, 7u);
  EXPECT_EQ(known->reply.outcome, raised.outcome);
}

TEST_F(ReplyWindowTest, FindsEachOfMany) {
  constexpr ReplyWindow::Limits kMany{.ids = 100, .bytes = 1'000};
  const auto id = [](int i) {
    // Short, a UUID, and longer ones.
    switch (i % 3) {
      case 0:
        return std::to_string(i);
      case 1:
        return "00000000-0000-4000-8000-00000000" + std::to_string(1'000 + i);
      default:
        return "a request id that is rather long " + std::to_string(i);
    }
  };
  for (int i = 0; i < 1'000; ++i) {
    window_.Remember(id(i), static_cast<std::uint64_t>(i), ReplyOf(2), kMany);
    for (const int j : {0, i - 100, i - 99, i - 50, i - 1, i}) {
      const std::optional<ReplyWindow::Known> known = window_.Find(id(j));
      ASSERT_EQ(known.has_value(), j >= 0 && j > i - 100) << i << ' ' << j;
      if (known) ASSERT_EQ(known->fingerprint, static_cast<std::uint64_t>(j));
    }
    ASSERT_FALSE(window_.Find(id(i + 1)).has_value());
  }
}

TEST_F(ReplyWindowTest, ForgetsTheOldestAnswersBeyondItsBytesButNotTheirSteps) {
  for (const char* id : {"a", "b", "c"}) Remember(id, 45);
  EXPECT_EQ(Of({"a", "b", "c"}), "faa");
  EXPECT_EQ(window_.Find("a")->reply.step, 1u);
  EXPECT_FALSE(window_.Find("a")->reply.outcome.has_value());
}

TEST_F(ReplyWindowTest, BytesOfWhatLeftOrWasForgottenAreFree) {
  Remember("a", 60);
  Remember("b", 60);  // forgets a
  Remember("c", 40);
  EXPECT_EQ(Of({"a", "b", "c"}), "faa");
  Remember("d", 0);  // a leaves
  Remember("e", 0);  // b leaves, with its bytes
  Remember("f", 100);
  EXPECT_EQ(Of({"b", "c", "d", "e", "f"}), "--aaa") << "c left, with its bytes";
}

TEST_F(ReplyWindowTest, TheCreatesIdIsKnownForEver) {
  EXPECT_TRUE(window_.IsCreateId("create"));
  EXPECT_EQ(KnownAs("create"), '-') << "not yet answered";
  RememberCreate(10);
  for (int i = 0; i < 10; ++i) Remember(std::to_string(i), 2);
  EXPECT_EQ(Of({"create", "6", "7", "9"}), "a-aa");
}

// What fits into the window itself and what does not answer alike, whatever comes first.
TEST_F(ReplyWindowTest, AnswersAlikeHoweverMuchItHolds) {
  const std::vector<std::optional<Outcome>> outcomes = {
      std::nullopt,
      Outcome::Yielded(Value()),
      Outcome::Yielded(Value(7)),
      Outcome::Returned(Value(std::string(40, 'x'))),
      Outcome::Raised(Exception("ValueError", {Value("no")})),
  };
  constexpr ReplyWindow::Limits kRoomy{.ids = 10, .bytes = 1'000};
  for (const std::optional<Outcome>& created : outcomes) {
    for (const Step create_step : {0, 1, 5}) {
      for (const std::optional<Outcome>& sent : outcomes) {
        for (const Step step : {Step{2}, (Step{1} << 16) - 1, Step{1} << 16, (Step{1} << 48) - 1}) {
          ReplyWindow window("create");
          const Reply create_reply{create_step, created, false};
          const Reply reply{step, sent, false};
          const auto expect = [&](const std::string& id, std::uint64_t fingerprint, const Reply& remembered) {
            const std::optional<ReplyWindow::Known> known = window.Find(id);
            ASSERT_TRUE(known.has_value()) << id;
            EXPECT_EQ(known->fingerprint, ReplyWindow::Kept(fingerprint));
            EXPECT_EQ(known->reply.step, remembered.step);
            EXPECT_EQ(known->reply.outcome, remembered.outcome);
            EXPECT_FALSE(known->forgotten);
          };
          EXPECT_FALSE(window.Find("create").has_value());
          EXPECT_FALSE(window.Find("").has_value());
          constexpr std::uint64_t kCreate = ~std::uint64_t{3};
          window.RememberCreate(kCreate, create_reply, kRoomy);
          expect("create", kCreate, create_reply);
          EXPECT_FALSE(window.Find("").has_value());
          for (std::uint64_t i = 0; i < 3; ++i) {
            window.Remember("id " + std::to_string(i), ~i, reply, kRoomy);
            expect("create", kCreate, create_reply);
            for (std::uint64_t j = 0; j <= i; ++j) expect("id " + std::to_string(j), ~j, reply);
          }
        }
      }
    }
  }
}

TEST_F(ReplyWindowTest, OneThatIsTooLargeIsForgottenAtOnce) {
  Remember("a", 101);
  EXPECT_EQ(Of({"a"}), "f");
  EXPECT_EQ(window_.Find("a")->reply.step, 1u);
  Remember("b", 10);
  EXPECT_EQ(Of({"a", "b"}), "fa");
}

TEST_F(ReplyWindowTest, TheCreatesAnswerIsForgottenFirst) {
  RememberCreate(60);
  Remember("a", 60);
  EXPECT_EQ(Of({"create", "a"}), "fa");
}

TEST_F(ReplyWindowTest, TheCreatesAnswerMayBeTooLargeByItself) {
  RememberCreate(101);
  EXPECT_EQ(Of({"create"}), "f");
}

TEST_F(ReplyWindowTest, CreateWithoutPrimeHasNothingToForget) {
  window_.RememberCreate(0, Reply{}, kLimits);
  Remember("a", 101);
  EXPECT_EQ(Of({"create", "a"}), "af");
}

TEST_F(ReplyWindowTest, WithoutACreateIdNoneIsKnown) {
  const ReplyWindow window("");
  EXPECT_FALSE(window.IsCreateId(""));
  EXPECT_FALSE(window.Find("").has_value());
}

// The request ids of a durable session.

class KnownIdsTest : public testing::Test {
 protected:
  void Remember(const std::string& id, Step step) { ids_.Remember(id, 100 + step, step, kMax); }
  // The step that it stands for; nullopt: it is not known.
  std::optional<Step> StepOf(const std::string& id) const {
    const std::optional<KnownIds::Known> known = ids_.Find(id);
    return known ? std::optional<Step>(known->step) : std::nullopt;
  }
  std::vector<std::string> Listed() const {
    std::vector<std::string> names;
    for (const KnownId& known : ids_.List()) names.push_back(known.request_id + "=" + std::to_string(known.step));
    return names;
  }
  // Short, a UUID, and longer ones.
  static std::string Id(int i) {
    switch (i % 3) {
      case 0:
        return std::to_string(i);
      case 1:
        return "00000000-0000-4000-8000-00000000" + std::to_string(1'000 + i);
      default:
        return "a request id that is rather long " + std::to_string(i);
    }
  }

  static constexpr std::size_t kMax = 3;
  KnownIds ids_;
};

TEST_F(KnownIdsTest, KnowsNothingAtFirst) {
  EXPECT_EQ(StepOf("a"), std::nullopt);
  EXPECT_EQ(StepOf(""), std::nullopt);
  EXPECT_FALSE(ids_.IsCreateId(""));
  EXPECT_THAT(Listed(), testing::IsEmpty());
}

TEST_F(KnownIdsTest, KeepsTheNewest) {
  Remember("", 1);
  const std::vector<std::vector<std::string>> listed = {
      {"a=2"}, {"a=2", "b=3"}, {"a=2", "b=3", "c=4"}, {"b=3", "c=4", "d=5"}};
  for (std::size_t i = 0; i < listed.size(); ++i) {
    Remember(std::string(1, static_cast<char>('a' + i)), 2 + i);
    EXPECT_EQ(Listed(), listed[i]);
  }
  EXPECT_EQ(StepOf("a"), std::nullopt);
  EXPECT_EQ(ids_.Find("b")->fingerprint, 103u);
}

TEST_F(KnownIdsTest, OneThatIsKnownStaysAsItIs) {
  for (const char* id : {"a", "b", "a", "b"}) Remember(id, StepOf("a").value_or(0) + 1);
  EXPECT_EQ(Listed(), (std::vector<std::string>{"a=1", "b=2"}));
}

TEST_F(KnownIdsTest, TheCreatesIsKnownForEverAndKeptApart) {
  ids_.SetCreate("create", 7, 0);
  EXPECT_TRUE(ids_.IsCreateId("create"));
  EXPECT_EQ(StepOf("create"), 0u);
  for (Step step = 1; step <= 10; ++step) Remember("r" + std::to_string(step), step);
  EXPECT_EQ(StepOf("create"), 0u);
  EXPECT_EQ(ids_.Find("create")->fingerprint, 7u);
  EXPECT_EQ(ids_.create_id(), "create");
  EXPECT_EQ(Listed(), (std::vector<std::string>{"r8=8", "r9=9", "r10=10"}));
}

TEST_F(KnownIdsTest, TheCreatesIsKnownWhenItWasAStep) {
  ids_.SetCreate("create", 7, std::nullopt);
  EXPECT_TRUE(ids_.IsCreateId("create"));
  EXPECT_EQ(StepOf("create"), std::nullopt);
  Remember("create", 1);
  EXPECT_EQ(StepOf("create"), 1u);
  Remember("create", 2);  // a later command that has the id, too
  EXPECT_EQ(StepOf("create"), 1u);
  EXPECT_THAT(Listed(), testing::IsEmpty());
}

TEST_F(KnownIdsTest, FindsEachOfMany) {
  constexpr int kMany = 100;
  for (int i = 0; i < 1'000; ++i) {
    ids_.Remember(Id(i), static_cast<std::uint64_t>(i), static_cast<Step>(i + 1), kMany);
    for (const int j : {0, i - kMany, i - kMany + 1, i - kMany / 2, i - 1, i}) {
      const std::optional<KnownIds::Known> known = ids_.Find(Id(j));
      ASSERT_EQ(known.has_value(), j >= 0 && j > i - kMany) << i << ' ' << j;
      if (known) ASSERT_EQ(known->step, static_cast<Step>(j + 1));
    }
    ASSERT_EQ(StepOf(Id(i + 1)), std::nullopt);
  }
  const std::vector<KnownId> listed = ids_.List();
  ASSERT_EQ(listed.size(), static_cast<std::size_t>(kMany));
  EXPECT_EQ(listed.front(), (KnownId{Id(900), 900, 901}));
  EXPECT_EQ(listed.back(), (KnownId{Id(999), 999, 1'000}));
}

// The table and the timers, with sessions of their own.

class TableTest : public SessionsTest {
 protected:
  TableTest()
      : environment_{.clock = clock_,
                     .executor = executor_,
                     .computing = executor_,
                     .computing_long = executor_,
                     .random = random_,
                     .journal = journal_,
                     .watchers = watchers_,
                     .accounts = accounts_,
                     .metrics = metrics_,
                     .replay = {.catalog = catalog_,
                                .journal = journal_,
                                .limits = {},
                                .crash_marks = marks_,
                                .metrics = &metrics_.replay},
                     .limits = {},
                     .max_queued = 1,
                     .max_queue_delay = absl::InfiniteDuration(),
                     .max_remembered_ids = 1,
                     .max_remembered_bytes = 1,
                     .retention = absl::Minutes(5),
                     .durability = {},
                     .on_finished = [](Session&) {},
                     .on_deleted = [](Session&, const Command*, const Reply*) {}} {}

  SessionPtr New(const std::string& id, absl::Duration idle_timeout = absl::InfiniteDuration()) {
    Head head;
    head.key.id = id;
    head.create_time = head.last_used_time = clock_.Now();
    head.idle_timeout = idle_timeout;
    return SessionPtr(new Session(kind_, head, Coroutine()));
  }
  static std::vector<std::string> Ids(const std::vector<SessionPtr>& sessions) {
    std::vector<std::string> ids;
    for (const SessionPtr& session : sessions) ids.push_back(session->id());
    return ids;
  }

  static absl::Time DueTime(const Session& session) { return session.NextDue().when; }

  Watchers watchers_;
  metrics::Metrics metrics_{"1"};
  Accounts accounts_{metrics_};
  CrashMarks marks_;
  SessionEnvironment environment_;
  Pace pace_;
  SessionKind kind_{.environment = environment_,
                    .definition = catalog_.Find("echo"),
                    .catalog_revision = 0,
                    .account = accounts_.Of("default"),
                    .pace = pace_,
                    .counters = metrics_.OfCoroutine("echo")};
};

TEST_F(TableTest, FindsWhatWasAddedUntilItIsRemoved) {
  SessionTable table;
  const SessionPtr a = New("a");
  EXPECT_EQ(table.Add(a, SessionPtr()), SessionTable::Added::kAlone);
  EXPECT_EQ(table.Find("a"), a);
  EXPECT_FALSE(table.Find("b"));
  EXPECT_TRUE(table.Remove(*a));
  EXPECT_FALSE(table.Remove(*a));
  EXPECT_FALSE(table.Find("a"));
  EXPECT_EQ(table.size(), 0u);
}

TEST_F(TableTest, TakenIdIsNotAddedAgain) {
  SessionTable table;
  const SessionPtr first = New("a");
  ASSERT_EQ(table.Add(first, SessionPtr()), SessionTable::Added::kAlone);
  EXPECT_EQ(table.Add(New("a"), SessionPtr()), SessionTable::Added::kNot);
  EXPECT_EQ(table.Add(New("a"), New("a")), SessionTable::Added::kNot) << "another was to be replaced";
  EXPECT_EQ(table.Find("a"), first);
  EXPECT_EQ(table.size(), 1u);
}

TEST_F(TableTest, ReplacedSessionIsNotRemovedInItsSuccessorsPlace) {
  SessionTable table;
  const SessionPtr first = New("a");
  const SessionPtr second = New("a");
  ASSERT_EQ(table.Add(first, SessionPtr()), SessionTable::Added::kAlone);
  EXPECT_EQ(table.Add(second, first), SessionTable::Added::kInItsPlace);
  EXPECT_FALSE(table.Remove(*first));
  EXPECT_EQ(table.Find("a"), second);
  EXPECT_EQ(Ids(table.ListAfter("", 9)), std::vector<std::string>{"a"});
}

TEST_F(TableTest, ListsInOrderAfterAnId) {
  SessionTable table;
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(table.Add(New(std::to_string(100 + i)), SessionPtr()), SessionTable::Added::kAlone);
  EXPECT_EQ(Ids(table.ListAfter("150", 2)), (std::vector<std::string>{"151", "152"}));
  EXPECT_EQ(Ids(table.ListAfter("1505", 1)), (std::vector<std::string>{"151"}));
  EXPECT_EQ(table.ListAfter("199", 9).size(), 0u);
}

TEST_F(TableTest, TimersTakeOutWhatIsDueEarliestFirst) {
  TimerIndex timers(clock_.Now(), &DueTime);
  const SessionPtr late = New("late", absl::Seconds(20));
  const SessionPtr soon = New("soon", absl::Seconds(10));
  const SessionPtr never = New("never");
  for (const SessionPtr& session : {late, soon, never}) timers.Schedule(*session);
  EXPECT_EQ(timers.Earliest(), clock_.Now() + absl::Seconds(10));
  EXPECT_THAT(timers.TakeDue(clock_.Now() + absl::Seconds(9), 9), testing::IsEmpty());
  EXPECT_EQ(Ids(timers.TakeDue(clock_.Now() + absl::Hours(1), 9)), (std::vector<std::string>{"soon", "late"}));
  EXPECT_EQ(timers.Earliest(), absl::InfiniteFuture());
}

TEST_F(TableTest, TimersHaveOneTimeForEachSession) {
  TimerIndex timers(clock_.Now(), &DueTime);
  const SessionPtr session = New("a", absl::Seconds(10));
  timers.Schedule(*session);
  ASSERT_TRUE(session->Update({.idle_timeout = absl::Seconds(5)},
                              [](const absl::Status& updated) { EXPECT_TRUE(updated.ok()); }));
  timers.Schedule(*session);
  EXPECT_EQ(timers.Earliest(), clock_.Now() + absl::Seconds(5));
  EXPECT_EQ(timers.TakeDue(clock_.Now() + absl::Hours(1), 9).size(), 1u);
}

TEST_F(TableTest, TimersTakeNoMoreThanIsAsked) {
  TimerIndex timers(clock_.Now(), &DueTime);
  std::vector<SessionPtr> sessions;
  for (int i = 0; i < 5; ++i) timers.Schedule(*sessions.emplace_back(New(std::to_string(i), absl::Seconds(1))));
  EXPECT_EQ(timers.TakeDue(clock_.Now() + absl::Seconds(1), 3).size(), 3u);
  EXPECT_EQ(timers.TakeDue(clock_.Now() + absl::Seconds(1), 3).size(), 2u);
}

TEST_F(TableTest, SessionThatWasRemovedFromTheTimersStaysOut) {
  TimerIndex timers(clock_.Now(), &DueTime);
  const SessionPtr session = New("a", absl::Seconds(10));
  timers.Schedule(*session);
  timers.Remove(*session);
  timers.Schedule(*session);
  EXPECT_EQ(timers.Earliest(), absl::InfiniteFuture());
}

TEST_F(TableTest, TimerWithinAMillisecondIsNotEarly) {
  TimerIndex timers(clock_.Now(), &DueTime);
  const SessionPtr session = New("a", absl::Microseconds(1500));
  timers.Schedule(*session);
  EXPECT_EQ(timers.TakeDue(clock_.Now() + absl::Microseconds(1400), 9).size(), 0u);
  EXPECT_EQ(timers.TakeDue(clock_.Now() + absl::Milliseconds(2), 9).size(), 1u);
}

// Pace.

class PaceTest : public testing::Test {
 protected:
  void Record(absl::Duration step, int times) {
    for (int i = 0; i < times; ++i) pace_.Record(step);
  }
  Pace pace_;
};

TEST_F(PaceTest, IsQuickAfter32QuickSteps) {
  Record(absl::Microseconds(1), 31);
  EXPECT_FALSE(pace_.IsQuick());
  Record(absl::Microseconds(1), 1);
  EXPECT_TRUE(pace_.IsQuick());
}

TEST_F(PaceTest, IsNotQuickWhenTheAverageIsNot) {
  Record(absl::Microseconds(150), 100);
  EXPECT_FALSE(pace_.IsQuick());
}

TEST_F(PaceTest, IsSlowUntilItIsKnownToBeBetter) {
  Record(absl::Milliseconds(5), 3);
  EXPECT_FALSE(pace_.IsSlow());
  Record(absl::Milliseconds(11), 1);
  EXPECT_TRUE(pace_.IsSlow());
  Record(absl::Milliseconds(1), 1);
  EXPECT_FALSE(pace_.IsSlow());
  Pace learning(/*learns=*/true);
  learning.Record(absl::Milliseconds(11));
  for (int i = 0; i < 63; ++i) learning.Record(absl::Microseconds(1));
  EXPECT_TRUE(learning.IsSlow()) << "it could be made to look better";
  learning.Record(absl::Microseconds(1));
  EXPECT_FALSE(learning.IsSlow());
}

TEST_F(PaceTest, SaysHowManyStepsTakeSoLong) {
  EXPECT_GT(pace_.StepsWithin(absl::Milliseconds(10)), 1'000'000u) << "nothing is known";
  Record(absl::Milliseconds(2), 1);
  EXPECT_EQ(pace_.StepsWithin(absl::Milliseconds(10)), 5u);
  EXPECT_EQ(pace_.StepsWithin(absl::Milliseconds(1)), 1u);
  Record(absl::Milliseconds(20), 1);
  EXPECT_EQ(pace_.StepsWithin(absl::Milliseconds(100)), 5u);
  Record(absl::Milliseconds(1), 1);
  EXPECT_EQ(pace_.StepsWithin(absl::Milliseconds(10)), 10u) << "one that was slow is forgotten";
}

TEST_F(PaceTest, OneStepOfMoreThan10MillisecondsEndsIt) {
  Record(absl::Microseconds(1), 50);
  Record(absl::Milliseconds(11), 1);
  EXPECT_FALSE(pace_.IsQuick());
  Record(absl::Microseconds(1), 32);
  EXPECT_TRUE(pace_.IsQuick()) << "it can earn it again";
}

TEST_F(PaceTest, ManySlowerStepsEndIt) {
  Record(absl::Microseconds(1), 50);
  Record(absl::Microseconds(500), 20);
  EXPECT_FALSE(pace_.IsQuick());
}

TEST(LearningPaceTest, TakesTwiceAsLongEachTime) {
  Pace pace(/*learns=*/true);
  for (int quick = 32; quick <= 1 << 12; quick *= 2) {
    for (int i = 1; i < quick; ++i) pace.Record(absl::Microseconds(1));
    EXPECT_FALSE(pace.IsQuick()) << quick;
    pace.Record(absl::Microseconds(1));
    EXPECT_TRUE(pace.IsQuick()) << quick;
    pace.Record(absl::Milliseconds(11));
  }
}

// Deletions.

class DeletedSessionsTest : public testing::Test {
 protected:
  static Reply ReplyOf(Step step) { return {step, Outcome::Returned(Value(step)), false}; }
  FakeClock clock_;
  DeletedSessions deleted_{absl::Minutes(5)};
};

TEST_F(DeletedSessionsTest, AnswersBySessionAndRequestId) {
  deleted_.Remember("s", "r", ReplyOf(3), clock_.Now());
  const std::optional<Reply> reply = deleted_.Find("s", "r", clock_.Now());
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->step, 3u);
  EXPECT_TRUE(reply->replayed);
  EXPECT_FALSE(deleted_.Find("s", "q", clock_.Now()).has_value());
  EXPECT_FALSE(deleted_.Find("t", "r", clock_.Now()).has_value());
}

TEST_F(DeletedSessionsTest, AnswersAreKeptForTheRetention) {
  deleted_.Remember("s", "r", ReplyOf(1), clock_.Now());
  clock_.Advance(absl::Minutes(5) - absl::Nanoseconds(1));
  EXPECT_TRUE(deleted_.Find("s", "r", clock_.Now()).has_value());
  clock_.Advance(absl::Nanoseconds(1));
  EXPECT_FALSE(deleted_.Find("s", "r", clock_.Now()).has_value());
}

TEST_F(DeletedSessionsTest, SameIdsCanBeRememberedAgainLater) {
  deleted_.Remember("s", "r", ReplyOf(1), clock_.Now());
  clock_.Advance(absl::Minutes(6));
  deleted_.Remember("s", "r", ReplyOf(2), clock_.Now());
  EXPECT_EQ(deleted_.Find("s", "r", clock_.Now())->step, 2u);
}

TEST_F(DeletedSessionsTest, NewestAreKept) {
  for (Step step = 0; step <= 65'536; ++step) deleted_.Remember("s", std::to_string(step), ReplyOf(step), clock_.Now());
  EXPECT_FALSE(deleted_.Find("s", "0", clock_.Now()).has_value());
  EXPECT_TRUE(deleted_.Find("s", "1", clock_.Now()).has_value());
  EXPECT_TRUE(deleted_.Find("s", "65536", clock_.Now()).has_value());
}

}  // namespace
}  // namespace corod
