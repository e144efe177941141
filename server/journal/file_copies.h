#ifndef COROD_SERVER_JOURNAL_FILE_COPIES_H_
#define COROD_SERVER_JOURNAL_FILE_COPIES_H_

#include <rocksdb/file_system.h>
#include <rocksdb/io_status.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace corod {

// Copies files and directories, through a file system that may fail. What it makes is synced before it returns, but for
// the name of the topmost. For one thread.
class FileCopies {
 public:
  // `file_system`: null: the machine's. `cancelled`: ends a copy that is being made, as Aborted; outlives this.
  FileCopies(std::shared_ptr<rocksdb::FileSystem> file_system, const std::atomic<bool>& cancelled);

  enum class Links : std::uint8_t {
    kNone,
    // Files that nobody writes to any more may stand under a second name in place of a copy: RocksDB's tables.
    kTables,
    kAll,
  };
  rocksdb::IOStatus MakeDirectory(const std::string& path);
  rocksdb::IOStatus CopyFile(const std::string& from, const std::string& to);
  // `skips`: names right in `from` that are left out. `to` is made; its files have the names that they have in `from`.
  rocksdb::IOStatus CopyDirectory(const std::string& from, const std::string& to, Links links,
                                  const std::function<bool(std::string_view)>& skips = nullptr);
  // Also if there is none.
  rocksdb::IOStatus RemoveDirectory(const std::string& path);
  rocksdb::IOStatus SyncDirectory(const std::string& path);

  // Makes the directory `path` as a whole or not at all: `fill` puts what it holds into another one beside it, which is
  // then renamed. `path` is of nothing or of an empty directory. After a failure there is neither, if the file system
  // lets them be removed.
  rocksdb::IOStatus MakeWhole(const std::string& path,
                              const std::function<rocksdb::IOStatus(const std::string& draft)>& fill);

  // Of all files that were made so far.
  std::uint64_t bytes() const { return bytes_; }

 private:
  rocksdb::IOStatus LinkOrCopy(const std::string& from, const std::string& to);
  rocksdb::IOStatus ListDirectory(const std::string& path, std::vector<std::string>* names);

  const std::shared_ptr<rocksdb::FileSystem> file_system_;
  const std::atomic<bool>& cancelled_;
  std::uint64_t bytes_ = 0;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_FILE_COPIES_H_
