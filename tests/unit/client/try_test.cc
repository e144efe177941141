// try and verify.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/client/run_coroctl.h"
#include "tests/unit/client/text_file.h"

namespace corod::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

constexpr const char* kMean = R"(return {
  run = function(start)
    local total, count, mean = start, 0, nil
    while true do
      local ok, sent = pcall(yield, mean)
      if not ok then
        if isinstance(sent, "GeneratorExit") then return count end
        error(sent)
      end
      total, count = total + sent, count + 1
      mean = total / count
    end
  end,
  parameters = {{name = "start", type = "number", default = 0}},
  sends_kind = "number",
}
)";

constexpr const char* kSum = R"(return {
  state = {total = 0},
  run = function(state)
    while true do state.total = state.total + (yield(state.total) or 0) end
  end,
  sends_kind = "number",
}
)";

// Forgets a part of what it needs.
constexpr const char* kForgets = R"(return {
  state = {total = 0},
  run = function(state)
    local count = 0
    while true do
      local sent = yield({total = state.total, count = count})
      count = count + 1
    end
  end,
}
)";

Ran Try(const std::string& source, const std::string& input, std::vector<std::string> more = {}) {
  const TextFile file("script.lua", source);
  more.insert(more.begin(), {"try", file.path()});
  return RunCoroctl(more, input);
}

Ran Verify(const std::string& source, const std::string& input = "", std::vector<std::string> more = {}) {
  const TextFile file("script.lua", source);
  more.insert(more.begin(), {"verify", file.path()});
  return RunCoroctl(more, input);
}

TEST(TryTest, PrintsWhatPipeWould) {
  const Ran ran = Try(kMean, "10\n20\n");
  EXPECT_EQ(ran.out, "10.0\n15.0\nreturned 2\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(Try(kMean, "10\n20\n", {"start=30", "--first"}).out, "null\n40.0\n30.0\nreturned 2\n");
  EXPECT_EQ(Try(kMean, "10\n20\n", {"--last"}).out, "15.0\nreturned 2\n");
  EXPECT_EQ(Try(kMean, "", {"--last"}).out, "null\nreturned 0\n");
  EXPECT_EQ(Try(kMean, "10\n", {"--output", "json"}).out,
            "{\"step\": 2, \"yielded\": 10.0}\n{\"step\": 3, \"returned\": 1}\n");
}

TEST(TryTest, WhatAScriptRaisesEndsIt) {
  const Ran ran = Try("return function() while true do yield(yield() .. 1) end end", "a\nb\n[]\nc\n");
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.out, "\"a1\"\nnull\n");
  EXPECT_THAT(ran.err, AllOf(StartsWith("Traceback (most recent call last):\n  coroutine script, step 4\n"),
                             HasSubstr("coroctl: the coroutine raised at line 3; nothing after it counts\n")));
  const Ran returned = Try("return function() return yield() end", "7\n8\n");
  EXPECT_EQ(returned.status, 0);
  EXPECT_EQ(returned.out, "returned 7\n");
  EXPECT_EQ(returned.err, "coroctl: the coroutine returned at line 1; nothing after it counts\n");
  EXPECT_EQ(Try("return function() return 1 end", "7\n").out, "returned 1\n");
  const Ran closed = Try("return function() finally(function() error('no') end) yield() end", "");
  EXPECT_EQ(closed.status, 1);
  EXPECT_THAT(closed.err, HasSubstr("coroctl: the coroutine raised when it was closed\n"));
}

TEST(TryTest, WhatIsWrongWithASourceNamesItsFile) {
  const TextFile file("mine.lua", "return function()\n  x = = 1\nend");
  const Ran ran = RunCoroctl({"try", file.path()});
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(ran.err, "coroctl: " + file.path() + ":2: unexpected symbol near '='\n");
  const TextFile nothing("mine.lua", "");
  EXPECT_THAT(RunCoroctl({"try", nothing.path()}).err,
              StartsWith("coroctl: " + nothing.path() + ": the script must return a function"));
  EXPECT_EQ(RunCoroctl({"try", "-"}).status, 2);
  EXPECT_THAT(Try(kMean, "", {"start=x"}).err, StartsWith("coroctl: argument 'start' must be a number; got 'x'"));
}

TEST(TryTest, WrongLinesAreNamed) {
  const Ran ran = Try(kMean, "10\n[\n20\n");
  EXPECT_EQ(ran.status, 2);
  EXPECT_EQ(ran.out, "10.0\nreturned 1\n");
  EXPECT_THAT(ran.err, StartsWith("coroctl: line 2 of stdin: "));
}

TEST(TryTest, ScriptsMayDelegateAndDrawRandomNumbers) {
  EXPECT_EQ(Try("return function() return delegate('averager') end", "10\n20\n").out, "10.0\n15.0\n");
  EXPECT_EQ(Try("return function() return delegate('map', {expression = 'value + 1'}) end", "10\n").out, "11\n");
  const char* draws = "return function() while true do yield(math.random(1000000)) end end";
  const std::string drawn = Try(draws, "1\n2\n").out;
  EXPECT_EQ(Try(draws, "1\n2\n", {"--seed", "0"}).out, drawn);
  EXPECT_NE(Try(draws, "1\n2\n", {"--seed", "1"}).out, drawn);
}

TEST(VerifyTest, ScriptsThatKeepTheirStateAreRestarted) {
  const Ran ran = Verify(kSum, "1\n2\n", {"--commands", "300"});
  EXPECT_THAT(ran.out, MatchesRegex("no difference in 304 commands to [0-9]+ coroutines, with [0-9]+ restarts\n"));
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ran.status, 0);
}

TEST(VerifyTest, OthersAreRunTwice) {
  const Ran ran = Verify(kMean, "", {"--commands", "100"});
  EXPECT_THAT(ran.out,
              MatchesRegex("no difference in 100 commands to [0-9]+ coroutines, each run twice; not restartable\n"));
  EXPECT_EQ(ran.status, 0);
}

TEST(VerifyTest, ADifferenceIsShownWithWhatLeadsThere) {
  const Ran ran = Verify(kForgets, "1\n2\n");
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.out,
            "it answers differently:\n  1  next\n  2  send 1\n  3  send 2\n"
            "yields {'total': 0, 'count': 2} without a restart, yields {'total': 0, 'count': 1} with one\n");
  const Ran json = Verify(kForgets, "1\n2\n", {"--output", "json"});
  EXPECT_EQ(json.status, 1);
  EXPECT_THAT(json.out, AllOf(StartsWith("{\"sequences\": 1, \"commands\": 4, \"restartable\": true, "),
                              HasSubstr("\"difference\": \"it answers differently:")));
}

TEST(VerifyTest, WithoutARestartNothingIsSaid) {
  const Ran ran = Verify("return {state = {}, run = function(state) return 1 end}");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, StartsWith("coroctl: it never stood at a yield where it could be restarted"));
}

TEST(VerifyTest, TheSameSeedIsTheSameRun) {
  const std::vector<std::string> seed = {"--commands", "200", "--seed", "3"};
  EXPECT_EQ(Verify(kSum, "", seed).out, Verify(kSum, "", seed).out);
}

}  // namespace
}  // namespace corod::cli
