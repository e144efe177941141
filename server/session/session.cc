#include "server/session/session.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "server/base/failure.h"
#include "server/base/uuid.h"
#include "server/coroutine/fingerprint.h"
#include "server/coroutine/held.h"
#include "server/coroutine/slab.h"
#include "server/log/log.h"
#include "server/session/execution.h"
#include "server/session/refusals.h"

// What all sessions do, and the steps of ephemeral ones. durable_session.cc has what durable ones do besides.
namespace corod {
namespace {

// A thread that runs a busy session lets go of it after so many steps, or so long (kTimeInARow), so that its own call
// goes on, or others get their turn.
constexpr int kStepsInARow = 256;
// What a session takes beside its own object: its place in the table and in an index, about.
constexpr std::size_t kBytesAround = 64;
// What a session that keeps little takes at most.
constexpr std::size_t kUsualBytes = 512;
constexpr absl::Duration kLongCharge = absl::Milliseconds(1);
// So many steps count for when what a session takes is measured.
constexpr Step kEarlySteps = 64;
constexpr std::size_t kMostUncharged = std::size_t{1} << 30;
// The same for a script, which says how much memory it asks for.
constexpr std::size_t kScriptAsks = std::size_t{8} << 10;
constexpr std::size_t kMaxLabels = 64;
constexpr std::size_t kMaxLabelNameBytes = 256;
constexpr std::size_t kMaxLabelValueBytes = 1024;

std::uint64_t FingerprintOf(const Command& command) {
  if (command.operation == Operation::kCreate) return command.fingerprint;
  Fingerprint fingerprint;
  fingerprint.AddNumber(static_cast<std::uint64_t>(command.operation))
      .AddNumber(command.force ? 1 : 0)
      .Add(command.value);
  return fingerprint.value();
}

// There are millions of sessions.
Slab& SessionSlab() {
  static Slab& slab = *new Slab(sizeof(Session));
  return slab;
}

// Apart, so that it costs nothing where nothing but a number is sent.
[[gnu::noinline]] std::size_t HeldBytesOfMore(const Value& sent) { return HeldBytes(sent); }

// splitmix64's finaliser.
std::uint64_t Mix(std::uint64_t bits) {
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111ebULL;
  return bits ^ bits >> 31;
}

}  // namespace

static_assert(sizeof(Session) == 112, "there are millions; docs/performance.md has the account");

std::string EphemeralUid(const SessionEnvironment& environment, std::uint64_t seed) {
  return MakeUuid(Mix(seed ^ environment.uid_key[0]), Mix(seed + environment.uid_key[1]));
}

void ReportProblem(SessionEnvironment& environment, const SessionKey& key, const SessionProblem& problem) {
  if (!environment.troubled.Add(key.uid)) return;
  const std::string_view session_id = LocalName(key.id);
  const std::string_view name_space = NamespaceOf(key.id);
  if (problem.reason == NameOf(Reason::REPLAY_DIVERGED)) {
    COROD_LOG(
        kSession, kWarning, "a replay diverged, so the session stands still",
        {{"session_id", session_id}, {"namespace", name_space}, {"step", problem.step}, {"problem", problem.message}});
  } else {
    COROD_LOG(
        kSession, kWarning, "a session is broken, and stands still",
        {{"session_id", session_id}, {"namespace", name_space}, {"step", problem.step}, {"problem", problem.message}});
  }
}

void* Session::operator new(std::size_t) { return SessionSlab().Allocate(); }
void Session::operator delete(void* session) { SessionSlab().Free(session); }

Session::Session(SessionKind& kind, const Head& head, Coroutine coroutine)
    : Session(kind, head, std::move(coroutine), nullptr) {
  if (has_create_id_) window_ = CompactPointer<ReplyWindow>(new ReplyWindow(head.create_request_id));
  Charge();
}

Session::Session(SessionKind& kind, const Head& head, Coroutine coroutine, std::unique_ptr<SessionLog> log)
    : id_(head.key.id),
      seed_(head.seed),
      create_time_(absl::ToUnixNanos(head.create_time)),
      last_used_(absl::ToUnixNanos(head.last_used_time)),
      coroutine_(std::move(coroutine)),
      steps_(head.steps),
      state_(head.state),
      kind_(&kind),
      window_(),
      durable_(log != nullptr),
      has_create_id_(!head.create_request_id.empty()) {
  const bool is_durable = log != nullptr;
  if (log) log_ = CompactPointer<SessionLog>(log.release());
  {
    const MutexLock lock(mutex_);
    TakeOver(head);
  }
  if (is_durable) Charge();
}

void Session::TakeOver(const Head& head) {
  const Step outcome_step = head.last_outcome ? head.last_outcome->step : 0;
  const bool usual = head.arguments.empty() && head.labels.empty() && head.idle_timeout == idle_timeout() &&
                     head.expire_time == absl::InfiniteFuture() && head.finish_time == absl::InfiniteFuture() &&
                     outcome_step == head.steps && head.state != CoroutineState::kClosed;
  if (!usual) {
    Extras& extras = MutableExtras();
    extras.arguments = head.arguments;
    extras.labels = head.labels;
    extras.idle_timeout = head.idle_timeout;
    extras.expire_time = head.expire_time;
    extras.finish_time = head.finish_time;
    if (outcome_step != head.steps || head.state == CoroutineState::kClosed) extras.last_outcome_step = outcome_step;
  }
  if (head.last_outcome) SetLastOutcome(head.last_outcome->outcome);
}

Session::~Session() {
  account().AddMemory(-static_cast<std::int64_t>(charged()));
  // NOLINTNEXTLINE(bugprone-unused-return-value): freed
  static_cast<void>(Value::FromParts({outcome_bits_, outcome_value_}));
  if (durable_) {
    delete log_.get();
  } else {
    delete window_.get();
  }
  delete extras_.get();
}

Session::Extras& Session::MutableExtras() {
  if (!extras_) {
    extras_ = CompactPointer<Extras>(new Extras);
    extras_->idle_timeout = DefaultIdleTimeout();
  }
  return *extras_;
}

absl::Duration Session::DefaultIdleTimeout() const {
  return durable_ ? environment().durable_idle_timeout : environment().idle_timeout;
}
absl::Duration Session::idle_timeout() const { return extras_ ? extras_->idle_timeout : DefaultIdleTimeout(); }
absl::Time Session::expire_time() const { return extras_ ? extras_->expire_time : absl::InfiniteFuture(); }
absl::Time Session::finish_time() const { return extras_ ? extras_->finish_time : absl::InfiniteFuture(); }

Step Session::last_outcome_step() const {
  return extras_ && extras_->last_outcome_step ? *extras_->last_outcome_step : steps_;
}

Outcome Session::last_outcome() const {
  Value held = Value::FromParts({outcome_bits_, outcome_value_});
  Outcome outcome{held, outcome_kind_};
  static_cast<void>(std::move(held).Release());  // this session holds it on
  return outcome;
}

void Session::SetLastOutcome(Outcome outcome) {
  const Value before = Value::FromParts({outcome_bits_, outcome_value_});
  const Value::Parts parts = std::move(outcome.value).Release();
  outcome_bits_ = parts.bits;
  outcome_value_ = parts.kind;
  outcome_kind_ = outcome.kind;
}

ReplyWindow& Session::Window() {
  if (!window_) window_ = CompactPointer<ReplyWindow>(new ReplyWindow(""));
  return *window_;
}

std::size_t Session::charged() const {
  const MutexLock lock(mutex_);
  return charged_ * kChargeUnit;
}

std::size_t Session::LabelsBytes() const {
  if (!extras_) return 0;
  constexpr std::size_t kLabel = 128;  // what a map has for an entry
  std::size_t bytes = 0;
  for (const auto& [name, value] : extras_->labels) bytes += kLabel + name.size() + value.size();
  return (bytes + kChargeUnit - 1) / kChargeUnit * kChargeUnit;  // so that what they change by can be charged
}

void Session::ChargeLocked(std::size_t held) {
  const auto charged =
      static_cast<std::uint32_t>(std::min<std::size_t>(held / kChargeUnit, std::numeric_limits<std::uint32_t>::max()));
  if (charged == charged_) return;
  account().AddMemory((static_cast<std::int64_t>(charged) - charged_) * static_cast<std::int64_t>(kChargeUnit));
  charged_ = charged;
}

void Session::Charge(std::size_t asked) {
  const absl::Time begin = environment().clock.Now();
  HeldMemory held;
  held.AddBytes(kBytesAround + sizeof(Session));
  coroutine_.AddHeld(held);
  if (durable_) {
    held.AddBytes(sizeof(SessionLog) + log_->ids.HeldBytes());
  } else if (window_) {
    window_->AddHeld(held);
  }
  Step steps = 0;
  Value last;
  const Extras* extras = nullptr;
  {
    const MutexLock lock(mutex_);
    steps = steps_;
    last = last_outcome().value;
    extras = extras_.get();
  }
  held.Add(last);
  if (extras) {
    held.AddBytes(sizeof(Extras));
    held.Add(extras->arguments);  // they never change
  }
  {
    const MutexLock lock(mutex_);
    ChargeLocked(held.bytes() + LabelsBytes());
  }
  // After steps 1, 2, 4, 8 and so on; later, when half as much again may have come. A script says what it asks for.
  const std::size_t least = asked > 0 || (definition() && definition()->language == Language::kLua)
                                ? kScriptAsks
                                : kBytesOfStep * std::clamp<Step>(steps, 1, kEarlySteps);
  const std::size_t half = held.bytes() / 2 > kUsualBytes ? held.bytes() / 2 : 0;
  uncharged_ = kFresh | static_cast<std::uint32_t>(std::min(std::max(least, half), kMostUncharged));
  // One that takes long belongs on another thread.
  const absl::Duration took = environment().clock.Now() - begin;
  if (took > kLongCharge) kind_->pace.Record(took);
}

void Session::ChargeIfStale() {
  {
    const MutexLock lock(mutex_);
    if (running_ || gone_ || forgotten_) return;
    running_ = true;
  }
  if (!IsChargeFresh()) Charge();
  Release();
}

void Session::RememberCreate(std::uint64_t fingerprint) {
  Window().RememberCreate(fingerprint, Reply{}, RememberLimits());
}

void Session::Hold() {
  const MutexLock lock(mutex_);
  running_ = true;
}

void Session::Release() { RunOnSomeThread(); }

void Session::RunOnSomeThread() {
  if (MayRunHere()) {
    Run(Thread::kCallers);
  } else {
    executor().Run([self = SessionPtr(this)] { self->Run(Thread::kExecutors); });
  }
}

void Session::PushLocked(Command* command) {
  queue_.Push(command);
  environment().metrics.queued_commands.Add();
}

void Session::PutBackLocked(CommandQueue& commands) {
  environment().metrics.queued_commands.Add(commands.size());
  queue_.PutBack(commands);
}

Command* Session::PopLocked() {
  environment().metrics.queued_commands.Subtract();
  return queue_.Pop();
}

CommandQueue Session::TakeQueueLocked() {
  if (!queue_.empty()) environment().metrics.queued_commands.Subtract(queue_.size());
  return std::exchange(queue_, CommandQueue());
}

absl::Status Session::CheckLoad() const { return CheckLoad(MayRunHere(), 0); }

absl::Status Session::CheckLoad(bool here, std::uint32_t before) const {
  const SessionEnvironment& shared = environment();
  absl::Duration wait = here ? absl::ZeroDuration() : executor().LongestWait();
  if (wait > absl::ZeroDuration()) {
    // Those before it may take the session more than one turn; in each a durable one waits before and after the append.
    wait *= 1 + before / kind_->pace.StepsWithin(kTimeInARow);
    if (durable_) wait *= 2;
  }
  if (durable_) wait += shared.journal.LongestWait();
  return wait > shared.max_queue_delay ? Overloaded(id(), wait) : absl::OkStatus();
}

absl::Status Session::CheckRoomLocked(const Command& command, bool here) const {
  if (queue_.size() >= environment().max_queued) {
    return Failed(Reason::QUEUE_FULL, "too many commands wait for this session; send the next when one is answered",
                  {{"session_id", local_id()}, {"max_queued", std::to_string(environment().max_queued)}},
                  absl::Milliseconds(100));
  }
  return command.ends() ? absl::OkStatus() : CheckLoad(here, queue_.size());
}

bool Session::Submit(Command* command) {
  const bool here = MayRunHere();
  absl::Status refused;
  Turn turn;
  {
    const MutexLock lock(mutex_);
    if (gone_) return false;
    const bool may_wait = !here || durable_ || !queue_.empty();
    if (may_wait && !command->bounded_by_sender) refused = CheckRoomLocked(*command, here);
    if (refused.ok()) {
      PushLocked(command);
      if (running_) return true;
      running_ = true;
      if (here && durable_ && log_->IsSettled()) TakeTurnLocked(turn);
    }
  }
  if (!turn.commands.empty()) {
    RunDurable(Thread::kCallers, SessionPtr(this), turn);
    return true;
  }
  if (!refused.ok()) {
    command->counters = &counters();
    command->TurnAway(refused);
    return true;
  }
  RunOnSomeThread();
  return true;
}

bool Session::Enqueue(Command* command, bool& runs) {
  const MutexLock lock(mutex_);
  if (gone_) return false;
  PushLocked(command);
  runs = !running_;
  running_ = true;
  return true;
}

void Session::Run(Thread thread) {
  SessionPtr keep(this);  // a command that deletes it may hold the last reference
  if (durable_) {
    RunDurable(thread, std::move(keep));
  } else if (RunEphemeral(thread)) {
    GoOnElsewhere(std::move(keep));
  }
}

void Session::GoOnElsewhere(SessionPtr keep) {
  executor().Run([keep = std::move(keep)] { keep->Run(Thread::kExecutors); });
}

bool Session::RunEphemeral(Thread thread) {
  absl::Time began;
  for (int steps = 0; steps < kStepsInARow; ++steps) {
    Command* command = nullptr;
    Standing standing;
    {
      const MutexLock lock(mutex_);
      if (queue_.empty()) {
        running_ = false;
        return false;
      }
      if (thread == Thread::kCallers && steps > 0 && !MayRunHere()) return true;
      command = PopLocked();
      standing = StandLocked();
    }
    const absl::Time now = environment().clock.Now();
    if (steps == 0) began = now;
    absl::StatusOr<Reply> answer;
    if (Check(*command, standing, now, answer) == Verdict::kStep) answer = TakeStep(*command, now);
    command->Finish(std::move(answer));
    if (steps > 0 && now - began >= kTimeInARow) break;
  }
  return true;
}

Session::Standing Session::Stand() const {
  const MutexLock lock(mutex_);
  return StandLocked();
}

Session::Standing Session::StandLocked() const {
  return {.steps = steps_,
          .checkpoint = durable_ ? log_->asked_checkpoint() : 0,
          .created = state_ == CoroutineState::kCreated,
          .forgotten = forgotten_,
          .has_problem = durable_ && log_->has_problem()};
}

std::optional<Session::Verdict> Session::CheckKnown(Command& command, absl::StatusOr<Reply>& answer) {
  if (command.request_id.empty()) return std::nullopt;
  command.fingerprint = FingerprintOf(command);
  const auto failed = [&](Reason reason, std::string_view message, Step step) {
    answer = Failed(reason, message,
                    {{"session_id", local_id()}, {"request_id", command.request_id}, {"step", std::to_string(step)}});
    return Verdict::kAnswered;
  };
  constexpr const char* kReused = "request_id stands for another command; take a new id for each command";
  if (durable_) {
    const std::optional<KnownIds::Known> known = log_->ids.Find(command.request_id);
    if (!known) return std::nullopt;
    if (known->fingerprint != command.fingerprint) return failed(Reason::REQUEST_ID_REUSED, kReused, known->step);
    const MutexLock lock(mutex_);
    if (known->step == 0 && !forgotten_) {
      answer = Reply{.step = 0, .outcome = std::nullopt, .replayed = true};
      return Verdict::kAnswered;
    }
    const SessionLog::Extras* extras = log_->extras();
    if (extras && extras->deletion && extras->deletion->tombstone &&
        extras->deletion->tombstone->request_id == command.request_id) {
      answer = Reply{.step = known->step, .outcome = extras->deletion->tombstone->outcome.outcome, .replayed = true};
      return Verdict::kAnswered;
    }
    if (forgotten_) return std::nullopt;  // and with it its log
    if (known->step == last_outcome_step()) {
      answer = Reply{.step = known->step, .outcome = last_outcome(), .replayed = true};
      return Verdict::kAnswered;
    }
    command.repeats = known->step;
    return Verdict::kRepeat;
  }
  if (!window_) return std::nullopt;
  std::optional<ReplyWindow::Known> known = window_->Find(command.request_id);
  if (!known) return std::nullopt;
  if (known->fingerprint != ReplyWindow::Kept(command.fingerprint)) {
    return failed(Reason::REQUEST_ID_REUSED, kReused, known->reply.step);
  }
  if (known->forgotten) {
    return failed(Reason::REPLY_FORGOTTEN,
                  "the command was executed as the step in the metadata; its answer is no longer kept",
                  known->reply.step);
  }
  answer = std::move(known->reply);
  answer->replayed = true;
  return Verdict::kAnswered;
}

Session::Verdict Session::Check(Command& command, const Standing& standing, absl::Time now,
                                absl::StatusOr<Reply>& answer) {
  const auto refused = [&answer](absl::Status status) {
    answer = std::move(status);
    return Verdict::kAnswered;
  };
  const auto failed = [&](Reason reason, std::string_view message, std::map<std::string, std::string> metadata = {}) {
    metadata["session_id"] = local_id();
    return refused(Failed(reason, message, metadata));
  };
  command.counters = &counters();
  if (absl::Status admitted = command.Admit(); !admitted.ok()) return refused(std::move(admitted));
  if (!command.uid.empty() && command.uid != uid()) {
    return failed(Reason::SESSION_NOT_FOUND, "no session '" + local_id() + "' with that uid");
  }
  if (const std::optional<Verdict> known = CheckKnown(command, answer)) return *known;
  if (standing.forgotten) return refused(NotFound(id()));
  if (now > command.deadline) {
    return refused(
        NotStarted(absl::StatusCode::kDeadlineExceeded, "the deadline passed before the command's turn came"));
  }
  if (command.cause == CloseCause::kClient && environment().draining.load(std::memory_order_relaxed)) {
    return refused(Failed(Reason::DRAINING, "the server is shutting down; try again when it is back",
                          {{"session_id", local_id()}}, absl::Seconds(1)));
  }
  if (command.cause == CloseCause::kClient && !account().TakeCommand(now)) return refused(account().RateLimited(now));
  if (standing.has_problem && command.operation != Operation::kDelete) {
    const MutexLock lock(mutex_);
    const absl::Status problem = ProblemStatus(id(), *log_->extras()->problem);
    // One with a request id may have been sent before, and stand where the log cannot be read.
    return refused(command.request_id.empty() ? problem : InDoubt(problem));
  }
  if (command.cause != CloseCause::kClient) {  // what the server itself does may be needless by now
    const Due due = NextDue();
    const bool forgets = due.act == Due::Act::kForget;
    // A durable session outlives the server: the close that drains is a mark in its queue.
    const bool only_marks = durable_ && command.cause == CloseCause::kDrain;
    if (only_marks || forgets != command.forgets || (command.cause != CloseCause::kDrain && due.when > now)) {
      return refused(NotStarted(absl::StatusCode::kAborted, "the session needs this no more"));
    }
  }
  if (command.expected_step != 0 && command.expected_step != standing.steps + 1) {
    return failed(
        Reason::STEP_MISMATCH,
        "this would be step " + std::to_string(standing.steps + 1) + ", not " + std::to_string(command.expected_step),
        {{"expected_step", std::to_string(command.expected_step)},
         {"actual_step", std::to_string(standing.steps + 1)}});
  }
  if (standing.created && command.operation == Operation::kSend && !command.value.is_null()) {
    return failed(Reason::NOT_PRIMED, "can't send non-None value to a just-started generator");
  }
  const bool ends = command.ends();
  if (!ends && command.cause == CloseCause::kClient) {
    if (durable_ && !account().HasJournal()) return refused(account().JournalFull());
    if (!account().HasMemory() && !IsChargeFresh()) Charge();  // it may have shrunk
    if (!account().HasMemory()) return refused(account().MemoryFull());
  }
  if (!ends && definition()->HasNoMemory()) return refused(NoScriptMemory(definition()->name));
  // One that can be restarted makes its checkpoints in time, unless it cannot be saved where it stands.
  const DurabilityOptions& keeping = environment().durability;
  const Step history_limit = keeping.history_limit;
  const Step most = history_limit + (definition()->restartable ? keeping.checkpoint_every : 0);
  if (durable_ && !ends && standing.steps - standing.checkpoint >= most) {
    return failed(Reason::HISTORY_LIMIT,
                  "the session has as many steps as a coroutine may have that cannot be restarted from a checkpoint; "
                  "close it and begin another, or raise --history-limit",
                  {{"history_limit", std::to_string(history_limit)}});
  }
  return Verdict::kStep;
}

Reply Session::TakeStep(Command& command, absl::Time now) {
  Step step = 0;
  {
    const MutexLock lock(mutex_);
    in_step_ = true;
    SetLastUsed(now);
    step = steps_ + 1;
  }
  std::unique_ptr<StepEvent> event;
  if (environment().watchers.Any()) event = BeginEvent(command, now);
  std::size_t brought = BytesBroughtBy(command.value);
  StepInput input{.operation = command.operation,
                  .cause = command.cause,
                  .force = command.force,
                  .value = std::exchange(command.value, Value()),
                  .step = step,
                  .time = now,
                  .seed = seed_};
  const absl::Time begin = durable_ ? environment().clock.Now() : now;  // a durable session's step was written first
  StepResult result = Execute(*definition(), environment().limits, std::move(input), coroutine_);
  const absl::Time end = environment().clock.Now();
  kind_->pace.Record(end - begin);
  command.executed = end;

  const std::uint64_t digest = durable_ ? ExtendDigest(log_->digest, result.outcome) : 0;
  bool finished = false;
  {
    const MutexLock lock(mutex_);
    if (durable_) log_->digest = digest;
    finished = CompleteStep(step, result.outcome, end);
  }
  if (finished) coroutine_ = Coroutine();
  Reply reply{.step = step, .outcome = std::move(result.outcome), .replayed = false};
  if (!command.request_id.empty()) {
    Remember(command, reply);
    brought += kBytesOfStep + (durable_ ? 0 : result.bytes);
  }
  if (finished || IsChargeDue(brought + result.bytes_asked)) Charge(result.bytes_asked);
  if (LogIsOn(LogArea::kSession, LogLevel::kDebug)) LogStep(command, reply);
  if (event) {
    event->step = step;
    event->outcome = *reply.outcome;
    event->finished = finished;
    event->bytes = Measure(event->record.value, environment().limits).bytes + result.bytes;
    environment().watchers.Publish(uid(), *std::move(event));
  }
  if (durable_) return reply;
  if (command.operation == Operation::kDelete) {
    environment().on_deleted(*this, &command, &reply);
  } else if (finished) {
    environment().on_finished(*this);
  }
  return reply;
}

void Session::LogStep(const Command& command, const Reply& reply) const {
  COROD_LOG(kSession, kDebug, "step",
            {{"session_id", local_id()},
             {"namespace", account().name_space()},
             {"request_id", command.request_id},
             {"step", reply.step},
             {"outcome", metrics::NameOf(ResultOf(reply))},
             {"traceparent", command.Traceparent()}});
}

std::unique_ptr<StepEvent> Session::BeginEvent(const Command& command, absl::Time now) const {
  if (!environment().watchers.Watches(uid())) return nullptr;
  auto event = std::make_unique<StepEvent>();
  event->record = Record{.operation = command.operation,
                         .cause = command.cause,
                         .force = command.force,
                         .value = Snapshot(command.value),
                         .request_id = command.request_id,
                         .fingerprint = command.fingerprint,
                         .time = now};
  event->traceparent = command.Traceparent();
  return event;
}

bool Session::CompleteStep(Step step, const Outcome& outcome, absl::Time end) {
  in_step_ = false;
  steps_ = step;
  if (durable_) {
    log_->saved = false;
    log_->checkpoint_due = step - log_->asked_checkpoint() >= environment().durability.checkpoint_every;
  } else {
    SetLastUsed(end);  // of a durable session the time in the log counts, so that it comes back from there as it was
  }
  const CoroutineState state = coroutine_.state();
  const bool over = state == CoroutineState::kClosed;
  const bool finished = over && state_ != CoroutineState::kClosed;
  if (!over || finished) SetLastOutcome(outcome);
  if (finished) {
    Extras& extras = MutableExtras();
    extras.finish_time = last_used();
    extras.last_outcome_step = step;
    environment().finished.fetch_add(1, std::memory_order_relaxed);
  }
  state_ = state;
  return finished;
}

bool Session::BeginSend(absl::Time now, Reply& reply) {
  const SessionEnvironment& shared = environment();
  if (durable_ || !MayRunHere() || (shared.watchers.Any() && shared.watchers.Watches(uid())) ||
      shared.draining.load(std::memory_order_relaxed) || definition()->HasNoMemory() || account().LimitsCommands() ||
      !account().HasMemory() || LogIsOn(LogArea::kSession, LogLevel::kDebug)) {  // which wants more than there is here
    return false;
  }
  {
    const MutexLock lock(mutex_);
    if (running_ || gone_ || forgotten_ || state_ != CoroutineState::kSuspended) return false;
    running_ = in_step_ = true;
    SetLastUsed(now);
    reply.step = steps_ + 1;
  }
  coroutine_.Prefetch();
  return true;
}

void Session::FinishSend(Value& value, absl::Time& now, Reply& reply) {
  const SessionEnvironment& shared = environment();
  const std::size_t brought = kBytesOfStep + (value.kind() < Value::Kind::kText ? 0 : HeldBytesOfMore(value));
  StepResult result =
      Execute(*definition(), shared.limits,
              {.value = std::exchange(value, Value()), .step = reply.step, .time = now, .seed = seed_}, coroutine_);
  const absl::Time end = shared.clock.Now();
  kind_->pace.Record(end - now);
  now = end;
  bool finished = false;
  const bool charges = IsChargeDue(brought + result.bytes_asked);
  bool goes_on = false;
  {
    const MutexLock lock(mutex_);
    finished = CompleteStep(reply.step, result.outcome, end);
    goes_on = charges || finished || !queue_.empty();
    running_ = goes_on;
  }
  reply.outcome = std::move(result.outcome);
  if (finished) coroutine_ = Coroutine();
  if (finished || charges) Charge(result.bytes_asked);
  if (finished) shared.on_finished(*this);
  if (goes_on) Run(Thread::kCallers);
}

void Session::Remember(const Command& command, const Reply& reply) {
  const bool creates = command.operation == Operation::kCreate;
  if (durable_) {
    log_->ids.Remember(command.request_id, command.fingerprint, reply.step, environment().max_remembered_ids);
  } else if (creates) {
    Window().RememberCreate(command.fingerprint, reply, RememberLimits());
  } else {
    Window().Remember(command.request_id, command.fingerprint, reply, RememberLimits());
  }
}

ReplyWindow::Limits Session::RememberLimits() const {
  return {.ids = environment().max_remembered_ids, .bytes = environment().max_remembered_bytes};
}

SessionInfo Session::Describe() const {
  SessionInfo info;
  {
    const MutexLock lock(mutex_);
    static_cast<Head&>(info) = MakeHeadLocked();
    if (in_step_) info.state = CoroutineState::kRunning;
  }
  info.definition = definition();
  info.durable = durable_;
  info.live = info.state != CoroutineState::kClosed;
  if (!durable_) info.earliest_step = info.steps + 1;  // without a log no step is kept
  return info;
}

Head Session::MakeHeadLocked() const {
  Head head;
  head.key = {id(), uid()};
  if (definition()) {
    head.coroutine = definition()->name;
    head.version = definition()->version;
  }
  head.catalog_revision = kind_->catalog_revision;
  if (extras_) {
    head.arguments = extras_->arguments;
    head.labels = extras_->labels;
  }
  head.create_time = absl::FromUnixNanos(create_time_);
  head.seed = seed_;
  head.idle_timeout = idle_timeout();
  head.expire_time = expire_time();
  head.steps = steps_;
  head.state = state_;
  if (last_outcome_step() != 0) head.last_outcome = StepOutcome{last_outcome_step(), last_outcome()};
  head.last_used_time = last_used();
  head.finish_time = finish_time();
  if (durable_) {
    if (has_create_id_) {
      head.create_request_id = log_->ids.create_id();
      head.create_fingerprint = log_->ids.create_fingerprint();
    }
    head.create_primed = log_->create_primed;
    head.digest = log_->digest;
    head.earliest_step = log_->earliest_step();
    if (log_->has_problem()) head.problem = *log_->extras()->problem;
  }
  return head;
}

CoroutineState Session::state() const {
  const MutexLock lock(mutex_);
  return in_step_ ? CoroutineState::kRunning : state_;
}

bool Session::IsFinished() const {
  const MutexLock lock(mutex_);
  return state_ == CoroutineState::kClosed;
}

bool Session::HasProblem() const {
  const MutexLock lock(mutex_);
  return durable_ && log_->has_problem();
}

bool Session::MatchesLabels(const Labels& labels) const {
  if (labels.empty()) return true;
  const MutexLock lock(mutex_);
  return extras_ && Includes(extras_->labels, labels);
}

bool Includes(const Labels& labels, const Labels& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&labels](const auto& label) {
    const auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

absl::Status CheckLabels(const Labels& labels) {
  const auto refused = [](const std::string& what) {
    return Failed(Reason::INVALID_ARGUMENTS, "labels: " + what, {{"parameter", "labels"}});
  };
  if (labels.size() > kMaxLabels) {
    return refused("there are " + std::to_string(labels.size()) + "; a session has at most " +
                   std::to_string(kMaxLabels));
  }
  for (const auto& [name, value] : labels) {
    if (name.size() > kMaxLabelNameBytes || value.size() > kMaxLabelValueBytes) {
      return refused("one is too long; a name has at most " + std::to_string(kMaxLabelNameBytes) + " bytes, a value " +
                     std::to_string(kMaxLabelValueBytes));
    }
  }
  return absl::OkStatus();
}

absl::Status Session::ChangeLocked(const Changes& changes) {
  Labels labels = extras_ ? extras_->labels : Labels();
  for (const std::string& name : changes.remove_labels) labels.erase(name);
  for (const auto& [name, value] : changes.labels) labels[name] = value;
  if (absl::Status checked = CheckLabels(labels); !checked.ok()) return checked;
  if (!changes.labels.empty() && !account().HasMemory()) return account().MemoryFull();
  Extras& extras = MutableExtras();
  const std::size_t before = LabelsBytes();
  extras.labels = std::move(labels);
  ChargeLocked((charged_ * kChargeUnit) + LabelsBytes() - before);
  if (changes.idle_timeout) {
    extras.idle_timeout =
        *changes.idle_timeout == absl::ZeroDuration() ? absl::InfiniteDuration() : *changes.idle_timeout;
  }
  if (changes.expire_time) extras.expire_time = *changes.expire_time;
  return absl::OkStatus();
}

Session::Due Session::NextDue() const {
  const MutexLock lock(mutex_);
  return NextDueLocked();
}

Session::Due Session::NextDueLocked() const {
  if (durable_ && log_->has_problem())
    return {absl::InfiniteFuture(), Due::Act::kCloseIdle};  // it stays until it is deleted
  if (finish_time() != absl::InfiniteFuture()) return {finish_time() + environment().retention, Due::Act::kForget};
  const absl::Time used = in_step_ ? environment().clock.Now() : last_used();
  const absl::Time idle = used + idle_timeout();
  if (expire_time() <= idle) return {expire_time(), Due::Act::kCloseExpired};
  return {idle, Due::Act::kCloseIdle};
}

absl::Time Session::SleepDue() const {
  // Far away, but in the order of use, for whoever makes room.
  constexpr absl::Duration kNever = absl::Hours(24 * 365 * 10);
  const MutexLock lock(mutex_);
  return last_used() + std::min(environment().durability.passivate_after, kNever);
}

void Session::MarkForgotten() {
  const MutexLock lock(mutex_);
  forgotten_ = true;
}

}  // namespace corod
