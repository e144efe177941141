#include "server/journal/file_copies.h"

#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"

namespace corod {
namespace {

using rocksdb::FileOptions;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
// Of the directory that is being made.
constexpr std::string_view kDraft = ".corod-draft";

bool IsTable(std::string_view name) { return name.ends_with(".sst"); }

}  // namespace

FileCopies::FileCopies(std::shared_ptr<rocksdb::FileSystem> file_system, const std::atomic<bool>& cancelled)
    : file_system_(file_system ? std::move(file_system) : rocksdb::FileSystem::Default()), cancelled_(cancelled) {}

IOStatus FileCopies::SyncDirectory(const std::string& path) {
  std::unique_ptr<rocksdb::FSDirectory> directory;
  IOStatus status = file_system_->NewDirectory(path, IOOptions(), &directory, nullptr);
  return status.ok() ? directory->Fsync(IOOptions(), nullptr) : status;
}

IOStatus FileCopies::MakeDirectory(const std::string& path) {
  return file_system_->CreateDir(path, IOOptions(), nullptr);
}

IOStatus FileCopies::ListDirectory(const std::string& path, std::vector<std::string>* names) {
  IOStatus status = file_system_->GetChildren(path, IOOptions(), names, nullptr);
  std::erase_if(*names, [](const std::string& name) { return name == "." || name == ".."; });
  return status;
}

IOStatus FileCopies::CopyFile(const std::string& from, const std::string& to) {
  std::unique_ptr<rocksdb::FSSequentialFile> source;
  IOStatus status = file_system_->NewSequentialFile(from, FileOptions(), &source, nullptr);
  if (!status.ok()) return status;
  std::unique_ptr<rocksdb::FSWritableFile> target;
  status = file_system_->NewWritableFile(to, FileOptions(), &target, nullptr);
  std::string buffer(kBufferBytes, '\0');
  while (status.ok()) {
    if (cancelled_) return IOStatus::Aborted("cancelled");
    Slice read;
    status = source->Read(buffer.size(), IOOptions(), &read, buffer.data(), nullptr);
    if (!status.ok() || read.empty()) break;
    bytes_ += read.size();
    status = target->Append(read, IOOptions(), nullptr);
  }
  if (status.ok()) status = target->Sync(IOOptions(), nullptr);
  return status.ok() ? target->Close(IOOptions(), nullptr) : status;
}

IOStatus FileCopies::LinkOrCopy(const std::string& from, const std::string& to) {
  if (cancelled_) return IOStatus::Aborted("cancelled");
  // Whatever is in the way of a link (another file system, or one that has none) may not be in the way of a copy.
  if (!file_system_->LinkFile(from, to, IOOptions(), nullptr).ok()) return CopyFile(from, to);
  std::uint64_t size = 0;
  IOStatus status = file_system_->GetFileSize(to, IOOptions(), &size, nullptr);
  bytes_ += size;
  return status;
}

IOStatus FileCopies::CopyDirectory(const std::string& from, const std::string& to, Links links,
                                   const std::function<bool(std::string_view)>& skips) {
  IOStatus status = file_system_->CreateDirIfMissing(to, IOOptions(), nullptr);
  std::vector<std::string> names;
  if (status.ok()) status = ListDirectory(from, &names);
  for (const std::string& name : names) {
    if (!status.ok()) return status;
    if (skips && skips(name)) continue;
    const std::string source = absl::StrCat(from, "/", name), target = absl::StrCat(to, "/", name);
    bool is_directory = false;
    status = file_system_->IsDirectory(source, IOOptions(), &is_directory, nullptr);
    if (!status.ok()) return status;
    if (is_directory) {
      status = CopyDirectory(source, target, links);
    } else if (links == Links::kAll || (links == Links::kTables && IsTable(name))) {
      status = LinkOrCopy(source, target);
    } else {
      status = CopyFile(source, target);
    }
  }
  return status.ok() ? SyncDirectory(to) : status;
}

IOStatus FileCopies::RemoveDirectory(const std::string& path) {
  IOStatus status = file_system_->FileExists(path, IOOptions(), nullptr);
  if (status.IsNotFound()) return IOStatus::OK();
  std::vector<std::string> names;
  if (status.ok()) status = ListDirectory(path, &names);
  for (const std::string& name : names) {
    if (!status.ok()) return status;
    const std::string child = absl::StrCat(path, "/", name);
    bool is_directory = false;
    status = file_system_->IsDirectory(child, IOOptions(), &is_directory, nullptr);
    if (!status.ok()) return status;
    status = is_directory ? RemoveDirectory(child) : file_system_->DeleteFile(child, IOOptions(), nullptr);
  }
  return status.ok() ? file_system_->DeleteDir(path, IOOptions(), nullptr) : status;
}

IOStatus FileCopies::MakeWhole(const std::string& path, const std::function<IOStatus(const std::string& draft)>& fill) {
  const std::string draft = path + std::string(kDraft);
  const std::string parent = path.substr(0, path.rfind('/') + 1);  // with the slash: it may be the topmost one
  IOStatus status = RemoveDirectory(draft);                        // of one that ended before it was made
  if (status.ok()) status = MakeDirectory(draft);
  if (status.ok()) status = fill(draft);
  if (status.ok()) status = SyncDirectory(draft);
  if (status.ok()) status = file_system_->RenameFile(draft, path, IOOptions(), nullptr);
  if (status.ok()) status = SyncDirectory(parent);
  if (status.ok()) return status;
  // Unless it was renamed all the same, `path` is somebody else's.
  const bool is_renamed = file_system_->FileExists(draft, IOOptions(), nullptr).IsNotFound() &&
                          file_system_->FileExists(path, IOOptions(), nullptr).ok();
  const IOStatus removed = RemoveDirectory(is_renamed ? path : draft);
  if (removed.ok()) return status;
  return IOStatus::IOError(status.ToString() + "; and " + (is_renamed ? path : draft) +
                           " cannot be removed: " + removed.ToString());
}

}  // namespace corod
