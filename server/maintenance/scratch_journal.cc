#include "server/maintenance/scratch_journal.h"

#include <errno.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace corod::maintenance {
namespace {

namespace fs = std::filesystem;

void LinkOrCopyFiles(const fs::path& from, const fs::path& to) {
  fs::create_directory(to);
  if (!fs::exists(from)) return;
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    const fs::path& path = entry.path();
    if (!entry.is_regular_file() || path.filename() == "LOCK") continue;
    const fs::path target = to / path.filename();
    if (path.extension() == ".sst") {
      fs::create_symlink(fs::absolute(path), target);
    } else {
      fs::copy_file(path, target);
      fs::permissions(target, fs::perms::owner_read | fs::perms::owner_write);
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ScratchJournal>> ScratchJournal::Open(const std::string& directory) {
  if (absl::Status checked = CheckJournalFormat(directory); !checked.ok()) {
    return absl::FailedPreconditionError(checked.message());
  }
  std::error_code error;
  if (!fs::exists(directory + "/rocksdb/CURRENT", error)) {
    // RocksDB would begin a new one.
    return absl::FailedPreconditionError(absl::StrCat(directory, " is not whole: it has no rocksdb/CURRENT"));
  }
  absl::StatusOr<JournalReadLock> lock = JournalReadLock::Take(directory);
  if (!lock.ok()) return lock.status();
  std::unique_ptr<ScratchJournal> opened(new ScratchJournal(*std::move(lock)));
  try {
    std::string scratch = (fs::temp_directory_path() / "corod-check-XXXXXX").string();
    if (!mkdtemp(scratch.data())) {
      return absl::InternalError(absl::StrCat(scratch, " cannot be made: ", std::strerror(errno)));
    }
    opened->scratch_ = scratch;
    fs::copy_file(directory + "/FORMAT", scratch + "/FORMAT");
    fs::permissions(scratch + "/FORMAT", fs::perms::owner_read | fs::perms::owner_write);
    LinkOrCopyFiles(directory + "/log", scratch + "/log");
    LinkOrCopyFiles(directory + "/rocksdb", scratch + "/rocksdb");
  } catch (const fs::filesystem_error& e) {
    return absl::InternalError(absl::StrCat(directory, " cannot be read: ", e.what()));
  }
  absl::StatusOr<std::unique_ptr<RocksJournal>> journal =
      RocksJournal::Open({.directory = opened->scratch_, .sync = RocksJournal::Sync::kNever, .compacts = false});
  if (!journal.ok()) {
    // In the words of whoever knows only the directory.
    std::string why(journal.status().message());
    for (std::size_t at = 0; (at = why.find(opened->scratch_, at)) != std::string::npos; at += directory.size()) {
      why.replace(at, opened->scratch_.size(), directory);
    }
    return absl::InternalError(why);
  }
  opened->journal_ = *std::move(journal);
  return opened;
}

ScratchJournal::~ScratchJournal() {
  journal_.reset();
  std::error_code ignored;
  if (!scratch_.empty()) fs::remove_all(scratch_, ignored);
}

}  // namespace corod::maintenance
