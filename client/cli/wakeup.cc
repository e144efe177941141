#include "client/cli/wakeup.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

namespace corod::cli {
namespace {

int OpenEvent() {
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  return fd;
}

}  // namespace

Wakeup::Wakeup() : fd_(OpenEvent()) {}

Wakeup::~Wakeup() { close(fd_); }

void Wakeup::Wake() {
  const std::uint64_t one = 1;
  // It can only fail because the event has been set 2^64 - 2 times, and then it is readable.
  static_cast<void>(write(fd_, &one, sizeof(one)));
}

}  // namespace corod::cli
