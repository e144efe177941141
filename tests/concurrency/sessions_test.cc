// Many clients on one session and on many; sessions that are blocked; the end of the server under load.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "server/coroutine/errors.h"
#include "tests/concurrency/concurrency_test_base.h"
#include "tests/unit/session/answers.h"

namespace corod {
namespace {

constexpr int kClientsPerThread = 8;

// The steps that a session answered with, from many threads.
class StepLog {
 public:
  void Add(Step step) {
    const MutexLock lock(mutex_);
    steps_.push_back(step);
  }
  // Each of 1 to n, once.
  bool IsWholeUpTo(Step n) {
    const MutexLock lock(mutex_);
    std::sort(steps_.begin(), steps_.end());
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i] != i + 1) return false;
    }
    return steps_.size() == n;
  }

 private:
  Mutex mutex_;
  std::vector<Step> steps_ ABSL_GUARDED_BY(mutex_);
};

class SessionsConcurrencyTest : public ConcurrencyTest {
 protected:
  // Checks an answer of `tallying`; true if it was a step that the body took for this command.
  static bool IsFreshStep(const absl::StatusOr<Reply>& reply) {
    if (!reply.ok() || reply->outcome->kind != Outcome::Kind::kYielded) return false;
    EXPECT_EQ(reply->outcome->value, Value(reply->step));
    return !reply->replayed;
  }
};

TEST_F(SessionsConcurrencyTest, SixtyFourClientsOnOneSessionLoseAndRepeatNothing) {
  constexpr int kRounds = 400;
  // A thread may wait for its turn for long between the two that it sends with one id.
  Sessions::Options remembers_all;
  remembers_all.max_remembered_ids = std::size_t{kThreads} * kClientsPerThread * kRounds;
  remembers_all.max_remembered_bytes = std::size_t{1} << 30;
  Restart(remembers_all);
  Prime("tallying", "s");
  StepLog log;
  log.Add(1);
  OnThreads([&](int thread) {
    for (int round = 0; round < kRounds; ++round) {
      CallGroup batch(*sessions_);
      std::vector<std::pair<Call*, Call*>> sent;
      for (int client = 0; client < kClientsPerThread; ++client) {
        const std::string id = std::to_string(thread * kClientsPerThread + client) + "/" + std::to_string(round);
        const auto send = [&] {
          Call& call = batch.New(Operation::kSend).To("s").Id(id);
          batch.Submit(call);
          return &call;
        };
        Call* const first = send();
        sent.emplace_back(first, round % 4 == client % 4 ? send() : nullptr);  // some are sent twice
      }
      batch.Wait();
      for (const auto& [first, again] : sent) {
        ASSERT_TRUE(IsFreshStep(first->answer())) << first->answer().status();
        log.Add(first->answer()->step);
        if (again) ASSERT_THAT(again->answer(), RepeatsStep(first->answer()->step));
      }
    }
  });
  const Step steps = 1 + kThreads * kClientsPerThread * kRounds;
  EXPECT_TRUE(log.IsWholeUpTo(steps));
  EXPECT_EQ(GetNow(*sessions_, "s", std::nullopt)->steps, steps);
  EXPECT_EQ(static_cast<Step>(probe_.tallied), steps);
}

TEST_F(SessionsConcurrencyTest, SendsThatAreTakenAtOnceTakeTurnsWithThoseInTheQueue) {
  constexpr int kRounds = 5'000;
  constexpr int kSessions = 3;
  std::array<StepLog, kSessions> logs;
  const auto id_of = [](int session) { return "s" + std::to_string(session); };
  for (int session = 0; session < kSessions; ++session) {
    Prime("tallying", id_of(session));
    logs[session].Add(1);
  }
  std::atomic<int> at_once{0};
  OnThreads([&](int thread) {
    std::mt19937 random(thread);
    for (int round = 0; round < kRounds; ++round) {
      const int session = static_cast<int>(random() % kSessions);
      absl::Time now = absl::Now();
      Value value = 1;
      Reply reply;
      const SessionPtr live = sessions_->FindLive(id_of(session));
      if (random() % 2 && live->BeginSend(now, reply)) {
        live->FinishSend(value, now, reply);
        ASSERT_TRUE(IsFreshStep(reply));
        logs[session].Add(reply.step);
        at_once.fetch_add(1);
        continue;
      }
      CallGroup batch(*sessions_);
      Call& call = batch.New(Operation::kSend, value).To(id_of(session));
      batch.Submit(call);
      batch.Wait();
      ASSERT_TRUE(IsFreshStep(call.answer())) << call.answer().status();
      logs[session].Add(call.answer()->step);
    }
  });
  EXPECT_GT(at_once.load(), 100);
  for (int session = 0; session < kSessions; ++session) {
    const Step steps = GetNow(*sessions_, id_of(session), std::nullopt)->steps;
    EXPECT_TRUE(logs[session].IsWholeUpTo(steps));
  }
}

TEST_F(SessionsConcurrencyTest, WhatIsEnqueuedTakesTurnsWithTheRestAndKeepsItsOrder) {
  constexpr int kRounds = 2'000;
  constexpr int kSessions = 3;
  std::array<StepLog, kSessions> logs;
  const auto id_of = [](int session) { return "s" + std::to_string(session); };
  for (int session = 0; session < kSessions; ++session) {
    Prime("tallying", id_of(session));
    logs[session].Add(1);
  }
  OnThreads([&](int thread) {
    std::mt19937 random(thread);
    for (int round = 0; round < kRounds; ++round) {
      CallGroup batch(*sessions_);
      std::vector<std::pair<int, Call*>> calls;
      std::vector<SessionPtr> held;
      for (int i = 0; i < 4; ++i) {
        const int session = static_cast<int>(random() % kSessions);
        const SessionPtr live = sessions_->FindLive(id_of(session));
        calls.emplace_back(session, &batch.New(Operation::kSend, 1).To(id_of(session)));
        if (random() % 4 == 0) {
          batch.Submit(*calls.back().second);
        } else if (batch.Enqueue(*live, *calls.back().second)) {
          held.push_back(live);
        }
      }
      for (const SessionPtr& session : held) session->Release();
      batch.Wait();
      std::array<Step, kSessions> last{};
      for (const auto& [session, call] : calls) {
        ASSERT_TRUE(IsFreshStep(call->answer())) << call->answer().status();
        ASSERT_GT(call->answer()->step, last[session]);
        last[session] = call->answer()->step;
        logs[session].Add(last[session]);
      }
    }
  });
  for (int session = 0; session < kSessions; ++session) {
    const Step steps = GetNow(*sessions_, id_of(session), std::nullopt)->steps;
    EXPECT_TRUE(logs[session].IsWholeUpTo(steps));
  }
}

// Half of the sessions are sent to and thrown into, and stay. The others come and go: created, closed, deleted, idle at
// once and forgotten at once, by sixty-four clients and a sweeper.
TEST_F(SessionsConcurrencyTest, SixtyFourClientsOnTenThousandSessionsLoseAndRepeatNothing) {
  constexpr int kSessions = 10'000;
  constexpr int kRounds = 250;
  Restart({.retention = absl::Milliseconds(1)});
  std::vector<StepLog> logs(kSessions / 2);  // of those that stay
  std::atomic<int> fresh{0};
  const auto id_of = [](int session) { return "s" + std::to_string(session); };
  const auto stays = [](int session) { return session < kSessions / 2; };
  const auto count = [&](int session, const absl::StatusOr<Reply>& reply) {
    if (!IsFreshStep(reply)) return;
    fresh.fetch_add(1);
    if (stays(session)) logs[session].Add(reply->step);
  };
  OnThreads([&](int thread) {
    CallGroup batch(*sessions_);
    std::vector<const absl::StatusOr<Created>*> created;
    for (int session = thread; session < kSessions / 2; session += kThreads) {
      created.push_back(&batch.Create(PrimedSpec("tallying", id_of(session))));
    }
    batch.Wait();
    for (std::size_t i = 0; i < created.size(); ++i) {
      ASSERT_TRUE(created[i]->ok());
      count(thread + static_cast<int>(i) * kThreads, *(*created[i])->primed);
    }
  });
  std::atomic<bool> over{false};
  std::thread sweeper([&] {
    while (!over) {
      sessions_->Sweep();
      std::size_t seen = 0;
      ASSERT_TRUE(ListNow(*sessions_, {}, [&seen](const SessionInfo&) { return ++seen < 50; }).ok());
    }
  });
  OnThreads([&](int thread) {
    std::mt19937_64 random(thread);
    for (int round = 0; round < kRounds; ++round) {
      CallGroup batch(*sessions_);
      std::vector<std::pair<int, Call*>> calls;
      std::vector<std::pair<int, const absl::StatusOr<Created>*>> creates;
      for (int client = 0; client < kClientsPerThread; ++client) {
        // Some sessions are hot: many clients meet there.
        const int any = static_cast<int>(random() % kSessions);
        const int session = random() % 2 == 0 ? any : any % 8 + (any % 16 < 8 ? 0 : kSessions / 2);
        const std::string request_id = random() % 2 == 0 ? "" : std::to_string(random());
        const auto submit = [&](Operation operation, Value value = {}) {
          for (int times = request_id.empty() ? 1 : 2; times > 0; --times) {
            Call& call = batch.New(operation, value).To(id_of(session)).Id(request_id);
            batch.Submit(call);
            calls.emplace_back(session, &call);
          }
        };
        switch (random() % (stays(session) ? 5 : 9)) {
          case 0:
          case 1:
          case 2:
            submit(Operation::kSend);
            break;
          case 3:
            submit(Operation::kThrow, py::ValueError("thrown"));
            break;
          case 4:
            GetNow(*sessions_, id_of(session), std::nullopt).IgnoreError();
            UpdateNow(*sessions_, id_of(session), {.labels = {{"client", std::to_string(client)}}}).IgnoreError();
            break;
          case 5:
            submit(Operation::kClose);
            break;
          case 6:
            submit(Operation::kDelete);
            break;
          default: {
            CreateSpec spec = PrimedSpec("tallying", id_of(session));
            spec.idle_timeout = absl::Milliseconds(1);
            spec.if_exists = random() % 2 == 0 ? IfExists::kReplaceFinished : IfExists::kFail;
            spec.request_id = request_id;
            creates.emplace_back(session, &batch.Create(spec));
            if (!request_id.empty()) creates.emplace_back(session, &batch.Create(spec));
          }
        }
      }
      batch.Wait();
      for (const auto& [session, call] : calls) {
        count(session, call->answer());
        ASSERT_TRUE(!stays(session) || call->answer().ok()) << call->answer().status();
      }
      for (const auto& [session, answer] : creates) {
        if (answer->ok() && (*answer)->primed) count(session, *(*answer)->primed);
        ASSERT_FALSE(IsFailure(answer->status(), Reason::SESSION_NOT_FOUND)) << "of a Create";
      }
    }
  });
  over = true;
  sweeper.join();
  for (int session = 0; session < kSessions / 2; ++session) {
    ASSERT_TRUE(logs[session].IsWholeUpTo(GetNow(*sessions_, id_of(session), std::nullopt)->steps)) << session;
  }
  EXPECT_EQ(fresh, probe_.tallied);
}

TEST_F(SessionsConcurrencyTest, ThirtyTwoBlockedSessionsHoldUpNobody) {
  CallGroup blocked(*sessions_);
  std::vector<const absl::StatusOr<Created>*> slow;
  for (int i = 0; i < 32; ++i) slow.push_back(&blocked.Create(PrimedSpec("blocks_at_once", "b" + std::to_string(i))));
  probe_.gate.WaitForArrivals(32);
  std::atomic<int> done{0};
  OnThreads([&](int thread) {
    const std::string id = "s" + std::to_string(thread);
    Prime("counter", id);
    for (int i = 0; i < 500; ++i) {
      CallGroup batch(*sessions_);
      Call& call = batch.New(Operation::kSend).To(id);
      batch.Submit(call);
      batch.Wait();
      if (call.answer().ok()) ++done;
    }
  });
  EXPECT_EQ(done, 4'000);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(GetNow(*sessions_, "b" + std::to_string(i), std::nullopt)->state, CoroutineState::kRunning);
  }
  probe_.gate.Open();
  blocked.Wait();
  for (const auto* created : slow) EXPECT_TRUE(created->ok()) << created->status();
}

TEST_F(SessionsConcurrencyTest, DrainUnderLoadClosesEverySessionAndAnswersEveryCommand) {
  constexpr int kSessions = 400;
  for (int i = 0; i < kSessions; ++i) Prime("counted", "s" + std::to_string(i));
  std::atomic<int> answered{0};
  std::promise<void> loaded;
  std::promise<void> drained;
  std::atomic<int> done{0};
  std::thread drain([&] {
    loaded.get_future().wait();
    sessions_->Drain([&] {
      if (++done == 1) drained.set_value();
    });
  });
  OnThreads([&](int thread) {
    std::mt19937_64 random(thread);
    for (bool draining = false; !draining;) {
      CallGroup batch(*sessions_);
      std::vector<Call*> calls;
      for (int client = 0; client < kClientsPerThread; ++client) {
        calls.push_back(&batch.New(Operation::kSend, client).To("s" + std::to_string(random() % kSessions)));
        batch.Submit(*calls.back());
      }
      batch.Wait();
      for (const Call* call : calls) {
        draining = draining || !call->answer().ok();
        ASSERT_TRUE(call->answer().ok() || IsFailure(call->answer().status(), Reason::DRAINING));
        if (++answered == 2'000) loaded.set_value();
      }
    }
  });
  drain.join();
  drained.get_future().wait();
  EXPECT_EQ(probe_.cleanups, kSessions);
  EXPECT_EQ(LiveFrames().frames, 0u);
  EXPECT_EQ(done, 1);
}

}  // namespace
}  // namespace corod
