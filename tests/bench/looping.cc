// What others notice of scripts that loop: p99 of unary Sends at a quarter of the highest load, with and without them.
#include <grpcpp/channel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/bench/comparison.h"
#include "tests/bench/load.h"
#include "tests/bench/lua.h"

namespace corod::bench {
namespace {

// Of each kind: so many that there are scripts in every universe, also in those of the scripts that loop.
constexpr std::uint64_t kSessions = 1'000;
// Scripts that loop at a time, if not one: as many as there are processors, at least two.
const int kMany = std::max(2, static_cast<int>(std::thread::hardware_concurrency()));

// Each step takes all but a thousandth of what it may.
constexpr const char* kLoops = R"(
return function()
  while true do
    yield(1)
    for _ = 1, 9990000 do end
  end
end)";

// Clients that each have a script loop while this exists, over connections of their own.
class Looping {
 public:
  Looping(const std::string& address, int clients) {
    for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(clients); ++i) {
      done_.push_back(
          std::async(std::launch::async, [this, &address, i] { Run(Connect(address), SessionId("loops", i)); }));
    }
  }
  ~Looping() { stopped_ = true; }
  Looping(const Looping&) = delete;
  Looping& operator=(const Looping&) = delete;

  // How many steps they took. Fails if one did.
  std::uint64_t Stop() {
    stopped_ = true;
    for (std::future<void>& done : done_) done.get();
    return steps_;
  }

 private:
  void Run(const std::shared_ptr<grpc::Channel>& channel, const std::string& session_id) {
    const auto stub = v1::CoroutineService::NewStub(channel);
    while (!stopped_) {
      TimeOneSend(*stub, session_id);
      ++steps_;
    }
  }

  std::atomic<bool> stopped_ = false;
  std::atomic<std::uint64_t> steps_ = 0;
  std::vector<std::future<void>> done_;
};

// How many scripts loop, and what became of the others' Sends meanwhile.
struct Way {
  std::string name, what;
  int scripts;
  std::vector<double> p50 = {}, steps = {};
  Contestant p99 = {};
};

void Measure(const Settings& settings, const std::string& address, const std::string& kind, Report& report) {
  const auto load = SendLoad(Connect(address), kind, kSessions);
  std::vector<double> highest;
  for (int round = 0; round <= settings.rounds; ++round) highest.push_back(Fine(load->Run(settings.turn)).rate());
  const double rate = *std::max_element(highest.begin(), highest.end()) / 4;

  std::vector<Way> ways = {{.name = "none", .what = "while no script loops", .scripts = 0},
                           {.name = "one", .what = "while one script loops", .scripts = 1},
                           {.name = "many", .what = absl::StrFormat("while %d scripts loop", kMany), .scripts = kMany}};
  for (Way& way : ways) {
    way.p99 = {.name = kind + "_p99_beside_" + way.name, .what = "p99 " + way.what, .run = [&, load] {
                 Looping looping(address, way.scripts);
                 const load::Found found = Fine(load->RunAtRate(settings.turn, rate));
                 way.steps.push_back(static_cast<double>(looping.Stop()) / absl::ToDoubleSeconds(found.took));
                 way.p50.push_back(absl::ToDoubleMilliseconds(found.latencies.Quantile(0.5)));
                 return absl::ToDoubleMilliseconds(found.latencies.Quantile(0.99));
               }};
  }
  TakeTurns(settings.rounds, {&ways[0].p99, &ways[1].p99, &ways[2].p99});
  for (Way& way : ways) {  // what is of the turn before the first
    for (std::vector<double>* rounds : {&way.p50, &way.steps}) rounds->erase(rounds->begin());
  }
  for (const Way* way : {&ways[1], &ways[2]}) {
    report.Add({.name = absl::StrFormat("%s_p99_ratio_beside_%s", kind, way->name),
                .what = absl::StrFormat("p99 of unary Send (%s) at a quarter of the highest rate, %s: to none", kind,
                                        way->what),
                .rounds = Ratios(way->p99, ways[0].p99),
                .goal = Goal{Goal::Is::kAtMost, 2}});
  }
  report.Add({.name = kind + "_rate_beside_loops", .what = "  calls asked for", .unit = "/s", .rounds = {rate}});
  for (const Way& way : ways) {
    report.Add({.name = way.p99.name, .what = "  " + way.p99.what, .unit = "ms", .rounds = way.p99.rounds});
    report.Add({.name = way.p99.name + "_p50", .what = "    p50", .unit = "ms", .rounds = way.p50});
    if (way.scripts == 0) continue;
    report.Add({.name = way.p99.name + "_steps", .what = "    steps that looped", .unit = "/s", .rounds = way.steps});
  }
}

}  // namespace

void MeasureBesideLoops(const Settings& settings, Report& report) {
  TemporaryDirectory directory(settings.directory);
  ServerProcess server(CorodCommand(settings, directory.NewPath("data"), {}), directory.NewPath("log"));
  const auto channel = Connect(server.address());
  DefineScript(channel, "lua_averager", kLuaAveragerSource);
  DefineScript(channel, "loops", kLoops);
  for (const auto& [coroutine, kind] : {std::pair("averager", "native"), std::pair("lua_averager", "lua")}) {
    CreateSessions(channel, coroutine, kind, kSessions, v1::DURABILITY_EPHEMERAL);
  }
  CreateSessions(channel, "loops", "loops", static_cast<std::uint64_t>(kMany), v1::DURABILITY_EPHEMERAL);
  for (const char* kind : {"native", "lua"}) Measure(settings, server.address(), kind, report);
}

}  // namespace corod::bench
