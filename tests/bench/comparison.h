#ifndef COROD_TESTS_BENCH_COMPARISON_H_
#define COROD_TESTS_BENCH_COMPARISON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/bench/report.h"
#include "tests/bench/server_process.h"

namespace corod::bench {

// How a run was asked for.
struct Settings {
  std::string corod;                                // the program
  std::string echo;                                 // the bare echo
  std::string redis;                                // the program; empty: there is none
  std::string python, python_server, python_stubs;  // the interpreter, the script and what it imports
  std::string directory;                            // where the data go
  int rounds = 5;
  absl::Duration turn = absl::Seconds(2);
  std::uint64_t sessions = 1'000'000;  // where there are many
  std::uint64_t records = 1'000;       // that a cold session has to replay
  bool quick = false;                  // only whether it works
};

// A comparison: starts the servers it needs, measures, and adds what it found to the report.
struct Comparison {
  const char* name;
  const char* what;
  void (*run)(const Settings& settings, Report& report);
};

void CompareSendWithEcho(const Settings& settings, Report& report);
void CompareDriveWithEcho(const Settings& settings, Report& report);
void CompareLatencyWithEcho(const Settings& settings, Report& report);
void CompareWithRedis(const Settings& settings, Report& report);
void CompareWithPython(const Settings& settings, Report& report);
void CompareDurable(const Settings& settings, Report& report);
void CompareSpread(const Settings& settings, Report& report);
void CompareResume(const Settings& settings, Report& report);
void MeasureLua(const Settings& settings, Report& report);
void MeasureBesideLoops(const Settings& settings, Report& report);
void MeasureBytes(const Settings& settings, Report& report);
void MeasureColdSessions(const Settings& settings, Report& report);
void MeasureManySessions(const Settings& settings, Report& report);
void MeasureOverload(const Settings& settings, Report& report);
void MeasureRestart(const Settings& settings, Report& report);

// The command that starts corod on a port of its own with its data in `data`.
std::vector<std::string> CorodCommand(const Settings& settings, const std::string& data,
                                      const std::vector<std::string>& flags);

// What goes on, on stderr.
void Tell(const std::string& text);

}  // namespace corod::bench

#endif  // COROD_TESTS_BENCH_COMPARISON_H_
