#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/journal/codec.h"
#include "server/journal/rocks_database.h"
#include "server/journal/rocks_journal.h"
#include "server/journal/rocks_keys.h"
#include "server/journal/rocks_lease.h"
#include "server/journal/rocks_range.h"
#include "server/journal/runs.h"
#include "server/journal/valid_batches.h"

namespace corod {
namespace {

namespace keys = rocks_keys;

absl::StatusOr<Journal::Stored> DescribeHead(const RocksDatabase& database, std::string_view bytes,
                                             const RocksDatabase::Moment& moment) {
  absl::StatusOr<Head> head = DecodeHead(bytes);
  if (!head.ok()) return head.status();
  absl::StatusOr<Tail> tail = moment.FindTail();
  if (absl::IsDataLoss(tail.status())) {  // whoever reads on finds the damage
    tail = SessionRange(database.db(), head->key.uid, moment.snapshot()).FindLastReadable();
    if (tail.ok()) tail->last_step = std::max(tail->last_step, head->steps) + 1;
  }
  if (!tail.ok()) return tail.status();
  return Journal::Stored{*std::move(head), tail->id, tail->last_step};
}

// Decodes a log, from one run after the other. What is in two of them counts once.
class LogReader {
 public:
  LogReader(BatchId after, std::size_t max_bytes) : after_(after), max_bytes_(max_bytes), last_number_(after.number) {}

  // False: it ends here, at what is damaged or since it is enough.
  bool Take(std::string_view run, std::uint64_t last_number) {
    for (RunReader reader(run, last_number); !ended_ && reader.Next();) {
      if (reader.number() <= last_number_) continue;
      ended_ = !TakeBatch(reader.batch());
      last_number_ = reader.number();
    }
    return !ended_;
  }
  bool HasEnded() const { return ended_; }
  // Of the first batch, if it cannot be given.
  const absl::Status& status() const { return status_; }
  const std::vector<Batch>& batches() const& { return batches_; }
  std::vector<Batch> batches() && { return std::move(batches_); }

 private:
  bool TakeBatch(std::string_view bytes) {
    if (!batches_.empty() && bytes_ + bytes.size() > max_bytes_) return false;
    bytes_ += bytes.size();
    absl::StatusOr<Batch> batch = DecodeBatch(bytes);
    if (batch.ok() && !valid_) {
      if (after_ != BatchId() && batch->previous.number > after_.number) {
        batch = absl::OutOfRangeError("that part of the log was trimmed away");
      } else {
        valid_.emplace(after_ == BatchId() ? batch->previous : after_);
      }
    }
    if (!batch.ok()) {
      if (batches_.empty()) status_ = batch.status();
      return false;
    }
    if (valid_->Take(*batch)) batches_.push_back(*std::move(batch));
    return true;
  }

  const BatchId after_;
  const std::size_t max_bytes_;
  std::uint64_t last_number_;
  std::size_t bytes_ = 0;
  bool ended_ = false;
  absl::Status status_;
  std::vector<Batch> batches_;
  std::optional<ValidBatches> valid_;
};

absl::Status DamagedCatalog(std::uint64_t revision, absl::string_view why) {
  return absl::DataLossError(absl::StrCat("the catalog event of revision ", revision, " cannot be read: ", why));
}

// The session with that id. `head`: what stands there, or has stood there a moment ago.
absl::StatusOr<std::optional<Journal::Stored>> Describe(const RocksDatabase& database, std::string_view id,
                                                        std::string head) {
  while (true) {
    const absl::StatusOr<Head> decoded = DecodeHead(head);
    if (!decoded.ok()) return decoded.status();
    const RocksDatabase::Moment moment(database, decoded->key.uid);
    rocksdb::ReadOptions options;
    options.snapshot = moment.snapshot();
    std::string current;
    const rocksdb::Status found = database.db().Get(options, ToSlice(keys::HeadKey(id)), &current);
    if (found.IsNotFound()) return std::optional<Journal::Stored>();
    if (!found.ok()) return FailedRead(found);
    const bool is_same = current == head || [&] {
      const absl::StatusOr<Head> now = DecodeHead(current);
      return now.ok() && now->key.uid == decoded->key.uid;
    }();
    head = std::move(current);
    if (!is_same) continue;  // another session has come in its place
    absl::StatusOr<Journal::Stored> stored = DescribeHead(database, head, moment);
    if (!stored.ok()) return stored.status();
    return std::optional<Journal::Stored>(*std::move(stored));
  }
}

}  // namespace

absl::StatusOr<std::optional<Journal::Stored>> RocksJournal::Find(std::string_view id) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  std::string head;
  const rocksdb::Status found = database->db().Get(rocksdb::ReadOptions(), ToSlice(keys::HeadKey(id)), &head);
  if (found.IsNotFound()) return std::optional<Stored>();
  if (!found.ok()) return FailedRead(found);
  return Describe(*database, id, std::move(head));
}

absl::StatusOr<std::vector<Journal::Listed>> RocksJournal::List(std::string_view after, std::size_t limit) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  Range heads(database->db(), keys::HeadKey(after) + '\0', std::string(keys::kHeadsEnd));
  std::vector<Listed> listed;
  for (heads.SeekToFirst(); heads.Valid() && listed.size() < limit; heads.Next()) {
    std::string id(keys::IdInHeadKey(heads.key()));
    absl::StatusOr<std::optional<Stored>> stored = Describe(*database, id, std::string(heads.value()));
    if (!stored.ok()) {
      listed.push_back({std::move(id), stored.status()});
    } else if (*stored) {  // else it was removed meanwhile
      listed.push_back({std::move(id), **std::move(stored)});
    }
  }
  if (absl::Status status = heads.status(); !status.ok()) return status;
  return listed;
}

absl::StatusOr<std::optional<Checkpoint>> RocksJournal::FindCheckpoint(const SessionKey& key, Step step) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  SessionRange range(database->db(), key.uid);
  absl::Status damage;
  if (range.IsLifeOf(key.id)) {
    for (range.SeekForPrev(keys::CheckpointKey(key.uid, step)); range.AtCheckpoint(); range.Prev()) {
      absl::StatusOr<Checkpoint> checkpoint = DecodeCheckpoint(range.value());
      if (checkpoint.ok()) return std::optional<Checkpoint>(*std::move(checkpoint));
      if (damage.ok()) damage = checkpoint.status();
    }
  }
  if (absl::Status status = range.status(); !status.ok()) return status;
  if (!damage.ok()) return damage;
  return std::optional<Checkpoint>();
}

absl::StatusOr<std::vector<Step>> RocksJournal::ListCheckpoints(const SessionKey& key) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  SessionRange range(database->db(), key.uid);
  std::vector<Step> steps;
  if (range.IsLifeOf(key.id)) {
    for (range.Seek(keys::CheckpointKey(key.uid, 0)); range.AtCheckpoint(); range.Next()) {
      steps.push_back(keys::NumberIn(range.key()));
    }
  }
  if (absl::Status status = range.status(); !status.ok()) return status;
  return steps;
}

absl::StatusOr<std::vector<Batch>> RocksJournal::Read(const SessionKey& key, BatchId after,
                                                      std::size_t max_bytes) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  // First what is not settled: a batch that is settled meanwhile is found in RocksDB as well as here, never in neither.
  std::string unsettled;
  database->unsettled().Read(CompactText::Key(key.uid), after.number, max_bytes, unsettled);
  LogReader log(after, max_bytes);
  SessionRange range(database->db(), key.uid);
  if (!range.IsLifeOf(key.id)) {
    if (absl::Status status = range.status(); !status.ok()) return status;
    return std::vector<Batch>();
  }
  range.Seek(keys::BatchKey(key.uid, after.number + 1));
  while (range.AtRun() && log.Take(range.value(), keys::NumberIn(range.key()))) range.Next();
  if (absl::Status status = range.status(); !status.ok() && !log.HasEnded()) {
    if (log.batches().empty()) return status;
    return std::move(log).batches();
  }
  log.Take(unsettled, std::numeric_limits<std::uint64_t>::max());
  if (!log.status().ok()) return log.status();
  return std::move(log).batches();
}

absl::StatusOr<std::optional<Tombstone>> RocksJournal::FindTombstone(std::string_view id,
                                                                     std::string_view request_id) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  std::string bytes;
  const rocksdb::Status found = database->db().Get(rocksdb::ReadOptions(), keys::TombstoneKey(id, request_id), &bytes);
  if (found.IsNotFound()) return std::optional<Tombstone>();
  if (!found.ok()) return FailedRead(found);
  absl::StatusOr<Tombstone> tombstone = DecodeTombstone(bytes, request_id);
  if (!tombstone.ok()) return tombstone.status();
  return std::optional<Tombstone>(*std::move(tombstone));
}

absl::StatusOr<std::vector<CatalogEvent>> RocksJournal::ReadCatalog(std::uint64_t after_revision,
                                                                    std::size_t max_bytes) const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  Range range(database->db(), keys::CatalogKey(after_revision) + '\0', std::string(keys::kCatalogEnd));
  std::vector<CatalogEvent> events;
  std::size_t bytes = 0;
  std::uint64_t next = after_revision + 1;
  for (range.SeekToFirst(); range.Valid(); range.Next(), ++next) {
    bytes += range.value().size();
    if (!events.empty() && bytes > max_bytes) return events;
    absl::StatusOr<CatalogEvent> event = range.key() == keys::CatalogKey(next) ? DecodeCatalogEvent(range.value(), next)
                                                                               : DamagedCatalog(next, "it is missing");
    if (!event.ok() && events.empty()) return event.status();
    if (!event.ok()) return events;
    events.push_back(*std::move(event));
  }
  const absl::Status status = range.status();
  if (status.ok() || !events.empty()) return events;
  return absl::IsDataLoss(status) ? DamagedCatalog(next, status.message()) : status;
}

absl::StatusOr<std::vector<Journal::Due>> RocksJournal::ListDue(absl::Time now, const std::optional<Due>& after,
                                                                std::size_t limit) const {
  ExpireTombstones(now);
  const Lease database(*this);
  if (!database) return Lease::Missing();
  std::string from(keys::kDues);
  {
    const MutexLock lock(index_mutex_);
    from = std::max(from, dues_.key);
  }
  if (after) from = std::max(from, keys::DueKey(after->time, after->id) + '\0');
  Range range(database->db(), from, std::string(keys::kDuesEnd));
  std::vector<Due> entries;
  for (range.SeekToFirst(); range.Valid() && entries.size() < limit; range.Next()) {
    Due due = keys::ParseDueKey(range.key());
    if (due.time > now) break;
    entries.push_back(std::move(due));
  }
  if (absl::Status status = range.status(); !status.ok()) return status;
  return entries;
}

absl::Time RocksJournal::EarliestDue() const {
  std::string from;
  std::uint64_t changes = 0;
  {
    const MutexLock lock(index_mutex_);
    if (dues_.earliest) return *dues_.earliest;
    from = dues_.key.empty() ? std::string(keys::kDues) : dues_.key;
    changes = index_changes_;
  }
  const Lease database(*this);
  if (!database) return absl::InfinitePast();
  Range range(database->db(), from, std::string(keys::kDuesEnd));
  range.SeekToFirst();
  if (!range.status().ok()) return absl::InfinitePast();
  const std::string first(range.Valid() ? range.key() : keys::kDuesEnd);
  const absl::Time earliest = range.Valid() ? keys::ParseDueKey(first).time : absl::InfiniteFuture();
  const MutexLock lock(index_mutex_);
  if (changes == index_changes_) dues_ = {first, earliest};
  return earliest;
}

}  // namespace corod
