#include "server/journal/journal_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/failure.h"
#include "server/journal/file_copies.h"

namespace corod {
namespace {

namespace fs = std::filesystem;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

const std::atomic<bool> never_cancelled{false};

// RocksDB's lock and its own log.
bool IsPassingInRocks(std::string_view name) { return name == "LOCK" || name == "LOG" || name.starts_with("LOG.old"); }

// All of a journal's directory but FORMAT.
rocksdb::IOStatus CopyParts(FileCopies& files, const std::string& from, const std::string& to,
                            FileCopies::Links links) {
  rocksdb::IOStatus status = files.CopyDirectory(from, to, links, [&from](std::string_view name) {
    return name == "FORMAT" || name == "rocksdb" || IsPassing(from, name);
  });
  if (status.ok()) status = files.CopyDirectory(from + "/rocksdb", to + "/rocksdb", links, &IsPassingInRocks);
  return status;
}

}  // namespace

absl::Status CheckJournalFormat(const std::string& directory) {
  std::error_code error;
  const std::string format = directory + "/FORMAT";
  if (!fs::is_directory(directory, error)) {
    return absl::UnavailableError(absl::StrCat(directory, " is not a directory"));
  }
  std::ifstream file(format);
  if (!file) {
    const int why = errno;
    if (why == ENOENT) {
      return absl::FailedPreconditionError(absl::StrCat(directory, " holds no corod journal (it has no FORMAT)"));
    }
    return absl::UnavailableError(absl::StrCat(format, " cannot be read: ", std::strerror(why)));
  }
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  absl::string_view line = text;
  int version = 0;
  if (!absl::ConsumePrefix(&line, View(kJournalFormatLine)) || !absl::SimpleAtoi(line, &version) || version < 1) {
    return absl::FailedPreconditionError(absl::StrCat(format, " is not that of a corod journal"));
  }
  if (version > kJournalFormat) {
    return absl::FailedPreconditionError(absl::StrCat("the journal in ", directory,
                                                      " was written by a newer corod (format ", version,
                                                      "; this one knows ", kJournalFormat, ")"));
  }
  return absl::OkStatus();
}

absl::StatusOr<JournalReadLock> JournalReadLock::Take(const std::string& directory) {
  const std::string path = directory + "/rocksdb/LOCK";
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) return JournalReadLock(-1);
  if (file < 0) return absl::InternalError(absl::StrCat(path, " cannot be opened: ", std::strerror(errno)));
  struct flock whole = {};
  whole.l_type = F_RDLCK;
  if (fcntl(file, F_SETLK, &whole) == 0) return JournalReadLock(file);
  const int why = errno;
  close(file);
  if (why == EAGAIN || why == EACCES) {
    return absl::UnavailableError(absl::StrCat(directory, " is in use by a running corod"));
  }
  return absl::InternalError(absl::StrCat(path, " cannot be locked: ", std::strerror(why)));
}

JournalReadLock::~JournalReadLock() {
  if (file_ >= 0) close(file_);
}

JournalReadLock::JournalReadLock(JournalReadLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

std::string Normal(const std::string& path) {
  std::string normal = fs::path(path).lexically_normal().string();
  if (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
  return normal;
}

absl::Status CheckBackupTarget(const std::string& journal, const std::string& directory) {
  const auto invalid = [](const std::string& what) {
    return Failed(Reason::INVALID_ARGUMENTS, what, {{"parameter", "directory"}});
  };
  if (!directory.starts_with('/')) {
    return invalid("the directory '" + directory + "' is not an absolute path of the server's machine");
  }
  std::error_code error;
  const fs::file_status there = fs::symlink_status(directory, error);
  if (fs::exists(there) && !fs::is_directory(there)) return invalid(directory + " is not a directory");
  if (fs::exists(there) && !fs::is_empty(directory, error)) {
    if (error) return BackupFailed(directory, error.message());
    return invalid(directory + " is not empty; name a directory that is not there yet");
  }
  const fs::path inside = fs::weakly_canonical(directory, error), of = fs::weakly_canonical(journal, error);
  if (!of.empty() && std::mismatch(of.begin(), of.end(), inside.begin(), inside.end()).first == of.end()) {
    return invalid(directory +
                   " is within the data directory; name one outside of it, on another disk if there is one");
  }
  return absl::OkStatus();
}

absl::Status BackupFailed(const std::string& directory, std::string_view why) {
  return Failed(Reason::BACKUP_FAILED, "no backup was made at " + directory + ": " + std::string(why));
}

bool IsPassing(const std::string& directory, std::string_view name) {
  if (name == kBackupStage || name == "FORMAT.new" || name == "PROBE") return true;
  std::error_code error;
  const fs::path path = fs::path(directory) / name;
  return !fs::is_regular_file(path, error) && !fs::is_directory(path, error);  // a socket
}

absl::StatusOr<std::uint64_t> BackUpClosedJournal(const std::string& journal, const std::string& target) {
  FileCopies files(nullptr, never_cancelled);
  const rocksdb::IOStatus made = files.MakeWhole(target, [&](const std::string& draft) {
    rocksdb::IOStatus status = CopyParts(files, journal, draft, FileCopies::Links::kTables);
    if (status.ok()) status = files.CopyFile(journal + "/FORMAT", draft + "/FORMAT");
    return status;
  });
  if (!made.ok()) return BackupFailed(target, made.ToString());
  return files.bytes();
}

absl::Status CheckRestoreTarget(const std::string& directory) {
  std::error_code error;
  if (!fs::exists(directory, error)) return absl::OkStatus();
  if (!fs::is_directory(directory, error)) return absl::FailedPreconditionError(directory + " is not a directory");
  const bool is_empty = fs::is_empty(directory, error);
  if (error) return absl::FailedPreconditionError(directory + " cannot be read: " + error.message());
  if (is_empty) return absl::OkStatus();
  return absl::FailedPreconditionError(
      directory + " is not empty, and nothing is restored over what is there; name another directory");
}

absl::Status RestoreJournal(const std::string& copy, const std::string& journal) {
  std::error_code error;
  const bool made = fs::create_directories(journal, error);
  if (error) return absl::UnavailableError(absl::StrCat(journal, " cannot be made: ", error.message()));
  if (made) fs::permissions(journal, fs::perms::owner_all, error);
  FileCopies files(nullptr, never_cancelled);
  // Without FORMAT a directory that holds anything is no journal, for any corod.
  rocksdb::IOStatus status = CopyParts(files, copy, journal, FileCopies::Links::kNone);
  const std::string format = journal + "/FORMAT";
  if (status.ok()) status = files.CopyFile(copy + "/FORMAT", format + ".new");
  if (status.ok()) {
    fs::rename(format + ".new", format, error);
    if (error) status = rocksdb::IOStatus::IOError(error.message());
  }
  if (status.ok()) status = files.SyncDirectory(journal);
  if (status.ok()) {
    const fs::path parent = fs::absolute(Normal(journal), error).parent_path();
    status = files.SyncDirectory(parent.string());
  }
  if (status.ok()) return absl::OkStatus();
  // FORMAT goes first.
  fs::remove(format, error);
  for (const fs::directory_entry& entry : fs::directory_iterator(journal, error)) fs::remove_all(entry.path(), error);
  if (made) fs::remove(journal, error);
  return absl::UnavailableError(absl::StrCat("nothing was restored to ", journal, ": ", status.ToString()));
}

}  // namespace corod
