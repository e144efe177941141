#ifndef COROD_TESTS_FAULTY_FS_FAULTY_FILE_SYSTEM_H_
#define COROD_TESTS_FAULTY_FS_FAULTY_FILE_SYSTEM_H_

#include <rocksdb/file_system.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "absl/base/thread_annotations.h"
#include "server/base/mutex.h"

namespace corod {

// A file system on which writes fail and power is lost. Thread-safe. What is chosen at random is chosen by the seed, in
// the order of the calls.
//
// With `power_cut`, what is written to a file stays in this process's memory until the file is synced, but for a random
// part of it that may be written before: of what is appended up to a multiple of 512 bytes in the file, of what is
// written over (FSRandomRWFile) any sectors of 512 bytes. So SIGKILL loses what a loss of power would. Within the
// process reads and sizes show all data. Nothing is really synced. Names (create, rename, delete) change at once.
// Destroying the file system writes what is left, as a machine that goes on does; but not what was written over when a
// sync of it failed, which may never be written, as on Linux.
class FaultyFileSystem : public rocksdb::FileSystemWrapper {
 public:
  struct Options {
    std::uint64_t seed = 0;
    bool power_cut = false;
    // Of each write, sync (of directories, too), new file and rename, also when it was done all the same (or a write in
    // part).
    double failure_probability = 0;
  };

  FaultyFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target, Options options);
  ~FaultyFileSystem() override;

  // As a full disk: from now on every write, sync, new file and rename fails; of a write a part may land.
  void FailWrites() { fail_writes_ = true; }
  void AllowWrites() { fail_writes_ = false; }
  // As a disk that is full for whatever takes new room: new files and appends fail.
  void FailNewFiles(bool fail) { fail_new_files_ = fail; }
  void SetFailureProbability(double probability) { failure_probability_ = probability; }
  // How many calls failed.
  std::uint64_t failures() const { return failures_; }

  const char* Name() const override { return "FaultyFileSystem"; }
  rocksdb::IOStatus NewSequentialFile(const std::string& name, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* file,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomRWFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSRandomRWFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  // Not offered.
  rocksdb::IOStatus ReuseWritableFile(const std::string& name, const std::string& old_name,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* file,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& name, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus GetFileSize(const std::string& name, const rocksdb::IOOptions& options, std::uint64_t* size,
                                rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

 private:
  class Content;
  struct AppendedContent;
  struct OverwrittenContent;
  class WritableFile;
  class RandomRWFile;
  class SequentialFile;
  class RandomAccessFile;
  class Directory;

  // A number below `end`.
  std::uint64_t Choose(std::uint64_t end);
  // Whether this call fails.
  bool Fails();
  std::shared_ptr<Content> Find(const std::string& name);
  rocksdb::IOStatus Add(const std::string& name, std::unique_ptr<rocksdb::FSWritableFile> target, std::uint64_t size,
                        std::unique_ptr<rocksdb::FSWritableFile>* file);

  const bool power_cut_;
  std::atomic<bool> fail_writes_{false};
  std::atomic<bool> fail_new_files_{false};
  std::atomic<double> failure_probability_;
  std::atomic<std::uint64_t> failures_{0};
  Mutex random_mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(random_mutex_);
  Mutex mutex_;
  // Of files that were opened for writing; by name.
  std::map<std::string, std::shared_ptr<Content>> contents_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_TESTS_FAULTY_FS_FAULTY_FILE_SYSTEM_H_
