#include "server/session/session.h"

#include <algorithm>
#include <utility>

#include "server/base/failure.h"
#include "server/coroutine/fingerprint.h"
#include "server/session/execution.h"
#include "server/session/refusals.h"

// What all sessions do, and the steps of ephemeral ones. durable_session.cc has what durable ones do besides.
namespace corod {
namespace {

// A thread that runs a busy session lets go of it after so many steps, so that its own call goes on.
constexpr int kStepsInARow = 256;
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

}  // namespace

Session::Session(SessionEnvironment& environment, const Head& head, const Definition* definition, Pace* pace,
                 Coroutine coroutine, std::unique_ptr<SessionLog> log)
    : environment_(environment),
      id_(head.key.id),
      uid_(head.key.uid),
      definition_(definition),
      pace_(pace),
      arguments_(head.arguments),
      create_time_(head.create_time),
      seed_(head.seed),
      coroutine_(std::move(coroutine)),
      log_(std::move(log)),
      state_(head.state),
      steps_(head.steps),
      last_used_(head.last_used_time),
      finished_(head.finish_time),
      idle_timeout_(head.idle_timeout),
      expire_time_(head.expire_time) {
  if (head.last_outcome) {
    last_outcome_step_ = head.last_outcome->step;
    last_outcome_ = head.last_outcome->outcome;
  }
  if (!head.labels.empty()) labels_ = std::make_unique<Labels>(head.labels);
}

Session::~Session() = default;

ReplyWindow& Session::Window() {
  if (!window_) {
    window_ = std::make_unique<ReplyWindow>(environment_.max_remembered_ids, environment_.max_remembered_bytes);
  }
  return *window_;
}

void Session::RememberCreate(const std::string& request_id, std::uint64_t fingerprint) {
  Window().Remember(request_id, fingerprint, Reply{}, 0, /*pinned=*/true);
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
    environment_.executor.Run([self = SessionPtr(this)] { self->Run(Thread::kExecutors); });
  }
}

bool Session::Submit(Command* command) {
  bool full = false;
  {
    const MutexLock lock(mutex_);
    if (gone_) return false;
    full = !command->bounded_by_sender && queue_.size() >= environment_.max_queued;
    if (!full) {
      queue_.Push(command);
      if (running_) return true;
      running_ = true;
    }
  }
  if (full) {
    command->Finish(Failed(
        Reason::QUEUE_FULL, "too many commands wait for this session; send the next when one is answered",
        {{"session_id", id_}, {"max_queued", std::to_string(environment_.max_queued)}}, absl::Milliseconds(100)));
    return true;
  }
  RunOnSomeThread();
  return true;
}

void Session::Run(Thread thread) {
  const SessionPtr keep(this);  // a command that deletes it may hold the last reference
  const bool go_on = log_ ? RunDurable(thread) : RunEphemeral(thread);
  if (go_on) environment_.executor.Run([keep] { keep->Run(Thread::kExecutors); });
}

bool Session::RunEphemeral(Thread thread) {
  for (int steps = 0; steps < kStepsInARow; ++steps) {
    Command* command = nullptr;
    {
      const MutexLock lock(mutex_);
      if (queue_.empty()) {
        running_ = false;
        return false;
      }
      if (thread == Thread::kCallers && steps > 0 && !MayRunHere()) return true;
      command = queue_.Pop();
    }
    const absl::Time now = environment_.clock.Now();
    absl::StatusOr<Reply> answer = Reply();
    if (Check(*command, Stand(), now, answer) == Verdict::kStep) answer = TakeStep(*command, now);
    command->Finish(std::move(answer));
  }
  return true;
}

Session::Standing Session::Stand() const {
  const MutexLock lock(mutex_);
  return {.steps = steps_, .created = state_ == CoroutineState::kCreated, .forgotten = forgotten_};
}

std::optional<Session::Verdict> Session::CheckKnown(Command& command, absl::StatusOr<Reply>& answer) {
  if (command.request_id.empty()) return std::nullopt;
  command.fingerprint = FingerprintOf(command);
  const auto failed = [&](Reason reason, std::string_view message, Step step) {
    answer = Failed(reason, message,
                    {{"session_id", id_}, {"request_id", command.request_id}, {"step", std::to_string(step)}});
    return Verdict::kAnswered;
  };
  constexpr const char* kReused = "request_id stands for another command; take a new id for each command";
  if (log_) {
    const KnownId* known = log_->ids.Find(command.request_id);
    if (!known) return std::nullopt;
    if (known->fingerprint != command.fingerprint) return failed(Reason::REQUEST_ID_REUSED, kReused, known->step);
    if (known->step == 0) {
      answer = Reply{.step = 0, .outcome = std::nullopt, .replayed = true};
      return Verdict::kAnswered;
    }
    if (log_->tombstone && log_->tombstone->request_id == command.request_id) {
      answer = Reply{.step = known->step, .outcome = log_->tombstone->outcome.outcome, .replayed = true};
      return Verdict::kAnswered;
    }
    const MutexLock lock(mutex_);
    if (forgotten_) return std::nullopt;  // and with it its log
    if (known->step == last_outcome_step_) {
      answer = Reply{.step = known->step, .outcome = last_outcome_, .replayed = true};
      return Verdict::kAnswered;
    }
    command.repeats = known->step;
    return Verdict::kRepeat;
  }
  const ReplyWindow::Known* known = window_ ? window_->Find(command.request_id) : nullptr;
  if (!known) return std::nullopt;
  if (known->fingerprint != command.fingerprint) return failed(Reason::REQUEST_ID_REUSED, kReused, known->reply.step);
  if (known->forgotten) {
    return failed(Reason::REPLY_FORGOTTEN,
                  "the command was executed as the step in the metadata; its answer is no longer kept",
                  known->reply.step);
  }
  answer = known->reply;
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
    metadata["session_id"] = id_;
    return refused(Failed(reason, message, metadata));
  };
  if (absl::Status admitted = command.Admit(); !admitted.ok()) return refused(std::move(admitted));
  if (!command.uid.empty() && command.uid != uid_) {
    return failed(Reason::SESSION_NOT_FOUND, "no session '" + id_ + "' with that uid");
  }
  if (const std::optional<Verdict> known = CheckKnown(command, answer)) return *known;
  if (standing.forgotten) return refused(NotFound(id_));
  if (now > command.deadline) {
    return refused(
        NotStarted(absl::StatusCode::kDeadlineExceeded, "the deadline passed before the command's turn came"));
  }
  if (command.cause == CloseCause::kClient && environment_.draining.load(std::memory_order_relaxed)) {
    return refused(Failed(Reason::DRAINING, "the server is shutting down; try again when it is back",
                          {{"session_id", id_}}, absl::Seconds(1)));
  }
  if (log_ && command.operation != Operation::kDelete) {
    std::optional<SessionProblem> problem;
    {
      const MutexLock lock(mutex_);
      problem = log_->problem;
    }
    if (problem) return refused(ProblemStatus(id_, *problem));
  }
  if (command.cause != CloseCause::kClient) {  // what the server itself does may be needless by now
    const Due due = NextDue();
    const bool forgets = due.act == Due::Act::kForget;
    // A durable session outlives the server: the close that drains is a mark in its queue.
    const bool only_marks = log_ && command.cause == CloseCause::kDrain;
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
  const bool ends = command.operation == Operation::kClose || command.operation == Operation::kDelete;
  if (log_ && !ends && !definition_->restartable && standing.steps >= environment_.durability.history_limit) {
    return failed(Reason::HISTORY_LIMIT,
                  "the session has as many steps as a coroutine may have that cannot be restarted from a checkpoint; "
                  "close it and begin another, or raise --history-limit",
                  {{"history_limit", std::to_string(environment_.durability.history_limit)}});
  }
  return Verdict::kStep;
}

Reply Session::TakeStep(Command& command, absl::Time now) {
  Step step = 0;
  {
    const MutexLock lock(mutex_);
    in_step_ = true;
    last_used_ = now;
    step = steps_ + 1;
  }
  StepEvent event;
  const bool watched = environment_.watchers.Watches(uid_);
  if (watched) {
    event.record = Record{.operation = command.operation,
                          .cause = command.cause,
                          .force = command.force,
                          .value = Snapshot(command.value),
                          .request_id = command.request_id,
                          .fingerprint = command.fingerprint,
                          .time = now};
  }
  StepInput input{.operation = command.operation,
                  .cause = command.cause,
                  .force = command.force,
                  .value = std::exchange(command.value, Value()),
                  .step = step,
                  .time = now,
                  .seed = seed_};
  const absl::Time begin = log_ ? environment_.clock.Now() : now;  // a durable session's step was written first
  StepResult result = Execute(*definition_, environment_.limits, std::move(input), coroutine_);
  const absl::Time end = environment_.clock.Now();
  pace_->Record(end - begin);

  const CoroutineState state = coroutine_.state();
  const bool over = state == CoroutineState::kClosed;
  bool finished = false;
  {
    const MutexLock lock(mutex_);
    in_step_ = false;
    steps_ = step;
    if (log_) log_->digest = ExtendDigest(log_->digest, result.outcome);
    finished = over && state_ != CoroutineState::kClosed;
    // Of a durable session the time in the log counts, so that nothing changes when it comes back from there.
    if (!log_) last_used_ = end;
    if (!over || finished) {
      last_outcome_ = result.outcome;
      last_outcome_step_ = step;
    }
    if (finished) finished_ = last_used_;
    state_ = state;
  }
  if (finished) coroutine_ = Coroutine();
  Reply reply{.step = step, .outcome = std::move(result.outcome), .replayed = false};
  if (log_ && command.operation == Operation::kCreate && !command.request_id.empty()) {
    log_->ids.Pin(command.request_id, command.fingerprint, step);
  } else if (log_) {
    log_->ids.Remember(command.request_id, command.fingerprint, step);
  } else if (!command.request_id.empty()) {
    Window().Remember(command.request_id, command.fingerprint, reply, result.bytes,
                      command.operation == Operation::kCreate);
  }
  if (watched) {
    event.step = step;
    event.outcome = *reply.outcome;
    event.finished = finished;
    event.bytes = Measure(event.record.value, environment_.limits).bytes + result.bytes;
    environment_.watchers.Publish(uid_, std::move(event));
  }
  if (log_) return reply;
  if (command.operation == Operation::kDelete) {
    environment_.on_deleted(*this, &command, &reply);
  } else if (finished) {
    environment_.on_finished(*this);
  }
  return reply;
}

SessionInfo Session::Describe() const {
  SessionInfo info;
  {
    const MutexLock lock(mutex_);
    static_cast<Head&>(info) = MakeHeadLocked();
    if (in_step_) info.state = CoroutineState::kRunning;
  }
  info.definition = definition_;
  info.durable = log_ != nullptr;
  info.live = info.state != CoroutineState::kClosed;
  if (!log_) info.earliest_step = info.steps + 1;  // without a log no step is kept
  return info;
}

Head Session::MakeHeadLocked() const {
  Head head;
  head.key = {id_, uid_};
  if (definition_) {
    head.coroutine = definition_->name;
    head.version = definition_->version;
  }
  head.arguments = arguments_;
  head.create_time = create_time_;
  head.seed = seed_;
  if (labels_) head.labels = *labels_;
  head.idle_timeout = idle_timeout_;
  head.expire_time = expire_time_;
  head.steps = steps_;
  head.state = state_;
  if (last_outcome_step_ != 0) head.last_outcome = StepOutcome{last_outcome_step_, last_outcome_};
  head.last_used_time = last_used_;
  head.finish_time = finished_;
  if (log_) {
    head.create_request_id = log_->create_request_id;
    head.create_fingerprint = log_->create_fingerprint;
    head.create_primed = log_->create_primed;
    head.digest = log_->digest;
    head.earliest_step = log_->earliest_step;
    head.problem = log_->problem;
    head.crashes = log_->crashes;
  }
  return head;
}

CoroutineState Session::state() const {
  const MutexLock lock(mutex_);
  return in_step_ ? CoroutineState::kRunning : state_;
}

bool Session::HasProblem() const {
  const MutexLock lock(mutex_);
  return log_ && log_->problem.has_value();
}

bool Session::MatchesLabels(const Labels& labels) const {
  if (labels.empty()) return true;
  const MutexLock lock(mutex_);
  return labels_ && Includes(*labels_, labels);
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
  Labels labels = labels_ ? *labels_ : Labels();
  for (const std::string& name : changes.remove_labels) labels.erase(name);
  for (const auto& [name, value] : changes.labels) labels[name] = value;
  if (absl::Status checked = CheckLabels(labels); !checked.ok()) return checked;
  labels_ = labels.empty() ? nullptr : std::make_unique<Labels>(std::move(labels));
  if (changes.idle_timeout) {
    idle_timeout_ = *changes.idle_timeout == absl::ZeroDuration() ? absl::InfiniteDuration() : *changes.idle_timeout;
  }
  if (changes.expire_time) expire_time_ = *changes.expire_time;
  return absl::OkStatus();
}

Session::Due Session::NextDue() const {
  const MutexLock lock(mutex_);
  return NextDueLocked();
}

Session::Due Session::NextDueLocked() const {
  if (log_ && log_->problem) return {absl::InfiniteFuture(), Due::Act::kCloseIdle};  // it stays until it is deleted
  if (finished_ != absl::InfiniteFuture()) return {finished_ + environment_.retention, Due::Act::kForget};
  const absl::Time used = in_step_ ? environment_.clock.Now() : last_used_;
  const absl::Time idle = used + idle_timeout_;
  if (expire_time_ <= idle) return {expire_time_, Due::Act::kCloseExpired};
  return {idle, Due::Act::kCloseIdle};
}

absl::Time Session::SleepDue() const {
  // Far away, but in the order of use, for whoever makes room.
  constexpr absl::Duration kNever = absl::Hours(24 * 365 * 100);
  const MutexLock lock(mutex_);
  return last_used_ + std::min(environment_.durability.passivate_after, kNever);
}

void Session::MarkForgotten() {
  const MutexLock lock(mutex_);
  forgotten_ = true;
}

}  // namespace corod
