#ifndef COROD_SERVER_SESSION_SESSION_H_
#define COROD_SERVER_SESSION_SESSION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/executor.h"
#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"
#include "server/catalog/definition.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/limits.h"
#include "server/session/command.h"
#include "server/session/pace.h"
#include "server/session/reply_window.h"
#include "server/session/timer_index.h"

namespace corod {

class Session;
using SessionPtr = IntrusivePtr<Session>;

// What all sessions of a server share.
struct SessionEnvironment {
  const Clock& clock;
  Executor& executor;
  ValueLimits limits;
  std::uint32_t max_queued;        // commands of one session that wait
  std::size_t max_remembered_ids;  // see ReplyWindow
  std::size_t max_remembered_bytes;
  absl::Duration retention;  // how long a finished session is kept
  std::atomic<bool> draining = false;
  // Called when a session has finished, and when it is to be forgotten at once (Delete). On the thread that runs it.
  std::function<void(Session&)> on_finished;
  std::function<void(Session&, const Command&, const Reply&)> on_deleted;
};

// What a session is made of, once it is made.
struct SessionOrigin {
  std::string id;
  std::string uid;
  const Definition* definition = nullptr;
  std::vector<Value> arguments;
  Labels labels;
  absl::Duration idle_timeout = absl::InfiniteDuration();  // infinite: never
  absl::Time expire_time = absl::InfiniteFuture();         // infinite: never
  Pace* pace = nullptr;                                    // the definition's
};

// A session as it stood at one moment.
struct SessionInfo {
  SessionOrigin origin;
  CoroutineState state = CoroutineState::kCreated;
  Step steps = 0;
  std::optional<Reply> last_outcome;
  absl::Time create_time;
  absl::Time last_used_time;
};

// INVALID_ARGUMENTS if there are more labels than a session may have, or one of them is too long.
absl::Status CheckLabels(const Labels& labels);

// One live coroutine and the commands that wait for it.
//
// Commands take their turns in the order of Submit, never two at a time; whoever submits to a session that nobody runs
// runs it, on the thread at hand or on the executor (see Pace). No lock is held while a body runs or an answer is
// given.
//
// A finished session answers on: each command is a step with the outcome that Python gives for a finished generator.
// Thread-safe. Shared by the table and by commands under way.
class Session : public ReferenceCounted {
 public:
  Session(SessionEnvironment& environment, SessionOrigin origin, Coroutine coroutine);
  ~Session();

  const std::string& id() const { return id_; }
  const std::string& uid() const { return uid_; }
  TimerSlot& timer() { return timer_; }

  // The request id that it was created with; empty: none. REQUIRES of setting: nobody else has the session yet.
  void SetCreateId(std::string request_id) { create_id_ = std::make_unique<std::string>(std::move(request_id)); }
  bool KnowsCreate(std::string_view request_id) const { return create_id_ && *create_id_ == request_id; }

  // Remembers the answer of a Create that did not prime. REQUIRES: nobody else has the session yet.
  void RememberCreate(const std::string& request_id, std::uint64_t fingerprint);
  // Puts the command that primes at the head of the queue, to run when RunFirst is called. REQUIRES: nobody else has
  // the session yet.
  void SubmitFirst(Command* command);
  void RunFirst();

  // Queues a command. QUEUE_FULL goes to its Finish, like every other answer.
  void Submit(Command* command);

  SessionInfo Describe() const;
  CoroutineState state() const;
  bool MatchesLabels(const Labels& labels) const;
  const Definition& definition() const { return *definition_; }

  struct Changes {
    Labels labels;
    std::vector<std::string> remove_labels;
    std::optional<absl::Duration> idle_timeout;  // zero: never
    std::optional<absl::Time> expire_time;
  };
  // All or nothing; INVALID_ARGUMENTS if there would be too many labels.
  absl::Status Update(const Changes& changes);

  // When something is to be done about it though nobody asks, and what.
  struct Due {
    absl::Time when;
    enum class Act : std::uint8_t { kCloseIdle, kCloseExpired, kForget } act;
  };
  Due NextDue() const;

  // The table has forgotten it: commands that come too late are told so.
  void MarkForgotten();

 private:
  // Whose thread runs it: one that must not be kept busy, or the executor's.
  enum class Thread : std::uint8_t { kCallers, kExecutors };
  void Run(Thread thread);
  bool MayRunHere() const { return definition_->never_blocks && pace_->IsQuick(); }
  absl::StatusOr<Reply> Turn(Command& command);
  Reply TakeStep(Command& command, absl::Time now);
  Outcome Resume(Command& command);
  Outcome CloseUpTo(int attempts, bool drop);
  Outcome WithinLimits(Outcome outcome, std::size_t& bytes) const;
  ReplyWindow& Window();

  SessionEnvironment& environment_;
  const std::string id_;
  const std::string uid_;
  const Definition* const definition_;
  Pace* const pace_;
  const std::vector<Value> arguments_;
  const absl::Time create_time_;
  std::unique_ptr<const std::string> create_id_;
  TimerSlot timer_;  // the timer index's

  // For whoever runs the session.
  Coroutine coroutine_;
  std::unique_ptr<ReplyWindow> window_;

  mutable SmallMutex mutex_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;  // somebody takes commands from the queue
  bool in_step_ ABSL_GUARDED_BY(mutex_) = false;
  bool forgotten_ ABSL_GUARDED_BY(mutex_) = false;
  CoroutineState state_ ABSL_GUARDED_BY(mutex_) = CoroutineState::kCreated;  // between steps
  CommandQueue queue_ ABSL_GUARDED_BY(mutex_);
  Step steps_ ABSL_GUARDED_BY(mutex_) = 0;
  Step last_outcome_step_ ABSL_GUARDED_BY(mutex_) = 0;
  Outcome last_outcome_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_used_ ABSL_GUARDED_BY(mutex_);
  absl::Time finished_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  absl::Duration idle_timeout_ ABSL_GUARDED_BY(mutex_);
  absl::Time expire_time_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Labels> labels_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SESSION_H_
