#include "server/base/watched_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/base/temporary_files.h"

namespace corod {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

void SetTimeOfChange(const std::string& path, long seconds, long nanoseconds) {
  const struct timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

class WatchedFileTest : public testing::Test {
 protected:
  void SetUp() override {
    SetTimeOfChange(path_, 1000, 500);
    ASSERT_TRUE(file_.IsChanged()) << "not read yet";
    ASSERT_EQ(file_.Read().value(), "abc");
    ASSERT_FALSE(file_.IsChanged());
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_.Put("file", "abc");
  WatchedFile file_{path_};
};

TEST_F(WatchedFileTest, ANanosecondIsAChange) {
  SetTimeOfChange(path_, 1000, 501);
  EXPECT_TRUE(file_.IsChanged());
  EXPECT_EQ(file_.Read().value(), "abc");
  EXPECT_FALSE(file_.IsChanged());
}

TEST_F(WatchedFileTest, AnotherSizeIsAChange) {
  std::ofstream(path_) << "abcd";
  SetTimeOfChange(path_, 1000, 500);
  EXPECT_TRUE(file_.IsChanged());
  EXPECT_EQ(file_.Read().value(), "abcd");
}

TEST_F(WatchedFileTest, AnotherFileInItsPlaceIsAChange) {
  folder_.Put("file", "xyz");
  SetTimeOfChange(path_, 1000, 500);
  EXPECT_TRUE(file_.IsChanged());
  EXPECT_EQ(file_.Read().value(), "xyz");
  EXPECT_FALSE(file_.IsChanged());
}

TEST_F(WatchedFileTest, AnotherTargetOfALinkIsAChange) {
  const std::string first = folder_.Put("first", "abc"), second = folder_.Put("second", "def");
  SetTimeOfChange(first, 1000, 500);
  SetTimeOfChange(second, 1000, 500);
  std::filesystem::create_symlink(first, folder_.Path("link"));
  WatchedFile link(folder_.Path("link"));
  ASSERT_EQ(link.Read().value(), "abc");
  ASSERT_FALSE(link.IsChanged());
  std::filesystem::create_symlink(second, folder_.Path("link.new"));
  std::filesystem::rename(folder_.Path("link.new"), folder_.Path("link"));
  EXPECT_TRUE(link.IsChanged());
  EXPECT_EQ(link.Read().value(), "def");
}

TEST_F(WatchedFileTest, WhatCannotBeReadIsTriedAgain) {
  folder_.Remove("file");
  EXPECT_TRUE(file_.IsChanged());
  const absl::Status status = file_.Read().status();
  EXPECT_THAT(std::string(status.message()), StartsWith(path_ + ": it cannot be read: No such file"));
  EXPECT_TRUE(file_.IsChanged());
  folder_.Put("file", "abc");
  SetTimeOfChange(path_, 1000, 500);
  EXPECT_EQ(file_.Read().value(), "abc");
  EXPECT_FALSE(file_.IsChanged());
}

TEST_F(WatchedFileTest, AFolderIsNoFile) {
  EXPECT_THAT(std::string(ReadSmallFile(folder_.Path("")).status().message()), HasSubstr("it is no file"));
}

TEST_F(WatchedFileTest, APipeIsNotWaitedFor) {
  const std::string pipe = folder_.Path("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(std::string(ReadSmallFile(pipe).status().message()), HasSubstr("it is no file"));
}

TEST_F(WatchedFileTest, LargeFilesAreRefused) {
  constexpr std::size_t kMost = std::size_t{4} << 20;
  EXPECT_EQ(ReadSmallFile(folder_.Put("large", std::string(kMost, 'a'))).value().size(), kMost);
  EXPECT_THAT(std::string(ReadSmallFile(folder_.Put("large", std::string(kMost + 1, 'a'))).status().message()),
              HasSubstr("it is larger than 4 MiB"));
}

}  // namespace
}  // namespace corod
