#ifndef COROD_SERVER_SESSION_WATCH_H_
#define COROD_SERVER_SESSION_WATCH_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/executor.h"
#include "server/base/failure.h"
#include "server/base/mutex.h"
#include "server/session/replay.h"
#include "server/session/watchers.h"

namespace corod {

// The steps of one session in their order, without gap and repeat: those that the log has, then those to come.
//
// Pulled: Take gives what there is; when it gives nothing, `wake` is called once there is something (on any thread; it
// must not block, and may be called needlessly). Who takes too slowly while the session goes on is dropped, with
// WATCHER_TOO_SLOW; the session never waits. Thread-safe.
class Watch : public Watcher, public std::enable_shared_from_this<Watch> {
 public:
  struct Options {
    Head head;
    // The first step to show; unset: whichever comes next.
    std::optional<Step> from_step;
    // Begins with what is in the log.
    bool reads_log = false;
  };
  // `executor`: where the log is read.
  Watch(const ReplayEnvironment& environment, Executor& executor, Options options, std::function<void()> wake);

  const Head& head() const { return options_.head; }

  struct Taken {
    std::vector<std::shared_ptr<const StepEvent>> events;
    // Set when no event follows these: OK after the step that finished the session.
    std::optional<absl::Status> end;
  };
  Taken Take(std::size_t max_events);
  // Shows nothing more.
  void End(const absl::Status& status);
  // The same, at once: what is ready is not shown, either. The status has in "resume_step" the step from which to watch
  // again.
  void Drop(Reason reason, std::string_view message);
  // With WATCHER_TOO_SLOW: whoever takes has not taken for too long.
  void Drop();

  void OnStep(const std::shared_ptr<const StepEvent>& event) override;
  void OnForgotten() override;
  void OnDrained() override;

 private:
  void ReadLog();
  // True: there is more to read.
  bool ReadSome();
  void Push(std::shared_ptr<const StepEvent> event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropLocked(Reason reason, std::string_view message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // With WATCHER_TOO_SLOW.
  void DropLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // That reason, and where to go on.
  absl::Status Resumable(Reason reason, std::string_view message, Step resume,
                         absl::Duration retry_delay = absl::ZeroDuration()) const;
  // The step that would be pushed next.
  Step NextLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string session_id() const;
  void Wake();

  const ReplayEnvironment environment_;
  Executor& executor_;
  const Options options_;
  const std::function<void()> wake_;
  std::unique_ptr<Replay> replay_;  // for whoever reads the log

  Mutex mutex_;
  bool in_log_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;  // Take gave nothing
  Step next_ ABSL_GUARDED_BY(mutex_) = 0;         // the step that is pushed next; 0: whichever comes
  Step published_ ABSL_GUARDED_BY(mutex_) = 0;    // the newest that the session told of
  std::deque<std::shared_ptr<const StepEvent>> ready_ ABSL_GUARDED_BY(mutex_);
  std::size_t ready_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_WATCH_H_
