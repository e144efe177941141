#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "server/base/failure.h"
#include "server/session/execution.h"
#include "server/session/planted_faults.h"
#include "server/session/refusals.h"
#include "server/session/session.h"

// How a durable session takes its steps: gather, append, execute, answer.
namespace corod {
namespace {

constexpr std::uint32_t kMaxBatchCommands = 1'024;
// Of their values: a batch is written, read and run again as a whole.
constexpr std::size_t kMaxBatchBytes = std::size_t{1} << 20;
constexpr std::size_t kReadBytes = std::size_t{1} << 20;

// A step of the log that nobody waits for.
class UnheardCommand : public Command {
 public:
  explicit UnheardCommand(const Record& record) {
    operation = record.operation;
    cause = record.cause;
    force = record.force;
    value = Snapshot(record.value);
    request_id = record.request_id;
    fingerprint = record.fingerprint;
  }
  void Finish(absl::StatusOr<Reply>) override {}
};

// What those are told whose command may or may not be in the log.
absl::Status Unread(const absl::Status& status) {
  if (IsFailure(status, Reason::JOURNAL_UNAVAILABLE)) return status;
  return Doubtful(Reason::JOURNAL_UNAVAILABLE,
                  "the log cannot be read: " + std::string(status.message()) + "; try again with the same request_id",
                  {}, absl::Seconds(1));
}

Record RecordOf(const Command& command, absl::Time time) {
  return {.operation = command.operation,
          .cause = command.cause,
          .force = command.force,
          .value = command.value,
          .request_id = Planted(PlantedFault::kLosesRequestIds) ? "" : command.request_id,
          .fingerprint = command.request_id.empty() ? 0 : command.fingerprint,
          .time = time};
}

}  // namespace

void Session::CreateInJournal(Journal::NewSession made, std::function<void(const absl::Status&)> created) {
  log_->creating = std::make_unique<Journal::NewSession>(std::move(made));
  log_->created = std::move(created);
  const MutexLock lock(mutex_);
  log_->being_created = true;
}

bool Session::IsBeingCreated() const {
  const MutexLock lock(mutex_);
  return durable_ && log_->being_created;
}

bool Session::WaitForCreation(std::function<void()> then) {
  const MutexLock lock(mutex_);
  if (!durable_ || !log_->being_created) return false;
  log_->waiting_for_creation.push_back(std::move(then));
  return true;
}

void Session::TellOfCreation() {
  std::vector<std::function<void()>> waiting;
  {
    const MutexLock lock(mutex_);
    log_->being_created = false;
    waiting.swap(log_->waiting_for_creation);
  }
  for (const std::function<void()>& then : waiting) then();
}

bool Session::RunDurable(Thread thread) {
  SessionLog& log = *log_;
  if (log.doubtful) {
    if (thread == Thread::kCallers) return true;
    if (absl::Status read = ReadToTip(); !read.ok()) {
      FailQueue(read);
      return !IsIdle();
    }
  }
  if (log.deleting) {
    RemoveFromJournal(std::exchange(log.deleter, nullptr), std::exchange(log.deleted, std::nullopt));
    return false;
  }
  switch (GatherBatch(thread)) {
    case Gathered::kNothing:
      return false;
    case Gathered::kGoesOnElsewhere:
      return true;
    case Gathered::kBatch:
      AppendBatch();
      return false;
    case Gathered::kRemoves:
      return false;
  }
  return false;
}

bool Session::IsIdle() {
  const MutexLock lock(mutex_);
  if (!queue_.empty()) return false;
  running_ = false;
  if (forgotten_) gone_ = true;
  return true;
}

Session::Gathered Session::GatherBatch(Thread thread) {
  SessionLog& log = *log_;
  const absl::Time now = environment().clock.Now();
  log.batch_time = now;
  absl::flat_hash_set<std::string_view> ids;  // of the batch
  std::size_t bytes = 0;
  const auto put_back = [this](Command* command) {
    const MutexLock lock(mutex_);
    queue_.PushFront(command);
  };
  int answered = 0;
  while (log.batch.size() < kMaxBatchCommands && bytes < kMaxBatchBytes) {
    Command* command = nullptr;
    {
      const MutexLock lock(mutex_);
      command = queue_.Pop();
    }
    const bool due_anyway = log.creating || log.claiming;
    if (!command) {
      if (!log.batch.empty() || due_anyway) break;
      if (IsIdle()) return Gathered::kNothing;
      continue;
    }
    // What the server does by itself depends on what the steps before it did; a known id on whether they succeed.
    const bool alone = command->cause != CloseCause::kClient || ids.contains(command->request_id);
    if (alone && !log.batch.empty()) {
      put_back(command);
      break;
    }
    Standing standing = Stand();
    standing.steps += log.batch.size();
    standing.created = standing.created && log.batch.empty();
    absl::StatusOr<Reply> answer = Reply();
    const Verdict verdict = Check(*command, standing, now, answer);
    if (verdict == Verdict::kStep && !command->forgets && !(command->operation == Operation::kDelete && HasProblem())) {
      log.batch.Push(command);
      bytes += Measure(command->value, environment().limits).bytes;
      if (!command->request_id.empty()) ids.insert(command->request_id);
      if (command->operation == Operation::kDelete) break;
      continue;
    }
    if (!log.batch.empty() || (due_anyway && verdict != Verdict::kAnswered)) {  // in its turn, behind these
      put_back(command);
      break;
    }
    if (verdict == Verdict::kAnswered) {
      command->Finish(std::move(answer));
      if (++answered % 256 == 0 && thread == Thread::kCallers) return Gathered::kGoesOnElsewhere;
      continue;
    }
    if (verdict == Verdict::kStep) {  // the session is to go without a step
      std::optional<Reply> reply;
      if (!command->forgets) reply = Reply{.step = standing.steps, .outcome = Outcome::Returned(Value())};
      RemoveFromJournal(command, std::move(reply));
      return Gathered::kRemoves;
    }
    if (thread == Thread::kCallers) {
      put_back(command);
      return Gathered::kGoesOnElsewhere;
    }
    Repeat(*command);
  }
  return Gathered::kBatch;
}

void Session::AppendBatch() {
  SessionLog& log = *log_;
  Batch batch;
  batch.id = log.batch_id = BatchId{++log.last_number, log.writer};
  batch.previous = log.tail;
  {
    const MutexLock lock(mutex_);
    batch.first_step = steps_ + 1;
    batch.digest = log.digest;
  }
  batch.records.reserve(log.batch.size());
  for (const Command* command = log.batch.first(); command; command = log.batch.After(command)) {
    batch.records.push_back(RecordOf(*command, log.batch_time));
  }
  if (log.creating && batch.records.empty()) log.batch_id = BatchId{log.last_number = log.tail.number, log.tail.writer};
  std::optional<absl::Time> due;
  if (!log.scheduled) {
    due = log.batch_time + environment().durability.settle_after;
    if (const std::optional<absl::Time> own = DueInJournal()) due = std::min(*due, *own);
  }
  const auto done = [self = SessionPtr(this)](const absl::Status& status) {
    if (status.ok() && self->MayRunHere()) {
      self->OnAppended(status, Thread::kCallers);
    } else {
      self->environment().executor.Run([self, status] { self->OnAppended(status, Thread::kExecutors); });
    }
  };
  if (log.creating) {
    Journal::NewSession made = std::move(*log.creating);
    if (!batch.records.empty()) made.log.push_back(std::move(batch));
    made.due = due;
    environment().journal.Create(std::move(made), done);
  } else {
    environment().journal.Append({id(), uid()}, batch, due, done);
    if (Planted(PlantedFault::kAnswersBeforeAppend)) ExecuteBatch();
  }
}

void Session::OnAppended(const absl::Status& status, Thread thread) {
  SessionLog& log = *log_;
  if (log.creating) {
    log.creating.reset();
    const auto created = std::exchange(log.created, nullptr);
    created(status);
    if (!status.ok()) End(status);
    TellOfCreation();  // when no failed one is to be found any more
    if (!status.ok()) return;
  } else if (!status.ok()) {
    Recover(status);
    Run(thread);
    return;
  }
  log.scheduled = true;
  log.claiming = false;
  log.tail = log.batch_id;
  if (ExecuteBatch()) Run(thread);
}

bool Session::ExecuteBatch() {
  SessionLog& log = *log_;
  const absl::Time time = log.batch_time;
  while (Command* command = log.batch.Pop()) {
    Reply reply = TakeStep(*command, time);
    if (command->operation == Operation::kDelete) {
      log.NoteDelete(command->request_id, command->fingerprint, reply);
      RemoveFromJournal(command, std::move(reply));
      return false;
    }
    command->Finish(std::move(reply));
  }
  SaveIfDue();
  return true;
}

void Session::Recover(const absl::Status& status) {
  SessionLog& log = *log_;
  if (Planted(PlantedFault::kAppendsTwice) && !absl::IsAborted(status)) {
    const MutexLock lock(mutex_);
    queue_.PutBack(log.batch);
    return;
  }
  log.doubtful = true;
  if (absl::Status read = ReadToTip(); !read.ok()) {
    log.deleted.reset();
    if (Command* command = std::exchange(log.deleter, nullptr)) command->Finish(read);
    FailBatch(read);
    return;
  }
  if (absl::IsAborted(status)) {
    // Somebody else wrote: what is not in the log goes through the checks again.
    const MutexLock lock(mutex_);
    queue_.PutBack(log.batch);
  } else {
    FailBatch(status);
  }
}

absl::Status Session::ReadToTip() {
  SessionLog& log = *log_;
  while (true) {
    absl::StatusOr<std::vector<Batch>> read = environment().journal.Read({id(), uid()}, log.tail, kReadBytes);
    if (absl::IsDataLoss(read.status())) {
      const MutexLock lock(mutex_);
      log.problem = Broken("the record of step " + std::to_string(steps_ + 1) + " is damaged", steps_ + 1);
      log.doubtful = false;
      return ProblemStatus(id(), *log.problem);
    }
    if (!read.ok()) return Unread(read.status());
    if (read->empty()) break;
    for (const Batch& batch : *read) {
      if (absl::Status adopted = Adopt(batch); !adopted.ok()) return adopted;
    }
  }
  const absl::StatusOr<std::optional<Journal::Stored>> found = environment().journal.Find(id());
  if (!found.ok()) return Unread(found.status());
  if (!*found || (*found)->head.key.uid != uid()) {
    environment().on_deleted(*this, nullptr, nullptr);
    log.claiming = false;  // there is nothing to write to
  }
  log.writer = environment().random.Next();
  log.last_number = std::max(log.last_number, log.tail.number);
  log.doubtful = false;
  return absl::OkStatus();
}

absl::Status Session::Adopt(const Batch& batch) {
  SessionLog& log = *log_;
  Step steps = 0;
  {
    const MutexLock lock(mutex_);
    steps = steps_;
    if (batch.first_step != steps + 1) {
      log.problem = Broken("step " + std::to_string(steps + 1) + " is missing in the log", steps + 1);
    } else if (batch.digest != log.digest) {
      log.problem = Diverged(1, steps);
    }
    if (log.problem) {
      log.doubtful = false;
      return ProblemStatus(id(), *log.problem);
    }
  }
  log.tail = batch.id;
  log.last_number = std::max(log.last_number, batch.id.number);
  const bool ours = batch.id == log.batch_id && !log.batch.empty();
  for (const Record& record : batch.records) {
    if (Command* command = ours ? log.batch.Pop() : nullptr) {
      Reply reply = TakeStep(*command, record.time);
      if (record.operation == Operation::kDelete) {  // answered when it is carried out
        log.NoteDelete(record.request_id, record.fingerprint, reply);
        log.deleter = command;
        log.deleted = std::move(reply);
      } else {
        command->Finish(std::move(reply));
      }
    } else {
      UnheardCommand unheard(record);
      const Reply reply = TakeStep(unheard, record.time);
      if (record.operation == Operation::kDelete) log.NoteDelete(record.request_id, record.fingerprint, reply);
    }
  }
  return absl::OkStatus();
}

void Session::FailBatch(const absl::Status& status) {
  while (Command* command = log_->batch.Pop()) command->Finish(status);
}

void Session::FailQueue(const absl::Status& status) {
  CommandQueue commands;
  {
    const MutexLock lock(mutex_);
    std::swap(commands, queue_);
  }
  while (Command* command = commands.Pop()) command->Finish(status);
}

void Session::End(const absl::Status& status) {
  {
    const MutexLock lock(mutex_);
    forgotten_ = gone_ = true;
  }
  if (!absl::IsAborted(status)) {
    FailBatch(status);
    FailQueue(status);
    return;
  }
  // The id stands for another session: what is not part of the Create is for that one.
  CommandQueue commands;
  {
    const MutexLock lock(mutex_);
    std::swap(commands, queue_);
  }
  commands.PutBack(log_->batch);
  while (Command* command = commands.Pop()) {
    if (command->operation == Operation::kCreate || command->cause != CloseCause::kClient) {
      command->Finish(status);
    } else {
      environment().submit_again(id(), command);
    }
  }
}

void Session::Repeat(Command& command) {
  const Step step = command.repeats;
  if (Stand().forgotten) {  // its log is gone; what is known is the answer of the Delete
    absl::StatusOr<std::optional<Tombstone>> found = environment().journal.FindTombstone(id(), command.request_id);
    if (!found.ok()) {
      command.Finish(found.status());
    } else if (*found) {
      command.Finish(Reply{.step = (*found)->outcome.step, .outcome = (*found)->outcome.outcome, .replayed = true});
    } else {
      command.Finish(NotFound(id()));
    }
    return;
  }
  const auto repeat = [&]() -> absl::StatusOr<Reply> {
    Head head;
    {
      const MutexLock lock(mutex_);
      head = MakeHeadLocked();
    }
    absl::StatusOr<std::unique_ptr<Replay>> replay = Replay::Begin(environment().replay, head, step - 1);
    if (!replay.ok()) return replay.status();
    absl::StatusOr<std::optional<Replay::Executed>> executed = std::nullopt;
    absl::Status ran = (*replay)->RunTo(step - 1);
    const bool ends_before = IsFailure(ran, Reason::INVALID_ARGUMENTS);
    if (!ran.ok() && !ends_before) return ran;
    if (ran.ok()) executed = (*replay)->Next();
    if (!executed.ok()) return executed.status();
    if (!*executed) {
      log_->doubtful = true;  // the session may have been removed by a Remove that was in doubt
      return Unread(absl::DataLossError("the log ends before the step"));
    }
    return Reply{.step = step, .outcome = (*executed)->result.outcome, .replayed = true};
  };
  absl::StatusOr<Reply> reply = repeat();
  if (IsFailure(reply.status(), Reason::HISTORY_TRIMMED)) {
    reply = Failed(Reason::REPLY_FORGOTTEN,
                   "the command was executed as the step in the metadata; the log no longer reaches back to it",
                   {{"session_id", id()}, {"request_id", command.request_id}, {"step", std::to_string(step)}});
  }
  command.Finish(std::move(reply));
}

std::optional<Checkpoint> Session::MakeCheckpoint() const {
  if (!definition() || !definition()->restartable || HasProblem()) return std::nullopt;
  std::optional<Value> state = coroutine_.Save();
  if (!state) return std::nullopt;
  Checkpoint checkpoint;
  checkpoint.after = log_->tail;
  checkpoint.state = *std::move(state);
  checkpoint.ids = log_->ids.List();
  const MutexLock lock(mutex_);
  checkpoint.step = steps_;
  checkpoint.digest = log_->digest;
  checkpoint.outcome = last_outcome();
  checkpoint.time = last_used();
  return checkpoint;
}

void Session::SaveIfDue() {
  SessionLog& log = *log_;
  Step steps = 0;
  bool finish = false;
  {
    const MutexLock lock(mutex_);
    steps = steps_;
    finish = state_ == CoroutineState::kClosed && !log.saved_finished;
    if (finish) log.saved_finished = true;
  }
  if (finish) {
    // Should this fail, the session is as one that was alive when the server ended: its log says all.
    Save(std::nullopt, DueInJournal(), Synced::kYes, [](const absl::Status&) {});
    return;
  }
  if (steps - log.asked_checkpoint < environment().durability.checkpoint_every) return;
  std::optional<Checkpoint> checkpoint = MakeCheckpoint();
  if (!checkpoint) return;
  log.asked_checkpoint = steps;
  Save(std::move(checkpoint), std::nullopt, Synced::kNo, [](const absl::Status&) {});
}

void Session::Save(std::optional<Checkpoint> checkpoint, std::optional<absl::Time> due, Synced synced,
                   Journal::Done done) {
  SessionLog& log = *log_;
  Journal::Saved saved;
  std::optional<Step> added;
  std::optional<Step> oldest;  // the checkpoint where the log is to begin
  std::vector<Step> dropped;
  // Held until it is handed over, so that of two heads the later one comes later.
  const MutexLock lock(mutex_);
  if (checkpoint) {
    added = checkpoint->step;
    // What stays: the newest checkpoint that leaves as much history as is asked for, and those behind it.
    const Step history = environment().durability.history;
    const Step reach = *added > history ? *added - history : 0;
    const std::vector<Step>& kept = log.checkpoints;
    const auto behind = std::upper_bound(kept.begin(), kept.end(), reach);
    if (behind != kept.begin()) {
      oldest = *std::prev(behind);
      log.earliest_step = *oldest + 1;
      dropped.assign(kept.begin(), std::prev(behind));
    }
    // Of those made on going to sleep, one that stands too near to the one before it need not stay.
    if (kept.size() >= 2 && kept.back() != oldest && kept[kept.size() - 2] >= oldest.value_or(0) &&
        kept.back() - kept[kept.size() - 2] < environment().durability.checkpoint_every) {
      dropped.push_back(kept.back());
    }
  }
  saved.head = MakeHeadLocked();
  const Step steps = saved.head.steps;
  saved.checkpoint = std::move(checkpoint);
  saved.due = due;
  saved.synced = synced == Synced::kYes;
  const auto stored = [self = SessionPtr(this), steps, added, oldest, dropped = std::move(dropped),
                       done = std::move(done)](const absl::Status& status) {
    if (status.ok()) {
      {
        const MutexLock lock(self->mutex_);
        SessionLog& of = *self->log_;
        of.saved_steps = std::max(of.saved_steps, steps);
        if (added) {
          of.checkpoints.erase(std::remove_if(of.checkpoints.begin(), of.checkpoints.end(),
                                              [&dropped](Step step) {
                                                return std::find(dropped.begin(), dropped.end(), step) != dropped.end();
                                              }),
                               of.checkpoints.end());
          of.checkpoints.push_back(*added);
        }
      }
      if (!dropped.empty()) {
        self->environment().executor.Run([self, oldest, dropped] { self->Trim(oldest, dropped); });
      }
    }
    done(status);
  };
  environment().journal.Save(std::move(saved), stored);
}

void Session::Trim(std::optional<Step> oldest, const std::vector<Step>& dropped) {
  const SessionKey key{id(), uid()};
  BatchId up_to;
  if (oldest) {
    const absl::StatusOr<std::optional<Checkpoint>> found = environment().journal.FindCheckpoint(key, *oldest);
    // Whatever cannot be read now is trimmed with the next checkpoint.
    if (!found.ok() || !*found || (*found)->step != *oldest) return;
    up_to = (*found)->after;
  }
  environment().journal.Trim(key, up_to, dropped);
}

void Session::RemoveFromJournal(Command* command, std::optional<Reply> reply) {
  std::optional<Tombstone> tombstone;
  if (log_->deleting) {
    tombstone = log_->tombstone;
  } else if (command && reply && !command->request_id.empty()) {
    tombstone = Tombstone{.request_id = command->request_id,
                          .fingerprint = command->fingerprint,
                          .outcome = {reply->step, *reply->outcome},
                          .expire_time = {}};
  }
  if (tombstone) tombstone->expire_time = environment().clock.Now() + environment().retention;
  const auto done = [self = SessionPtr(this), command, reply = std::move(reply)](const absl::Status& status) mutable {
    self->environment().executor.Run([self, command, reply = std::move(reply), status]() mutable {
      if (status.ok()) {
        self->log_->deleting = false;
        self->MarkForgotten();
        self->environment().on_deleted(*self, command, reply ? &*reply : nullptr);
        if (command) command->Finish(reply ? absl::StatusOr<Reply>(*std::move(reply)) : absl::StatusOr<Reply>(Reply()));
      } else {
        // The Delete is in the log: it is carried out with the next command, or when the session comes back. And it may
        // be gone all the same.
        self->log_->doubtful = true;
        if (command) command->Finish(status);
        self->FailQueue(status);
        if (self->IsIdle()) return;
      }
      self->Run(Thread::kExecutors);
    });
  };
  environment().journal.Remove({id(), uid()}, std::move(tombstone), done);
}

bool Session::Sleep(std::function<void(bool asleep)> done) {
  SessionLog& log = *log_;
  bool saved = false;
  bool unsettled = false;
  {
    const MutexLock lock(mutex_);
    if (running_ || gone_ || !queue_.empty() || log.creating) return false;
    running_ = true;
    unsettled = log.doubtful || log.deleting;
    saved = log.saved_steps == steps_ && (state_ != CoroutineState::kClosed || log.saved_finished) && steps_ > 0;
  }
  if (unsettled) {  // first it finds out what became of its last batch, or goes; it sleeps another time
    environment().executor.Run([self = SessionPtr(this)] { self->Run(Thread::kExecutors); });
    return false;
  }
  const auto leave = [self = SessionPtr(this), done = std::move(done)](const absl::Status& status) {
    bool gone = false;
    {
      const MutexLock lock(self->mutex_);
      gone = self->gone_ = status.ok() && self->queue_.empty() && self->log_->updates == 0;
    }
    if (gone) self->coroutine_ = Coroutine();
    done(gone);
    // Somebody came meanwhile, or it could not be saved; or a change is not in the journal yet, from where the session
    // may be read as soon as it has left.
    if (!gone) self->environment().executor.Run([self] { self->Run(Thread::kExecutors); });
  };
  if (saved) {
    leave(absl::OkStatus());
    return true;
  }
  {
    const MutexLock lock(mutex_);
    if (state_ == CoroutineState::kClosed) log.saved_finished = true;
  }
  std::optional<Checkpoint> checkpoint = MakeCheckpoint();
  if (checkpoint && checkpoint->step == log.asked_checkpoint) checkpoint.reset();
  if (checkpoint) log.asked_checkpoint = checkpoint->step;
  Save(std::move(checkpoint), DueInJournal(), Synced::kNo, leave);
  return true;
}

bool Session::Update(const Changes& changes, const Journal::Done& done) {
  absl::Status changed;
  {
    const MutexLock lock(mutex_);
    if (gone_) return false;
    changed = ChangeLocked(changes);
    if (changed.ok() && durable_) {  // handed over under the lock, so that of two heads the later one comes later
      ++log_->updates;
      environment().journal.Save(
          {.head = MakeHeadLocked(), .checkpoint = {}, .due = DueInJournalLocked(), .synced = true},
          [self = SessionPtr(this), done](const absl::Status& status) {
            {
              const MutexLock updated(self->mutex_);
              --self->log_->updates;
            }
            done(status);
          });
      return true;
    }
  }
  done(changed);
  return true;
}

CommandQueue Session::Abandon() {
  if (durable_) {
    log_->creating.reset();
    log_->created = nullptr;  // which may hold this session
  }
  const MutexLock lock(mutex_);
  gone_ = true;
  return std::exchange(queue_, CommandQueue());
}

bool Session::Retire(CommandQueue& waiting) {
  if (log_->doubtful || log_->deleting) return false;
  const MutexLock lock(mutex_);
  if (forgotten_ || gone_ || state_ != CoroutineState::kClosed) return false;
  gone_ = true;
  waiting = std::exchange(queue_, CommandQueue());
  return true;
}

std::optional<absl::Time> Session::DueInJournal() const {
  const MutexLock lock(mutex_);
  return DueInJournalLocked();
}

std::optional<absl::Time> Session::DueInJournalLocked() const {
  const absl::Time due = NextDueLocked().when;
  return due == absl::InfiniteFuture() ? std::nullopt : std::optional<absl::Time>(due);
}

}  // namespace corod
