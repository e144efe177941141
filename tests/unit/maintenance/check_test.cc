#include "server/maintenance/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/journal/codec.h"
#include "server/journal/rocks_journal.h"
#include "server/journal/rocks_keys.h"
#include "server/maintenance/report.h"
#include "server/session/execution.h"
#include "tests/unit/journal/journal_test_base.h"

namespace corod::maintenance {
namespace {

namespace keys = rocks_keys;

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class CheckTest : public testing::Test {
 protected:
  // What a journal holds that `write` has written to.
  void Write(const std::function<void(RocksJournal&)>& write) {
    absl::StatusOr<std::unique_ptr<RocksJournal>> journal = RocksJournal::Open({.directory = directory_.path()});
    ASSERT_TRUE(journal.ok()) << journal.status();
    write(**journal);
  }
  void ChangeRocks(const std::function<void(rocksdb::DB&)>& change) {
    rocksdb::DB* db = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(rocksdb::Options(), directory_.path() + "/rocksdb", &db).ok());
    const std::unique_ptr<rocksdb::DB> owned(db);
    change(*db);
    ASSERT_TRUE(db->Close().ok());
  }
  void Damage(const std::string& key) {
    ChangeRocks([&](rocksdb::DB& db) {
      std::string value;
      ASSERT_TRUE(db.Get({}, key, &value).ok());
      value.back() = static_cast<char>(value.back() ^ 1);
      ASSERT_TRUE(db.Put({}, key, value).ok());
    });
  }
  Report Check(bool replays = false) {
    Catalog catalog;
    AddBuiltinCoroutines(catalog);
    absl::StatusOr<Report> report = maintenance::Check(directory_.path(), replays, catalog);
    EXPECT_TRUE(report.ok()) << report.status();
    return report.ok() ? *std::move(report) : Report();
  }
  // A session of `steps` sends of 1, 2, ... to an averager, each in a batch.
  static void WriteAverager(RocksJournal& journal, const std::string& id, Step steps, bool rightly = true) {
    Writer writer(journal, {id, "uid of " + id}, 1);
    ASSERT_TRUE(writer.Create().ok());
    std::uint64_t digest = 0;
    BatchId previous;
    for (Step step = 1; step <= steps; ++step) {
      Batch batch = BatchOf({step, 1}, previous, step);
      batch.digest = rightly ? digest : step * 7;
      if (step == 1) batch.records[0].value = Value();
      ASSERT_TRUE(writer.Append(batch).ok());
      previous = batch.id;
      const double mean = (static_cast<double>(step) + 2) / 2;
      digest = ExtendDigest(digest, Outcome::Yielded(step == 1 ? Value() : Value(mean)));
    }
  }

  OwnDirectory directory_;
};

TEST_F(CheckTest, WhatIsWholeIsHealthy) {
  Write([](RocksJournal& journal) {
    WriteAverager(journal, "a", 20);
    WriteAverager(journal, "b", 0);
    ASSERT_TRUE(Define(journal, EventOf(1, "n", CatalogEvent::Kind::kRemoved)).ok());
  });
  const Report report = Check();
  EXPECT_TRUE(report.IsHealthy()) << ToText(report);
  EXPECT_EQ(report.sessions, 2u);
  EXPECT_EQ(report.steps, 20u);
  EXPECT_EQ(report.definitions, 1u);
  EXPECT_FALSE(report.replayed);
  const Report again = Check(/*replays=*/true);
  EXPECT_TRUE(again.IsHealthy()) << ToText(again);
  EXPECT_EQ(again.replayed_steps, 20u);
}

TEST_F(CheckTest, WhatIsDamagedIsNamedAndTheOthersAreHealthy) {
  Write([](RocksJournal& journal) {
    for (const char* id : {"batch", "checkpoint", "fine", "head", "life"}) WriteAverager(journal, id, 3);
    Head head = HeadOf("checkpoint", "uid of checkpoint");
    head.steps = 2;
    ASSERT_TRUE(Await([&](Journal::Done done) {
                  journal.Save({head, CheckpointOf(2, {2, 1}), {}, true}, std::move(done));
                }).ok());
  });
  Damage(keys::BatchKey("uid of batch", 3));
  Damage(keys::CheckpointKey("uid of checkpoint", 2));
  Damage(keys::HeadKey("head"));
  Damage(keys::LifeKey("uid of life"));
  const Report report = Check();
  EXPECT_EQ(report.sessions, 5u);
  EXPECT_EQ(report.healthy(), 1u);
  EXPECT_EQ(report.damaged, 4u);
  EXPECT_TRUE(report.IsDamaged());
  ASSERT_THAT(report.findings, SizeIs(4));
  EXPECT_EQ(report.findings[0].session, "batch");
  EXPECT_EQ(report.findings[0].step, 3u);
  EXPECT_THAT(report.findings[0].message, HasSubstr("the record of this step cannot be read"));
  EXPECT_EQ(report.findings[1].session, "checkpoint");
  EXPECT_EQ(report.findings[1].step, 2u);
  EXPECT_EQ(report.findings[2].session, "head");
  EXPECT_THAT(report.findings[2].message, HasSubstr("its head cannot be read"));
  EXPECT_EQ(report.findings[3].session, "life");
  EXPECT_EQ(report.findings[3].step, 1u);
  EXPECT_THAT(report.findings[3].message, HasSubstr("this step is missing in the log, and the session had 3"));
  const std::string text = ToText(report);
  EXPECT_THAT(text, HasSubstr("batch: damaged from step 3: the record of this step cannot be read"));
  EXPECT_THAT(text, HasSubstr(": 5 sessions, 1 healthy, 4 damaged, 0 with a problem, 0 waiting;"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
}

TEST_F(CheckTest, StepsThatAreMissingAreFound) {
  Write([](RocksJournal& journal) {
    WriteAverager(journal, "end", 3);
    Head head = HeadOf("end", "uid of end");
    head.steps = 5;
    ASSERT_TRUE(Await([&](Journal::Done done) { journal.Save({head, {}, {}, true}, std::move(done)); }).ok());
    Writer writer(journal, {"start", "uid of start"}, 1);
    ASSERT_TRUE(writer.Create().ok());
    ASSERT_TRUE(writer.Append(BatchOf({1, 1}, {}, 4)).ok());
  });
  const Report report = Check();
  ASSERT_THAT(report.findings, SizeIs(2));
  EXPECT_EQ(report.findings[0].session, "end");
  EXPECT_EQ(report.findings[0].step, 4u);
  EXPECT_EQ(report.findings[1].session, "start");
  EXPECT_EQ(report.findings[1].step, 1u);
}

TEST_F(CheckTest, OneWithAProblemIsShownWithIt) {
  Write([](RocksJournal& journal) {
    WriteAverager(journal, "a", 3);
    Head head = HeadOf("a", "uid of a");
    head.problem = SessionProblem{"SESSION_BROKEN", "it ended the server twice", 2};
    ASSERT_TRUE(Await([&](Journal::Done done) { journal.Save({head, {}, {}, true}, std::move(done)); }).ok());
  });
  const Report report = Check(/*replays=*/true);
  EXPECT_EQ(report.problems, 1u);
  EXPECT_FALSE(report.IsDamaged());
  EXPECT_FALSE(report.IsHealthy());
  EXPECT_THAT(ToText(report), HasSubstr("a: problem SESSION_BROKEN from step 2: it ended the server twice\n"));
  EXPECT_THAT(ToJson(report), HasSubstr(R"("findings":[{"session":"a","kind":"problem","reason":"SESSION_BROKEN",)"
                                        R"("step":2,"message":"it ended the server twice"}])"));
}

TEST_F(CheckTest, OtherOutcomesAreFoundByRunningAgain) {
  Write([](RocksJournal& journal) {
    WriteAverager(journal, "diverged", 3, /*rightly=*/false);
    WriteAverager(journal, "fine", 3);
    Head head = HeadOf("unknown", "uid of unknown");
    head.coroutine = "nobody_has_it";
    ASSERT_TRUE(Await([&](Journal::Done done) { journal.Create({head, {}, {}, "", {}}, std::move(done)); }).ok());
  });
  EXPECT_TRUE(Check().IsHealthy());
  const Report report = Check(/*replays=*/true);
  EXPECT_EQ(report.healthy(), 1u);
  EXPECT_EQ(report.problems, 1u);
  EXPECT_EQ(report.waiting, 1u);
  ASSERT_THAT(report.findings, SizeIs(2));
  EXPECT_EQ(report.findings[0].session, "diverged");
  EXPECT_EQ(report.findings[0].reason, "REPLAY_DIVERGED");
  EXPECT_EQ(report.findings[1].session, "unknown");
  EXPECT_EQ(report.findings[1].kind, Finding::Kind::kWaits);
}

TEST_F(CheckTest, ADamagedHistoryOfTheCatalogIsFound) {
  Write([](RocksJournal& journal) {
    WriteAverager(journal, "a", 3);
    for (std::uint64_t revision : {1, 2, 3}) ASSERT_TRUE(Define(journal, EventOf(revision)).ok());
  });
  Damage(keys::CatalogKey(2));
  const Report report = Check(/*replays=*/true);
  EXPECT_FALSE(report.replayed);
  EXPECT_EQ(report.definitions, 1u);
  EXPECT_THAT(report.journal, ElementsAre(HasSubstr("revision 2")));
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_TRUE(report.IsDamaged());
}

TEST_F(CheckTest, ALogThatIsNotWholeIsFound) {
  // In two segments, of which the first is torn.
  absl::StatusOr<std::unique_ptr<RocksJournal>> journal =
      RocksJournal::Open({.directory = directory_.path(), .segment_bytes = std::size_t{64} << 10});
  ASSERT_TRUE(journal.ok());
  Writer writer(**journal, {"a", "uid of a"}, 1);
  ASSERT_TRUE(writer.Create().ok());
  while (true) {
    ASSERT_TRUE(writer.Write(20).ok());
    const std::string copy = directory_.path() + "-copy";
    const std::string log = directory_.path() + "/log";
    if (std::distance(std::filesystem::directory_iterator(log), {}) >= 2 && writer.last().number % 40 == 0) {
      std::filesystem::remove_all(copy);
      std::filesystem::copy(directory_.path(), copy, std::filesystem::copy_options::recursive);
      bool torn = false;
      for (const auto& entry : std::filesystem::directory_iterator(copy + "/log")) {
        std::string bytes;
        {
          std::ifstream file(entry.path(), std::ios::binary);
          bytes.assign(std::istreambuf_iterator<char>(file), {});
        }
        if (bytes.compare(0, 8, "corodlog") != 0) continue;
        bytes[300] = static_cast<char>(bytes[300] ^ 1);
        std::ofstream(entry.path(), std::ios::binary) << bytes;
        Catalog catalog;
        const absl::StatusOr<Report> report = maintenance::Check(copy, false, catalog);
        ASSERT_TRUE(report.ok()) << report.status();
        torn = torn || std::any_of(report->journal.begin(), report->journal.end(), [](const std::string& line) {
                 return line.find("the write-ahead log is not whole: it ends at byte") != std::string::npos;
               });
        bytes[300] = static_cast<char>(bytes[300] ^ 1);
        std::ofstream(entry.path(), std::ios::binary) << bytes;
      }
      std::filesystem::remove_all(copy);
      if (torn) return;
    }
    ASSERT_LT(writer.last().number, 1'000u) << "there never were two segments in use";
  }
}

TEST_F(CheckTest, NothingChangesInTheDirectory) {
  Write([](RocksJournal& journal) { WriteAverager(journal, "a", 3); });
  const auto stamps = [&] {
    std::map<std::string, std::filesystem::file_time_type> times;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      times[entry.path().string()] = entry.last_write_time();
    }
    return times;
  };
  const auto before = stamps();
  EXPECT_TRUE(Check(/*replays=*/true).IsHealthy());
  EXPECT_EQ(stamps(), before);
}

TEST_F(CheckTest, WhatIsNoJournalCannotBeRead) {
  Catalog catalog;
  EXPECT_THAT(std::string(maintenance::Check(directory_.path(), false, catalog).status().message()),
              HasSubstr("is not a directory"));
  std::filesystem::create_directories(directory_.path());
  EXPECT_THAT(std::string(maintenance::Check(directory_.path(), false, catalog).status().message()),
              HasSubstr("holds no corod journal"));
}

}  // namespace
}  // namespace corod::maintenance
