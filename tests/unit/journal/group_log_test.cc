#include "server/journal/group_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "server/journal/log_entries.h"
#include "tests/faulty_fs/faulty_file_system.h"
#include "tests/unit/journal/journal_test_base.h"

namespace corod {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::size_t kSegmentBytes = 512;

class GroupLogTest : public testing::Test {
 protected:
  std::unique_ptr<GroupLog> New(std::shared_ptr<rocksdb::FileSystem> file_system = rocksdb::FileSystem::Default(),
                                const std::string& directory = "") {
    return std::make_unique<GroupLog>(GroupLog::Options{.file_system = std::move(file_system),
                                                        .directory = directory.empty() ? path() : directory,
                                                        .segment_bytes = kSegmentBytes});
  }
  // One that begins anew.
  std::unique_ptr<GroupLog> Begun(std::shared_ptr<rocksdb::FileSystem> file_system = rocksdb::FileSystem::Default()) {
    std::unique_ptr<GroupLog> log = New(std::move(file_system));
    EXPECT_TRUE(log->Open().ok());
    EXPECT_TRUE(log->Begin().ok());
    return log;
  }
  // As the journal does it. `keep`: how many full segments stay.
  static rocksdb::IOStatus Append(GroupLog& log, const std::string& record, std::size_t keep = 1'000) {
    while (!log.HasRoom(record.size())) {
      while (log.full_segments() >= keep) {
        if (rocksdb::IOStatus status = log.RecycleOldest(); !status.ok()) return status;
      }
      if (!log.NeedsOwnSegment(record.size()) && !log.SpareIsReady()) {
        if (rocksdb::IOStatus status = log.PrepareSpare(); !status.ok()) return status;
      }
      if (rocksdb::IOStatus status = log.Turn(record.size()); !status.ok()) return status;
    }
    std::string_view where;
    rocksdb::IOStatus status = log.Append(record, &where);
    if (status.ok()) EXPECT_EQ(where, record);
    return status;
  }
  static std::vector<std::string> Found(GroupLog& log) {
    const rocksdb::IOStatus opened = log.Open();
    EXPECT_TRUE(opened.ok()) << opened.ToString();
    return {log.found().begin(), log.found().end()};
  }
  std::vector<std::string> Reopened() { return Found(*New()); }

  std::string path() const { return directory_.path() + "/log"; }
  void SetUp() override { std::filesystem::create_directories(directory_.path()); }

  OwnDirectory directory_;
};

std::string Record(int number, std::size_t bytes = 40) {
  std::string record = "record " + std::to_string(number) + " ";
  while (record.size() < bytes) record.push_back(static_cast<char>('a' + number % 26));
  return record;
}

std::vector<std::string> Records(int from, int to) {
  std::vector<std::string> records;
  for (int i = from; i < to; ++i) records.push_back(Record(i));
  return records;
}

TEST_F(GroupLogTest, KeepsRecordsInOrderOverSegments) {
  {
    const auto log = Begun();
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(Append(*log, Record(i)).ok());
    EXPECT_GT(log->full_segments(), 3u);
    EXPECT_GT(log->memory_bytes(), 4 * kSegmentBytes);
  }
  EXPECT_EQ(Reopened(), Records(0, 50));
  EXPECT_EQ(Reopened(), Records(0, 50)) << "until it begins anew";
}

TEST_F(GroupLogTest, BeginForgetsAll) {
  {
    const auto log = Begun();
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(Append(*log, Record(i)).ok());
  }
  {
    EXPECT_THAT(Found(*Begun()), IsEmpty());
  }
  EXPECT_THAT(Reopened(), IsEmpty());
  {
    const auto log = Begun();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(Append(*log, Record(i)).ok());
    ASSERT_TRUE(log->Begin().ok());
    ASSERT_TRUE(Append(*log, Record(100)).ok());
  }
  EXPECT_THAT(Reopened(), ElementsAre(Record(100)));
}

// Else the part that is left of a log could be done after the whole.
TEST_F(GroupLogTest, ALogIsThereAsAWholeUntilTheNextOneHasBegun) {
  const std::string copy = directory_.path() + "/copy";
  int kept = 0, forgotten = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    std::filesystem::remove_all(path());
    {
      const auto log = Begun();
      for (int i = 0; i < 50; ++i) ASSERT_TRUE(Append(*log, Record(i), /*keep=*/2).ok());
    }
    std::vector<std::string> expected = Reopened();
    ASSERT_GT(expected.size(), 10u);
    const auto file_system = std::make_shared<FaultyFileSystem>(
        rocksdb::FileSystem::Default(), FaultyFileSystem::Options{.seed = seed, .power_cut = true});
    for (int attempt = 0; attempt < 4; ++attempt) {
      const auto log = New(file_system);
      file_system->SetFailureProbability(0.06);
      if (log->Open().ok()) {
        // Whoever looks decides it.
        if (log->found().empty()) expected.clear();
        if (log->Begin().ok()) expected.clear();
      }
      file_system->SetFailureProbability(0);
      // What a loss of power would leave now.
      std::filesystem::remove_all(copy);
      std::filesystem::copy(path(), copy);
      const std::vector<std::string> found = Found(*New(rocksdb::FileSystem::Default(), copy));
      ASSERT_TRUE(found == expected || found.empty()) << seed << " " << attempt << " " << found.size();
      ++(found.empty() ? forgotten : kept);
    }
  }
  EXPECT_GT(kept, 20);
  EXPECT_GT(forgotten, 20);
}

TEST_F(GroupLogTest, ASyncThatFailedIsNotMadeGoodByTheNext) {
  const auto file_system =
      std::make_shared<FaultyFileSystem>(rocksdb::FileSystem::Default(), FaultyFileSystem::Options{.power_cut = true});
  const auto log = Begun(file_system);
  ASSERT_TRUE(Append(*log, Record(0)).ok());
  file_system->FailWrites();
  EXPECT_FALSE(log->Sync().ok());
  file_system->AllowWrites();
  EXPECT_FALSE(log->Sync().ok()) << "what was to be written may not be pending any more";
  EXPECT_TRUE(Begun(file_system)->Sync().ok());
}

TEST_F(GroupLogTest, NoSegmentBeginsBeforeTheOneBeforeItIsFoundBegun) {
  const std::string copy = directory_.path() + "/copy";
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    std::filesystem::remove_all(path());
    const auto log = Begun(std::make_shared<FaultyFileSystem>(
        rocksdb::FileSystem::Default(), FaultyFileSystem::Options{.seed = seed, .power_cut = true}));
    constexpr std::size_t kBytes = 150;  // two or three fill a segment
    std::vector<std::string> written;
    for (int i = 0; i < 12; ++i) {
      written.push_back(Record(i, kBytes));
      ASSERT_TRUE(Append(*log, written.back()).ok());
      if (i == 1) ASSERT_TRUE(log->Sync().ok());
    }
    std::filesystem::remove_all(copy);
    std::filesystem::copy(path(), copy);
    const std::vector<std::string> found = Found(*New(rocksdb::FileSystem::Default(), copy));
    ASSERT_GE(found.size(), 2u) << seed;
    ASSERT_TRUE(std::equal(found.begin(), found.end(), written.begin())) << seed;
  }
}

TEST_F(GroupLogTest, SegmentsAreUsedAgainAndWhatTheyHeldDoesNotCount) {
  for (int end = 1; end < 120; ++end) {
    std::filesystem::remove_all(path());
    {
      const auto log = Begun();
      for (int i = 0; i < end; ++i) ASSERT_TRUE(Append(*log, Record(i), /*keep=*/1).ok());
    }
    const std::vector<std::string> found = Reopened();
    ASSERT_GT(found.size(), 0u);
    ASSERT_EQ(found, Records(end - static_cast<int>(found.size()), end)) << end;
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path())) {
      EXPECT_EQ(entry.file_size(), kSegmentBytes);
      ++files;
    }
    ASSERT_LE(files, 4u);
  }
}

TEST_F(GroupLogTest, ALogEndsAtItsFirstRecordThatIsNotWhole) {
  {
    const auto log = Begun();
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(Append(*log, Record(i)).ok());
  }
  std::string file;
  for (const auto& entry : std::filesystem::directory_iterator(path())) file = entry.path();
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  const std::string whole = text.str();
  const std::size_t begin = whole.find("record 5") - 8, end = begin + 8 + Record(5).size();
  ASSERT_EQ(Reopened(), Records(0, 6));
  for (std::size_t at = begin; at < end; ++at) {
    std::string torn = whole;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(at), torn.end(), '\0');
    std::ofstream(file, std::ios::binary) << torn;
    ASSERT_EQ(Reopened(), torn == whole ? Records(0, 6) : Records(0, 5)) << at;
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    std::ofstream(file, std::ios::binary) << flipped;
    ASSERT_EQ(Reopened(), Records(0, 5)) << at;
  }
}

TEST_F(GroupLogTest, WhatComesBehindATornSegmentDoesNotCount) {
  {
    const auto log = Begun();
    for (int i = 0; i < 30; ++i) ASSERT_TRUE(Append(*log, Record(i)).ok());
    ASSERT_GE(log->full_segments(), 3u);
  }
  for (const auto& entry : std::filesystem::directory_iterator(path())) {
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    std::string torn = text.str();
    const std::size_t at = torn.find("record 10");
    if (at == std::string::npos) continue;
    torn[at] = 'R';
    std::ofstream(entry.path(), std::ios::binary) << torn;
  }
  const auto log = New();
  EXPECT_EQ(Found(*log), Records(0, 10));
  EXPECT_FALSE(log->damage().empty());
}

TEST_F(GroupLogTest, ARecordMayBeLargerThanASegment) {
  {
    const auto log = Begun();
    ASSERT_TRUE(Append(*log, Record(0)).ok());
    ASSERT_TRUE(log->PrepareSpare().ok());  // which is not for this one
    ASSERT_TRUE(Append(*log, Record(1, 5'000)).ok());
    ASSERT_TRUE(Append(*log, Record(2)).ok());
    ASSERT_TRUE(Append(*log, Record(3, kSegmentBytes)).ok());
    ASSERT_TRUE(Append(*log, Record(4, kSegmentBytes + 1)).ok());
    ASSERT_TRUE(Append(*log, Record(5)).ok());
  }
  EXPECT_THAT(Reopened(), ElementsAre(Record(0), Record(1, 5'000), Record(2), Record(3, kSegmentBytes),
                                      Record(4, kSegmentBytes + 1), Record(5)));
  {
    const auto log = Begun();
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(Append(*log, Record(i, i % 3 == 0 ? 1'000 : 100), /*keep=*/1).ok());
    }
    const auto last = Begun();
  }
  for (const auto& entry : std::filesystem::directory_iterator(path())) EXPECT_EQ(entry.file_size(), kSegmentBytes);
}

TEST_F(GroupLogTest, AFailedWriteIsDecidedOnceAndForAll) {
  int came = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::filesystem::remove_all(path());
    const bool power_cut = seed % 2 == 1;
    std::vector<std::string> found;
    {
      const auto disk = std::make_shared<FaultyFileSystem>(
          rocksdb::FileSystem::Default(), FaultyFileSystem::Options{.seed = seed, .power_cut = power_cut});
      {
        const auto log = Begun(disk);
        for (int i = 0; i < 7; ++i) ASSERT_TRUE(Append(*log, Record(i)).ok());
        ASSERT_TRUE(log->Sync().ok());
        if (seed % 4 < 2) {
          disk->FailWrites();
          EXPECT_FALSE(Append(*log, Record(7)).ok());
        } else {
          ASSERT_TRUE(Append(*log, Record(7)).ok());
          disk->FailWrites();
          EXPECT_FALSE(log->Sync().ok());
        }
      }
      disk->AllowWrites();
      const auto log = New(disk);
      found = Found(*log);
      if (found.size() == 8) ++came;
      ASSERT_EQ(found, Records(0, found.size() == 8 ? 8 : 7));
      // A kill or a loss of power now changes nothing in that.
      std::filesystem::copy(path(), path() + "-after");
      EXPECT_EQ(Found(*New(rocksdb::FileSystem::Default(), path() + "-after")), found);
      std::filesystem::remove_all(path() + "-after");
      ASSERT_TRUE(log->Begin().ok());
      ASSERT_TRUE(Append(*log, Record(20)).ok());
    }
    EXPECT_THAT(Reopened(), ElementsAre(Record(20)));
  }
  EXPECT_GT(came, 0);
  EXPECT_LT(came, 60);
}

// What a loss of power leaves is a beginning of what was written, with all that was synced.
TEST_F(GroupLogTest, ALossOfPowerTakesWhatWasNotSyncedFromTheEnd) {
  int lost = 0, torn = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::filesystem::remove_all(path());
    std::mt19937_64 random(seed);
    const auto disk = std::make_shared<FaultyFileSystem>(rocksdb::FileSystem::Default(),
                                                         FaultyFileSystem::Options{.seed = seed, .power_cut = true});
    const auto log = Begun(disk);
    const int records = static_cast<int>(random() % 60);
    const bool recycles = random() % 2 == 0;
    int synced = 0;
    for (int i = 0; i < records; ++i) {
      const bool turns = !log->HasRoom(Record(i).size());
      if (turns && recycles) {
        ASSERT_TRUE(log->Sync().ok());  // as before a segment is recycled
        synced = i;
      }
      ASSERT_TRUE(Append(*log, Record(i), recycles ? 1 : 1'000).ok());
      if (random() % 8 == 0) {
        ASSERT_TRUE(log->Sync().ok());
        synced = i + 1;
      }
    }
    const std::string copy = path() + "-after";
    std::filesystem::copy(path(), copy);
    const auto after = New(rocksdb::FileSystem::Default(), copy);
    const std::vector<std::string> found = Found(*after);
    int end = 0;
    if (!found.empty()) {
      const auto all = Records(0, records);
      end = static_cast<int>(std::find(all.begin(), all.end(), found.back()) - all.begin()) + 1;
      EXPECT_EQ(found, Records(end - static_cast<int>(found.size()), end));
      if (!recycles) EXPECT_EQ(static_cast<int>(found.size()), end);
    }
    // With a segment that was recycled, what it held is in tables.
    if (!found.empty() || !recycles) EXPECT_GE(end, synced);
    if (end < records) ++lost;
    if (end < records && end > synced) ++torn;
    ASSERT_TRUE(after->Begin().ok());
    ASSERT_TRUE(Append(*after, Record(1'000)).ok());
    EXPECT_THAT(Found(*New(rocksdb::FileSystem::Default(), copy)), ElementsAre(Record(1'000)));
    std::filesystem::remove_all(copy);
  }
  EXPECT_GT(lost, 20);
  EXPECT_GT(torn, 2);
}

TEST(LogEntriesTest, ComeBackAsTheyWereGiven) {
  for (const char* text : {"u", "01234567-89ab-4cde-8f01-23456789abcd", "a text that lies on the heap"}) {
    const CompactText uid(text);
    LogEntries entries;
    EXPECT_TRUE(entries.empty());
    entries.AddBatch(uid, 300, "batch");
    EXPECT_FALSE(entries.has_puts());
    entries.Put("key", "");
    entries.Delete("gone");
    entries.Trim(uid, 7);
    entries.Drop(uid);
    EXPECT_TRUE(entries.has_puts());
    std::string_view bytes = entries.bytes();
    LogEntry entry;
    ASSERT_TRUE(TakeEntry(bytes, entry));
    EXPECT_EQ(entry.kind, LogEntry::Kind::kBatch);
    EXPECT_EQ(entry.uid.str(), text);
    EXPECT_EQ(entry.number, 300u);
    EXPECT_EQ(entry.value, "batch");
    ASSERT_TRUE(TakeEntry(bytes, entry));
    EXPECT_EQ(entry.kind, LogEntry::Kind::kPut);
    EXPECT_EQ(entry.key, "key");
    EXPECT_EQ(entry.value, "");
    ASSERT_TRUE(TakeEntry(bytes, entry));
    EXPECT_EQ(entry.kind, LogEntry::Kind::kDelete);
    EXPECT_EQ(entry.key, "gone");
    ASSERT_TRUE(TakeEntry(bytes, entry));
    EXPECT_EQ(entry.kind, LogEntry::Kind::kTrim);
    EXPECT_EQ(entry.number, 7u);
    ASSERT_TRUE(TakeEntry(bytes, entry));
    EXPECT_EQ(entry.kind, LogEntry::Kind::kDrop);
    EXPECT_EQ(entry.uid.str(), text);
    EXPECT_TRUE(bytes.empty());
    EXPECT_FALSE(TakeEntry(bytes, entry));
    std::string_view cut = entries.bytes().substr(0, 4);
    EXPECT_FALSE(TakeEntry(cut, entry));
    EXPECT_FALSE(cut.empty());
  }
}

TEST_F(GroupLogTest, WhatIsRecycledWhileSomebodyHoldsIsCopied) {
  const std::unique_ptr<GroupLog> log = Begun();
  int next = 0;
  const auto append = [&](int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(Append(*log, "record " + std::to_string(next++) + std::string(50, '.'), /*keep=*/1).ok());
    }
  };
  append(40);
  std::string copied_to = path() + "-copy";
  std::filesystem::remove_all(copied_to);
  {
    const GroupLog::Hold hold(*log);
    append(40);
    const rocksdb::IOStatus copied = hold.CopyTo(copied_to);
    ASSERT_TRUE(copied.ok()) << copied.ToString();
  }
  append(40);
  const std::vector<std::string> copied = Found(*New(rocksdb::FileSystem::Default(), copied_to));
  std::filesystem::remove_all(copied_to);
  ASSERT_GE(copied.size(), 40u);
  for (std::size_t i = 0; i < copied.size(); ++i) {
    EXPECT_EQ(copied[i], "record " + std::to_string(80 - copied.size() + i) + std::string(50, '.'));
  }
  EXPECT_LE(std::distance(std::filesystem::directory_iterator(path()), {}), 5)
      << "what was held is used again, or gone";
}

}  // namespace
}  // namespace corod
