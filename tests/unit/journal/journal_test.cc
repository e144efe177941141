#include "server/journal/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <thread>

#include "server/base/completion_scope.h"
#include "server/base/worker_pool.h"
#include "server/journal/memory_journal.h"
#include "server/journal/rocks_journal.h"
#include "tests/unit/journal/journal_test_base.h"

// What every journal does.
namespace corod {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

enum class Backend {
  kMemory,
  kMemoryWithoutComparison,
  kRocks,
  kRocksWithSmallSegments,  // what is appended goes from the write-ahead log to RocksDB all the time
};

std::string NameOfBackend(const testing::TestParamInfo<Backend>& info) {
  constexpr const char* kNames[] = {"Memory", "MemoryWithoutComparison", "Rocks", "RocksWithSmallSegments"};
  return kNames[static_cast<int>(info.param)];
}

class JournalTest : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override { Open(); }
  void TearDown() override {
    if (journal_) journal_->Shutdown();
    journal_.reset();
    workers_.Shutdown();
  }

  static bool IsRocks() { return GetParam() == Backend::kRocks || GetParam() == Backend::kRocksWithSmallSegments; }
  void Open() {
    if (IsRocks()) {
      RocksJournal::Options options{.directory = directory_.path()};
      if (GetParam() == Backend::kRocksWithSmallSegments) options.segment_bytes = 1024;
      absl::StatusOr<std::unique_ptr<RocksJournal>> opened = RocksJournal::Open(options);
      ASSERT_TRUE(opened.ok()) << opened.status();
      journal_ = *std::move(opened);
    } else if (!journal_) {
      MemoryJournal::Options options;
      options.durable = true;
      if (GetParam() == Backend::kMemoryWithoutComparison) options.comparison = MemoryJournal::Comparison::kOff;
      journal_ = std::make_unique<MemoryJournal>(workers_, options);
    }
  }
  // As after a restart, where the backend outlives one.
  void Reopen() {
    if (IsRocks()) journal_.reset();
    Open();
  }
  // What was asked before has taken effect.
  void Settle() {
    EXPECT_TRUE(Await([&](Journal::Done done) {
                  journal_->Save({HeadOf("nobody", "nobody"), {}, {}, false}, std::move(done));
                }).ok());
  }

  Writer New(const std::string& id, const std::string& uid = "") {
    Writer writer(*journal_, {id, uid.empty() ? "uid of " + id : uid}, 1);
    EXPECT_TRUE(writer.Create().ok());
    return writer;
  }
  absl::Status Save(Journal::Saved saved) {
    return Await([&](Journal::Done done) { journal_->Save(std::move(saved), std::move(done)); });
  }
  absl::Status Create(Journal::NewSession session) {
    return Await([&](Journal::Done done) { journal_->Create(std::move(session), std::move(done)); });
  }
  std::optional<Journal::Stored> Find(const std::string& id) {
    absl::StatusOr<std::optional<Journal::Stored>> found = journal_->Find(id);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? *found : std::nullopt;
  }
  std::vector<std::string> DueIds(std::int64_t now) {
    std::vector<std::string> ids;
    const absl::StatusOr<std::vector<Journal::Due>> due = journal_->ListDue(At(now), std::nullopt, 100);
    EXPECT_TRUE(due.ok());
    for (const Journal::Due& entry : *due) ids.push_back(entry.id);
    return ids;
  }

  OwnDirectory directory_;
  WorkerPool workers_{4};
  std::unique_ptr<Journal> journal_;
};

INSTANTIATE_TEST_SUITE_P(Backends, JournalTest,
                         testing::Values(Backend::kMemory, Backend::kMemoryWithoutComparison, Backend::kRocks,
                                         Backend::kRocksWithSmallSegments),
                         NameOfBackend);

TEST_P(JournalTest, KeepsWhatWasAppendedInOrder) {
  Writer writer = New("s");
  for (int i = 1; i <= 20; ++i) ASSERT_TRUE(writer.Write(i % 3).ok());
  EXPECT_EQ(*writer.Read(), writer.written());
  EXPECT_EQ(*writer.Read(/*bytes=*/1), writer.written());
  EXPECT_EQ(*writer.Read(/*bytes=*/200), writer.written());
}

TEST_P(JournalTest, KeepsExceptionsAsTheyWereGiven) {  // the body that gets one may go on changing it
  Writer writer = New("s");
  Exception sent("ValueError", {"sent"});
  Exception saved("KeyError", {"saved"});
  Batch batch = BatchOf({1, 1}, {}, 1);
  batch.records[0].value = sent;
  EXPECT_TRUE(Await([&](Journal::Done done) { journal_->Append(writer.key(), batch, {}, std::move(done)); }).ok());
  Checkpoint checkpoint;
  checkpoint.step = 1;
  checkpoint.after = {1, 1};
  checkpoint.state = saved;
  EXPECT_TRUE(Save({HeadOf("s", writer.key().uid), checkpoint, {}, false}).ok());
  sent.AddNote("later");
  saved.SetContext(sent);
  EXPECT_EQ((*writer.Read())[0].records[0].value, Value(Exception("ValueError", {"sent"})));
  EXPECT_EQ((*journal_->FindCheckpoint(writer.key(), 1))->state, Value(Exception("KeyError", {"saved"})));
}

TEST_P(JournalTest, AnswersInTheOrderOfTheCalls) {  // but for appends, of which a session has one under way
  Writer writer = New("s");
  Answers answers, appended;
  std::vector<std::size_t> order;
  Head head = HeadOf("s", writer.key().uid);
  for (std::uint64_t i = 1; i <= 500; ++i) {
    journal_->Append(writer.key(), BatchOf({i, 1}, {i - 1, i > 1 ? 1u : 0u}, i), {}, appended.Expect());
    head.steps = i;
    journal_->Save({head, CheckpointOf(i, {i, 1}), {}, i % 2 == 0}, answers.Expect());
    order.push_back(i - 1);
  }
  for (const absl::Status& status : appended.Wait()) EXPECT_TRUE(status.ok()) << status;
  for (const absl::Status& status : answers.Wait()) EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(answers.order(), order);
  EXPECT_EQ((*journal_->Find("s"))->head.steps, 500);
}

TEST_P(JournalTest, WhatAThreadAsksForInAScopeComesInItsOrder) {
  Writer writer = New("s");
  Answers answers;
  {
    const CompletionScope scope;
    for (std::uint64_t i = 1; i <= 20; ++i) {
      journal_->Append(writer.key(), BatchOf({i, 1}, {i - 1, i > 1 ? 1u : 0u}, i), {}, answers.Expect());
      // Takes away what was appended just now.
      if (i % 5 == 0) journal_->Trim(writer.key(), {i, 1}, {});
    }
    journal_->Remove(writer.key(), std::nullopt, answers.Expect());
  }
  for (const absl::Status& status : answers.Wait()) EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(*journal_->Find("s"), std::nullopt);
}

TEST_P(JournalTest, AnswersOnAnotherThreadSoThatALockMayBeHeld) {
  Mutex mutex;
  Answers answers;
  const std::thread::id self = std::this_thread::get_id();
  {
    const MutexLock lock(mutex);
    journal_->Create({HeadOf("s", "u"), {}, {}, "", {}}, [&, done = answers.Expect()](absl::Status status) {
      EXPECT_NE(std::this_thread::get_id(), self);
      const MutexLock callback_lock(mutex);
      done(std::move(status));
    });
  }
  EXPECT_TRUE(answers.Wait()[0].ok());
}

TEST_P(JournalTest, ACallbackMayCallTheJournal) {
  Writer writer = New("s");
  Answers answers;
  const Journal::Done last = answers.Expect();
  journal_->Append(writer.key(), BatchOf({1, 1}, {}, 1), {}, [&](const absl::Status& status) {
    EXPECT_TRUE(status.ok());
    EXPECT_EQ(journal_->Read(writer.key(), {}, 1000)->size(), 1u);
    journal_->Append(writer.key(), BatchOf({2, 1}, {1, 1}, 2), {}, last);
  });
  EXPECT_TRUE(answers.Wait()[0].ok());
}

TEST_P(JournalTest, AppendBehindAnotherThanTheLastBatchIsAConflict) {
  Writer writer = New("s");
  ASSERT_TRUE(writer.Write().ok());
  ASSERT_TRUE(writer.Write().ok());
  EXPECT_TRUE(absl::IsAborted(writer.Append(BatchOf({2, 9}, {1, 1}, 2))));
  EXPECT_TRUE(absl::IsAborted(writer.Append(BatchOf({3, 9}, {1, 1}, 2))));
  EXPECT_TRUE(absl::IsAborted(writer.Append(BatchOf({3, 9}, {2, 9}, 3))));
  EXPECT_TRUE(absl::IsAborted(writer.Append(BatchOf({1, 9}, {}, 1))));
  EXPECT_TRUE(absl::IsAborted(writer.Append(BatchOf({2, 9}, {2, 1}, 3))));
  EXPECT_TRUE(absl::IsAborted(writer.Append(BatchOf({9, 9}, {8, 1}, 3))));
  EXPECT_EQ(*writer.Read(), writer.written());
  EXPECT_TRUE(writer.Write().ok());
}

TEST_P(JournalTest, NumbersMayHaveGaps) {
  Writer writer = New("s");
  EXPECT_TRUE(writer.Append(BatchOf({5, 1}, {}, 1)).ok());
  EXPECT_TRUE(writer.Append(BatchOf({90, 1}, {5, 1}, 2)).ok());
  EXPECT_TRUE(absl::IsAborted(writer.Append(BatchOf({6, 2}, {5, 1}, 2))));
  EXPECT_THAT(IdsOf(*writer.Read()), ElementsAre(BatchId{5, 1}, BatchId{90, 1}));
}

TEST_P(JournalTest, AppendToASessionThatIsNotThereIsAConflict) {
  Writer writer(*journal_, {"s", "u"}, 1);
  EXPECT_TRUE(absl::IsAborted(writer.Write()));
  ASSERT_TRUE(writer.Create().ok());
  EXPECT_TRUE(absl::IsAborted(Writer(*journal_, {"s", "another"}, 1).Write()));
  EXPECT_TRUE(absl::IsAborted(Writer(*journal_, {"t", "u"}, 1).Write()));
  EXPECT_TRUE(writer.Write().ok());
  ASSERT_TRUE(writer.Remove().ok());
  EXPECT_TRUE(absl::IsAborted(writer.Write()));
}

TEST_P(JournalTest, AClaimVoidsWhatAnotherWriterHasUnderWay) {
  Writer writer = New("s");
  ASSERT_TRUE(writer.Write().ok());
  Answers answers;
  journal_->Append(writer.key(), Batch{{2, 77}, {1, 1}, 2, 0, {}}, {}, answers.Expect());
  journal_->Append(writer.key(), BatchOf({2, 1}, {1, 1}, 2), {}, answers.Expect());
  journal_->Append(writer.key(), BatchOf({3, 1}, {2, 1}, 3), {}, answers.Expect());
  journal_->Append(writer.key(), BatchOf({3, 77}, {2, 77}, 2), {}, answers.Expect());
  const std::vector<absl::Status> told = answers.Wait();
  EXPECT_TRUE(told[0].ok());
  EXPECT_TRUE(absl::IsAborted(told[1]));
  EXPECT_TRUE(absl::IsAborted(told[2]));
  EXPECT_TRUE(told[3].ok());
  Reopen();
  EXPECT_THAT(IdsOf(*journal_->Read(writer.key(), {}, 1000)),
              ElementsAre(BatchId{1, 1}, BatchId{2, 77}, BatchId{3, 77}));
}

TEST_P(JournalTest, OfRacingWritersExactlyThoseWhoAreToldSoWrote) {
  constexpr int kWriters = 8, kRounds = 200;
  const Writer first = New("s");
  Mutex mutex;
  std::map<std::uint64_t, BatchId> told;  // by number
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      Writer writer(*journal_, first.key(), static_cast<std::uint64_t>(w) + 1);
      for (int round = 0; round < kRounds; ++round) {
        if (writer.Write().ok()) {
          const MutexLock lock(mutex);
          EXPECT_TRUE(told.emplace(writer.last().number, writer.last()).second);
        } else {
          const absl::StatusOr<std::vector<Batch>> behind = journal_->Read(first.key(), {}, 1 << 20);
          ASSERT_TRUE(behind.ok());
          ASSERT_TRUE(writer.Read().ok());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Reopen();
  const std::vector<Batch> log = *Writer(*journal_, first.key(), 1).Read();
  ASSERT_EQ(log.size(), told.size());
  EXPECT_GT(log.size(), 0u);
  for (const Batch& batch : log) EXPECT_EQ(told[batch.id.number], batch.id);
  BatchId last;
  for (const Batch& batch : log) EXPECT_EQ(batch.previous, std::exchange(last, batch.id));
}

TEST_P(JournalTest, CreateTakesAnIdOnce) {
  New("s", "u1");
  EXPECT_TRUE(absl::IsAborted(Create({HeadOf("s", "u2"), {}, {BatchOf({1, 1}, {}, 1)}, "", At(1)})));
  EXPECT_TRUE(absl::IsAborted(Create({HeadOf("s", "u2"), {}, {BatchOf({1, 1}, {}, 1)}, "u0", At(1)})));
  EXPECT_EQ(Find("s")->head.key.uid, "u1");
  EXPECT_THAT(*journal_->Read({"s", "u2"}, {}, 1000), IsEmpty());
  EXPECT_THAT(DueIds(9), IsEmpty());
  EXPECT_EQ(journal_->size(), 1u);
}

TEST_P(JournalTest, OfCreatesUnderWayTheFirstTakesTheId) {
  Answers answers;
  for (const char* uid : {"u1", "u2", "u3"}) journal_->Create({HeadOf("s", uid), {}, {}, "", {}}, answers.Expect());
  const std::vector<absl::Status> told = answers.Wait();
  EXPECT_TRUE(told[0].ok());
  EXPECT_TRUE(absl::IsAborted(told[1]));
  EXPECT_TRUE(absl::IsAborted(told[2]));
  EXPECT_EQ(Find("s")->head.key.uid, "u1");
}

TEST_P(JournalTest, CreateReplacesTheLifeThatItNames) {
  Writer old = New("s", "u1");
  ASSERT_TRUE(old.Write(5).ok());
  ASSERT_TRUE(Save({HeadOf("s", "u1"), CheckpointOf(5, old.last()), {}, true}).ok());
  ASSERT_TRUE(Create({HeadOf("s", "u2"), {}, {BatchOf({1, 2}, {}, 1)}, "u1", {}}).ok());
  EXPECT_EQ(Find("s")->head.key.uid, "u2");
  EXPECT_EQ(Find("s")->logged_steps, 1u);
  EXPECT_THAT(*journal_->Read({"s", "u1"}, {}, 1000), IsEmpty());
  EXPECT_THAT(*journal_->ListCheckpoints({"s", "u1"}), IsEmpty());
  EXPECT_TRUE(absl::IsAborted(old.Write()));
  EXPECT_EQ(journal_->size(), 1u);
}

TEST_P(JournalTest, CreateThatIsToReplaceAnotherLifeIsAConflict) {
  EXPECT_TRUE(absl::IsAborted(Create({HeadOf("s", "u2"), {}, {}, "u1", {}}))) << "there was none";
  EXPECT_FALSE(Find("s"));
  ASSERT_TRUE(Create({HeadOf("s", "u3"), {}, {}, "", {}}).ok());
  EXPECT_TRUE(absl::IsAborted(Create({HeadOf("s", "u2"), {}, {}, "u1", {}})));
  ASSERT_TRUE(journal_->size() == 1 && Find("s")->head.key.uid == "u3");
  Answers answers;
  journal_->Remove({"s", "u3"}, {}, answers.Expect());
  ASSERT_TRUE(answers.Wait()[0].ok());
  EXPECT_TRUE(absl::IsAborted(Create({HeadOf("s", "u4"), {}, {}, "u3", {}}))) << "it was removed";
  EXPECT_EQ(journal_->size(), 0u);
}

TEST_P(JournalTest, CreateKeepsAllThatItIsGiven) {
  const Checkpoint begin = CheckpointOf(10, {4, 3});
  Journal::NewSession session{
      HeadOf("s", "u"), begin, {BatchOf({5, 1}, {4, 3}, 11, 2), BatchOf({6, 1}, {5, 1}, 13)}, "", At(5)};
  ASSERT_TRUE(Create(session).ok());
  Reopen();
  EXPECT_EQ(Find("s")->head, session.head);
  EXPECT_EQ(Find("s")->tail, (BatchId{6, 1}));
  EXPECT_EQ(Find("s")->logged_steps, 13u);
  EXPECT_EQ(*journal_->Read({"s", "u"}, {}, 1000), session.log);
  EXPECT_EQ(*journal_->Read({"s", "u"}, {4, 3}, 1000), session.log);
  EXPECT_EQ(**journal_->FindCheckpoint({"s", "u"}, 12), begin);
  EXPECT_THAT(DueIds(5), ElementsAre("s"));
}

TEST_P(JournalTest, ALogMayBeginAtACheckpointAlone) {
  ASSERT_TRUE(Create({HeadOf("s", "u"), CheckpointOf(10, {4, 3}), {}, "", {}}).ok());
  EXPECT_EQ(Find("s")->tail, (BatchId{4, 3}));
  EXPECT_EQ(Find("s")->logged_steps, 10u);
  Reopen();
  Writer writer(*journal_, {"s", "u"}, 1);
  EXPECT_TRUE(absl::IsAborted(writer.Append(BatchOf({1, 1}, {}, 1))));
  EXPECT_TRUE(writer.Append(BatchOf({5, 1}, {4, 3}, 11)).ok());
  EXPECT_EQ(Find("s")->logged_steps, 11u);
}

TEST_P(JournalTest, FindTellsHowFarTheLogGoes) {
  EXPECT_FALSE(Find("s"));
  Writer writer = New("s");
  EXPECT_EQ(Find("s")->logged_steps, 0u);
  EXPECT_EQ(Find("s")->tail, BatchId());
  EXPECT_TRUE(Find("s")->IsSettled());
  ASSERT_TRUE(writer.Write(3).ok());
  EXPECT_EQ(Find("s")->logged_steps, 3u);
  EXPECT_EQ(Find("s")->tail, writer.last());
  EXPECT_FALSE(Find("s")->IsSettled());
  Head head = HeadOf("s", writer.key().uid);
  head.steps = 3;
  ASSERT_TRUE(Save({head, {}, {}, false}).ok());
  EXPECT_TRUE(Find("s")->IsSettled());
  EXPECT_EQ(Find("s")->head, head);
  ASSERT_TRUE(writer.Append(Batch{{9, 9}, writer.last(), 4, 0, {}}).ok());
  EXPECT_EQ(Find("s")->logged_steps, 3u);
  EXPECT_TRUE(Find("s")->IsSettled());
}

TEST_P(JournalTest, SaveOfASessionThatIsNotThereDoesNothing) {
  New("s", "u");
  EXPECT_TRUE(Save({HeadOf("t", "v"), CheckpointOf(1, {}), At(1), true}).ok());
  Head other = HeadOf("s", "w");
  other.coroutine = "other";
  EXPECT_TRUE(Save({other, CheckpointOf(1, {}), At(1), true}).ok());
  EXPECT_FALSE(Find("t"));
  EXPECT_EQ(Find("s")->head.coroutine, "averager");
  EXPECT_THAT(*journal_->ListCheckpoints({"s", "w"}), IsEmpty());
  EXPECT_THAT(DueIds(9), IsEmpty());
}

TEST_P(JournalTest, CheckpointsAreFoundByTheirSteps) {
  Writer writer = New("s");
  EXPECT_FALSE(journal_->FindCheckpoint(writer.key(), 100)->has_value());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(writer.Write(10).ok());
    ASSERT_TRUE(
        Save({HeadOf("s", writer.key().uid), CheckpointOf(writer.next_step() - 1, writer.last()), {}, false}).ok());
  }
  Reopen();
  const SessionKey key = writer.key();
  EXPECT_THAT(*journal_->ListCheckpoints(key), ElementsAre(10, 20, 30));
  EXPECT_FALSE(journal_->FindCheckpoint(key, 9)->has_value());
  EXPECT_EQ((*journal_->FindCheckpoint(key, 10))->step, 10u);
  EXPECT_EQ((*journal_->FindCheckpoint(key, 29))->step, 20u);
  EXPECT_EQ(**journal_->FindCheckpoint(key, ~Step{0}), CheckpointOf(30, {3, 1}));
}

TEST_P(JournalTest, TrimLeavesWhatIsBehindTheCheckpoint) {
  Writer writer = New("s");
  New("t");
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(writer.Write(10).ok());
    ASSERT_TRUE(
        Save({HeadOf("s", writer.key().uid), CheckpointOf(writer.next_step() - 1, writer.last()), {}, false}).ok());
  }
  journal_->Trim(writer.key(), {3, 1}, {10, 20});
  Settle();
  EXPECT_THAT(*journal_->ListCheckpoints(writer.key()), ElementsAre(30, 40, 50));
  EXPECT_THAT(IdsOf(*journal_->Read(writer.key(), {3, 1}, 1 << 20)), ElementsAre(BatchId{4, 1}, BatchId{5, 1}));
  EXPECT_THAT(IdsOf(*journal_->Read(writer.key(), {}, 1 << 20)),
              ElementsAre(BatchId{3, 1}, BatchId{4, 1}, BatchId{5, 1}));
  EXPECT_TRUE(absl::IsOutOfRange(journal_->Read(writer.key(), {1, 1}, 1 << 20).status()));
  journal_->Trim(writer.key(), {5, 1}, {30, 40});
  Settle();
  Reopen();
  EXPECT_THAT(*journal_->Read(writer.key(), {5, 1}, 1 << 20), IsEmpty());
  EXPECT_EQ(Find("s")->tail, (BatchId{5, 1}));
  EXPECT_EQ(Find("s")->logged_steps, 50u);
  Writer again(*journal_, writer.key(), 2);
  EXPECT_TRUE(again.Append(BatchOf({6, 2}, {5, 1}, 51)).ok());
}

TEST_P(JournalTest, TrimTakesAwayManyBatches) {
  Writer writer = New("s");
  Answers answers;
  for (std::uint64_t i = 1; i <= 5'000; ++i) {
    journal_->Append(writer.key(), BatchOf({i, 1}, {i - 1, i > 1 ? 1u : 0u}, i), {}, answers.Expect());
  }
  answers.Wait();
  journal_->Trim(writer.key(), {4'998, 1}, {});
  while (journal_->Read(writer.key(), {}, 1)->at(0).id.number < 4'998) Settle();
  EXPECT_EQ(journal_->Read(writer.key(), {}, 1 << 20)->size(), 3u);
}

TEST_P(JournalTest, ListPagesThroughAllSessionsInOrder) {
  for (const char* id : {"b", "d", "a", "c", "ab"}) New(id);
  std::vector<std::string> ids;
  std::string after;
  while (true) {
    const absl::StatusOr<std::vector<Journal::Listed>> page = journal_->List(after, 2);
    ASSERT_TRUE(page.ok());
    if (page->empty()) break;
    ASSERT_LE(page->size(), 2u);
    for (const Journal::Listed& listed : *page) {
      ASSERT_TRUE(listed.stored.ok());
      EXPECT_EQ(listed.stored->head.key.id, listed.id);
      ids.push_back(listed.id);
    }
    after = ids.back();
  }
  EXPECT_THAT(ids, ElementsAre("a", "ab", "b", "c", "d"));
}

TEST_P(JournalTest, RemoveTakesAllAwayAndLeavesTheTombstone) {
  Writer writer = New("s", "u");
  New("t");
  ASSERT_TRUE(writer.Write(3).ok());
  ASSERT_TRUE(Save({HeadOf("s", "u"), CheckpointOf(3, writer.last()), {}, false}).ok());
  const Tombstone tombstone{"r", 5, {3, Outcome::Returned(Value(7))}, At(100)};
  EXPECT_TRUE(Await([&](Journal::Done done) { journal_->Remove({"s", "another"}, tombstone, std::move(done)); }).ok());
  EXPECT_TRUE(Find("s"));
  EXPECT_EQ(**journal_->FindTombstone("s", "r"), tombstone);
  EXPECT_TRUE(Await([&](Journal::Done done) { journal_->Remove({"s", "u"}, tombstone, std::move(done)); }).ok());
  Reopen();
  EXPECT_FALSE(Find("s"));
  EXPECT_TRUE(Find("t"));
  EXPECT_EQ(journal_->size(), 1u);
  EXPECT_THAT(*journal_->Read({"s", "u"}, {}, 1000), IsEmpty());
  EXPECT_THAT(*journal_->ListCheckpoints({"s", "u"}), IsEmpty());
  EXPECT_FALSE(journal_->FindCheckpoint({"s", "u"}, 3)->has_value());
  EXPECT_EQ(**journal_->FindTombstone("s", "r"), tombstone);
  EXPECT_FALSE(journal_->FindTombstone("s", "other")->has_value());
  EXPECT_FALSE(journal_->FindTombstone("t", "r")->has_value());
  New("s", "u2");
  EXPECT_EQ(Find("s")->logged_steps, 0u);
}

TEST_P(JournalTest, TombstonesGoWhenTheirTimeHasCome) {
  for (int i = 0; i < 5; ++i) {
    const std::string id = "s" + std::to_string(i);
    Writer writer = New(id);
    const Tombstone tombstone{"r", 5, {3, Outcome::Returned(Value(7))}, At(100 + i)};
    ASSERT_TRUE(Await([&](Journal::Done done) { journal_->Remove(writer.key(), tombstone, std::move(done)); }).ok());
  }
  EXPECT_THAT(DueIds(99), IsEmpty());
  Settle();
  EXPECT_TRUE(journal_->FindTombstone("s0", "r")->has_value());
  EXPECT_THAT(DueIds(102), IsEmpty());
  Settle();
  EXPECT_FALSE(journal_->FindTombstone("s2", "r")->has_value());
  EXPECT_TRUE(journal_->FindTombstone("s3", "r")->has_value());
  Reopen();
  EXPECT_TRUE(journal_->FindTombstone("s3", "r")->has_value());
  EXPECT_THAT(DueIds(104), IsEmpty());
  Settle();
  EXPECT_FALSE(journal_->FindTombstone("s4", "r")->has_value());
}

TEST_P(JournalTest, TheIndexByTimeIsInOrder) {
  EXPECT_EQ(journal_->EarliestDue(), absl::InfiniteFuture());
  Writer a(*journal_, {"a", "ua"}, 1);
  ASSERT_TRUE(a.Create(At(30)).ok());
  EXPECT_EQ(journal_->EarliestDue(), At(30));
  Writer b = New("b");
  ASSERT_TRUE(b.Append(BatchOf({1, 1}, {}, 1), At(10)).ok());
  EXPECT_EQ(journal_->EarliestDue(), At(10));
  ASSERT_TRUE(Save({HeadOf("a", "ua"), {}, At(20), false}).ok());
  EXPECT_THAT(DueIds(9), IsEmpty());
  EXPECT_THAT(DueIds(10), ElementsAre("b"));
  EXPECT_THAT(DueIds(30), ElementsAre("b", "a", "a"));
  Reopen();
  EXPECT_EQ(journal_->EarliestDue(), At(10));
  EXPECT_THAT(DueIds(30), ElementsAre("b", "a", "a"));

  const std::vector<Journal::Due> first = *journal_->ListDue(At(30), std::nullopt, 2);
  ASSERT_EQ(first.size(), 2u);
  const std::vector<Journal::Due> second = *journal_->ListDue(At(30), first.back(), 2);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].time, At(30));

  journal_->Reschedule(first[0], At(25));
  Settle();
  EXPECT_EQ(journal_->EarliestDue(), At(20));
  EXPECT_THAT(DueIds(30), ElementsAre("a", "b", "a"));
  journal_->Reschedule({At(20), "a"}, std::nullopt);
  journal_->Reschedule({At(25), "b"}, std::nullopt);
  journal_->Reschedule({At(30), "a"}, std::nullopt);
  Settle();
  EXPECT_EQ(journal_->EarliestDue(), absl::InfiniteFuture());
  EXPECT_THAT(DueIds(1000), IsEmpty());
  journal_->Reschedule({At(30), "a"}, At(-5));
  Settle();
  EXPECT_EQ(journal_->EarliestDue(), At(-5));
  EXPECT_THAT(DueIds(0), ElementsAre("a"));
}

TEST_P(JournalTest, TheCatalogKeepsItsHistoryInOrder) {
  EXPECT_THAT(*journal_->ReadCatalog(0, 1 << 20), IsEmpty());
  std::vector<CatalogEvent> events;
  for (std::uint64_t revision = 1; revision <= 300; ++revision) {
    // The last one took the name away, and it comes again.
    const auto kind = static_cast<CatalogEvent::Kind>(revision % 3);
    events.push_back(EventOf(revision, revision % 2 == 0 ? "a" : "b", kind));
    ASSERT_TRUE(Define(*journal_, events.back()).ok());
    // What stands beside it is something else.
    Writer writer(*journal_, {"s" + std::to_string(revision), "u" + std::to_string(revision)}, 1);
    if (revision % 100 == 0) EXPECT_TRUE(writer.Create(At(static_cast<std::int64_t>(revision))).ok());
  }
  for (const bool reopens : {false, true}) {
    if (reopens) Reopen();
    EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), events);
    EXPECT_EQ(*ReadCatalog(*journal_, /*bytes=*/1), events);
    EXPECT_EQ(*ReadCatalog(*journal_, /*bytes=*/200), events);
    EXPECT_EQ(journal_->ReadCatalog(0, 1)->size(), 1u);
    EXPECT_THAT(journal_->ReadCatalog(0, 1'000)->size(), testing::AllOf(testing::Gt(5u), testing::Lt(50u)));
    EXPECT_EQ(*journal_->ReadCatalog(299, 1 << 20), std::vector<CatalogEvent>{events.back()});
    EXPECT_THAT(*journal_->ReadCatalog(300, 1 << 20), IsEmpty());
    EXPECT_THAT(*journal_->ReadCatalog(~std::uint64_t{0}, 1 << 20), IsEmpty());
    EXPECT_EQ(journal_->List("", 10)->size(), 3u);
    EXPECT_THAT(DueIds(300), ElementsAre("s100", "s200", "s300"));
  }
}

TEST_P(JournalTest, AnEventThatIsNotTheNextOneIsAConflict) {
  EXPECT_TRUE(absl::IsAborted(Define(*journal_, EventOf(0))));
  EXPECT_TRUE(absl::IsAborted(Define(*journal_, EventOf(2))));
  EXPECT_THAT(*journal_->ReadCatalog(0, 1 << 20), IsEmpty());
  std::vector<CatalogEvent> events = {EventOf(1, "first")};
  ASSERT_TRUE(Define(*journal_, events[0]).ok());
  for (const std::uint64_t revision : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{3}, ~std::uint64_t{0}}) {
    EXPECT_TRUE(absl::IsAborted(Define(*journal_, EventOf(revision, "void")))) << revision;
  }
  EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), events);
  Reopen();
  EXPECT_TRUE(absl::IsAborted(Define(*journal_, EventOf(1, "void"))));
  EXPECT_TRUE(absl::IsAborted(Define(*journal_, EventOf(3, "void"))));
  events.push_back(EventOf(2, "second"));
  ASSERT_TRUE(Define(*journal_, events[1]).ok());
  // What was void before its turn has not come with it.
  EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), events);
  events.push_back(EventOf(3, "third"));
  ASSERT_TRUE(Define(*journal_, events[2]).ok());
  Reopen();
  EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), events);
}

TEST_P(JournalTest, OfEventsUnderWayTheFirstTakesTheRevision) {
  Answers answers;
  std::vector<CatalogEvent> events;
  for (const std::uint64_t revision : {1, 2, 2, 1, 4, 3, 4, 3}) {
    events.push_back(EventOf(revision, "n" + std::to_string(events.size())));
    journal_->Define(events.back(), answers.Expect());
  }
  const std::vector<absl::Status> told = answers.Wait();
  std::vector<CatalogEvent> valid;
  for (std::size_t i = 0; i < told.size(); ++i) {
    if (told[i].ok()) {
      valid.push_back(events[i]);
    } else {
      EXPECT_TRUE(absl::IsAborted(told[i])) << told[i];
    }
  }
  EXPECT_EQ(valid, (std::vector<CatalogEvent>{events[0], events[1], events[5], events[6]}));
  EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), valid);
  EXPECT_THAT(answers.order(), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST_P(JournalTest, OfThreadsThatDefineExactlyOneTakesEachRevision) {
  constexpr int kThreads = 8, kRounds = 60;
  Mutex mutex;
  std::vector<CatalogEvent> told;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::uint64_t last = 0;
      for (int round = 0; round < kRounds; ++round) {
        const CatalogEvent event = EventOf(last + 1, std::to_string(t) + " " + std::to_string(round));
        const absl::Status status = Define(*journal_, event);
        if (status.ok()) {
          const MutexLock lock(mutex);
          told.push_back(event);
        } else {
          ASSERT_TRUE(absl::IsAborted(status)) << status;
        }
        const absl::StatusOr<std::vector<CatalogEvent>> behind = journal_->ReadCatalog(last, 1 << 20);
        ASSERT_TRUE(behind.ok()) << behind.status();
        ASSERT_FALSE(behind->empty()) << "there is what took the revision";
        ASSERT_EQ(behind->front().revision, last + 1);
        last = behind->back().revision;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Reopen();
  std::sort(told.begin(), told.end(), [](const auto& a, const auto& b) { return a.revision < b.revision; });
  EXPECT_GE(told.size(), static_cast<std::size_t>(kRounds));
  EXPECT_EQ(*journal_->ReadCatalog(0, 1 << 20), told);
}

TEST_P(JournalTest, AnEventMayBeLarge) {
  std::vector<CatalogEvent> events = {EventOf(1), EventOf(2), EventOf(3), EventOf(4)};
  events[1].source.assign(std::size_t{1} << 20, '\xff');
  events[2].documentation.assign(std::size_t{1} << 20, 'd');
  Answers answers;
  for (const CatalogEvent& event : events) journal_->Define(event, answers.Expect());
  for (const absl::Status& status : answers.Wait()) ASSERT_TRUE(status.ok()) << status;
  for (const bool reopens : {false, true}) {
    if (reopens) Reopen();
    EXPECT_EQ(journal_->ReadCatalog(0, 1 << 20)->size(), 1u);
    EXPECT_EQ(journal_->ReadCatalog(1, 1 << 20)->size(), 1u);
    EXPECT_TRUE(*journal_->ReadCatalog(0, 4 << 20) == events);
    EXPECT_TRUE(*ReadCatalog(*journal_) == events);
  }
}

TEST_P(JournalTest, CountsItsSessions) {
  EXPECT_EQ(journal_->size(), 0u);
  Writer a = New("a");
  New("b");
  EXPECT_EQ(journal_->size(), 2u);
  ASSERT_TRUE(a.Remove().ok());
  ASSERT_TRUE(a.Remove().ok());
  EXPECT_EQ(journal_->size(), 1u);
  Reopen();
  EXPECT_EQ(journal_->size(), 1u);
}

TEST_P(JournalTest, ReopenKeepsAll) {
  std::vector<Writer> writers;
  for (int s = 0; s < 20; ++s) {
    // Uids of both kinds.
    const std::string number = std::to_string(100 + s);
    writers.push_back(New("s" + number, s % 2 == 0 ? "u" + number : "01234567-89ab-4cde-8f01-234567890" + number));
    for (int i = 0; i < s; ++i) ASSERT_TRUE(writers.back().Write().ok());
  }
  Reopen();
  EXPECT_EQ(journal_->size(), 20u);
  for (const Writer& writer : writers) {
    EXPECT_EQ(*Writer(*journal_, writer.key(), 1).Read(), writer.written());
    EXPECT_EQ(Find(writer.key().id)->tail, writer.last());
  }
}

TEST_P(JournalTest, ShutdownFinishesWhatWasAskedAndTakesNothingMore) {
  Writer writer = New("s");
  std::atomic<int> told{0};
  for (std::uint64_t i = 1; i <= 100; ++i) {
    journal_->Append(writer.key(), BatchOf({i, 1}, {i - 1, i > 1 ? 1u : 0u}, i), {}, [&](const absl::Status& status) {
      EXPECT_TRUE(status.ok());
      ++told;
    });
  }
  journal_->Shutdown();
  EXPECT_EQ(told, 100);
  EXPECT_TRUE(absl::IsUnavailable(writer.Append(BatchOf({101, 1}, {100, 1}, 101))));
  EXPECT_TRUE(absl::IsUnavailable(Writer(*journal_, {"t", "v"}, 1).Create()));
  EXPECT_TRUE(absl::IsUnavailable(writer.Remove()));
  EXPECT_TRUE(absl::IsUnavailable(Save({HeadOf("s", writer.key().uid), {}, {}, true})));
  EXPECT_TRUE(absl::IsUnavailable(Define(*journal_, EventOf(1))));
  EXPECT_THAT(*journal_->ReadCatalog(0, 1 << 20), IsEmpty());
  EXPECT_EQ(journal_->Read(writer.key(), {}, 1 << 20)->size(), 100u);
  journal_->Shutdown();
}

}  // namespace
}  // namespace corod
