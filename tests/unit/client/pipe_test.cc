// coroctl pipe, against a service that does what each test says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "client/cli/coroctl.h"
#include "tests/unit/client/fake_service.h"
#include "tests/unit/client/run_coroctl.h"

namespace corod::cli {
namespace {

using client::IntegerValue;
using client::Raised;
using client::Returned;
using client::TextValue;
using client::Yielded;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// A pipe of the operating system whose ends are closed at the latest when it goes.
class OsPipe {
 public:
  OsPipe() {
    if (pipe(ends_.data()) != 0) ADD_FAILURE();
  }
  ~OsPipe() {
    CloseRead();
    CloseWrite();
  }
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }
  void CloseRead() { Close(ends_[0]); }
  void CloseWrite() { Close(ends_[1]); }

 private:
  static void Close(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  std::array<int, 2> ends_;
};

class PipeTest : public ::testing::Test {
 protected:
  PipeTest() {
    Define("words", v1::VALUE_KIND_TEXT, "text: a word");
    Define("chunked", v1::VALUE_KIND_TEXT, "chunks of text or bytes");
    Define("blobs", v1::VALUE_KIND_BYTES, "bytes");
    Define("numbers", v1::VALUE_KIND_NUMBER, "number");
    Define("anything", v1::VALUE_KIND_UNSPECIFIED, "any value");
  }

  void Define(const std::string& name, v1::ValueKind kind, const std::string& sends) {
    v1::Coroutine coroutine;
    coroutine.set_name(name);
    coroutine.set_sends_kind(kind);
    coroutine.set_sends(sends);
    service_.script().catalog.push_back(coroutine);
  }

  std::vector<std::string> WithServer(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--server", service_.address(), "pipe"});
    return arguments;
  }
  Ran Pipe(std::vector<std::string> arguments, const std::string& input) {
    return RunCoroctl(WithServer(std::move(arguments)), input);
  }

  std::vector<v1::Value> Sent() {
    std::vector<v1::Value> values;
    for (const v1::Command& command : service_.requests().commands) values.push_back(command.send());
    return values;
  }
  std::vector<std::string> SentTexts() {
    std::vector<std::string> texts;
    for (const v1::Value& value : Sent()) texts.push_back(value.text());
    return texts;
  }
  void ExpectClosedOnce() {
    const std::vector<v1::CloseRequest> closes = service_.requests().close;
    ASSERT_THAT(closes, SizeIs(1));
    EXPECT_EQ(closes[0].session_id(), "s1");
    EXPECT_TRUE(closes[0].force());
  }
  // The step of line `line` gives `outcome`; the others yield what was sent.
  void OutcomeAt(std::uint64_t line, v1::Outcome outcome) {
    outcome.set_step(line);
    service_.script().on_step = [=](std::uint64_t step, const v1::Value& sent) {
      return step == line ? outcome : step > line ? Returned(step, v1::Value()) : Yielded(step, sent);
    };
  }

  client::FakeService service_;
};

TEST_F(PipeTest, PrintsTheOutcomeOfEachLine) {
  const Ran ran = Pipe({"words"}, "to\nbe\nor not\n");
  EXPECT_EQ(ran.out, "\"to\"\n\"be\"\n\"or not\"\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.status, 0);
  ExpectClosedOnce();
}

TEST_F(PipeTest, CreatesAPrimedSessionThatClosesWhenItIsForgotten) {
  Pipe({"words", "size=3", "--label", "a=b"}, "x\n");
  const v1::CreateRequest request = service_.requests().create.at(0);
  EXPECT_EQ(request.coroutine(), "words");
  EXPECT_TRUE(request.prime());
  EXPECT_EQ(request.arguments().at("size").integer(), 3);
  EXPECT_EQ(request.labels().at("a"), "b");
  EXPECT_EQ(request.idle_timeout().seconds(), 600);
  Pipe({"words", "--idle-timeout", "8h"}, "x\n");
  EXPECT_EQ(service_.requests().create.at(1).idle_timeout().seconds(), 8 * 3600);
}

TEST_F(PipeTest, TextIsSentWithoutItsLineEnd) {
  Pipe({"words"}, "10\r\n\n\"q\"\nlast");
  EXPECT_THAT(SentTexts(), ElementsAre("10", "", "\"q\"", "last"));
}

TEST_F(PipeTest, ChunksOfTextKeepTheirLineEnds) {
  Pipe({"chunked"}, "a,b\r\n\"c\nd\",e");
  EXPECT_THAT(SentTexts(), ElementsAre("a,b\r\n", "\"c\n", "d\",e"));
}

TEST_F(PipeTest, KeepEndsKeepsThemForAny) {
  Pipe({"words", "--keep-ends"}, "a\nb");
  EXPECT_THAT(SentTexts(), ElementsAre("a\n", "b"));
}

TEST_F(PipeTest, ChunksAreBlocksOfBytes) {
  Pipe({"chunked", "--chunks"}, "a\n\xff\nb");
  ASSERT_THAT(Sent(), SizeIs(1));
  EXPECT_EQ(Sent()[0].blob(), "a\n\xff\nb");
}

TEST_F(PipeTest, KindOfTheCoroutineDecides) {
  Pipe({"blobs"}, "\xff\n");
  EXPECT_EQ(Sent().at(0).blob(), "\xff");
  Pipe({"numbers"}, "10\n10.0\nten\n");
  EXPECT_EQ(Sent().at(1).integer(), 10);
  EXPECT_EQ(Sent().at(2).number(), 10.0);
  EXPECT_EQ(Sent().at(3).text(), "ten");
  Pipe({"anything"}, "{\"a\": null}\n");
  EXPECT_EQ(Sent().at(4).map().entries(0).key(), "a");
}

TEST_F(PipeTest, AsOverridesTheKind) {
  Pipe({"words", "--as", "json"}, "10\n");
  EXPECT_EQ(Sent().at(0).integer(), 10);
  Pipe({"words", "--as", "bytes"}, "10\n");
  EXPECT_EQ(Sent().at(1).blob(), "10");
  Pipe({"numbers", "--as", "text"}, "10\n");
  EXPECT_EQ(Sent().at(2).text(), "10");
}

TEST_F(PipeTest, KeepEndsAndJsonDoNotGoTogether) {
  const Ran ran = Pipe({"numbers", "--keep-ends"}, "10\n");
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("--keep-ends"));
  EXPECT_THAT(service_.requests().create, SizeIs(0));
}

TEST_F(PipeTest, LastPrintsTheLastOutcomeAndHasNoOtherSent) {
  const Ran ran = Pipe({"words", "--last"}, "a\nb\nc\n");
  EXPECT_EQ(ran.out, "\"c\"\n");
  const std::vector<v1::Command> commands = service_.requests().commands;
  ASSERT_THAT(commands, SizeIs(3));
  EXPECT_TRUE(commands[0].quiet());
  EXPECT_TRUE(commands[1].quiet());
  EXPECT_FALSE(commands[2].quiet());
}

TEST_F(PipeTest, LastOfNoLinesIsTheFirstYield) {
  EXPECT_EQ(Pipe({"words", "--last"}, "").out, "null\n");
  EXPECT_EQ(Pipe({"words"}, "").out, "");
}

TEST_F(PipeTest, FirstPrintsTheYieldBeforeTheFirstLine) {
  EXPECT_EQ(Pipe({"words", "--first"}, "a\n").out, "null\n\"a\"\n");
  EXPECT_EQ(Pipe({"words", "--first", "--last"}, "").out, "null\n");
}

TEST_F(PipeTest, WhatTheCloseReturnsIsPrinted) {
  service_.script().close_outcome = Returned(4, TextValue("rest"));
  EXPECT_EQ(Pipe({"words"}, "a\n").out, "\"a\"\nreturned \"rest\"\n");
}

TEST_F(PipeTest, WhatTheCloseRaisesIsTold) {
  service_.script().close_outcome = Raised(4, "ValueError", "unfinished");
  const Ran ran = Pipe({"words"}, "a\n");
  EXPECT_EQ(ran.out, "\"a\"\n");
  EXPECT_EQ(ran.err, "ValueError: unfinished\ncoroctl: the coroutine raised when it was closed\n");
  EXPECT_EQ(ran.status, 1);
}

TEST_F(PipeTest, RaiseEndsItAndNamesTheLine) {
  OutcomeAt(2, Raised(2, "TypeError", "no"));
  const Ran ran = Pipe({"words"}, "a\nb\nc\nd\n");
  EXPECT_EQ(ran.out, "\"a\"\n");
  EXPECT_THAT(ran.err, AllOf(HasSubstr("TypeError: no\n"), HasSubstr("raised at line 2")));
  EXPECT_EQ(ran.status, 1);
  ExpectClosedOnce();
}

TEST_F(PipeTest, ReturnEndsItAndNamesTheLine) {
  OutcomeAt(2, Returned(2, TextValue("done")));
  const Ran ran = Pipe({"words"}, "a\nb\nc\nd\n");
  EXPECT_EQ(ran.out, "\"a\"\nreturned \"done\"\n");
  EXPECT_THAT(ran.err, HasSubstr("returned at line 2"));
  EXPECT_EQ(ran.status, 0);
  ExpectClosedOnce();
}

TEST_F(PipeTest, QuietRaiseIsFetched) {
  OutcomeAt(2, Raised(2, "TypeError", "no"));
  *service_.script().session.mutable_last_outcome() = Raised(2, "TypeError", "no");
  const Ran ran = Pipe({"words", "--last"}, "a\nb\nc\nd\n");
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, AllOf(HasSubstr("TypeError: no\n"), HasSubstr("raised at line 2")));
  EXPECT_EQ(ran.status, 1);
}

TEST_F(PipeTest, EndWhileStdinStaysOpenDoesNotWaitForIt) {
  OutcomeAt(1, Returned(1, v1::Value()));
  OsPipe in;
  ASSERT_EQ(write(in.write_end(), "a\n", 2), 2);
  const Ran ran = RunCoroctl(WithServer({"words"}), Io{.in = in.read_end()}, client::FakeWorld().dependencies);
  EXPECT_EQ(ran.out, "returned null\n");
  EXPECT_EQ(ran.status, 0);
  ExpectClosedOnce();
}

TEST_F(PipeTest, CoroutineThatReturnsAtOnceGetsNoLines) {
  service_.script().on_create = [](const v1::CreateRequest&) {
    v1::CreateResponse response;
    response.mutable_session()->set_session_id("s1");
    *response.mutable_outcome() = Returned(1, IntegerValue(7));
    return response;
  };
  const Ran ran = Pipe({"words"}, "a\n");
  EXPECT_EQ(ran.out, "returned 7\n");
  EXPECT_EQ(ran.status, 0);
  EXPECT_THAT(service_.requests().commands, SizeIs(0));
}

TEST_F(PipeTest, RefusedLineIsNamed) {
  service_.script().on_command = [](const v1::Command&) {
    v1::Reply reply;
    reply.mutable_failure()->set_code(3);
    reply.mutable_failure()->set_reason("VALUE_TOO_LARGE");
    reply.mutable_failure()->set_message("too large");
    return reply;
  };
  const Ran ran = Pipe({"words"}, "a\n");
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.err, "coroctl: line 1: INVALID_ARGUMENT VALUE_TOO_LARGE: too large\n");
  ExpectClosedOnce();
}

TEST_F(PipeTest, InputThatIsNotUtf8EndsIt) {
  const Ran ran = Pipe({"words"}, "a\nb\xff\nc\n");
  EXPECT_EQ(ran.out, "\"a\"\n");
  EXPECT_EQ(ran.err, "coroctl: line 2 of stdin: not UTF-8; --as bytes sends bytes as they are\n");
  EXPECT_EQ(ran.status, 2);
  ExpectClosedOnce();
}

TEST_F(PipeTest, InputThatIsWrongJsonEndsIt) {
  const Ran ran = Pipe({"numbers"}, "1\n[2\n");
  EXPECT_EQ(ran.out, "1\n");
  EXPECT_THAT(ran.err, HasSubstr("coroctl: line 2 of stdin: [2 begins as JSON"));
  EXPECT_EQ(ran.status, 2);
  ExpectClosedOnce();
}

TEST_F(PipeTest, UnknownCoroutineIsRefused) {
  const Ran ran = Pipe({"nothing"}, "a\n");
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.err, "coroctl: NOT_FOUND COROUTINE_NOT_FOUND: there is none\n");
}

TEST_F(PipeTest, BrokenStreamGoesOn) {
  service_.script().break_drive_after = {1};
  const Ran ran = Pipe({"words"}, "a\nb\nc\n");
  EXPECT_EQ(ran.out, "\"a\"\n\"b\"\n\"c\"\n");
  EXPECT_EQ(ran.status, 0);
}

TEST_F(PipeTest, StreamThatStaysBrokenFailsAndCloses) {
  service_.script().break_drive_after = std::vector<int>(100, 0);
  const Ran ran = Pipe({"words"}, "a\n");
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.err, HasSubstr("coroctl: UNAVAILABLE: the stream broke"));
  ExpectClosedOnce();
}

TEST_F(PipeTest, InterruptClosesTheSession) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    client::FakeService service;
    service.script().catalog = service_.script().catalog;
    service.script().close_outcome = Returned(9, TextValue("rest"));
    service.script().on_step = [signal](std::uint64_t step, const v1::Value& sent) {
      kill(getpid(), signal);
      return Yielded(step, sent);
    };
    OsPipe in;  // stays open: nothing but the signal ends this
    ASSERT_EQ(write(in.write_end(), "a\n", 2), 2);
    const Ran ran = RunCoroctl({"--server", service.address(), "pipe", "words"}, Io{.in = in.read_end()},
                               client::FakeWorld().dependencies);
    EXPECT_EQ(ran.status, 128 + signal);
    EXPECT_THAT(ran.out, HasSubstr("returned \"rest\"\n"));
    EXPECT_EQ(ran.err, "");
    EXPECT_THAT(service.requests().close, SizeIs(1));
  }
}

TEST_F(PipeTest, InterruptWhileTheSessionIsMadeSendsNothing) {
  service_.script().on_create = [](const v1::CreateRequest&) {
    kill(getpid(), SIGINT);
    v1::CreateResponse response;
    response.mutable_session()->set_session_id("s1");
    *response.mutable_outcome() = Yielded(1, v1::Value());
    return response;
  };
  OsPipe in;
  const Ran ran = RunCoroctl(WithServer({"words"}), Io{.in = in.read_end()}, client::FakeWorld().dependencies);
  EXPECT_EQ(ran.status, 128 + SIGINT);
  ExpectClosedOnce();
}

TEST_F(PipeTest, BrokenStdoutClosesTheSession) {
  OsPipe in;
  ASSERT_EQ(write(in.write_end(), "a\n", 2), 2);
  OsPipe out;
  out.CloseRead();
  const MemoryFile err;
  const int status = cli::Run(WithServer({"words"}), Io{.in = in.read_end(), .out = out.write_end(), .err = err.fd()},
                              client::FakeWorld().dependencies);
  EXPECT_EQ(status, 128 + SIGPIPE);
  EXPECT_EQ(err.Contents(), "");
  ExpectClosedOnce();
}

TEST_F(PipeTest, FailingCloseIsTold) {
  service_.script().on_step = [this](std::uint64_t step, const v1::Value& sent) {
    service_.script().failure = {.code = 5, .reason = "SESSION_NOT_FOUND", .message = "gone"};
    service_.script().failures = 1;
    return Yielded(step, sent);
  };
  const Ran ran = Pipe({"words"}, "a\n");
  EXPECT_EQ(ran.status, 3);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("coroctl: cannot close session s1: NOT_FOUND SESSION_NOT_FOUND: gone"),
                             HasSubstr("10m")));
}

TEST_F(PipeTest, ProgressIsShownOnATerminalThatTheOutcomesDoNotUse) {
  client::FakeWorld world;
  service_.script().on_step = [&world](std::uint64_t step, const v1::Value& sent) {
    world.clock->Advance(absl::Seconds(1));
    return Yielded(step, sent);
  };
  const auto run = [&](std::vector<std::string> arguments, bool out_is_terminal) {
    const MemoryFile in("a\nb\n");
    return RunCoroctl(WithServer(std::move(arguments)),
                      Io{.in = in.fd(), .out_is_terminal = out_is_terminal, .err_is_terminal = true},
                      world.dependencies);
  };
  EXPECT_THAT(run({"words"}, false).err, AllOf(HasSubstr("lines, "), HasSubstr("/s")));
  EXPECT_THAT(run({"words", "--last"}, true).err, HasSubstr("lines, "));
  EXPECT_EQ(run({"words"}, true).err, "");
}

TEST_F(PipeTest, JsonHasOneObjectALine) {
  const std::string server = service_.address();
  const Ran ran = RunCoroctl({"--server", server, "--output", "json", "pipe", "words"}, "a\n");
  EXPECT_EQ(ran.out, "{\"step\": 1, \"yielded\": \"a\", \"replayed\": false}\n");
}

TEST_F(PipeTest, ManyLinesArriveOnceAndInOrder) {
  std::string input;
  std::string expected;
  for (int i = 0; i < 20'000; ++i) {
    input += std::to_string(i) + "\n";
    expected += std::to_string(i) + "\n";
  }
  EXPECT_EQ(Pipe({"numbers"}, input).out, expected);
}

}  // namespace
}  // namespace corod::cli
