#ifndef COROD_SERVER_SESSION_REPLAY_H_
#define COROD_SERVER_SESSION_REPLAY_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/limits.h"
#include "server/journal/journal.h"
#include "server/metrics/metrics.h"
#include "server/session/crash_marks.h"
#include "server/session/execution.h"

namespace corod {

// What a replay needs of the server.
struct ReplayEnvironment {
  const Catalog& catalog;
  const Journal& journal;
  ValueLimits limits;
  CrashMarks& crash_marks;
  const metrics::ReplayMetrics* metrics = nullptr;  // null: nobody counts
};

// The session's definition; nullptr: this server lacks it.
const Definition* DefinitionOf(const Catalog& catalog, const Head& head);
// How its coroutine sees the catalog.
CatalogView ViewOf(const Catalog& catalog, const Head& head);

// Runs a session's log again, on the side: it reads the journal and changes nothing. How a session comes back to life,
// and how one is looked at, watched and forked at a step that has passed. Blocks for the journal and for the body. Not
// thread-safe.
//
// What can go wrong, here and in Next: HISTORY_TRIMMED, VERSION_UNAVAILABLE, JOURNAL_UNAVAILABLE; and what is wrong
// with the session itself, REPLAY_DIVERGED and SESSION_BROKEN (see problem()).
class Replay {
 public:
  // Stands behind the newest checkpoint at or before `step` (or at the beginning).
  static absl::StatusOr<std::unique_ptr<Replay>> Begin(const ReplayEnvironment& environment, const Head& head,
                                                       Step step,
                                                       metrics::ReplayCause cause = metrics::ReplayCause::kHistory);
  // Counts how long it took.
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  // A step that was run again.
  struct Executed {
    Step step;
    Record record;
    StepResult result;
    bool finished;  // this step finished the coroutine
  };
  // Runs the next step of the log; nullopt at its end. After an error the replay stands before the step that it
  // concerns, and stays there.
  absl::StatusOr<std::optional<Executed>> Next();
  // The same up to and including `step`. INVALID_ARGUMENTS if the log has no such step.
  absl::Status RunTo(Step step);
  // Nothing is run for a while, so that the time until the next step does not count.
  void Rest();

  // How things stand after the last step that was run.
  const Head& head() const { return head_; }
  // The last batch that was begun.
  const BatchId& tail() const { return tail_; }
  // The checkpoint that it began behind.
  const std::optional<Checkpoint>& checkpoint() const { return checkpoint_; }
  const Definition& definition() const { return *definition_; }
  // Set when the error was the session's own.
  const std::optional<SessionProblem>& problem() const { return problem_; }
  // The coroutine as it stands. The replay is over.
  Coroutine TakeCoroutine() { return std::move(coroutine_); }

 private:
  using MonotonicClock = std::chrono::steady_clock;

  Replay(const ReplayEnvironment& environment, Head head) : environment_(environment), head_(std::move(head)) {}

  absl::Status Start(Step step);
  // Makes sure that batch_ has a record left. False at the end of the log.
  absl::StatusOr<bool> FindRecord();
  absl::Status Enter(const Batch& batch);
  absl::Status Stop(SessionProblem problem);
  // HISTORY_TRIMMED, with where the log begins now.
  absl::Status TrimmedBefore(Step step);

  const ReplayEnvironment environment_;
  bool counts_ = false;
  bool rests_ = false;
  MonotonicClock::time_point since_ = MonotonicClock::now();  // unless it rests
  MonotonicClock::duration took_{};                           // before that
  Step ran_ = 0;                                              // steps since it rested
  Head head_;
  const Definition* definition_ = nullptr;
  Coroutine coroutine_;
  std::optional<Checkpoint> checkpoint_;
  BatchId tail_;
  std::vector<Batch> batches_;  // read and not run yet
  std::size_t batch_ = 0;       // the one that is being run
  std::size_t record_ = 0;      // the next of its records
  bool entered_ = false;        // batch_ was compared with what ran before it
  Step verified_ = 0;           // digests agree up to this step
  std::optional<SessionProblem> problem_;
  // What the head that was saved says of its step.
  Step saved_steps_ = 0;
  std::uint64_t saved_digest_ = 0;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_REPLAY_H_
