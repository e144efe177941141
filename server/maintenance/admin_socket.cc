#include "server/maintenance/admin_socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "server/log/log.h"

namespace corod::maintenance {
namespace {

// Binds a socket there and removes it: whether the file system has sockets. REQUIRES: the path is not too long.
absl::Status TryToBind(const std::string& path) {
  const auto failed = [&path] { return absl::UnavailableError(absl::StrCat(path, ": ", std::strerror(errno))); };
  const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (file < 0) return failed();
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  absl::Status status;
  if (bind(file, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    status = failed();
  } else if (unlink(path.c_str()) != 0) {
    status = failed();
  }
  close(file);
  return status;
}

}  // namespace

std::string AdminSocketPath(const std::string& data_dir) { return data_dir + "/admin.sock"; }

absl::Status CheckSocketPath(const std::string& path) {
  constexpr std::size_t kMaxBytes = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() <= kMaxBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the path of a socket has ", kMaxBytes, " bytes at most, and ", path, " has ", path.size()));
}

AdminSocket::AdminSocket(const std::string& data_dir) {
  const std::string path = AdminSocketPath(data_dir);
  absl::Status status = CheckSocketPath(path);
  struct stat there = {};
  if (status.ok() && lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      status = absl::FailedPreconditionError(absl::StrCat(path, " is there and is no socket"));
    } else if (unlink(path.c_str()) != 0) {
      status = absl::UnavailableError(absl::StrCat(path, " cannot be removed: ", std::strerror(errno)));
    }
  }
  if (status.ok()) status = TryToBind(path);
  if (status.ok()) {
    path_ = path;
  } else {
    COROD_LOG(kServer, kWarning, "there is no socket for the server's owner, so no backup while it runs",
              {{"error", status}});
  }
}

AdminSocket::~AdminSocket() {
  if (!path_.empty()) unlink(path_.c_str());
}

void AdminSocket::ForTheOwnerAlone(const std::function<void()>& listen) {
  const mode_t before = umask(0177);
  listen();
  umask(before);
}

}  // namespace corod::maintenance
