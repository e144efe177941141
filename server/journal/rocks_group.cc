#include "server/journal/rocks_group.h"

#include <rocksdb/db.h>

#include "server/journal/codec.h"
#include "server/journal/rocks_keys.h"
#include "server/journal/rocks_range.h"

namespace corod {
namespace {

namespace keys = rocks_keys;

constexpr std::size_t kMaxLives = 32'768;

}  // namespace

RocksJournal::Group::Group(const RocksDatabase& database, Lives& lives, std::optional<std::uint64_t>& catalog_revision,
                           LogEntries& entries, std::uint64_t sessions)
    : database_(database), lives_(lives), catalog_revision_(catalog_revision), entries_(entries), sessions_(sessions) {
  if (lives_.size() > kMaxLives) lives_.clear();
}

void RocksJournal::Group::AddLife(const SessionKey& key, BatchId tail) {
  Life& life = Keep(CompactText(key.uid));
  life.is_there = true;
  life.id = CompactText(key.id);
  life.tail = tail;
  life.trimmed = 0;
}

absl::StatusOr<bool> RocksJournal::Group::Stands(const SessionKey& key) {
  if (const auto found = lives_.find(CompactText::Key(key.uid)); found != lives_.end()) {
    return found->life.is_there && found->life.id == key.id;
  }
  std::string id;
  const rocksdb::Status status = database_.db().Get(rocksdb::ReadOptions(), keys::LifeKey(key.uid), &id);
  if (!status.ok() && !status.IsNotFound()) return FailedRead(status);
  return status.ok() && id == key.id;
}

absl::StatusOr<bool> RocksJournal::Group::IsTaken(const std::string& id) {
  if (const auto found = taken_.find(id); found != taken_.end()) return found->second;
  rocksdb::PinnableSlice head;
  const rocksdb::Status status =
      database_.db().Get(rocksdb::ReadOptions(), database_.db().DefaultColumnFamily(), keys::HeadKey(id), &head);
  if (!status.ok() && !status.IsNotFound()) return FailedRead(status);
  return status.ok();
}

bool RocksJournal::Group::HasReadableHead(const std::string& id) {
  if (taken_.contains(id)) return true;  // written in this group
  std::string head;
  return database_.db().Get(rocksdb::ReadOptions(), keys::HeadKey(id), &head).ok() && DecodeHead(head).ok();
}

void RocksJournal::Group::SetTaken(const std::string& id, bool taken) {
  taken_[id] = taken;
  sessions_ = taken ? sessions_ + 1 : sessions_ - 1;
  if (const std::string_view prefix = PrefixIn(id); !prefix.empty()) prefixed_[std::string(prefix)] += taken ? 1 : -1;
  sessions_changed_ = true;
}

absl::StatusOr<std::uint64_t> RocksJournal::Group::FindCatalogRevision() {
  if (catalog_revision_) return *catalog_revision_;
  Range events(database_.db(), std::string(keys::kCatalog), std::string(keys::kCatalogEnd));
  events.SeekToLast();
  if (absl::Status status = events.status(); !status.ok()) return status;
  std::uint64_t last = 0;
  if (events.Valid()) {
    last = keys::NumberIn(events.key());
    const absl::StatusOr<CatalogEvent> event = DecodeCatalogEvent(events.value(), last);
    if (!event.ok()) return event.status();
  }
  catalog_revision_ = last;
  return last;
}

void RocksJournal::Group::AddCatalogEvent(std::uint64_t revision, std::string_view event) {
  Put(keys::CatalogKey(revision), event);
  catalog_revision_ = revision;
}

void RocksJournal::Group::AddDue(const std::string& id, std::optional<absl::Time> time) {
  if (!time || *time == absl::InfiniteFuture()) return;
  std::string key = keys::DueKey(*time, id);
  Put(key, "");
  dues_added.push_back(std::move(key));
}

bool RocksJournal::Group::AddsTombstone(std::string_view key) const {
  return std::any_of(expiries_added.begin(), expiries_added.end(),
                     [key](const std::string& expiry) { return keys::TombstoneInExpiryKey(expiry) == key; });
}

const LogEntries& RocksJournal::Group::Finish() {
  if (sessions_changed_) Put(keys::kSessionCount, keys::EncodeCount(sessions_));
  return entries_;
}

absl::StatusOr<RocksJournal::Life*> RocksJournal::Group::ReadLife(const std::string& uid) {
  std::string id;
  const rocksdb::Status status = database_.db().Get(rocksdb::ReadOptions(), keys::LifeKey(uid), &id);
  if (!status.ok() && !status.IsNotFound()) return FailedRead(status);
  absl::StatusOr<Tail> tail = Tail{};
  if (status.ok()) tail = RocksDatabase::Moment(database_, uid).FindTail();
  if (!tail.ok()) return tail.status();
  Life& life = Keep(CompactText(uid));
  life.is_there = status.ok();
  if (status.ok()) life.id = CompactText(id);
  life.tail = tail->id;
  return &life;
}

}  // namespace corod
