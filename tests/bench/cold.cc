// The first Send to a session that is not in memory and whose whole log has to be run again.
#include <grpcpp/channel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "tests/bench/comparison.h"
#include "tests/bench/failure.h"
#include "tests/bench/load.h"

namespace corod::bench {
namespace {

// Sessions whose logs are trimmed all the time: each `kEvery` steps make a checkpoint and drop those of the oldest.
constexpr std::uint64_t kTrimmed = 500;
constexpr std::uint64_t kEvery = 4;
// 1,250 trims a second are asked for; 1,000 are to be.
constexpr absl::Duration kPause = absl::Milliseconds(4);
constexpr int kInMessage = 20;  // commands after each pause
constexpr char kCold[] = "cold";
constexpr char kBusy[] = "trimmed";

// Makes `count` sessions with `records` steps each, every step in a batch of its own.
void Prepare(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count, std::uint64_t records) {
  CreateAveragers(channel, kCold, count, v1::DURABILITY_DURABLE);
  std::vector<std::string> ids;
  for (std::uint64_t i = 0; i < count; ++i) ids.push_back(SessionId(kCold, i));
  // Never two commands of one session under way, so that none shares a batch with the one before.
  Drive(channel, count * (records - 1),
        [&](std::uint64_t number, v1::Command& command) {
          command.set_session_id(ids[number % count]);
          command.mutable_send()->set_integer(static_cast<std::int64_t>(number % 1'000));
          command.set_quiet(true);
        },
        {.in_message = std::min<std::uint64_t>(500, count), .outstanding = count});
}

v1::Session Get(v1::CoroutineService::Stub& stub, const std::string& id) {
  grpc::ClientContext context;
  v1::GetRequest request;
  request.set_session_id(id);
  v1::GetResponse response;
  if (const grpc::Status status = stub.Get(&context, request, &response); !status.ok()) {
    throw Failure("a Get failed: " + status.error_message());
  }
  return response.session();
}

// How often the logs of the busy sessions have been trimmed: each trim takes `kEvery` steps from a log's beginning.
std::uint64_t CountTrims(v1::CoroutineService::Stub& stub) {
  std::uint64_t trims = 0;
  for (std::uint64_t i = 0; i < kTrimmed; ++i) {
    trims += (Get(stub, SessionId(kBusy, i)).earliest_step() - 1) / kEvery;
  }
  return trims;
}

// The next step of one busy session after the other.
void MakeBusy(std::uint64_t number, v1::Command& command) {
  command.set_session_id(SessionId(kBusy, number % kTrimmed));
  command.mutable_send()->set_integer(1);
  command.set_quiet(true);
}

// Has the busy sessions take their steps while it exists: over Drive, since it is the trims that are to disturb, not
// the calls.
class Trimming {
 public:
  explicit Trimming(std::shared_ptr<grpc::Channel> channel)
      : done_(std::async(std::launch::async, [this, channel = std::move(channel)] { Run(channel); })) {}
  ~Trimming() { stopped_ = true; }
  Trimming(const Trimming&) = delete;
  Trimming& operator=(const Trimming&) = delete;

  // Fails if it did.
  void Stop() {
    stopped_ = true;
    done_.get();
  }

 private:
  void Run(const std::shared_ptr<grpc::Channel>& channel) {
    const auto stub = v1::CoroutineService::NewStub(channel);
    grpc::ClientContext context;
    const auto stream = stub->Drive(&context);
    std::uint64_t next = 0;
    for (absl::Time due = absl::Now(); !stopped_; due += kPause) {
      absl::SleepFor(due - absl::Now());
      v1::DriveRequest request;
      for (int i = 0; i < kInMessage; ++i) MakeBusy(next++, *request.add_commands());
      if (!stream->Write(request)) break;
      v1::DriveResponse response;
      for (int replies = 0; replies < kInMessage && stream->Read(&response); replies += response.replies_size()) {
        for (const v1::Reply& reply : response.replies()) {
          if (!reply.has_outcome()) throw Failure("a step of a busy session failed: " + reply.ShortDebugString());
        }
      }
    }
    stream->WritesDone();
    if (const grpc::Status status = stream->Finish(); !status.ok()) {
      throw Failure("the busy sessions' stream failed: " + status.error_message());
    }
  }

  std::atomic<bool> stopped_ = false;
  std::future<void> done_;
};

struct Way {
  std::string name, what;
  bool trims;
  std::vector<double> p50 = {}, p99 = {}, all = {};  // milliseconds
  std::vector<double> warm_p99 = {};                 // of a second Send to each, which has nothing to run again
};

}  // namespace

void MeasureColdSessions(const Settings& settings, Report& report) {
  const auto rounds = static_cast<std::uint64_t>(settings.rounds);
  const std::uint64_t in_round = settings.quick ? 10 : std::max<std::uint64_t>(1'000 / rounds + 1, 200);
  const std::uint64_t count = 2 * rounds * in_round;
  TemporaryDirectory directory(settings.directory);
  const std::string data = directory.NewPath("data");
  Tell(absl::StrCat("cold: making ", count, " sessions with ", settings.records, " records each"));
  {
    ServerProcess server(CorodCommand(settings, data, {"--sync", "never", "--checkpoint-every", "1000000000"}),
                         directory.NewPath("log"));
    Prepare(Connect(server.address()), count, settings.records);
    server.Kill();  // on going to sleep they would leave checkpoints
  }
  // So long that nothing of the cold sessions is trimmed.
  const std::uint64_t history = settings.records + 100;
  ServerProcess server(
      CorodCommand(settings, data, {"--checkpoint-every", absl::StrCat(kEvery), "--history", absl::StrCat(history)}),
      directory.NewPath("log"));
  const auto channel = Connect(server.address());
  const auto stub = v1::CoroutineService::NewStub(channel);
  const auto load_channel = Connect(server.address());
  CreateAveragers(load_channel, kBusy, kTrimmed, v1::DURABILITY_DURABLE);
  // Until each trims what it appends.
  Drive(load_channel, kTrimmed * (history + 3 * kEvery), &MakeBusy);

  Way quiet{.name = "cold_send", .what = "", .trims = false};
  Way busy{.name = "cold_send_trims", .what = " while logs are trimmed", .trims = true};
  std::vector<double> trims_per_second;
  std::uint64_t next = 0;
  for (int round = 0; round < settings.rounds; ++round) {
    for (Way* way : {&quiet, &busy}) {
      const std::uint64_t trims = way->trims ? CountTrims(*stub) : 0;
      const absl::Time started = absl::Now();
      std::optional<Trimming> trimming;
      if (way->trims) trimming.emplace(load_channel);
      std::vector<double> times, warm;
      for (std::uint64_t i = 0; i < in_round; ++i) {
        const std::string id = SessionId(kCold, next++);
        for (std::vector<double>* taken : {&times, &warm}) {
          taken->push_back(absl::ToDoubleMilliseconds(TimeOneSend(*stub, id)));
        }
      }
      if (way->trims) {
        trimming->Stop();
        const double seconds = absl::ToDoubleSeconds(absl::Now() - started);
        trims_per_second.push_back(static_cast<double>(CountTrims(*stub) - trims) / seconds);
      }
      way->p50.push_back(Quantile(times, 0.5));
      way->p99.push_back(Quantile(times, 0.99));
      way->warm_p99.push_back(Quantile(warm, 0.99));
      way->all.insert(way->all.end(), times.begin(), times.end());
    }
  }
  // Each was really run again from its first step.
  const v1::Session last = Get(*stub, SessionId(kCold, next - 1));
  if (last.steps() != settings.records + 2) throw Failure("a cold session has not the steps that it should have");
  for (const Way* way : {&quiet, &busy}) {
    report.Add({.name = way->name + "_p99",
                .what = absl::StrFormat("first Send to a cold session, %d records, p99%s", settings.records, way->what),
                .unit = "ms",
                .rounds = way->p99,
                .goal = Goal{Goal::Is::kAtMost, 10},
                .overall = Quantile(way->all, 0.99)});
    report.Add({.name = way->name + "_p50", .what = "  p50", .unit = "ms", .rounds = way->p50});
    report.Add({.name = way->name + "_warm_p99",
                .what = "  p99 of the next Send to it: what the disk and the machine make of it",
                .unit = "ms",
                .rounds = way->warm_p99});
  }
  report.Add({.name = "trims", .what = "  trims meanwhile", .unit = "/s", .rounds = trims_per_second});
  report.Note(absl::StrFormat("p99: of all %d cold sessions of a kind, beside the p99 of each round of %d",
                              quiet.all.size(), in_round));
}

}  // namespace corod::bench
