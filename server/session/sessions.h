#ifndef COROD_SERVER_SESSION_SESSIONS_H_
#define COROD_SERVER_SESSION_SESSIONS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/limited_executor.h"
#include "server/base/mutex.h"
#include "server/base/random.h"
#include "server/catalog/catalog.h"
#include "server/journal/journal.h"
#include "server/session/account.h"
#include "server/session/command.h"
#include "server/session/crash_marks.h"
#include "server/session/deleted_sessions.h"
#include "server/session/history.h"
#include "server/session/overview.h"
#include "server/session/session.h"
#include "server/session/session_factory.h"
#include "server/session/session_table.h"
#include "server/session/specs.h"
#include "server/session/timer_index.h"
#include "server/session/watch.h"
#include "server/session/watchers.h"

namespace corod {

// What Create answers.
struct Created {
  SessionPtr session;
  std::optional<Reply> primed;
  bool existed = false;
  bool replayed = false;
};

// How it counts.
inline metrics::Result ResultOf(const Created& created) {
  return created.primed ? ResultOf(*created.primed) : metrics::Result::kDone;
}

// All sessions of a server: creates, finds, lists, closes and forgets them, brings durable ones to life when they are
// used and puts them to sleep when they are not. The service itself, without gRPC.
//
// Thread-safe. No call waits for a body or for the journal; what has to wait answers by callback, possibly before the
// call returns. Time, threads, randomness and the journal come in through the constructor; nothing happens by itself:
// somebody calls Sweep.
class Sessions {
 public:
  struct Options {
    std::size_t max_sessions = 1'000'000;
    // Of a session that names none; infinite: never.
    absl::Duration idle_timeout = absl::Hours(1);
    absl::Duration durable_idle_timeout = absl::InfiniteDuration();
    absl::Duration retention = absl::Minutes(5);  // of finished sessions
    std::uint32_t max_queued = 1024;              // commands that wait for one session
    // What would have to wait longer for a thread or the disk is refused; 0: nothing is.
    absl::Duration max_queue_delay = absl::Seconds(1);
    std::size_t max_remembered_ids = 1024;         // request ids of one session; at least max_queued
    std::size_t max_remembered_bytes = 64 * 1024;  // of the answers kept for them
    ValueLimits limits;
    DurabilityOptions durability;
  };

  // `crash_marks`: null for none. `metrics`: where is counted; null: nobody asks.
  Sessions(const Options& options, const Catalog& catalog, const Clock& clock, Executor& executor, Random& random,
           Journal& journal, CrashMarks* crash_marks = nullptr, metrics::Metrics* metrics = nullptr);
  // REQUIRES: no command is under way, the journal calls back no more, and nobody holds a session.
  ~Sessions();
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  // Blocks until the journal has what was found of crashes: a session that ended the server must not do so before that
  // is counted. To be called before anything is asked. REQUIRES: the journal calls back on threads of its own.
  void WaitForCrashes();

  // Makes a session, primes it if that is asked, and calls `done` (at once, or when it is primed).
  // Idempotency: by request_id.
  using CreateDone = std::function<void(absl::StatusOr<Created>)>;
  void Create(CreateSpec spec, CreateDone done);
  // The id of a session that is created without one: with a request id always the same, so that a retry finds it.
  std::string MakeSessionId(const Owner& owner, const std::string& request_id);

  // The session if it is in memory, or nullptr.
  SessionPtr FindLive(std::string_view id) const { return table_.Find(id); }
  // The same in three steps, for whoever looks for many: Prefetch for some, PrefetchSession for these, then FindLive.
  using IdKey = SessionTable::Key;
  SessionPtr FindLive(const IdKey& id) const { return table_.Find(id); }
  void Prefetch(const IdKey& id) const { table_.Prefetch(id); }
  void PrefetchSession(const IdKey& id) const { table_.PrefetchSession(id); }

  // Queues the command for the session of that id; SESSION_NOT_FOUND goes to its Finish. Commands of one caller for one
  // session stay in their order. A kDelete that repeats the one that deleted the session (by its request id) is
  // answered with the same outcome.
  void Submit(std::string_view id, Command* command);

  // The session as it stands, or as it stood after a step (0: as created). Does not wake it.
  using GetDone = std::function<void(absl::StatusOr<SessionInfo>)>;
  void Get(std::string_view id, std::optional<Step> at_step, GetDone done);

  // As Overview's, in the order of ids; wakes none.
  using ListEach = Overview::Each;
  using ListDone = std::function<void(absl::StatusOr<std::string>)>;
  void List(const ListQuery& query, ListEach each, ListDone done);

  void Update(std::string_view id, const Session::Changes& changes, GetDone done);

  // A new durable session that stands where this one stood after a step. `done` gets it as it stands then.
  void Fork(ForkSpec spec, GetDone done);

  // Calls `sink` with the parts of the session's log as a file, each when the one before was taken (false: nobody wants
  // more); then `done`. No thread waits meanwhile.
  using ExportSink = std::function<void(std::string part, std::function<void(bool)> taken)>;
  using ExportDone = std::function<void(absl::Status)>;
  // `begun`, if it is set, is called first, with the session whose log it is.
  using ExportBegun = std::function<void(const SessionInfo&)>;
  void Export(std::string_view id, ExportSink sink, ExportDone done, ExportBegun begun = nullptr);
  // A session from such a file, under its own id in that namespace or another (qualified).
  void Import(std::string file, const std::string& name_space, std::string session_id, GetDone done);

  // Begins to watch (see Watch). `done` gets it, or why not.
  using WatchDone = std::function<void(absl::StatusOr<std::shared_ptr<Watch>>)>;
  void StartWatch(std::string_view id, std::optional<Step> from_step, std::function<void()> wake, WatchDone done);

  // Nothing more is told to it.
  void EndWatch(const std::shared_ptr<Watch>& watch);

  // Closes what is idle or expired, forgets what was finished long enough ago, and puts to sleep what nobody uses; a
  // bounded number. Returns when there is more to do (now, if more is due). May wait for the journal.
  absl::Time Sweep();

  // Refuses new sessions and commands from now on; closes every ephemeral session so that its cleanup runs, behind the
  // step that is running, and puts the durable ones to sleep. `done` is called when all that is done. Call once.
  void Drain(std::function<void()> done);

  // How many there are, and how many of them are in memory.
  std::size_t size() const;
  // How many a namespace has.
  std::size_t SizeOf(const Account& account) const;
  std::size_t live() const { return table_.size(); }
  // How many are on the disk alone; about, while some come and go.
  std::size_t asleep() const;
  // How many of those in memory have finished.
  std::size_t finished() const;
  // How many are known to have a problem, in memory or not; of those that were found since the server began.
  std::size_t troubled() const { return environment_.troubled.size(); }
  const ValueLimits& limits() const { return environment_.limits; }
  absl::Time Now() const { return environment_.clock.Now(); }
  const Catalog& catalog() const { return catalog_; }
  Accounts& accounts() { return accounts_; }
  metrics::Metrics& metrics() const { return environment_.metrics; }

 private:
  class CreateCommand;
  class Retirement;

  // A session that is being looked for in the journal, and those who wait for it.
  struct Loading {
    CommandQueue commands;
    std::vector<std::function<void(const absl::StatusOr<SessionPtr>&)>> waiting;
  };
  using Opened = std::function<void(const absl::StatusOr<SessionPtr>&)>;

  // `existing`: what the id stands for, or nullptr.
  void Place(CreateSpec spec, const SessionPtr& existing, CreateDone done);
  // `replaced`: has finished and goes, or nullptr.
  absl::StatusOr<SessionFactory::Built> Build(const CreateSpec& spec, const SessionPtr& replaced);
  void PlaceNew(CreateSpec spec, SessionFactory::Built built, const SessionPtr& replaced, CreateDone done);
  std::size_t WrittenBy(const Account& account) const;
  // One more that is being written, or one less.
  void BeginCreating(Session& session);
  void EndCreating(Session& session);
  // One more in memory, or one less.
  void CountIn(Session& session);
  void CountOut(Session& session);
  // Into the table. TOO_MANY_SESSIONS; a conflict if the id is taken.
  absl::Status Admit(const SessionPtr& session, const SessionPtr& replaced);
  void AnswerExisting(const SessionPtr& existing, const CreateSpec& spec, CreateDone done);
  void MakeFork(const ForkSpec& spec, std::uint64_t fingerprint, const GetDone& done);
  void ExportNext(const std::shared_ptr<History::File>& file, const ExportSink& sink, const ExportDone& done);
  // The life of a copy begins now.
  void Begin(Head& head) const;
  // `taken`: called instead of `done` if the id was taken meanwhile.
  void PlaceCopy(History::Copy copy, const GetDone& done, const std::function<void()>& taken);

  void SubmitToSession(std::string_view id, Command* command);
  // Whether the command is a Delete that was answered before.
  bool AnswerDeleted(std::string_view id, Command* command);
  void AnswerNotFound(std::string_view id, Command* command);

  // MEMORY_LIMIT if the session is not in memory and its namespace has no room for it.
  absl::Status CheckWake(std::string_view id);
  // Calls `then` with the session of that id, brought to life if need be; nullptr: there is none. Behind those that are
  // creating it.
  void Open(std::string_view id, Opened then);
  void Give(const absl::StatusOr<SessionPtr>& opened, const Opened& then);
  // The same for a command or a caller, when the session is not in memory: behind those who wait for it already.
  void Wait(std::string_view id, Command* command, Opened then);
  void Load(const std::string& id);
  // Carries out a Delete of a session whose head cannot be read.
  void RemoveDamaged(const std::string& id, Command* command);

  void Forget(Session& session);
  // A durable session has left memory.
  void Leave(Session& session);
  void PutToSleep(const SessionPtr& session, const std::function<void(bool asleep)>& done);
  // Puts to sleep what was used longest ago, if there are too many.
  void Evict();
  // The same for namespaces that have little memory left (Account::IsTight), about, of the next so many sessions.
  void EvictOfTight(std::size_t looks);
  // Measures anew what some ephemeral sessions of these namespaces take, which may have become less. A bounded number,
  // of one namespace after the other.
  void ChargeOf(const std::vector<Account*>& tight);
  void CloseInBackground(const SessionPtr& session, CloseCause cause, bool forgets, std::function<void()> done);
  void SweepEphemeral(absl::Time now);
  void SweepJournal(absl::Time now);
  // Accounts for all that the journal has sessions of, also if nobody has used them yet. False: it cannot be read now.
  bool FindNamespaces();
  void MeasureJournal(absl::Time now);
  void SweepEntry(const Journal::Due& entry, absl::Time now);
  absl::Time DueOf(const Head& head) const;
  void CountCrashes(const CrashMarks& marks);
  void DrainDurable(const SessionPtr& session, int tries, std::function<void()> done);

  // On a thread that may wait for the journal; on this one if there is none.
  void RunWaiting(std::function<void()> task);

  const Options options_;
  const Catalog& catalog_;
  Random& random_;
  Journal& journal_;
  CrashMarks no_marks_;
  const std::unique_ptr<metrics::Metrics> own_metrics_;  // null: somebody else's are used
  Watchers watchers_;
  Accounts accounts_;
  SessionEnvironment environment_;
  History history_;
  SessionFactory factory_;
  SessionTable table_;  // after what its sessions are of
  LimitedExecutor computing_executor_;
  LimitedExecutor long_executor_;
  LimitedExecutor loading_executor_;
  Overview overview_;
  TimerIndex timers_;   // of ephemeral sessions: when they are idle, expire, or may be forgotten
  TimerIndex recency_;  // of durable ones that are in memory: which was used longest ago
  DeletedSessions deleted_;
  std::atomic<std::size_t> ephemeral_{0};
  std::atomic<std::size_t> durable_live_{0};
  std::atomic<std::size_t> creating_{0};  // durable sessions that are not in the journal yet
  std::atomic<std::size_t> falling_asleep_{0};
  std::atomic<std::size_t> background_{0};  // sessions that were woken because their time had come
  Mutex loading_mutex_;
  absl::flat_hash_map<std::string, std::unique_ptr<Loading>> loading_ ABSL_GUARDED_BY(loading_mutex_);
  Mutex tight_mutex_;
  TimerIndex::Place tight_place_ ABSL_GUARDED_BY(tight_mutex_);  // in recency_, how far EvictOfTight has looked
  Mutex crashes_mutex_;
  CondVar crashes_saved_;
  int crashes_to_save_ ABSL_GUARDED_BY(crashes_mutex_) = 0;
  std::map<const Account*, std::string> charged_to_;  // how far ChargeOf came, by id; for whoever sweeps
  std::size_t charged_turns_ = 0;                     // whose turn it is
  absl::Time measured_ = absl::InfinitePast();        // the journal; for whoever sweeps
  std::optional<Journal::Due> swept_to_;              // of the journal's index by time; for whoever sweeps
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SESSIONS_H_
