#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/base/failure.h"
#include "server/journal/journal_directory.h"
#include "server/journal/memory_journal.h"
#include "server/journal/rocks_journal.h"
#include "tests/faulty_fs/faulty_file_system.h"
#include "tests/unit/journal/journal_test_base.h"

namespace corod {
namespace {

namespace fs = std::filesystem;

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::size_t kSmallSegment = 4'096;

std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Says no where the test wants it. Nothing is really synced.
class PlantedFileSystem : public rocksdb::FileSystemWrapper {
 public:
  PlantedFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "PlantedFileSystem"; }

  // The call number `call` (from 0) about a path with `part` in it fails, once.
  void FailOnce(std::string part, int call) {
    part_ = std::move(part);
    countdown_ = call;
    failed_ = false;
  }
  bool failed() const { return failed_; }
  // Files get no second names below any other directory than this.
  void LinkOnlyBelow(std::string directory) { links_below_ = std::move(directory); }
  int links_refused() const { return links_refused_; }

  rocksdb::IOStatus NewSequentialFile(const std::string& name, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                      rocksdb::IODebugContext* debug) override {
    return Fails(name) ? No() : FileSystemWrapper::NewSequentialFile(name, options, file, debug);
  }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (Fails(name)) return No();
    std::unique_ptr<rocksdb::FSWritableFile> target;
    rocksdb::IOStatus made = FileSystemWrapper::NewWritableFile(name, options, &target, debug);
    if (made.ok()) *file = std::make_unique<File>(std::move(target), name, *this);
    return made;
  }
  rocksdb::IOStatus NewDirectory(const std::string& name, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* debug) override {
    if (Fails(name)) return No();
    rocksdb::IOStatus opened = FileSystemWrapper::NewDirectory(name, options, directory, debug);
    if (opened.ok()) *directory = std::make_unique<Directory>(name, *this);
    return opened;
  }
  rocksdb::IOStatus NewRandomRWFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSRandomRWFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    std::unique_ptr<rocksdb::FSRandomRWFile> target;
    rocksdb::IOStatus opened = FileSystemWrapper::NewRandomRWFile(name, options, &target, debug);
    if (opened.ok()) *file = std::make_unique<OverwrittenFile>(std::move(target));
    return opened;
  }
  rocksdb::IOStatus CreateDir(const std::string& name, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override {
    return Fails(name) ? No() : FileSystemWrapper::CreateDir(name, options, debug);
  }
  rocksdb::IOStatus CreateDirIfMissing(const std::string& name, const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* debug) override {
    return Fails(name) ? No() : FileSystemWrapper::CreateDirIfMissing(name, options, debug);
  }
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
    if (!links_below_.empty() && !to.starts_with(links_below_)) {
      ++links_refused_;
      return rocksdb::IOStatus::NotSupported("another file system");
    }
    return Fails(to) ? No() : FileSystemWrapper::LinkFile(from, to, options, debug);
  }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    return Fails(from) ? No() : FileSystemWrapper::RenameFile(from, to, options, debug);
  }
  rocksdb::IOStatus GetChildren(const std::string& name, const rocksdb::IOOptions& options,
                                std::vector<std::string>* children, rocksdb::IODebugContext* debug) override {
    return Fails(name) ? No() : FileSystemWrapper::GetChildren(name, options, children, debug);
  }
  rocksdb::IOStatus IsDirectory(const std::string& name, const rocksdb::IOOptions& options, bool* is_directory,
                                rocksdb::IODebugContext* debug) override {
    return Fails(name) ? No() : FileSystemWrapper::IsDirectory(name, options, is_directory, debug);
  }
  rocksdb::IOStatus FileExists(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    return Fails(name) ? No() : FileSystemWrapper::FileExists(name, options, debug);
  }
  rocksdb::IOStatus GetFileSize(const std::string& name, const rocksdb::IOOptions& options, std::uint64_t* size,
                                rocksdb::IODebugContext* debug) override {
    return Fails(name) ? No() : FileSystemWrapper::GetFileSize(name, options, size, debug);
  }
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    return Fails(name) ? No() : FileSystemWrapper::DeleteFile(name, options, debug);
  }
  rocksdb::IOStatus DeleteDir(const std::string& name, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override {
    return Fails(name) ? No() : FileSystemWrapper::DeleteDir(name, options, debug);
  }

 private:
  class File : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile> target, std::string name, PlantedFileSystem& system)
        : FSWritableFileOwnerWrapper(std::move(target)), name_(std::move(name)), system_(system) {}
    using FSWritableFileOwnerWrapper::Append;
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
      return system_.Fails(name_) ? No() : FSWritableFileOwnerWrapper::Append(data, options, debug);
    }
    rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
      return system_.Fails(name_) ? No() : rocksdb::IOStatus::OK();
    }
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
      return Sync(options, debug);
    }
    rocksdb::IOStatus Close(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
      return system_.Fails(name_) ? No() : FSWritableFileOwnerWrapper::Close(options, debug);
    }

   private:
    const std::string name_;
    PlantedFileSystem& system_;
  };

  class Directory : public rocksdb::FSDirectory {
   public:
    Directory(std::string name, PlantedFileSystem& system) : name_(std::move(name)), system_(system) {}
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
      return system_.Fails(name_) ? No() : rocksdb::IOStatus::OK();
    }

   private:
    const std::string name_;
    PlantedFileSystem& system_;
  };
  class OverwrittenFile : public rocksdb::FSRandomRWFileOwnerWrapper {
   public:
    using FSRandomRWFileOwnerWrapper::FSRandomRWFileOwnerWrapper;
    rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
      return rocksdb::IOStatus::OK();
    }
  };

  static rocksdb::IOStatus No() { return rocksdb::IOStatus::IOError("planted"); }
  bool Fails(const std::string& name) {
    if (part_.empty() || name.find(part_) == std::string::npos || countdown_-- != 0) return false;
    failed_ = true;
    return true;
  }

  // Changed by the test alone, between its calls.
  std::string part_, links_below_;
  std::atomic<int> countdown_{0};
  std::atomic<bool> failed_{false};
  std::atomic<int> links_refused_{0};
};

class BackupTest : public testing::Test {
 protected:
  BackupTest() { fs::create_directories(directory_.path()); }

  void Open(std::shared_ptr<rocksdb::FileSystem> file_system = std::make_shared<PlantedFileSystem>()) {
    journal_.reset();
    absl::StatusOr<std::unique_ptr<RocksJournal>> opened =
        RocksJournal::Open({.directory = data(),
                            .attempt_interval = absl::Milliseconds(2),
                            .segment_bytes = segment_bytes_,
                            .file_system = std::move(file_system)});
    ASSERT_TRUE(opened.ok()) << opened.status();
    journal_ = *std::move(opened);
  }
  static std::unique_ptr<RocksJournal> OpenCopy(const std::string& directory) {
    absl::StatusOr<std::unique_ptr<RocksJournal>> opened =
        RocksJournal::Open({.directory = directory, .file_system = std::make_shared<PlantedFileSystem>()});
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? *std::move(opened) : nullptr;
  }
  Writer New(const std::string& id) {
    Writer writer(*journal_, {id, "uid of " + id}, 1);
    EXPECT_TRUE(writer.Create().ok());
    return writer;
  }
  absl::StatusOr<Journal::BackedUp> BackUp(const std::string& directory) {
    return journal_->Backup(directory, cancelled_);
  }
  // That the session is there as it was written.
  static void ExpectWhole(const RocksJournal& journal, const Writer& writer) {
    const absl::StatusOr<std::vector<Batch>> read = journal.Read(writer.key(), {}, 100 << 20);
    ASSERT_TRUE(read.ok()) << read.status();
    ASSERT_GE(read->size(), writer.written().size());
    for (std::size_t i = 0; i < writer.written().size(); ++i) EXPECT_EQ((*read)[i], writer.written()[i]);
  }

  std::string data() const { return directory_.path() + "/data"; }
  std::string copy() const { return directory_.path() + "/copy"; }

  OwnDirectory directory_;
  std::size_t segment_bytes_ = kSmallSegment;
  std::atomic<bool> cancelled_{false};
  std::unique_ptr<RocksJournal> journal_;
};

// One session that is written all the time, as a server would: heads lag behind the log and never run ahead of it.
class BusySession {
 public:
  // As it was at one moment.
  struct Known {
    int life = 0;
    std::uint64_t number = 0;
  };

  BusySession(Journal& journal, std::string id) : journal_(journal), id_(std::move(id)) {}

  const std::string& id() const { return id_; }
  std::string UidOf(int life) const { return id_ + " life " + std::to_string(life); }
  Known known() const {
    const MutexLock lock(mutex_);
    return known_;
  }
  void Write(const std::atomic<bool>& ends) {
    for (int life = 1; !ends; ++life) {
      Writer writer(journal_, {id_, UidOf(life)}, 1);
      ASSERT_TRUE(writer.Create().ok());
      Note({life, 0});
      BatchId checkpoint;
      for (int i = 1; i <= 150 && !ends; ++i) {
        ASSERT_TRUE(writer.Write(i % 3 + 1).ok());
        Note({life, writer.last().number});
        if (i % 10 == 0) {
          Head head = HeadOf(id_, writer.key().uid);
          head.steps = writer.next_step() - 1;
          journal_.Save({head, CheckpointOf(head.steps, writer.last()), {}, false}, nullptr);
        }
        if (i % 20 == 0) journal_.Trim(writer.key(), checkpoint, {});
        if (i % 20 == 0) checkpoint = writer.last();
      }
      if (ends) return;
      ASSERT_TRUE(writer.Remove().ok());
    }
  }

 private:
  void Note(Known known) {
    const MutexLock lock(mutex_);
    known_ = known;
  }

  Journal& journal_;
  const std::string id_;
  mutable Mutex mutex_;
  Known known_ ABSL_GUARDED_BY(mutex_);
};

// A copy has all that `session` knew before, and what it has fits together.
void ExpectAsBefore(const RocksJournal& journal, const BusySession& session, BusySession::Known before) {
  const absl::StatusOr<std::optional<Journal::Stored>> found = journal.Find(session.id());
  ASSERT_TRUE(found.ok()) << found.status();
  if (!*found) return;  // it was about to come back: the life before had ended
  const Head& head = (*found)->head;
  const bool same_life = head.key.uid == session.UidOf(before.life);
  EXPECT_TRUE(same_life || before.number == 150 || head.key.uid == session.UidOf(before.life + 1)) << head.key.uid;
  EXPECT_TRUE((*found)->IsSettled() || (*found)->logged_steps > head.steps);
  EXPECT_GE((*found)->logged_steps, head.steps) << "the head knows of steps that the log lacks";
  if (same_life) EXPECT_GE((*found)->tail.number, before.number);
  const absl::StatusOr<std::vector<Batch>> read = journal.Read(head.key, {}, 100 << 20);
  ASSERT_TRUE(read.ok()) << read.status();
  if (read->empty()) return;
  EXPECT_EQ(read->back().id, (*found)->tail);
  for (std::size_t i = 0; i < read->size(); ++i) {
    const Batch& batch = (*read)[i];
    EXPECT_EQ(batch, BatchOf(batch.id, batch.previous, batch.first_step, static_cast<int>(batch.records.size())));
    if (i == 0) continue;
    EXPECT_EQ(batch.previous, (*read)[i - 1].id);
    EXPECT_EQ(batch.first_step, (*read)[i - 1].first_step + (*read)[i - 1].records.size());
  }
  // The log reaches back to a checkpoint.
  if (read->front().first_step == 1) return;
  const absl::StatusOr<std::optional<Checkpoint>> checkpoint = journal.FindCheckpoint(head.key, ~Step{0});
  ASSERT_TRUE(checkpoint.ok() && *checkpoint);
  EXPECT_GE((*checkpoint)->step + 1, read->front().first_step);
}

TEST_F(BackupTest, WhatWasAcknowledgedBeforeIsThereWhileMoreIsWritten) {
  for (const std::size_t segment_bytes : {kSmallSegment, std::size_t{64} << 10, std::size_t{8} << 20}) {
    SCOPED_TRACE(segment_bytes);
    segment_bytes_ = segment_bytes;
    journal_.reset();
    fs::remove_all(data());
    Open();
    std::vector<std::unique_ptr<BusySession>> sessions;
    for (int i = 0; i < 6; ++i) {
      sessions.push_back(std::make_unique<BusySession>(*journal_, "s" + std::to_string(i)));
    }
    std::atomic<bool> ends{false};
    std::vector<std::thread> threads;
    for (const auto& session : sessions) threads.emplace_back([&] { session->Write(ends); });
    for (int round = 0; round < 8; ++round) {
      SCOPED_TRACE(round);
      // Until something was written since the last one.
      const std::uint64_t written = sessions[0]->known().number;
      while (sessions[0]->known().number == written) std::this_thread::yield();
      std::vector<BusySession::Known> before;
      for (const auto& session : sessions) before.push_back(session->known());
      fs::remove_all(copy());
      const absl::StatusOr<Journal::BackedUp> made = BackUp(copy());
      ASSERT_TRUE(made.ok()) << made.status();
      EXPECT_GT(made->bytes, 0u);
      EXPECT_LE(made->sessions, sessions.size());
      const std::unique_ptr<RocksJournal> opened = OpenCopy(copy());
      ASSERT_NE(opened, nullptr);
      EXPECT_EQ(opened->log_damage(), "");
      EXPECT_TRUE(opened->VerifyTables().ok());
      for (std::size_t i = 0; i < sessions.size(); ++i) ExpectAsBefore(*opened, *sessions[i], before[i]);
    }
    ends = true;
    for (std::thread& thread : threads) thread.join();
    // The journal itself has lost nothing by it.
    std::vector<BusySession::Known> before;
    for (const auto& session : sessions) before.push_back(session->known());
    Open();
    for (std::size_t i = 0; i < sessions.size(); ++i) ExpectAsBefore(*journal_, *sessions[i], before[i]);
    journal_.reset();
  }
}

TEST_F(BackupTest, HoldsAllThatStandsInTheDirectory) {
  Open();
  Writer writer = New("s");
  ASSERT_TRUE(writer.Write().ok());
  std::ofstream(data() + "/REPLAYING") << "notes";
  const absl::StatusOr<Journal::BackedUp> made = BackUp(copy());
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->sessions, 1u);
  EXPECT_THAT(NamesIn(copy()), ElementsAre("FORMAT", "REPLAYING", "log", "rocksdb"));
  EXPECT_THAT(NamesIn(data()), ElementsAre("FORMAT", "REPLAYING", "log", "rocksdb"));
  EXPECT_THAT(NamesIn(directory_.path()), ElementsAre("copy", "data"));
  // What is written into one is not in the other.
  ASSERT_TRUE(writer.Write().ok());
  const std::unique_ptr<RocksJournal> opened = OpenCopy(copy());
  Writer other(*opened, writer.key(), 2);
  EXPECT_EQ(other.Read()->size(), 1u);
  EXPECT_TRUE(other.Write().ok());
  EXPECT_EQ(writer.Read()->size(), 2u);
}

TEST_F(BackupTest, WhereLinksAreNotPossibleItIsCopied) {
  const auto planted = std::make_shared<PlantedFileSystem>();
  planted->LinkOnlyBelow(data());
  Open(planted);
  Writer writer = New("s");
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(writer.Write().ok());
  ASSERT_TRUE(BackUp(copy()).ok());
  EXPECT_GT(planted->links_refused(), 0);
  const std::unique_ptr<RocksJournal> opened = OpenCopy(copy());
  ExpectWhole(*opened, writer);
  journal_.reset();
}

TEST_F(BackupTest, WhereItMayNotBeIsRefused) {
  Open();
  const auto why = [&](const std::string& directory) {
    const absl::Status status = BackUp(directory).status();
    EXPECT_TRUE(IsFailure(status, Reason::INVALID_ARGUMENTS)) << status;
    return std::string(status.message());
  };
  EXPECT_THAT(why("copy"), HasSubstr("'copy' is not an absolute path"));
  EXPECT_THAT(why(""), HasSubstr("is not an absolute path"));
  EXPECT_THAT(why(data() + "/copy"), HasSubstr("is within the data directory"));
  EXPECT_THAT(why(data()), HasSubstr("is not empty"));
  std::ofstream(copy()) << "letters";
  EXPECT_THAT(why(copy()), HasSubstr("is not a directory"));
  fs::remove(copy());
  const absl::Status missing = BackUp(directory_.path() + "/not/there").status();
  EXPECT_TRUE(IsFailure(missing, Reason::BACKUP_FAILED)) << missing;
  EXPECT_THAT(std::string(missing.message()), HasSubstr("No such file or directory"));
  EXPECT_THAT(NamesIn(directory_.path()), ElementsAre("data"));
}

TEST_F(BackupTest, AnEmptyDirectoryIsTaken) {
  Open();
  fs::create_directory(copy());
  EXPECT_TRUE(BackUp(copy() + "/").ok());
  EXPECT_NE(OpenCopy(copy()), nullptr);
}

TEST_F(BackupTest, OneThatIsCancelledLeavesNothing) {
  Open();
  Writer writer = New("s");
  ASSERT_TRUE(writer.Write().ok());
  cancelled_ = true;
  EXPECT_TRUE(IsFailure(BackUp(copy()).status(), Reason::BACKUP_FAILED));
  EXPECT_THAT(NamesIn(directory_.path()), ElementsAre("data"));
  EXPECT_THAT(NamesIn(data()), ElementsAre("FORMAT", "log", "rocksdb"));
}

TEST_F(BackupTest, WhatAnEndedOneLeftGoes) {
  Open();
  fs::create_directories(data() + "/BACKUP/rocksdb.tmp");
  std::ofstream(data() + "/BACKUP/rocksdb.tmp/CURRENT") << "half of";
  fs::create_directories(copy() + ".corod-draft/log");
  std::ofstream(copy() + ".corod-draft/log/1.log") << "half of";
  ASSERT_TRUE(BackUp(copy()).ok());
  EXPECT_THAT(NamesIn(directory_.path()), ElementsAre("copy", "data"));
  fs::create_directories(data() + "/BACKUP/log");
  Open();
  EXPECT_THAT(NamesIn(data()), ElementsAre("FORMAT", "log", "rocksdb"));
}

TEST_F(BackupTest, AfterShutdownThereIsNone) {
  Open();
  journal_->Shutdown();
  EXPECT_TRUE(IsFailure(BackUp(copy()).status(), Reason::BACKUP_FAILED));
  EXPECT_THAT(NamesIn(directory_.path()), ElementsAre("data"));
}

// Each call of the file system fails in its turn.
TEST_F(BackupTest, WhicheverCallFailsItIsWholeOrNotThere) {
  const auto planted = std::make_shared<PlantedFileSystem>();
  Open(planted);
  Writer writer = New("s");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(writer.Write().ok());
  int failed = 0, made = 0;
  for (const std::string part : {"/data/BACKUP", "/copy"}) {
    for (int call = 0;; ++call) {
      SCOPED_TRACE(part + " " + std::to_string(call));
      planted->FailOnce(part, call);
      const absl::Status status = BackUp(copy()).status();
      const bool was_planted = planted->failed();
      planted->FailOnce("", 0);
      if (status.ok()) {
        ++made;
        const std::unique_ptr<RocksJournal> opened = OpenCopy(copy());
        ASSERT_NE(opened, nullptr);
        ExpectWhole(*opened, writer);
      } else {
        ++failed;
        EXPECT_TRUE(IsFailure(status, Reason::BACKUP_FAILED)) << status;
        EXPECT_THAT(std::string(status.message()), HasSubstr("planted"));
        EXPECT_THAT(NamesIn(directory_.path()), ElementsAre("data"));
      }
      fs::remove_all(copy());
      ASSERT_TRUE(writer.Write().ok());  // the journal has not suffered
      if (!was_planted) {
        EXPECT_TRUE(status.ok());
        break;
      }
    }
  }
  EXPECT_GT(failed, 50);
  EXPECT_GT(made, 2);  // without one, and with one that does not matter
  Open();
  ExpectWhole(*journal_, writer);
}

// What RocksDB writes for it fails, and nobody writes anything then.
TEST_F(BackupTest, AfterAFailureOfRocksDBTheNextIsMade) {
  const auto planted = std::make_shared<PlantedFileSystem>();
  Open(planted);
  Writer writer = New("s");
  int failed = 0;
  bool was_planted = true;
  for (int call = 0; was_planted; ++call) {
    SCOPED_TRACE(call);
    ASSERT_TRUE(New(std::to_string(call)).Write().ok());  // something to be flushed
    planted->FailOnce("/data/rocksdb/MANIFEST", call);
    const bool made = BackUp(copy()).ok();
    was_planted = planted->failed();
    planted->FailOnce("", 0);
    if (!made) {
      ++failed;
      EXPECT_FALSE(fs::exists(copy()));
      while (!BackUp(copy()).ok()) std::this_thread::yield();
    }
    std::unique_ptr<RocksJournal> opened = OpenCopy(copy());
    ASSERT_NE(opened, nullptr);
    ExpectWhole(*opened, writer);
    opened.reset();
    fs::remove_all(copy());
  }
  EXPECT_GT(failed, 0);
}

TEST_F(BackupTest, WhileAnythingFailsItIsWholeOrNotThere) {
  const auto faulty =
      std::make_shared<FaultyFileSystem>(rocksdb::FileSystem::Default(), FaultyFileSystem::Options{.seed = 7});
  Open(faulty);
  Writer writer = New("s");
  int failed = 0, made = 0;
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(round);
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(writer.Write().ok());
    faulty->SetFailureProbability(round % 2 == 0 ? 0.05 : 0.01);
    const absl::Status status = BackUp(copy()).status();
    faulty->SetFailureProbability(0);
    if (status.ok()) {
      ++made;
      const std::unique_ptr<RocksJournal> opened = OpenCopy(copy());
      ASSERT_NE(opened, nullptr);
      ExpectWhole(*opened, writer);
    } else {
      ++failed;
      EXPECT_TRUE(IsFailure(status, Reason::BACKUP_FAILED)) << status;
      EXPECT_FALSE(fs::exists(copy())) << status;
    }
    fs::remove_all(copy());
    // What had to be written for it may have failed, or may fail yet: one that is made says that it is all through.
    do {
      while (!Await([&](Journal::Done done) {
                journal_->Save({HeadOf("nobody", "nobody"), {}, {}, true}, std::move(done));
              }).ok()) {
        std::this_thread::yield();
      }
    } while (!BackUp(copy()).ok());
    fs::remove_all(copy());
  }
  EXPECT_GT(failed, 5);
  EXPECT_GT(made, 5);
  journal_.reset();
}

TEST_F(BackupTest, ClosedJournalsAreCopiedAndRestored) {
  Open();
  Writer writer = New("s");
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(writer.Write().ok());
  journal_.reset();
  std::ofstream(data() + "/REPLAYING") << "notes";
  const absl::StatusOr<std::uint64_t> bytes = BackUpClosedJournal(data(), copy());
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_GT(*bytes, 0u);
  EXPECT_THAT(NamesIn(copy()), ElementsAre("FORMAT", "REPLAYING", "log", "rocksdb"));
  const std::string restored = directory_.path() + "/restored";
  ASSERT_TRUE(CheckRestoreTarget(restored).ok());
  ASSERT_TRUE(RestoreJournal(copy(), restored).ok());
  EXPECT_THAT(NamesIn(restored), ElementsAre("FORMAT", "REPLAYING", "log", "rocksdb"));
  EXPECT_THAT(std::string(CheckRestoreTarget(restored).message()), HasSubstr("is not empty"));
  // They share nothing.
  fs::remove_all(copy());
  const std::unique_ptr<RocksJournal> opened = OpenCopy(restored);
  ExpectWhole(*opened, writer);
}

TEST_F(BackupTest, WhatCannotBeRestoredLeavesNothing) {
  fs::create_directories(copy() + "/rocksdb");
  std::ofstream(copy() + "/rocksdb/CURRENT") << "MANIFEST-000001\n";  // and no FORMAT
  const std::string restored = directory_.path() + "/restored";
  const absl::Status status = RestoreJournal(copy(), restored);
  EXPECT_THAT(std::string(status.message()), HasSubstr("nothing was restored to " + restored));
  EXPECT_FALSE(fs::exists(restored));
  fs::create_directory(restored);
  EXPECT_FALSE(RestoreJournal(copy(), restored).ok());
  EXPECT_THAT(NamesIn(restored), IsEmpty());
}

TEST_F(BackupTest, InMemoryThereIsNothingToBackUp) {
  class Never : public Executor {
    void Run(std::function<void()>) override {}
  } never;
  MemoryJournal journal(never);
  EXPECT_TRUE(IsFailure(journal.Backup(copy(), cancelled_).status(), Reason::DURABILITY_UNAVAILABLE));
}

}  // namespace
}  // namespace corod
