#ifndef COROD_SERVER_MAINTENANCE_SCRATCH_JOURNAL_H_
#define COROD_SERVER_MAINTENANCE_SCRATCH_JOURNAL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/journal/journal_directory.h"
#include "server/journal/rocks_journal.h"

namespace corod::maintenance {

// A journal that nobody has open, opened so that nothing in its directory changes: what opening would write, it writes
// into a directory of its own in the system's temporary one, where RocksDB's tables are symbolic links.
class ScratchJournal {
 public:
  // kUnavailable: a server has it. Any other status: it cannot be read.
  static absl::StatusOr<std::unique_ptr<ScratchJournal>> Open(const std::string& directory);
  ~ScratchJournal();
  ScratchJournal(const ScratchJournal&) = delete;
  ScratchJournal& operator=(const ScratchJournal&) = delete;

  RocksJournal& journal() { return *journal_; }

 private:
  explicit ScratchJournal(JournalReadLock lock) : lock_(std::move(lock)) {}

  const JournalReadLock lock_;
  std::string scratch_;
  std::unique_ptr<RocksJournal> journal_;
};

}  // namespace corod::maintenance

#endif  // COROD_SERVER_MAINTENANCE_SCRATCH_JOURNAL_H_
