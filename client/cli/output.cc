#include "client/cli/output.h"

#include <unistd.h>

#include <cerrno>

namespace corod::cli {
namespace {

constexpr std::size_t kGathered = std::size_t{64} << 10;

// 0, or the errno of the failure.
int WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

void Output::Print(std::string_view line) {
  printed_ += line;
  Write("\n");
}

void Output::Write(std::string_view bytes) {
  printed_ += bytes;
  if (printed_.size() >= kGathered) Flush();
}

bool Output::Flush() {
  if (error_ == 0) error_ = WriteAll(out_, printed_);
  printed_.clear();
  return error_ == 0;
}

void Output::Tell(std::string_view line) { Draw(std::string(line) + "\n"); }

void Output::Draw(std::string_view text) {
  // There is nowhere to say that stderr is broken.
  static_cast<void>(WriteAll(err_, text));
}

}  // namespace corod::cli
