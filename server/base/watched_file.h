#ifndef COROD_SERVER_BASE_WATCHED_FILE_H_
#define COROD_SERVER_BASE_WATCHED_FILE_H_

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace corod {

// The whole of a small file; or, in one line that names it, why it cannot be had: it is missing, cannot be read, is no
// file or larger than 4 MiB. `stamp`, if not null, is what fstat said if it said the same before and after.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, std::optional<struct stat>* stamp = nullptr);

// A small file that is replaced now and then. For one thread at a time.
class WatchedFile {
 public:
  explicit WatchedFile(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }

  // Whether it may be another one than was read last: its time of change, size or inode is, or it could not be read, or
  // was changed meanwhile.
  bool IsChanged() const;
  // As ReadSmallFile.
  absl::StatusOr<std::string> Read();

 private:
  struct Stamp {
    std::uint64_t device = 0, inode = 0;
    std::int64_t size = 0, seconds = 0, nanoseconds = 0;

    friend bool operator==(const Stamp&, const Stamp&) = default;
  };

  static Stamp StampOf(const struct stat& status);

  std::string path_;
  std::optional<Stamp> read_;  // nothing: it is to be read again
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_WATCHED_FILE_H_
