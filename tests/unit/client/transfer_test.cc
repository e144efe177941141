// Export and Import: the library's and coroctl's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/cli/coroctl.h"
#include "client/cpp/client.h"
#include "client/cpp/export_stream.h"
#include "client/cpp/service_error.h"
#include "tests/unit/client/fake_service.h"
#include "tests/unit/client/run_coroctl.h"

namespace corod::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kUnavailable = 14;

class TransferTest : public ::testing::Test {
 protected:
  TransferTest() {
    const char* temporary = std::getenv("TMPDIR");
    std::string name = std::string(temporary != nullptr ? temporary : "/tmp") + "/corod_transfer_test.XXXXXX";
    if (mkdtemp(name.data()) == nullptr) ADD_FAILURE();
    directory_ = name;
    service_.script().chunks = {"one,", std::string("\0\n", 2), "three"};
    service_.script().session.set_session_id("s1");
    service_.script().session.set_state(v1::STATE_SUSPENDED);
    *service_.script().session.mutable_last_outcome() = client::Yielded(3, client::IntegerValue(7));
  }
  ~TransferTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ / name; }
  std::string Contents(const std::string& name) const {
    std::ostringstream contents;
    contents << std::ifstream(Path(name), std::ios::binary).rdbuf();
    return contents.str();
  }
  void Write(const std::string& name, const std::string& contents) const {
    std::ofstream(Path(name), std::ios::binary) << contents;
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) names.push_back(entry.path().filename());
    return names;
  }

  Ran Run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), {"--server", service_.address()});
    return RunCoroctl(arguments, input);
  }
  std::shared_ptr<client::Connection> Connect() {
    return client::Connection::Make(client::OpenChannel(service_.address()), {}, world_.dependencies).value();
  }

  const std::string whole_ = std::string("one,\0\nthree", 11);
  client::FakeService service_;
  client::FakeWorld world_;
  std::filesystem::path directory_;
};

TEST_F(TransferTest, ExportWritesToAStream) {
  std::ostringstream sink;
  EXPECT_TRUE(client::Export(Connect(), "s1", sink).ok());
  EXPECT_EQ(sink.str(), whole_);
  EXPECT_EQ(service_.requests().exported.at(0).session_id(), "s1");
}

TEST_F(TransferTest, ExportToASinkThatFails) {
  std::ostringstream sink;
  sink.setstate(std::ios::badbit);
  EXPECT_TRUE(absl::IsUnknown(client::Export(Connect(), "s1", sink)));
}

TEST_F(TransferTest, ExportIsTriedAgainUntilAPartHasCome) {
  service_.script().streams = {{.messages = 0, .end = {.code = kUnavailable}}};
  std::ostringstream sink;
  EXPECT_TRUE(client::Export(Connect(), "s1", sink).ok());
  EXPECT_EQ(sink.str(), whole_);

  service_.script().streams.push_back({.messages = 2, .end = {.code = kUnavailable}});
  EXPECT_TRUE(absl::IsUnavailable(client::Export(Connect(), "s1", sink)));
  EXPECT_THAT(service_.requests().exported, SizeIs(3));
}

TEST_F(TransferTest, ImportReadsAStream) {
  client::Client client(Connect());
  std::istringstream file(std::string(200'000, 'x'));
  const absl::StatusOr<client::RemoteCoroutine> imported = client.Import(file, "s2");
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ(imported->session_id(), "s2");
  EXPECT_EQ(service_.requests().imported.at(0).chunk(), std::string(200'000, 'x'));
  EXPECT_EQ(service_.requests().imported.at(0).session_id(), "s2");
}

TEST_F(TransferTest, ImportOfNothingAsksNothing) {
  std::istringstream file;
  EXPECT_TRUE(absl::IsInvalidArgument(client::Client(Connect()).Import(file).status()));
  EXPECT_THAT(service_.requests().imported, IsEmpty());
}

TEST_F(TransferTest, ImportIsNotRepeatedOnceItWasSent) {
  service_.script().failures = 1;
  service_.script().failure = {.code = kUnavailable, .reason = "JOURNAL_UNAVAILABLE"};
  std::istringstream file("abc");
  const absl::Status status = client::Client(Connect()).Import(file).status();
  EXPECT_EQ(client::ErrorOf(status).reason, "JOURNAL_UNAVAILABLE");
  EXPECT_THAT(service_.requests().imported, SizeIs(1));
  EXPECT_THAT(world_.sleeper->slept(), IsEmpty());
}

TEST_F(TransferTest, ImportIsTriedAgainWhileNothingIsSent) {
  const auto nowhere = client::Connection::Make(client::OpenChannel("127.0.0.1:1"), {}, world_.dependencies).value();
  std::istringstream file("abc");
  EXPECT_TRUE(absl::IsUnavailable(client::Client(nowhere).Import(file).status()));
  EXPECT_THAT(world_.sleeper->slept(), SizeIs(9));
  EXPECT_THAT(world_.sleeper->awaited(), SizeIs(9));
}

TEST_F(TransferTest, ImportWhoseSourceFailsEndsTheCall) {
  int reads = 0;
  const absl::Status status = Connect()
                                  ->Import("",
                                           [&]() -> absl::StatusOr<std::string> {
                                             if (++reads == 1) return std::string("abc");
                                             return absl::DataLossError("the disk");
                                           })
                                  .status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(service_.requests().imported, IsEmpty());
}

TEST_F(TransferTest, ForkAndGetAtAStepOfTheLibrary) {
  client::Client client(Connect());
  const auto forked = client.Fork({.session_id = "s1", .at_step = 0, .new_session_id = "s2", .labels = {{"a", "b"}}});
  ASSERT_TRUE(forked.ok()) << forked.status();
  EXPECT_EQ(forked->session_id(), "s2");
  EXPECT_TRUE(service_.requests().fork.at(0).has_at_step());
  EXPECT_THAT(service_.requests().fork.at(0).request_id(), SizeIs(36));
  EXPECT_EQ(client.GetAt("s1", 2)->session_id(), "s1");
  EXPECT_EQ(service_.requests().get.at(0).at_step(), 2u);
}

TEST_F(TransferTest, ExportPrintsTheFile) {
  const Ran ran = Run({"export", "s1"});
  EXPECT_EQ(ran.out, whole_);
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.status, 0);
}

TEST_F(TransferTest, ExportWritesAFile) {
  Write("f", "what was there");
  const Ran ran = Run({"export", "s1", "-o", Path("f")});
  EXPECT_EQ(ran.out + ran.err, "");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(Contents("f"), whole_);
  EXPECT_THAT(Files(), ElementsAre("f"));
}

TEST_F(TransferTest, ExportRefusesATerminal) {
  const Ran ran = RunCoroctl({"--server", service_.address(), "export", "s1"}, Io{.in = -1, .out_is_terminal = true},
                             world_.dependencies);
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(ran.err, "coroctl: an export is no text for a terminal; name a file with -o\n");
  EXPECT_THAT(service_.requests().exported, IsEmpty());
}

TEST_F(TransferTest, BrokenExportLeavesNothing) {
  service_.script().streams = {{.messages = 2, .end = {.code = kUnavailable, .message = "gone"}}};
  const Ran ran = Run({"export", "s1", "-o", Path("f")});
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.err, HasSubstr("coroctl: UNAVAILABLE: gone"));
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(TransferTest, BrokenExportLeavesWhatWasThere) {
  Write("f", "what was there");
  service_.script().streams = {{.messages = 1, .end = {.code = 15, .reason = "SESSION_BROKEN", .message = "no"}}};
  EXPECT_EQ(Run({"export", "s1", "-o", Path("f")}).err, "coroctl: DATA_LOSS SESSION_BROKEN: no\n");
  EXPECT_EQ(Contents("f"), "what was there");
  EXPECT_THAT(Files(), ElementsAre("f"));
}

TEST_F(TransferTest, InterruptedExportLeavesNothing) {
  service_.script().streams = {{.stays = true}};
  service_.script().on_exported = [] { kill(getpid(), SIGINT); };
  const Ran ran = Run({"export", "s1", "-o", Path("f")});
  EXPECT_EQ(ran.status, 128 + SIGINT);
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(TransferTest, ExportToWhatIsNoFile) {
  EXPECT_EQ(Run({"export", "s1", "-o", Path("")}).err, "coroctl: cannot write " + Path("") + ": not a regular file\n");
  const Ran ran = Run({"export", "s1", "-o", Path("none/f")});
  EXPECT_EQ(ran.err, "coroctl: cannot write " + Path("none/f") + ": No such file or directory\n");
  EXPECT_EQ(ran.status, 3);
}

TEST_F(TransferTest, ImportPrintsWhatCreatePrints) {
  Write("f", whole_);
  const Ran ran = Run({"import", Path("f"), "--id", "s2"});
  EXPECT_EQ(ran.out, "s2 suspended 7\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(service_.requests().imported.at(0).chunk(), whole_);
}

TEST_F(TransferTest, ImportReadsStdin) {
  EXPECT_EQ(Run({"import"}, whole_).out, "s1 suspended 7\n");
  EXPECT_EQ(Run({"import", "-"}, "abc").status, 0);
  EXPECT_EQ(service_.requests().imported.at(0).chunk(), whole_);
  EXPECT_EQ(service_.requests().imported.at(0).session_id(), "");
  EXPECT_EQ(service_.requests().imported.at(1).chunk(), "abc");
}

TEST_F(TransferTest, ImportOfAnEmptyFile) {
  Write("f", "");
  const Ran ran = Run({"import", Path("f")});
  EXPECT_EQ(ran.err, "coroctl: " + Path("f") + " is empty: it holds no export\n");
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(Run({"import"}).err, "coroctl: stdin is empty: it holds no export\n");
  EXPECT_THAT(service_.requests().imported, IsEmpty());
}

TEST_F(TransferTest, ImportOfAFileThatCannotBeRead) {
  const Ran none = Run({"import", Path("none")});
  EXPECT_EQ(none.err, "coroctl: cannot read " + Path("none") + ": No such file or directory\n");
  EXPECT_EQ(none.status, 2);
  EXPECT_EQ(Run({"import", directory_}).err, "coroctl: cannot read " + std::string(directory_) + ": Is a directory\n");
}

TEST_F(TransferTest, ImportThatIsRefused) {
  service_.script().failures = 1;
  service_.script().failure = {.code = 6, .reason = "SESSION_EXISTS", .message = "s1 is taken"};
  const Ran ran = Run({"import"}, "abc");
  EXPECT_EQ(ran.err, "coroctl: ALREADY_EXISTS SESSION_EXISTS: s1 is taken\n");
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.status, 3);
}

}  // namespace
}  // namespace corod::cli
