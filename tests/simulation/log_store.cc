#include "tests/simulation/log_store.h"

#include <set>

#include "server/session/execution.h"

namespace corod {

const std::string& LogStore::IdOf(const Write& write) {
  if (const auto* made = std::get_if<Journal::NewSession>(&write)) return made->head.key.id;
  if (const auto* append = std::get_if<Append>(&write)) return append->key.id;
  if (const auto* saved = std::get_if<Journal::Saved>(&write)) return saved->head.key.id;
  if (const auto* trim = std::get_if<Trim>(&write)) return trim->key.id;
  if (const auto* remove = std::get_if<Remove>(&write)) return remove->key.id;
  static const std::string kCatalog;
  if (std::holds_alternative<CatalogEvent>(write)) return kCatalog;
  return std::get<Reschedule>(write).entry.id;
}

bool LogStore::IsLazy(const Write& write) {
  if (const auto* saved = std::get_if<Journal::Saved>(&write)) return !saved->synced;
  return std::holds_alternative<Trim>(write) || std::holds_alternative<Reschedule>(write);
}

absl::Status LogStore::ApplyTo(MemoryJournal& memory, AtOnce& executor, const Write& write) {
  absl::Status status;
  const auto done = [&status](const absl::Status& result) { status = result; };
  if (const auto* made = std::get_if<Journal::NewSession>(&write)) {
    memory.Create(*made, done);
  } else if (const auto* append = std::get_if<Append>(&write)) {
    memory.Append(append->key, append->batch, append->due, done);
  } else if (const auto* saved = std::get_if<Journal::Saved>(&write)) {
    memory.Save(*saved, done);
  } else if (const auto* trim = std::get_if<Trim>(&write)) {
    memory.Trim(trim->key, trim->checkpoint_after, trim->checkpoints);
  } else if (const auto* remove = std::get_if<Remove>(&write)) {
    memory.Remove(remove->key, remove->tombstone, done);
  } else if (const auto* event = std::get_if<CatalogEvent>(&write)) {
    memory.Define(*event, done);
  } else {
    const auto& reschedule = std::get<Reschedule>(write);
    memory.Reschedule(reschedule.entry, reschedule.next);
  }
  executor.RunAll();
  return status;
}

absl::Status LogStore::Apply(const Write& write) {
  const Life* before = Current(IdOf(write));
  const std::string old_uid = before ? before->key.uid : std::string();
  absl::Status status = ApplyTo(*memory_, executor_, write);
  if (!status.ok()) return status;
  writes_.push_back(write);
  if (const auto* made = std::get_if<Journal::NewSession>(&write)) {
    if (!old_uid.empty()) lives_.at(old_uid).removed = true;
    NoteCreate(*made);
  } else if (const auto* append = std::get_if<Append>(&write)) {
    NoteRecords(lives_.at(append->key.uid), append->batch);
  } else if (const auto* event = std::get_if<CatalogEvent>(&write)) {
    if (learns_) learns_(*event);
  } else if (const auto* remove = std::get_if<Remove>(&write)) {
    if (old_uid == remove->key.uid) lives_.at(old_uid).removed = true;
  } else if (const auto* saved = std::get_if<Journal::Saved>(&write); saved && saved->head.key.uid == old_uid) {
    const Life& life = lives_.at(old_uid);
    const Head& head = saved->head;
    if (head.problem) complain_("a head with a problem was saved: " + head.problem->message);
    if (head.steps + 1 < life.first || head.steps > life.last()) {
      complain_("a head was saved whose step " + std::to_string(head.steps) + " is not in the log");
    } else if (head.digest != life.digest(head.steps)) {
      complain_("a head was saved whose digest is not that of its step " + std::to_string(head.steps));
    }
    if (const std::optional<Checkpoint>& checkpoint = saved->checkpoint) {
      if (!life.Has(checkpoint->step) || life.digest(checkpoint->step) != checkpoint->digest) {
        complain_("a checkpoint was saved that is not of its step " + std::to_string(checkpoint->step));
      }
    }
  }
  return status;
}

void LogStore::NoteCreate(const Journal::NewSession& made) {
  Life& life = lives_[made.head.key.uid];
  life.key = made.head.key;
  life.labels = made.head.labels;
  life.create_request_id = made.head.create_request_id;
  life.definition = catalog_.Find(made.head.coroutine, made.head.version);
  life.seed = made.head.seed;
  life.base = made.head.steps;
  std::vector<Value> arguments;
  for (const Value& argument : made.head.arguments) arguments.push_back(Snapshot(argument));
  if (made.checkpoint) {
    life.first = made.checkpoint->step + 1;
    life.digests.push_back(made.checkpoint->digest);
    std::variant<Coroutine, Exception> restarted =
        life.definition->Restart(std::move(arguments), made.checkpoint->state, made.head.catalog_revision);
    if (const auto* why = std::get_if<Exception>(&restarted)) {
      complain_("a fork cannot be restarted: " + why->message());
      return;
    }
    life.coroutine = std::get<Coroutine>(std::move(restarted));
    life.state = life.coroutine.state();
  } else {
    life.coroutine = life.definition->create(std::move(arguments), made.head.catalog_revision);
    life.digests.push_back(0);
  }
  for (const Batch& batch : made.log) NoteRecords(life, batch);
}

void LogStore::NoteRecords(Life& life, const Batch& batch) {
  if (batch.first_step != life.last() + 1) complain_("a batch begins with step " + std::to_string(batch.first_step));
  if (batch.digest != life.digests.back()) complain_("a batch has a digest that is not that of the steps before it");
  for (const Record& record : batch.records) {
    StepInput input{.operation = record.operation,
                    .cause = record.cause,
                    .force = record.force,
                    .value = Snapshot(record.value),
                    .step = life.last() + 1,
                    .time = record.time,
                    .seed = life.seed};
    StepResult result = Execute(*life.definition, limits_, std::move(input), life.coroutine);
    life.state = life.coroutine.state();
    if (life.state == CoroutineState::kClosed) life.coroutine = Coroutine();
    life.digests.push_back(ExtendDigest(life.digests.back(), result.outcome));
    life.records.push_back(record);
    life.outcomes.push_back(std::move(result.outcome));
  }
}

void LogStore::LoseUnsynced(const std::function<bool()>& keeps) {
  std::map<std::string, std::vector<std::size_t>> lazy;
  for (std::size_t i = 0; i < writes_.size(); ++i) {
    std::vector<std::size_t>& of = lazy[IdOf(writes_[i])];
    if (IsLazy(writes_[i])) {
      of.push_back(i);
    } else if (!std::holds_alternative<Append>(writes_[i])) {
      of.clear();
    }
  }
  std::set<std::size_t> lost;
  for (const auto& [id, writes] : lazy) {
    bool kept = true;
    for (const std::size_t i : writes) {
      kept = kept && keeps();
      if (!kept) lost.insert(i);
    }
  }
  if (lost.empty()) return;
  std::vector<Write> left;
  for (std::size_t i = 0; i < writes_.size(); ++i) {
    if (!lost.contains(i)) left.push_back(std::move(writes_[i]));
  }
  writes_ = std::move(left);
  memory_ = NewMemory();
  for (const Write& write : writes_) static_cast<void>(ApplyTo(*memory_, executor_, write));
}

const Life* LogStore::Current(std::string_view id) const {
  const auto found = memory_->Find(id);
  if (!found.ok() || !*found) return nullptr;
  const auto life = lives_.find((*found)->head.key.uid);
  return life == lives_.end() ? nullptr : &life->second;
}

}  // namespace corod
