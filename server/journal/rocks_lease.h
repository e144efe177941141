#ifndef COROD_SERVER_JOURNAL_ROCKS_LEASE_H_
#define COROD_SERVER_JOURNAL_ROCKS_LEASE_H_

#include "absl/status/status.h"
#include "server/base/mutex.h"
#include "server/journal/rocks_database.h"
#include "server/journal/rocks_journal.h"
#include "server/journal/rocks_range.h"

namespace corod {

// Holds the database open for a reader.
class RocksJournal::Lease {
 public:
  explicit Lease(const RocksJournal& journal) : journal_(journal) {
    const MutexLock lock(journal_.database_mutex_);
    database_ = journal_.database_.get();
    if (database_) ++journal_.readers_;
  }
  ~Lease() {
    const MutexLock lock(journal_.database_mutex_);
    if (database_ && --journal_.readers_ == 0) journal_.no_readers_.NotifyAll();
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  explicit operator bool() const { return database_ != nullptr; }
  const RocksDatabase* operator->() const { return database_; }
  const RocksDatabase& operator*() const { return *database_; }
  // For what any thread may do.
  RocksDatabase& database() { return *database_; }
  static absl::Status Missing() { return JournalUnavailable("it is being opened again"); }

 private:
  const RocksJournal& journal_;
  RocksDatabase* database_;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_ROCKS_LEASE_H_
