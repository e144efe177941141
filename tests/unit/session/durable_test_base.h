#ifndef COROD_TESTS_UNIT_SESSION_DURABLE_TEST_BASE_H_
#define COROD_TESTS_UNIT_SESSION_DURABLE_TEST_BASE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/journal/memory_journal.h"
#include "tests/unit/session/failing_journal.h"
#include "tests/unit/session/sessions_test_base.h"

namespace corod {

// What a test has under way as a watcher.
struct Watching {
  std::shared_ptr<Watch> watch;
  std::vector<Step> steps;
  std::vector<Outcome> outcomes;
  std::optional<absl::Status> end;
};

// The session layer with durable sessions, on one thread. A server may end without warning and begin again on the same
// journal.
class DurableTest : public SessionsTest {
 protected:
  using Fault = FailingJournal::Fault;

  explicit DurableTest(MemoryJournal::Options options = {.durable = true});
  ~DurableTest() override;

  // The server ends without warning: what the journal has not taken is lost, and nobody is answered well any more.
  void Crash();
  // A server on the same journal.
  void Restart() { Restart(options_); }
  void Restart(const Sessions::Options& options);
  void CrashAndRestart() { CrashAndRestart(options_); }
  void CrashAndRestart(const Sessions::Options& options);
  // All durable sessions leave memory.
  void Sleep();

  absl::StatusOr<SessionInfo> Get(const std::string& id = "s", std::optional<Step> at_step = std::nullopt);
  absl::StatusOr<SessionInfo> GetAt(Step step, const std::string& id = "s") { return Get(id, step); }
  // It must be there.
  SessionInfo LookAt(const std::string& id = "s");
  absl::StatusOr<SessionInfo> Update(const Session::Changes& changes, const std::string& id = "s");
  std::vector<SessionInfo> ListAll(const ListQuery& query = {});

  static ForkSpec Forking(std::optional<Step> at_step = std::nullopt, const std::string& to = "f",
                          const std::string& from = "s");
  absl::StatusOr<SessionInfo> Fork(ForkSpec spec);
  absl::StatusOr<std::string> Export(const std::string& id = "s");
  absl::StatusOr<SessionInfo> Import(std::string file, const std::string& id = "",
                                     const std::string& name_space = "default");

  absl::StatusOr<Watching> StartWatch(std::optional<Step> from_step = std::nullopt, const std::string& id = "s");
  // Takes what there is.
  void Follow(Watching& watching, std::size_t at_a_time = 100);
  void End(Watching& watching);

  // What the journal has of the session.
  Journal::Stored Stored(const std::string& id = "s");
  std::vector<Batch> Log(const std::string& id = "s");
  std::size_t LoggedSteps(const std::string& id = "s");
  std::vector<Step> Checkpoints(const std::string& id = "s");

  Sessions::Options options_;
  MemoryJournal store_;
  FailingJournal durable_journal_{store_, executor_};
  bool crashed_ = false;
};

}  // namespace corod

#endif  // COROD_TESTS_UNIT_SESSION_DURABLE_TEST_BASE_H_
