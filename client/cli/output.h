#ifndef COROD_CLIENT_CLI_OUTPUT_H_
#define COROD_CLIENT_CLI_OUTPUT_H_

#include <string>
#include <string_view>

namespace corod::cli {

// What a command writes to: lines on stdout, which are gathered, and lines on stderr, which appear at once.
//
// One thread at a time prints; any may Tell. When stdout breaks, what follows is dropped, and `error` says why.
class Output {
 public:
  // File descriptors, which stay the caller's.
  Output(int out, int err) : out_(out), err_(err) {}

  // Writes `line` and a line end to stdout, by the next Flush at the latest.
  void Print(std::string_view line);
  // Writes `bytes` to stdout as they are, as Print.
  void Write(std::string_view bytes);
  // Writes what was printed. False: stdout is broken.
  bool Flush();
  // Writes `line` and a line end to stderr.
  void Tell(std::string_view line);
  // Writes `text` to stderr as it is.
  void Draw(std::string_view text);

  // The errno of the write to stdout that failed; 0: none has.
  int error() const { return error_; }

 private:
  const int out_;
  const int err_;
  std::string printed_;
  int error_ = 0;
};

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_OUTPUT_H_
