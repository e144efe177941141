#include "server/session/session.h"

#include <algorithm>
#include <utility>

#include "server/base/failure.h"
#include "server/coroutine/fingerprint.h"
#include "server/coroutine/utf8.h"

namespace corod {
namespace {

// A body that ignores a close that the server makes is dropped after so many.
constexpr int kCloseAttempts = 3;
// A thread that runs a busy session lets go of it after so many steps, so that its own call goes on.
constexpr int kStepsInARow = 256;
constexpr std::size_t kMaxLabels = 64;
constexpr std::size_t kMaxLabelNameBytes = 256;
constexpr std::size_t kMaxLabelValueBytes = 1024;
constexpr std::size_t kKeptMessageBytes = 1024;

std::uint64_t FingerprintOf(const Command& command) {
  if (command.operation == Operation::kCreate) return command.fingerprint;
  Fingerprint fingerprint;
  fingerprint.AddNumber(static_cast<std::uint64_t>(command.operation))
      .AddNumber(command.force ? 1 : 0)
      .Add(command.value);
  return fingerprint.value();
}

// As much of a message as is kept when the exception is too large, whole characters.
std::string KeptPart(const std::string& message) {
  const std::string_view start = std::string_view(message).substr(0, kKeptMessageBytes);
  return std::string(start.substr(0, CompleteUtf8Prefix(start)));
}

const char* VerbOf(Outcome::Kind kind) {
  switch (kind) {
    case Outcome::Kind::kYielded:
      return "yielded";
    case Outcome::Kind::kReturned:
      return "returned";
    case Outcome::Kind::kRaised:
      return "raised";
  }
  return "";
}

Exception LimitError(const char* verb, ValueMeasure::Fault fault) {
  const std::string what = verb;
  switch (fault) {
    case ValueMeasure::Fault::kTooDeep:
      return Exception("ValueError", {Value(what + " value too deep")});
    case ValueMeasure::Fault::kTooLarge:
      return Exception("ValueError", {Value(what + " value too large")});
    case ValueMeasure::Fault::kNotUtf8:
    case ValueMeasure::Fault::kNone:
      break;
  }
  return Exception("ValueError", {Value(what + " value has a text that is not UTF-8")});
}

}  // namespace

Session::Session(SessionEnvironment& environment, SessionOrigin origin, Coroutine coroutine)
    : environment_(environment),
      id_(std::move(origin.id)),
      uid_(std::move(origin.uid)),
      definition_(origin.definition),
      pace_(origin.pace),
      arguments_(std::move(origin.arguments)),
      create_time_(environment.clock.Now()),
      coroutine_(std::move(coroutine)),
      last_used_(create_time_),
      idle_timeout_(origin.idle_timeout),
      expire_time_(origin.expire_time) {
  if (!origin.labels.empty()) labels_ = std::make_unique<Labels>(std::move(origin.labels));
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

void Session::SubmitFirst(Command* command) {
  const MutexLock lock(mutex_);
  queue_.Push(command);
  running_ = true;
}

void Session::RunFirst() {
  if (MayRunHere()) {
    Run(Thread::kCallers);
  } else {
    environment_.executor.Run([self = SessionPtr(this)] { self->Run(Thread::kExecutors); });
  }
}

void Session::Submit(Command* command) {
  bool full = false;
  {
    const MutexLock lock(mutex_);
    full = !command->bounded_by_sender && queue_.size() >= environment_.max_queued;
    if (!full) {
      queue_.Push(command);
      if (running_) return;
      running_ = true;
    }
  }
  if (full) {
    command->Finish(Failed(
        Reason::QUEUE_FULL, "too many commands wait for this session; send the next when one is answered",
        {{"session_id", id_}, {"max_queued", std::to_string(environment_.max_queued)}}, absl::Milliseconds(100)));
    return;
  }
  RunFirst();
}

void Session::Run(Thread thread) {
  const SessionPtr keep(this);  // a command that deletes it may hold the last reference
  for (int steps = 0; steps < kStepsInARow; ++steps) {
    Command* command = nullptr;
    {
      const MutexLock lock(mutex_);
      if (queue_.empty()) {
        running_ = false;
        return;
      }
      if (thread == Thread::kCallers && steps > 0 && !MayRunHere()) break;
      command = queue_.Pop();
    }
    command->Finish(Turn(*command));
  }
  environment_.executor.Run([keep] { keep->Run(Thread::kExecutors); });
}

absl::StatusOr<Reply> Session::Turn(Command& command) {
  if (absl::Status admitted = command.Admit(); !admitted.ok()) return admitted;
  Step steps = 0;
  CoroutineState state = CoroutineState::kCreated;
  bool forgotten = false;
  {
    const MutexLock lock(mutex_);
    steps = steps_;
    state = state_;
    forgotten = forgotten_;
  }
  const auto failed = [&](Reason reason, std::string_view message, std::map<std::string, std::string> metadata = {}) {
    metadata["session_id"] = id_;
    return Failed(reason, message, metadata);
  };
  if (!command.uid.empty() && command.uid != uid_) {
    return failed(Reason::SESSION_NOT_FOUND, "no session '" + id_ + "' with that uid");
  }
  if (!command.request_id.empty()) {
    command.fingerprint = FingerprintOf(command);
    if (const ReplyWindow::Known* known = window_ ? window_->Find(command.request_id) : nullptr) {
      const std::map<std::string, std::string> about = {{"request_id", command.request_id},
                                                        {"step", std::to_string(known->reply.step)}};
      if (known->fingerprint != command.fingerprint) {
        return failed(Reason::REQUEST_ID_REUSED,
                      "request_id stands for another command; take a new id for each command", about);
      }
      if (known->forgotten) {
        return failed(Reason::REPLY_FORGOTTEN,
                      "the command was executed as the step in the metadata; its answer is no longer kept", about);
      }
      Reply reply = known->reply;
      reply.replayed = true;
      return reply;
    }
  }
  if (forgotten) return failed(Reason::SESSION_NOT_FOUND, "no session '" + id_ + "'");
  const absl::Time now = environment_.clock.Now();
  if (now > command.deadline) {
    return NotStarted(absl::StatusCode::kDeadlineExceeded, "the deadline passed before the command's turn came");
  }
  if (command.cause == CloseCause::kClient && environment_.draining.load(std::memory_order_relaxed)) {
    return Failed(Reason::DRAINING, "the server is shutting down; try again when it is back", {{"session_id", id_}},
                  absl::Seconds(1));
  }
  if (command.cause != CloseCause::kClient) {  // a close that the server makes may be needless by now
    const Due due = NextDue();
    if (due.act == Due::Act::kForget || (command.cause != CloseCause::kDrain && due.when > now)) {
      return NotStarted(absl::StatusCode::kAborted, "the session needs no close any more");
    }
  }
  if (command.expected_step != 0 && command.expected_step != steps + 1) {
    return failed(
        Reason::STEP_MISMATCH,
        "this would be step " + std::to_string(steps + 1) + ", not " + std::to_string(command.expected_step),
        {{"expected_step", std::to_string(command.expected_step)}, {"actual_step", std::to_string(steps + 1)}});
  }
  if (state == CoroutineState::kCreated && command.operation == Operation::kSend && !command.value.is_null()) {
    return failed(Reason::NOT_PRIMED, "can't send non-None value to a just-started generator");
  }
  return TakeStep(command, now);
}

Reply Session::TakeStep(Command& command, absl::Time now) {
  {
    const MutexLock lock(mutex_);
    in_step_ = true;
    last_used_ = now;
  }
  std::size_t bytes = 0;
  Outcome outcome = WithinLimits(Resume(command), bytes);
  const absl::Time end = environment_.clock.Now();
  pace_->Record(end - now);

  const CoroutineState state = coroutine_.state();
  const bool over = state == CoroutineState::kClosed;
  bool finished = false;
  Reply reply;
  {
    const MutexLock lock(mutex_);
    in_step_ = false;
    last_used_ = end;
    reply.step = ++steps_;
    finished = over && state_ != CoroutineState::kClosed;
    if (outcome.kind == Outcome::Kind::kRaised) {
      outcome.exception().SetTraceback("coroutine " + definition_->name + " version " +
                                       std::to_string(definition_->version) + ", step " + std::to_string(reply.step));
    }
    if (!over || finished) {
      last_outcome_ = outcome;
      last_outcome_step_ = reply.step;
    }
    if (finished) finished_ = end;
    state_ = state;
  }
  reply.outcome = std::move(outcome);
  if (!command.request_id.empty()) {
    Window().Remember(command.request_id, command.fingerprint, reply, bytes, command.operation == Operation::kCreate);
  }
  if (finished) coroutine_ = Coroutine();
  if (command.operation == Operation::kDelete) {
    environment_.on_deleted(*this, command, reply);
  } else if (finished) {
    environment_.on_finished(*this);
  }
  return reply;
}

Outcome Session::Resume(Command& command) {
  switch (command.operation) {
    case Operation::kSend:
      return coroutine_.Send(std::exchange(command.value, Value()));
    case Operation::kThrow:
      return coroutine_.Throw(std::exchange(command.value, Value()).AsException());
    case Operation::kCreate:
      return coroutine_.Next();
    case Operation::kClose:
      if (command.cause == CloseCause::kClient) return CloseUpTo(1, command.force);
      return CloseUpTo(kCloseAttempts, /*drop=*/true);
    case Operation::kDelete:
      return CloseUpTo(command.force ? 1 : kCloseAttempts, /*drop=*/true);
  }
  return Outcome::Returned(Value());
}

Outcome Session::CloseUpTo(int attempts, bool drop) {
  Outcome outcome = coroutine_.Close();
  for (int attempt = 1; attempt < attempts && coroutine_.state() == CoroutineState::kSuspended; ++attempt) {
    outcome = coroutine_.Close();
  }
  if (drop && coroutine_.state() == CoroutineState::kSuspended) {
    coroutine_ = Coroutine();
    Exception ignored = outcome.exception();
    ignored.AddNote("the coroutine ignored the close and was dropped");
  }
  return outcome;
}

Outcome Session::WithinLimits(Outcome outcome, std::size_t& bytes) const {
  if (outcome.kind != Outcome::Kind::kRaised) {
    ValueMeasure measure = Measure(outcome.value, environment_.limits);
    if (measure.fault != ValueMeasure::Fault::kNone) {
      outcome = Outcome::Raised(LimitError(VerbOf(outcome.kind), measure.fault));
      measure = Measure(outcome.exception(), environment_.limits);
    } else {
      outcome.value = Snapshot(outcome.value);
    }
    bytes = measure.bytes;
    return outcome;
  }
  // What leaves is a copy of its own: the body or its caller may hold the object and change it.
  Exception raised = outcome.exception().Snapshot();
  ValueMeasure measure = Measure(raised, environment_.limits);
  if (measure.fault != ValueMeasure::Fault::kNone) {
    const bool unreadable = measure.fault == ValueMeasure::Fault::kNotUtf8;
    Exception reduced(unreadable ? "ValueError" : raised.type(), {},
                      unreadable ? std::vector<std::string>{} : raised.bases());
    reduced.SetMessage(unreadable ? "raised exception has a text that is not UTF-8" : KeptPart(raised.message()));
    reduced.AddNote("arguments, cause and context are left out: " + LimitError("raised", measure.fault).message());
    measure = Measure(reduced, environment_.limits);
    // Its type or its bases may be too large by themselves.
    raised = measure.fault == ValueMeasure::Fault::kNone ? reduced : LimitError("raised", measure.fault);
  }
  bytes = measure.bytes;
  return Outcome::Raised(raised);
}

SessionInfo Session::Describe() const {
  SessionInfo info;
  info.origin.id = id_;
  info.origin.uid = uid_;
  info.origin.definition = definition_;
  info.origin.arguments = arguments_;
  info.create_time = create_time_;
  const MutexLock lock(mutex_);
  if (labels_) info.origin.labels = *labels_;
  info.origin.idle_timeout = idle_timeout_;
  info.origin.expire_time = expire_time_;
  info.state = in_step_ ? CoroutineState::kRunning : state_;
  info.steps = steps_;
  if (last_outcome_step_ != 0) info.last_outcome = Reply{last_outcome_step_, last_outcome_, false};
  info.last_used_time = last_used_;
  return info;
}

CoroutineState Session::state() const {
  const MutexLock lock(mutex_);
  return in_step_ ? CoroutineState::kRunning : state_;
}

bool Session::MatchesLabels(const Labels& labels) const {
  if (labels.empty()) return true;
  const MutexLock lock(mutex_);
  return labels_ && std::all_of(labels.begin(), labels.end(), [this](const auto& label) ABSL_NO_THREAD_SAFETY_ANALYSIS {
           const auto found = labels_->find(label.first);
           return found != labels_->end() && found->second == label.second;
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

absl::Status Session::Update(const Changes& changes) {
  const MutexLock lock(mutex_);
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
  if (finished_ != absl::InfiniteFuture()) return {finished_ + environment_.retention, Due::Act::kForget};
  const absl::Time used = in_step_ ? environment_.clock.Now() : last_used_;
  const absl::Time idle = used + idle_timeout_;
  if (expire_time_ <= idle) return {expire_time_, Due::Act::kCloseExpired};
  return {idle, Due::Act::kCloseIdle};
}

void Session::MarkForgotten() {
  const MutexLock lock(mutex_);
  forgotten_ = true;
}

}  // namespace corod
