#include "client/cli/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "server/coroutine/utf8.h"

namespace corod::cli {
namespace {

constexpr std::size_t kChunk = std::size_t{64} << 10;

// 0, or the errno of the failure.
int ReadAll(int fd, std::string& text) {
  std::array<char, kChunk> chunk;
  while (true) {
    const ssize_t size = read(fd, chunk.data(), chunk.size());
    if (size == 0) return 0;
    if (size > 0) {
      text.append(chunk.data(), static_cast<std::size_t>(size));
    } else if (errno != EINTR) {
      return errno;
    }
  }
}

}  // namespace

absl::StatusOr<std::string> ReadText(const std::string& file, const Io& io) {
  const bool is_stdin = file == "-";
  const std::string name = is_stdin ? "stdin" : file;
  const int fd = is_stdin ? io.in : open(file.c_str(), O_RDONLY | O_CLOEXEC);
  std::string text;
  const int error = fd < 0 ? errno : ReadAll(fd, text);
  if (!is_stdin && fd >= 0) close(fd);
  if (error != 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read ", name, ": ", std::generic_category().message(error)));
  }
  if (!IsUtf8(text)) return absl::InvalidArgumentError(absl::StrCat(name, " is not UTF-8"));
  return text;
}

int TellWrongUsage(const absl::Status& what, Context& context) {
  context.output.Flush();
  context.output.Tell(absl::StrCat("coroctl: ", what.message()));
  return kWrongUsage;
}

}  // namespace corod::cli
