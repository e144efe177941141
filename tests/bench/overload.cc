// What is left of a server's work when it is asked for twice as much as it can do.
#include <grpcpp/channel.h>

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/bench/comparison.h"
#include "tests/bench/load.h"

namespace corod::bench {
namespace {

constexpr std::uint64_t kSessions = 1'000;
constexpr std::size_t kConnections = 4;
// Calls of a connection that are under way: as many as the server takes (--max-connection-calls).
constexpr std::size_t kMostCalls = 1'000;
constexpr double kTimes = 2;

// A step that takes the server several times as long as a call takes its client, so that the load takes little of the
// processors that it shares with the server.
constexpr const char* kWorks = R"(
return function(value)
  while true do
    local sum = 0
    for i = 1, 300000 do sum = sum + i % 7 end
    value = yield(sum)
  end
end)";

// Who is asked for how much.
struct Case {
  std::string name, what;
  std::string address;
  std::string kind;  // of session
  int peak_calls;    // of a connection that are under way at the highest load: more, and it is no higher
  std::optional<double> goal;
};

// What came of the load of all connections together.
struct Sum {
  double answered = 0, refused = 0, held_back = 0;  // a second
  load::Latencies latencies;
  std::map<std::string, std::uint64_t> reasons;
};

// Loads that run at the same time, each on a connection of its own.
class Loads {
 public:
  explicit Loads(const Case& asked) {
    for (std::size_t i = 0; i < kConnections; ++i) {
      loads_.push_back(SendLoad(Connect(asked.address), asked.kind, kSessions,
                                {.outstanding = asked.peak_calls,
                                 .refusal = load::UnaryLoad::Refusal::kIsCounted,
                                 .most_at_rate = kMostCalls,
                                 .beyond = load::UnaryLoad::Beyond::kIsDropped}));
    }
  }

  // As much as they can.
  Sum Run(absl::Duration turn) {
    return OfAll([turn](load::UnaryLoad& load) { return load.Run(turn); });
  }
  // `rate` calls a second in all, whatever becomes of those before.
  Sum RunAtRate(absl::Duration turn, double rate) {
    return OfAll([=](load::UnaryLoad& load) { return load.RunAtRate(turn, rate / kConnections); });
  }

 private:
  template <typename RunOne>
  Sum OfAll(RunOne run) {
    std::vector<std::future<absl::StatusOr<load::Found>>> running;
    running.reserve(loads_.size());
    for (const auto& load : loads_) {
      running.push_back(std::async(std::launch::async, [&run, &load] { return run(*load); }));
    }
    Sum sum;
    for (auto& one : running) {
      const load::Found found = Fine(one.get());
      const double seconds = absl::ToDoubleSeconds(found.took);
      sum.answered += found.rate();
      sum.held_back += static_cast<double>(found.dropped) / seconds;
      sum.latencies.Add(found.latencies);
      for (const auto& [reason, count] : found.refused) {
        sum.reasons[reason] += count;
        sum.refused += static_cast<double>(count) / seconds;
      }
    }
    return sum;
  }

  std::vector<std::shared_ptr<load::UnaryLoad>> loads_;
};

void Measure(const Settings& settings, const Case& asked, Report& report) {
  Loads loads(asked);
  const std::string& name = asked.name;
  double highest = loads.Run(settings.turn).answered;  // the last time

  std::vector<double> peak_p99, p99, offered, refused, held_back;
  std::map<std::string, std::uint64_t> reasons;
  Contestant peak{.name = name + "_peak", .what = "as much as it can", .run = [&] {
                    const Sum sum = loads.Run(settings.turn);
                    peak_p99.push_back(absl::ToDoubleMilliseconds(sum.latencies.Quantile(0.99)));
                    return highest = sum.answered;
                  }};
  Contestant overload{.name = name + "_goodput", .what = "answered when asked for twice that", .run = [&] {
                        const double rate = kTimes * highest;
                        const Sum sum = loads.RunAtRate(settings.turn, rate);
                        offered.push_back(rate);
                        p99.push_back(absl::ToDoubleMilliseconds(sum.latencies.Quantile(0.99)));
                        refused.push_back(sum.refused);
                        held_back.push_back(sum.held_back);
                        for (const auto& [reason, count] : sum.reasons) reasons[reason] += count;
                        return sum.answered;
                      }};
  TakeTurns(settings.rounds, {&peak, &overload});
  for (std::vector<double>* rounds : {&peak_p99, &p99, &offered, &refused, &held_back}) rounds->erase(rounds->begin());
  report.Add({.name = name + "_goodput_to_peak",
              .what = absl::StrFormat(
                  "unary Send (%s), %g times the highest load offered over %d connections: answered, to peak",
                  asked.what, kTimes, kConnections),
              .rounds = Ratios(overload, peak),
              .goal = asked.goal ? std::optional(Goal{Goal::Is::kAtLeast, *asked.goal}) : std::nullopt});
  report.Add({.name = name + "_offered", .what = "  calls offered", .unit = "/s", .rounds = offered});
  for (const auto& [contestant, latency] : {std::pair(&peak, &peak_p99), std::pair(&overload, &p99)}) {
    report.Add({.name = contestant->name, .what = "  " + contestant->what, .unit = "/s", .rounds = contestant->rounds});
    report.Add({.name = contestant->name + "_p99", .what = "    p99", .unit = "ms", .rounds = *latency});
  }
  report.Add({.name = name + "_refused", .what = "  refused", .unit = "/s", .rounds = refused});
  report.Add({.name = name + "_held_back",
              .what = absl::StrFormat("  not made, as %d calls of the connection were under way", kMostCalls),
              .unit = "/s",
              .rounds = held_back});
  for (const auto& [reason, count] : reasons) report.Note(absl::StrCat(name, ": refused with ", reason, ": ", count));
}

}  // namespace

void MeasureOverload(const Settings& settings, Report& report) {
  TemporaryDirectory directory(settings.directory);
  ServerProcess server(CorodCommand(settings, directory.NewPath("data"), {}), directory.NewPath("log"));
  ServerProcess echo({settings.echo}, directory.NewPath("log"));
  const auto channel = Connect(server.address());
  CreateAveragers(channel, "ephemeral", kSessions, v1::DURABILITY_EPHEMERAL);
  CreateAveragers(channel, "durable", kSessions, v1::DURABILITY_DURABLE);
  DefineScript(channel, "works", kWorks);
  CreateSessions(channel, "works", "works", kSessions, v1::DURABILITY_EPHEMERAL);
  CreateSessions(channel, "works", "works_durable", kSessions, v1::DURABILITY_DURABLE);
  const std::vector<Case> cases = {
      {.name = "echo", .what = "the bare echo", .address = echo.address(), .kind = "ephemeral", .peak_calls = 256},
      {.name = "ephemeral", .what = "ephemeral", .address = server.address(), .kind = "ephemeral", .peak_calls = 256},
      {.name = "durable", .what = "durable", .address = server.address(), .kind = "durable", .peak_calls = 256},
      {.name = "works",
       .what = "ephemeral, steps that work",
       .address = server.address(),
       .kind = "works",
       .peak_calls = 16,
       .goal = 0.9},
      {.name = "works_durable",
       .what = "durable, steps that work",
       .address = server.address(),
       .kind = "works_durable",
       .peak_calls = 16,
       .goal = 0.9},
  };
  for (const Case& asked : cases) Measure(settings, asked, report);
}

}  // namespace corod::bench
