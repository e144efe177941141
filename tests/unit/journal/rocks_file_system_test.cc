#include "server/journal/rocks_file_system.h"

#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <filesystem>
#include <memory>
#include <string>

#include "tests/unit/journal/journal_test_base.h"

namespace corod {
namespace {

class RocksFileSystemTest : public testing::Test {
 protected:
  RocksFileSystemTest() { std::filesystem::create_directory(directory_.path()); }
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(rocksdb::WriteStringToFile(target_.get(), text, Path(name)).ok());
  }
  bool Deletes(const std::string& name) {
    const rocksdb::IOStatus status = system_.DeleteFile(Path(name), {}, nullptr);
    EXPECT_TRUE(status.ok() || status.IsBusy()) << status.ToString();
    EXPECT_EQ(target_->FileExists(Path(name), {}, nullptr).ok(), !status.ok());
    return status.ok();
  }

  OwnDirectory directory_;
  std::shared_ptr<rocksdb::FileSystem> target_ = rocksdb::FileSystem::Default();
  RocksFileSystem system_{target_};
};

TEST_F(RocksFileSystemTest, KeepsTheManifestThatCurrentNames) {
  for (const char* name : {"MANIFEST-000024", "MANIFEST-000025", "MANIFEST-0000240", "000024.sst"}) Write(name, "x");
  Write("CURRENT", "MANIFEST-000024\n");
  EXPECT_FALSE(Deletes("MANIFEST-000024"));
  EXPECT_TRUE(Deletes("MANIFEST-000025"));
  EXPECT_TRUE(Deletes("MANIFEST-0000240"));
  EXPECT_TRUE(Deletes("000024.sst"));
  Write("CURRENT", "MANIFEST-000025\n");
  EXPECT_TRUE(Deletes("MANIFEST-000024"));
}

TEST_F(RocksFileSystemTest, KeepsEveryManifestWhileCurrentCannotBeRead) {
  Write("MANIFEST-000001", "x");
  ASSERT_TRUE(target_->CreateDir(Path("CURRENT"), {}, nullptr).ok());
  EXPECT_FALSE(Deletes("MANIFEST-000001"));
  ASSERT_TRUE(target_->DeleteDir(Path("CURRENT"), {}, nullptr).ok());
  EXPECT_TRUE(Deletes("MANIFEST-000001")) << "no database was made yet";
}

TEST_F(RocksFileSystemTest, MakesNoFileWhenItIsTold) {
  const auto makes = [this](const std::string& name) {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    return system_.NewWritableFile(Path(name), {}, &file, nullptr).ok();
  };
  EXPECT_TRUE(makes("000001.sst"));
  system_.RefuseNewFiles();
  EXPECT_FALSE(makes("000002.sst"));
  EXPECT_TRUE(target_->FileExists(Path("000002.sst"), {}, nullptr).IsNotFound());
}

}  // namespace
}  // namespace corod
