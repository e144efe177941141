#include <algorithm>
#include <optional>
#include <utility>

#include "server/journal/codec.h"
#include "server/journal/rocks_database.h"
#include "server/journal/rocks_group.h"
#include "server/journal/rocks_journal.h"
#include "server/journal/rocks_keys.h"
#include "server/journal/rocks_range.h"

// What each write but an append does in its group.

namespace corod {
namespace {

namespace keys = rocks_keys;

// Keys that one write in a group deletes of what nobody waits for.
constexpr std::size_t kMaxDeletes = 1'024;

}  // namespace

void RocksJournal::Create(NewSession session, Done done) {
  struct Encoded {
    SessionKey key;
    std::string replaces;
    std::string head;
    std::string checkpoint_key;  // empty: none
    std::string checkpoint;
    std::vector<std::pair<std::uint64_t, std::string>> log;  // numbers and batches
    BatchId tail;
    std::optional<absl::Time> due;
  };
  Encoded encoded{session.head.key, session.replaces, Encode(session.head), {}, {}, {}, {}, session.due};
  std::size_t bytes = encoded.head.size();
  if (session.checkpoint) {
    encoded.tail = session.checkpoint->after;
    encoded.checkpoint_key = keys::CheckpointKey(encoded.key.uid, session.checkpoint->step);
    encoded.checkpoint = Encode(*session.checkpoint);
    bytes += encoded.checkpoint.size();
  }
  for (const Batch& batch : session.log) {
    encoded.tail = batch.id;
    encoded.log.emplace_back(batch.id.number, Encode(batch));
    bytes += encoded.log.back().second.size();
  }
  auto apply = [this, encoded = std::move(encoded)](Group& group) -> absl::Status {
    const absl::StatusOr<bool> taken = group.IsTaken(encoded.key.id);
    if (!taken.ok()) return taken.status();
    if (*taken == encoded.replaces.empty()) return Conflict("the session id stands for another");
    if (*taken) {
      const absl::StatusOr<bool> replaces = group.Stands({encoded.key.id, encoded.replaces});
      if (!replaces.ok()) return replaces.status();
      if (!*replaces) return Conflict("the session id stands for another");
      RemoveLife(group, {encoded.key.id, encoded.replaces});
    }
    group.SetTaken(encoded.key.id, true);
    group.Put(keys::HeadKey(encoded.key.id), encoded.head);
    group.Put(keys::LifeKey(encoded.key.uid), encoded.key.id);
    if (!encoded.checkpoint_key.empty()) group.Put(encoded.checkpoint_key, encoded.checkpoint);
    if (!encoded.log.empty()) {
      const CompactText uid(encoded.key.uid);
      for (const auto& [number, batch] : encoded.log) group.AddBatch(uid, number, batch);
    }
    group.AddLife(encoded.key, encoded.tail);
    group.AddDue(encoded.key.id, encoded.due);
    return absl::OkStatus();
  };
  Enqueue(std::move(apply), std::move(done), /*synced=*/true, bytes);
}

void RocksJournal::Save(Saved saved, Done done) {
  std::string head = Encode(saved.head);
  std::string checkpoint = saved.checkpoint ? Encode(*saved.checkpoint) : std::string();
  const std::size_t size = head.size() + checkpoint.size();
  auto apply = [key = saved.head.key, due = saved.due, step = saved.checkpoint ? saved.checkpoint->step : 0,
                head = std::move(head), checkpoint = std::move(checkpoint)](Group& group) -> absl::Status {
    const absl::StatusOr<bool> there = group.Stands(key);
    if (!there.ok()) return there.status();
    if (!*there) return absl::OkStatus();
    group.Put(keys::HeadKey(key.id), head);
    if (!checkpoint.empty()) group.Put(keys::CheckpointKey(key.uid, step), checkpoint);
    group.AddDue(key.id, due);
    return absl::OkStatus();
  };
  Enqueue(std::move(apply), std::move(done), saved.synced, size);
}

void RocksJournal::Trim(const SessionKey& key, BatchId checkpoint_after, std::vector<Step> checkpoints) {
  auto apply = [this, key, checkpoint_after, checkpoints = std::move(checkpoints)](Group& group) -> absl::Status {
    const RocksDatabase& database = group.database();
    const absl::StatusOr<Life*> life = group.FindLife(key.uid);
    if (!life.ok()) return life.status();
    if (!(*life)->is_there || !((*life)->id == key.id)) return absl::OkStatus();
    for (const Step step : checkpoints) group.Delete(keys::CheckpointKey(key.uid, step));
    if (checkpoint_after.number <= (*life)->trimmed) return absl::OkStatus();
    group.TrimUnsettled(key.uid, checkpoint_after.number);
    SessionRange range(database.db(), key.uid);
    std::size_t deleted = 0;
    // A run goes when its last batch may go.
    range.Seek(keys::BatchKey(key.uid, (*life)->trimmed));
    for (; range.AtRun() && keys::NumberIn(range.key()) < checkpoint_after.number; range.Next()) {
      if (deleted++ == kMaxDeletes) {
        (*life)->trimmed = keys::NumberIn(range.key());
        group.Continue([this, key, checkpoint_after](Group&) {
          Trim(key, checkpoint_after, {});
          return absl::OkStatus();
        });
        return absl::OkStatus();
      }
      group.Delete(range.key());
    }
    if (absl::Status status = range.status(); !status.ok()) return status;
    (*life)->trimmed = checkpoint_after.number;
    return absl::OkStatus();
  };
  Enqueue(std::move(apply));
}

void RocksJournal::Remove(const SessionKey& key, std::optional<Tombstone> tombstone, Done done) {
  std::string tombstone_key, expiry_key, bytes;
  if (tombstone) {
    tombstone_key = keys::TombstoneKey(key.id, tombstone->request_id);
    expiry_key = keys::ExpiryKey(tombstone->expire_time, tombstone_key);
    bytes = Encode(*tombstone);
  }
  const std::size_t size = bytes.size();
  auto apply = [this, key, tombstone_key = std::move(tombstone_key), expiry_key = std::move(expiry_key),
                bytes = std::move(bytes)](Group& group) -> absl::Status {
    if (key.uid.empty()) {
      const absl::StatusOr<bool> taken = group.IsTaken(key.id);
      if (!taken.ok() && !absl::IsDataLoss(taken.status())) return taken.status();
      if (taken.ok() && !*taken) return absl::OkStatus();
      if (taken.ok() && group.HasReadableHead(key.id)) return Conflict("the session can be read");
      group.Delete(keys::HeadKey(key.id));
      group.SetTaken(key.id, false);
    } else {
      const absl::StatusOr<bool> there = group.Stands(key);
      if (!there.ok()) return there.status();
      if (*there) RemoveLife(group, key);
    }
    if (!bytes.empty()) {
      group.Put(tombstone_key, bytes);
      group.Put(expiry_key, "");
      group.expiries_added.push_back(expiry_key);
    }
    return absl::OkStatus();
  };
  Enqueue(std::move(apply), std::move(done), /*synced=*/true, size);
}

void RocksJournal::Define(CatalogEvent event, Done done) {
  std::string bytes = Encode(event);
  const std::size_t size = bytes.size();
  auto apply = [revision = event.revision, bytes = std::move(bytes)](Group& group) -> absl::Status {
    const absl::StatusOr<std::uint64_t> last = group.FindCatalogRevision();
    if (!last.ok()) return last.status();
    if (revision != *last + 1) return Conflict("the catalog is at another revision");
    group.AddCatalogEvent(revision, bytes);
    return absl::OkStatus();
  };
  Enqueue(std::move(apply), std::move(done), /*synced=*/true, size);
}

void RocksJournal::RemoveLife(Group& group, const SessionKey& key) {
  group.Delete(keys::HeadKey(key.id));
  group.Delete(keys::LifeKey(key.uid));
  group.Put(keys::GarbageKey(key.uid), "");
  group.DropUnsettled(key.uid);
  group.DropLife(key.uid);
  group.SetTaken(key.id, false);
  group.Continue(CleaningUp(key.uid));
}

RocksJournal::Apply RocksJournal::CleaningUp(std::string uid) const {
  return [this, uid = std::move(uid)](Group& group) -> absl::Status {
    const RocksDatabase& database = group.database();
    SessionRange range(database.db(), uid);
    std::size_t deleted = 0;
    for (range.SeekToFirst(); range.Valid() && deleted < kMaxDeletes; range.Next(), ++deleted) {
      group.Delete(range.key());
    }
    if (absl::Status status = range.status(); !status.ok()) return status;
    if (range.Valid()) {
      group.Continue(CleaningUp(uid));
    } else {
      group.Delete(keys::GarbageKey(uid));
    }
    return absl::OkStatus();
  };
}

void RocksJournal::ExpireTombstones(absl::Time now) const {
  {
    const MutexLock lock(index_mutex_);
    if (expiring_ || !expiries_.earliest || *expiries_.earliest > now) return;
    expiring_ = true;
  }
  auto apply = [this, now](Group& group) -> absl::Status {
    const RocksDatabase& database = group.database();
    std::string from;
    {
      const MutexLock lock(index_mutex_);
      from = expiries_.key;
    }
    Range range(database.db(), from, std::string(keys::kExpiriesEnd));
    std::size_t deleted = 0;
    for (range.SeekToFirst(); range.Valid() && deleted < kMaxDeletes; range.Next(), ++deleted) {
      if (keys::TimeInExpiryKey(range.key()) > now) break;
      const std::string tombstone(keys::TombstoneInExpiryKey(range.key()));
      group.Delete(range.key());
      // Unless a later Delete with the same request id left another one, maybe in this group.
      if (group.AddsTombstone(tombstone)) continue;
      std::string bytes;
      if (database.db().Get(rocksdb::ReadOptions(), tombstone, &bytes).ok()) {
        const absl::StatusOr<Tombstone> current = DecodeTombstone(bytes, "");
        if (!current.ok() || current->expire_time <= now) group.Delete(tombstone);
      }
    }
    const absl::Status status = range.status();
    group.expiries = status.ok() && range.Valid() ? Front{std::string(range.key()), keys::TimeInExpiryKey(range.key())}
                                                  : Front{from, status.ok() ? absl::InfiniteFuture() : now};
    return status;
  };
  Enqueue(std::move(apply));
}

void RocksJournal::Reschedule(const Due& entry, std::optional<absl::Time> next) {
  auto apply = [entry, next](Group& group) {
    group.Delete(keys::DueKey(entry.time, entry.id));
    group.due_removed = std::min(group.due_removed.value_or(entry.time), entry.time);
    group.AddDue(entry.id, next);
    return absl::OkStatus();
  };
  Enqueue(std::move(apply));
}

void RocksJournal::NoteIndexChanges(const Group& group) {
  if (group.dues_added.empty() && !group.due_removed && group.expiries_added.empty() && !group.expiries) return;
  const MutexLock lock(index_mutex_);
  ++index_changes_;
  if (group.due_removed && dues_.earliest && *group.due_removed <= *dues_.earliest) dues_.earliest.reset();
  for (const std::string& key : group.dues_added) {
    const absl::Time time = keys::ParseDueKey(key).time;
    if (dues_.earliest) dues_.earliest = std::min(*dues_.earliest, time);
    if (key < dues_.key) dues_.key = key;
  }
  if (group.expiries) {
    expiries_ = *group.expiries;
    expiring_ = false;
  }
  for (const std::string& key : group.expiries_added) {
    expiries_.earliest = std::min(*expiries_.earliest, keys::TimeInExpiryKey(key));
    if (key < expiries_.key) expiries_.key = key;
  }
}

}  // namespace corod
