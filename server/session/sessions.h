#ifndef COROD_SERVER_SESSION_SESSIONS_H_
#define COROD_SERVER_SESSION_SESSIONS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/base/random.h"
#include "server/catalog/catalog.h"
#include "server/journal/journal.h"
#include "server/session/command.h"
#include "server/session/deleted_sessions.h"
#include "server/session/session.h"
#include "server/session/session_table.h"
#include "server/session/timer_index.h"

namespace corod {

enum class Durability : std::uint8_t { kDefault, kEphemeral, kDurable };
enum class IfExists : std::uint8_t { kFail, kReturn, kReplaceFinished };

// What is asked of Create.
struct CreateSpec {
  std::string coroutine;
  std::uint32_t version = 0;  // 0: the newest
  Map arguments;
  std::string session_id;  // empty: made here
  bool prime = false;
  std::optional<absl::Duration> idle_timeout;  // unset: the server's default; zero: never
  absl::Time expire_time = absl::InfiniteFuture();
  Durability durability = Durability::kDefault;
  IfExists if_exists = IfExists::kFail;
  Labels labels;
  std::string request_id;
  absl::Time deadline = absl::InfiniteFuture();
  bool bounded_by_sender = false;  // as Command's
};

// What Create answers.
struct Created {
  SessionPtr session;
  std::optional<Reply> primed;
  bool existed = false;
  bool replayed = false;
};

// Which sessions List shows.
struct ListQuery {
  std::string page_token;
  std::string coroutine;                // empty: any
  std::optional<CoroutineState> state;  // unset: any
  Labels labels;                        // all of these
  bool has_problem = false;
};

// All sessions of a server: creates, finds, lists, closes and forgets them. The service itself, without gRPC.
//
// Thread-safe. No call waits for a body; what has to wait answers by callback. Time, threads, randomness and the
// journal come in through the constructor; nothing happens by itself: somebody calls Sweep.
class Sessions {
 public:
  struct Options {
    std::size_t max_sessions = 1'000'000;
    absl::Duration idle_timeout = absl::Hours(1);  // of a session that names none; infinite: never
    absl::Duration retention = absl::Minutes(5);   // of finished sessions
    std::uint32_t max_queued = 1024;               // commands that wait for one session
    std::size_t max_remembered_ids = 1024;         // request ids of one session; at least max_queued
    std::size_t max_remembered_bytes = 64 * 1024;  // of the answers kept for them
    ValueLimits limits;
  };

  Sessions(Options options, const Catalog& catalog, const Clock& clock, Executor& executor, Random& random,
           const Journal& journal);
  // REQUIRES: no command is under way.
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  // Makes a session, primes it if that is asked, and calls `done` (at once, or when it is primed).
  // Idempotency: by request_id.
  using CreateDone = std::function<void(absl::StatusOr<Created>)>;
  // The session can be found when this returns (if it was made), so commands for it can be submitted behind it.
  void Create(CreateSpec spec, CreateDone done);
  // The id of a session that is created without one: with a request id always the same, so that a retry finds it.
  std::string MakeSessionId(const std::string& request_id);

  // The session, or nullptr.
  SessionPtr Find(std::string_view id) const;

  // Queues the command for the session of that id; SESSION_NOT_FOUND goes to its Finish. A kDelete that repeats the
  // one that deleted the session (by its request id) is answered with the same outcome.
  void Submit(std::string_view id, Command* command);

  absl::StatusOr<SessionInfo> Get(std::string_view id, std::optional<Step> at_step) const;

  // Calls `each` with sessions in the order of their ids until it returns false (that session comes again on the next
  // page), and returns the token of the next page, empty after the last session. Looks at a bounded number, so a page
  // may be empty.
  absl::StatusOr<std::string> List(const ListQuery& query, const std::function<bool(const SessionInfo&)>& each) const;

  absl::StatusOr<SessionInfo> Update(std::string_view id, const Session::Changes& changes);

  // Closes what is idle or expired and forgets what was finished long enough ago, a bounded number. Returns when there
  // is more to do (now, if more is due).
  absl::Time Sweep();

  // Refuses new sessions and commands from now on, and closes every session so that its cleanup runs, behind the step
  // that is running. `done` is called when all are closed. Call once.
  void Drain(std::function<void()> done);

  std::size_t size() const { return table_.size(); }
  const ValueLimits& limits() const { return environment_.limits; }
  const Catalog& catalog() const { return catalog_; }

 private:
  class CreateCommand;

  absl::StatusOr<SessionPtr> Build(const CreateSpec& spec);
  void AnswerExisting(const SessionPtr& existing, const CreateSpec& spec, std::uint64_t fingerprint, CreateDone done);
  void Forget(Session& session);
  void CloseInBackground(const SessionPtr& session, CloseCause cause, std::function<void()> done);
  Pace* PaceOf(const Definition* definition);

  const Options options_;
  const Catalog& catalog_;
  Random& random_;
  const Journal& journal_;
  SessionEnvironment environment_;
  SessionTable table_;
  TimerIndex timers_;
  DeletedSessions deleted_;
  Mutex paces_mutex_;
  absl::flat_hash_map<const Definition*, std::unique_ptr<Pace>> paces_ ABSL_GUARDED_BY(paces_mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SESSIONS_H_
