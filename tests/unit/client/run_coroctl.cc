#include "tests/unit/client/run_coroctl.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "client/cli/coroctl.h"

namespace corod::cli {

MemoryFile::MemoryFile(const std::string& bytes) : fd_(memfd_create("test", MFD_CLOEXEC)) {
  if (fd_ < 0 || write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
      lseek(fd_, 0, SEEK_SET) != 0) {
    throw std::runtime_error("no file in memory");
  }
}

MemoryFile::~MemoryFile() { close(fd_); }

std::string MemoryFile::Contents() const {
  std::string contents;
  std::array<char, 4096> buffer;
  for (off_t at = 0;;) {
    const ssize_t size = pread(fd_, buffer.data(), buffer.size(), at);
    if (size <= 0) return contents;
    contents.append(buffer.data(), static_cast<std::size_t>(size));
    at += size;
  }
}

Ran RunCoroctl(const std::vector<std::string>& arguments, const std::string& input) {
  const MemoryFile in(input);
  return RunCoroctl(arguments, Io{.in = in.fd()}, client::FakeWorld().dependencies);
}

Ran RunCoroctl(const std::vector<std::string>& arguments, Io io, const client::Dependencies& dependencies) {
  const MemoryFile out;
  const MemoryFile err;
  io.out = out.fd();
  io.err = err.fd();
  const int status = Run(arguments, io, dependencies);
  return {.status = status, .out = out.Contents(), .err = err.Contents()};
}

}  // namespace corod::cli
