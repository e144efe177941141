#include "server/session/sessions.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "server/base/failure.h"
#include "server/base/uuid.h"
#include "server/catalog/namespaces.h"
#include "server/session/refusals.h"
#include "server/session/session_id.h"

// Creates, finds and wakes sessions.
namespace corod {
namespace {

// At a time. Nearly every Create only looks whether its id is there, for which a thread each would be too much.
constexpr std::size_t kMaxLoading = 64;
// How many sessions are looked at for one that comes when its namespace has little memory left.
constexpr std::size_t kTightLooks = 64;
// More than processors, since scripts of one universe wait for each other. Not many more: those that have begun share
// the processors, and with whoever reads calls and writes the journal.
std::size_t MaxComputing() { return std::max<std::size_t>(4, std::size_t{2} * std::thread::hardware_concurrency()); }

absl::Time DueTimeOf(const Session& session) { return session.NextDue().when; }
absl::Time SleepTimeOf(const Session& session) { return session.SleepDue(); }

absl::Duration NeverIfZero(absl::Duration idle_timeout) {
  return idle_timeout == absl::ZeroDuration() ? absl::InfiniteDuration() : idle_timeout;
}

}  // namespace

// The command behind a Create: primes the session that it made (`first`), or asks one that exists for the answer that
// an equal Create got.
class Sessions::CreateCommand : public Command {
 public:
  CreateCommand(Sessions& sessions, SessionPtr session, CreateDone done, CreateSpec spec, bool first)
      : sessions_(sessions),
        session_(std::move(session)),
        done_(std::move(done)),
        spec_(std::move(spec)),
        first_(first) {
    operation = Operation::kCreate;
    request_id = spec_.request_id;
    bounded_by_sender = first || spec_.bounded_by_sender;
    if (first) deadline = spec_.deadline;
  }
  void Finish(absl::StatusOr<Reply> reply) override {
    if (reply.ok()) {
      Created created{.session = session_, .primed = std::nullopt, .existed = false, .replayed = reply->replayed};
      if (reply->outcome) created.primed = *std::move(reply);
      done_(std::move(created));
    } else {
      if (first_) sessions_.Forget(*session_);  // a Create that is refused leaves no session
      // It went before it could answer, or came before this one.
      const bool again =
          IsConflict(reply.status()) || (!first_ && IsFailure(reply.status(), Reason::SESSION_NOT_FOUND));
      if (again) {
        sessions_.Create(std::move(spec_), std::move(done_));
      } else {
        done_(reply.status());
      }
    }
    delete this;
  }

 private:
  Sessions& sessions_;
  const SessionPtr session_;
  CreateDone done_;
  CreateSpec spec_;
  const bool first_;
};

// Waits in the queue of a finished durable session for the moment when nothing is under way, so that it can be
// replaced: what was sent before has its answer, and a Delete has taken the session away. What was sent later is for
// the new one.
class Sessions::Retirement : public Command {
 public:
  Retirement(Sessions& sessions, SessionPtr session, CreateSpec spec, CreateDone done)
      : sessions_(sessions), session_(std::move(session)), spec_(std::move(spec)), done_(std::move(done)) {
    operation = Operation::kClose;
    cause = CloseCause::kDrain;  // which is never a step of a durable session
    bounded_by_sender = true;
  }
  void Finish(absl::StatusOr<Reply> reply) override {
    // Before it retires: one that did would be read from the journal again, where changes of it may still be missing.
    absl::StatusOr<SessionFactory::Built> built = sessions_.Build(spec_, session_);
    CommandQueue waiting;
    if (!built.ok()) {
      done_(built.status());
    } else if (session_->Retire(waiting)) {
      sessions_.PlaceNew(std::move(spec_), *std::move(built), session_, std::move(done_));
      sessions_.Leave(*session_);
      while (Command* command = waiting.Pop()) {
        // Some are about this session, not about what stands under its id.
        const bool goes_on = command->operation != Operation::kCreate && command->cause == CloseCause::kClient;
        if (goes_on) {
          sessions_.SubmitToSession(session_->id(), command);
        } else {
          command->Finish(NotFound(session_->id()));
        }
      }
    } else if (IsFailure(reply.status(), Reason::JOURNAL_UNAVAILABLE)) {
      done_(reply.status());
    } else {
      sessions_.Create(std::move(spec_), std::move(done_));
    }
    delete this;
  }

 private:
  Sessions& sessions_;
  const SessionPtr session_;
  CreateSpec spec_;
  CreateDone done_;
};

Sessions::Sessions(const Options& options, const Catalog& catalog, const Clock& clock, Executor& executor,
                   Random& random, Journal& journal, CrashMarks* crash_marks, metrics::Metrics* metrics)
    : options_(options),
      catalog_(catalog),
      random_(random),
      journal_(journal),
      own_metrics_(metrics ? nullptr : std::make_unique<metrics::Metrics>("")),
      accounts_(metrics ? *metrics : *own_metrics_),
      environment_{.clock = clock,
                   .executor = executor,
                   .computing = computing_executor_,
                   .computing_long = long_executor_,
                   .random = random,
                   .journal = journal,
                   .watchers = watchers_,
                   .accounts = accounts_,
                   .metrics = accounts_.metrics(),
                   .replay = {.catalog = catalog,
                              .journal = journal,
                              .limits = options.limits,
                              .crash_marks = crash_marks ? *crash_marks : no_marks_,
                              .metrics = &accounts_.metrics().replay},
                   .limits = options.limits,
                   .max_queued = options.max_queued,
                   .max_queue_delay = NeverIfZero(options.max_queue_delay),
                   .max_remembered_ids = options.max_remembered_ids,
                   .max_remembered_bytes = options.max_remembered_bytes,
                   .retention = options.retention,
                   .idle_timeout = NeverIfZero(options.idle_timeout),
                   .durable_idle_timeout = NeverIfZero(options.durable_idle_timeout),
                   .durability = options.durability,
                   .on_finished = [this](Session& session) { timers_.Schedule(session); },
                   .on_deleted =
                       [this](Session& session, const Command* command, const Reply* reply) {
                         if (!session.durable() && command && reply && !command->request_id.empty()) {
                           deleted_.Remember(session.id(), command->request_id, *reply, environment_.clock.Now());
                         }
                         Forget(session);
                       },
                   .submit_again = [this](const std::string& id, Command* command) { SubmitToSession(id, command); },
                   .uid_key = {random.Next(), random.Next()}},
      history_(environment_.replay),
      factory_(environment_),
      computing_executor_(executor, MaxComputing()),
      long_executor_(executor, MaxComputing()),
      loading_executor_(executor, kMaxLoading),
      overview_(environment_.replay, table_, history_),
      timers_(clock.Now(), &DueTimeOf),
      recency_(clock.Now(), &SleepTimeOf),
      deleted_(options.retention) {
  if (crash_marks) CountCrashes(*crash_marks);
}

Sessions::~Sessions() = default;

void Sessions::RunWaiting(std::function<void()> task) {
  if (journal_.IsDurable()) {
    environment_.executor.Run(std::move(task));
  } else {
    task();
  }
}

std::size_t Sessions::size() const { return ephemeral_.load() + journal_.size(); }

std::size_t Sessions::asleep() const {
  const std::size_t written = journal_.size();
  return written - std::min(written, durable_live_.load());
}

std::size_t Sessions::finished() const {
  return static_cast<std::size_t>(std::max<std::int64_t>(environment_.finished.load(std::memory_order_relaxed), 0));
}

std::size_t Sessions::SizeOf(const Account& account) const { return account.unwritten() + WrittenBy(account); }

std::size_t Sessions::WrittenBy(const Account& account) const {
  const bool is_default = account.name_space() == kDefaultNamespace;
  return journal_.CountIn(is_default ? std::string() : BeforeNamesOf(account.name_space()));
}

void Sessions::BeginCreating(Session& session) {
  creating_.fetch_add(1);
  session.account().AddSession();
}

void Sessions::EndCreating(Session& session) {
  creating_.fetch_sub(1);
  session.account().TakeSession();
}

void Sessions::CountIn(Session& session) {
  (session.durable() ? durable_live_ : ephemeral_).fetch_add(1);
  if (!session.durable()) session.account().AddSession();
  if (session.IsFinished()) environment_.finished.fetch_add(1, std::memory_order_relaxed);
}

void Sessions::CountOut(Session& session) {
  (session.durable() ? durable_live_ : ephemeral_).fetch_sub(1);
  if (!session.durable()) session.account().TakeSession();
  if (session.IsFinished()) environment_.finished.fetch_sub(1, std::memory_order_relaxed);
}

std::string Sessions::MakeSessionId(const Owner& owner, const std::string& request_id) {
  return Qualified(owner.name_space, request_id.empty()
                                         ? RandomUuid(random_)
                                         : NamedUuid(owner.name_space + "\n" + owner.identity + "\n" + request_id));
}

void Sessions::Create(CreateSpec spec, CreateDone done) {
  bool is_new = false;
  if (spec.session_id.empty()) {
    is_new = spec.request_id.empty();
    spec.session_id = MakeSessionId(spec.owner, spec.request_id);
  } else if (absl::Status checked = CheckSessionId(spec.session_id); !checked.ok()) {
    done(checked);
    return;
  }
  const std::string id = spec.session_id;
  if (is_new) {
    Place(std::move(spec), SessionPtr(), std::move(done));
    return;
  }
  if (absl::Status room = CheckWake(id); !room.ok()) {  // an earlier attempt may have made it
    done(spec.request_id.empty() ? room : InDoubt(room));
    return;
  }
  Open(id, [this, spec = std::move(spec), done = std::move(done)](const absl::StatusOr<SessionPtr>& opened) {
    if (opened.ok()) {
      Place(spec, *opened, done);
    } else {
      done(opened.status());
    }
  });
}

void Sessions::Place(CreateSpec spec, const SessionPtr& existing, CreateDone done) {
  const bool replaces = existing && spec.if_exists == IfExists::kReplaceFinished &&
                        existing->state() == CoroutineState::kClosed &&
                        (spec.request_id.empty() || !existing->KnowsCreate(spec.request_id));
  if (existing && !replaces) {
    AnswerExisting(existing, spec, std::move(done));
  } else if (existing && existing->durable()) {
    Command* retirement = new Retirement(*this, existing, std::move(spec), std::move(done));
    // One that has left memory meanwhile is looked for again.
    if (!existing->Submit(retirement)) retirement->Finish(NotFound(existing->id()));
  } else {
    absl::StatusOr<SessionFactory::Built> built = Build(spec, existing);
    if (built.ok()) {
      PlaceNew(std::move(spec), *std::move(built), existing, std::move(done));
    } else {
      done(built.status());
    }
  }
}

absl::StatusOr<SessionFactory::Built> Sessions::Build(const CreateSpec& spec, const SessionPtr& replaced) {
  if (environment_.draining.load(std::memory_order_relaxed)) return Draining();
  Account& account = accounts_.Of(NamespaceOf(spec.session_id));
  const absl::Time now = environment_.clock.Now();
  if (!spec.prime && !account.TakeCommand(now)) return account.RateLimited(now);  // else its first step is counted
  absl::StatusOr<SessionFactory::Built> built = factory_.Build(spec);
  if (built.ok() && !spec.bounded_by_sender) {
    if (absl::Status overloaded = built->session->CheckLoad(); !overloaded.ok()) return overloaded;
  }
  if (built.ok()) {
    if (absl::Status room = account.CheckNewSession(built->session->durable()); !room.ok()) return room;
  }
  if (built.ok() && replaced && replaced->durable() && !built->session->durable()) {
    return Failed(
        Reason::SESSION_EXISTS,
        "session '" + replaced->local_id() + "' is durable; an ephemeral one cannot take its place, delete it first",
        {{"session_id", replaced->local_id()}, {"uid", replaced->uid()}});
  }
  return built;
}

void Sessions::PlaceNew(CreateSpec spec, SessionFactory::Built built, const SessionPtr& replaced, CreateDone done) {
  const std::uint64_t fingerprint = spec.request_id.empty() ? 0 : FingerprintOf(spec);
  const SessionPtr session = built.session;
  CreateCommand* prime = nullptr;
  session->Hold();
  if (spec.prime) {
    prime = new CreateCommand(*this, session, done, spec, /*first=*/true);
    prime->fingerprint = fingerprint;
    static_cast<void>(session->Submit(prime));
  } else if (!session->durable() && !spec.request_id.empty()) {
    session->RememberCreate(fingerprint);
  }
  if (session->durable()) {
    if (replaced && replaced->durable()) built.stored.replaces = replaced->uid();
    BeginCreating(*session);
    session->CreateInJournal(
        std::move(built.stored), prime,
        [this, session, replaced, spec, done, primes = prime != nullptr](const absl::Status& status) {
          EndCreating(*session);
          if (status.ok() && replaced && replaced->durable()) {
            watchers_.Forget(replaced->uid());
            environment_.troubled.Remove(replaced->uid());
          }
          if (primes) return;  // the command answers
          if (status.ok()) {
            done(Created{.session = session, .primed = std::nullopt});
            return;
          }
          Forget(*session);
          if (IsConflict(status)) {
            Create(spec, done);
          } else {
            done(status);
          }
        });
  }
  if (absl::Status admitted = Admit(session, replaced); !admitted.ok()) {
    if (session->durable()) EndCreating(*session);
    session->Abandon();
    delete prime;
    if (IsConflict(admitted)) {  // by another Create, a moment ago
      Create(std::move(spec), std::move(done));
    } else {
      done(admitted);
    }
    return;
  }
  session->Release();
  if (!session->durable() && !prime) done(Created{.session = session, .primed = std::nullopt});
}

absl::Status Sessions::Admit(const SessionPtr& session, const SessionPtr& replaced) {
  const bool durable = session->durable();
  CountIn(*session);
  absl::Status refused;
  const std::size_t all = ephemeral_.load() + journal_.size() + creating_.load();
  if (!replaced && all > options_.max_sessions) {
    refused = Failed(Reason::TOO_MANY_SESSIONS,
                     "the server holds as many sessions as it may; delete or finish some, or raise --max-sessions",
                     {{"max_sessions", std::to_string(options_.max_sessions)}}, absl::Seconds(1));
  } else if (!replaced && session->account().LimitsSessions()) {
    refused = session->account().CheckSessions(WrittenBy(session->account()));
  }
  if (!refused.ok()) {
    CountOut(*session);
    return refused;
  }
  const SessionTable::Added added = table_.Add(session, replaced);
  if (added == SessionTable::Added::kNot) {
    CountOut(*session);
    return absl::AbortedError("the id is taken");
  }
  if (replaced) {
    if (added == SessionTable::Added::kInItsPlace) CountOut(*replaced);
    (replaced->durable() ? recency_ : timers_).Remove(*replaced);
    if (!replaced->durable()) watchers_.Forget(replaced->uid());
  }
  (durable ? recency_ : timers_).Schedule(*session);
  if (durable) Evict();
  if (session->account().IsTight()) EvictOfTight(kTightLooks);
  return absl::OkStatus();
}

void Sessions::AnswerExisting(const SessionPtr& existing, const CreateSpec& spec, CreateDone done) {
  if (!spec.request_id.empty() && existing->KnowsCreate(spec.request_id)) {
    auto* again = new CreateCommand(*this, existing, std::move(done), spec, /*first=*/false);
    again->fingerprint = FingerprintOf(spec);
    if (!existing->Submit(again)) again->Finish(NotFound(spec.session_id));
    return;
  }
  if (spec.if_exists == IfExists::kReturn) {
    done(Created{.session = existing, .primed = std::nullopt, .existed = true});
    return;
  }
  done(Exists(spec.session_id, existing->uid(), spec.if_exists == IfExists::kReplaceFinished));
}

void Sessions::Submit(std::string_view id, Command* command) {
  if (command->operation == Operation::kDelete && !command->request_id.empty()) {
    RunWaiting([this, id = std::string(id), command] {
      if (!AnswerDeleted(id, command)) SubmitToSession(id, command);
    });
    return;
  }
  SubmitToSession(id, command);
}

bool Sessions::AnswerDeleted(std::string_view id, Command* command) {
  if (command->operation != Operation::kDelete || command->request_id.empty()) return false;
  const absl::Time now = environment_.clock.Now();
  if (std::optional<Reply> before = deleted_.Find(id, command->request_id, now)) {
    command->Finish(*std::move(before));
    return true;
  }
  absl::StatusOr<std::optional<Tombstone>> tombstone = journal_.FindTombstone(id, command->request_id);
  if (!tombstone.ok()) {
    command->Finish(tombstone.status());
    return true;
  }
  if (!*tombstone || (*tombstone)->expire_time <= now) return false;
  command->Finish(
      Reply{.step = (*tombstone)->outcome.step, .outcome = (*tombstone)->outcome.outcome, .replayed = true});
  return true;
}

void Sessions::SubmitToSession(std::string_view id, Command* command) {
  while (const SessionPtr session = table_.Find(id)) {
    if (session->Submit(command)) return;
    Leave(*session);
  }
  if (!journal_.IsDurable() || !CheckSessionId(id).ok()) {
    AnswerNotFound(id, command);
  } else {
    Wait(id, command, nullptr);
  }
}

void Sessions::AnswerNotFound(std::string_view id, Command* command) {
  if (AnswerDeleted(id, command)) return;  // by the one that took the session away between the two looks
  // Whether it is still wanted comes before whether there is a session, as everywhere.
  absl::Status refused = command->Admit();
  if (refused.ok()) refused = CheckSessionId(id);
  if (refused.ok()) refused = NotFound(id);
  command->Finish(refused);
}

absl::Status Sessions::CheckWake(std::string_view id) {
  return FindLive(id) ? absl::OkStatus() : accounts_.Of(NamespaceOf(id)).CheckMemoryOfSession();
}

void Sessions::Open(std::string_view id, Opened then) {
  if (const SessionPtr session = table_.Find(id)) {
    Give(session, then);
  } else if (!journal_.IsDurable()) {
    then(SessionPtr());
  } else {
    Wait(id, nullptr, std::move(then));
  }
}

void Sessions::Give(const absl::StatusOr<SessionPtr>& opened, const Opened& then) {
  if (opened.ok() && *opened && (*opened)->WaitForCreation([this, id = (*opened)->id(), then] { Open(id, then); })) {
    return;
  }
  then(opened);
}

void Sessions::Wait(std::string_view id, Command* command, Opened then) {
  if (command && !command->bounded_by_sender && !command->ends()) {
    const absl::Duration wait = loading_executor_.LongestWait();
    if (wait > environment_.max_queue_delay) {
      command->TurnAway(Overloaded(id, wait));
      return;
    }
  }
  if (command && !command->ends()) {
    if (absl::Status room = CheckWake(id); !room.ok()) {
      command->TurnAway(room);
      return;
    }
  }
  const std::string key(id);
  bool begins = false;
  SessionPtr found;
  {
    const MutexLock lock(loading_mutex_);
    found = table_.Find(id);
    if (!found) {
      std::unique_ptr<Loading>& loading = loading_[key];
      begins = !loading;
      if (begins) loading = std::make_unique<Loading>();
      if (command) loading->commands.Push(command);
      if (then) loading->waiting.push_back(std::move(then));
    }
  }
  if (found) {
    if (command) {
      SubmitToSession(id, command);
    } else {
      Give(found, then);  // NOLINT(bugprone-use-after-move): it was moved only if there was no session
    }
    return;
  }
  if (begins) loading_executor_.Run([this, key] { Load(key); });
}

void Sessions::Load(const std::string& id) {
  absl::StatusOr<SessionPtr> loaded = factory_.Load(id);
  const bool damaged = absl::IsDataLoss(loaded.status());
  if (damaged) loaded = ProblemStatus(id, DamagedHead());
  SessionPtr session = loaded.ok() ? *loaded : SessionPtr();
  if (session) session->Hold();
  CommandQueue commands;  // that found no session
  std::vector<Opened> waiting;
  bool added = false;
  while (true) {
    CommandQueue more;
    {
      const MutexLock lock(loading_mutex_);
      const auto place = loading_.find(id);
      more = std::exchange(place->second->commands, CommandQueue());
      if (more.empty()) {
        added = session && table_.Add(session, SessionPtr()) == SessionTable::Added::kAlone;
        waiting = std::move(place->second->waiting);
        loading_.erase(place);
        break;
      }
    }
    while (Command* command = more.Pop()) {
      if (!session || !session->Submit(command)) commands.Push(command);
    }
  }
  if (session && !added) {  // somebody created it meanwhile
    CommandQueue abandoned = session->Abandon();
    while (Command* command = abandoned.Pop()) SubmitToSession(id, command);
    session = table_.Find(id);
    loaded = session;
  } else if (session) {
    CountIn(*session);
    recency_.Schedule(*session);
    session->Release();
  }
  while (Command* command = commands.Pop()) {
    if (!loaded.ok()) {
      absl::Status admitted = command->Admit();
      if (admitted.ok() && damaged && command->operation == Operation::kDelete && command->uid.empty()) {
        RemoveDamaged(id, command);
      } else {
        command->Finish(admitted.ok() ? loaded.status() : admitted);
      }
    } else {
      AnswerNotFound(id, command);
    }
  }
  for (const Opened& then : waiting) Give(loaded, then);
  if (!added) return;
  Evict();  // not before those who waited had it: it may be the one to go
  if (session->account().IsTight()) EvictOfTight(kTightLooks);
}

void Sessions::RemoveDamaged(const std::string& id, Command* command) {
  const Reply reply{.step = 0, .outcome = Outcome::Returned(Value())};
  std::optional<Tombstone> tombstone;
  if (!command->request_id.empty()) {
    tombstone = Tombstone{.request_id = command->request_id,
                          .fingerprint = 0,
                          .outcome = {reply.step, *reply.outcome},
                          .expire_time = environment_.clock.Now() + options_.retention};
  }
  journal_.Remove({id, ""}, std::move(tombstone), [this, id, command, reply](const absl::Status& status) {
    environment_.executor.Run([this, id, command, reply, status] {
      if (IsConflict(status)) {  // another stands under the id by now
        SubmitToSession(id, command);
      } else if (status.ok()) {
        command->Finish(reply);
      } else {
        command->Finish(status);
      }
    });
  });
}

void Sessions::Get(std::string_view id, std::optional<Step> at_step, GetDone done) {
  const SessionPtr live = table_.Find(id);
  if (live && !at_step && !live->IsBeingCreated()) {
    done(live->Describe());
    return;
  }
  RunWaiting([this, id = std::string(id), at_step, done = std::move(done)] { done(overview_.Get(id, at_step)); });
}

void Sessions::List(const ListQuery& query, ListEach each, ListDone done) {
  RunWaiting([this, query, each = std::move(each), done = std::move(done)] { done(overview_.List(query, each)); });
}

void Sessions::Update(std::string_view id, const Session::Changes& changes, GetDone done) {
  if (absl::Status checked = CheckSessionId(id); !checked.ok()) {
    done(checked);
    return;
  }
  if (absl::Status room = CheckWake(id); !room.ok()) {
    done(room);
    return;
  }
  Open(id, [this, id = std::string(id), changes, done = std::move(done)](const absl::StatusOr<SessionPtr>& opened) {
    if (!opened.ok() || !*opened) {
      done(opened.ok() ? NotFound(id) : opened.status());
      return;
    }
    if (changes.idle_timeout && *changes.idle_timeout < absl::ZeroDuration()) {
      done(Failed(Reason::INVALID_ARGUMENTS, "idle_timeout is negative; 0 s means never",
                  {{"parameter", "idle_timeout"}}));
      return;
    }
    const SessionPtr& session = *opened;
    const bool taken = session->Update(changes, [this, session, done](const absl::Status& updated) {
      if (!updated.ok()) {
        done(updated);
        return;
      }
      if (!session->durable()) timers_.Schedule(*session);
      done(session->Describe());
    });
    if (taken) return;
    Leave(*session);
    Update(id, changes, done);
  });
}

void Sessions::Forget(Session& session) {
  session.MarkForgotten();
  (session.durable() ? recency_ : timers_).Remove(session);
  if (table_.Remove(session)) CountOut(session);
  watchers_.Forget(session.uid());
  if (session.durable()) environment_.troubled.Remove(session.uid());
}

void Sessions::Leave(Session& session) {
  recency_.Remove(session);
  if (table_.Remove(session)) CountOut(session);
}

}  // namespace corod
