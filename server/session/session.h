#ifndef COROD_SERVER_SESSION_SESSION_H_
#define COROD_SERVER_SESSION_SESSION_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/compact_pointer.h"
#include "server/base/compact_text.h"
#include "server/base/executor.h"
#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"
#include "server/base/random.h"
#include "server/catalog/definition.h"
#include "server/catalog/namespaces.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/held.h"
#include "server/coroutine/limits.h"
#include "server/journal/journal.h"
#include "server/metrics/metrics.h"
#include "server/session/account.h"
#include "server/session/command.h"
#include "server/session/pace.h"
#include "server/session/replay.h"
#include "server/session/reply_window.h"
#include "server/session/session_log.h"
#include "server/session/timer_index.h"
#include "server/session/troubled_sessions.h"
#include "server/session/watchers.h"

namespace corod {

class Session;
using SessionPtr = IntrusivePtr<Session>;

// How durable sessions are kept.
struct DurabilityOptions {
  Step checkpoint_every = 1'000;                       // steps
  Step history = 10'000;                               // steps that stay reachable; kAllHistory: all
  Step history_limit = 1'000'000;                      // steps of a coroutine that cannot be restarted
  absl::Duration passivate_after = absl::Minutes(10);  // without a command; infinite: never
  std::size_t max_live_sessions = 1'000'000;
  // A session that is alive when the server ends without warning is brought up to date after so long, if nobody asks
  // for it before.
  absl::Duration settle_after = absl::Hours(1);

  static constexpr Step kAllHistory = ~Step{0};
};

// What all sessions of a server share.
struct SessionEnvironment {
  const Clock& clock;
  Executor& executor;
  // A few threads of it, for what needs nothing but a processor; a few others for what needs it for long, so that the
  // rest does not wait behind that.
  Executor& computing;
  Executor& computing_long;
  Random& random;
  Journal& journal;
  Watchers& watchers;
  Accounts& accounts;
  metrics::Metrics& metrics;
  ReplayEnvironment replay;
  ValueLimits limits;
  std::uint32_t max_queued;        // commands of one session that wait
  absl::Duration max_queue_delay;  // of commands that are not bounded by their sender; infinite: whatever
  std::size_t max_remembered_ids;  // see ReplyWindow
  std::size_t max_remembered_bytes;
  absl::Duration retention;  // how long a finished session is kept
  // Of a session that names none; infinite: never.
  absl::Duration idle_timeout = absl::InfiniteDuration();
  absl::Duration durable_idle_timeout = absl::InfiniteDuration();
  DurabilityOptions durability;
  std::atomic<bool> draining = false;
  std::atomic<std::int64_t> finished = 0;  // sessions in memory
  TroubledSessions troubled{};
  // Called when an ephemeral session has finished. On the thread that runs it.
  std::function<void(Session&)> on_finished;
  // Called when a session is to be forgotten at once, for the Delete that asked for it (nullptr: nobody's). On the
  // thread that runs it.
  std::function<void(Session&, const Command*, const Reply*)> on_deleted;
  // Called with a command of a session that could not be created since the id stands for another one.
  std::function<void(const std::string& id, Command*)> submit_again;
  // Random: what the uids of ephemeral sessions are made from.
  std::array<std::uint64_t, 2> uid_key{};
};

// What all sessions share that are of one definition, in one namespace, and look up what they delegate to as of one
// revision.
struct SessionKind {
  SessionEnvironment& environment;
  const Definition* const definition;  // nullptr: this server lacks it
  const CatalogRevision catalog_revision;
  Account& account;                          // of the namespace
  Pace& pace;                                // of the definition
  const metrics::CommandCounters& counters;  // of the coroutine, whatever its version
};

// The uid of the ephemeral session that has this seed.
std::string EphemeralUid(const SessionEnvironment& environment, std::uint64_t seed);

// Says in the log, the first time, that the session has this problem, and counts it among the troubled ones.
void ReportProblem(SessionEnvironment& environment, const SessionKey& key, const SessionProblem& problem);

// A session as it stood at one moment.
struct SessionInfo : Head {
  const Definition* definition = nullptr;  // nullptr: this server lacks it
  bool durable = false;
  bool live = false;  // in memory
};

// Whether `labels` has all of `wanted`.
bool Includes(const Labels& labels, const Labels& wanted);
// INVALID_ARGUMENTS if there are more labels than a session may have, or one of them is too long.
absl::Status CheckLabels(const Labels& labels);

// One live coroutine and the commands that wait for it.
//
// Commands take their turns in the order of Submit, never two at a time; whoever submits to a session that nobody runs
// runs it, on the thread at hand or on the executor (see Pace). No lock is held while a body runs, while the journal is
// read, or while an answer is given.
//
// A durable session takes all commands at the head of its queue that are certain to be steps, appends them to its log
// as one batch, and goes on when the journal calls back: it runs them, and answers. What the journal does not take is
// answered with JOURNAL_UNAVAILABLE.
//
// A finished session answers on: each command is a step with the outcome that Python gives for a finished generator.
// Thread-safe. Shared by the table and by commands under way.
class Session : public ReferenceCounted {
 public:
  // An ephemeral session, whose uid is EphemeralUid of its seed. What `head` says of the Create is remembered.
  Session(SessionKind& kind, const Head& head, Coroutine coroutine);
  // A durable one.
  Session(SessionKind& kind, const Head& head, Coroutine coroutine, std::unique_ptr<SessionLog> log);
  ~Session();

  static void* operator new(std::size_t bytes);
  static void operator delete(void* session);

  const CompactText& compact_id() const { return id_; }
  std::string id() const { return id_.str(); }
  // As it is called in its namespace.
  std::string local_id() const { return std::string(LocalName(id_.str())); }
  Account& account() const { return kind_->account; }
  const metrics::CommandCounters& counters() const { return kind_->counters; }
  std::string uid() const { return durable_ ? log_->uid.str() : EphemeralUid(environment(), seed_); }
  bool durable() const { return durable_; }
  TimerSlot& timer() { return timer_; }

  // Whether it was created with this request id.
  bool KnowsCreate(std::string_view request_id) const {
    return has_create_id_ && (durable_ ? log_->ids.IsCreateId(request_id) : window_->IsCreateId(request_id));
  }

  // Of the request that created it, if it is durable and had a request id; else 0.
  std::uint64_t create_fingerprint() const { return durable_ && has_create_id_ ? log_->ids.create_fingerprint() : 0; }

  // Remembers the answer of a Create that did not prime. REQUIRES: ephemeral; nobody else has the session yet.
  void RememberCreate(std::uint64_t fingerprint);
  // Takes commands and runs none until Release. REQUIRES: nobody else has the session yet.
  void Hold();
  // Runs it, on this thread or another. REQUIRES: it is the caller's, by Hold or Enqueue.
  void Release();
  // Of a new durable session that is held: Release first creates it in the journal, together with the commands that
  // wait for it. `prime`: the one of them that is part of the Create; when it is refused, nothing is created. Null:
  // none. `created` is told how that went, before any command is answered.
  void CreateInJournal(Journal::NewSession made, const Command* prime,
                       std::function<void(const absl::Status&)> created);

  // Whether it is not known yet if the journal has it: it may turn out that it never was.
  bool IsBeingCreated() const;
  // True: it is, and `then` is called when that is known (on any thread; it must not block). False: it is not.
  bool WaitForCreation(std::function<void()> then);

  // OVERLOADED if its first command would wait too long for a thread or for the journal.
  absl::Status CheckLoad() const;
  // Queues a command. QUEUE_FULL and OVERLOADED go to its Finish, like every other answer. False: the session has left
  // memory and did not take the command; whoever looks for it again finds what is there now.
  [[nodiscard]] bool Submit(Command* command);
  // The first half of it, for whoever has commands for many sessions: queues the command and runs nothing. `runs`:
  // nobody ran the session, so it is the caller's, who calls Release soon, since others wait. REQUIRES:
  // command->bounded_by_sender.
  [[nodiscard]] bool Enqueue(Command* command, bool& runs);

  // The short way for a Send that asks for nothing but its step: taken at once, on this thread, if nothing stands in
  // its way. False: nothing is done; Submit knows what is to be done. Only ephemeral sessions have it.
  //
  // With BeginSend the caller runs the session until FinishSend, which must follow soon: others wait meanwhile. `now`:
  // about what time it is, then the time after the step. `reply`: the answer.
  [[nodiscard]] bool BeginSend(absl::Time now, Reply& reply);
  void FinishSend(Value& value, absl::Time& now, Reply& reply);

  // What it takes in memory, about, in bytes, as it is charged to its namespace.
  std::size_t charged() const;
  // Measures it anew, if nobody runs it and there was a step since that was last done.
  void ChargeIfStale();

  // Takes no more commands, and gives back those that wait. REQUIRES: it is held.
  CommandQueue Abandon();

  // The same of a durable session that has finished and is to be replaced. False, and nothing is done: it is being
  // deleted, or may be. REQUIRES: the caller runs it, that is, it is called by the Finish of a command.
  bool Retire(CommandQueue& waiting);

  // Puts a durable session to sleep if nothing is under way: saves how it stands, then calls `done` with whether it has
  // left memory (it stays if a command came meanwhile). False: it is busy, `done` is not called.
  bool Sleep(std::function<void(bool asleep)> done);

  SessionInfo Describe() const;
  CoroutineState state() const;
  bool IsFinished() const;
  bool HasProblem() const;
  bool MatchesLabels(const Labels& labels) const;
  // nullptr if this server lacks it.
  const Definition* definition() const { return kind_->definition; }

  struct Changes {
    Labels labels;
    std::vector<std::string> remove_labels;
    std::optional<absl::Duration> idle_timeout;  // zero: never
    std::optional<absl::Time> expire_time;
  };
  // All or nothing; INVALID_ARGUMENTS if there would be too many labels. Of a durable session `done` is told when it is
  // stable. False: the session has left memory, nothing is done.
  [[nodiscard]] bool Update(const Changes& changes, const Journal::Done& done);

  // When something is to be done about it though nobody asks, and what.
  struct Due {
    absl::Time when;
    enum class Act : std::uint8_t { kCloseIdle, kCloseExpired, kForget } act;
  };
  Due NextDue() const;
  // When it may leave memory: of two sessions, the one that was used longer ago comes first.
  absl::Time SleepDue() const;

  // The table has forgotten it: commands that come too late are told so.
  void MarkForgotten();

 private:
  // Whose thread runs it: one that must not be kept busy, or the executor's.
  enum class Thread : std::uint8_t { kCallers, kExecutors };
  // What a command is, in its turn.
  enum class Verdict : std::uint8_t {
    kStep,
    kAnswered,  // refused, or known: the answer is there
    kRepeat,    // the answer is that of a step that has to be run again
  };
  // What a command finds, all before it executed or in the log.
  struct Standing {
    Step steps = 0;
    Step checkpoint = 0;   // the newest that was asked for
    bool created = false;  // not primed
    bool forgotten = false;
    bool has_problem = false;
  };

  // Commands that waited, and what the first of them finds.
  struct Turn {
    CommandQueue commands;
    Standing standing;
  };

  void TakeOver(const Head& head) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ChangeLocked(const Changes& changes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // QUEUE_FULL, or OVERLOADED.
  absl::Status CheckRoomLocked(const Command& command, bool here) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `before`: commands that wait before the one it is about. `here`: it runs on the thread at hand.
  absl::Status CheckLoad(bool here, std::uint32_t before) const;
  // The queue is changed by these alone, which count what waits in it.
  void PushLocked(Command* command) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PutBackLocked(CommandQueue& commands) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Command* PopLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  CommandQueue TakeQueueLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunOnSomeThread();
  void Run(Thread thread);
  static constexpr std::size_t kChargeUnit = 16;  // bytes
  static constexpr std::uint32_t kFresh = std::uint32_t{1} << 31;
  // A step counts as so many bytes that come in, beside what is sent.
  static constexpr std::size_t kBytesOfStep = 64;
  // For so long one session has a thread of the executor's while others wait for it.
  static constexpr absl::Duration kTimeInARow = absl::Milliseconds(10);
  bool RunEphemeral(Thread thread);
  // Where it runs if not on the thread at hand. More threads than processors help whoever waits, and harm all others.
  Executor& executor() const {
    if (!definition() || !definition()->never_blocks) return environment().executor;
    return kind_->pace.IsSlow() ? environment().computing_long : environment().computing;
  }
  bool MayRunHere() const { return definition() && definition()->never_blocks && kind_->pace.IsQuick(); }
  Standing Stand() const;
  Standing StandLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Verdict Check(Command& command, const Standing& standing, absl::Time now, absl::StatusOr<Reply>& answer);
  std::optional<Verdict> CheckKnown(Command& command, absl::StatusOr<Reply>& answer);
  Reply TakeStep(Command& command, absl::Time now);
  // For those who watch: the command that becomes a step. nullptr if nobody does.
  std::unique_ptr<StepEvent> BeginEvent(const Command& command, absl::Time now) const;
  void LogStep(const Command& command, const Reply& reply) const;
  // What came of a step. Whether that finished the coroutine.
  bool CompleteStep(Step step, const Outcome& outcome, absl::Time end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What a step brings into the session by what is sent, in bytes; to be asked before it runs.
  static std::size_t BytesBroughtBy(const Value& sent) { return kBytesOfStep + HeldBytes(sent); }
  // After a step that brought so much in: whether what the session takes is to be measured anew, since it may have
  // changed much.
  bool IsChargeDue(std::size_t brought) {
    const std::uint32_t left = uncharged_ & ~kFresh;
    if (brought >= left) [[unlikely]]
      return true;
    uncharged_ = left - static_cast<std::uint32_t>(brought);
    return false;
  }
  // Measures what it takes, and tells its account. `asked`: what the step has asked for (StepScope).
  void Charge(std::size_t asked = 0);
  // Whether that was since the last step.
  bool IsChargeFresh() const { return (uncharged_ & kFresh) != 0; }
  void ChargeLocked(std::size_t held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A multiple of kChargeUnit.
  std::size_t LabelsBytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ReplyWindow& Window();
  ReplyWindow::Limits RememberLimits() const;
  // The step's request id and answer.
  void Remember(const Command& command, const Reply& reply);

  // Durable sessions (durable_session.cc); for whoever runs the session.
  enum class Gathered : std::uint8_t {
    kNothing,          // no command waits: nobody runs the session any more
    kGoesOnElsewhere,  // the next command needs a thread that may be kept busy
    kBatch,            // there is something to append
    kRemoves,          // the session is being removed, which goes on by itself
    kIsNotToBe,        // the Create is refused
  };
  // Commands that are to become steps together.
  struct Gathering {
    CommandQueue batch;
    Step steps = 0;        // before them
    absl::Time now;        // when they were accepted
    absl::Status refusal;  // kIsNotToBe
  };
  void RunDurable(Thread thread, SessionPtr keep);
  // The same with commands that were taken from the queue already. REQUIRES: the log is settled.
  void RunDurable(Thread thread, SessionPtr keep, Turn& turn);
  void GoOnElsewhere(SessionPtr keep);
  // Takes commands that are certain to be steps, as many as there are; answers those before them. Begins with those of
  // `turn`, if it has any.
  Gathered GatherBatch(Thread thread, Turn& turn, Gathering& gathering);
  // False: there are none, and nobody runs the session any more.
  bool TakeTurn(Turn& turn);
  void TakeTurnLocked(Turn& turn) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AppendBatch(Gathering gathering, SessionPtr keep);
  // When a batch is in the log, or is not: OnAppended for the session and its commands.
  static const Journal::Then::Kind kAppended;
  // It is about to be run by whoever runs it.
  void PrefetchRun() const;
  // Whether the session goes on.
  bool OnCreated(const absl::Status& status, CommandQueue& batch, bool others_go_on);
  bool IsPrime(const Command& command) const;
  BatchId NextBatch();
  void SetTail(const BatchId& appended);
  void OnAppended(const absl::Status& status, CommandQueue batch, Thread thread, SessionPtr keep);
  // Executes and answers. False: the session is being removed, which goes on by itself.
  bool ExecuteBatch(CommandQueue& batch);
  // After a conflict or a doubt: finds out what became of the batch, and answers or queues what is not in the log.
  void Recover(const absl::Status& status, CommandQueue& batch);
  // Takes over what the log holds beyond the tail; answers what is there of `batch`, whose id is `own`. After it, what
  // is under way is void.
  absl::Status ReadToTip(const BatchId& own, CommandQueue& batch);
  // Of whoever runs the session: ReportProblem, if it has one.
  void ReportOwnProblem();
  // Gives it as a status.
  absl::Status SetProblem(SessionProblem problem) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Adopt(const Batch& adopted, const BatchId& own, CommandQueue& batch);
  void Fail(CommandQueue& commands, const absl::Status& status) const;
  void FailQueue(const absl::Status& status);
  // A session that was not created takes and answers nothing more. `others_go_on`: what is not part of the Create is
  // submitted again, and not told the same.
  void End(const absl::Status& status, CommandQueue& batch, bool others_go_on);
  void TellOfCreation();
  void NoteDelete(std::string_view request_id, std::uint64_t fingerprint, const Reply& reply);
  SessionLog::Extras& MutableLogExtras();
  // Whether nothing waits; nobody runs the session then.
  bool IsIdle();
  bool IsIdleLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Answers with the outcome of the step that the command repeats, from the log.
  void Repeat(Command& command);
  // Nothing if it cannot be restarted from where it stands.
  std::optional<Checkpoint> MakeCheckpoint() const;
  // A checkpoint every so many steps; how it ended.
  void SaveIfDue();
  enum class Synced : std::uint8_t { kNo, kYes };
  void Save(std::optional<Checkpoint> checkpoint, std::optional<absl::Time> due, Synced synced, Journal::Done done);
  // Removes what lies before the checkpoint `oldest`, and the checkpoints that were dropped.
  void Trim(std::optional<Step> oldest, const std::vector<Step>& dropped);
  // Then answers `command`, if there is one.
  void RemoveFromJournal(Command* command, std::optional<Reply> reply);
  std::optional<absl::Time> DueInJournal() const;
  std::optional<absl::Time> DueInJournalLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Due NextDueLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Head MakeHeadLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // What only some sessions have.
  struct Extras {
    std::vector<Value> arguments;
    Labels labels;
    absl::Duration idle_timeout;  // infinite: never
    absl::Time expire_time = absl::InfiniteFuture();
    absl::Time finish_time = absl::InfiniteFuture();
    std::optional<Step> last_outcome_step;  // if that is not the last step
  };

  SessionEnvironment& environment() const { return kind_->environment; }
  // For changing them; made when they are needed.
  Extras& MutableExtras() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration idle_timeout() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time expire_time() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time finish_time() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration DefaultIdleTimeout() const;
  absl::Time last_used() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return absl::FromUnixNanos(last_used_); }
  void SetLastUsed(absl::Time time) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { last_used_ = absl::ToUnixNanos(time); }
  // That of the last step, or of the one that finished it; 0: none.
  Step last_outcome_step() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Outcome last_outcome() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetLastOutcome(Outcome outcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // The fields lie close, for there are millions; docs/performance.md has what each session takes. Two words that
  // different locks guard must not be bits of one.
  mutable SmallMutex mutex_;
  const CompactText id_;
  const std::uint64_t seed_;
  const std::int64_t create_time_;  // these two in nanoseconds since 1970
  std::int64_t last_used_ ABSL_GUARDED_BY(mutex_);
  Coroutine coroutine_;  // for whoever runs the session
  CommandQueue queue_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t outcome_bits_ ABSL_GUARDED_BY(mutex_) = 0;  // a Value's, with its kind
  Step steps_ : 48 ABSL_GUARDED_BY(mutex_) = 0;
  Value::Kind outcome_value_ : 4 ABSL_GUARDED_BY(mutex_) = Value::Kind::kNull;
  Outcome::Kind outcome_kind_ : 2 ABSL_GUARDED_BY(mutex_) = Outcome::Kind::kReturned;
  CoroutineState state_ : 2 ABSL_GUARDED_BY(mutex_) = CoroutineState::kCreated;  // between steps
  bool running_ : 1 ABSL_GUARDED_BY(mutex_) = false;  // somebody takes commands from the queue
  bool in_step_ : 1 ABSL_GUARDED_BY(mutex_) = false;
  bool forgotten_ : 1 ABSL_GUARDED_BY(mutex_) = false;
  bool gone_ : 1 ABSL_GUARDED_BY(mutex_) = false;  // it has left memory: takes no commands

  const CompactPointer<SessionKind> kind_;
  union {                                 // its own; for whoever runs the session
    CompactPointer<ReplyWindow> window_;  // of an ephemeral one; null if there is nothing in it
    CompactPointer<SessionLog> log_;      // of a durable one; what is said there
  };
  CompactPointer<Extras> extras_ ABSL_GUARDED_BY(mutex_);  // its own; the arguments in it never change
  const bool durable_ : 1;
  const bool has_create_id_ : 1;  // then it has a window or ids from the beginning, and always the same
  TimerSlot timer_;               // an index's

  std::uint32_t charged_ ABSL_GUARDED_BY(mutex_) = 0;  // to the account, in kChargeUnit
  // Bytes that may come in before what it takes is measured; kFresh: none did since it was. For whoever runs the
  // session.
  std::uint32_t uncharged_ = 0;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SESSION_H_
