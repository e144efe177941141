#ifndef COROD_SERVER_JOURNAL_MANIFEST_GUARD_H_
#define COROD_SERVER_JOURNAL_MANIFEST_GUARD_H_

#include <rocksdb/file_system.h>

#include <string>

namespace corod {

// The file system beneath RocksDB, which does not delete the manifest that CURRENT names: without it the database
// cannot be opened any more. RocksDB before 9.5 deletes it if a write fails while it begins a new one
// (https://github.com/facebook/rocksdb/pull/12865). What is kept so is deleted when the database was opened and CURRENT
// names another.
class ManifestGuard : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;

  const char* Name() const override { return "ManifestGuard"; }
  // Busy: CURRENT names it, or cannot be read.
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_MANIFEST_GUARD_H_
