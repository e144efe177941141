#include "server/journal/rocks_journal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <thread>

#include "server/base/failure.h"
#include "server/journal/rocks_keys.h"
#include "tests/faulty_fs/faulty_file_system.h"
#include "tests/unit/journal/journal_test_base.h"

namespace corod {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RocksJournalTest : public testing::Test {
 protected:
  absl::Status Open(RocksJournal::Sync sync = RocksJournal::Sync::kAlways) {
    journal_.reset();
    absl::StatusOr<std::unique_ptr<RocksJournal>> opened =
        RocksJournal::Open({.directory = directory_.path(), .sync = sync, .file_system = file_system_});
    if (!opened.ok()) return opened.status();
    journal_ = *std::move(opened);
    return absl::OkStatus();
  }
  void Fault(FaultyFileSystem::Options options) {
    file_system_ = std::make_shared<FaultyFileSystem>(rocksdb::FileSystem::Default(), options);
  }
  Writer New(const std::string& id) {
    Writer writer(*journal_, {id, "uid of " + id}, 1);
    EXPECT_TRUE(writer.Create().ok());
    return writer;
  }
  // What RocksDB has, without a journal.
  std::unique_ptr<rocksdb::DB> OpenDatabase() {
    journal_.reset();
    rocksdb::DB* db = nullptr;
    EXPECT_TRUE(rocksdb::DB::Open(rocksdb::Options(), directory_.path() + "/rocksdb", &db).ok());
    return std::unique_ptr<rocksdb::DB>(db);
  }
  // Flips a bit of what RocksDB holds under `key`.
  void Damage(const std::string& key) {
    {
      const std::unique_ptr<rocksdb::DB> db = OpenDatabase();
      std::string value;
      ASSERT_TRUE(db->Get({}, key, &value).ok());
      value.back() = static_cast<char>(value.back() ^ 1);
      ASSERT_TRUE(db->Put({}, key, value).ok());
      ASSERT_TRUE(db->Close().ok());
    }
    ASSERT_TRUE(Open().ok());
  }
  // Until the journal takes writes again. Each try waits for the journal.
  void AwaitRecovery() {
    while (!Await([&](Journal::Done done) {
              journal_->Save({HeadOf("nobody", "nobody"), {}, {}, true}, std::move(done));
            }).ok()) {
      std::this_thread::yield();
    }
  }
  void Write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories(directory_.path());
    std::ofstream(directory_.path() + "/" + file) << text;
  }
  std::vector<std::string> Files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  OwnDirectory directory_;
  std::shared_ptr<FaultyFileSystem> file_system_;
  std::unique_ptr<RocksJournal> journal_;
};

TEST_F(RocksJournalTest, DirectoryInUseIsRefused) {
  ASSERT_TRUE(Open().ok());
  const absl::Status second = RocksJournal::Open({.directory = directory_.path()}).status();
  EXPECT_TRUE(absl::IsUnavailable(second));
  EXPECT_EQ(second.message(), directory_.path() + " is in use by another corod");
}

TEST_F(RocksJournalTest, DirectoryInUseByAnotherProcessIsRefused) {
  ASSERT_TRUE(Open().ok());
  journal_.reset();
  const std::string file = directory_.path() + "/rocksdb/LOCK";
  int ready[2], end[2];
  ASSERT_EQ(pipe(ready) + pipe(end), 0);
  const pid_t child = fork();
  if (child == 0) {
    const int fd = open(file.c_str(), O_RDWR);
    struct flock whole = {};
    whole.l_type = F_WRLCK;
    char byte = fcntl(fd, F_SETLK, &whole) == 0 ? 'y' : 'n';
    if (write(ready[1], &byte, 1) == 1) byte = read(end[0], &byte, 1) == 1 ? 'e' : 'f';
    _exit(0);
  }
  char byte = 0;
  EXPECT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  EXPECT_EQ(Open().message(), directory_.path() + " is in use by another corod");
  EXPECT_EQ(write(end[1], &byte, 1), 1);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  for (const int fd : {ready[0], ready[1], end[0], end[1]}) close(fd);
  EXPECT_TRUE(Open().ok());
}

TEST_F(RocksJournalTest, NewDirectoryGetsItsFormat) {
  ASSERT_TRUE(Open().ok());
  std::ifstream file(directory_.path() + "/FORMAT");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), "corod journal 1\n");
}

TEST_F(RocksJournalTest, NewerFormatIsRefusedAndLeftAlone) {
  Write("FORMAT", "corod journal 2\n");
  const absl::Status status = Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("was written by a newer corod (format 2; this one knows 1)"));
  EXPECT_THAT(Files(), ElementsAre("FORMAT"));
}

TEST_F(RocksJournalTest, ForeignDirectoryIsRefusedAndLeftAlone) {
  Write("letters", "dear");
  const absl::Status status = Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("holds letters and is no corod journal"));
  EXPECT_THAT(Files(), ElementsAre("letters"));
}

TEST_F(RocksJournalTest, WhatACrashLeftOfTheFormatIsReplaced) {
  Write("FORMAT.new", "cor");
  EXPECT_TRUE(Open().ok());
}

TEST_F(RocksJournalTest, DamagedBatchConcernsItsSessionAlone) {
  ASSERT_TRUE(Open().ok());
  const SessionKey bad = New("bad").key(), good = New("good").key();
  for (const SessionKey& key : {bad, good}) {
    Writer writer(*journal_, key, 1);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(writer.Write().ok());
  }
  Damage(rocks_keys::BatchKey(bad.uid, 2));
  EXPECT_EQ(journal_->Read(bad, {}, 1 << 20)->size(), 1u);
  EXPECT_TRUE(absl::IsDataLoss(journal_->Read(bad, {1, 1}, 1 << 20).status()));
  EXPECT_TRUE(journal_->Find("bad").ok());
  EXPECT_EQ(journal_->Read(good, {}, 1 << 20)->size(), 3u);

  Damage(rocks_keys::BatchKey(bad.uid, 3));
  EXPECT_TRUE(absl::IsDataLoss(journal_->Find("bad").status()));
  EXPECT_TRUE(absl::IsDataLoss(Writer(*journal_, bad, 1).Append(BatchOf({4, 1}, {3, 1}, 4))));
  EXPECT_TRUE(journal_->Find("good").ok());
  EXPECT_TRUE(Writer(*journal_, good, 1).Append(BatchOf({4, 1}, {3, 1}, 4)).ok());
  EXPECT_TRUE(Writer(*journal_, bad, 1).Remove().ok());
  EXPECT_FALSE(journal_->Find("bad")->has_value());
}

TEST_F(RocksJournalTest, DamagedHeadConcernsItsSessionAlone) {
  ASSERT_TRUE(Open().ok());
  const SessionKey bad = New("bad").key();
  New("good");
  Damage(rocks_keys::HeadKey("bad"));
  EXPECT_TRUE(absl::IsDataLoss(journal_->Find("bad").status()));
  const absl::StatusOr<std::vector<Journal::Listed>> listed = journal_->List("", 10);
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 2u);
  EXPECT_TRUE(absl::IsDataLoss((*listed)[0].stored.status()));
  EXPECT_TRUE((*listed)[1].stored.ok());
  EXPECT_EQ(journal_->size(), 2u);
  EXPECT_TRUE(Await([&](Journal::Done done) {
                journal_->Create({HeadOf("bad", "u2"), {}, {}, bad.uid, {}}, std::move(done));
              }).ok());
  EXPECT_TRUE(journal_->Find("bad").ok());
}

TEST_F(RocksJournalTest, DamagedCheckpointIsPassedOver) {
  ASSERT_TRUE(Open().ok());
  Writer writer = New("s");
  for (const Step step : {10, 20}) {
    ASSERT_TRUE(writer.Write(10).ok());
    ASSERT_TRUE(Await([&](Journal::Done done) {
                  journal_->Save({HeadOf("s", writer.key().uid), CheckpointOf(step, writer.last()), {}, false},
                                 std::move(done));
                }).ok());
  }
  const SessionKey key = writer.key();
  Damage(rocks_keys::CheckpointKey(key.uid, 20));
  EXPECT_EQ((*journal_->FindCheckpoint(key, 30))->step, 10u);
  Damage(rocks_keys::CheckpointKey(key.uid, 10));
  EXPECT_TRUE(absl::IsDataLoss(journal_->FindCheckpoint(key, 30).status()));
  EXPECT_FALSE(journal_->FindCheckpoint(key, 9)->has_value());
}

TEST_F(RocksJournalTest, FailedWriteIsADoubtAndTheJournalComesBackByItself) {
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    journal_.reset();
    std::filesystem::remove_all(directory_.path());
    Fault({.seed = seed});
    ASSERT_TRUE(Open().ok());
    Writer writer = New("s");
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(writer.Write(3).ok());
    file_system_->FailWrites();
    const absl::Status doubt = writer.Write();
    EXPECT_TRUE(IsFailure(doubt, Reason::JOURNAL_UNAVAILABLE)) << doubt;
    EXPECT_EQ(DetailsOf(doubt).metadata.count("executed"), 0u);
    EXPECT_GT(DetailsOf(doubt).retry_delay, absl::ZeroDuration());
    EXPECT_TRUE(IsFailure(writer.Write(), Reason::JOURNAL_UNAVAILABLE));
    // What is there can be read meanwhile.
    EXPECT_GE(journal_->Read(writer.key(), {}, 1 << 20)->size(), 5u);
    file_system_->AllowWrites();
    AwaitRecovery();

    writer.set_writer(2);
    const std::vector<Batch> before = *writer.Read();
    ASSERT_GE(before.size(), 5u);
    EXPECT_TRUE(std::equal(writer.written().begin(), writer.written().end(), before.begin()));
    EXPECT_TRUE(writer.Write().ok());
    const SessionKey key = writer.key();
    const std::vector<Batch> after = *writer.Read();
    EXPECT_EQ(after.size(), before.size() + 1);
    ASSERT_TRUE(Open().ok());
    EXPECT_EQ(*Writer(*journal_, key, 3).Read(), after);
    EXPECT_EQ(journal_->size(), 1u);
  }
}

// Whatever fails whenever, in whatever part: what was acknowledged is there, in order, and nothing that was not asked.
void KeepsWhatItAcknowledged(std::uint64_t seed, bool power_cut, const std::string& directory) {
  SCOPED_TRACE(seed);
  const auto file_system = std::make_shared<FaultyFileSystem>(
      rocksdb::FileSystem::Default(), FaultyFileSystem::Options{.seed = seed, .power_cut = power_cut});
  absl::StatusOr<std::unique_ptr<RocksJournal>> opened =
      RocksJournal::Open({.directory = directory, .file_system = file_system});
  ASSERT_TRUE(opened.ok()) << opened.status();
  std::unique_ptr<RocksJournal> journal = *std::move(opened);
  std::vector<Writer> writers;
  for (const char* id : {"a", "b", "c"}) {
    writers.emplace_back(*journal, SessionKey{id, std::string("uid of ") + id}, 1);
    ASSERT_TRUE(writers.back().Create().ok());
  }
  file_system->SetFailureProbability(0.05);
  int doubts = 0;
  std::map<std::string, std::size_t> acknowledged;  // how many batches each log had when a write was last OK
  for (int i = 0; i < 150; ++i) {
    Writer& writer = writers[static_cast<std::size_t>(i) % writers.size()];
    const absl::StatusOr<std::vector<Batch>> before = writer.Read();
    if (!before.ok()) {
      EXPECT_TRUE(absl::IsUnavailable(before.status())) << before.status();
      std::this_thread::yield();
      continue;
    }
    EXPECT_GE(before->size(), acknowledged[writer.key().id]);
    writer.set_writer(static_cast<std::uint64_t>(i) + 2);
    const absl::Status status = writer.Write();
    if (status.ok()) {
      acknowledged[writer.key().id] = before->size() + 1;
    } else {
      // A batch that was in doubt may have come back since the log was read.
      EXPECT_TRUE(absl::IsUnavailable(status) || absl::IsAborted(status)) << status;
      ++doubts;
    }
    // The journal is away for a while after each failure; let it come back now and then.
    if (!status.ok() && i % 5 == 0) {
      file_system->SetFailureProbability(0);
      while (!Await([&](Journal::Done done) {
                journal->Save({HeadOf("nobody", "nobody"), {}, {}, true}, std::move(done));
              }).ok()) {
        std::this_thread::yield();
      }
      file_system->SetFailureProbability(0.05);
    }
  }
  EXPECT_GT(doubts, 0);
  file_system->SetFailureProbability(0);
  std::map<std::string, std::vector<Batch>> written;
  for (const Writer& writer : writers) written[writer.key().id] = writer.written();
  journal.reset();
  opened = RocksJournal::Open({.directory = directory, .file_system = file_system});
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->size(), writers.size());
  for (const auto& [id, batches] : written) {
    const std::vector<Batch> log = *Writer(**opened, {id, "uid of " + id}, 1).Read();
    auto at = log.begin();
    for (const Batch& batch : batches) {
      at = std::find(at, log.end(), batch);
      ASSERT_NE(at, log.end()) << id << " lost " << batch.id.number;
    }
  }
}

TEST_F(RocksJournalTest, KeepsWhatItAcknowledgedWhenWritesFailAtRandom) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    std::filesystem::remove_all(directory_.path());
    KeepsWhatItAcknowledged(seed, /*power_cut=*/seed % 2 == 1, directory_.path());
  }
}

TEST_F(RocksJournalTest, WhatIsNotSyncedIsLostInAPowerCutAndWhatIsStays) {
  const auto copy = directory_.path() + "-after";
  for (const RocksJournal::Sync sync : {RocksJournal::Sync::kAlways, RocksJournal::Sync::kNever}) {
    journal_.reset();
    std::filesystem::remove_all(directory_.path());
    std::filesystem::remove_all(copy);
    Fault({.seed = 3, .power_cut = true});
    ASSERT_TRUE(Open(sync).ok());
    Writer writer = New("s");
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(writer.Write().ok());
    EXPECT_EQ(writer.Read()->size(), 40u);
    // What a process that is killed now leaves.
    std::filesystem::copy(directory_.path(), copy, std::filesystem::copy_options::recursive);
    absl::StatusOr<std::unique_ptr<RocksJournal>> after = RocksJournal::Open({.directory = copy});
    ASSERT_TRUE(after.ok()) << after.status();
    const std::size_t left = Writer(**after, writer.key(), 1).Read()->size();
    if (sync == RocksJournal::Sync::kAlways) {
      EXPECT_EQ(left, 40u);
    } else {
      EXPECT_LT(left, 40u);
    }
    after->reset();
    std::filesystem::remove_all(copy);
  }
}

TEST_F(RocksJournalTest, IntervalSyncsByItself) {
  Fault({.power_cut = true});
  ASSERT_TRUE(Open(RocksJournal::Sync::kInterval).ok());
  Writer writer = New("s");
  ASSERT_TRUE(writer.Write().ok());
  const auto copy = directory_.path() + "-after";
  std::size_t left = 0;
  while (left < 1) {
    std::filesystem::remove_all(copy);
    std::filesystem::copy(directory_.path(), copy, std::filesystem::copy_options::recursive);
    absl::StatusOr<std::unique_ptr<RocksJournal>> after = RocksJournal::Open({.directory = copy});
    ASSERT_TRUE(after.ok()) << after.status();
    left = Writer(**after, writer.key(), 1).Read()->size();
  }
  std::filesystem::remove_all(copy);
}

TEST_F(RocksJournalTest, RemovalGoesOnAfterARestart) {
  ASSERT_TRUE(Open().ok());
  Writer writer = New("s");
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(writer.Write().ok());
  const SessionKey key = writer.key();
  journal_->Remove(key, std::nullopt, [](const absl::Status&) {});
  ASSERT_TRUE(Open().ok());
  AwaitRecovery();
  const std::unique_ptr<rocksdb::DB> db = OpenDatabase();
  const std::unique_ptr<rocksdb::Iterator> log(db->NewIterator({}));
  log->Seek(rocks_keys::PrefixOf(key.uid));
  EXPECT_FALSE(log->Valid() && log->key().starts_with(rocks_keys::PrefixOf(key.uid)));
}

}  // namespace
}  // namespace corod
