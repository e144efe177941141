#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tests/simulation/schedule.h"

// simulation_test [--schedules N] [--first SEED]   runs N schedules; exits with 1 at the first that is wrong
//                 --seed S [--fault NAME]          runs one and prints what happened
//                 --finds-faults                   runs with each fault; exits with 1 if one is not found
// The faults of the session layer are in simulation_with_faults_test alone.
namespace corod {
namespace {

struct NamedFault {
  Fault fault;
  const char* name;
};
constexpr NamedFault kFaults[] = {
    {Fault::kReportsEarly, "reports-early"},
    {Fault::kForgetsIds, "forgets-ids"},
    {Fault::kRepeats, "repeats"},
    {Fault::kTrimsTooFar, "trims-too-far"},
#ifdef COROD_PLANT_FAULTS
    {Fault::kAnswersBeforeAppend, "answers-before-append"},
    {Fault::kLosesRequestIds, "loses-request-ids"},
    {Fault::kAppendsTwice, "appends-twice"},
    {Fault::kTakesNewestVersion, "takes-newest-version"},
    {Fault::kLooksUpAnew, "looks-up-anew"},
#endif
};
// A fault must be found within so many schedules.
constexpr std::uint64_t kMaxSchedulesForFault = 20'000;

void Print(std::uint64_t seed, const Verdict& verdict) {
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), verdict.ok() ? "OK" : "WRONG");
  if (!verdict.logs.empty()) std::printf("  beside the logs: %s\n", verdict.logs.c_str());
  if (!verdict.clients.empty()) std::printf("  what clients saw: %s\n", verdict.clients.c_str());
}

// Whether it is right.
bool Tell(std::uint64_t seed, Fault fault, Ends ends) {
  Totals totals;
  std::vector<std::string> trace;
  const Verdict verdict = RunSchedule(seed, fault, ends, totals, &trace);
  for (const std::string& line : trace) std::printf("%s\n", line.c_str());
  Print(seed, verdict);
  return verdict.ok();
}

int RunMany(std::uint64_t first, std::uint64_t schedules, bool goes_on) {
  const auto begin = std::chrono::steady_clock::now();
  Totals totals;
  int failures = 0;
  for (std::uint64_t seed = first; seed < first + schedules; ++seed) {
    const Verdict verdict = RunSchedule(seed, Fault::kNone, Ends::kAtOnce, totals, nullptr);
    if (verdict.ok()) continue;
    ++failures;
    if (goes_on) {
      Print(seed, verdict);
      continue;
    }
    Tell(seed, Fault::kNone, Ends::kAtOnce);
    return 1;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  const auto number = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
  std::printf(
      "%llu schedules (%llu with scripts), %d wrong: %llu commands in %llu attempts, %llu answered (%llu of them "
      "again), %llu refused, "
      "%llu steps of %llu sessions, %llu crashes, %llu asked again at the end; %.1f s\n",
      number(totals.schedules), number(totals.scripted), failures, number(totals.commands), number(totals.attempts),
      number(totals.answered), number(totals.replayed), number(totals.refused), number(totals.steps),
      number(totals.lives), number(totals.crashes), number(totals.asked_again), seconds.count());
  return failures > 0 ? 1 : 0;
}

// Each fault must be found beside the logs, and by what clients saw alone.
int FindFaults() {
  bool all = true;
  for (const NamedFault& fault : kFaults) {
    Totals totals;
    std::uint64_t logs = 0;
    std::uint64_t clients = 0;
    for (std::uint64_t seed = 1; seed <= kMaxSchedulesForFault && (logs == 0 || clients == 0); ++seed) {
      const Verdict verdict = RunSchedule(seed, fault.fault, Ends::kWithClients, totals, nullptr);
      const auto look = [&](std::uint64_t& found, const char* how, const std::string& what) {
        if (found != 0 || what.empty()) return;
        found = seed;
        std::printf("%s: found %s by schedule %llu: %s\n", fault.name, how, static_cast<unsigned long long>(seed),
                    what.c_str());
      };
      look(logs, "beside the logs", verdict.logs);
      look(clients, "by what clients saw", verdict.clients);
    }
    if (logs != 0 && clients != 0) continue;
    all = false;
    std::printf("%s: NOT found %s in %llu schedules\n", fault.name,
                logs == 0 ? "beside the logs" : "by what clients saw",
                static_cast<unsigned long long>(kMaxSchedulesForFault));
  }
  return all ? 0 : 1;
}

int Main(int argc, char** argv) {
  std::uint64_t schedules = 1'000;
  std::uint64_t first = 1;
  std::uint64_t seed = 0;
  bool goes_on = false;
  Fault fault = Fault::kNone;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--finds-faults") return FindFaults();
    if (flag == "--goes-on") {
      goes_on = true;
      continue;
    }
    if (i + 1 == argc) {
      std::printf("%s wants a value\n", argv[i]);
      return 2;
    }
    const char* value = argv[++i];
    if (flag == "--schedules") {
      schedules = std::strtoull(value, nullptr, 10);
    } else if (flag == "--first") {
      first = std::strtoull(value, nullptr, 10);
    } else if (flag == "--seed") {
      seed = std::strtoull(value, nullptr, 10);
    } else if (flag == "--fault") {
      for (const NamedFault& named : kFaults) {
        if (std::string_view(named.name) == value) fault = named.fault;
      }
    }
  }
  if (seed == 0) return RunMany(first, schedules, goes_on);
  return Tell(seed, fault, fault == Fault::kNone ? Ends::kAtOnce : Ends::kWithClients) ? 0 : 1;
}

}  // namespace
}  // namespace corod

int main(int argc, char** argv) { return corod::Main(argc, argv); }
