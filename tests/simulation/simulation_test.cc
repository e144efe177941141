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
//                 --finds-faults                   runs with faulty journals; exits with 1 if one is not found
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
};
// A fault must be found within so many schedules.
constexpr std::uint64_t kMaxSchedulesForFault = 20'000;

void Tell(std::uint64_t seed, Fault fault) {
  Totals totals;
  std::vector<std::string> trace;
  const std::string complaint = RunSchedule(seed, fault, totals, &trace);
  for (const std::string& line : trace) std::printf("%s\n", line.c_str());
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), complaint.empty() ? "OK" : complaint.c_str());
}

int RunMany(std::uint64_t first, std::uint64_t schedules, bool goes_on) {
  const auto begin = std::chrono::steady_clock::now();
  Totals totals;
  int failures = 0;
  for (std::uint64_t seed = first; seed < first + schedules; ++seed) {
    const std::string complaint = RunSchedule(seed, Fault::kNone, totals, nullptr);
    if (complaint.empty()) continue;
    ++failures;
    if (goes_on) {
      std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), complaint.c_str());
      continue;
    }
    Tell(seed, Fault::kNone);
    return 1;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  const auto number = [](std::uint64_t n) { return static_cast<unsigned long long>(n); };
  std::printf(
      "%llu schedules, %d wrong: %llu commands in %llu attempts, %llu answered (%llu of them again), %llu refused, "
      "%llu steps of %llu sessions, %llu crashes, %llu asked again at the end; %.1f s\n",
      number(totals.schedules), failures, number(totals.commands), number(totals.attempts), number(totals.answered),
      number(totals.replayed), number(totals.refused), number(totals.steps), number(totals.lives),
      number(totals.crashes), number(totals.asked_again), seconds.count());
  return failures > 0 ? 1 : 0;
}

int FindFaults() {
  bool all = true;
  for (const NamedFault& fault : kFaults) {
    Totals totals;
    std::string complaint;
    std::uint64_t seed = 0;
    while (complaint.empty() && seed < kMaxSchedulesForFault)
      complaint = RunSchedule(++seed, fault.fault, totals, nullptr);
    if (complaint.empty()) {
      std::printf("%s: NOT found in %llu schedules\n", fault.name, static_cast<unsigned long long>(seed));
      all = false;
    } else {
      std::printf("%s: found by schedule %llu: %s\n", fault.name, static_cast<unsigned long long>(seed),
                  complaint.c_str());
    }
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
  Totals totals;
  const std::string complaint = RunSchedule(seed, fault, totals, nullptr);
  Tell(seed, fault);
  return complaint.empty() ? 0 : 1;
}

}  // namespace
}  // namespace corod

int main(int argc, char** argv) { return corod::Main(argc, argv); }
