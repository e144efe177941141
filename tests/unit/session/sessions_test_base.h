#ifndef COROD_TESTS_UNIT_SESSION_SESSIONS_TEST_BASE_H_
#define COROD_TESTS_UNIT_SESSION_SESSIONS_TEST_BASE_H_

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/catalog/catalog.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/value.h"
#include "server/journal/journal.h"
#include "server/journal/memory_journal.h"
#include "server/session/command.h"
#include "server/session/crash_marks.h"
#include "server/session/sessions.h"
#include "tests/unit/session/answers.h"
#include "tests/unit/session/fakes.h"
#include "tests/unit/session/matchers.h"
#include "tests/unit/session/test_catalog.h"

namespace corod {

// A command and, once it is there, its answer.
class Call : public Command {
 public:
  explicit Call(Operation what, Value with = {}) {
    operation = what;
    value = std::move(with);
  }

  // "s" unless it is said.
  Call& To(std::string id) {
    session_id = std::move(id);
    return *this;
  }
  Call& Id(std::string id) {
    request_id = std::move(id);
    return *this;
  }
  Call& AsStep(Step step) {
    expected_step = step;
    return *this;
  }
  Call& Before(absl::Time time) {
    deadline = time;
    return *this;
  }
  Call& Force() {
    force = true;
    return *this;
  }
  Call& OfLife(std::string of) {
    uid = std::move(of);
    return *this;
  }
  // As a client that goes away before the command's turn.
  Call& Cancel() {
    cancelled_ = true;
    return *this;
  }

  absl::Status Admit() override { return cancelled_ ? NotStarted(absl::StatusCode::kCancelled, "") : absl::OkStatus(); }
  void Finish(absl::StatusOr<Reply> reply) override {
    EXPECT_FALSE(answer_.has_value()) << "answered twice";
    answer_ = std::move(reply);
  }

  std::string session_id = "s";

  bool answered() const { return answer_.has_value(); }
  // REQUIRES: answered.
  const absl::StatusOr<Reply>& answer() const { return *answer_; }

 private:
  bool cancelled_ = false;
  std::optional<absl::StatusOr<Reply>> answer_;
};

inline Value Order(const char* verb, Value value) { return Map{{verb, std::move(value)}}; }

// A list in a list ..., `depth` of them.
Value Nested(int depth);

// The session layer on one thread: a fake clock, and an executor that runs when the fixture says so. Each case ends
// without a live frame.
class SessionsTest : public testing::Test {
 protected:
  SessionsTest();
  ~SessionsTest() override;

  // Begins anew with other options.
  void Restart(const Sessions::Options& options);
  // Ends the server without closing anything.
  void Crash();
  // What is submitted and not answered gets its turn.
  void RunAll() { executor_.RunAll(); }

  static CreateSpec Spec(const std::string& coroutine, const std::string& id = "s");
  static CreateSpec PrimedSpec(const std::string& coroutine, const std::string& id = "s");
  absl::StatusOr<Created> Create(CreateSpec spec);
  // A session that was not primed / that was; it must work.
  void Make(const std::string& coroutine, const std::string& id = "s") { Make(Spec(coroutine, id)); }
  void Prime(const std::string& coroutine, const std::string& id = "s") { Make(PrimedSpec(coroutine, id)); }
  void Make(const CreateSpec& spec);

  // A command that stays until the case ends: Do(Sending(1).Id("r")).
  Call& Sending(Value value = {}) { return Hold(Operation::kSend, std::move(value)); }
  Call& Throwing(const Exception& exception) { return Hold(Operation::kThrow, exception); }
  Call& Closing() { return Hold(Operation::kClose, {}); }
  Call& Deleting() { return Hold(Operation::kDelete, {}); }
  // Queues it; on a session that is not known to be quick it waits for RunAll.
  Call& Submit(Call& call);
  // Queues it, gives all their turn and returns the answer.
  absl::StatusOr<Reply> Do(Call& call);

  absl::StatusOr<Reply> Send(Value value = {}) { return Do(Sending(std::move(value))); }
  absl::StatusOr<Reply> Throw(const Exception& exception) { return Do(Throwing(exception)); }
  absl::StatusOr<Reply> Close() { return Do(Closing()); }
  absl::StatusOr<Reply> Delete() { return Do(Deleting()); }

  // The session as Get shows it. REQUIRES: it is there.
  SessionInfo Look(const std::string& id = "s") const;
  CoroutineState StateOf(const std::string& id = "s") const { return Look(id).state; }
  bool Exists(const std::string& id = "s") const { return sessions_->FindLive(id).get() != nullptr; }

  // Time passes, then the server looks after its sessions.
  void Pass(absl::Duration time);
  void Sweep();

  FakeClock clock_;
  ManualExecutor executor_;
  SequenceRandom random_;
  MemoryJournal journal_{executor_};
  Journal* journal_in_use_ = &journal_;  // what the next Restart takes
  CrashMarks* crash_marks_ = nullptr;
  Probe probe_;
  Catalog catalog_;
  std::unique_ptr<Sessions> sessions_;

 private:
  Call& Hold(Operation operation, Value value);

  std::deque<std::unique_ptr<Call>> calls_;
};

}  // namespace corod

#endif  // COROD_TESTS_UNIT_SESSION_SESSIONS_TEST_BASE_H_
