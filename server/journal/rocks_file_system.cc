#include "server/journal/rocks_file_system.h"

#include <rocksdb/env.h>

#include <cstddef>
#include <string_view>

namespace corod {

rocksdb::IOStatus RocksFileSystem::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                                   std::unique_ptr<rocksdb::FSWritableFile>* file,
                                                   rocksdb::IODebugContext* debug) {
  if (refuses_) return rocksdb::IOStatus::IOError(name + " is not made: the write-ahead log could not be synced");
  return FileSystemWrapper::NewWritableFile(name, options, file, debug);
}

rocksdb::IOStatus RocksFileSystem::DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                                              rocksdb::IODebugContext* debug) {
  const std::size_t slash = name.rfind('/') + 1;  // 0 if there is none
  const std::string_view file = std::string_view(name).substr(slash);
  if (file.starts_with("MANIFEST-")) {
    const std::string current = name.substr(0, slash) + "CURRENT";
    std::string text;
    const rocksdb::Status read = rocksdb::ReadFileToString(target(), current, &text);
    // Without a CURRENT there is no database yet.
    if (!read.ok() && !FileExists(current, options, debug).IsNotFound()) {
      return rocksdb::IOStatus::Busy(current + " cannot be read, and may name " + name);
    }
    if (read.ok() && text == std::string(file) + "\n") return rocksdb::IOStatus::Busy(current + " names " + name);
  }
  return FileSystemWrapper::DeleteFile(name, options, debug);
}

}  // namespace corod
