#ifndef COROD_TESTS_UNIT_CLIENT_RUN_COROCTL_H_
#define COROD_TESTS_UNIT_CLIENT_RUN_COROCTL_H_

#include <string>
#include <vector>

#include "client/cli/context.h"
#include "tests/unit/client/fake_world.h"

namespace corod::cli {

// What coroctl did.
struct Ran {
  int status = 0;
  std::string out;
  std::string err;
};

// Runs coroctl in this process, in a world of its own. `input`: what its stdin holds.
Ran RunCoroctl(const std::vector<std::string>& arguments, const std::string& input = "");

// The same with a stdin of the caller's (-1: empty), on terminals if `io` says so; its `out` and `err` are not used.
Ran RunCoroctl(const std::vector<std::string>& arguments, Io io, const client::Dependencies& dependencies);

// A file without a name that holds `bytes`, to be read from its beginning.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& bytes = "");
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int fd() const { return fd_; }
  std::string Contents() const;

 private:
  int fd_;
};

}  // namespace corod::cli

#endif  // COROD_TESTS_UNIT_CLIENT_RUN_COROCTL_H_
