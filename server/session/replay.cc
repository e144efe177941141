#include "server/session/replay.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "server/base/failure.h"
#include "server/session/planted_faults.h"
#include "server/session/refusals.h"

namespace corod {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;

// Of its own: the body may change an exception that it is given.
std::vector<Value> CopyOf(const std::vector<Value>& arguments) {
  std::vector<Value> copy;
  copy.reserve(arguments.size());
  for (const Value& argument : arguments) copy.push_back(Snapshot(argument));
  return copy;
}

}  // namespace

absl::Status Replay::Stop(SessionProblem problem) {
  problem_ = std::move(problem);
  return ProblemStatus(head_.key.id, *problem_);
}

absl::Status Replay::TrimmedBefore(Step step) {
  // The head may be older than the log as it is now.
  const absl::StatusOr<std::optional<Journal::Stored>> found = environment_.journal.Find(head_.key.id);
  if (found.ok() && *found && (*found)->head.key == head_.key) {
    head_.earliest_step = std::max(head_.earliest_step, (*found)->head.earliest_step);
  }
  return Trimmed(head_, step);
}

const Definition* DefinitionOf(const Catalog& catalog, const Head& head) {
  return catalog.Find(head.coroutine, head.version, NamespaceOf(head.key.id));
}

CatalogView ViewOf(const Catalog& catalog, const Head& head) {
  return {head.catalog_revision, catalog.Intern(NamespaceOf(head.key.id))};
}

absl::StatusOr<std::unique_ptr<Replay>> Replay::Begin(const ReplayEnvironment& environment, const Head& head, Step step,
                                                      metrics::ReplayCause cause) {
  std::unique_ptr<Replay> replay(new Replay(environment, head));
  if (absl::Status started = replay->Start(step); !started.ok()) {
    if (!replay->problem_) return started;
    // The caller wants to know what the problem is: a replay that cannot take a step.
  }
  replay->counts_ = environment.metrics != nullptr;
  if (replay->counts_) environment.metrics->replays.Add(cause);
  return replay;
}

Replay::~Replay() {
  if (!counts_) return;
  Rest();
  environment_.metrics->seconds.Observe(std::chrono::duration_cast<std::chrono::nanoseconds>(took_));
}

void Replay::Rest() {
  if (!counts_ || rests_) return;
  rests_ = true;
  took_ += MonotonicClock::now() - since_;
  environment_.metrics->steps.Add(std::exchange(ran_, 0));
}

absl::Status Replay::Start(Step step) {
  const std::uint32_t version = Planted(PlantedFault::kTakesNewestVersion) ? 0 : head_.version;
  definition_ = environment_.catalog.Find(head_.coroutine, version, NamespaceOf(head_.key.id));
  if (!definition_) return VersionUnavailable(head_);
  saved_steps_ = head_.steps;
  saved_digest_ = head_.digest;
  CatalogView view = ViewOf(environment_.catalog, head_);
  if (Planted(PlantedFault::kLooksUpAnew)) view.revision = kNewestRevision;
  absl::StatusOr<std::optional<Checkpoint>> found = environment_.journal.FindCheckpoint(head_.key, step);
  head_.problem.reset();
  if (absl::IsDataLoss(found.status())) {
    if (head_.earliest_step > 1) return Stop(DamagedCheckpoint(head_.earliest_step));
    found = std::optional<Checkpoint>();  // the log still has all that stood before it
  } else if (!found.ok()) {
    return found.status();
  }
  checkpoint_ = *std::move(found);
  if (!checkpoint_) {
    if (head_.earliest_step > 1) return TrimmedBefore(step + 1);
    head_.steps = 0;
    head_.state = CoroutineState::kCreated;
    head_.last_outcome.reset();
    head_.last_used_time = head_.create_time;
    head_.finish_time = absl::InfiniteFuture();
    head_.digest = 0;
    coroutine_ = definition_->create(CopyOf(head_.arguments), view);
    return absl::OkStatus();
  }
  head_.steps = verified_ = checkpoint_->step;
  head_.state = CoroutineState::kSuspended;
  head_.last_outcome = StepOutcome{checkpoint_->step, checkpoint_->outcome};
  head_.last_used_time = std::max(head_.create_time, checkpoint_->time);
  head_.finish_time = absl::InfiniteFuture();
  head_.digest = checkpoint_->digest;
  tail_ = checkpoint_->after;
  const CrashMarks::Guard mark(environment_.crash_marks, head_.key, checkpoint_->step);
  std::variant<Coroutine, Exception> restarted =
      definition_->Restart(CopyOf(head_.arguments), checkpoint_->state, view);
  if (const auto* why = std::get_if<Exception>(&restarted)) {
    return Stop(Broken("the coroutine cannot be started again with its state of step " +
                           std::to_string(checkpoint_->step) + ": " + why->type() + ": " + why->message(),
                       checkpoint_->step + 1));
  }
  coroutine_ = std::get<Coroutine>(std::move(restarted));
  return absl::OkStatus();
}

absl::Status Replay::Enter(const Batch& batch) {
  const Step next = head_.steps + 1;
  if (batch.previous != tail_ || batch.first_step != next) {
    if (tail_ == BatchId{} && batch.first_step != next) return TrimmedBefore(next);
    return Stop(Broken("step " + std::to_string(next) + " is missing in the log, which goes on with step " +
                           std::to_string(batch.first_step),
                       next));
  }
  if (batch.digest != head_.digest) return Stop(Diverged(verified_ + 1, head_.steps));
  verified_ = head_.steps;
  tail_ = batch.id;
  return absl::OkStatus();
}

absl::StatusOr<bool> Replay::FindRecord() {
  while (true) {
    if (batch_ == batches_.size()) {
      absl::StatusOr<std::vector<Batch>> read = environment_.journal.Read(head_.key, tail_, kReadBytes);
      if (absl::IsDataLoss(read.status())) {
        return Stop(DamagedRecord(head_.steps + 1));
      }
      if (absl::IsOutOfRange(read.status())) return TrimmedBefore(head_.steps + 1);  // meanwhile
      if (!read.ok()) return read.status();
      batches_ = *std::move(read);
      batch_ = record_ = 0;
      entered_ = false;
      if (batches_.empty()) return false;
    }
    const Batch& batch = batches_[batch_];
    if (!entered_) {
      if (absl::Status entered = Enter(batch); !entered.ok()) return entered;
      entered_ = true;
    }
    if (record_ < batch.records.size()) return true;
    ++batch_;
    record_ = 0;
    entered_ = false;
  }
}

absl::StatusOr<std::optional<Replay::Executed>> Replay::Next() {
  if (problem_) return ProblemStatus(head_.key.id, *problem_);
  if (rests_) {
    rests_ = false;
    since_ = MonotonicClock::now();
  }
  absl::StatusOr<bool> found = FindRecord();
  if (!found.ok()) return found.status();
  if (!*found) return std::optional<Executed>();
  Executed executed;
  executed.step = head_.steps + 1;
  executed.record = std::move(batches_[batch_].records[record_++]);
  StepInput input{.operation = executed.record.operation,
                  .cause = executed.record.cause,
                  .force = executed.record.force,
                  .value = Snapshot(executed.record.value),
                  .step = executed.step,
                  .time = executed.record.time,
                  .seed = head_.seed};
  {
    const CrashMarks::Guard mark(environment_.crash_marks, head_.key, executed.step);
    executed.result = Execute(*definition_, environment_.limits, std::move(input), coroutine_);
  }
  ++ran_;
  const bool was_over = head_.state == CoroutineState::kClosed;
  head_.steps = executed.step;
  head_.state = coroutine_.state();
  head_.digest = ExtendDigest(head_.digest, executed.result.outcome);
  head_.last_used_time = std::max(head_.create_time, executed.record.time);  // a copy is younger than its steps
  executed.finished = !was_over && head_.state == CoroutineState::kClosed;
  if (!was_over) head_.last_outcome = StepOutcome{executed.step, executed.result.outcome};
  if (executed.finished) {
    head_.finish_time = head_.last_used_time;
    coroutine_ = Coroutine();
  }
  if (head_.steps == saved_steps_) {
    if (head_.digest != saved_digest_) return Stop(Diverged(verified_ + 1, head_.steps));
    verified_ = head_.steps;
  }
  return std::optional<Executed>(std::move(executed));
}

absl::Status Replay::RunTo(Step step) {
  // Without a checkpoint that could be read, the head is not how it stood after that step.
  if (problem_ && !checkpoint_) return ProblemStatus(head_.key.id, *problem_);
  while (head_.steps < step) {
    absl::StatusOr<std::optional<Executed>> executed = Next();
    if (!executed.ok()) return executed.status();
    if (!*executed) {
      return Failed(Reason::INVALID_ARGUMENTS,
                    "there is no step " + std::to_string(step) + "; the session has " + std::to_string(head_.steps),
                    {{"session_id", std::string(LocalName(head_.key.id))},
                     {"parameter", "at_step"},
                     {"steps", std::to_string(head_.steps)}});
    }
  }
  return absl::OkStatus();
}

}  // namespace corod
