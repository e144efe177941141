#ifndef COROD_CLIENT_CLI_LINE_READER_H_
#define COROD_CLIENT_CLI_LINE_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace corod::cli {

// Where the cuts are made in what is read.
enum class Cut : std::uint8_t {
  kLines,          // without their line ends, which are \n and \r\n
  kLinesWithEnds,  // with them; a line of more than `LineReader::kPiece` bytes comes in pieces
  kBlocks,         // wherever it pauses, and after `LineReader::kPiece` bytes
};

// Reads a file descriptor line by line, as its bytes come. For one thread.
class LineReader {
 public:
  static constexpr std::size_t kPiece = std::size_t{64} << 10;
  static constexpr std::size_t kLongestLine = std::size_t{16} << 20;

  struct Line {
    std::string bytes;
    // Counts from 1; for blocks, that of the block.
    std::uint64_t number;
  };

  // Reading ends when `stop` becomes readable. Both stay the caller's.
  LineReader(int fd, int stop, Cut cut) : fd_(fd), stop_(stop), cut_(cut) {}

  // The next line; waits for it. nullopt: the end, or a stop. INVALID_ARGUMENT: it cannot be read, or a line is too
  // long.
  absl::StatusOr<std::optional<Line>> Next();

 private:
  // Reads what there is into read_. False: the end, or a stop.
  absl::StatusOr<bool> Fill();
  std::optional<Line> TakeLine();
  Line TakePiece(std::size_t size);

  const int fd_;
  const int stop_;
  const Cut cut_;
  std::string read_;          // what was read and not returned
  std::size_t start_ = 0;     // of what was not returned
  std::size_t searched_ = 0;  // up to here there is no line end
  std::uint64_t number_ = 1;  // of the line that comes next
  bool at_end_ = false;
};

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_LINE_READER_H_
