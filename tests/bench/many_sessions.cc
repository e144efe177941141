// A million durable sessions: what they hold in memory when they sleep, and how soon a server that has them answers.
#include <grpcpp/channel.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "tests/bench/comparison.h"
#include "tests/bench/failure.h"
#include "tests/bench/load.h"
#include "tests/bench/memory.h"

namespace corod::bench {
namespace {

constexpr char kKind[] = "sleeper";
constexpr double kMiB = 1 << 20;
// That fall asleep one after the other are looked at in steps of so many.
constexpr std::uint64_t kSamples = 1'000;
// What is written between two starts: about as much as the write-ahead log holds.
constexpr std::uint64_t kTouched = 10'000;
constexpr std::uint64_t kSendsEach = 10;

bool IsLive(v1::CoroutineService::Stub& stub, std::uint64_t number) {
  grpc::ClientContext context;
  v1::GetRequest request;
  request.set_session_id(SessionId(kKind, number));
  v1::GetResponse response;
  if (const grpc::Status status = stub.Get(&context, request, &response); !status.ok()) {
    throw Failure("a Get failed: " + status.error_message());
  }
  return response.session().live();
}

void AwaitSleep(v1::CoroutineService::Stub& stub, std::uint64_t count) {
  const std::uint64_t step = std::max<std::uint64_t>(1, count / kSamples);
  for (std::uint64_t i = 0; i < count; i += step) {
    Await("a session falls asleep", [&] { return !IsLive(stub, i); });
  }
  Await("the last session falls asleep", [&] { return !IsLive(stub, count - 1); });
}

struct Held {
  Memory before, peak, after;
};

void ReportMemory(const Held& held, const std::optional<double>& rocksdb, std::uint64_t sessions, Report& report) {
  const auto before = static_cast<double>(held.before.anonymous);
  const auto peak = static_cast<double>(held.peak.anonymous);
  const auto after = static_cast<double>(held.after.anonymous);
  // Before the first session RocksDB has next to nothing; what it has later is known for the end alone.
  const double aside = rocksdb.value_or(0);
  report.Add({.name = "memory_kept",
              .what = absl::StrFormat("memory kept when %d sessions sleep, of what they took, RocksDB aside", sessions),
              .unit = "",
              .rounds = {(after - before - aside) / (peak - before - aside)},
              .goal = Goal{Goal::Is::kAtMost, 0.1}});
  report.Add({.name = "memory_before", .what = "  before the first session", .unit = "MiB", .rounds = {before / kMiB}});
  report.Add({.name = "memory_live", .what = "  with all live", .unit = "MiB", .rounds = {peak / kMiB}});
  report.Add({.name = "memory_asleep", .what = "  with all asleep", .unit = "MiB", .rounds = {after / kMiB}});
  if (rocksdb) {
    report.Add({.name = "memory_rocksdb",
                .what = "  of that, RocksDB's memtables and caches",
                .unit = "MiB",
                .rounds = {*rocksdb / kMiB}});
  } else {
    report.Note("the server does not say what RocksDB holds: nothing is set aside");
  }
}

// Once, since it takes minutes. Leaves the sessions in `data`.
void MeasureMemory(const Settings& settings, const std::string& data, const std::string& log, Report& report) {
  const std::uint64_t count = settings.sessions;
  // Longer than it takes to make them all.
  const std::uint64_t awake = std::max<std::uint64_t>(2, count / 5'000);
  const std::string many = absl::StrCat(2 * count);
  ServerProcess server(
      GivingBackSoon(CorodCommand(settings, data,
                                  {"--max-sessions", many, "--max-live-sessions", many, "--sync", "never",
                                   "--log-level", "debug", "--passivate-after", absl::StrCat(awake, "s")})),
      log);
  const auto channel = Connect(server.address());
  const auto stub = v1::CoroutineService::NewStub(channel);
  CreateAveragers(channel, "first", 1, v1::DURABILITY_EPHEMERAL);
  Held held{.before = server.memory(), .peak = {}, .after = {}};
  const absl::Time started = absl::Now();
  CreateAveragers(channel, kKind, count, v1::DURABILITY_DURABLE);
  held.peak = server.memory();
  if (!settings.quick && !IsLive(*stub, 0)) throw Failure("the first session fell asleep before the last was live");
  const absl::Time live = absl::Now();
  AwaitSleep(*stub, count);
  const absl::Time asleep = absl::Now();
  held.after = SettledMemory(server);
  server.Stop();
  const std::optional<double> rocksdb = NumberBehind(server.log(), "what RocksDB holds in memory, in bytes all=");
  const std::optional<double> awake_still = NumberBehind(server.log(), " sessions=");
  if (!awake_still || *awake_still > 1) throw Failure("not all sessions were asleep");
  ReportMemory(held, rocksdb, count, report);
  const absl::Duration making = live - started;
  const absl::Duration waiting = std::max(absl::Seconds(awake) - making, absl::ZeroDuration());
  const auto shown = [](absl::Duration took) {
    return absl::FormatDuration(absl::Trunc(std::max(took, absl::ZeroDuration()), absl::Milliseconds(100)));
  };
  report.Note(absl::StrFormat("making the sessions took %s, putting them to sleep %s", shown(making),
                              shown(asleep - live - waiting)));
}

// How a server ended, and how long the next one took from the start of its process until it said that it was ready, and
// until it answered for the first time; in seconds.
struct Left {
  std::string name, what;
  bool killed;
  std::vector<double> ready = {}, answered = {};
};

void MeasureStart(const Settings& settings, const std::string& data, const std::string& log, Report& report) {
  const std::uint64_t count = settings.sessions;
  absl::BitGen random;
  Left orderly{.name = "start_after_stop", .what = "an orderly stop", .killed = false};
  Left killed{.name = "start_after_kill", .what = "kill -9", .killed = true};
  const auto any = [&] { return SessionId(kKind, absl::Uniform<std::uint64_t>(random, 0, count)); };
  // What a server leaves that ends as `left` says.
  const auto leave = [&](ServerProcess& server, const Left& left) {
    std::vector<std::string> ids;
    for (std::uint64_t i = 0; i < std::min(kTouched, count); ++i) ids.push_back(any());
    Drive(Connect(server.address()), ids.size() * kSendsEach, [&](std::uint64_t number, v1::Command& command) {
      command.set_session_id(ids[number % ids.size()]);
      command.mutable_send()->set_integer(1);
      command.set_quiet(true);
    });
    if (left.killed) {
      server.Kill();
    } else {
      server.Stop();
    }
  };
  {
    ServerProcess server(CorodCommand(settings, data, {}), log);
    leave(server, orderly);
  }
  for (int round = 0; round < settings.rounds; ++round) {
    for (Left* left : {&orderly, &killed}) {
      ServerProcess server(CorodCommand(settings, data, {}), log);
      left->ready.push_back(absl::ToDoubleSeconds(absl::Now() - server.started()));
      const auto stub = v1::CoroutineService::NewStub(Connect(server.address()));
      TimeOneSend(*stub, any());
      left->answered.push_back(absl::ToDoubleSeconds(absl::Now() - server.started()));
      leave(server, left == &orderly ? killed : orderly);  // for the one that comes next
    }
  }
  for (const Left* left : {&orderly, &killed}) {
    report.Add({.name = left->name,
                .what = absl::StrFormat("start to first answer with %d sessions, after %s", count, left->what),
                .unit = "s",
                .rounds = left->answered,
                .goal = Goal{Goal::Is::kAtMost, 2}});
    report.Add({.name = left->name + "_ready", .what = "  start to ready", .unit = "s", .rounds = left->ready});
  }
  report.Note("a start reads files that the system has in its cache");
}

}  // namespace

void MeasureManySessions(const Settings& settings, Report& report) {
  TemporaryDirectory directory(settings.directory);
  const std::string data = directory.NewPath("data");
  MeasureMemory(settings, data, directory.NewPath("log"), report);
  MeasureStart(settings, data, directory.NewPath("log"), report);
}

}  // namespace corod::bench
