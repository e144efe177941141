#include "client/cli/line_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "client/cli/wakeup.h"
#include "tests/unit/client/run_coroctl.h"

namespace corod::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Read(const std::string& input, Cut cut) {
  const MemoryFile file(input);
  const Wakeup stop;
  LineReader reader(file.fd(), stop.fd(), cut);
  std::vector<std::string> lines;
  while (true) {
    absl::StatusOr<std::optional<LineReader::Line>> line = reader.Next();
    EXPECT_TRUE(line.ok()) << line.status();
    if (!line.ok() || !*line) return lines;
    if (cut == Cut::kLines) EXPECT_EQ((*line)->number, lines.size() + 1);
    lines.push_back((*line)->bytes);
  }
}

std::string Joined(const std::vector<std::string>& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  return all;
}

TEST(LineReaderTest, LinesLoseTheirEnds) {
  EXPECT_THAT(Read("a\nb\r\n\nc", Cut::kLines), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(Read("a\n", Cut::kLines), ElementsAre("a"));
  EXPECT_THAT(Read("a\r\rb\r", Cut::kLines), ElementsAre("a\r\rb\r"));
  EXPECT_THAT(Read("", Cut::kLines), IsEmpty());
}

TEST(LineReaderTest, LinesKeepTheirEndsWhereThatIsAsked) {
  EXPECT_THAT(Read("a\nb\r\n\nc", Cut::kLinesWithEnds), ElementsAre("a\n", "b\r\n", "\n", "c"));
}

TEST(LineReaderTest, LinesMayBeLongerThanWhatIsReadAtOnce) {
  const std::string line(3 * LineReader::kPiece + 5, 'x');
  EXPECT_THAT(Read(line + "\ny\n", Cut::kLines), ElementsAre(line, "y"));
}

TEST(LineReaderTest, LongLinesWithEndsComeInPiecesOfWholeCharacters) {
  std::string input = "x";
  for (std::size_t i = 0; i < LineReader::kPiece; ++i) input += "\xe2\x82\xac";
  const std::vector<std::string> pieces = Read(input + "\ny", Cut::kLinesWithEnds);
  EXPECT_GT(pieces.size(), 3u);
  EXPECT_EQ(Joined(pieces), input + "\ny");
  for (const std::string& piece : pieces) EXPECT_NE(static_cast<unsigned char>(piece.front()) & 0xc0, 0x80);
}

TEST(LineReaderTest, BlocksAreWhateverComes) {
  const std::string input(2 * LineReader::kPiece + 5, '\n');
  EXPECT_EQ(Joined(Read(input, Cut::kBlocks)), input);
  EXPECT_THAT(Read("a\nb", Cut::kBlocks), ElementsAre("a\nb"));
}

TEST(LineReaderTest, LineWithoutEndIsRefused) {
  const MemoryFile file(std::string(LineReader::kLongestLine + 1, 'x'));
  const Wakeup stop;
  LineReader reader(file.fd(), stop.fd(), Cut::kLines);
  const absl::Status status = reader.Next().status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("line 1 of stdin is longer than 16 MiB"));
}

TEST(LineReaderTest, StopEndsAWait) {
  std::array<int, 2> pipe_ends;
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  Wakeup stop;
  LineReader reader(pipe_ends[0], stop.fd(), Cut::kLines);
  ASSERT_EQ(write(pipe_ends[1], "a\nhalf", 6), 6);
  EXPECT_EQ((*reader.Next())->bytes, "a");
  std::thread stopper([&] { stop.Wake(); });
  EXPECT_FALSE((*reader.Next()).has_value());
  EXPECT_FALSE((*reader.Next()).has_value());
  stopper.join();
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST(LineReaderTest, WhatCannotBeReadIsAnError) {
  const int folder = open("/", O_RDONLY | O_DIRECTORY);
  const Wakeup stop;
  LineReader reader(folder, stop.fd(), Cut::kLines);
  EXPECT_TRUE(absl::IsInvalidArgument(reader.Next().status()));
  close(folder);
}

}  // namespace
}  // namespace corod::cli
