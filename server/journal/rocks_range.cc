#include "server/journal/rocks_range.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/journal/codec.h"
#include "server/journal/runs.h"
#include "server/journal/valid_batches.h"

namespace corod {

absl::Status JournalUnavailable(std::string_view why) {
  return Doubtful(Reason::JOURNAL_UNAVAILABLE,
                  absl::StrCat("the journal is unavailable: ", absl::string_view(why.data(), why.size())), {},
                  absl::Milliseconds(500));
}

absl::Status FailedRead(const rocksdb::Status& status) {
  if (status.IsCorruption()) return absl::DataLossError(absl::StrCat("the journal is damaged: ", status.ToString()));
  return JournalUnavailable(status.ToString());
}

absl::StatusOr<Tail> TailOf(std::string_view batch) {
  const absl::StatusOr<Batch> decoded = DecodeBatch(batch);
  if (!decoded.ok()) return decoded.status();
  return Tail{decoded->id, LastStep(*decoded)};
}

Range::Range(rocksdb::DB& db, std::string begin, std::string end, const rocksdb::Snapshot* snapshot)
    : begin_(std::move(begin)), end_(std::move(end)), lower_(begin_), upper_(end_) {
  options_.iterate_lower_bound = &lower_;
  options_.iterate_upper_bound = &upper_;
  options_.snapshot = snapshot;
  iterator_.reset(db.NewIterator(options_));
}

absl::Status Range::status() const {
  const rocksdb::Status status = iterator_->status();
  return status.ok() ? absl::OkStatus() : FailedRead(status);
}

SessionRange::SessionRange(rocksdb::DB& db, const std::string& uid, const rocksdb::Snapshot* snapshot)
    : Range(db, rocks_keys::PrefixOf(uid), rocks_keys::EndOf(uid), snapshot),
      prefix_(rocks_keys::PrefixOf(uid)),
      uid_(uid) {}

bool SessionRange::IsLifeOf(std::string_view id) {
  SeekToFirst();
  return Valid() && key() == rocks_keys::LifeKey(uid_) && value() == id;
}

absl::StatusOr<Tail> SessionRange::FindTail() {
  SeekToLast();
  if (AtRun()) {
    RunReader run(value(), rocks_keys::NumberIn(key()));
    while (run.Next()) {
    }
    return TailOf(run.batch());
  }
  if (AtCheckpoint()) {
    const absl::StatusOr<Checkpoint> checkpoint = DecodeCheckpoint(value());
    if (!checkpoint.ok()) return checkpoint.status();
    return Tail{checkpoint->after, checkpoint->step};
  }
  if (absl::Status read = status(); !read.ok()) return read;
  return Tail{};
}

absl::StatusOr<Tail> SessionRange::FindLastReadable() {
  for (SeekToLast(); AtRun(); Prev()) {
    std::optional<Tail> last;
    RunReader run(value(), rocks_keys::NumberIn(key()));
    while (run.Next()) {
      if (const absl::StatusOr<Tail> tail = TailOf(run.batch()); tail.ok()) last = *tail;
    }
    if (last) return *last;
  }
  if (absl::Status read = status(); !read.ok()) return read;
  return Tail{};
}

}  // namespace corod
