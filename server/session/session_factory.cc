#include "server/session/session_factory.h"

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/base/failure.h"
#include "server/base/uuid.h"
#include "server/catalog/namespaces.h"
#include "server/session/refusals.h"

namespace corod {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;

}  // namespace

SessionFactory::SessionFactory(SessionEnvironment& environment)
    : environment_(environment), next_seed_(environment.random.Next()) {}

SessionKind& SessionFactory::KindOf(const Definition* definition, const Head& head) {
  Account& account = environment_.accounts.Of(NamespaceOf(head.key.id));
  const MutexLock lock(kinds_mutex_);
  std::unique_ptr<SessionKind>& kind = kinds_[{definition, head.catalog_revision, &account}];
  if (!kind) {
    const bool is_script = definition && definition->language == Language::kLua;
    std::unique_ptr<Pace>& pace = paces_[definition];
    if (!pace) pace = std::make_unique<Pace>(is_script);
    kind.reset(new SessionKind{.environment = environment_,
                               .definition = definition,
                               .catalog_revision = head.catalog_revision,
                               .account = account,
                               .pace = *pace,
                               .counters = environment_.metrics.OfCoroutine(head.coroutine)});
  }
  return *kind;
}

absl::StatusOr<SessionFactory::Built> SessionFactory::Build(const CreateSpec& spec) {
  const Catalog& catalog = environment_.replay.catalog;
  const CatalogRevision revision = catalog.revision();
  const std::string_view name_space = NamespaceOf(spec.session_id);
  CatalogView view(revision, catalog.Intern(name_space));
  const Definition* newest = catalog.Newest(spec.coroutine, view);
  const Definition* definition =
      newest && spec.version != 0 ? catalog.Find(spec.coroutine, spec.version, name_space) : newest;
  if (!definition) {
    if (newest) {
      return Failed(Reason::VERSION_UNAVAILABLE,
                    "coroutine '" + spec.coroutine + "' has no version " + std::to_string(spec.version) +
                        " here; 0 asks for the newest",
                    {{"coroutine", spec.coroutine}, {"version", std::to_string(spec.version)}});
    }
    return Failed(Reason::COROUTINE_NOT_FOUND,
                  "no coroutine '" + spec.coroutine + "' in the catalog; ListCoroutines shows what there is",
                  {{"coroutine", spec.coroutine}});
  }
  if (definition->HasNoMemory()) return NoScriptMemory(spec.coroutine);
  const bool durable = spec.durability == Durability::kDurable ||
                       (spec.durability == Durability::kDefault && environment_.journal.IsDurable());
  if (durable && !environment_.journal.IsDurable()) {
    return Failed(Reason::DURABILITY_UNAVAILABLE,
                  "this server keeps no journal, so a session cannot be durable; ask for an ephemeral one");
  }
  if (absl::Status labels = CheckLabels(spec.labels); !labels.ok()) return labels;
  if (spec.idle_timeout && *spec.idle_timeout < absl::ZeroDuration()) {
    return Failed(Reason::INVALID_ARGUMENTS, "idle_timeout is negative; 0 s means never",
                  {{"parameter", "idle_timeout"}});
  }
  std::variant<std::vector<Value>, ArgumentError> bound = definition->BindArguments(spec.arguments, view);
  if (const auto* error = std::get_if<ArgumentError>(&bound)) {
    return Failed(Reason::INVALID_ARGUMENTS, error->message,
                  {{"coroutine", spec.coroutine}, {"parameter", error->parameter}});
  }
  std::vector<Value>& arguments = std::get<std::vector<Value>>(bound);
  Head head;
  head.key.id = spec.session_id;
  head.coroutine = definition->name;
  head.version = definition->version;
  if (definition->looks_up) head.catalog_revision = revision;
  view.revision = head.catalog_revision;
  // Copies of its own: the body may change an exception that it is given.
  for (const Value& argument : arguments) head.arguments.push_back(Snapshot(argument));
  head.create_time = head.last_used_time = environment_.clock.Now();
  head.labels = spec.labels;
  head.idle_timeout =
      spec.idle_timeout.value_or(durable ? environment_.durable_idle_timeout : environment_.idle_timeout);
  if (head.idle_timeout == absl::ZeroDuration()) head.idle_timeout = absl::InfiniteDuration();
  head.expire_time = spec.expire_time;
  head.create_request_id = spec.request_id;
  Built built;
  if (durable) {
    head.key.uid = environment_.accounts.Of(name_space).NewUid(environment_.random);
    head.seed = environment_.random.Next();
    head.earliest_step = 1;
    head.create_fingerprint = spec.request_id.empty() ? 0 : FingerprintOf(spec);
    head.create_primed = spec.prime;
    built.session = SessionPtr(
        new Session(KindOf(definition, head), head, definition->create(std::move(arguments), view), NewLog(head)));
  } else {
    head.seed = next_seed_.fetch_add(1, std::memory_order_relaxed);
    built.session =
        SessionPtr(new Session(KindOf(definition, head), head, definition->create(std::move(arguments), view)));
  }
  built.stored.head = std::move(head);
  return built;
}

std::unique_ptr<SessionLog> SessionFactory::NewLog(const Head& head) {
  auto log = std::make_unique<SessionLog>();
  log->uid = CompactText(head.key.uid);
  log->create_primed = head.create_primed;
  log->digest = head.digest;
  if (head.earliest_step != 1) log->MutableExtras().earliest_step = head.earliest_step;
  if (!head.create_request_id.empty()) {
    std::optional<Step> step;
    if (!head.create_primed) {
      step = 0;
    } else if (head.steps > 0) {
      step = 1;
    }
    log->ids.SetCreate(head.create_request_id, head.create_fingerprint, step);
  }
  return log;
}

void SessionFactory::Remember(SessionLog& log, std::string_view request_id, std::uint64_t fingerprint,
                              Step step) const {
  log.ids.Remember(request_id, fingerprint, step, environment_.max_remembered_ids);
}

void SessionFactory::Remember(SessionLog& log, const Batch& batch) const {
  Step step = batch.first_step;
  for (const Record& record : batch.records) Remember(log, record.request_id, record.fingerprint, step++);
}

Step SessionFactory::Remember(SessionLog& log, const Checkpoint& checkpoint) const {
  for (const KnownId& known : checkpoint.ids) Remember(log, known.request_id, known.fingerprint, known.step);
  return checkpoint.step;
}

absl::StatusOr<SessionPtr> SessionFactory::Load(const std::string& id) {
  absl::StatusOr<std::optional<Journal::Stored>> found = environment_.journal.Find(id);
  if (!found.ok()) return found.status();
  if (!*found) return SessionPtr();
  const Journal::Stored stored = **std::move(found);
  const Definition* definition = DefinitionOf(environment_.replay.catalog, stored.head);
  std::unique_ptr<SessionLog> log = NewLog(stored.head);
  log->saved_finished = stored.head.finish_time != absl::InfiniteFuture();
  log->tail = stored.tail;
  log->claiming = environment_.journal.IsShared();
  absl::StatusOr<std::vector<Step>> checkpoints = environment_.journal.ListCheckpoints(stored.head.key);
  if (!checkpoints.ok()) return checkpoints.status();
  if (!checkpoints->empty()) log->MutableExtras().checkpoints = *std::move(checkpoints);
  Step checkpoint = 0;  // the newest

  Head head = stored.head;
  Coroutine coroutine;
  if (!definition) return VersionUnavailable(head);
  if (head.problem) {
    log->MutableExtras().problem = std::make_unique<SessionProblem>(*head.problem);
    // The steps before the trouble are answered again.
    if (const absl::StatusOr<Step> read = ReadIds(head, *log); !read.ok()) return read.status();
  } else if (stored.IsSettled() && head.state == CoroutineState::kClosed) {
    const absl::StatusOr<Step> read = ReadIds(head, *log);
    if (!read.ok()) return read.status();
    checkpoint = *read;
  } else {
    absl::StatusOr<std::unique_ptr<Replay>> begun =
        Replay::Begin(environment_.replay, head, ~Step{0}, metrics::ReplayCause::kWake);
    if (!begun.ok()) return begun.status();
    Replay& replay = **begun;
    if (replay.checkpoint()) checkpoint = Remember(*log, *replay.checkpoint());
    while (true) {
      absl::StatusOr<std::optional<Replay::Executed>> executed = replay.Next();
      if (!executed.ok() && !replay.problem()) return executed.status();
      if (!executed.ok() || !*executed) break;
      const Record& record = (*executed)->record;
      Remember(*log, record.request_id, record.fingerprint, (*executed)->step);
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
    head.problem = replay.problem();
    if (head.problem) log->MutableExtras().problem = std::make_unique<SessionProblem>(*head.problem);
    if (head.problem || head.crashes > 0) {
      head.crashes = 0;
      environment_.journal.Save({.head = head, .checkpoint = {}, .due = {}, .synced = false},
                                [](const absl::Status&) {});
    }
  }
  if (head.problem) ReportProblem(environment_, head.key, *head.problem);
  if (!head.create_request_id.empty()) log->ids.PinCreate(head.create_primed ? 1 : 0);
  log->saved = head.steps == stored.head.steps;
  if (checkpoint != 0) log->MutableExtras().asked_checkpoint = checkpoint;
  return SessionPtr(new Session(KindOf(definition, head), head, std::move(coroutine), std::move(log)));
}

absl::StatusOr<Step> SessionFactory::ReadIds(const Head& head, SessionLog& log) const {
  absl::StatusOr<std::optional<Checkpoint>> checkpoint = environment_.journal.FindCheckpoint(head.key, ~Step{0});
  BatchId after;
  Step newest = 0;
  if (checkpoint.ok() && *checkpoint) {
    after = (*checkpoint)->after;
    newest = Remember(log, **checkpoint);
  } else if (absl::IsUnavailable(checkpoint.status())) {
    return checkpoint.status();
  }
  while (true) {
    absl::StatusOr<std::vector<Batch>> read = environment_.journal.Read(head.key, after, kReadBytes);
    if (absl::IsUnavailable(read.status())) return read.status();
    // What is damaged or trimmed of a finished session is missing for its old request ids alone.
    if (!read.ok() || read->empty()) return newest;
    for (const Batch& batch : *read) {
      after = batch.id;
      Remember(log, batch);
      Step step = batch.first_step;
      for (const Record& record : batch.records) {
        log.deleting = record.operation == Operation::kDelete;
        if (log.deleting) {  // and it is not carried out yet
          const bool finished_it = head.last_outcome && head.last_outcome->step == step;
          log.NoteDelete(
              record.request_id, record.fingerprint,
              Reply{.step = step, .outcome = finished_it ? head.last_outcome->outcome : Outcome::Returned(Value())});
        }
        ++step;
      }
    }
  }
}

SessionPtr SessionFactory::FromCopy(const History::Copy& copy) {
  const Head& head = copy.stored.head;
  std::unique_ptr<SessionLog> log = NewLog(head);
  if (copy.stored.checkpoint) {
    log->tail = copy.stored.checkpoint->after;
    const Step checkpoint = Remember(*log, *copy.stored.checkpoint);
    log->MutableExtras().checkpoints = {checkpoint};
    log->MutableExtras().asked_checkpoint = checkpoint;
  }
  for (const Batch& batch : copy.stored.log) {
    log->tail = batch.id;
    Remember(*log, batch);
  }
  log->saved = true;
  log->saved_finished = head.state == CoroutineState::kClosed;
  const Definition* definition = &copy.replay->definition();
  return SessionPtr(new Session(KindOf(definition, head), head, copy.replay->TakeCoroutine(), std::move(log)));
}

}  // namespace corod
