// define, undefine, catalog --source, and lines of stages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/cpp/client.h"
#include "client/cpp/service_error.h"
#include "tests/unit/client/fake_service.h"
#include "tests/unit/client/run_coroctl.h"
#include "tests/unit/client/text_file.h"

namespace corod::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

class DefineTest : public ::testing::Test {
 protected:
  Ran Run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), {"--server", service_.address()});
    return RunCoroctl(arguments, input);
  }
  void FailWith(client::Refusal failure, int times = 1) {
    service_.script().failures = times;
    service_.script().failure = std::move(failure);
  }
  static v1::Coroutine Script(const std::string& name, const std::string& source) {
    v1::Coroutine coroutine;
    coroutine.set_name(name);
    coroutine.set_version(1);
    coroutine.set_language(v1::LANGUAGE_LUA);
    coroutine.set_source(source);
    return coroutine;
  }

  client::FakeService service_;
};

TEST_F(DefineTest, DefineSendsTheFile) {
  const TextFile file("mean.lua", "return function() end\n");
  const TextFile documentation("mean.md", "The mean.\n");
  const Ran ran = Run({"define", file.path(), "--documentation", documentation.path()});
  EXPECT_EQ(ran.out, "mean version 1\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.status, 0);
  const v1::Coroutine defined = service_.requests().define.at(0).coroutine();
  EXPECT_EQ(defined.name(), "mean");
  EXPECT_EQ(defined.language(), v1::LANGUAGE_LUA);
  EXPECT_EQ(defined.source(), "return function() end\n");
  EXPECT_EQ(defined.documentation(), "The mean.\n");
}

TEST_F(DefineTest, NamesComeFromTheFileUnlessTheyAreGiven) {
  const TextFile file("a.b.lua", "x");
  const TextFile other("plain", "y");
  EXPECT_EQ(Run({"define", file.path()}).out, "a.b version 1\n");
  EXPECT_EQ(Run({"define", other.path()}).out, "plain version 1\n");
  EXPECT_EQ(Run({"define", file.path(), "--name", "mine"}).out, "mine version 1\n");
  EXPECT_EQ(Run({"define", "-", "--name", "mine"}, "return 1").out, "mine version 1\n");
  EXPECT_EQ(service_.requests().define.at(3).coroutine().source(), "return 1");
  const Ran nameless = Run({"define", "-"}, "return 1");
  EXPECT_EQ(nameless.status, 2);
  EXPECT_THAT(nameless.err, StartsWith("coroctl: a source from stdin has no name; give it one with --name"));
}

TEST_F(DefineTest, DefineSaysThatTheVersionExisted) {
  const TextFile file("mean.lua", "s");
  service_.script().catalog = {Script("mean", "s")};
  EXPECT_EQ(Run({"define", file.path()}).out, "mean version 1 existed\n");
  EXPECT_EQ(Run({"--output", "json", "define", file.path()}).out,
            "{\"name\": \"mean\", \"version\": 1, \"existed\": true}\n");
  service_.script().catalog = {Script("mean", "another")};
  EXPECT_EQ(Run({"define", file.path()}).out, "mean version 2\n");
}

TEST_F(DefineTest, FilesThatCannotBeReadAskNothingOfTheServer) {
  const Ran missing = Run({"define", "/nowhere/a.lua"});
  EXPECT_EQ(missing.status, 2);
  EXPECT_EQ(missing.err, "coroctl: cannot read /nowhere/a.lua: No such file or directory\n");
  const TextFile bytes("a.lua", "\xff");
  EXPECT_EQ(Run({"define", bytes.path()}).err, "coroctl: " + bytes.path() + " is not UTF-8\n");
  EXPECT_THAT(service_.requests().define, SizeIs(0));
}

TEST_F(DefineTest, WhatIsWrongWithASourceNamesItsFile) {
  const TextFile file("mean.lua", "s");
  service_.script().catalog = {Script("mean", "another")};
  service_.script().define_failure = {
      .code = 3, .reason = "INVALID_SOURCE", .message = "mean:3: unexpected symbol near '='"};
  const Ran ran = Run({"define", file.path()});
  EXPECT_EQ(ran.status, 3);
  EXPECT_EQ(ran.err, "coroctl: INVALID_ARGUMENT INVALID_SOURCE: " + file.path() + ":3: unexpected symbol near '='\n");
  service_.script().define_failure.message = "the script must return a function";
  EXPECT_EQ(Run({"define", file.path()}).err,
            "coroctl: INVALID_ARGUMENT INVALID_SOURCE: the script must return a function\n");
}

TEST_F(DefineTest, UndefineDeletes) {
  service_.script().catalog = {Script("mean", "s")};
  const Ran ran = Run({"undefine", "mean"});
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(service_.requests().undefine.at(0).name(), "mean");
  FailWith({.code = 5, .reason = "COROUTINE_NOT_FOUND", .message = "there is no coroutine mean"});
  const Ran again = Run({"undefine", "mean"});
  EXPECT_EQ(again.status, 3);
  EXPECT_EQ(again.err, "coroctl: NOT_FOUND COROUTINE_NOT_FOUND: there is no coroutine mean\n");
}

TEST_F(DefineTest, TheCatalogShowsSources) {
  v1::Coroutine native = Script("averager", "");
  native.set_language(v1::LANGUAGE_NATIVE);
  native.set_summary("the average");
  v1::Coroutine summed = Script("weighted", "s");
  summed.set_summary("a sum");
  service_.script().catalog = {native, Script("mean", "return function() end\n"), summed};
  EXPECT_EQ(Run({"catalog", "mean", "--source"}).out, "return function() end\n");
  EXPECT_THAT(Run({"catalog", "mean"}).out, AllOf(HasSubstr("\nWritten:  lua\n"), HasSubstr("return function() end")));
  EXPECT_THAT(Run({"catalog"}).out, AllOf(HasSubstr("averager                1  the average\n"),
                                          HasSubstr("mean                    1  (lua)\n"),
                                          HasSubstr("weighted                1  a sum (lua)\n")));
  const Ran none = Run({"catalog", "averager", "--source"});
  EXPECT_EQ(none.status, 3);
  EXPECT_EQ(none.err, "coroctl: averager comes with the server: there is no source to show\n");
  EXPECT_EQ(Run({"catalog", "--source"}).status, 2);
}

TEST_F(DefineTest, LinesOfStagesArePipelines) {
  EXPECT_EQ(Run({"create", "json_lines each=true | averager", "collect=true"}).status, 0);
  const v1::CreateRequest request = service_.requests().create.at(0);
  EXPECT_EQ(request.coroutine(), "pipeline");
  EXPECT_TRUE(request.arguments().at("collect").boolean());
  const v1::Value& stages = request.arguments().at("stages");
  ASSERT_EQ(stages.list().items_size(), 2);
  EXPECT_EQ(stages.list().items(1).map().entries(0).value().text(), "averager");
  const Ran wrong = Run({"create", "json_lines |"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_EQ(wrong.err,
            "coroctl: the pipeline, position 13: a coroutine's name is missing; see coroctl create --help\n");
  EXPECT_EQ(Run({"create", "a | b", "stages=[]"}).status, 2);
}

TEST_F(DefineTest, PipeReadsLinesAsTheFirstStageTakesThem) {
  v1::Coroutine splitter = Script("line_splitter", "");
  splitter.set_sends("chunks of text");
  splitter.set_sends_kind(v1::VALUE_KIND_TEXT);
  service_.script().catalog = {splitter};
  EXPECT_EQ(Run({"pipe", "line_splitter | csv_parser"}, "1\n2\n").out, "\"1\\n\"\n\"2\\n\"\n");
  EXPECT_EQ(service_.requests().get_coroutine.at(0).name(), "line_splitter");
  EXPECT_EQ(service_.requests().create.at(0).coroutine(), "pipeline");
}

TEST_F(DefineTest, TheLibraryDefinesAndRemoves) {
  client::FakeWorld world;
  client::Client client(*client::Connection::Make(client::OpenChannel(service_.address()), {}, world.dependencies));
  FailWith({.code = 14, .reason = "JOURNAL_UNAVAILABLE"}, 2);
  const absl::StatusOr<v1::Coroutine> defined =
      client.Define({.name = "mean", .source = "s", .documentation = "The mean."});
  ASSERT_TRUE(defined.ok()) << defined.status();
  EXPECT_EQ(defined->version(), 1u);
  EXPECT_THAT(service_.requests().define, SizeIs(3));
  EXPECT_EQ(service_.requests().define.at(2).coroutine().documentation(), "The mean.");
  EXPECT_TRUE(client.Remove("mean").ok());
  FailWith({.code = 14, .reason = "JOURNAL_UNAVAILABLE"});  // may have been done
  EXPECT_EQ(client::ErrorOf(client.Remove("mean")).reason, "JOURNAL_UNAVAILABLE");
  FailWith({.code = 14, .reason = "JOURNAL_UNAVAILABLE", .metadata = {{"executed", "no"}}});
  EXPECT_TRUE(client.Remove("mean").ok());
  EXPECT_THAT(service_.requests().undefine, SizeIs(4));
}

}  // namespace
}  // namespace corod::cli
