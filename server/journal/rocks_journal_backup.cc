#include <rocksdb/file_system.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "server/journal/file_copies.h"
#include "server/journal/journal_directory.h"
#include "server/journal/rocks_database.h"
#include "server/journal/rocks_journal.h"
#include "server/journal/rocks_lease.h"
#include "server/log/log.h"

// Copies of the journal while it is written.

namespace corod {
namespace {

const std::atomic<bool> never_cancelled{false};

// RocksDB wants an absolute path.
std::string StageOf(const std::string& journal) {
  std::error_code error;
  return (std::filesystem::absolute(journal, error) / kBackupStage).string();
}

}  // namespace

absl::Status RocksJournal::RemoveBackupStage() const {
  const std::string stage = StageOf(options_.directory);
  const rocksdb::IOStatus removed = FileCopies(options_.file_system, never_cancelled).RemoveDirectory(stage);
  if (removed.ok()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(stage, ", of a backup, cannot be removed: ", removed.ToString()));
}

absl::StatusOr<Journal::BackedUp> RocksJournal::CopyToStage(const std::string& stage) {
  {
    const MutexLock lock(mutex_);
    if (shutdown_) return absl::UnavailableError("the journal takes nothing more");
    if (!available_) return absl::UnavailableError("the journal cannot be written now");
    copying_ = true;
  }
  rocksdb::Status copied = rocksdb::Status::Incomplete("the journal is being opened again");
  {
    Lease lease(*this);
    if (lease) copied = lease.database().CopyTo(stage);
    if (lease && !copied.ok() && lease.database().failed()) {
      // A write would find out, but there may be none for long.
      const MutexLock lock(mutex_);
      BecomeUnavailable();
      changed_.NotifyOne();
    }
  }
  {
    const MutexLock lock(mutex_);
    copying_ = false;
    finished_.NotifyAll();
  }
  if (!copied.ok()) return absl::UnavailableError(copied.ToString());
  return BackedUp{.sessions = size()};
}

absl::StatusOr<Journal::BackedUp> RocksJournal::Backup(const std::string& directory,
                                                       const std::atomic<bool>& cancelled) {
  const std::string& journal = options_.directory;
  const std::string target = Normal(directory);
  if (absl::Status checked = CheckBackupTarget(journal, target); !checked.ok()) return checked;
  if (backing_up_.exchange(true)) return BackupFailed(target, "another backup is being made");
  // What belongs to one moment is copied where it stands, since that is quick: tables are linked. From there it is
  // copied to wherever the backup is to be, with as much time as that takes.
  const std::string stage = StageOf(journal);
  FileCopies files(options_.file_system, cancelled);
  absl::StatusOr<BackedUp> backed_up = BackedUp();
  rocksdb::IOStatus made = files.RemoveDirectory(stage);
  if (made.ok()) made = files.MakeDirectory(stage);
  if (made.ok()) backed_up = CopyToStage(stage);
  if (made.ok() && backed_up.ok()) {
    made = files.MakeWhole(target, [&](const std::string& draft) {
      rocksdb::IOStatus status = files.CopyDirectory(stage, draft, FileCopies::Links::kAll);
      // The rest: what others keep there.
      if (status.ok()) {
        status = files.CopyDirectory(journal, draft, FileCopies::Links::kNone, [&journal](std::string_view name) {
          return name == "log" || name == "rocksdb" || IsPassing(journal, name);
        });
      }
      return status;
    });
  }
  const rocksdb::IOStatus removed = files.RemoveDirectory(stage);
  if (!removed.ok()) {
    COROD_LOG(kJournal, kWarning, "what is left of a backup cannot be removed",
              {{"directory", stage}, {"error", removed.ToString()}});
  }
  backing_up_ = false;
  if (!backed_up.ok()) return BackupFailed(target, std::string(backed_up.status().message()));
  if (!made.ok()) return BackupFailed(target, made.ToString());
  backed_up->bytes = files.bytes();
  return backed_up;
}

absl::Status RocksJournal::VerifyTables() const {
  const Lease database(*this);
  if (!database) return Lease::Missing();
  const rocksdb::Status verified = database->Verify();
  return verified.ok() ? absl::OkStatus() : FailedRead(verified);
}

}  // namespace corod
