#ifndef COROD_SERVER_JOURNAL_ROCKS_FILE_SYSTEM_H_
#define COROD_SERVER_JOURNAL_ROCKS_FILE_SYSTEM_H_

#include <rocksdb/file_system.h>

#include <atomic>
#include <memory>
#include <string>

namespace corod {

// The file system as RocksDB gets it. Thread-safe.
//
// It does not delete the manifest that CURRENT names: without it the database cannot be opened any more. RocksDB before
// 9.5 deletes it if a write fails while it begins a new one (https://github.com/facebook/rocksdb/pull/12865). What is
// kept so is deleted when the database was opened and CURRENT names another.
class RocksFileSystem : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;

  // From now on no file is made: no table, so that nothing is in one that is not in the write-ahead log.
  void RefuseNewFiles() { refuses_ = true; }

  const char* Name() const override { return "RocksFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  // Busy: CURRENT names it, or cannot be read.
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

 private:
  std::atomic<bool> refuses_{false};
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_ROCKS_FILE_SYSTEM_H_
