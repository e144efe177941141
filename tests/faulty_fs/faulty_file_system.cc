#include "tests/faulty_fs/faulty_file_system.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>
#include <utility>

namespace corod {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr std::uint64_t kSector = 512;

IOStatus NoSpace() { return IOStatus::NoSpace("FaultyFileSystem says so"); }

}  // namespace

// A file that was opened for writing, as this process sees it.
class FaultyFileSystem::Content {
 public:
  virtual ~Content() = default;
  virtual std::uint64_t Size() = 0;
  // As FSRandomAccessFile::Read; `target` is the file on the disk.
  virtual IOStatus Read(const rocksdb::FSRandomAccessFile& target, std::uint64_t offset, std::size_t size,
                        const IOOptions& options, Slice* result, char* scratch, IODebugContext* debug) = 0;
  // Writes all that is pending.
  virtual IOStatus LandAll() = 0;
};

// One that is appended to.
struct FaultyFileSystem::AppendedContent : Content {
  std::uint64_t Size() override {
    const MutexLock lock(mutex);
    return written + pending.size();
  }
  IOStatus Read(const rocksdb::FSRandomAccessFile& file, std::uint64_t offset, std::size_t size,
                const IOOptions& options, Slice* result, char* scratch, IODebugContext* debug) override {
    const MutexLock lock(mutex);
    std::size_t got = 0;
    if (offset < written) {
      const std::size_t wanted = std::min<std::uint64_t>(size, written - offset);
      IOStatus status = file.Read(offset, wanted, options, result, scratch, debug);
      if (!status.ok() || result->size() < wanted || wanted == size) return status;
      if (result->data() != scratch) std::memmove(scratch, result->data(), wanted);
      got = wanted;
    }
    const std::uint64_t from = offset + got - written;
    if (from < pending.size()) {
      const std::size_t more = std::min<std::uint64_t>(size - got, pending.size() - from);
      std::memcpy(scratch + got, pending.data() + from, more);
      got += more;
    }
    *result = Slice(scratch, got);
    return IOStatus::OK();
  }
  IOStatus LandAll() override {
    const MutexLock lock(mutex);
    return Land(pending.size());
  }
  // Writes the first `bytes` of what is pending.
  IOStatus Land(std::size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (bytes == 0) return IOStatus::OK();
    IOStatus status = target->Append(Slice(pending.data(), bytes), IOOptions(), nullptr);
    if (!status.ok()) return status;
    status = target->Flush(IOOptions(), nullptr);
    written += bytes;
    pending.erase(0, bytes);
    return status;
  }

  Mutex mutex;
  std::unique_ptr<rocksdb::FSWritableFile> target ABSL_GUARDED_BY(mutex);
  std::uint64_t written ABSL_GUARDED_BY(mutex) = 0;  // to the target
  std::string pending ABSL_GUARDED_BY(mutex);        // behind that
};

// One that is written over, with power cuts: all of it lies here, and sectors of it are written.
struct FaultyFileSystem::OverwrittenContent : Content {
  std::uint64_t Size() override {
    const MutexLock lock(mutex);
    return image.size();
  }
  IOStatus Read(const rocksdb::FSRandomAccessFile&, std::uint64_t offset, std::size_t size, const IOOptions&,
                Slice* result, char* scratch, IODebugContext*) override {
    *result = Slice(scratch, Copy(offset, size, scratch));
    return IOStatus::OK();
  }
  IOStatus LandAll() override {
    const MutexLock lock(mutex);
    while (!pending.empty()) {
      if (IOStatus status = Land(*pending.begin()); !status.ok()) return status;
    }
    return IOStatus::OK();
  }
  std::size_t Copy(std::uint64_t offset, std::size_t size, char* to) {
    const MutexLock lock(mutex);
    if (offset >= image.size()) return 0;
    const std::size_t bytes = std::min<std::uint64_t>(size, image.size() - offset);
    std::memcpy(to, image.data() + offset, bytes);
    return bytes;
  }
  void Write(std::uint64_t offset, Slice data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (data.empty()) return;
    const std::uint64_t end = offset + data.size();
    if (image.size() < end) image.resize(end);
    std::memcpy(image.data() + offset, data.data(), data.size());
    for (std::uint64_t sector = offset / kSector; sector * kSector < end; ++sector) pending.insert(sector);
  }
  IOStatus Land(std::uint64_t sector) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const std::uint64_t at = sector * kSector;
    const std::size_t bytes = std::min<std::uint64_t>(kSector, image.size() - at);
    pending.erase(sector);
    return target->Write(at, Slice(image.data() + at, bytes), IOOptions(), nullptr);
  }

  Mutex mutex;
  std::unique_ptr<rocksdb::FSRandomRWFile> target ABSL_GUARDED_BY(mutex);
  std::string image ABSL_GUARDED_BY(mutex);
  std::set<std::uint64_t> pending ABSL_GUARDED_BY(mutex);  // sectors
};

class FaultyFileSystem::RandomRWFile : public rocksdb::FSRandomRWFile {
 public:
  // `content`: with power cuts; `target`: without.
  RandomRWFile(FaultyFileSystem& system, std::shared_ptr<OverwrittenContent> content,
               std::unique_ptr<rocksdb::FSRandomRWFile> target)
      : system_(system), content_(std::move(content)), target_(std::move(target)) {}

  IOStatus Write(std::uint64_t offset, const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    const bool fails = system_.Fails();
    std::size_t bytes = data.size();
    if (fails) bytes = system_.Choose(3) == 0 ? bytes : system_.Choose(bytes + 1);
    const Slice written(data.data(), bytes);
    IOStatus status;
    if (!content_) {
      if (bytes > 0) status = target_->Write(offset, written, options, debug);
      return fails ? NoSpace() : status;
    }
    const MutexLock lock(content_->mutex);
    content_->Write(offset, written);
    // Some of all that is pending reaches the disk by itself, in whatever order.
    for (std::uint64_t i = system_.Choose(8); status.ok() && i < 3 && !content_->pending.empty(); ++i) {
      auto sector = content_->pending.begin();
      std::advance(sector, system_.Choose(content_->pending.size()));
      status = content_->Land(*sector);
    }
    return fails ? NoSpace() : status;
  }
  IOStatus Read(std::uint64_t offset, std::size_t size, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* debug) const override {
    if (!content_) return target_->Read(offset, size, options, result, scratch, debug);
    *result = Slice(scratch, content_->Copy(offset, size, scratch));
    return IOStatus::OK();
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    const bool fails = system_.Fails();
    if (fails && content_ && system_.Choose(2) == 0) {
      // As Linux: what was to be written counts as written from now on, and is not.
      const MutexLock lock(content_->mutex);
      content_->pending.clear();
      return NoSpace();
    }
    if (fails && system_.Choose(2) == 0) return NoSpace();
    const IOStatus status = content_ ? content_->LandAll() : target_->Sync(options, debug);
    return fails ? NoSpace() : status;
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    return content_ ? IOStatus::OK() : target_->Close(options, debug);
  }

 private:
  FaultyFileSystem& system_;
  const std::shared_ptr<OverwrittenContent> content_;
  const std::unique_ptr<rocksdb::FSRandomRWFile> target_;
};

class FaultyFileSystem::WritableFile : public rocksdb::FSWritableFile {
 public:
  WritableFile(FaultyFileSystem& system, std::shared_ptr<AppendedContent> content)
      : system_(system), content_(std::move(content)) {}

  using FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    const bool fails = system_.Fails() || system_.fail_new_files_;
    const MutexLock lock(content_->mutex);
    std::size_t bytes = data.size();
    if (fails) bytes = system_.Choose(3) == 0 ? bytes : system_.Choose(bytes + 1);
    content_->pending.append(data.data(), bytes);
    IOStatus status;
    if (!system_.power_cut_) {
      status = content_->Land(bytes);
    } else if (system_.Choose(4) == 0) {
      const std::uint64_t end = content_->written + system_.Choose(content_->pending.size() + 1);
      const std::uint64_t sectors_end = end / kSector * kSector;
      if (sectors_end > content_->written) status = content_->Land(sectors_end - content_->written);
    }
    return fails ? NoSpace() : status;
  }
  IOStatus Truncate(std::uint64_t, const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    const bool fails = system_.Fails();
    if (fails && system_.Choose(2) == 0) return NoSpace();
    const MutexLock lock(content_->mutex);
    const IOStatus status =
        system_.power_cut_ ? content_->Land(content_->pending.size()) : content_->target->Sync(options, debug);
    return fails ? NoSpace() : status;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override { return Sync(options, debug); }
  IOStatus RangeSync(std::uint64_t, std::uint64_t, const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }
  bool IsSyncThreadSafe() const override { return true; }
  // What was not synced can still be lost.
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    const MutexLock lock(content_->mutex);
    return content_->pending.empty() ? content_->target->Close(options, debug) : IOStatus::OK();
  }
  std::uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return content_->Size(); }

 private:
  FaultyFileSystem& system_;
  const std::shared_ptr<AppendedContent> content_;
};

class FaultyFileSystem::RandomAccessFile : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  RandomAccessFile(std::unique_ptr<rocksdb::FSRandomAccessFile> target, std::shared_ptr<Content> content)
      : FSRandomAccessFileOwnerWrapper(std::move(target)), content_(std::move(content)) {}

  IOStatus Read(std::uint64_t offset, std::size_t size, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* debug) const override {
    return content_->Read(*target(), offset, size, options, result, scratch, debug);
  }
  IOStatus MultiRead(rocksdb::FSReadRequest* requests, std::size_t count, const IOOptions& options,
                     IODebugContext* debug) override {
    for (std::size_t i = 0; i < count; ++i) {
      rocksdb::FSReadRequest& request = requests[i];
      request.status = Read(request.offset, request.len, options, &request.result, request.scratch, debug);
    }
    return IOStatus::OK();
  }
  IOStatus Prefetch(std::uint64_t, std::size_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::NotSupported("");
  }

 private:
  const std::shared_ptr<Content> content_;
};

class FaultyFileSystem::SequentialFile : public rocksdb::FSSequentialFile {
 public:
  explicit SequentialFile(std::unique_ptr<RandomAccessFile> file) : file_(std::move(file)) {}

  IOStatus Read(std::size_t size, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* debug) override {
    const IOStatus status = file_->Read(at_, size, options, result, scratch, debug);
    if (status.ok()) at_ += result->size();
    return status;
  }
  IOStatus Skip(std::uint64_t bytes) override {
    at_ += bytes;
    return IOStatus::OK();
  }

 private:
  const std::unique_ptr<RandomAccessFile> file_;
  std::uint64_t at_ = 0;
};

class FaultyFileSystem::Directory : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(std::unique_ptr<rocksdb::FSDirectory> target, FaultyFileSystem& system)
      : FSDirectoryWrapper(std::move(target)), system_(system) {}

  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    if (system_.Fails()) return NoSpace();
    return system_.power_cut_ ? IOStatus::OK() : FSDirectoryWrapper::Fsync(options, debug);
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& how) override {
    if (system_.Fails()) return NoSpace();
    return system_.power_cut_ ? IOStatus::OK() : FSDirectoryWrapper::FsyncWithDirOptions(options, debug, how);
  }

 private:
  FaultyFileSystem& system_;
};

FaultyFileSystem::FaultyFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target, Options options)
    : FileSystemWrapper(target),
      power_cut_(options.power_cut),
      failure_probability_(options.failure_probability),
      random_(options.seed) {}

FaultyFileSystem::~FaultyFileSystem() {
  const MutexLock lock(mutex_);
  for (const auto& [name, content] : contents_) {
    content->LandAll().PermitUncheckedError();
  }
}

std::uint64_t FaultyFileSystem::Choose(std::uint64_t end) {
  const MutexLock lock(random_mutex_);
  return random_() % end;
}

bool FaultyFileSystem::Fails() {
  const bool fails =
      fail_writes_ || (failure_probability_ > 0 && static_cast<double>(Choose(1'000'000)) < failure_probability_ * 1e6);
  if (fails) ++failures_;
  return fails;
}

std::shared_ptr<FaultyFileSystem::Content> FaultyFileSystem::Find(const std::string& name) {
  const MutexLock lock(mutex_);
  const auto found = contents_.find(name);
  return found == contents_.end() ? nullptr : found->second;
}

IOStatus FaultyFileSystem::Add(const std::string& name, std::unique_ptr<rocksdb::FSWritableFile> target,
                               std::uint64_t size, std::unique_ptr<rocksdb::FSWritableFile>* file) {
  auto content = std::make_shared<AppendedContent>();
  {
    const MutexLock lock(content->mutex);
    content->target = std::move(target);
    content->written = size;
  }
  {
    const MutexLock lock(mutex_);
    contents_[name] = content;
  }
  *file = std::make_unique<WritableFile>(*this, std::move(content));
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                           std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  if (Fails() || fail_new_files_) return NoSpace();
  std::unique_ptr<rocksdb::FSWritableFile> target;
  IOStatus status = FileSystemWrapper::NewWritableFile(name, options, &target, debug);
  return status.ok() ? Add(name, std::move(target), 0, file) : status;
}

IOStatus FaultyFileSystem::ReopenWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                              std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) {
  if (Fails()) return NoSpace();
  if (const std::shared_ptr<Content> content = Find(name)) {
    if (IOStatus status = content->LandAll(); !status.ok()) return status;
  }
  std::uint64_t size = 0;
  if (!FileSystemWrapper::GetFileSize(name, IOOptions(), &size, debug).ok()) size = 0;
  std::unique_ptr<rocksdb::FSWritableFile> target;
  IOStatus status = FileSystemWrapper::ReopenWritableFile(name, options, &target, debug);
  return status.ok() ? Add(name, std::move(target), size, file) : status;
}

IOStatus FaultyFileSystem::ReuseWritableFile(const std::string&, const std::string&, const rocksdb::FileOptions&,
                                             std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) {
  return IOStatus::NotSupported("ReuseWritableFile");
}

IOStatus FaultyFileSystem::NewRandomRWFile(const std::string& name, const rocksdb::FileOptions& options,
                                           std::unique_ptr<rocksdb::FSRandomRWFile>* file, IODebugContext* debug) {
  if (Fails()) return NoSpace();
  const std::shared_ptr<Content> before = Find(name);
  auto content = std::dynamic_pointer_cast<OverwrittenContent>(before);
  if (!content) {
    // What was appended before is written. A power cut just then is one just before.
    if (before) {
      if (IOStatus status = before->LandAll(); !status.ok()) return status;
    }
    std::unique_ptr<rocksdb::FSRandomRWFile> target;
    IOStatus status = FileSystemWrapper::NewRandomRWFile(name, options, &target, debug);
    if (!status.ok()) return status;
    if (!power_cut_) {
      const MutexLock lock(mutex_);
      contents_.erase(name);
      *file = std::make_unique<RandomRWFile>(*this, nullptr, std::move(target));
      return status;
    }
    std::uint64_t size = 0;
    status = FileSystemWrapper::GetFileSize(name, IOOptions(), &size, debug);
    std::string image(size, '\0');
    Slice read;
    if (status.ok()) status = target->Read(0, size, IOOptions(), &read, image.data(), debug);
    if (!status.ok()) return status;
    content = std::make_shared<OverwrittenContent>();
    {
      const MutexLock lock(content->mutex);
      content->image = std::string(read.data(), read.size());
      content->target = std::move(target);
    }
    const MutexLock lock(mutex_);
    contents_[name] = content;
  }
  *file = std::make_unique<RandomRWFile>(*this, std::move(content), nullptr);
  return IOStatus::OK();
}

IOStatus FaultyFileSystem::NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions& options,
                                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                               IODebugContext* debug) {
  const std::shared_ptr<Content> content = Find(name);
  rocksdb::FileOptions plain = options;
  if (content) plain.use_mmap_reads = false;
  std::unique_ptr<rocksdb::FSRandomAccessFile> target;
  IOStatus status = FileSystemWrapper::NewRandomAccessFile(name, plain, &target, debug);
  if (!status.ok()) return status;
  if (content) {
    *file = std::make_unique<RandomAccessFile>(std::move(target), content);
  } else {
    *file = std::move(target);
  }
  return status;
}

IOStatus FaultyFileSystem::NewSequentialFile(const std::string& name, const rocksdb::FileOptions& options,
                                             std::unique_ptr<rocksdb::FSSequentialFile>* file, IODebugContext* debug) {
  const std::shared_ptr<Content> content = Find(name);
  if (!content) return FileSystemWrapper::NewSequentialFile(name, options, file, debug);
  std::unique_ptr<rocksdb::FSRandomAccessFile> target;
  IOStatus status = FileSystemWrapper::NewRandomAccessFile(name, options, &target, debug);
  if (!status.ok()) return status;
  *file = std::make_unique<SequentialFile>(std::make_unique<RandomAccessFile>(std::move(target), content));
  return status;
}

IOStatus FaultyFileSystem::NewDirectory(const std::string& name, const IOOptions& options,
                                        std::unique_ptr<rocksdb::FSDirectory>* directory, IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSDirectory> target;
  IOStatus status = FileSystemWrapper::NewDirectory(name, options, &target, debug);
  if (status.ok()) *directory = std::make_unique<Directory>(std::move(target), *this);
  return status;
}

IOStatus FaultyFileSystem::GetFileSize(const std::string& name, const IOOptions& options, std::uint64_t* size,
                                       IODebugContext* debug) {
  if (const std::shared_ptr<Content> content = Find(name)) {
    *size = content->Size();
    return IOStatus::OK();
  }
  return FileSystemWrapper::GetFileSize(name, options, size, debug);
}

IOStatus FaultyFileSystem::DeleteFile(const std::string& name, const IOOptions& options, IODebugContext* debug) {
  IOStatus status = FileSystemWrapper::DeleteFile(name, options, debug);
  if (status.ok()) {
    const MutexLock lock(mutex_);
    contents_.erase(name);
  }
  return status;
}

IOStatus FaultyFileSystem::RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                                      IODebugContext* debug) {
  const bool fails = Fails();
  if (fails && Choose(2) == 0) return NoSpace();
  IOStatus status = FileSystemWrapper::RenameFile(from, to, options, debug);
  if (status.ok()) {
    const MutexLock lock(mutex_);
    auto node = contents_.extract(from);
    contents_.erase(to);
    if (!node.empty()) {
      node.key() = to;
      contents_.insert(std::move(node));
    }
  }
  if (fails && status.ok()) return NoSpace();
  return status;
}

}  // namespace corod
