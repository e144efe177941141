#ifndef COROD_SERVER_JOURNAL_JOURNAL_DIRECTORY_H_
#define COROD_SERVER_JOURNAL_JOURNAL_DIRECTORY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// The directory of a journal (docs/journal.md) as files: for copies of it.
namespace corod {

// What RocksJournal knows; a higher one is a newer corod's.
inline constexpr int kJournalFormat = 3;
// The first line of FORMAT, before the number.
inline constexpr std::string_view kJournalFormatLine = "corod journal ";
// In a journal's directory: where a backup begins.
inline constexpr std::string_view kBackupStage = "BACKUP";

// Whether there is a journal that this corod reads. kUnavailable: nothing can be read there; kFailedPrecondition: it is
// none, or a newer corod's. The message names the directory.
absl::Status CheckJournalFormat(const std::string& directory);

// Keeps servers away from a journal while its files are read; others may read them, too. Changes nothing in it.
class JournalReadLock {
 public:
  // kUnavailable: a server has it; its message says so. Otherwise it cannot be read.
  static absl::StatusOr<JournalReadLock> Take(const std::string& directory);
  ~JournalReadLock();
  JournalReadLock(JournalReadLock&& other) noexcept;
  JournalReadLock& operator=(JournalReadLock&& other) = delete;

 private:
  explicit JournalReadLock(int file) : file_(file) {}
  int file_;  // -1: no server ever had it
};

// The path without what means nothing in it, such as a slash behind it.
std::string Normal(const std::string& path);

// Whether a backup of the journal in `journal` may be made at `directory`. INVALID_ARGUMENTS.
absl::Status CheckBackupTarget(const std::string& journal, const std::string& directory);
// BACKUP_FAILED.
absl::Status BackupFailed(const std::string& directory, std::string_view why);

// Whether a name that stands right in a journal's directory is left out of copies, since it is of a running server or
// of one that ended.
bool IsPassing(const std::string& directory, std::string_view name);

// Copies a journal that nobody has open to `target`, which CheckBackupTarget allows. Gives its bytes. BACKUP_FAILED.
absl::StatusOr<std::uint64_t> BackUpClosedJournal(const std::string& journal, const std::string& target);

// Whether a journal may be restored to `directory`: it is not there, or empty. A status says, for people, what is
// wrong.
absl::Status CheckRestoreTarget(const std::string& directory);
// Copies the journal in `copy`, which nobody has open, to `journal`. All or nothing: what was not finished is not taken
// for a journal. A status says, for people, what is wrong. REQUIRES: CheckRestoreTarget(journal).
absl::Status RestoreJournal(const std::string& copy, const std::string& journal);

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_JOURNAL_DIRECTORY_H_
