#include "server/journal/manifest_guard.h"

#include <rocksdb/env.h>

#include <cstddef>
#include <string_view>

namespace corod {

rocksdb::IOStatus ManifestGuard::DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
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
