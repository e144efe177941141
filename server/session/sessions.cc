#include "server/session/sessions.h"

#include <algorithm>
#include <utility>

#include "server/base/failure.h"
#include "server/base/page_token.h"
#include "server/base/uuid.h"
#include "server/coroutine/fingerprint.h"
#include "server/session/problem.h"
#include "server/session/session_id.h"

namespace corod {
namespace {

// How many sessions one page of List looks at, and one Sweep takes care of.
constexpr std::size_t kListLooksAt = 10'000;
constexpr std::size_t kListBatch = 256;
constexpr std::size_t kSweepLimit = 1'000;
// How many sessions one page of List runs again to know how they stand.
constexpr int kListReplays = 100;
constexpr std::size_t kReadBytes = std::size_t{1} << 20;
// How many sessions are woken at a time because their time has come.
constexpr std::size_t kMaxBackground = 256;
constexpr absl::Duration kBackgroundPause = absl::Milliseconds(20);
// How many busy sessions are tried when one must leave memory.
constexpr std::size_t kEvictionTries = 16;
// How often it is tried to put a session to sleep when the server ends.
constexpr int kDrainTries = 10;
// A replay that ended the process so often is not tried again.
constexpr std::uint32_t kMaxCrashes = 2;

std::uint64_t FingerprintOf(const CreateSpec& spec) {
  Fingerprint fingerprint;
  fingerprint.AddText("create").AddText(spec.coroutine).AddNumber(spec.version);
  fingerprint.AddNumber(spec.prime ? 1 : 0).AddNumber(static_cast<std::uint64_t>(spec.durability));
  fingerprint.AddNumber(static_cast<std::uint64_t>(spec.if_exists)).AddNumber(spec.arguments.size());
  std::vector<const Map::Entry*> arguments;  // named, so their order says nothing
  for (const Map::Entry& argument : spec.arguments) arguments.push_back(&argument);
  std::sort(arguments.begin(), arguments.end(), [](const auto* a, const auto* b) { return a->key < b->key; });
  for (const Map::Entry* argument : arguments) fingerprint.AddText(argument->key).Add(argument->value);
  for (const auto& [name, value] : spec.labels) fingerprint.AddText(name).AddText(value);
  fingerprint.AddNumber(spec.idle_timeout ? static_cast<std::uint64_t>(absl::ToInt64Nanoseconds(*spec.idle_timeout)) + 1
                                          : 0);
  fingerprint.AddNumber(static_cast<std::uint64_t>(absl::ToUnixNanos(spec.expire_time)));
  return fingerprint.value();
}

std::uint64_t FingerprintOf(const ForkSpec& spec) {
  Fingerprint fingerprint;
  fingerprint.AddText("fork").AddText(spec.session_id).AddNumber(spec.at_step ? *spec.at_step + 1 : 0);
  for (const auto& [name, value] : spec.labels) fingerprint.AddText(name).AddText(value);
  return fingerprint.value();
}

std::uint64_t FingerprintOf(const ListQuery& query) {
  Fingerprint fingerprint;
  fingerprint.AddText("list")
      .AddText(query.coroutine)
      .AddNumber(query.state ? static_cast<std::uint64_t>(*query.state) + 1 : 0);
  for (const auto& [name, value] : query.labels) fingerprint.AddText(name).AddText(value);
  fingerprint.AddNumber(query.has_problem ? 1 : 0);
  return fingerprint.value();
}

absl::Status NotFound(std::string_view id) {
  return Failed(Reason::SESSION_NOT_FOUND, "no session '" + std::string(id) + "'", {{"session_id", std::string(id)}});
}

// A close that the server itself makes.
class BackgroundClose : public Command {
 public:
  explicit BackgroundClose(std::function<void()> done) : done_(std::move(done)) {
    operation = Operation::kClose;
    bounded_by_sender = true;
  }
  void Finish(absl::StatusOr<Reply>) override {
    const auto done = std::move(done_);
    delete this;
    done();
  }

 private:
  std::function<void()> done_;
};

// The journal found that the id is taken after all.
bool IsConflict(const absl::Status& status) { return absl::IsAborted(status) && DetailsOf(status).reason.empty(); }

absl::Status Draining() {
  return Failed(Reason::DRAINING, "the server is shutting down; try again when it is back", {}, absl::Seconds(1));
}

absl::Status Exists(const std::string& id, const std::string& uid, bool finished_would_do) {
  return Failed(Reason::SESSION_EXISTS,
                finished_would_do ? "session '" + id + "' exists and is not finished"
                                  : "session '" + id + "' exists; take another id, or say what to do with if_exists",
                {{"session_id", id}, {"uid", uid}});
}

absl::Time DueTimeOf(const Session& session) { return session.NextDue().when; }
absl::Time SleepTimeOf(const Session& session) { return session.SleepDue(); }

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

Sessions::Sessions(const Options& options, const Catalog& catalog, const Clock& clock, Executor& executor,
                   Random& random, Journal& journal, CrashMarks* crash_marks)
    : options_(options),
      catalog_(catalog),
      random_(random),
      journal_(journal),
      environment_{.clock = clock,
                   .executor = executor,
                   .random = random,
                   .journal = journal,
                   .watchers = watchers_,
                   .replay = {.catalog = catalog,
                              .journal = journal,
                              .limits = options.limits,
                              .crash_marks = crash_marks ? *crash_marks : no_marks_},
                   .limits = options.limits,
                   .max_queued = options.max_queued,
                   .max_remembered_ids = options.max_remembered_ids,
                   .max_remembered_bytes = options.max_remembered_bytes,
                   .retention = options.retention,
                   .durability = options.durability,
                   .on_finished = [this](Session& session) { timers_.Schedule(session); },
                   .on_deleted =
                       [this](Session& session, const Command* command, const Reply* reply) {
                         if (!session.durable() && command && reply && !command->request_id.empty()) {
                           deleted_.Remember(session.id(), command->request_id, *reply, environment_.clock.Now());
                         }
                         Forget(session);
                       },
                   .submit_again = [this](const std::string& id, Command* command) { SubmitToSession(id, command); }},
      history_(environment_.replay),
      timers_(&DueTimeOf),
      recency_(&SleepTimeOf),
      deleted_(options.retention) {
  if (crash_marks) CountCrashes(*crash_marks);
}

Sessions::~Sessions() = default;

Pace* Sessions::PaceOf(const Definition* definition) {
  const MutexLock lock(paces_mutex_);
  std::unique_ptr<Pace>& pace = paces_[definition];
  if (!pace) pace = std::make_unique<Pace>();
  return pace.get();
}

void Sessions::RunWaiting(std::function<void()> task) {
  if (journal_.IsDurable()) {
    environment_.executor.Run(std::move(task));
  } else {
    task();
  }
}

std::size_t Sessions::size() const { return ephemeral_.load() + journal_.size(); }

absl::StatusOr<Sessions::Built> Sessions::Build(const CreateSpec& spec) {
  if (environment_.draining.load(std::memory_order_relaxed)) return Draining();
  const Definition* definition = catalog_.Find(spec.coroutine, spec.version);
  if (!definition) {
    if (catalog_.Find(spec.coroutine)) {
      return Failed(Reason::VERSION_UNAVAILABLE,
                    "coroutine '" + spec.coroutine + "' has no version " + std::to_string(spec.version) +
                        " here; 0 asks for the newest",
                    {{"coroutine", spec.coroutine}, {"version", std::to_string(spec.version)}});
    }
    return Failed(Reason::COROUTINE_NOT_FOUND,
                  "no coroutine '" + spec.coroutine + "' in the catalog; ListCoroutines shows what there is",
                  {{"coroutine", spec.coroutine}});
  }
  const bool durable =
      spec.durability == Durability::kDurable || (spec.durability == Durability::kDefault && journal_.IsDurable());
  if (durable && !journal_.IsDurable()) {
    return Failed(Reason::DURABILITY_UNAVAILABLE,
                  "this server keeps no journal, so a session cannot be durable; ask for an ephemeral one");
  }
  if (absl::Status labels = CheckLabels(spec.labels); !labels.ok()) return labels;
  if (spec.idle_timeout && *spec.idle_timeout < absl::ZeroDuration()) {
    return Failed(Reason::INVALID_ARGUMENTS, "idle_timeout is negative; 0 s means never",
                  {{"parameter", "idle_timeout"}});
  }
  std::variant<std::vector<Value>, ArgumentError> bound = definition->BindArguments(spec.arguments);
  if (const auto* error = std::get_if<ArgumentError>(&bound)) {
    return Failed(Reason::INVALID_ARGUMENTS, error->message,
                  {{"coroutine", spec.coroutine}, {"parameter", error->parameter}});
  }
  std::vector<Value>& arguments = std::get<std::vector<Value>>(bound);
  Head head;
  head.key = {spec.session_id, RandomUuid(random_)};
  head.coroutine = definition->name;
  head.version = definition->version;
  // Copies of its own: the body may change an exception that it is given.
  for (const Value& argument : arguments) head.arguments.push_back(Snapshot(argument));
  head.create_time = head.last_used_time = environment_.clock.Now();
  head.seed = random_.Next();
  head.labels = spec.labels;
  head.idle_timeout = spec.idle_timeout.value_or(durable ? options_.durable_idle_timeout : options_.idle_timeout);
  if (head.idle_timeout == absl::ZeroDuration()) head.idle_timeout = absl::InfiniteDuration();
  head.expire_time = spec.expire_time;
  std::unique_ptr<SessionLog> log;
  if (durable) {
    head.earliest_step = 1;
    head.create_request_id = spec.request_id;
    head.create_fingerprint = spec.request_id.empty() ? 0 : FingerprintOf(spec);
    head.create_primed = spec.prime;
    log = NewLog(head);
  }
  Built built;
  built.session = SessionPtr(new Session(environment_, head, definition, PaceOf(definition),
                                         definition->create(std::move(arguments)), std::move(log)));
  if (!spec.request_id.empty()) built.session->SetCreateId(spec.request_id);
  built.stored.head = std::move(head);
  return built;
}

std::unique_ptr<SessionLog> Sessions::NewLog(const Head& head) {
  auto log = std::make_unique<SessionLog>(options_.max_remembered_ids);
  log->writer = random_.Next();
  log->create_request_id = head.create_request_id;
  log->create_fingerprint = head.create_fingerprint;
  log->create_primed = head.create_primed;
  log->digest = head.digest;
  log->earliest_step = head.earliest_step;
  if (!head.create_request_id.empty() && !head.create_primed) {
    log->ids.Pin(head.create_request_id, head.create_fingerprint, 0);
  } else if (head.steps > 0 && !head.create_request_id.empty()) {
    log->ids.Pin(head.create_request_id, head.create_fingerprint, 1);
  }
  return log;
}

std::string Sessions::MakeSessionId(const std::string& request_id) {
  // Namespace and identity stand before the request id; there is one of each until there are others.
  return request_id.empty() ? RandomUuid(random_) : NamedUuid("default\n\n" + request_id);
}

void Sessions::Create(CreateSpec spec, CreateDone done) {
  bool is_new = false;
  if (spec.session_id.empty()) {
    is_new = spec.request_id.empty();
    spec.session_id = MakeSessionId(spec.request_id);
  } else if (absl::Status checked = CheckSessionId(spec.session_id); !checked.ok()) {
    done(checked);
    return;
  }
  const std::string id = spec.session_id;
  if (is_new) {
    Place(std::move(spec), SessionPtr(), std::move(done));
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
  // Without the id: it is the same wherever this fingerprint is compared, given or made.
  const std::uint64_t fingerprint = spec.request_id.empty() ? 0 : FingerprintOf(spec);
  const auto may_replace = [&spec](const SessionPtr& session) {
    return spec.if_exists == IfExists::kReplaceFinished && session->state() == CoroutineState::kClosed &&
           !(!spec.request_id.empty() && session->KnowsCreate(spec.request_id));
  };
  if (existing && !may_replace(existing)) {
    AnswerExisting(existing, spec, fingerprint, std::move(done));
    return;
  }
  absl::StatusOr<Built> built = Build(spec);
  if (!built.ok()) {
    done(built.status());
    return;
  }
  const SessionPtr session = built->session;
  if (existing && existing->durable() && !session->durable()) {
    done(Failed(Reason::SESSION_EXISTS,
                "session '" + spec.session_id + "' is durable; an ephemeral one cannot take its place, delete it first",
                {{"session_id", spec.session_id}, {"uid", existing->uid()}}));
    return;
  }
  CreateCommand* prime = nullptr;
  session->Hold();
  if (spec.prime) {
    prime = new CreateCommand(*this, session, done, spec, /*first=*/true);
    prime->fingerprint = fingerprint;
    static_cast<void>(session->Submit(prime));
  } else if (!session->durable() && !spec.request_id.empty()) {
    session->RememberCreate(spec.request_id, fingerprint);
  }
  if (session->durable()) {
    if (existing && existing->durable()) built->stored.replaces = existing->uid();
    creating_.fetch_add(1);
    session->CreateInJournal(std::move(built->stored),
                             [this, session, spec, done, primes = prime != nullptr](const absl::Status& status) {
                               creating_.fetch_sub(1);
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
  if (absl::Status admitted = Admit(session, existing); !admitted.ok()) {
    if (session->durable()) creating_.fetch_sub(1);
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
  std::atomic<std::size_t>& count = durable ? durable_live_ : ephemeral_;
  count.fetch_add(1);
  const std::size_t all = ephemeral_.load() + journal_.size() + creating_.load();
  if (!replaced && all > options_.max_sessions) {
    count.fetch_sub(1);
    return Failed(Reason::TOO_MANY_SESSIONS,
                  "the server holds as many sessions as it may; delete or finish some, or raise --max-sessions",
                  {{"max_sessions", std::to_string(options_.max_sessions)}}, absl::Seconds(1));
  }
  if (!table_.Add(session, replaced)) {
    count.fetch_sub(1);
    return absl::AbortedError("the id is taken");
  }
  if (replaced) {
    (replaced->durable() ? durable_live_ : ephemeral_).fetch_sub(1);
    (replaced->durable() ? recency_ : timers_).Remove(*replaced);
    if (replaced->durable()) replaced->MarkForgotten();
    watchers_.Forget(replaced->uid());
  }
  (durable ? recency_ : timers_).Schedule(*session);
  if (durable) Evict();
  return absl::OkStatus();
}

void Sessions::AnswerExisting(const SessionPtr& existing, const CreateSpec& spec, std::uint64_t fingerprint,
                              CreateDone done) {
  if (!spec.request_id.empty() && existing->KnowsCreate(spec.request_id)) {
    auto* again = new CreateCommand(*this, existing, std::move(done), spec, /*first=*/false);
    again->fingerprint = fingerprint;
    if (!existing->Submit(again)) again->Finish(NotFound(spec.session_id));
    return;
  }
  if (spec.if_exists == IfExists::kReturn) {
    done(Created{.session = existing, .primed = std::nullopt, .existed = true});
    return;
  }
  done(Exists(spec.session_id, existing->uid(), spec.if_exists == IfExists::kReplaceFinished));
}

SessionPtr Sessions::FindLive(std::string_view id) const { return table_.Find(id); }

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

void Sessions::Open(std::string_view id, Opened then) {
  if (const SessionPtr session = table_.Find(id)) {
    then(session);
  } else if (!journal_.IsDurable()) {
    then(SessionPtr());
  } else {
    Wait(id, nullptr, std::move(then));
  }
}

void Sessions::Wait(std::string_view id, Command* command, Opened then) {
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
      then(found);  // NOLINT(bugprone-use-after-move): it was moved only if there was no session
    }
    return;
  }
  if (begins) environment_.executor.Run([this, key] { Load(key); });
}

void Sessions::Load(const std::string& id) {
  absl::StatusOr<SessionPtr> loaded = LoadSession(id);
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
        added = session && table_.Add(session, SessionPtr());
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
    durable_live_.fetch_add(1);
    recency_.Schedule(*session);
    session->Release();
    Evict();
  }
  while (Command* command = commands.Pop()) {
    if (!loaded.ok()) {
      absl::Status admitted = command->Admit();
      command->Finish(admitted.ok() ? loaded.status() : admitted);
    } else {
      AnswerNotFound(id, command);
    }
  }
  for (const Opened& then : waiting) then(loaded);
}

absl::StatusOr<SessionPtr> Sessions::LoadSession(const std::string& id) {
  absl::StatusOr<std::optional<Journal::Stored>> found = journal_.Find(id);
  if (absl::IsDataLoss(found.status())) return ProblemStatus(id, DamagedHead());
  if (!found.ok()) return found.status();
  if (!*found) return SessionPtr();
  const Journal::Stored stored = **std::move(found);
  const Definition* definition = catalog_.Find(stored.head.coroutine, stored.head.version);
  std::unique_ptr<SessionLog> log = NewLog(stored.head);
  log->saved_steps = stored.head.steps;
  log->saved_finished = stored.head.finish_time != absl::InfiniteFuture();
  log->tail = stored.tail;
  log->claiming = journal_.IsShared();
  absl::StatusOr<std::vector<Step>> checkpoints = journal_.ListCheckpoints(stored.head.key);
  if (!checkpoints.ok()) return checkpoints.status();
  log->checkpoints = *std::move(checkpoints);

  Head head = stored.head;
  Coroutine coroutine;
  if (!definition) return VersionUnavailable(head);
  if (head.problem) {
    log->problem = head.problem;
  } else if (stored.IsSettled() && head.state == CoroutineState::kClosed) {
    if (absl::Status read = ReadIds(head, *log); !read.ok()) return read;
  } else {
    absl::StatusOr<std::unique_ptr<Replay>> begun = Replay::Begin(environment_.replay, head, ~Step{0});
    if (!begun.ok()) return begun.status();
    Replay& replay = **begun;
    if (replay.checkpoint()) {
      for (const KnownId& known : replay.checkpoint()->ids) {
        log->ids.Remember(known.request_id, known.fingerprint, known.step);
      }
      log->asked_checkpoint = replay.checkpoint()->step;
    }
    while (true) {
      absl::StatusOr<std::optional<Replay::Executed>> executed = replay.Next();
      if (!executed.ok() && !replay.problem()) return executed.status();
      if (!executed.ok() || !*executed) break;
      const Record& record = (*executed)->record;
      log->ids.Remember(record.request_id, record.fingerprint, (*executed)->step);
      if (record.operation == Operation::kDelete) {
        log->NoteDelete(record.request_id, record.fingerprint,
                        Reply{.step = (*executed)->step, .outcome = (*executed)->result.outcome});
      } else {
        log->deleting = false;
      }
    }
    head = replay.head();
    log->tail = replay.tail();
    log->digest = head.digest;
    coroutine = replay.TakeCoroutine();
    log->problem = head.problem = replay.problem();
    if (log->problem || head.crashes > 0) {
      log->crashes = head.crashes = 0;
      journal_.Save({.head = head, .checkpoint = {}, .due = {}, .synced = false}, [](const absl::Status&) {});
    }
  }
  if (!head.create_request_id.empty()) {
    log->ids.Pin(head.create_request_id, head.create_fingerprint, head.create_primed ? 1 : 0);
  }
  log->last_number = log->tail.number;
  SessionPtr session(
      new Session(environment_, head, definition, PaceOf(definition), std::move(coroutine), std::move(log)));
  if (!head.create_request_id.empty()) session->SetCreateId(head.create_request_id);
  return session;
}

absl::Status Sessions::ReadIds(const Head& head, SessionLog& log) const {
  absl::StatusOr<std::optional<Checkpoint>> checkpoint = journal_.FindCheckpoint(head.key, ~Step{0});
  BatchId after;
  if (checkpoint.ok() && *checkpoint) {
    after = (*checkpoint)->after;
    log.asked_checkpoint = (*checkpoint)->step;
    for (const KnownId& known : (*checkpoint)->ids) log.ids.Remember(known.request_id, known.fingerprint, known.step);
  } else if (absl::IsUnavailable(checkpoint.status())) {
    return checkpoint.status();
  }
  while (true) {
    absl::StatusOr<std::vector<Batch>> read = journal_.Read(head.key, after, kReadBytes);
    if (absl::IsUnavailable(read.status())) return read.status();
    // What is damaged or trimmed of a finished session is missing for its old request ids alone.
    if (!read.ok() || read->empty()) return absl::OkStatus();
    for (const Batch& batch : *read) {
      after = batch.id;
      Step step = batch.first_step;
      for (const Record& record : batch.records) log.ids.Remember(record.request_id, record.fingerprint, step++);
    }
  }
}

absl::StatusOr<SessionInfo> Sessions::InfoOf(const std::string& id, const absl::StatusOr<Journal::Stored>& stored,
                                             bool replays) {
  SessionInfo info;
  info.durable = true;
  if (absl::IsDataLoss(stored.status())) {
    info.key.id = id;
    info.state = CoroutineState::kClosed;
    info.problem = DamagedHead();
    return info;
  }
  if (!stored.ok()) return stored.status();
  static_cast<Head&>(info) = stored->head;
  info.definition = catalog_.Find(info.coroutine, info.version);
  // What this server cannot run is shown as it was when that was last written.
  if (replays && info.definition && !stored->IsSettled()) {
    absl::StatusOr<Head> now = history_.Now(*stored);
    if (!now.ok()) return now.status();
    static_cast<Head&>(info) = *std::move(now);
  }
  return info;
}

void Sessions::Get(std::string_view id, std::optional<Step> at_step, GetDone done) {
  const SessionPtr live = table_.Find(id);
  if (live && !at_step) {
    done(live->Describe());
    return;
  }
  RunWaiting([this, id = std::string(id), at_step, done = std::move(done)] { done(Look(id, at_step)); });
}

absl::StatusOr<SessionInfo> Sessions::Look(const std::string& id, std::optional<Step> at_step) {
  const SessionPtr live = table_.Find(id);
  if (live && !at_step) return live->Describe();
  if (absl::Status checked = CheckSessionId(id); !checked.ok()) return checked;
  if (live && !live->durable()) {
    return Failed(Reason::NOT_DURABLE, "an ephemeral session has no history; leave at_step out to see it as it stands",
                  {{"session_id", id}});
  }
  absl::StatusOr<std::optional<Journal::Stored>> found = journal_.Find(id);
  if (found.ok() && !*found) return NotFound(id);
  absl::StatusOr<Journal::Stored> stored = found.ok() ? absl::StatusOr<Journal::Stored>(**found) : found.status();
  if (!at_step || !stored.ok()) return InfoOf(id, stored, /*replays=*/true);
  absl::StatusOr<Head> head = history_.At(stored->head, *at_step);
  if (!head.ok()) return head.status();
  SessionInfo info;
  static_cast<Head&>(info) = *std::move(head);
  info.definition = catalog_.Find(info.coroutine, info.version);
  info.durable = true;
  return info;
}

void Sessions::List(const ListQuery& query, ListEach each, ListDone done) {
  RunWaiting([this, query, each = std::move(each), done = std::move(done)] { done(ListPage(query, each)); });
}

absl::StatusOr<std::string> Sessions::ListPage(const ListQuery& query, const ListEach& each) {
  const std::uint64_t fingerprint = FingerprintOf(query);
  absl::StatusOr<std::string> after = ReadPageToken(query.page_token, fingerprint);
  if (!after.ok()) return after.status();
  std::string last = *std::move(after);
  int replays = 0;
  for (std::size_t looked_at = 0; looked_at < kListLooksAt;) {
    const std::vector<SessionPtr> live = table_.ListAfter(last, kListBatch);
    absl::StatusOr<std::vector<Journal::Listed>> stored = journal_.List(last, kListBatch);
    if (!stored.ok()) return stored.status();
    auto next_live = live.begin();
    auto next_stored = stored->begin();
    // Beyond the end of a batch that is full there may be others that come before the rest of the other batch.
    while (next_live != live.end() || next_stored != stored->end()) {
      if (next_live == live.end() && live.size() == kListBatch) break;
      if (next_stored == stored->end() && stored->size() == kListBatch) break;
      const bool takes_live =
          next_live != live.end() && (next_stored == stored->end() || (*next_live)->id() <= next_stored->id);
      const std::string id = takes_live ? (*next_live)->id() : next_stored->id;
      SessionInfo info;
      bool matches = true;
      if (takes_live) {
        const Session& session = **next_live;
        matches = (!query.state || session.state() == *query.state) && (!query.has_problem || session.HasProblem()) &&
                  session.MatchesLabels(query.labels) &&
                  (query.coroutine.empty() || session.definition()->name == query.coroutine);
        if (matches) info = session.Describe();
        if (next_stored != stored->end() && next_stored->id == id) ++next_stored;
        ++next_live;
      } else {
        const absl::StatusOr<Journal::Stored>& of = next_stored->stored;
        const bool unsettled = of.ok() && !of->IsSettled() && !of->head.problem;
        if (of.ok()) {
          matches = (query.coroutine.empty() || of->head.coroutine == query.coroutine) &&
                    Includes(of->head.labels, query.labels);
        }
        if (matches && unsettled && ++replays > kListReplays) return MakePageToken(last, fingerprint);
        if (matches) {
          absl::StatusOr<SessionInfo> read = InfoOf(id, of, /*replays=*/true);
          if (!read.ok()) return read.status();
          info = *std::move(read);
          matches = (!query.state || info.state == *query.state) && (!query.has_problem || info.problem) &&
                    (query.coroutine.empty() || info.coroutine == query.coroutine) &&
                    Includes(info.labels, query.labels);
        }
        ++next_stored;
      }
      if (matches && !each(info)) return MakePageToken(last, fingerprint);
      last = id;
      ++looked_at;
    }
    if (live.size() < kListBatch && stored->size() < kListBatch) return std::string();
  }
  return MakePageToken(last, fingerprint);
}

void Sessions::Update(std::string_view id, const Session::Changes& changes, GetDone done) {
  if (absl::Status checked = CheckSessionId(id); !checked.ok()) {
    done(checked);
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
    session->Update(changes, [this, session, done](const absl::Status& updated) {
      if (!updated.ok()) {
        done(updated);
        return;
      }
      if (!session->durable()) timers_.Schedule(*session);
      done(session->Describe());
    });
  });
}

void Sessions::Fork(ForkSpec spec, GetDone done) {
  if (spec.new_session_id.empty()) spec.new_session_id = MakeSessionId(spec.request_id);
  for (const std::string& id : {spec.session_id, spec.new_session_id}) {
    if (absl::Status checked = CheckSessionId(id); !checked.ok()) {
      done(checked);
      return;
    }
  }
  if (absl::Status labels = CheckLabels(spec.labels); !labels.ok()) {
    done(labels);
    return;
  }
  RunWaiting([this, spec = std::move(spec), done = std::move(done)] {
    const std::uint64_t fingerprint = FingerprintOf(spec);
    // A Fork that is sent again finds what it made, whatever became of the original.
    Open(spec.new_session_id, [this, spec, fingerprint, done](const absl::StatusOr<SessionPtr>& opened) {
      if (!opened.ok()) {
        done(opened.status());
      } else if (const SessionPtr& existing = *opened) {
        if (spec.request_id.empty() || !existing->KnowsCreate(spec.request_id)) {
          done(Exists(spec.new_session_id, existing->uid(), false));
        } else if (existing->create_fingerprint() != fingerprint) {
          done(Failed(Reason::REQUEST_ID_REUSED,
                      "request_id stands for another command; take a new id for each command",
                      {{"session_id", spec.new_session_id}, {"request_id", spec.request_id}}));
        } else {
          done(existing->Describe());
        }
      } else {
        environment_.executor.Run([this, spec, fingerprint, done] { MakeFork(spec, fingerprint, done); });
      }
    });
  });
}

void Sessions::MakeFork(const ForkSpec& spec, std::uint64_t fingerprint, const GetDone& done) {
  // The id was taken meanwhile: perhaps by this very Fork, sent before.
  const auto taken = [this, spec, done] {
    if (spec.request_id.empty()) {
      done(Exists(spec.new_session_id, "", false));
    } else {
      Fork(spec, done);
    }
  };
  if (environment_.draining.load()) {
    done(Draining());
    return;
  }
  const SessionPtr live = table_.Find(spec.session_id);
  if (live && !live->durable()) {
    done(Failed(Reason::NOT_DURABLE, "an ephemeral session has no log to be forked from",
                {{"session_id", spec.session_id}}));
    return;
  }
  absl::StatusOr<std::optional<Journal::Stored>> found = journal_.Find(spec.session_id);
  if (!found.ok() || !*found) {
    absl::Status status =
        absl::IsDataLoss(found.status()) ? ProblemStatus(spec.session_id, DamagedHead()) : found.status();
    done(found.ok() ? NotFound(spec.session_id) : status);
    return;
  }
  const Journal::Stored& stored = **found;
  const Step step = spec.at_step.value_or(stored.IsSettled() ? stored.head.steps : stored.logged_steps);
  absl::StatusOr<History::Copy> copy = history_.CopyAt(stored.head, step, random_);
  if (!copy.ok()) {
    done(copy.status());
    return;
  }
  Head& head = copy->stored.head;
  head.key = {spec.new_session_id, RandomUuid(random_)};
  head.create_time = head.last_used_time = environment_.clock.Now();
  if (head.state == CoroutineState::kClosed) head.finish_time = head.create_time;
  head.create_request_id = spec.request_id;
  head.create_fingerprint = fingerprint;
  head.create_primed = false;
  head.labels = spec.labels;
  head.expire_time = absl::InfiniteFuture();
  PlaceCopy(*std::move(copy), done, taken);
}

void Sessions::PlaceCopy(History::Copy copy, const GetDone& done, const std::function<void()>& taken) {
  const Head head = copy.stored.head;
  std::unique_ptr<SessionLog> log = NewLog(head);
  if (copy.stored.checkpoint) {
    log->tail = copy.stored.checkpoint->after;
    log->checkpoints = {copy.stored.checkpoint->step};
    log->asked_checkpoint = copy.stored.checkpoint->step;
    for (const KnownId& id : copy.stored.checkpoint->ids) log->ids.Remember(id.request_id, id.fingerprint, id.step);
  }
  for (const Batch& batch : copy.stored.log) {
    log->tail = batch.id;
    Step step = batch.first_step;
    for (const Record& record : batch.records) log->ids.Remember(record.request_id, record.fingerprint, step++);
  }
  log->last_number = log->tail.number;
  log->saved_steps = head.steps;
  log->saved_finished = head.state == CoroutineState::kClosed;
  const Definition* definition = &copy.replay->definition();
  SessionPtr session(
      new Session(environment_, head, definition, PaceOf(definition), copy.replay->TakeCoroutine(), std::move(log)));
  if (!head.create_request_id.empty()) session->SetCreateId(head.create_request_id);
  session->Hold();
  creating_.fetch_add(1);
  session->CreateInJournal(std::move(copy.stored), [this, session, done, taken](const absl::Status& status) {
    creating_.fetch_sub(1);
    if (status.ok()) {
      done(session->Describe());
      return;
    }
    Forget(*session);
    if (IsConflict(status)) {
      taken();
    } else {
      done(status);
    }
  });
  if (absl::Status admitted = Admit(session, SessionPtr()); !admitted.ok()) {
    creating_.fetch_sub(1);
    session->Abandon();
    if (IsConflict(admitted)) {
      taken();
    } else {
      done(admitted);
    }
    return;
  }
  session->Release();
}

void Sessions::Export(std::string_view id, ExportSink sink, std::function<void(absl::Status)> done) {
  RunWaiting([this, id = std::string(id), sink = std::move(sink), done = std::move(done)] {
    const SessionPtr live = table_.Find(id);
    if (live && !live->durable()) {
      done(Failed(Reason::NOT_DURABLE, "an ephemeral session has no log to be exported", {{"session_id", id}}));
      return;
    }
    const absl::StatusOr<SessionInfo> info = Look(id, std::nullopt);
    if (!info.ok()) {
      done(info.status());
    } else if (info->key.uid.empty()) {
      done(ProblemStatus(id, DamagedHead()));
    } else {
      done(history_.Export(*info, sink));
    }
  });
}

void Sessions::Import(std::string file, std::string session_id, GetDone done) {
  if (!journal_.IsDurable()) {
    done(Failed(Reason::DURABILITY_UNAVAILABLE, "this server keeps no journal, so nothing can be imported"));
    return;
  }
  if (absl::Status checked = session_id.empty() ? absl::OkStatus() : CheckSessionId(session_id); !checked.ok()) {
    done(checked);
    return;
  }
  RunWaiting([this, file = std::move(file), session_id = std::move(session_id), done = std::move(done)] {
    if (environment_.draining.load()) {
      done(Draining());
      return;
    }
    absl::StatusOr<History::Copy> copy = history_.Import(file);
    if (!copy.ok()) {
      done(copy.status());
      return;
    }
    Head& head = copy->stored.head;
    head.key = {session_id.empty() ? head.key.id : session_id, RandomUuid(random_)};
    const std::string id = head.key.id;
    auto shared = std::make_shared<History::Copy>(*std::move(copy));
    Open(id, [this, id, shared, done](const absl::StatusOr<SessionPtr>& opened) {
      if (!opened.ok()) {
        done(opened.status());
      } else if (*opened) {
        done(Exists(id, (*opened)->uid(), false));
      } else {
        PlaceCopy(std::move(*shared), done, [id, done] { done(Exists(id, "", false)); });
      }
    });
  });
}

void Sessions::StartWatch(std::string_view id, std::optional<Step> from_step, std::function<void()> wake,
                          WatchDone done) {
  RunWaiting([this, id = std::string(id), from_step, wake = std::move(wake), done = std::move(done)] {
    absl::StatusOr<SessionInfo> info = Look(id, std::nullopt);
    if (!info.ok() || info->key.uid.empty()) {
      done(info.ok() ? ProblemStatus(id, DamagedHead()) : info.status());
      return;
    }
    Watch::Options options{
        .head = static_cast<const Head&>(*info), .from_step = from_step, .reads_log = from_step && info->durable};
    if (from_step && *from_step == 0) options.from_step = 1;
    if (options.reads_log && *options.from_step < info->earliest_step) {
      done(Trimmed(*info, *options.from_step));
      return;
    }
    const auto watch = std::make_shared<Watch>(environment_.replay, environment_.executor, options, wake);
    watchers_.Add(info->key.uid, watch);
    // Looked at after it is told of every step, so that none is missed between the two.
    info = Look(id, std::nullopt);
    if (info.ok() && !info->durable && from_step && *from_step <= info->steps) {
      watchers_.Remove(info->key.uid, watch.get());
      done(Failed(Reason::NOT_DURABLE,
                  "an ephemeral session has no history; leave from_step out to see what comes next",
                  {{"session_id", id}}));
      return;
    }
    if (!info.ok() || info->key.uid != options.head.key.uid) {
      watch->OnForgotten();
    } else if (!options.reads_log && info->state == CoroutineState::kClosed) {
      watch->End(absl::OkStatus());
    }
    done(watch);
  });
}

void Sessions::EndWatch(const std::shared_ptr<Watch>& watch) { watchers_.Remove(watch->head().key.uid, watch.get()); }

void Sessions::Forget(Session& session) {
  session.MarkForgotten();
  (session.durable() ? recency_ : timers_).Remove(session);
  if (table_.Remove(session)) (session.durable() ? durable_live_ : ephemeral_).fetch_sub(1);
  watchers_.Forget(session.uid());
}

void Sessions::Leave(Session& session) {
  recency_.Remove(session);
  if (table_.Remove(session)) durable_live_.fetch_sub(1);
}

void Sessions::PutToSleep(const SessionPtr& session, const std::function<void(bool)>& done) {
  falling_asleep_.fetch_add(1);
  const bool begun = session->Sleep([this, session, done](bool asleep) {
    if (asleep) {
      Leave(*session);
    } else {
      recency_.Schedule(*session);
    }
    falling_asleep_.fetch_sub(1);
    done(asleep);
  });
  if (begun) return;
  recency_.Schedule(*session);
  falling_asleep_.fetch_sub(1);
  done(false);
}

void Sessions::Evict() {
  const auto enough = [this] {
    return durable_live_.load() <= options_.durability.max_live_sessions + falling_asleep_.load();
  };
  if (enough()) return;
  // All at once, since one that is busy goes back to where it stood: before the others.
  std::vector<SessionPtr> first;
  while (first.size() < kEvictionTries) {
    SessionPtr session = recency_.TakeFirst();
    if (!session) break;
    first.push_back(std::move(session));
  }
  for (const SessionPtr& session : first) {
    if (enough()) {
      recency_.Schedule(*session);
    } else {
      PutToSleep(session, [](bool) {});
    }
  }
}

void Sessions::CloseInBackground(const SessionPtr& session, CloseCause cause, bool forgets,
                                 std::function<void()> done) {
  auto* close = new BackgroundClose(std::move(done));
  close->cause = cause;
  close->forgets = forgets;
  if (!session->Submit(close)) close->Finish(Reply());
}

absl::Time Sessions::Sweep() {
  const absl::Time now = environment_.clock.Now();
  SweepEphemeral(now);
  for (const SessionPtr& session : recency_.TakeDue(now, kSweepLimit)) {
    if (session->SleepDue() > now) {
      recency_.Schedule(*session);
    } else {
      PutToSleep(session, [](bool) {});
    }
  }
  Evict();
  SweepJournal(now);
  const absl::Time due = std::min({timers_.Earliest(), recency_.Earliest(), journal_.EarliestDue()});
  // What is being taken care of still stands in the index.
  return background_.load() > 0 ? std::max(due, now + kBackgroundPause) : due;
}

void Sessions::SweepEphemeral(absl::Time now) {
  for (const SessionPtr& session : timers_.TakeDue(now, kSweepLimit)) {
    const Session::Due due = session->NextDue();
    const auto reschedule = [this, session] { timers_.Schedule(*session); };
    if (due.when > now) {
      reschedule();
    } else if (due.act == Session::Due::Act::kForget) {
      Forget(*session);
    } else {
      CloseInBackground(session, due.act == Session::Due::Act::kCloseIdle ? CloseCause::kIdle : CloseCause::kExpired,
                        /*forgets=*/false, reschedule);
    }
  }
}

void Sessions::SweepJournal(absl::Time now) {
  if (background_.load() >= kMaxBackground) return;
  const absl::StatusOr<std::vector<Journal::Due>> due = journal_.ListDue(now, swept_to_, kMaxBackground);
  if (!due.ok()) return;  // it cannot be read now; the next Sweep tries again
  for (const Journal::Due& entry : *due) {
    swept_to_ = entry;
    SweepEntry(entry, now);
  }
  if (due->size() < kMaxBackground) swept_to_.reset();
}

void Sessions::SweepEntry(const Journal::Due& entry, absl::Time now) {
  if (!table_.Find(entry.id)) {
    const absl::StatusOr<std::optional<Journal::Stored>> found = journal_.Find(entry.id);
    if (absl::IsUnavailable(found.status())) return;
    if (!found.ok() || !*found || (*found)->head.problem) {
      journal_.Reschedule(entry, std::nullopt);
      return;
    }
    // One that was alive when the server ended is woken, so that what became of it is saved when it goes to sleep.
    if ((*found)->IsSettled()) {
      const absl::Time next = DueOf((*found)->head);
      if (next > now) {
        journal_.Reschedule(entry, next == absl::InfiniteFuture() ? std::nullopt : std::optional(next));
        return;
      }
    }
  }
  background_.fetch_add(1);
  Open(entry.id, [this, entry, now](const absl::StatusOr<SessionPtr>& opened) {
    const auto taken_care_of = [this, entry](std::optional<absl::Time> next) {
      journal_.Reschedule(entry, next);
      background_.fetch_sub(1);
    };
    if (!opened.ok()) {
      // Later, when the journal can be read or the coroutine is there again.
      taken_care_of(now + options_.durability.settle_after);
      return;
    }
    if (!*opened || !(*opened)->durable()) {
      taken_care_of(std::nullopt);
      return;
    }
    const SessionPtr& session = *opened;
    const Session::Due due = session->NextDue();
    if (due.when > now) {
      taken_care_of(std::min(due.when, now + options_.durability.settle_after));
      return;
    }
    const bool forgets = due.act == Session::Due::Act::kForget;
    CloseInBackground(
        session, due.act == Session::Due::Act::kCloseExpired ? CloseCause::kExpired : CloseCause::kIdle, forgets,
        [this, session, taken_care_of] {
          const absl::Time next = session->NextDue().when;
          const absl::Time later = environment_.clock.Now() + options_.durability.settle_after;
          taken_care_of(table_.Find(session->id()) == session ? std::optional(std::min(next, later)) : std::nullopt);
        });
  });
}

absl::Time Sessions::DueOf(const Head& head) const {
  if (head.finish_time != absl::InfiniteFuture()) return head.finish_time + options_.retention;
  return std::min(head.expire_time, head.last_used_time + head.idle_timeout);
}

void Sessions::CountCrashes(const CrashMarks& marks) {
  for (const CrashMarks::Crash& crash : marks.found()) {
    const absl::StatusOr<std::optional<Journal::Stored>> found = journal_.Find(crash.key.id);
    if (!found.ok() || !*found || (*found)->head.key != crash.key) continue;
    Head head = (*found)->head;
    if (++head.crashes >= kMaxCrashes) {
      head.problem = Broken("replaying step " + std::to_string(crash.step) + " ended the server " +
                                std::to_string(head.crashes) + " times, so it is not tried again",
                            crash.step);
    }
    journal_.Save({.head = std::move(head), .checkpoint = {}, .due = {}, .synced = true}, [](const absl::Status&) {});
  }
}

void Sessions::Drain(std::function<void()> done) {
  environment_.draining.store(true);
  // Counts what is under way, and this call itself, which calls `done` if nothing is left.
  auto left = std::make_shared<std::atomic<std::size_t>>(1);
  const std::function<void()> one_less = [left, done = std::move(done)] {
    if (left->fetch_sub(1) == 1) done();
  };
  std::string last;
  while (true) {
    const std::vector<SessionPtr> batch = table_.ListAfter(last, kListBatch);
    for (const SessionPtr& session : batch) {
      last = session->id();
      if (!session->durable() && session->state() == CoroutineState::kClosed) continue;
      left->fetch_add(1);
      if (session->durable()) {
        DrainDurable(session, kDrainTries, one_less);
      } else {
        CloseInBackground(session, CloseCause::kDrain, /*forgets=*/false, one_less);
      }
    }
    if (batch.size() < kListBatch) break;
  }
  one_less();
}

void Sessions::DrainDurable(const SessionPtr& session, int tries, std::function<void()> done) {
  // A command that is refused in its turn tells when all before it are through.
  CloseInBackground(session, CloseCause::kDrain, /*forgets=*/false, [this, session, tries, done = std::move(done)] {
    environment_.executor.Run([this, session, tries, done] {
      PutToSleep(session, [this, session, tries, done](bool asleep) {
        // One that cannot be saved loses nothing: its log says all.
        if (asleep || tries == 1 || table_.Find(session->id()) != session) {
          done();
        } else {
          DrainDurable(session, tries - 1, done);
        }
      });
    });
  });
}

}  // namespace corod
