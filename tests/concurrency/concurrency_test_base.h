#ifndef COROD_TESTS_CONCURRENCY_CONCURRENCY_TEST_BASE_H_
#define COROD_TESTS_CONCURRENCY_CONCURRENCY_TEST_BASE_H_

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/base/worker_pool.h"
#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/journal/memory_journal.h"
#include "server/session/sessions.h"
#include "tests/unit/session/fakes.h"
#include "tests/unit/session/sessions_test_base.h"
#include "tests/unit/session/test_catalog.h"

namespace corod {

// Commands that were submitted and are waited for together. One thread submits and waits.
class CallGroup {
 public:
  explicit CallGroup(Sessions& sessions) : sessions_(sessions) {}
  ~CallGroup() { Wait(); }

  // Stays until the batch ends.
  Call& New(Operation operation, Value value = {}) {
    return *calls_.emplace_back(std::make_unique<CountedCall>(*this, operation, std::move(value)));
  }
  void Submit(Call& call) {
    Begin();
    sessions_.Submit(call.session_id, &call);
  }
  // The session must be in memory. Whether the caller is to release it.
  bool Enqueue(Session& session, Call& call) {
    Begin();
    call.bounded_by_sender = true;
    bool runs = false;
    EXPECT_TRUE(session.Enqueue(&call, runs));
    return runs;
  }
  // Valid after Wait.
  const absl::StatusOr<Created>& Create(const CreateSpec& spec) {
    absl::StatusOr<Created>& answer = created_.emplace_back(absl::UnknownError("not answered"));
    Begin();
    sessions_.Create(spec, [this, &answer](absl::StatusOr<Created> created) {
      answer = std::move(created);
      End();
    });
    return answer;
  }
  // Until all that was submitted is answered.
  void Wait() {
    const MutexLock lock(mutex_);
    while (open_ > 0) changed_.Wait(mutex_);
  }

 private:
  class CountedCall : public Call {
   public:
    CountedCall(CallGroup& batch, Operation operation, Value value)
        : Call(operation, std::move(value)), batch_(batch) {}
    void Finish(absl::StatusOr<Reply> reply) override {
      Call::Finish(std::move(reply));
      batch_.End();
    }

   private:
    CallGroup& batch_;
  };

  void Begin() {
    const MutexLock lock(mutex_);
    ++open_;
  }
  void End() {
    const MutexLock lock(mutex_);
    --open_;
    changed_.NotifyAll();
  }

  Sessions& sessions_;
  std::deque<std::unique_ptr<CountedCall>> calls_;
  std::deque<absl::StatusOr<Created>> created_;
  Mutex mutex_;
  CondVar changed_;
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The session layer as the server runs it: real threads, the real clock.
class ConcurrencyTest : public testing::Test {
 protected:
  static constexpr int kThreads = 8;

  ConcurrencyTest() {
    AddTestCoroutines(catalog_, probe_);
    Restart({});
  }
  ~ConcurrencyTest() override {
    workers_.Shutdown();
    sessions_.reset();
    EXPECT_EQ(LiveFrames().frames, 0u);
  }

  void Restart(const Sessions::Options& options) {
    sessions_ = std::make_unique<Sessions>(options, catalog_, clock_, workers_, random_, journal_);
  }
  static CreateSpec PrimedSpec(const std::string& coroutine, const std::string& id) {
    CreateSpec spec;
    spec.coroutine = coroutine;
    spec.session_id = id;
    spec.prime = true;
    return spec;
  }
  void Prime(const std::string& coroutine, const std::string& id) {
    CallGroup batch(*sessions_);
    const absl::StatusOr<Created>& created = batch.Create(PrimedSpec(coroutine, id));
    batch.Wait();
    ASSERT_TRUE(created.ok()) << created.status();
  }
  // Runs `work(thread)` on all of kThreads at once.
  static void OnThreads(const std::function<void(int)>& work) {
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) threads.emplace_back([&work, thread] { work(thread); });
    for (std::thread& thread : threads) thread.join();
  }

  SystemClock clock_;
  SequenceRandom random_;
  Probe probe_;
  Catalog catalog_;
  WorkerPool workers_{64};
  MemoryJournal journal_{workers_};
  std::unique_ptr<Sessions> sessions_;
};

}  // namespace corod

#endif  // COROD_TESTS_CONCURRENCY_CONCURRENCY_TEST_BASE_H_
