#include "tests/simulation/simulated_journal.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/base/failure.h"

namespace corod {
namespace {

absl::Status Doubt() { return Doubtful(Reason::JOURNAL_UNAVAILABLE, "simulated"); }

std::string NameOfBatch(const BatchId& id) {
  return std::to_string(id.number) + "/" + std::to_string(id.writer % 1000);
}

}  // namespace

std::string Describe(const LogStore::Write& write) {
  std::string text = LogStore::IdOf(write);
  if (const auto* made = std::get_if<Journal::NewSession>(&write)) {
    return text + " create " + made->head.key.uid.substr(0, 8) + " steps " + std::to_string(made->head.steps) +
           " batches " + std::to_string(made->log.size()) + " replaces " + made->replaces.substr(0, 8);
  }
  if (const auto* append = std::get_if<LogStore::Append>(&write)) {
    text += " append " + append->key.uid.substr(0, 8) + " " + NameOfBatch(append->batch.id) + " behind " +
            NameOfBatch(append->batch.previous) + " from step " + std::to_string(append->batch.first_step) + ":";
    for (const Record& record : append->batch.records) {
      text += " " + std::to_string(static_cast<int>(record.operation)) + "(" + record.request_id + ")";
    }
    return text;
  }
  if (const auto* saved = std::get_if<Journal::Saved>(&write)) {
    return text + " save " + saved->head.key.uid.substr(0, 8) + " steps " + std::to_string(saved->head.steps) +
           (saved->checkpoint ? " checkpoint" : "") + (saved->synced ? " synced" : "");
  }
  if (const auto* trim = std::get_if<LogStore::Trim>(&write)) {
    text += " trim behind " + NameOfBatch(trim->checkpoint_after) + " checkpoints";
    for (const Step step : trim->checkpoints) text += " " + std::to_string(step);
    return text;
  }
  if (const auto* remove = std::get_if<LogStore::Remove>(&write))
    return text + " remove " + remove->key.uid.substr(0, 8);
  if (const auto* event = std::get_if<CatalogEvent>(&write)) {
    return text + " catalog " + std::to_string(event->revision) + ": " + event->name + " version " +
           std::to_string(event->version);
  }
  return text + " reschedule";
}

absl::Status Land(LogStore& store, LogStore::Write write, Fault fault) {
  if (fault == Fault::kRepeats) {
    if (auto* append = std::get_if<LogStore::Append>(&write)) {
      const auto found = store.reads().Find(append->key.id);
      const Life* life = store.Current(append->key.id);
      if (found.ok() && *found && life && (*found)->head.key == append->key) {
        append->batch.previous = (*found)->tail;
        append->batch.id.number = (*found)->tail.number + 1;
        append->batch.first_step = life->last() + 1;
        append->batch.digest = life->digests.back();
      }
    }
  }
  return store.Apply(write);
}

void SimulatedJournal::Ask(LogStore::Write write, Done done) {
  if (crashed_ && !done) return;
  Pending pending{std::move(write), std::move(done), std::nullopt};
  if (crashed_) pending.result = Doubt();
  const std::string id = LogStore::IdOf(pending.write);
  queues_[id].push_back(std::move(pending));
}

void SimulatedJournal::TakeEffect(Pending& pending) {
  if (pending.done && dice_.Percent(rates_.failing)) {
    const bool repeats = fault_ == Fault::kRepeats && std::holds_alternative<LogStore::Append>(pending.write);
    if (repeats) {  // "nothing was written"
      trace_("told void, lands later: " + Describe(pending.write));
      late_.push_back(pending.write);
      pending.result = absl::AbortedError("simulated");
      return;
    }
    pending.result = Doubt();
    if (dice_.Percent(rates_.landing)) {
      const absl::Status applied = store_.Apply(pending.write);
      trace_("fails and lands (" + std::string(applied.message()) + "): " + Describe(pending.write));
    } else if (!std::holds_alternative<Saved>(pending.write) && dice_.Percent(rates_.late)) {
      trace_("fails, may land later: " + Describe(pending.write));
      late_.push_back(pending.write);
    } else {
      trace_("fails: " + Describe(pending.write));
    }
    return;
  }
  pending.result = store_.Apply(pending.write);
  trace_((pending.result->ok() ? "takes effect: " : "conflict: ") + Describe(pending.write));
}

void SimulatedJournal::Advance() {
  if (queues_.empty()) return;
  auto queue = std::next(queues_.begin(), static_cast<std::ptrdiff_t>(dice_.Below(queues_.size())));
  std::deque<Pending>& writes = queue->second;
  const auto next = std::find_if(writes.begin(), writes.end(), [](const Pending& p) { return !p.result; });
  const bool early = fault_ == Fault::kReportsEarly && writes.front().done && !writes.front().result &&
                     std::holds_alternative<LogStore::Append>(writes.front().write);
  if (early) {
    trace_("is told to be done early: " + Describe(writes.front().write));
    const Done done = std::exchange(writes.front().done, nullptr);
    done(absl::OkStatus());
    return;
  }
  if (next != writes.end() && (next == writes.begin() || dice_.Percent(50))) {
    TakeEffect(*next);
    if (dice_.Percent(50)) return;
  }
  if (!writes.front().result) return;
  const Pending first = std::move(writes.front());
  writes.pop_front();
  if (writes.empty()) queues_.erase(queue);
  if (first.done) first.done(*first.result);
}

void SimulatedJournal::Crash() {
  crashed_ = true;
  for (auto& [id, writes] : queues_) {
    bool lands = true;
    for (Pending& pending : writes) {
      if (pending.result) {
        pending.result = Doubt();
        continue;
      }
      lands = lands && dice_.Percent(50);
      if (lands) {
        static_cast<void>(store_.Apply(pending.write));
        trace_("lands in the crash: " + Describe(pending.write));
      }
      pending.result = Doubt();
    }
    std::erase_if(writes, [](const Pending& p) { return !p.done; });
  }
  std::erase_if(queues_, [](const auto& queue) { return queue.second.empty(); });
}

void SimulatedJournal::Trim(const SessionKey& key, BatchId checkpoint_after, std::vector<Step> checkpoints) {
  if (fault_ == Fault::kTrimsTooFar && checkpoint_after != BatchId()) {
    const auto steps = store_.reads().ListCheckpoints(key);
    for (const Step step : *steps) {
      const auto found = store_.reads().FindCheckpoint(key, step);
      if (!found.ok() || !*found) continue;
      if ((*found)->after == checkpoint_after) checkpoints.push_back(step);
      if ((*found)->after.number > checkpoint_after.number) {
        checkpoint_after = (*found)->after;
        break;
      }
    }
  }
  Ask(LogStore::Trim{key, checkpoint_after, std::move(checkpoints)}, nullptr);
}

absl::Status SimulatedJournal::Unreadable() const { return readable_ && !crashed_ ? absl::OkStatus() : Doubt(); }

absl::StatusOr<std::optional<Journal::Stored>> SimulatedJournal::Find(std::string_view id) const {
  if (absl::Status status = Unreadable(); !status.ok()) return status;
  return store_.reads().Find(id);
}

absl::StatusOr<std::vector<Journal::Listed>> SimulatedJournal::List(std::string_view after, std::size_t limit) const {
  if (absl::Status status = Unreadable(); !status.ok()) return status;
  return store_.reads().List(after, limit);
}

absl::StatusOr<std::optional<Checkpoint>> SimulatedJournal::FindCheckpoint(const SessionKey& key, Step step) const {
  if (absl::Status status = Unreadable(); !status.ok()) return status;
  auto found = store_.reads().FindCheckpoint(key, step);
  if (fault_ == Fault::kForgetsIds && found.ok() && *found) (*found)->ids.clear();
  return found;
}

absl::StatusOr<std::vector<Step>> SimulatedJournal::ListCheckpoints(const SessionKey& key) const {
  if (absl::Status status = Unreadable(); !status.ok()) return status;
  return store_.reads().ListCheckpoints(key);
}

absl::StatusOr<std::vector<Batch>> SimulatedJournal::Read(const SessionKey& key, BatchId after,
                                                          std::size_t max_bytes) const {
  if (absl::Status status = Unreadable(); !status.ok()) return status;
  auto read = store_.reads().Read(key, after, max_bytes);
  if (fault_ == Fault::kForgetsIds && read.ok()) {
    for (Batch& batch : *read) {
      for (Record& record : batch.records) record.request_id.clear();
    }
  }
  return read;
}

absl::StatusOr<std::optional<Tombstone>> SimulatedJournal::FindTombstone(std::string_view id,
                                                                         std::string_view request_id) const {
  if (absl::Status status = Unreadable(); !status.ok()) return status;
  return store_.reads().FindTombstone(id, request_id);
}

absl::StatusOr<std::vector<CatalogEvent>> SimulatedJournal::ReadCatalog(std::uint64_t after_revision,
                                                                        std::size_t max_bytes) const {
  if (absl::Status status = Unreadable(); !status.ok()) return status;
  return store_.reads().ReadCatalog(after_revision, max_bytes);
}

absl::StatusOr<std::vector<Journal::Due>> SimulatedJournal::ListDue(absl::Time now, const std::optional<Due>& after,
                                                                    std::size_t limit) const {
  if (absl::Status status = Unreadable(); !status.ok()) return status;
  return store_.reads().ListDue(now, after, limit);
}

}  // namespace corod
