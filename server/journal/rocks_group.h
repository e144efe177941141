#ifndef COROD_SERVER_JOURNAL_ROCKS_GROUP_H_
#define COROD_SERVER_JOURNAL_ROCKS_GROUP_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/compact_text.h"
#include "server/journal/log_entries.h"
#include "server/journal/record.h"
#include "server/journal/rocks_database.h"
#include "server/journal/rocks_journal.h"

namespace corod {

// Why a write of a group is not done: what it builds on is not there.
inline absl::Status Conflict(absl::string_view why) { return absl::AbortedError(why); }

// Writes that are written together, as they come to be: each is compared with what is there, and with those before it
// in the group. Of the thread that writes.
class RocksJournal::Group {
 public:
  // `catalog_revision`: unset if it is not known. `entries`: where they are gathered.
  Group(const RocksDatabase& database, Lives& lives, std::optional<std::uint64_t>& catalog_revision,
        LogEntries& entries, std::uint64_t sessions);

  const RocksDatabase& database() const { return database_; }

  void Put(std::string_view key, std::string_view value) { entries_.Put(key, value); }
  void Delete(std::string_view key) { entries_.Delete(key); }
  void AddBatch(const CompactText& uid, std::uint64_t number, std::string_view batch) {
    entries_.AddBatch(uid, number, batch);
  }
  void AddEntry(std::string_view entry) { entries_.AddBatchEntry(entry); }
  void TrimUnsettled(std::string_view uid, std::uint64_t number) { entries_.Trim(CompactText(uid), number); }
  void DropUnsettled(std::string_view uid) { entries_.Drop(CompactText(uid)); }

  // Stays until another one is looked for. With the writes of this group.
  absl::StatusOr<Life*> FindLife(const std::string& uid) {
    if (const auto found = lives_.find(CompactText::Key(uid)); found != lives_.end()) return &found->life;
    return ReadLife(uid);
  }
  absl::StatusOr<Life*> FindLife(const CompactText& uid) {
    if (const auto found = lives_.find(uid.key()); found != lives_.end()) return &found->life;
    return ReadLife(uid.str());
  }
  void PrefetchLife(const CompactText& uid) const { lives_.prefetch(uid.key()); }
  void AddLife(const SessionKey& key, BatchId tail);
  void DropLife(const std::string& uid) { Keep(CompactText(uid)).is_there = false; }

  // Whether the id stands for that life. With the writes of this group.
  absl::StatusOr<bool> Stands(const SessionKey& key);
  // Whether a session has this id. With the writes of this group.
  absl::StatusOr<bool> IsTaken(const std::string& id);
  // REQUIRES: the id is taken.
  bool HasReadableHead(const std::string& id);
  void SetTaken(const std::string& id, bool taken);

  // The last one there is. With the writes of this group.
  absl::StatusOr<std::uint64_t> FindCatalogRevision();
  // REQUIRES: FindCatalogRevision was asked; `revision` is the next one.
  void AddCatalogEvent(std::uint64_t revision, std::string_view event);

  void AddDue(const std::string& id, std::optional<absl::Time> time);
  bool AddsTombstone(std::string_view key) const;

  // Another write, after those that wait now.
  void Continue(Apply apply) { more.push_back(std::move(apply)); }

  // What is to be done.
  const LogEntries& Finish();
  std::uint64_t sessions() const { return sessions_; }
  // How many more there are of each prefix, but for the empty one.
  const SessionCounts::Counts& prefixed() const { return prefixed_; }

  // What the indices have after it.
  std::vector<std::string> dues_added;
  std::optional<absl::Time> due_removed;  // the earliest
  std::vector<std::string> expiries_added;
  std::optional<Front> expiries;  // what an expiry left
  std::vector<Apply> more;

 private:
  Life& Keep(CompactText uid) { return lives_.insert(KnownLife{.uid = std::move(uid)}).first->life; }
  absl::StatusOr<Life*> ReadLife(const std::string& uid);

  const RocksDatabase& database_;
  Lives& lives_;
  std::optional<std::uint64_t>& catalog_revision_;
  LogEntries& entries_;
  absl::flat_hash_map<std::string, bool> taken_;
  std::uint64_t sessions_;
  SessionCounts::Counts prefixed_;
  bool sessions_changed_ = false;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_ROCKS_GROUP_H_
