#include "server/log/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "server/base/failure.h"

namespace corod {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class LogTest : public testing::Test {
 protected:
  ~LogTest() override { SetUpLog(ParseLogLevels("info").value(), LogFormat::kText); }

  void Begin(std::string_view levels, LogFormat format) { SetUpLog(ParseLogLevels(levels).value(), format, &stream_); }
  std::vector<std::string> Lines() const {
    std::istringstream all(stream_.str());
    std::vector<std::string> lines;
    for (std::string line; std::getline(all, line);) lines.push_back(line);
    return lines;
  }
  // What stands behind the time, the level and the area.
  std::string Text() const {
    const std::string all = stream_.str();
    const std::size_t at = all.find(": ");
    return at == std::string::npos ? all : all.substr(at + 2, all.size() - at - 3);
  }

  std::ostringstream stream_;
};

std::string ErrorOf(const absl::Status& status) { return std::string(status.message()); }

TEST_F(LogTest, TextHasTheTimeTheLevelTheAreaTheMessageAndTheFields) {
  Begin("info", LogFormat::kText);
  COROD_LOG(kSession, kWarning, "replay diverged", {{"session_id", "room-1"}, {"step", 7}});
  ASSERT_EQ(Lines().size(), 1);
  const std::regex form(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:?\d\d warning session: )"
                        R"(replay diverged session_id=room-1 step=7)");
  EXPECT_TRUE(std::regex_match(Lines()[0], form)) << Lines()[0];
}

TEST_F(LogTest, TextQuotesWhatWouldNotBeOneWord) {
  Begin("info", LogFormat::kText);
  COROD_LOG(kServer, kInfo, "said",
            {{"plain", "a.b:c/d"},
             {"empty", ""},
             {"blank", "a b"},
             {"equals", "a=b"},
             {"quote", "a\"b"},
             {"backslash", "a\\b"},
             {"line", "a\nb"},
             {"beyond", "\xc3\xa4"},
             {"broken", "\xc3"}});
  EXPECT_EQ(Text(), R"(said plain=a.b:c/d empty="" blank="a b" equals="a=b" quote="a\"b" backslash="a\\b" line="a\nb" )"
                    "beyond=\"\xc3\xa4\" broken=\"\xef\xbf\xbd\"");
}

TEST_F(LogTest, NoMessageMakesASecondLine) {
  Begin("info", LogFormat::kText);
  COROD_LOG(kServer, kInfo, "first\n2026-01-01 forged \x1b[2J\xff");
  EXPECT_EQ(Text(), "first\\n2026-01-01 forged \\u001b[2J\xef\xbf\xbd");
}

TEST_F(LogTest, ValuesOfAllKinds) {
  Begin("info", LogFormat::kText);
  const std::string text = "x";
  COROD_LOG(kServer, kInfo, "kinds",
            {{"a", text},
             {"b", std::string_view("y")},
             {"c", absl::string_view("z")},
             {"d", std::int64_t{-5}},
             {"e", std::numeric_limits<std::uint64_t>::max()},
             {"f", 0.25},
             {"g", true},
             {"h", std::uint8_t{3}},
             {"i", absl::UnavailableError("no disk")},
             {"j", std::numeric_limits<double>::infinity()}});
  EXPECT_EQ(Text(),
            "kinds a=x b=y c=z d=-5 e=18446744073709551615 f=0.25 g=true h=3 i=\"UNAVAILABLE: no disk\" j=null");
}

TEST_F(LogTest, JsonIsOneObjectALine) {
  Begin("info", LogFormat::kJson);
  COROD_LOG(kJournal, kError, "cannot be \"written\"\n\x01",
            {{"path", "a\\b\tc"},
             {"broken", "x\xff\xfey"},
             {"nul", std::string_view("a\0b", 3)},
             {"beyond", "\xf0\x9f\x98\x80"},
             {"count", 3},
             {"ok", false},
             {"share", 0.5}});
  COROD_LOG(kAudit, kInfo, "second");
  ASSERT_EQ(Lines().size(), 2);
  const nlohmann::json line = nlohmann::json::parse(Lines()[0]);
  EXPECT_EQ(line.size(), 11);
  EXPECT_TRUE(
      std::regex_match(line.at("time").get<std::string>(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")))
      << line.at("time");
  EXPECT_EQ(line.at("level"), "error");
  EXPECT_EQ(line.at("area"), "journal");
  EXPECT_EQ(line.at("message"), "cannot be \"written\"\n\x01");
  EXPECT_EQ(line.at("path"), "a\\b\tc");
  EXPECT_EQ(line.at("broken"), "x\xef\xbf\xbd\xef\xbf\xbdy");
  EXPECT_EQ(line.at("nul"), std::string("a\0b", 3));
  EXPECT_EQ(line.at("beyond"), "\xf0\x9f\x98\x80");
  EXPECT_EQ(line.at("count"), 3);
  EXPECT_EQ(line.at("ok"), false);
  EXPECT_EQ(line.at("share"), 0.5);
  EXPECT_EQ(nlohmann::json::parse(Lines()[1]).at("message"), "second");
}

TEST_F(LogTest, WhatIsOffIsNotEvaluated) {
  Begin("warning,journal=off", LogFormat::kText);
  int evaluated = 0;
  const auto count = [&evaluated] { return ++evaluated; };
  COROD_LOG(kRpc, kInfo, "quiet", {{"n", count()}});
  COROD_LOG(kJournal, kError, "quiet", {{"n", count()}});
  EXPECT_EQ(evaluated, 0);
  EXPECT_THAT(Lines(), IsEmpty());
  COROD_LOG(kRpc, kWarning, "loud", {{"n", count()}});
  EXPECT_EQ(evaluated, 1);
  EXPECT_EQ(Text(), "loud n=1");
}

TEST_F(LogTest, EachAreaHasALevelThatCanBeChanged) {
  Begin("info", LogFormat::kText);
  EXPECT_THAT(GetLogLevels(), Each(LogLevel::kInfo));
  EXPECT_FALSE(LogIsOn(LogArea::kJournal, LogLevel::kDebug));
  ASSERT_TRUE(SetLogLevel("journal", "debug").ok());
  EXPECT_TRUE(LogIsOn(LogArea::kJournal, LogLevel::kDebug));
  EXPECT_FALSE(LogIsOn(LogArea::kSession, LogLevel::kDebug));
  EXPECT_THAT(GetLogLevels(), ElementsAre(LogLevel::kInfo, LogLevel::kInfo, LogLevel::kInfo, LogLevel::kDebug,
                                          LogLevel::kInfo, LogLevel::kInfo));
  ASSERT_TRUE(SetLogLevel("", "off").ok());
  EXPECT_THAT(GetLogLevels(), Each(LogLevel::kOff));
  COROD_LOG(kServer, kError, "quiet");
  EXPECT_THAT(Lines(), IsEmpty());
}

TEST_F(LogTest, UnknownAreasAndLevelsAreRefusedAndChangeNothing) {
  Begin("info", LogFormat::kText);
  const absl::Status no_area = SetLogLevel("disk", "debug");
  EXPECT_TRUE(IsFailure(no_area, Reason::INVALID_ARGUMENTS));
  EXPECT_EQ(DetailsOf(no_area).metadata.at("parameter"), "area");
  EXPECT_THAT(ErrorOf(no_area), HasSubstr("server, rpc, session, journal, auth or audit"));
  const absl::Status no_level = SetLogLevel("journal", "loud");
  EXPECT_TRUE(IsFailure(no_level, Reason::INVALID_ARGUMENTS));
  EXPECT_EQ(DetailsOf(no_level).metadata.at("parameter"), "level");
  EXPECT_THAT(ErrorOf(no_level), HasSubstr("trace, debug, info, warning, error or off"));
  EXPECT_THAT(GetLogLevels(), Each(LogLevel::kInfo));
}

TEST_F(LogTest, NamesAreThoseOfTheApi) {
  std::vector<std::string_view> areas, levels;
  for (std::size_t i = 0; i < kLogAreas; ++i) areas.push_back(NameOf(static_cast<LogArea>(i)));
  for (int i = 0; i <= static_cast<int>(LogLevel::kOff); ++i) levels.push_back(NameOf(static_cast<LogLevel>(i)));
  EXPECT_THAT(areas, ElementsAre("server", "rpc", "session", "journal", "auth", "audit"));
  EXPECT_THAT(levels, ElementsAre("trace", "debug", "info", "warning", "error", "off"));
}

TEST_F(LogTest, LinesOfManyThreadsStayWhole) {
  Begin("debug", LogFormat::kJson);
  constexpr int kThreads = 4, kEach = 200;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([i] {
      for (int n = 0; n < kEach; ++n) {
        COROD_LOG(kSession, kDebug, "line", {{"thread", i}, {"n", n}});
        SetLogLevel(LogArea::kAuth, n % 2 == 0 ? LogLevel::kDebug : LogLevel::kInfo);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), kThreads * kEach);
  for (const std::string& line : lines) EXPECT_EQ(nlohmann::json::parse(line).at("message"), "line");
}

TEST(LogLevelsTest, ALevelForAllAndLevelsForSome) {
  EXPECT_THAT(ParseLogLevels("debug").value(), Each(LogLevel::kDebug));
  EXPECT_THAT(ParseLogLevels("warning,journal=debug,rpc=off").value(),
              ElementsAre(LogLevel::kWarning, LogLevel::kOff, LogLevel::kWarning, LogLevel::kDebug, LogLevel::kWarning,
                          LogLevel::kWarning));
  EXPECT_EQ(ParseLogLevels("journal=debug,warning").value(), ParseLogLevels("warning,journal=debug").value());
  EXPECT_EQ(ParseLogLevels("journal=debug").value(), ParseLogLevels("info,journal=debug").value());
}

TEST(LogLevelsTest, WhatIsNoLevelIsRefusedInOneLine) {
  for (const char* text : {"", "loud", "Info", "info,", "info,journal", "journal=", "journal=loud", "=info",
                           "disk=info", "info, journal=debug", "journal=debug=info"}) {
    const absl::StatusOr<LogLevels> parsed = ParseLogLevels(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(ErrorOf(parsed.status()), HasSubstr("; name ")) << text;
    EXPECT_THAT(ErrorOf(parsed.status()), Not(HasSubstr("\n"))) << text;
  }
  EXPECT_THAT(ErrorOf(ParseLogLevels("info,disk=debug").status()), HasSubstr("'disk'"));
  EXPECT_THAT(ErrorOf(ParseLogLevels("info,debug").status()), HasSubstr("for all areas"));
  EXPECT_THAT(ErrorOf(ParseLogLevels("rpc=info,rpc=debug").status()), HasSubstr("for one area"));
}

TEST(LogFormatTest, TextAndJson) {
  EXPECT_EQ(ParseLogFormat("text").value(), LogFormat::kText);
  EXPECT_EQ(ParseLogFormat("json").value(), LogFormat::kJson);
  EXPECT_THAT(ErrorOf(ParseLogFormat("xml").status()), HasSubstr("'xml'; name text or json"));
}

}  // namespace
}  // namespace corod
