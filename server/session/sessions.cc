#include "server/session/sessions.h"

#include <algorithm>
#include <utility>

#include "server/base/failure.h"
#include "server/base/page_token.h"
#include "server/base/uuid.h"
#include "server/coroutine/fingerprint.h"
#include "server/session/session_id.h"

namespace corod {
namespace {

// How many sessions one page of List looks at, and one Sweep takes care of.
constexpr std::size_t kListLooksAt = 10'000;
constexpr std::size_t kListBatch = 256;
constexpr std::size_t kSweepLimit = 1'000;

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
    done_();
    delete this;
  }

 private:
  const std::function<void()> done_;
};

}  // namespace

// The command behind a Create: primes the session that it made, or asks one that exists for the answer that an equal
// Create got (`again` is set).
class Sessions::CreateCommand : public Command {
 public:
  CreateCommand(Sessions& sessions, SessionPtr session, CreateDone done, std::optional<CreateSpec> again)
      : sessions_(sessions), session_(std::move(session)), done_(std::move(done)), again_(std::move(again)) {
    operation = Operation::kCreate;
  }
  void Finish(absl::StatusOr<Reply> reply) override {
    if (reply.ok()) {
      Created created{.session = session_, .primed = std::nullopt, .existed = false, .replayed = reply->replayed};
      if (reply->outcome) created.primed = *std::move(reply);
      done_(std::move(created));
    } else if (again_ && IsFailure(reply.status(), Reason::SESSION_NOT_FOUND)) {
      // It went before it could answer, so this Create is the first.
      sessions_.Create(*std::move(again_), std::move(done_));
    } else {
      if (!again_) sessions_.Forget(*session_);  // a Create that is refused leaves no session
      done_(reply.status());
    }
    delete this;
  }

 private:
  Sessions& sessions_;
  const SessionPtr session_;
  Sessions::CreateDone done_;
  std::optional<CreateSpec> again_;
};

Sessions::Sessions(Options options, const Catalog& catalog, const Clock& clock, Executor& executor, Random& random,
                   const Journal& journal)
    : options_(options),
      catalog_(catalog),
      random_(random),
      journal_(journal),
      environment_{.clock = clock,
                   .executor = executor,
                   .limits = options.limits,
                   .max_queued = options.max_queued,
                   .max_remembered_ids = options.max_remembered_ids,
                   .max_remembered_bytes = options.max_remembered_bytes,
                   .retention = options.retention,
                   .on_finished = [this](Session& session) { timers_.Schedule(session); },
                   .on_deleted =
                       [this](Session& session, const Command& command, const Reply& reply) {
                         if (!command.request_id.empty()) {
                           deleted_.Remember(session.id(), command.request_id, reply, environment_.clock.Now());
                         }
                         Forget(session);
                       }},
      table_(options.max_sessions),
      deleted_(options.retention) {}

Sessions::~Sessions() = default;

Pace* Sessions::PaceOf(const Definition* definition) {
  const MutexLock lock(paces_mutex_);
  std::unique_ptr<Pace>& pace = paces_[definition];
  if (!pace) pace = std::make_unique<Pace>();
  return pace.get();
}

absl::StatusOr<SessionPtr> Sessions::Build(const CreateSpec& spec) {
  if (environment_.draining.load(std::memory_order_relaxed)) {
    return Failed(Reason::DRAINING, "the server is shutting down; try again when it is back", {}, absl::Seconds(1));
  }
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
  if (spec.durability == Durability::kDurable && !journal_.IsDurable()) {
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
  SessionOrigin origin;
  origin.id = spec.session_id;
  origin.uid = RandomUuid(random_);
  origin.definition = definition;
  // Copies of its own: the body may change an exception that it is given.
  for (const Value& argument : arguments) origin.arguments.push_back(Snapshot(argument));
  origin.labels = spec.labels;
  origin.idle_timeout = spec.idle_timeout.value_or(options_.idle_timeout);
  if (origin.idle_timeout == absl::ZeroDuration()) origin.idle_timeout = absl::InfiniteDuration();
  origin.expire_time = spec.expire_time;
  origin.pace = PaceOf(definition);
  return SessionPtr(new Session(environment_, std::move(origin), definition->create(std::move(arguments))));
}

std::string Sessions::MakeSessionId(const std::string& request_id) {
  // Namespace and identity stand before the request id; there is one of each until there are others.
  return request_id.empty() ? RandomUuid(random_) : NamedUuid("default\n\n" + request_id);
}

void Sessions::Create(CreateSpec spec, CreateDone done) {
  // Without the id: it is the same wherever this fingerprint is compared, given or made.
  const std::uint64_t fingerprint = spec.request_id.empty() ? 0 : FingerprintOf(spec);
  if (spec.session_id.empty()) {
    spec.session_id = MakeSessionId(spec.request_id);
  } else if (absl::Status checked = CheckSessionId(spec.session_id); !checked.ok()) {
    done(checked);
    return;
  }
  const SessionPtr existing = table_.Find(spec.session_id);
  const auto may_replace = [&spec](const SessionPtr& session) {
    return spec.if_exists == IfExists::kReplaceFinished && session->state() == CoroutineState::kClosed &&
           !(!spec.request_id.empty() && session->KnowsCreate(spec.request_id));
  };
  if (existing && !may_replace(existing)) {
    AnswerExisting(existing, spec, fingerprint, std::move(done));
    return;
  }
  absl::StatusOr<SessionPtr> built = Build(spec);
  if (!built.ok()) {
    done(built.status());
    return;
  }
  const SessionPtr session = *std::move(built);
  CreateCommand* prime = nullptr;
  if (spec.prime) {
    prime = new CreateCommand(*this, session, done, std::nullopt);
    prime->request_id = spec.request_id;
    prime->fingerprint = fingerprint;
    prime->deadline = spec.deadline;
    session->SubmitFirst(prime);
  } else if (!spec.request_id.empty()) {
    session->RememberCreate(spec.request_id, fingerprint);
  }
  if (!spec.request_id.empty()) session->SetCreateId(spec.request_id);
  switch (table_.Add(session, existing)) {
    case SessionTable::Added::kYes:
      break;
    case SessionTable::Added::kTaken:  // by another Create, a moment ago
      delete prime;
      Create(std::move(spec), std::move(done));
      return;
    case SessionTable::Added::kFull:
      delete prime;
      done(Failed(Reason::TOO_MANY_SESSIONS,
                  "the server holds as many sessions as it may; delete or finish some, or raise --max-sessions",
                  {{"max_sessions", std::to_string(options_.max_sessions)}}, absl::Seconds(1)));
      return;
  }
  if (existing) timers_.Remove(*existing);
  timers_.Schedule(*session);
  if (prime) {
    session->RunFirst();
  } else {
    done(Created{.session = session, .primed = std::nullopt});
  }
}

void Sessions::AnswerExisting(const SessionPtr& existing, const CreateSpec& spec, std::uint64_t fingerprint,
                              CreateDone done) {
  if (!spec.request_id.empty() && existing->KnowsCreate(spec.request_id)) {
    auto* again = new CreateCommand(*this, existing, std::move(done), spec);
    again->request_id = spec.request_id;
    again->fingerprint = fingerprint;
    again->bounded_by_sender = spec.bounded_by_sender;
    existing->Submit(again);
    return;
  }
  if (spec.if_exists == IfExists::kReturn) {
    done(Created{.session = existing, .primed = std::nullopt, .existed = true});
    return;
  }
  done(Failed(Reason::SESSION_EXISTS,
              spec.if_exists == IfExists::kReplaceFinished
                  ? "session '" + spec.session_id + "' exists and is not finished"
                  : "session '" + spec.session_id + "' exists; take another id, or say what to do with if_exists",
              {{"session_id", spec.session_id}, {"uid", existing->uid()}}));
}

SessionPtr Sessions::Find(std::string_view id) const { return table_.Find(id); }

void Sessions::Submit(std::string_view id, Command* command) {
  const auto answered_before = [&] {
    if (command->operation != Operation::kDelete || command->request_id.empty()) return false;
    std::optional<Reply> before = deleted_.Find(id, command->request_id, environment_.clock.Now());
    if (!before) return false;
    command->Finish(*std::move(before));
    return true;
  };
  if (answered_before()) return;
  if (const SessionPtr session = table_.Find(id)) {
    session->Submit(command);
  } else if (answered_before()) {
    return;  // by the one that took the session away between the two looks
  } else if (absl::Status checked = CheckSessionId(id); !checked.ok()) {
    command->Finish(checked);
  } else {
    command->Finish(NotFound(id));
  }
}

absl::StatusOr<SessionInfo> Sessions::Get(std::string_view id, std::optional<Step> at_step) const {
  const SessionPtr session = table_.Find(id);
  if (!session) {
    absl::Status checked = CheckSessionId(id);
    return checked.ok() ? NotFound(id) : checked;
  }
  if (at_step) {
    return Failed(Reason::NOT_DURABLE, "an ephemeral session has no history; leave at_step out to see it as it stands",
                  {{"session_id", std::string(id)}});
  }
  return session->Describe();
}

absl::StatusOr<std::string> Sessions::List(const ListQuery& query,
                                           const std::function<bool(const SessionInfo&)>& each) const {
  const std::uint64_t fingerprint = FingerprintOf(query);
  absl::StatusOr<std::string> after = ReadPageToken(query.page_token, fingerprint);
  if (!after.ok()) return after.status();
  std::string last = *std::move(after);
  for (std::size_t looked_at = 0; looked_at < kListLooksAt;) {
    const std::vector<SessionPtr> batch = table_.ListAfter(last, kListBatch);
    for (const SessionPtr& session : batch) {
      const bool matches = (query.coroutine.empty() || session->definition().name == query.coroutine) &&
                           (!query.state || session->state() == *query.state) && session->MatchesLabels(query.labels) &&
                           !query.has_problem;  // an ephemeral session has none
      if (matches && !each(session->Describe())) return MakePageToken(last, fingerprint);
      last = session->id();
    }
    if (batch.size() < kListBatch) return std::string();
    looked_at += batch.size();
  }
  return MakePageToken(last, fingerprint);
}

absl::StatusOr<SessionInfo> Sessions::Update(std::string_view id, const Session::Changes& changes) {
  const SessionPtr session = table_.Find(id);
  if (!session) {
    absl::Status checked = CheckSessionId(id);
    return checked.ok() ? NotFound(id) : checked;
  }
  if (changes.idle_timeout && *changes.idle_timeout < absl::ZeroDuration()) {
    return Failed(Reason::INVALID_ARGUMENTS, "idle_timeout is negative; 0 s means never",
                  {{"parameter", "idle_timeout"}});
  }
  if (absl::Status updated = session->Update(changes); !updated.ok()) return updated;
  timers_.Schedule(*session);
  return session->Describe();
}

void Sessions::Forget(Session& session) {
  session.MarkForgotten();
  timers_.Remove(session);
  table_.Remove(session);
}

void Sessions::CloseInBackground(const SessionPtr& session, CloseCause cause, std::function<void()> done) {
  auto* close = new BackgroundClose(std::move(done));
  close->cause = cause;
  session->Submit(close);
}

absl::Time Sessions::Sweep() {
  const absl::Time now = environment_.clock.Now();
  const std::vector<SessionPtr> due_sessions = timers_.TakeDue(now, kSweepLimit);
  for (const SessionPtr& session : due_sessions) {
    const Session::Due due = session->NextDue();
    const auto reschedule = [this, session] { timers_.Schedule(*session); };
    if (due.when > now) {
      reschedule();
      continue;
    }
    switch (due.act) {
      case Session::Due::Act::kForget:
        Forget(*session);
        break;
      case Session::Due::Act::kCloseIdle:
        CloseInBackground(session, CloseCause::kIdle, reschedule);
        break;
      case Session::Due::Act::kCloseExpired:
        CloseInBackground(session, CloseCause::kExpired, reschedule);
        break;
    }
  }
  return timers_.Earliest();
}

void Sessions::Drain(std::function<void()> done) {
  environment_.draining.store(true);
  // Counts what is under way, and this call itself, which calls `done` if nothing is left.
  auto left = std::make_shared<std::atomic<std::size_t>>(1);
  const auto one_less = [left, done = std::move(done)] {
    if (left->fetch_sub(1) == 1) done();
  };
  std::string last;
  while (true) {
    const std::vector<SessionPtr> batch = table_.ListAfter(last, kListBatch);
    for (const SessionPtr& session : batch) {
      last = session->id();
      if (session->state() == CoroutineState::kClosed) continue;
      left->fetch_add(1);
      CloseInBackground(session, CloseCause::kDrain, one_less);
    }
    if (batch.size() < kListBatch) break;
  }
  one_less();
}

}  // namespace corod
