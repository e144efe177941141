#ifndef COROD_SERVER_JOURNAL_ROCKS_RANGE_H_
#define COROD_SERVER_JOURNAL_ROCKS_RANGE_H_

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/journal/record.h"
#include "server/journal/rocks_keys.h"

// Reading what RocksDB holds.
namespace corod {

inline rocksdb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// JOURNAL_UNAVAILABLE, in doubt.
absl::Status JournalUnavailable(std::string_view why);
// Of a read. REQUIRES: not ok.
absl::Status FailedRead(const rocksdb::Status& status);

// How far a session's log goes.
struct Tail {
  BatchId id;
  Step last_step = 0;
};
// If its last batch is this one.
absl::StatusOr<Tail> TailOf(std::string_view batch);

// Reads keys from `begin` to before `end`, at one moment.
class Range {
 public:
  Range(rocksdb::DB& db, std::string begin, std::string end, const rocksdb::Snapshot* snapshot = nullptr);
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

  bool Valid() const { return iterator_->Valid(); }
  std::string_view key() const { return View(iterator_->key()); }
  std::string_view value() const { return View(iterator_->value()); }
  void Seek(std::string_view key) { iterator_->Seek(ToSlice(key)); }
  void SeekToFirst() { iterator_->SeekToFirst(); }
  void SeekForPrev(std::string_view key) { iterator_->SeekForPrev(ToSlice(key)); }
  void SeekToLast() { iterator_->SeekToLast(); }
  void Next() { iterator_->Next(); }
  void Prev() { iterator_->Prev(); }
  // Of what made it invalid: OK at the end.
  absl::Status status() const;

 private:
  const std::string begin_, end_;
  const rocksdb::Slice lower_, upper_;
  rocksdb::ReadOptions options_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

// All that a session has in RocksDB.
class SessionRange : public Range {
 public:
  SessionRange(rocksdb::DB& db, const std::string& uid, const rocksdb::Snapshot* snapshot = nullptr);

  // Whether this is a life of the session with that id that was not removed.
  bool IsLifeOf(std::string_view id);
  bool AtRun() const { return Valid() && rocks_keys::IsBatchOf(prefix_, key()); }
  bool AtCheckpoint() const { return Valid() && rocks_keys::IsCheckpointOf(prefix_, key()); }

  absl::StatusOr<Tail> FindTail();
  // Of the last batch that is not damaged; {} if there is none.
  absl::StatusOr<Tail> FindLastReadable();

 private:
  const std::string prefix_;
  const std::string uid_;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_ROCKS_RANGE_H_
