#include "server/base/watched_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"

namespace corod {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{4} << 20;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return number_; }

 private:
  const int number_;
};

bool IsSame(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, std::optional<struct stat>* stamp) {
  const auto refuse = [&path](const std::string& why) { return absl::InvalidArgumentError(path + ": " + why); };
  const auto unreadable = [&refuse] { return refuse(std::string("it cannot be read: ") + std::strerror(errno)); };
  if (stamp) stamp->reset();
  // Without waiting for whoever would write into a pipe.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat before{};
  if (file.get() < 0 || fstat(file.get(), &before) != 0) return unreadable();
  if (!S_ISREG(before.st_mode)) return refuse("it is no file");
  if (static_cast<std::size_t>(before.st_size) > kMaxBytes) return refuse("it is larger than 4 MiB");
  std::string content;
  while (true) {
    constexpr std::size_t kStep = std::size_t{64} << 10;
    const std::size_t had = content.size();
    if (had > kMaxBytes) return refuse("it is larger than 4 MiB");
    content.resize(had + kStep);
    const ssize_t got = read(file.get(), content.data() + had, kStep);
    if (got < 0 && errno != EINTR) return unreadable();
    content.resize(had + static_cast<std::size_t>(got < 0 ? 0 : got));
    if (got == 0) break;
  }
  struct stat after{};
  if (stamp && fstat(file.get(), &after) == 0 && IsSame(before, after)) *stamp = before;
  return content;
}

WatchedFile::Stamp WatchedFile::StampOf(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

bool WatchedFile::IsChanged() const {
  struct stat status{};
  return !read_ || stat(path_.c_str(), &status) != 0 || *read_ != StampOf(status);
}

absl::StatusOr<std::string> WatchedFile::Read() {
  std::optional<struct stat> stamp;
  absl::StatusOr<std::string> content = ReadSmallFile(path_, &stamp);
  read_.reset();
  if (content.ok() && stamp) read_ = StampOf(*stamp);
  return content;
}

}  // namespace corod
