#include "server/metrics/exposition.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "server/metrics/process.h"

namespace corod::metrics {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAreArray;
using testing::Ge;
using testing::IsEmpty;
using testing::Le;
using testing::Not;
using testing::Pair;
using testing::SizeIs;

struct Family {
  std::string help;
  std::string type;
  std::map<std::string, std::string> samples;  // name and labels, as they are written, and the value
  std::map<std::string, std::set<std::string>> labels;
};

// The text as Prometheus reads it. Every line that it would not take is a failure.
struct Parsed {
  explicit Parsed(const std::string& text) {
    static const std::regex comment(R"(# (HELP|TYPE) (\S+) (.+))");
    static const std::regex sample(R"(([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+))");
    static const std::regex label(R"re(([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$))re");
    std::istringstream lines(text);
    std::smatch match;
    for (std::string line; std::getline(lines, line);) {
      if (std::regex_match(line, match, comment)) {
        const std::string name = match[2];
        if (match[1] == "HELP") {
          EXPECT_FALSE(families.contains(name)) << name << " is there twice";
          names.push_back(name);
          families[name].help = match[3];
        } else {
          EXPECT_EQ(names.back(), name) << line;
          EXPECT_EQ(families[name].type, "") << line;
          families[name].type = match[3];
        }
        continue;
      }
      if (!std::regex_match(line, match, sample) || names.empty()) {
        ADD_FAILURE() << "no sample: " << line;
        continue;
      }
      Family& family = families[names.back()];
      const std::string suffix = match[1].str().substr(std::min(names.back().size(), match[1].str().size()));
      EXPECT_TRUE(match[1].str().starts_with(names.back())) << line;
      if (family.type == "histogram") {
        EXPECT_TRUE(suffix == "_bucket" || suffix == "_sum" || suffix == "_count") << line;
      } else {
        EXPECT_EQ(suffix, "") << line;
      }
      const std::string given = match[2];
      EXPECT_TRUE(family.samples.emplace(match[1].str() + "{" + given + "}", match[3]).second) << line;
      std::size_t read = 0;
      for (std::sregex_iterator i(given.begin(), given.end(), label), end; i != end; ++i) {
        EXPECT_EQ(static_cast<std::size_t>(i->position()), read) << line;
        read += static_cast<std::size_t>(i->length());
        family.labels[(*i)[1]].insert((*i)[2]);
      }
      EXPECT_EQ(read, given.size()) << line;
    }
  }

  std::optional<double> Value(const std::string& family, const std::string& sample) const {
    const auto& samples = families.at(family).samples;
    const auto found = samples.find(sample);
    return found == samples.end() ? std::nullopt : std::optional(std::stod(found->second));
  }

  std::vector<std::string> names;
  std::map<std::string, Family> families;
};

// The table of docs/metrics.md.
struct Promised {
  std::string name, type, help;
  std::set<std::string> labels;
};
std::vector<Promised> ReadPromised() {
  static const std::regex row(R"(\| `(\w+)` \| (\w+) \| (.*?)\s*\| (.+) \|)");
  static const std::regex label(R"(`(\w+)`)");
  std::ifstream file(COROD_METRICS_TABLE);
  std::vector<Promised> promised;
  std::smatch match;
  for (std::string line; std::getline(file, line);) {
    if (!std::regex_match(line, match, row)) continue;
    Promised& entry = promised.emplace_back(Promised{match[1], match[2], match[4], {}});
    const std::string labels = match[3];
    for (std::sregex_iterator i(labels.begin(), labels.end(), label), end; i != end; ++i) entry.labels.insert((*i)[1]);
  }
  return promised;
}

// So that every family has a sample.
void CountSomethingOfAll(Metrics& metrics) {
  metrics.OfCoroutine("averager").Count(Rpc::kSend, Result::kYielded, 3);
  metrics.OfCoroutine("averager").Count(Rpc::kDrive, Result::kRaised);
  metrics.without_coroutine().Count(Rpc::kSend, Result::kRefused);
  metrics.without_coroutine().Count(Rpc::kList, Result::kDone);
  metrics.refusals.Count(Reason::SESSION_NOT_FOUND);
  metrics.command_seconds[Rpc::kSend].Observe(absl::Microseconds(30), 2);
  metrics.command_seconds[Rpc::kSend].Observe(absl::Seconds(60));
  metrics.queued_commands.Add(4);
  metrics.queued_by_drive.Add(5);
  metrics.drive_streams.Add(2);
  metrics.watch_streams.Add();
  metrics.watch_streams.Subtract();
  metrics.export_streams.Add(3);
  metrics.import_streams.Add(4);
  metrics.journal.append_seconds.Observe(absl::Milliseconds(1));
  metrics.journal.batch_appends.Observe(3);
  metrics.journal.syncs.Add(6);
  metrics.journal.written_bytes.Add(700);
  metrics.replay.replays.Add(ReplayCause::kHistory);
  metrics.replay.steps.Add(12);
  metrics.replay.seconds.Observe(absl::Milliseconds(2));
  const NamespaceMetrics& space = metrics.OfNamespace("team \"a\"\n\\");
  space.commands.Add(9);
  space.refusals.Count(Reason::RATE_LIMITED);
  metrics.credentials.reloads.Add(Reload::kFailed);
  metrics.credentials.certificate_expiry.Set(1'900'000'000);
  metrics.ReadWith([&space] {
    return Readings{.live_sessions = 1,
                    .asleep_sessions = 2,
                    .finished_sessions = 3,
                    .problem_sessions = 4,
                    .frames = 5,
                    .frame_bytes = 6,
                    .lua_bytes = 7,
                    .queued_by_workers = 8,
                    .queued_by_journal = 9,
                    .journal_bytes = 10,
                    .namespace_sessions = {{&space, 5}, {&space, 3}},
                    .namespace_memory = {{&space, 500}, {&space, 300}}};
  });
}

TEST(ExpositionTest, HasEveryNameOfTheDocumentationOnceWithItsTypeItsLabelsAndItsHelp) {
  Metrics metrics("1.2.3");
  CountSomethingOfAll(metrics);
  const Parsed parsed(ToText(metrics));
  const std::vector<Promised> promised = ReadPromised();
  ASSERT_THAT(promised, SizeIs(Ge(28)));
  std::vector<std::string> names;
  for (const Promised& entry : promised) {
    names.push_back(entry.name);
    const auto found = parsed.families.find(entry.name);
    if (found == parsed.families.end()) continue;  // the lists are compared
    const Family& family = found->second;
    EXPECT_EQ(family.type, entry.type) << entry.name;
    EXPECT_EQ(family.help, entry.help) << entry.name;
    EXPECT_THAT(family.samples, Not(IsEmpty())) << entry.name;
    std::set<std::string> labels;
    for (const auto& [label, values] : family.labels) {
      if (label != "le") labels.insert(label);
    }
    EXPECT_EQ(labels, entry.labels) << entry.name;
  }
  EXPECT_THAT(parsed.names, ElementsAreArray(names));
}

TEST(ExpositionTest, SamplesHaveWhatWasCounted) {
  Metrics metrics("1.2.3");
  CountSomethingOfAll(metrics);
  const Parsed parsed(ToText(metrics));
  const auto expect = [&parsed](const std::string& family, const std::string& labels, double value) {
    EXPECT_EQ(parsed.Value(family, family + "{" + labels + "}"), value) << family << "{" << labels << "}";
  };
  expect("corod_commands_total", R"(rpc="Send",coroutine="averager",result="yielded")", 3);
  expect("corod_commands_total", R"(rpc="Drive",coroutine="averager",result="raised")", 1);
  expect("corod_commands_total", R"(rpc="Send",coroutine="",result="refused")", 1);
  expect("corod_commands_total", R"(rpc="List",coroutine="",result="done")", 1);
  EXPECT_THAT(parsed.families.at("corod_commands_total").samples, SizeIs(4)) << "only what has happened";
  expect("corod_refusals_total", R"(reason="SESSION_NOT_FOUND")", 1);
  expect("corod_refusals_total", R"(reason="QUEUE_FULL")", 0);
  expect("corod_sessions", R"(kind="live")", 1);
  expect("corod_sessions", R"(kind="asleep")", 2);
  expect("corod_sessions", R"(kind="finished")", 3);
  expect("corod_sessions", R"(kind="problem")", 4);
  expect("corod_frames", "", 5);
  expect("corod_frame_bytes", "", 6);
  expect("corod_lua_bytes", "", 7);
  expect("corod_queue_depth", R"(queue="commands")", 4);
  expect("corod_queue_depth", R"(queue="workers")", 8);
  expect("corod_queue_depth", R"(queue="journal")", 9);
  expect("corod_queue_depth", R"(queue="drive")", 5);
  expect("corod_streams", R"(rpc="Drive")", 2);
  expect("corod_streams", R"(rpc="Watch")", 0);
  expect("corod_streams", R"(rpc="Export")", 3);
  expect("corod_streams", R"(rpc="Import")", 4);
  expect("corod_journal_syncs_total", "", 6);
  expect("corod_journal_written_bytes_total", "", 700);
  expect("corod_journal_bytes", "", 10);
  expect("corod_replays_total", R"(cause="wake")", 0);
  expect("corod_replays_total", R"(cause="history")", 1);
  expect("corod_replays_total", R"(cause="repeat")", 0);
  expect("corod_replayed_steps_total", "", 12);
  expect("corod_namespace_sessions", R"(namespace="team \"a\"\n\\")", 8);
  expect("corod_namespace_memory_bytes", R"(namespace="team \"a\"\n\\")", 800);
  expect("corod_namespace_commands_total", R"(namespace="team \"a\"\n\\")", 9);
  expect("corod_namespace_refusals_total", R"(namespace="team \"a\"\n\\",reason="RATE_LIMITED")", 1);
  expect("corod_credential_reloads_total", R"(result="ok")", 0);
  expect("corod_credential_reloads_total", R"(result="failed")", 1);
  expect("corod_certificate_expiry_timestamp_seconds", "", 1'900'000'000);
  expect("corod_draining", "", 0);
  expect("corod_build_info", R"(version="1.2.3")", 1);
}

TEST(ExpositionTest, HistogramsAreCumulativeAndInSeconds) {
  Metrics metrics("1");
  CountSomethingOfAll(metrics);
  const Parsed parsed(ToText(metrics));
  const auto value = [&parsed](const std::string& family, const std::string& sample) {
    return parsed.Value(family, family + sample);
  };
  EXPECT_EQ(value("corod_command_seconds", R"(_bucket{rpc="Send",le="2e-05"})"), 0);
  EXPECT_EQ(value("corod_command_seconds", R"(_bucket{rpc="Send",le="4e-05"})"), 2);
  EXPECT_EQ(value("corod_command_seconds", R"(_bucket{rpc="Send",le="41.94304"})"), 2);
  EXPECT_EQ(value("corod_command_seconds", R"(_bucket{rpc="Send",le="+Inf"})"), 3);
  EXPECT_EQ(value("corod_command_seconds", R"(_count{rpc="Send"})"), 3);
  EXPECT_DOUBLE_EQ(value("corod_command_seconds", R"(_sum{rpc="Send"})").value_or(-1), 60.00006);
  EXPECT_THAT(parsed.families.at("corod_command_seconds").samples, SizeIs(LatencyHistogram::kBounds + 3));
  EXPECT_EQ(value("corod_journal_batch_appends", R"(_bucket{le="2"})"), 0);
  EXPECT_EQ(value("corod_journal_batch_appends", R"(_bucket{le="4"})"), 1);
  EXPECT_EQ(value("corod_journal_batch_appends", R"(_sum{})"), 3);
}

TEST(ExpositionTest, WhatIsNotKnownHasNoSample) {
  Metrics metrics("1");
  const Parsed parsed(ToText(metrics));
  static_cast<void>(metrics.OfNamespace("of which nobody knows the sessions"));
  for (const char* name :
       {"corod_sessions", "corod_namespace_sessions", "corod_namespace_memory_bytes", "corod_frames",
        "corod_frame_bytes", "corod_lua_bytes", "corod_journal_bytes", "corod_certificate_expiry_timestamp_seconds"}) {
    ASSERT_TRUE(parsed.families.contains(name)) << name;
    EXPECT_THAT(parsed.families.at(name).samples, IsEmpty()) << name;
  }
  EXPECT_EQ(parsed.families.at("corod_queue_depth").labels.at("queue"), (std::set<std::string>{"commands", "drive"}));
}

TEST(ExpositionTest, HasBoundedLabelsWhateverIsUsed) {
  Metrics metrics("1");
  for (std::size_t i = 0; i < 1'000; ++i) {
    metrics.OfCoroutine("c" + std::to_string(i)).Count(Rpc::kSend, Result::kYielded);
    metrics.OfNamespace("n" + std::to_string(i)).refusals.Count(Reason::RATE_LIMITED);
  }
  metrics.ReadWith([&metrics] {
    Readings readings;
    for (std::size_t i = 0; i < 1'000; ++i) {
      readings.namespace_sessions.emplace_back(&metrics.OfNamespace("n" + std::to_string(i)), 2);
    }
    return readings;
  });
  const Parsed parsed(ToText(metrics));
  EXPECT_THAT(parsed.families.at("corod_commands_total").samples, SizeIs(kMaxNames + 1));
  EXPECT_EQ(
      parsed.Value("corod_commands_total", R"(corod_commands_total{rpc="Send",coroutine="other",result="yielded"})"),
      1'000 - kMaxNames);
  EXPECT_THAT(parsed.families.at("corod_namespace_sessions").samples, SizeIs(kMaxNames + 1));
  EXPECT_EQ(parsed.Value("corod_namespace_sessions", R"(corod_namespace_sessions{namespace="other"})"),
            2 * (1'000 - kMaxNames));
  EXPECT_THAT(parsed.families.at("corod_namespace_refusals_total").samples, SizeIs(kMaxNames + 1));
}

TEST(ProcessUseTest, IsThisProcess) {
  const ProcessUse before = ReadProcessUse();
  EXPECT_GT(before.resident_bytes.value_or(0), 100'000);
  EXPECT_GE(before.cpu_seconds.value_or(-1), 0);
  EXPECT_THAT(before.start_time.value_or(0), AllOf(Ge(1e9), Le(static_cast<double>(std::time(nullptr)) + 2)));
  const int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  const ProcessUse after = ReadProcessUse();
  close(file);
  EXPECT_EQ(after.open_fds.value_or(0), before.open_fds.value_or(0) + 1);
  EXPECT_GE(after.cpu_seconds, before.cpu_seconds);
  EXPECT_EQ(after.start_time, before.start_time);
}

}  // namespace
}  // namespace corod::metrics
