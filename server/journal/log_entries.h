#ifndef COROD_SERVER_JOURNAL_LOG_ENTRIES_H_
#define COROD_SERVER_JOURNAL_LOG_ENTRIES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/base/compact_text.h"

// What a record of RocksJournal's write-ahead log says is to be done, once or more often, in this order
// (docs/journal.md has the bytes).
namespace corod {

class LogEntries {
 public:
  // `value` stands under `key` in the database.
  void Put(std::string_view key, std::string_view value);
  // Nothing stands under `key`.
  void Delete(std::string_view key);
  // The session's log goes on with this batch, framed.
  void AddBatch(const CompactText& uid, std::uint64_t number, std::string_view batch);
  // What an AddBatch has added to `bytes()` of another one.
  void AddBatchEntry(std::string_view entry) { bytes_.append(entry); }
  // Of batches that are not settled those with lower numbers are forgotten.
  void Trim(const CompactText& uid, std::uint64_t number);
  // All of the session's batches that are not settled are forgotten.
  void Drop(const CompactText& uid);

  std::string_view bytes() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }
  // Whether there are any but those about batches.
  bool has_puts() const { return has_puts_; }
  void clear() {
    bytes_.clear();
    has_puts_ = false;
  }

 private:
  std::string bytes_;
  bool has_puts_ = false;
};

struct LogEntry {
  enum class Kind : std::uint8_t { kPut = 1, kDelete, kBatch, kTrim, kDrop };
  Kind kind = Kind::kPut;
  std::string_view key;      // kPut, kDelete
  std::string_view value;    // kPut, kBatch
  CompactText uid;           // the others
  std::uint64_t number = 0;  // kBatch, kTrim
};

// Takes the first entry, which refers to `bytes`. False: at the end there is none; else it is damaged.
bool TakeEntry(std::string_view& bytes, LogEntry& entry);

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_LOG_ENTRIES_H_
