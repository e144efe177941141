#include "client/cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/coroutine/utf8.h"

namespace corod::cli {

absl::StatusOr<std::optional<LineReader::Line>> LineReader::Next() {
  while (true) {
    if (std::optional<Line> line = TakeLine()) return line;
    if (at_end_) return std::optional<Line>();
    if (cut_ == Cut::kLines && read_.size() - start_ > kLongestLine) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number_, " of stdin is longer than ", kLongestLine >> 20, " MiB; see --chunks"));
    }
    const absl::StatusOr<bool> more = Fill();
    if (!more.ok()) return more.status();
    at_end_ = !*more;
  }
}

std::optional<LineReader::Line> LineReader::TakeLine() {
  const std::size_t size = read_.size() - start_;
  if (size == 0) return std::nullopt;
  if (cut_ == Cut::kBlocks) {
    Line block = TakePiece(size);
    ++number_;
    return block;
  }
  const std::size_t end = read_.find('\n', searched_);
  searched_ = end == std::string::npos ? read_.size() : end + 1;
  if (end == std::string::npos && !at_end_) {
    if (cut_ != Cut::kLinesWithEnds || size < kPiece) return std::nullopt;
    // Whoever takes lines with their ends takes pieces of them; a piece ends at the end of a character.
    return TakePiece(CompleteUtf8Prefix(std::string_view(read_).substr(start_)));
  }
  Line line = TakePiece(searched_ - start_);
  ++number_;
  if (cut_ == Cut::kLines && end != std::string::npos) {
    line.bytes.pop_back();
    if (line.bytes.ends_with('\r')) line.bytes.pop_back();
  }
  return line;
}

LineReader::Line LineReader::TakePiece(std::size_t size) {
  Line line{.bytes = read_.substr(start_, size), .number = number_};
  start_ += size;
  if (searched_ < start_) searched_ = start_;
  return line;
}

absl::StatusOr<bool> LineReader::Fill() {
  read_.erase(0, start_);
  searched_ -= start_;
  start_ = 0;
  std::array<pollfd, 2> ready = {pollfd{.fd = fd_, .events = POLLIN, .revents = 0},
                                 pollfd{.fd = stop_, .events = POLLIN, .revents = 0}};
  while (true) {
    if (poll(ready.data(), ready.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return absl::InvalidArgumentError("cannot wait for stdin: " + std::generic_category().message(errno));
    }
    if (ready[1].revents != 0) {
      read_.clear();  // the beginning of a line is no line
      searched_ = 0;
      return false;
    }
    const std::size_t before = read_.size();
    read_.resize(before + kPiece);
    const ssize_t size = read(fd_, read_.data() + before, kPiece);
    const int error = errno;
    read_.resize(before + (size > 0 ? static_cast<std::size_t>(size) : 0));
    if (size >= 0) return size > 0;
    if (error != EINTR && error != EAGAIN) {
      return absl::InvalidArgumentError("cannot read stdin: " + std::generic_category().message(error));
    }
  }
}

}  // namespace corod::cli
