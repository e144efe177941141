#include "server/journal/rocks_journal.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <thread>

#include "server/base/completion_scope.h"
#include "server/base/failure.h"
#include "server/journal/codec.h"
#include "server/journal/rocks_keys.h"
#include "server/journal/runs.h"
#include "server/metrics/metrics.h"
#include "tests/faulty_fs/faulty_file_system.h"
#include "tests/unit/journal/journal_test_base.h"

namespace corod {
namespace {

constexpr absl::Duration kAttemptInterval = absl::Milliseconds(2);

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RocksJournalTest : public testing::Test {
 protected:
  absl::Status Open(RocksJournal::Sync sync = RocksJournal::Sync::kAlways) {
    journal_.reset();
    RocksJournal::Options options{.directory = directory_.path(),
                                  .sync = sync,
                                  .attempt_interval = kAttemptInterval,
                                  .file_system = file_system_};
    if (segment_bytes_ > 0) options.segment_bytes = segment_bytes_;
    absl::StatusOr<std::unique_ptr<RocksJournal>> opened = RocksJournal::Open(options);
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
  // Changes what RocksDB holds under `key`, and opens the journal again.
  void Change(const std::string& key, const std::function<void(std::string&)>& change) {
    {
      const std::unique_ptr<rocksdb::DB> db = OpenDatabase();
      std::string value;
      ASSERT_TRUE(db->Get({}, key, &value).ok());
      change(value);
      ASSERT_TRUE(db->Put({}, key, value).ok());
      ASSERT_TRUE(db->Close().ok());
    }
    ASSERT_TRUE(Open().ok());
  }
  // Flips a bit of it.
  void Damage(const std::string& key) {
    Change(key, [](std::string& value) { value.back() = static_cast<char>(value.back() ^ 1); });
  }
  // Flips a bit of a batch in the run that ends with the batch `last`.
  void DamageBatch(const std::string& uid, std::uint64_t last, std::uint64_t number) {
    Change(rocks_keys::BatchKey(uid, last), [&](std::string& value) {
      RunReader run(value, last);
      while (run.Next() && run.number() != number) {
      }
      ASSERT_EQ(run.number(), number);
      const auto at = static_cast<std::size_t>(run.batch().data() - value.data()) + run.batch().size() - 1;
      value[at] = static_cast<char>(value[at] ^ 1);
    });
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
  std::size_t segment_bytes_ = 0;  // 0: the default
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
  EXPECT_EQ(text.str(), "corod journal 3\n");
}

TEST_F(RocksJournalTest, NewerFormatIsRefusedAndLeftAlone) {
  Write("FORMAT", "corod journal 4\n");
  const absl::Status status = Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("was written by a newer corod (format 4; this one knows 3)"));
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

// How many scopes answers came in: each write's come in one.
class Scopes final : private CompletionScope::Deferred {
 public:
  virtual ~Scopes() = default;
  void Note() {
    if (!std::exchange(noted_, true)) CompletionScope::Defer(*this);
  }
  int count() const { return count_; }

 private:
  void RunDeferred() override {
    noted_ = false;
    ++count_;
  }
  bool noted_ = false;
  int count_ = 0;
};

TEST_F(RocksJournalTest, WhatAThreadAppendsInAScopeIsWrittenTogether) {
  constexpr int kSessions = 1'000;
  ASSERT_TRUE(Open().ok());
  std::vector<SessionKey> keys;
  Answers created;
  for (int i = 0; i < kSessions; ++i) {
    keys.push_back({"s" + std::to_string(i), "uid " + std::to_string(i)});
    journal_->Create({HeadOf(keys.back().id, keys.back().uid), {}, {}, "", {}}, created.Expect());
  }
  for (const absl::Status& status : created.Wait()) ASSERT_TRUE(status.ok()) << status;
  Answers answers;
  Scopes scopes;
  {
    const CompletionScope scope;
    for (const SessionKey& key : keys) {
      journal_->Append(key, BatchOf({1, 1}, {}, 1), {}, [&scopes, told = answers.Expect()](absl::Status status) {
        scopes.Note();
        told(std::move(status));
      });
    }
    EXPECT_THAT(answers.order(), IsEmpty());
  }
  for (const absl::Status& status : answers.Wait()) EXPECT_TRUE(status.ok()) << status;
  journal_->Shutdown();
  EXPECT_EQ(scopes.count(), 1);
}

TEST_F(RocksJournalTest, LittleIsWrittenByTheThreadThatAppendsItAndMuchByAnother) {
  ASSERT_TRUE(Open().ok());
  std::vector<SessionKey> keys;
  for (int i = 0; i < 100; ++i) keys.push_back(New("s" + std::to_string(i)).key());
  std::uint64_t number = 0;
  for (const std::size_t count : {1, 3, 100}) {
    const BatchId previous{number, number == 0 ? 0u : 1u};
    ++number;
    std::vector<std::thread::id> threads(count);
    Answers answers;
    {
      const CompletionScope scope;
      for (std::size_t i = 0; i < count; ++i) {
        const bool goes_on = number > 1 && i < (number == 2 ? 1u : 3u);
        journal_->Append(keys[i], BatchOf({number, 1}, goes_on ? previous : BatchId(), number), {},
                         [&to = threads[i], told = answers.Expect()](absl::Status status) {
                           to = std::this_thread::get_id();
                           told(std::move(status));
                         });
      }
      EXPECT_THAT(answers.order(), IsEmpty()) << "never before the call returns";
    }
    if (count < 100) EXPECT_EQ(answers.order().size(), count) << "with the end of the scope";
    for (const absl::Status& status : answers.Wait()) EXPECT_TRUE(status.ok()) << status;
    for (const std::thread::id& thread : threads) EXPECT_EQ(thread == std::this_thread::get_id(), count < 100);
  }
}

// Syncs of files that are written over are counted, and those of a thread that says so wait at the gate; so does
// whoever looks whether the directory can be written again.
class GatedFileSystem : public rocksdb::FileSystemWrapper {
 public:
  GatedFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "GatedFileSystem"; }
  rocksdb::IOStatus NewRandomRWFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSRandomRWFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    std::unique_ptr<rocksdb::FSRandomRWFile> target;
    rocksdb::IOStatus opened = FileSystemWrapper::NewRandomRWFile(name, options, &target, debug);
    if (opened.ok()) *file = std::make_unique<File>(std::move(target), *this);
    return opened;
  }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (name.ends_with("/PROBE")) {
      waiting_ = true;
      closed_.wait(true);
    }
    return FileSystemWrapper::NewWritableFile(name, options, file, debug);
  }
  static void WaitAtTheGate() { waits = true; }
  void FailSyncs(bool fail) { fails_ = fail; }
  bool somebody_waits() const { return waiting_; }
  void Open() {
    closed_ = false;
    closed_.notify_all();
  }
  int syncs() const { return syncs_; }

 private:
  class File : public rocksdb::FSRandomRWFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSRandomRWFile> target, GatedFileSystem& system)
        : FSRandomRWFileOwnerWrapper(std::move(target)), system_(system) {}
    rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
      if (waits) {
        system_.waiting_ = true;
        system_.closed_.wait(true);
      }
      ++system_.syncs_;
      if (system_.fails_) return rocksdb::IOStatus::IOError("it fails");
      return FSRandomRWFileOwnerWrapper::Sync(options, debug);
    }

   private:
    GatedFileSystem& system_;
  };

  static inline thread_local bool waits = false;
  std::atomic<bool> closed_{true}, waiting_{false}, fails_{false};
  std::atomic<int> syncs_{0};
};

TEST_F(RocksJournalTest, WhileOneThreadWritesAnotherDoesNotWaitForIt) {
  const auto gated = std::make_shared<GatedFileSystem>();
  auto opened = RocksJournal::Open({.directory = directory_.path(), .file_system = gated});
  ASSERT_TRUE(opened.ok());
  journal_ = *std::move(opened);
  const SessionKey mine = New("mine").key(), other = New("other").key();
  Answers first, second;
  std::thread writes([&, told = first.Expect()] {
    GatedFileSystem::WaitAtTheGate();
    const CompletionScope scope;
    journal_->Append(other, BatchOf({1, 1}, {}, 1), {}, told);
  });
  while (!gated->somebody_waits()) std::this_thread::yield();
  {
    const CompletionScope scope;
    journal_->Append(mine, BatchOf({1, 1}, {}, 1), {}, second.Expect());
  }
  EXPECT_THAT(first.order(), IsEmpty());
  EXPECT_THAT(second.order(), IsEmpty());
  gated->Open();
  EXPECT_TRUE(second.Wait()[0].ok());
  writes.join();
  EXPECT_TRUE(first.Wait()[0].ok());
  journal_.reset();
}

TEST_F(RocksJournalTest, CountsWhatItWritesAndSyncs) {
  metrics::Cells cells;
  const metrics::JournalMetrics counted(cells);
  const auto gated = std::make_shared<GatedFileSystem>();
  auto opened = RocksJournal::Open({.directory = directory_.path(), .file_system = gated, .metrics = &counted});
  ASSERT_TRUE(opened.ok());
  journal_ = *std::move(opened);
  std::vector<Writer> writers;
  for (int i = 0; i < 5; ++i) writers.push_back(New("s" + std::to_string(i)));
  EXPECT_EQ(counted.append_seconds.Read().count, 0) << "creates are no appends";
  EXPECT_EQ(counted.batch_appends.Read().count, 0);

  const std::uint64_t syncs = counted.syncs.value(), bytes = counted.written_bytes.value();
  const int syncs_there = gated->syncs();
  Answers answers;
  {
    const CompletionScope scope;
    for (const Writer& writer : writers) {
      journal_->Append(writer.key(), BatchOf({1, 1}, {}, 1), {}, answers.Expect());
    }
  }
  for (const absl::Status& status : answers.Wait()) EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(counted.append_seconds.Read().count, 5);
  EXPECT_GT(counted.append_seconds.Read().sum, 0);
  EXPECT_EQ(counted.batch_appends.Read().count, 1);
  EXPECT_EQ(counted.batch_appends.Read().sum, 5);
  EXPECT_EQ(counted.syncs.value() - syncs, 1);
  EXPECT_EQ(gated->syncs() - syncs_there, 1);
  EXPECT_GT(counted.written_bytes.value() - bytes, 5 * writers[0].key().uid.size());
  EXPECT_LT(counted.written_bytes.value() - bytes, 5 * 200);

  // A conflict is not written.
  EXPECT_TRUE(absl::IsAborted(writers[0].Append(BatchOf({1, 2}, {}, 1))));
  EXPECT_EQ(counted.append_seconds.Read().count, 5);
  EXPECT_EQ(counted.batch_appends.Read().count, 1);
  journal_.reset();
}

TEST_F(RocksJournalTest, WithoutSyncsNoneAreCounted) {
  metrics::Cells cells;
  const metrics::JournalMetrics counted(cells);
  auto opened =
      RocksJournal::Open({.directory = directory_.path(), .sync = RocksJournal::Sync::kNever, .metrics = &counted});
  ASSERT_TRUE(opened.ok());
  journal_ = *std::move(opened);
  Writer writer = New("s");
  const std::uint64_t syncs = counted.syncs.value();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(writer.Write().ok());
  EXPECT_EQ(counted.syncs.value(), syncs);
  EXPECT_EQ(counted.append_seconds.Read().count, 3);
  journal_.reset();
}

TEST_F(RocksJournalTest, SaysWhatWaitsAndWhatItTakes) {
  constexpr std::size_t kSegment = std::size_t{1} << 20;
  const auto gated = std::make_shared<GatedFileSystem>();
  auto opened = RocksJournal::Open({.directory = directory_.path(), .segment_bytes = kSegment, .file_system = gated});
  ASSERT_TRUE(opened.ok());
  journal_ = *std::move(opened);
  const SessionKey mine = New("mine").key(), other = New("other").key();
  EXPECT_GE(journal_->BytesOnDisk().value_or(0), kSegment);
  EXPECT_LT(journal_->BytesOnDisk().value_or(0), 8 * kSegment);
  EXPECT_EQ(journal_->QueuedWrites(), 0);
  Answers answers;
  std::thread writes([&, told = answers.Expect()] {
    GatedFileSystem::WaitAtTheGate();
    const CompletionScope scope;
    journal_->Append(other, BatchOf({1, 1}, {}, 1), {}, told);
  });
  while (!gated->somebody_waits()) std::this_thread::yield();
  {
    const CompletionScope scope;
    journal_->Append(mine, BatchOf({1, 1}, {}, 1), {}, answers.Expect());
  }
  EXPECT_EQ(journal_->QueuedWrites(), 1);
  EXPECT_GT(journal_->LongestWait(), absl::ZeroDuration());
  gated->Open();
  writes.join();
  for (const absl::Status& status : answers.Wait()) EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(journal_->QueuedWrites(), 0);
  EXPECT_EQ(journal_->LongestWait(), absl::ZeroDuration());
  journal_.reset();
}

TEST_F(RocksJournalTest, WhatComesMeanwhileDoesNotWaitForACallersAnswers) {
  for (const bool saves : {true, false}) {
    SCOPED_TRACE(saves);
    journal_.reset();
    const auto gated = std::make_shared<GatedFileSystem>();
    auto opened = RocksJournal::Open({.directory = directory_.path(), .file_system = gated});
    ASSERT_TRUE(opened.ok());
    journal_ = *std::move(opened);
    const std::string which = saves ? "saves" : "appends";
    const SessionKey slow = New("slow " + which).key(), other = New("other " + which).key();
    Answers first, second;
    std::thread writes([&, told = first.Expect()] {
      GatedFileSystem::WaitAtTheGate();
      const CompletionScope scope;
      journal_->Append(slow, BatchOf({1, 1}, {}, 1), {}, [&, told](const absl::Status& status) {
        EXPECT_TRUE(second.Wait()[0].ok()) << "or never";
        told(status);
      });
    });
    while (!gated->somebody_waits()) std::this_thread::yield();
    if (saves) {
      journal_->Save({HeadOf(other.id, other.uid), {}, {}, true}, second.Expect());
    } else {
      journal_->Append(other, BatchOf({1, 1}, {}, 1), {}, second.Expect());
    }
    gated->Open();
    writes.join();
    EXPECT_TRUE(first.Wait()[0].ok());
    journal_.reset();
  }
}

TEST_F(RocksJournalTest, WhileItIsUnavailableAScopesAppendsAreRefusedAtOnce) {
  const auto gated = std::make_shared<GatedFileSystem>();
  auto opened =
      RocksJournal::Open({.directory = directory_.path(), .attempt_interval = kAttemptInterval, .file_system = gated});
  ASSERT_TRUE(opened.ok());
  journal_ = *std::move(opened);
  const SessionKey key = New("s").key();
  gated->FailSyncs(true);
  EXPECT_FALSE(
      Await([&](Journal::Done done) { journal_->Save({HeadOf("s", key.uid), {}, {}, true}, std::move(done)); }).ok());
  while (!gated->somebody_waits()) std::this_thread::yield();
  for (int i = 0; i < 1'000; ++i) {  // the other thread is asleep at some of them
    Answers scoped;
    {
      const CompletionScope scope;
      journal_->Append(key, BatchOf({1, 1}, {}, 1), {}, scoped.Expect());
    }
    EXPECT_TRUE(absl::IsUnavailable(scoped.Wait()[0]));
  }
  EXPECT_TRUE(absl::IsUnavailable(
      Await([&](Journal::Done done) { journal_->Save({HeadOf("s", key.uid), {}, {}, true}, std::move(done)); })));
  gated->FailSyncs(false);
  gated->Open();
  AwaitRecovery();
  journal_.reset();
}

TEST_F(RocksJournalTest, WhatACallersThreadWroteIsSyncedWhenItIsTime) {
  const auto gated = std::make_shared<GatedFileSystem>();
  auto opened = RocksJournal::Open({.directory = directory_.path(),
                                    .sync = RocksJournal::Sync::kInterval,
                                    .sync_interval = absl::Milliseconds(1),
                                    .file_system = gated});
  ASSERT_TRUE(opened.ok());
  journal_ = *std::move(opened);
  Writer writer = New("s");
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const int before = gated->syncs();
    Answers answers;
    {
      const CompletionScope scope;
      journal_->Append(writer.key(), BatchOf({i, 1}, i > 1 ? BatchId{i - 1, 1} : BatchId(), i), {}, answers.Expect());
    }
    EXPECT_TRUE(answers.Wait()[0].ok());
    while (gated->syncs() == before) std::this_thread::yield();
  }
  journal_.reset();
}

TEST_F(RocksJournalTest, AnAppendIsAnsweredAtOnceAndASaveInItsTurn) {
  ASSERT_TRUE(Open().ok());
  const Writer writer = New("s");
  const Head head = HeadOf("s", writer.key().uid);
  Answers saved, appended;
  const Journal::Done first = saved.Expect(), second = saved.Expect(), append = appended.Expect();
  journal_->Save({head, {}, {}, true}, [&](const absl::Status& status) {
    journal_->Append(writer.key(), BatchOf({1, 1}, {}, 1), {}, append);
    journal_->Save({head, {}, {}, true}, second);
    // By the other thread, which may not answer what comes behind it before this returns.
    EXPECT_TRUE(appended.Wait()[0].ok());
    for (int i = 0; i < 1'000; ++i) std::this_thread::yield();
    first(status);
  });
  for (const absl::Status& status : saved.Wait()) EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(saved.order(), ElementsAre(0, 1));
}

TEST_F(RocksJournalTest, WhatIsHandedOverAfterTheShutdownIsRefused) {
  ASSERT_TRUE(Open().ok());
  const Writer writer = New("s");
  Answers answers;
  {
    const CompletionScope scope;
    journal_->Append(writer.key(), BatchOf({1, 1}, {}, 1), {}, answers.Expect());
    journal_->Shutdown();
  }
  EXPECT_TRUE(IsFailure(answers.Wait()[0], Reason::JOURNAL_UNAVAILABLE));
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(*journal_->Read(writer.key(), {}, 1 << 20), IsEmpty());
}

TEST_F(RocksJournalTest, DamagedBatchConcernsItsSessionAlone) {
  ASSERT_TRUE(Open().ok());
  const SessionKey bad = New("bad").key(), good = New("good").key();
  for (const SessionKey& key : {bad, good}) {
    Writer writer(*journal_, key, 1);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(writer.Write().ok());
  }
  DamageBatch(bad.uid, 3, 2);
  EXPECT_EQ(journal_->Read(bad, {}, 1 << 20)->size(), 1u);
  EXPECT_TRUE(absl::IsDataLoss(journal_->Read(bad, {1, 1}, 1 << 20).status()));
  EXPECT_TRUE(journal_->Find("bad").ok());
  EXPECT_EQ(journal_->Read(good, {}, 1 << 20)->size(), 3u);

  DamageBatch(bad.uid, 3, 3);
  const Journal::Stored stored = **journal_->Find("bad");
  EXPECT_EQ(stored.tail, (BatchId{1, 1}));
  EXPECT_FALSE(stored.IsSettled()) << "so that whoever wants to know how it stands reads on";
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

TEST_F(RocksJournalTest, SessionWithADamagedHeadCanBeRemoved) {
  ASSERT_TRUE(Open().ok());
  New("bad");
  const auto remove = [&](const std::string& id) {
    return Await([&](Journal::Done done) { journal_->Remove({id, ""}, {}, std::move(done)); });
  };
  EXPECT_TRUE(absl::IsAborted(remove("bad"))) << "it can be read";
  EXPECT_TRUE(remove("nobody").ok());
  Damage(rocks_keys::HeadKey("bad"));
  EXPECT_TRUE(remove("bad").ok());
  EXPECT_TRUE(journal_->Find("bad").ok() && !journal_->Find("bad")->has_value());
  EXPECT_EQ(journal_->size(), 0u);
  New("bad");
  EXPECT_EQ(journal_->size(), 1u);
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

TEST_F(RocksJournalTest, DamagedEventEndsTheHistoryOfTheCatalog) {
  ASSERT_TRUE(Open().ok());
  Writer writer = New("s");
  for (std::uint64_t revision = 1; revision <= 3; ++revision) {
    ASSERT_TRUE(Define(*journal_, EventOf(revision)).ok());
  }
  Damage(rocks_keys::CatalogKey(2));
  const auto expect_end = [&](std::uint64_t revision) {
    const std::vector<CatalogEvent> before = *journal_->ReadCatalog(0, 1 << 20);
    EXPECT_EQ(before.size(), revision - 1);
    for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i], EventOf(i + 1));
    const absl::Status damage = journal_->ReadCatalog(revision - 1, 1 << 20).status();
    EXPECT_TRUE(absl::IsDataLoss(damage)) << damage;
    EXPECT_THAT(std::string(damage.message()), HasSubstr("revision " + std::to_string(revision) + " "));
  };
  expect_end(2);
  EXPECT_TRUE(absl::IsAborted(Define(*journal_, EventOf(2)))) << "it stays as it is";
  // What can be read of the one before stands under its key.
  Change(rocks_keys::CatalogKey(2), [](std::string& value) { value = Encode(EventOf(1)); });
  expect_end(2);
  Change(rocks_keys::CatalogKey(2), [](std::string& value) { value = Encode(EventOf(2)); });
  EXPECT_EQ(ReadCatalog(*journal_)->size(), 3u);

  Damage(rocks_keys::CatalogKey(3));
  expect_end(3);
  for (const std::uint64_t revision : {3, 4}) {
    const absl::Status status = Define(*journal_, EventOf(revision));
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("revision 3 "));
  }
  Writer sessions_go_on(*journal_, writer.key(), 1);
  EXPECT_TRUE(sessions_go_on.Write().ok());
}

TEST_F(RocksJournalTest, MissingEventEndsTheHistoryOfTheCatalog) {
  ASSERT_TRUE(Open().ok());
  for (std::uint64_t revision = 1; revision <= 3; ++revision) {
    ASSERT_TRUE(Define(*journal_, EventOf(revision)).ok());
  }
  {
    const std::unique_ptr<rocksdb::DB> db = OpenDatabase();
    ASSERT_TRUE(db->Delete({}, rocks_keys::CatalogKey(2)).ok());
    ASSERT_TRUE(db->Close().ok());
  }
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), std::vector<CatalogEvent>{EventOf(1)});
  EXPECT_EQ(journal_->ReadCatalog(1, 1 << 20).status(),
            absl::DataLossError("the catalog event of revision 2 cannot be read: it is missing"));
  EXPECT_TRUE(absl::IsAborted(Define(*journal_, EventOf(2)))) << "nothing comes in the place of what was lost";
}

TEST_F(RocksJournalTest, AnEventInDoubtThatWasWrittenKeepsItsRevision) {
  const auto gated = std::make_shared<GatedFileSystem>();
  auto opened =
      RocksJournal::Open({.directory = directory_.path(), .attempt_interval = kAttemptInterval, .file_system = gated});
  ASSERT_TRUE(opened.ok());
  journal_ = *std::move(opened);
  std::vector<CatalogEvent> events = {EventOf(1), EventOf(2, "in doubt"), EventOf(3)};
  ASSERT_TRUE(Define(*journal_, events[0]).ok());
  gated->FailSyncs(true);  // what was written is there all the same
  EXPECT_TRUE(IsFailure(Define(*journal_, events[1]), Reason::JOURNAL_UNAVAILABLE));
  while (!gated->somebody_waits()) std::this_thread::yield();
  EXPECT_TRUE(IsFailure(Define(*journal_, EventOf(2, "meanwhile")), Reason::JOURNAL_UNAVAILABLE));
  EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), std::vector<CatalogEvent>{events[0]});
  gated->FailSyncs(false);
  gated->Open();
  AwaitRecovery();
  EXPECT_TRUE(absl::IsAborted(Define(*journal_, EventOf(2, "later"))));
  EXPECT_EQ(journal_->ReadCatalog(0, 1 << 20)->size(), 2u);
  EXPECT_TRUE(Define(*journal_, events[2]).ok());
  EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), events);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), events);
}

TEST_F(RocksJournalTest, AnEventInDoubtIsDecidedOnce) {
  int written = 0, lost = 0;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    journal_.reset();
    std::filesystem::remove_all(directory_.path());
    Fault({.seed = seed});
    ASSERT_TRUE(Open().ok());
    std::vector<CatalogEvent> events = {EventOf(1), EventOf(2)};
    for (const CatalogEvent& event : events) ASSERT_TRUE(Define(*journal_, event).ok());
    file_system_->FailWrites();
    const CatalogEvent doubtful = EventOf(3, "in doubt");
    EXPECT_TRUE(IsFailure(Define(*journal_, doubtful), Reason::JOURNAL_UNAVAILABLE));
    EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), events);
    file_system_->AllowWrites();
    AwaitRecovery();

    const std::vector<CatalogEvent> found = *journal_->ReadCatalog(2, 1 << 20);
    const CatalogEvent later = EventOf(3, "later");
    const absl::Status status = Define(*journal_, later);
    if (found.empty()) {
      ++lost;
      EXPECT_TRUE(status.ok()) << status;
      events.push_back(later);
    } else {
      ++written;
      EXPECT_TRUE(absl::IsAborted(status)) << status;
      events.push_back(doubtful);
    }
    EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), events);
    events.push_back(EventOf(4));
    EXPECT_TRUE(Define(*journal_, events.back()).ok());
    ASSERT_TRUE(Open().ok());
    EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), events);
  }
  EXPECT_GT(written, 0);
  EXPECT_GT(lost, 0);
}

// What a process that was killed left in the log comes into tables, however often that begins anew.
TEST_F(RocksJournalTest, TheCatalogComesFromTheLog) {
  ASSERT_TRUE(Open().ok());
  std::vector<CatalogEvent> events;
  for (std::uint64_t revision = 1; revision <= 20; ++revision) {
    events.push_back(EventOf(revision));
    if (revision % 5 == 0) events.back().source.assign(100'000, 's');
    ASSERT_TRUE(Define(*journal_, events.back()).ok());
  }
  const std::string copy = directory_.path() + "-after";
  int failures = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    SCOPED_TRACE(seed);
    std::filesystem::remove_all(copy);
    std::filesystem::copy(directory_.path(), copy, std::filesystem::copy_options::recursive);
    for (const auto& file : std::filesystem::recursive_directory_iterator(copy)) {
      EXPECT_NE(file.path().extension(), ".sst") << "it is in the log alone";
    }
    const auto faulty = std::make_shared<FaultyFileSystem>(
        rocksdb::FileSystem::Default(), FaultyFileSystem::Options{.seed = seed, .failure_probability = 0.05});
    absl::StatusOr<std::unique_ptr<RocksJournal>> after = absl::UnavailableError("not opened");
    for (; !after.ok(); ++failures) after = RocksJournal::Open({.directory = copy, .file_system = faulty});
    faulty->SetFailureProbability(0);
    EXPECT_TRUE(*ReadCatalog(**after) == events);
    EXPECT_TRUE(absl::IsAborted(Define(**after, EventOf(20))));
    EXPECT_TRUE(Define(**after, EventOf(21)).ok());
    EXPECT_EQ(ReadCatalog(**after)->size(), 21u);
  }
  EXPECT_GT(failures, 10) << "it fails at some place more often than not";
  std::filesystem::remove_all(copy);
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
// `flushes`: tables are written and compacted all the time.
// `*doubts`: how many writes failed.
void KeepsWhatItAcknowledged(std::uint64_t seed, bool power_cut, bool flushes, const std::string& directory,
                             int* doubts) {
  SCOPED_TRACE(seed);
  const auto file_system = std::make_shared<FaultyFileSystem>(
      rocksdb::FileSystem::Default(), FaultyFileSystem::Options{.seed = seed, .power_cut = power_cut});
  RocksJournal::Options options{
      .directory = directory, .attempt_interval = kAttemptInterval, .file_system = file_system};
  if (flushes) options.segment_bytes = 16 << 10;
  absl::StatusOr<std::unique_ptr<RocksJournal>> opened = RocksJournal::Open(options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  std::unique_ptr<RocksJournal> journal = *std::move(opened);
  std::vector<Writer> writers;
  for (const char* id : {"a", "b", "c"}) {
    writers.emplace_back(*journal, SessionKey{id, std::string("uid of ") + id}, 1);
    ASSERT_TRUE(writers.back().Create().ok());
  }
  file_system->SetFailureProbability(0.05);
  // The journal is away for a while after each failure.
  const auto await_recovery = [&](double failures_meanwhile) {
    file_system->SetFailureProbability(failures_meanwhile);
    while (!Await([&](Journal::Done done) {
              journal->Save({HeadOf("nobody", "nobody"), {}, {}, true}, std::move(done));
            }).ok()) {
      std::this_thread::yield();
    }
    file_system->SetFailureProbability(0.05);
  };
  std::map<std::string, std::size_t> acknowledged;  // how many batches each log had when a write was last OK
  std::vector<CatalogEvent> defined;
  for (int i = 0; i < 50; ++i) {
    Writer& writer = writers[static_cast<std::size_t>(i) % writers.size()];
    const absl::StatusOr<std::vector<Batch>> before = writer.Read();
    if (!before.ok()) {
      EXPECT_TRUE(absl::IsUnavailable(before.status())) << before.status();
      await_recovery(0.01);
      continue;
    }
    EXPECT_GE(before->size(), acknowledged[writer.key().id]);
    writer.set_writer(static_cast<std::uint64_t>(i) + 2);
    const absl::Status status = writer.Write(flushes ? 200 : 1);
    if (status.ok()) {
      acknowledged[writer.key().id] = before->size() + 1;
    } else {
      // A batch that was in doubt may have come back since the log was read.
      EXPECT_TRUE(absl::IsUnavailable(status) || absl::IsAborted(status)) << status;
      ++*doubts;
    }
    if (!status.ok() && i % 5 == 0) await_recovery(0);
    const absl::StatusOr<std::vector<CatalogEvent>> catalog = ReadCatalog(*journal);
    if (!catalog.ok()) {
      EXPECT_TRUE(absl::IsUnavailable(catalog.status())) << catalog.status();
      continue;
    }
    const CatalogEvent event = EventOf(catalog->size() + 1, std::to_string(i));
    const absl::Status told = Define(*journal, event);
    if (told.ok()) {
      defined.push_back(event);
    } else {
      EXPECT_TRUE(absl::IsUnavailable(told) || absl::IsAborted(told)) << told;
      ++*doubts;
    }
  }
  file_system->SetFailureProbability(0);
  std::map<std::string, std::vector<Batch>> written;
  for (const Writer& writer : writers) written[writer.key().id] = writer.written();
  journal.reset();
  opened = RocksJournal::Open(options);
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
  const std::vector<CatalogEvent> catalog = *ReadCatalog(**opened);
  EXPECT_GT(defined.size(), 10u);
  for (const CatalogEvent& event : defined) {
    ASSERT_LE(event.revision, catalog.size());
    EXPECT_EQ(catalog[event.revision - 1], event);
  }
}

TEST_F(RocksJournalTest, KeepsWhatItAcknowledgedWhenWritesFailAtRandom) {
  int doubts = 0;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    std::filesystem::remove_all(directory_.path());
    KeepsWhatItAcknowledged(seed, /*power_cut=*/seed % 2 == 1, /*flushes=*/seed / 2 % 2 == 1, directory_.path(),
                            &doubts);
  }
  EXPECT_GT(doubts, 8);
}

TEST_F(RocksJournalTest, WhatIsNotSyncedIsLostInAPowerCutAndWhatIsStays) {
  const auto copy = directory_.path() + "-after";
  // How many of 40 batches are left. What was defined behind them is left if it was synced.
  const auto left = [&](RocksJournal::Sync sync, std::uint64_t seed) -> std::size_t {
    journal_.reset();
    std::filesystem::remove_all(directory_.path());
    std::filesystem::remove_all(copy);
    Fault({.seed = seed, .power_cut = true});
    EXPECT_TRUE(Open(sync).ok());
    Writer writer = New("s");
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(writer.Write().ok());
    EXPECT_EQ(writer.Read()->size(), 40u);
    EXPECT_TRUE(Define(*journal_, EventOf(1)).ok());
    // What a process that is killed now leaves.
    std::filesystem::copy(directory_.path(), copy, std::filesystem::copy_options::recursive);
    absl::StatusOr<std::unique_ptr<RocksJournal>> after = RocksJournal::Open({.directory = copy});
    EXPECT_TRUE(after.ok()) << after.status();
    if (sync == RocksJournal::Sync::kAlways) EXPECT_EQ(ReadCatalog(**after)->size(), 1u) << seed;
    return Writer(**after, writer.key(), 1).Read()->size();
  };
  bool loses = false;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    EXPECT_EQ(left(RocksJournal::Sync::kAlways, seed), 40u) << seed;
    loses = loses || left(RocksJournal::Sync::kNever, seed) < 40;
  }
  EXPECT_TRUE(loses);
  std::filesystem::remove_all(copy);
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

TEST_F(RocksJournalTest, ARunIsReadFromAnyOfItsBatches) {
  ASSERT_TRUE(Open().ok());
  Writer writer = New("s");
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(writer.Write(2).ok());
  ASSERT_TRUE(Open().ok());  // 1 to 12 are one run
  std::vector<Batch> all = writer.written();
  const auto check = [&] {
    for (std::size_t after = 0; after <= all.size(); ++after) {
      const std::vector<Batch> rest(all.begin() + static_cast<std::ptrdiff_t>(after), all.end());
      EXPECT_EQ(*journal_->Read(writer.key(), after == 0 ? BatchId() : all[after - 1].id, 1 << 20), rest);
      const auto one = *journal_->Read(writer.key(), after == 0 ? BatchId() : all[after - 1].id, 1);
      EXPECT_EQ(one, std::vector<Batch>(rest.begin(), rest.begin() + (rest.empty() ? 0 : 1)));
    }
    EXPECT_EQ((*journal_->Find("s"))->tail, all.back().id);
    EXPECT_EQ((*journal_->Find("s"))->logged_steps, 2 * all.size());
  };
  check();
  // Some in the run, others not settled, then in a second run.
  for (std::uint64_t number = 13; number <= 15; ++number) {
    all.push_back(BatchOf({number, 1}, {number - 1, 1}, number * 2 - 1, 2));
    ASSERT_TRUE(Writer(*journal_, writer.key(), 1).Append(all.back()).ok());
  }
  check();
  ASSERT_TRUE(Open().ok());
  check();
}

TEST_F(RocksJournalTest, ARunIsTrimmedWhenItsLastBatchMayGo) {
  ASSERT_TRUE(Open().ok());
  Writer writer = New("s");
  const SessionKey key = writer.key();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(writer.Write().ok());
  ASSERT_TRUE(Open().ok());
  journal_->Trim(key, {3, 1}, {});
  AwaitRecovery();
  EXPECT_THAT(IdsOf(*journal_->Read(key, {3, 1}, 1 << 20)), ElementsAre(BatchId{4, 1}));
  EXPECT_EQ((*journal_->Find("s"))->tail, (BatchId{4, 1}));
  ASSERT_TRUE(Writer(*journal_, key, 1).Append(BatchOf({5, 1}, {4, 1}, 5)).ok());
  ASSERT_TRUE(Writer(*journal_, key, 1).Append(BatchOf({6, 1}, {5, 1}, 6)).ok());
  journal_->Trim(key, {6, 1}, {});
  AwaitRecovery();
  EXPECT_THAT(IdsOf(*journal_->Read(key, {}, 1 << 20)), ElementsAre(BatchId{6, 1}));
  EXPECT_TRUE(absl::IsOutOfRange(journal_->Read(key, {4, 1}, 1 << 20).status()));
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(IdsOf(*journal_->Read(key, {}, 1 << 20)), ElementsAre(BatchId{6, 1}));
  EXPECT_EQ((*journal_->Find("s"))->tail, (BatchId{6, 1}));
}

TEST_F(RocksJournalTest, WhatStandsInTwoRunsCountsOnce) {
  ASSERT_TRUE(Open().ok());
  Writer writer = New("s");
  for (int i = 0; i < 9; ++i) ASSERT_TRUE(writer.Write().ok());
  {
    const std::unique_ptr<rocksdb::DB> db = OpenDatabase();
    for (const auto& [from, to] : {std::pair{1, 3}, {4, 6}, {2, 7}}) {
      std::string run;
      for (int i = from; i <= to; ++i) {
        AppendToRun(static_cast<std::uint64_t>(i), Encode(writer.written()[static_cast<std::size_t>(i - 1)]), run);
      }
      ASSERT_TRUE(db->Put({}, rocks_keys::BatchKey(writer.key().uid, static_cast<std::uint64_t>(to)), run).ok());
    }
    ASSERT_TRUE(db->Close().ok());
  }
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(*journal_->Read(writer.key(), {}, 1 << 20), writer.written());
  EXPECT_EQ(*Writer(*journal_, writer.key(), 1).Read(1), writer.written());
  for (std::size_t after = 1; after <= 9; ++after) {
    EXPECT_EQ(journal_->Read(writer.key(), writer.written()[after - 1].id, 1 << 20)->size(), 9 - after);
  }
}

TEST_F(RocksJournalTest, VersionOneIsOpenedAndIsVersionThreeThen) {
  ASSERT_TRUE(Open().ok());
  Writer writer = New("s");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(writer.Write().ok());
  {
    // As version 1 had it: a key for each batch, CRC-32.
    const std::unique_ptr<rocksdb::DB> db = OpenDatabase();
    ASSERT_TRUE(db->Delete({}, rocks_keys::BatchKey(writer.key().uid, 3)).ok());
    for (const Batch& batch : writer.written()) {
      std::string bytes = Encode(batch);
      auto checksum = static_cast<std::uint32_t>(
          crc32(0, reinterpret_cast<const Bytef*>(bytes.data() + 5), static_cast<uInt>(bytes.size() - 5)));
      bytes[0] = 1;
      for (std::size_t i = 1; i < 5; ++i, checksum >>= 8) bytes[i] = static_cast<char>(checksum);
      ASSERT_TRUE(db->Put({}, rocks_keys::BatchKey(writer.key().uid, batch.id.number), bytes).ok());
    }
    ASSERT_TRUE(db->Close().ok());
    std::filesystem::remove_all(directory_.path() + "/log");
  }
  Write("FORMAT", "corod journal 1\n");
  ASSERT_TRUE(Open().ok());
  std::stringstream text;
  text << std::ifstream(directory_.path() + "/FORMAT").rdbuf();
  EXPECT_EQ(text.str(), "corod journal 3\n");
  EXPECT_EQ(*journal_->Read(writer.key(), {}, 1 << 20), writer.written());
  EXPECT_EQ((*journal_->Find("s"))->tail, (BatchId{3, 1}));
  EXPECT_TRUE(Writer(*journal_, writer.key(), 1).Append(BatchOf({4, 1}, {3, 1}, 4)).ok());
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(journal_->Read(writer.key(), {}, 1 << 20)->size(), 4u);
}

TEST_F(RocksJournalTest, VersionTwoIsOpenedAndIsVersionThreeThen) {
  ASSERT_TRUE(Open().ok());
  Writer writer = New("s");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(writer.Write().ok());
  journal_.reset();
  Write("FORMAT", "corod journal 2\n");  // it had all that is there
  ASSERT_TRUE(Open().ok());
  std::stringstream text;
  text << std::ifstream(directory_.path() + "/FORMAT").rdbuf();
  EXPECT_EQ(text.str(), "corod journal 3\n");
  EXPECT_EQ(*Writer(*journal_, writer.key(), 1).Read(), writer.written());
}

// Whoever reads finds all that was written before, however it goes from the log to RocksDB meanwhile.
TEST_F(RocksJournalTest, ReadersFindWhatIsOnItsWayToRocksDb) {
  segment_bytes_ = 2'048;
  ASSERT_TRUE(Open(RocksJournal::Sync::kNever).ok());
  constexpr int kSessions = 4, kBatches = 150;
  std::vector<Writer> writers;
  for (int s = 0; s < kSessions; ++s) writers.push_back(New("s" + std::to_string(s)));
  std::array<std::atomic<std::uint64_t>, kSessions> written{};
  std::atomic<bool> ended{false};
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&, r] {
      std::uint64_t rounds = 0;
      while (!ended) {
        const std::size_t s = (rounds++ + static_cast<std::size_t>(r)) % kSessions;
        const std::uint64_t before = written[s];
        if (r == 0) {
          const absl::StatusOr<std::optional<Journal::Stored>> stored = journal_->Find("s" + std::to_string(s));
          ASSERT_TRUE(stored.ok() && *stored) << stored.status();
          ASSERT_GE((*stored)->tail.number, before);
          ASSERT_EQ((*stored)->tail.number, (*stored)->logged_steps);
          continue;
        }
        std::uint64_t last = rounds % 3 == 0 && before > 10 ? before - 10 : 0;
        const std::uint64_t from = last;
        while (true) {
          const absl::StatusOr<std::vector<Batch>> some = journal_->Read(
              writers[s].key(), last == 0 ? BatchId() : BatchId{last, 1}, rounds % 2 == 0 ? 1 << 20 : 3'000);
          ASSERT_TRUE(some.ok()) << some.status();
          if (some->empty()) break;
          for (const Batch& batch : *some) ASSERT_EQ(batch.id.number, ++last) << "from " << from;
        }
        ASSERT_GE(last, before);
      }
    });
  }
  for (int i = 0; i < kBatches; ++i) {
    for (std::size_t s = 0; s < kSessions; ++s) {
      ASSERT_TRUE(writers[s].Write().ok());
      written[s] = writers[s].last().number;
    }
  }
  ended = true;
  for (std::thread& reader : readers) reader.join();
  for (Writer& writer : writers) EXPECT_EQ(*writer.Read(), writer.written());
}

// A process that appends, trims, saves, removes, creates and defines, and tells what was acknowledged.
void WriteUntilKilled(const std::string& directory, int tell, std::uint64_t first) {
  RocksJournal::Options options{.directory = directory};
  options.segment_bytes = 4'096;
  absl::StatusOr<std::unique_ptr<RocksJournal>> opened = RocksJournal::Open(options);
  if (!opened.ok()) _exit(1);
  RocksJournal& journal = **opened;
  std::vector<Writer> writers;
  for (int s = 0; s < 5; ++s) {
    const std::string id = "s" + std::to_string(s);
    writers.emplace_back(journal, SessionKey{id, "uid of " + id}, first);
    if (first == 1 && !writers.back().Create().ok()) _exit(2);
    if (!writers.back().Read().ok()) _exit(3);
  }
  const absl::StatusOr<std::vector<CatalogEvent>> catalog = ReadCatalog(journal);
  if (!catalog.ok()) _exit(8);
  std::uint64_t revision = catalog->size();
  for (std::uint64_t round = first;; ++round) {
    for (std::uint8_t s = 0; s < 5; ++s) {
      Writer& writer = writers[s];
      if (!writer.Write(3).ok()) _exit(4);
      const std::uint64_t told = writer.last().number << 8 | s;
      if (write(tell, &told, sizeof(told)) != sizeof(told)) _exit(5);
      if (s > 2 && round % 7 == s) journal.Trim(writer.key(), writer.last(), {});
    }
    Writer other(journal, {"other", "uid " + std::to_string(round)}, 1);
    if (!other.Create().ok() || !other.Write().ok() || !other.Remove().ok()) _exit(6);
    if (!Define(journal, EventOf(++revision)).ok()) _exit(9);
    const std::uint64_t told = revision << 8 | 5;
    if (write(tell, &told, sizeof(told)) != sizeof(told)) _exit(5);
  }
}

// This program, started by the test below with the directory, the pipe and the first round, does nothing but that. (A
// mere fork would have none of RocksDB's threads.)
constexpr const char* kDirectory = "COROD_WRITE_UNTIL_KILLED";
class Child : public testing::Environment {
 public:
  void SetUp() override {
    const char* directory = std::getenv(kDirectory);
    if (directory) WriteUntilKilled(directory, STDIN_FILENO, std::stoull(std::getenv("COROD_FIRST_ROUND")));
  }
};
const testing::Environment* const child_environment = testing::AddGlobalTestEnvironment(new Child);

// As a process of its own; `tell` is where it tells.
pid_t StartChild(const std::string& directory, int tell, std::uint64_t first) {
  const std::string round = std::to_string(first);
  const pid_t child = fork();
  if (child == 0) {
    setenv(kDirectory, directory.c_str(), 1);
    setenv("COROD_FIRST_ROUND", round.c_str(), 1);
    dup2(tell, STDIN_FILENO);
    execl("/proc/self/exe", "journal_test", "--gtest_filter=LogEntriesTest.*", nullptr);
    _exit(7);
  }
  return child;
}

TEST_F(RocksJournalTest, KilledWheneverItKeepsWhatItAcknowledged) {
  std::array<std::uint64_t, 6> acknowledged{};  // the last is the catalog's revision
  std::uint64_t first = 1;
  for (std::size_t kill_after : {1, 7, 40, 90, 91, 200, 333, 500, 5, 777}) {
    SCOPED_TRACE(kill_after);
    int told[2];
    ASSERT_EQ(pipe(told), 0);
    const pid_t child = StartChild(directory_.path(), told[1], first);
    close(told[1]);
    const auto take = [&] {
      std::uint64_t number = 0;
      const bool is_there = read(told[0], &number, sizeof(number)) == sizeof(number);
      if (is_there) acknowledged[number & 0xff] = number >> 8;
      return is_there;
    };
    for (std::size_t i = 0; i < kill_after; ++i) ASSERT_TRUE(take());
    kill(child, SIGKILL);
    EXPECT_EQ(waitpid(child, nullptr, 0), child);
    while (take()) {
    }
    close(told[0]);
    ASSERT_TRUE(Open().ok());
    EXPECT_LE(journal_->size(), 6u);
    for (std::size_t s = 0; s < 5; ++s) {
      const std::string id = "s" + std::to_string(s);
      const std::vector<Batch> log = *Writer(*journal_, {id, "uid of " + id}, 1).Read();
      ASSERT_GE(log.size(), acknowledged[s] > 0 ? 1u : 0u);
      if (!log.empty()) EXPECT_GE(log.back().id.number, acknowledged[s]);
      if (s <= 2 && !log.empty()) EXPECT_EQ(log.front().id.number, 1u);
      for (std::size_t i = 1; i < log.size(); ++i) EXPECT_EQ(log[i].previous, log[i - 1].id);
    }
    const std::vector<CatalogEvent> catalog = *ReadCatalog(*journal_);
    EXPECT_GE(catalog.size(), acknowledged[5]);
    for (std::size_t i = 0; i < catalog.size(); ++i) EXPECT_EQ(catalog[i], EventOf(i + 1));
    if (journal_->Find("other")->has_value()) {
      const SessionKey other = (*journal_->Find("other"))->head.key;
      EXPECT_TRUE(Writer(*journal_, other, 1).Remove().ok());
    }
    journal_.reset();
    first = *std::max_element(acknowledged.begin(), acknowledged.end()) + 10'000 * kill_after;
  }
  EXPECT_GT(acknowledged[5], 10u);
  // What was removed has left nothing.
  ASSERT_TRUE(Open().ok());
  AwaitRecovery();
  const std::unique_ptr<rocksdb::DB> db = OpenDatabase();
  const std::unique_ptr<rocksdb::Iterator> keys(db->NewIterator({}));
  int lives = 0;
  for (keys->Seek("l"); keys->Valid() && keys->key().starts_with("l"); keys->Next()) {
    if (keys->key().ToString().find("uid of") == std::string::npos) ++lives;
  }
  EXPECT_EQ(lives, 0);
}

TEST_F(RocksJournalTest, WhenTheLogCannotGrowItIsUnavailableAndComesBack) {
  segment_bytes_ = 4'096;
  Fault({.seed = 1});
  ASSERT_TRUE(Open().ok());
  Writer writer = New("s");
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(writer.Write(3).ok());
    file_system_->FailNewFiles(true);
    while (writer.Write(30).ok()) {  // until it needs what it cannot get: a table
    }
    EXPECT_TRUE(IsFailure(writer.Write(), Reason::JOURNAL_UNAVAILABLE));
    file_system_->FailNewFiles(false);
    AwaitRecovery();
    writer.set_writer(static_cast<std::uint64_t>(round) + 2);
    const std::vector<Batch> log = *writer.Read();
    auto at = log.begin();
    for (const Batch& batch : writer.written()) {
      at = std::find(at, log.end(), batch);
      ASSERT_NE(at, log.end()) << "lost " << batch.id.number;
    }
  }
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

// Sessions whose uids begin alike are measured together, whatever lies between them.
TEST_F(RocksJournalTest, KnowsWhatTheLogsOfAGroupTake) {
  segment_bytes_ = 16'384;
  ASSERT_TRUE(Open(RocksJournal::Sync::kNever).ok());
  const auto fill = [this](const std::string& uid, int batches) {
    Writer writer(*journal_, {"of " + uid, uid}, 1);
    ASSERT_TRUE(writer.Create().ok());
    for (int i = 0; i < batches; ++i) ASSERT_TRUE(writer.Write(100).ok());
  };
  EXPECT_EQ(journal_->BytesOf(0x0000'0007).value_or(1), 0u);
  fill("00000006-0000-8000-8000-000000000001", 100);
  fill("00000007-0000-8000-8000-000000000001", 100);
  fill("00000007-ffff-8fff-bfff-ffffffffffff", 100);
  fill("ffffffff-0000-8000-8000-000000000001", 100);
  fill("some other text", 100);
  ASSERT_TRUE(Open(RocksJournal::Sync::kNever).ok());  // so that all of it is in RocksDB
  const std::uint64_t one = journal_->BytesOf(6).value_or(0);
  const std::uint64_t two = journal_->BytesOf(7).value_or(0);
  EXPECT_GT(one, 50'000u);
  EXPECT_GT(two, one * 3 / 2);
  EXPECT_LT(two, one * 3);
  EXPECT_GT(journal_->BytesOf(~std::uint32_t{0}).value_or(0), one / 2);
  EXPECT_EQ(journal_->BytesOf(8).value_or(1), 0u);
}

}  // namespace
}  // namespace corod
