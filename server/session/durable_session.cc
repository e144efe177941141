#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "server/base/failure.h"
#include "server/base/prefetch.h"
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

// Into a record that may have been another one's, so that its text has room.
void Fill(const Command& command, Record& record) {
  record.operation = command.operation;
  record.cause = command.cause;
  record.force = command.force;
  record.value = command.value;
  record.request_id = Planted(PlantedFault::kLosesRequestIds) ? std::string() : command.request_id;
  record.fingerprint = command.request_id.empty() ? 0 : command.fingerprint;
  record.time = command.accepted;
}

// What an append is made of; a thread keeps it for the next one, with the room that it has. The journal keeps nothing
// of it.
struct Draft {
  static Draft& Get() {
    thread_local Draft draft;
    return draft;
  }
  // Lets go of what others share, and of more room than most need.
  void Clear() {
    if (batch.records.size() > kMaxKept) {
      batch.records = {};
      return;
    }
    for (Record& record : batch.records) record.value = Value();
  }

  static constexpr std::size_t kMaxKept = 128;
  Batch batch;
};

// The request ids of a batch.
class BatchIds {
 public:
  bool Contains(std::string_view id) const {
    if (id.empty()) return false;
    if (many_) return many_->contains(id);
    return std::find(few_.begin(), few_.begin() + count_, id) != few_.begin() + count_;
  }
  // As long as the text stays where it is.
  void Add(std::string_view id) {
    if (id.empty()) return;
    if (!many_ && count_ == few_.size()) many_.emplace(few_.begin(), few_.end());
    if (many_) {
      many_->insert(id);
    } else {
      few_[count_++] = id;
    }
  }

 private:
  std::array<std::string_view, 8> few_;
  std::size_t count_ = 0;
  std::optional<absl::flat_hash_set<std::string_view>> many_;
};

}  // namespace

void Session::CreateInJournal(Journal::NewSession made, const Command* prime,
                              std::function<void(const absl::Status&)> created) {
  auto creation = std::make_unique<SessionLog::Creation>();
  creation->made = std::make_unique<Journal::NewSession>(std::move(made));
  creation->prime = prime;
  creation->created = std::move(created);
  log_->creating = true;
  const MutexLock lock(mutex_);
  log_->being_created = true;
  log_->MutableExtras().creation = std::move(creation);
}

bool Session::IsBeingCreated() const {
  const MutexLock lock(mutex_);
  return durable_ && log_->being_created;
}

bool Session::WaitForCreation(std::function<void()> then) {
  const MutexLock lock(mutex_);
  if (!durable_ || !log_->being_created) return false;
  log_->MutableExtras().creation->waiting.push_back(std::move(then));
  return true;
}

void Session::TellOfCreation() {
  std::unique_ptr<SessionLog::Creation> creation;
  {
    const MutexLock lock(mutex_);
    log_->being_created = false;
    creation = std::move(log_->MutableExtras().creation);
  }
  for (const std::function<void()>& then : creation->waiting) then();
}

SessionLog::Extras& Session::MutableLogExtras() {
  const MutexLock lock(mutex_);
  return log_->MutableExtras();
}

void Session::NoteDelete(std::string_view request_id, std::uint64_t fingerprint, const Reply& reply) {
  const MutexLock lock(mutex_);
  log_->NoteDelete(request_id, fingerprint, reply);
}

void Session::RunDurable(Thread thread, SessionPtr keep) {
  SessionLog& log = *log_;
  if (log.doubtful) {
    CommandQueue none;
    if (thread == Thread::kCallers) {
      GoOnElsewhere(std::move(keep));
      return;
    }
    if (absl::Status read = ReadToTip(BatchId(), none); !read.ok()) {
      ReportOwnProblem();
      FailQueue(read);
      if (!IsIdle()) GoOnElsewhere(std::move(keep));
      return;
    }
  }
  if (log.deleting) {
    SessionLog::Deletion& deletion = *MutableLogExtras().deletion;
    RemoveFromJournal(std::exchange(deletion.deleter, nullptr), std::exchange(deletion.deleted, std::nullopt));
    return;
  }
  Turn turn;
  RunDurable(thread, std::move(keep), turn);
}

void Session::RunDurable(Thread thread, SessionPtr keep, Turn& turn) {
  Gathering gathering;
  switch (GatherBatch(thread, turn, gathering)) {
    case Gathered::kGoesOnElsewhere:
      GoOnElsewhere(std::move(keep));
      return;
    case Gathered::kBatch:
      AppendBatch(std::move(gathering), std::move(keep));
      return;
    case Gathered::kIsNotToBe:
      OnCreated(gathering.refusal, gathering.batch, /*others_go_on=*/true);
      return;
    case Gathered::kNothing:
    case Gathered::kRemoves:
      return;
  }
}

bool Session::IsIdle() {
  const MutexLock lock(mutex_);
  return IsIdleLocked();
}

bool Session::IsIdleLocked() {
  if (!queue_.empty()) return false;
  running_ = false;
  log_->TidyUp();
  if (forgotten_) gone_ = true;
  return true;
}

void Session::TakeTurnLocked(Turn& turn) {
  turn.commands = TakeQueueLocked();
  turn.standing = StandLocked();
}

bool Session::TakeTurn(Turn& turn) {
  const MutexLock lock(mutex_);
  if (log_->IsSettled() && IsIdleLocked()) return false;
  TakeTurnLocked(turn);
  return true;
}

Session::Gathered Session::GatherBatch(Thread thread, Turn& turn, Gathering& gathering) {
  const bool creating = log_->creating;
  const bool due_anyway = creating || log_->claiming;
  CommandQueue& commands = turn.commands;
  Standing& standing = turn.standing;
  const auto put_back = [&] {
    if (commands.empty()) return;
    const MutexLock lock(mutex_);
    PutBackLocked(commands);
  };
  const std::uint32_t most =
      MayRunHere() ? kMaxBatchCommands : std::min(kMaxBatchCommands, kind_->pace.StepsWithin(kTimeInARow));
  int answered = 0;
  while (true) {
    if (commands.empty() && !TakeTurn(turn)) return Gathered::kNothing;
    gathering.steps = standing.steps;
    gathering.now = environment().clock.Now();
    BatchIds ids;
    std::size_t count = 0;
    std::size_t bytes = 0;
    bool again = false;
    while (Command* command = commands.Pop()) {
      // What the server does by itself depends on what the steps before it did; a known id on whether they succeed.
      const bool alone = command->cause != CloseCause::kClient || ids.Contains(command->request_id);
      if (count != 0 && (alone || count >= most || bytes >= kMaxBatchBytes)) {
        commands.PushFront(command);
        break;
      }
      absl::StatusOr<Reply> answer;
      const Verdict verdict = Check(*command, standing, gathering.now, answer);
      const bool is_delete = command->operation == Operation::kDelete;
      if (verdict == Verdict::kStep && !command->forgets && !(is_delete && standing.has_problem)) {
        command->accepted = gathering.now;
        gathering.batch.Push(command);
        if (is_delete || commands.empty()) break;
        ids.Add(command->request_id);
        if (command->value.kind() >= Value::Kind::kText) bytes += Measure(command->value, environment().limits).bytes;
        ++count;
        ++standing.steps;
        standing.created = false;
        continue;
      }
      if (creating && IsPrime(*command)) {
        gathering.refusal = answer.status();
        gathering.batch.Push(command);
        put_back();
        return Gathered::kIsNotToBe;
      }
      if (count != 0 || creating || (due_anyway && verdict != Verdict::kAnswered) ||
          (verdict == Verdict::kRepeat && thread == Thread::kCallers)) {  // in its turn
        commands.PushFront(command);
        if (count == 0 && !due_anyway) {
          put_back();
          return Gathered::kGoesOnElsewhere;
        }
        break;
      }
      put_back();  // whoever gets an answer may look for those that wait
      if (verdict == Verdict::kAnswered && standing.forgotten && command->cause == CloseCause::kClient &&
          command->operation != Operation::kCreate && IsFailure(answer.status(), Reason::SESSION_NOT_FOUND)) {
        environment().submit_again(id(), command);  // its id may stand for another session
      } else if (verdict == Verdict::kAnswered) {
        command->Finish(std::move(answer));
        if (++answered % 256 == 0 && thread == Thread::kCallers) return Gathered::kGoesOnElsewhere;
      } else if (verdict == Verdict::kStep) {  // the session is to go without a step
        std::optional<Reply> reply;
        if (!command->forgets) reply = Reply{.step = standing.steps, .outcome = Outcome::Returned(Value())};
        RemoveFromJournal(command, std::move(reply));
        return Gathered::kRemoves;
      } else {
        Repeat(*command);
      }
      again = true;
      break;
    }
    if (again) continue;
    put_back();
    return Gathered::kBatch;
  }
}

void Session::AppendBatch(Gathering gathering, SessionPtr keep) {
  SessionLog& log = *log_;
  Draft& draft = Draft::Get();
  Batch& batch = draft.batch;
  if (!log.creating || !gathering.batch.empty()) batch.id = NextBatch();
  batch.previous = log.tail;
  batch.first_step = gathering.steps + 1;
  batch.digest = log.digest;
  batch.records.resize(gathering.batch.size());
  std::size_t place = 0;
  for (const Command* command = gathering.batch.first(); command; command = gathering.batch.After(command)) {
    Fill(*command, batch.records[place++]);
  }
  std::optional<absl::Time> due;
  if (!log.scheduled) {
    due = gathering.now + environment().durability.settle_after;
    if (const std::optional<absl::Time> own = DueInJournal()) due = std::min(*due, *own);
  }
  if (Planted(PlantedFault::kAnswersBeforeAppend) && !log.creating) ExecuteBatch(gathering.batch);
  // The commands are in `then`, which may be run before this returns.
  const Journal::Then then = {.kind = &kAppended, .a = keep.Detach(), .b = gathering.batch.Detach()};
  if (log.creating) {
    Journal::NewSession made = std::move(*MutableLogExtras().creation->made);
    if (!batch.records.empty()) made.log.push_back(batch);
    made.due = due;
    environment().journal.Create(std::move(made), then);
  } else {
    environment().journal.AppendTo(id_, log.uid, batch, due, then);
  }
  draft.Clear();
}

const Journal::Then::Kind Session::kAppended = {
    .run =
        [](void* session, void* commands, absl::Status status) {
          auto keep = SessionPtr::Attach(static_cast<Session*>(session));
          auto batch = CommandQueue::Attach(static_cast<Command*>(commands));
          Session& running = *keep;
          if (status.ok() && running.MayRunHere()) {
            running.OnAppended(status, std::move(batch), Thread::kCallers, std::move(keep));
            return;
          }
          running.executor().Run(
              [self = std::move(keep), batched = batch.Detach(), status = std::move(status)]() mutable {
                Session& elsewhere = *self;
                elsewhere.OnAppended(status, CommandQueue::Attach(batched), Thread::kExecutors, std::move(self));
              });
        },
    .prefetch =
        [](void* session, void* commands, bool near) {
          auto batch = CommandQueue::Attach(static_cast<Command*>(commands));
          batch.Prefetch(near);
          static_cast<void>(batch.Detach());
          if (near) {
            static_cast<const Session*>(session)->PrefetchRun();
          } else {
            PrefetchLines<2>(session);
          }
        }};

void Session::PrefetchRun() const {
  PrefetchLines<2>(log_.get());
  coroutine_.Prefetch();
  const MutexLock lock(mutex_);
  queue_.Prefetch(/*near=*/false);
}

bool Session::IsPrime(const Command& command) const {
  const MutexLock lock(mutex_);
  const SessionLog::Extras* extras = log_->extras();
  return extras && extras->creation && extras->creation->prime == &command;
}

bool Session::OnCreated(const absl::Status& status, CommandQueue& batch, bool others_go_on) {
  SessionLog& log = *log_;
  if (status.ok() && !batch.empty()) SetTail(NextBatch());
  log.creating = false;
  // Only whoever runs the session takes the creation away.
  const auto created = std::exchange(MutableLogExtras().creation->created, nullptr);
  created(status);
  if (!status.ok()) End(status, batch, others_go_on);
  TellOfCreation();  // when no failed one is to be found any more
  return status.ok();
}

void Session::OnAppended(const absl::Status& status, CommandQueue batch, Thread thread, SessionPtr keep) {
  SessionLog& log = *log_;
  if (log.creating) {
    if (!OnCreated(status, batch, /*others_go_on=*/absl::IsAborted(status))) return;
  } else if (status.ok()) {
    SetTail(NextBatch());
  } else {
    Recover(status, batch);
    RunDurable(thread, std::move(keep));
    return;
  }
  log.scheduled = true;
  log.claiming = false;
  if (ExecuteBatch(batch)) RunDurable(thread, std::move(keep));
}

bool Session::ExecuteBatch(CommandQueue& batch) {
  while (Command* command = batch.Pop()) {
    Reply reply = TakeStep(*command, command->accepted);
    if (command->operation == Operation::kDelete) {
      NoteDelete(command->request_id, command->fingerprint, reply);
      RemoveFromJournal(command, std::move(reply));
      return false;
    }
    command->Finish(std::move(reply));
  }
  SaveIfDue();
  return true;
}

void Session::Recover(const absl::Status& status, CommandQueue& batch) {
  SessionLog& log = *log_;
  const bool does_not_look = Planted(PlantedFault::kAppendsTwice) && MayGoWrongAgain();
  log.doubtful = true;
  if (absl::Status read = ReadToTip(does_not_look ? BatchId() : NextBatch(), batch); !read.ok()) {
    ReportOwnProblem();
    Command* deleter = nullptr;
    {
      const MutexLock lock(mutex_);
      if (const SessionLog::Extras* extras = log.extras(); extras && extras->deletion) {
        extras->deletion->deleted.reset();
        deleter = std::exchange(extras->deletion->deleter, nullptr);
      }
    }
    read = InDoubt(read);
    if (deleter) deleter->Finish(read);
    Fail(batch, read);
    return;
  }
  if (absl::IsAborted(status) || does_not_look) {
    // Somebody else wrote: what is not in the log goes through the checks again.
    const MutexLock lock(mutex_);
    PutBackLocked(batch);
  } else {
    Fail(batch, status);
  }
}

BatchId Session::NextBatch() {
  SessionLog& log = *log_;
  if (log.owns_tail) return {log.tail.number + 1, log.tail.writer};
  const MutexLock lock(mutex_);
  return log.Next(environment().random);
}

void Session::SetTail(const BatchId& appended) {
  SessionLog& log = *log_;
  log.tail = appended;
  if (log.owns_tail) return;
  const MutexLock lock(mutex_);
  log.ChangeWriter();
  log.owns_tail = true;
}

absl::Status Session::ReadToTip(const BatchId& own, CommandQueue& batch) {
  SessionLog& log = *log_;
  log.owns_tail = false;  // it may become another's
  while (true) {
    absl::StatusOr<std::vector<Batch>> read = environment().journal.Read({id(), uid()}, log.tail, kReadBytes);
    if (absl::IsDataLoss(read.status())) {
      const MutexLock lock(mutex_);
      log.doubtful = false;
      return SetProblem(DamagedRecord(steps_ + 1));
    }
    if (!read.ok()) return Unread(read.status());
    if (read->empty()) break;
    for (const Batch& next : *read) {
      if (absl::Status adopted = Adopt(next, own, batch); !adopted.ok()) return adopted;
    }
  }
  const absl::StatusOr<std::optional<Journal::Stored>> found = environment().journal.Find(id());
  if (!found.ok()) return Unread(found.status());
  if (!*found || (*found)->head.key.uid != uid()) {
    environment().on_deleted(*this, nullptr, nullptr);
    log.claiming = false;  // there is nothing to write to
  }
  {
    const MutexLock lock(mutex_);
    log.ChangeWriter();
  }
  log.doubtful = false;
  return absl::OkStatus();
}

void Session::ReportOwnProblem() {
  std::optional<SessionProblem> problem;
  {
    const MutexLock lock(mutex_);
    if (log_->has_problem()) problem = *log_->extras()->problem;
  }
  if (problem) ReportProblem(environment(), {id(), uid()}, *problem);
}

absl::Status Session::SetProblem(SessionProblem problem) {
  absl::Status status = ProblemStatus(id(), problem);
  log_->MutableExtras().problem = std::make_unique<SessionProblem>(std::move(problem));
  return status;
}

absl::Status Session::Adopt(const Batch& adopted, const BatchId& own, CommandQueue& batch) {
  SessionLog& log = *log_;
  {
    const MutexLock lock(mutex_);
    std::optional<SessionProblem> problem;
    if (adopted.first_step != steps_ + 1) {
      problem = Broken("step " + std::to_string(steps_ + 1) + " is missing in the log", steps_ + 1);
    } else if (adopted.digest != log.digest) {
      problem = Diverged(1, steps_);
    }
    if (problem) {
      log.doubtful = false;
      return SetProblem(*std::move(problem));
    }
  }
  log.tail = adopted.id;
  const bool ours = adopted.id == own && !batch.empty();
  for (const Record& record : adopted.records) {
    if (Command* command = ours ? batch.Pop() : nullptr) {
      Reply reply = TakeStep(*command, record.time);
      if (record.operation == Operation::kDelete) {  // answered when it is carried out
        NoteDelete(record.request_id, record.fingerprint, reply);
        SessionLog::Deletion& deletion = *MutableLogExtras().deletion;
        deletion.deleter = command;
        deletion.deleted = std::move(reply);
      } else {
        command->Finish(std::move(reply));
      }
    } else {
      UnheardCommand unheard(record);
      const Reply reply = TakeStep(unheard, record.time);
      if (record.operation == Operation::kDelete) NoteDelete(record.request_id, record.fingerprint, reply);
    }
  }
  return absl::OkStatus();
}

void Session::Fail(CommandQueue& commands, const absl::Status& status) const {
  while (Command* command = commands.Pop()) {
    command->counters = &counters();
    command->Finish(status);
  }
}

void Session::FailQueue(const absl::Status& status) {
  CommandQueue commands;
  {
    const MutexLock lock(mutex_);
    commands = TakeQueueLocked();
  }
  Fail(commands, status);
}

void Session::End(const absl::Status& status, CommandQueue& batch, bool others_go_on) {
  {
    const MutexLock lock(mutex_);
    forgotten_ = gone_ = true;
  }
  if (!others_go_on) {
    Fail(batch, status);
    FailQueue(status);
    return;
  }
  // What is not part of the Create is for whoever has the id now.
  CommandQueue commands;
  {
    const MutexLock lock(mutex_);
    commands = TakeQueueLocked();
  }
  commands.PutBack(batch);
  while (Command* command = commands.Pop()) {
    if (IsPrime(*command)) {
      command->Finish(status);
    } else if (command->operation == Operation::kCreate || command->cause != CloseCause::kClient) {
      command->Finish(absl::AbortedError("the session was not created"));
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
    if (head.problem && step >= head.problem->step) return ProblemStatus(head.key.id, *head.problem);
    absl::StatusOr<std::unique_ptr<Replay>> replay =
        Replay::Begin(environment().replay, head, step - 1, metrics::ReplayCause::kRepeat);
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
  if (!reply.ok()) reply = InDoubt(reply.status());  // it was executed when its id became known
  if (IsFailure(reply.status(), Reason::HISTORY_TRIMMED)) {
    reply = Failed(Reason::REPLY_FORGOTTEN,
                   "the command was executed as the step in the metadata; the log no longer reaches back to it",
                   {{"session_id", local_id()}, {"request_id", command.request_id}, {"step", std::to_string(step)}});
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
  if (coroutine_.state() == CoroutineState::kClosed) {
    if (log.saved_finished) return;
    log.saved_finished = true;
    // Should this fail, the session is as one that was alive when the server ended: its log says all.
    Save(std::nullopt, DueInJournal(), Synced::kYes, [](const absl::Status&) {});
    return;
  }
  if (!log.checkpoint_due) return;
  std::optional<Checkpoint> checkpoint = MakeCheckpoint();
  if (!checkpoint) return;
  MutableLogExtras().asked_checkpoint = checkpoint->step;
  Save(std::move(checkpoint), std::nullopt, Synced::kNo, [](const absl::Status&) {});
}

void Session::Save(std::optional<Checkpoint> checkpoint, std::optional<absl::Time> due, Synced synced,
                   Journal::Done done) {
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
    SessionLog::Extras& extras = log_->MutableExtras();
    const std::vector<Step>& kept = extras.checkpoints;
    const auto behind = std::upper_bound(kept.begin(), kept.end(), reach);
    if (behind != kept.begin()) {
      oldest = *std::prev(behind);
      extras.earliest_step = *oldest + 1;
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
        if (self->steps_ == steps) self->log_->saved = true;
        if (added) {
          std::vector<Step>& kept = self->log_->MutableExtras().checkpoints;
          std::erase_if(
              kept, [&dropped](Step step) { return std::find(dropped.begin(), dropped.end(), step) != dropped.end(); });
          kept.push_back(*added);
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
    tombstone = MutableLogExtras().deletion->tombstone;
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
    saved = log.saved && (state_ != CoroutineState::kClosed || log.saved_finished) && steps_ > 0;
  }
  if (unsettled) {  // first it finds out what became of its last batch, or goes; it sleeps another time
    executor().Run([self = SessionPtr(this)] { self->Run(Thread::kExecutors); });
    return false;
  }
  const auto leave = [self = SessionPtr(this), done = std::move(done)](const absl::Status& status) {
    bool gone = false;
    {
      const MutexLock lock(self->mutex_);
      const SessionLog::Extras* extras = self->log_->extras();
      gone = self->gone_ = status.ok() && self->queue_.empty() && (!extras || extras->updates == 0);
    }
    if (gone) self->coroutine_ = Coroutine();
    done(gone);
    // Somebody came meanwhile, or it could not be saved; or a change is not in the journal yet, from where the session
    // may be read as soon as it has left.
    if (!gone) self->executor().Run([self] { self->Run(Thread::kExecutors); });
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
  if (checkpoint) {
    const MutexLock lock(mutex_);
    if (checkpoint->step == log.asked_checkpoint()) {
      checkpoint.reset();
    } else {
      log.MutableExtras().asked_checkpoint = checkpoint->step;
    }
  }
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
      ++log_->MutableExtras().updates;
      environment().journal.Save(
          {.head = MakeHeadLocked(), .checkpoint = {}, .due = DueInJournalLocked(), .synced = true},
          [self = SessionPtr(this), done](const absl::Status& status) {
            {
              const MutexLock updated(self->mutex_);
              --self->log_->MutableExtras().updates;
              if (!self->running_) self->log_->TidyUp();
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
  std::function<void(const absl::Status&)> created;  // may hold this session
  if (durable_) log_->creating = false;
  const MutexLock lock(mutex_);
  if (durable_ && log_->being_created) created = std::move(log_->MutableExtras().creation->created);
  gone_ = true;
  return TakeQueueLocked();
}

bool Session::Retire(CommandQueue& waiting) {
  if (log_->doubtful || log_->deleting) return false;
  const MutexLock lock(mutex_);
  if (forgotten_ || gone_ || state_ != CoroutineState::kClosed) return false;
  gone_ = true;
  waiting = TakeQueueLocked();
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
