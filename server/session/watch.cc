#include "server/session/watch.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/base/failure.h"
#include "server/catalog/namespaces.h"
#include "server/session/refusals.h"

namespace corod {
namespace {

// What waits to be taken: from the log, and of what the session does meanwhile.
constexpr std::size_t kReadAhead = 256;
constexpr std::size_t kReadAheadBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxReady = 1'024;
constexpr std::size_t kMaxReadyBytes = std::size_t{16} << 20;

}  // namespace

Watch::Watch(const ReplayEnvironment& environment, Executor& executor, Options options, std::function<void()> wake)
    : environment_(environment),
      executor_(executor),
      options_(std::move(options)),
      wake_(std::move(wake)),
      in_log_(options_.reads_log),
      next_(options_.from_step.value_or(0)) {}

Watch::Taken Watch::Take(std::size_t max_events) {
  Taken taken;
  bool read = false;
  {
    const MutexLock lock(mutex_);
    while (!ready_.empty() && taken.events.size() < max_events) {
      ready_bytes_ -= ready_.front()->bytes;
      taken.events.push_back(std::move(ready_.front()));
      ready_.pop_front();
    }
    if (ready_.empty() && end_) {
      taken.end = end_;
    } else if (in_log_ && !reading_ && !end_ && ready_.size() < kReadAhead / 2 && ready_bytes_ < kReadAheadBytes / 2) {
      read = reading_ = true;
    }
    waiting_ = taken.events.empty() && !taken.end;
  }
  if (read) executor_.Run([self = shared_from_this()] { self->ReadLog(); });
  return taken;
}

void Watch::End(const absl::Status& status) {
  {
    const MutexLock lock(mutex_);
    EndLocked(status);
  }
  Wake();
}

void Watch::EndLocked(const absl::Status& status) {
  if (!end_) end_ = status;
}

void Watch::Wake() {
  {
    const MutexLock lock(mutex_);
    if (!waiting_) return;
    waiting_ = false;
  }
  wake_();
}

void Watch::Push(std::shared_ptr<const StepEvent> event) {
  next_ = event->step + 1;
  const bool finished = event->finished;
  ready_bytes_ += event->bytes;
  ready_.push_back(std::move(event));
  if (finished) EndLocked(absl::OkStatus());
}

void Watch::OnStep(const std::shared_ptr<const StepEvent>& event) {
  {
    const MutexLock lock(mutex_);
    published_ = event->step;
    if (end_ || in_log_ || event->step < next_) return;
    if (ready_.size() >= kMaxReady || (!ready_.empty() && ready_bytes_ + event->bytes > kMaxReadyBytes)) {
      DropLocked();
    } else {
      Push(event);
    }
  }
  Wake();
}

void Watch::DropLocked(Reason reason, std::string_view message) {
  const Step resume = ready_.empty() ? NextLocked() : ready_.front()->step;
  ready_.clear();
  ready_bytes_ = 0;
  EndLocked(Resumable(reason, message, resume));
}

void Watch::DropLocked() {
  DropLocked(Reason::WATCHER_TOO_SLOW,
             "the session goes on faster than its steps are read; watch again from the step in the metadata");
}

absl::Status Watch::Resumable(Reason reason, std::string_view message, Step resume, absl::Duration retry_delay) const {
  return Failed(reason, message, {{"session_id", session_id()}, {"resume_step", std::to_string(resume)}}, retry_delay);
}

void Watch::Drop() {
  {
    const MutexLock lock(mutex_);
    if (end_ && ready_.empty()) return;
    end_.reset();
    DropLocked();
  }
  Wake();
}

void Watch::Drop(Reason reason, std::string_view message) {
  {
    const MutexLock lock(mutex_);
    if (end_ && ready_.empty()) return;
    end_.reset();
    DropLocked(reason, message);
  }
  Wake();
}

void Watch::OnForgotten() {
  End(Failed(Reason::SESSION_NOT_FOUND, "session '" + session_id() + "' was forgotten",
             {{"session_id", session_id()}}));
}

void Watch::OnDrained() {
  {
    const MutexLock lock(mutex_);
    EndLocked(Resumable(Reason::DRAINING,
                        "the server is shutting down; watch again from the step in the metadata when it is back",
                        NextLocked(), absl::Seconds(1)));
  }
  Wake();
}

Step Watch::NextLocked() const {
  if (next_ != 0) return next_;
  return std::max(published_, options_.head.steps) + 1;
}

std::string Watch::session_id() const { return std::string(LocalName(options_.head.key.id)); }

void Watch::ReadLog() {
  while (ReadSome()) {
  }
  Wake();
}

bool Watch::ReadSome() {
  const auto ends = [this](const absl::Status& status) {
    replay_.reset();
    const MutexLock lock(mutex_);
    EndLocked(status);
    reading_ = false;
    return false;
  };
  const Step from = *options_.from_step;
  if (!replay_) {
    absl::StatusOr<std::unique_ptr<Replay>> replay = Replay::Begin(environment_, options_.head, from - 1);
    if (!replay.ok()) return ends(replay.status());
    replay_ = *std::move(replay);
  }
  const std::optional<SessionProblem>& problem = options_.head.problem;
  if (problem && replay_->head().steps + 1 >= problem->step) {
    return ends(ProblemStatus(options_.head.key.id, *problem));
  }
  absl::StatusOr<std::optional<Replay::Executed>> executed = replay_->Next();
  if (!executed.ok()) return ends(executed.status());
  const MutexLock lock(mutex_);
  if (end_) {
    replay_->Rest();
    reading_ = false;
    return false;
  }
  if (!*executed) {
    if (published_ > replay_->head().steps) return true;  // there is more by now
    if (replay_->head().state == CoroutineState::kClosed) EndLocked(absl::OkStatus());
    replay_->Rest();
    in_log_ = reading_ = false;
    return false;
  }
  if ((*executed)->step >= from) {
    auto event = std::make_shared<StepEvent>();
    event->step = (*executed)->step;
    event->record = std::move((*executed)->record);
    event->bytes = Measure(event->record.value, environment_.limits).bytes + (*executed)->result.bytes;
    event->outcome = std::move((*executed)->result.outcome);
    event->finished = (*executed)->finished;
    Push(std::move(event));
  } else if ((*executed)->finished) {
    EndLocked(absl::OkStatus());
  }
  if (end_ || ready_.size() >= kReadAhead || ready_bytes_ >= kReadAheadBytes) {
    replay_->Rest();
    reading_ = false;
    return false;
  }
  return true;
}

}  // namespace corod
