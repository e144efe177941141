// The benchmark: starts what it needs, lets what is compared take turns, prints a table and JSON.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/bench/comparison.h"
#include "tests/bench/failure.h"

namespace corod::bench {
namespace {

const Comparison kComparisons[] = {
    {"send", "unary Send against a bare echo", &CompareSendWithEcho},
    {"drive", "Drive against a bare echo", &CompareDriveWithEcho},
    {"latency", "unary Send at half of the highest load against a bare echo", &CompareLatencyWithEcho},
    {"redis", "Drive against Redis with a Lua script", &CompareWithRedis},
    {"durable", "unary Sends to durable sessions against ephemeral ones", &CompareDurable},
    {"spread", "Drive to one session, to a thousand and to a million", &CompareSpread},
    {"python", "unary Send against a Python server around generators", &CompareWithPython},
    {"resume", "a coroutine's resume against CPython's send, without a server", &CompareResume},
    {"lua", "coroutines written in Lua: steps a second, memory", &MeasureLua},
    {"looping", "unary Sends while scripts loop", &MeasureBesideLoops},
    {"bytes", "what each of a million live sessions holds in memory", &MeasureBytes},
    {"cold", "the first Send to a session that has to be run again from its log", &MeasureColdSessions},
    {"many", "a million durable sessions: memory when they sleep, time to start", &MeasureManySessions},
    {"overload", "twice as many unary Sends as the server can answer", &MeasureOverload},
    {"restart", "what a client with retries notices of a server that is stopped and started", &MeasureRestart},
};

// What --quick leaves of a run.
void Shrink(Settings& settings) {
  settings.rounds = 2;
  settings.turn = absl::Milliseconds(100);
  settings.sessions = 2'000;
  settings.records = 20;
}

// What stands beside this program.
std::string Beside(const char* name) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? name : self.parent_path() / name;
}

// A program of $PATH; empty: there is none.
std::string Found(const std::string& name) {
  const char* path = std::getenv("PATH");
  for (const absl::string_view directory : absl::StrSplit(path ? path : "", ':', absl::SkipEmpty())) {
    std::string file = absl::StrCat(directory, "/", name);
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return "";
}

// From here on a signal that ends the benchmark ends its servers too and removes its data.
void TakeSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    ServerProcess::EndAll(128 + signal);
  }).detach();
}

int Main(int argc, char** argv) {
  Settings settings;
  std::vector<std::string> only, names;
  for (const Comparison& comparison : kComparisons) names.push_back(comparison.name);
  std::string json;
  double seconds = absl::ToDoubleSeconds(settings.turn);
  const char* tmp = std::getenv("TMPDIR");
  settings.directory = tmp && *tmp ? tmp : "/tmp";
  settings.echo = Beside("corod_bench_echo");
  settings.redis = Found("redis-server");
  settings.python = COROD_PYTHON;
  settings.python_server = COROD_PYTHON_SERVER;
  settings.python_stubs = COROD_PYTHON_STUBS;
  CLI::App app("Measures corod. Starts the servers it needs on ports of their own.", "bench");
  app.add_option("--corod", settings.corod, "The server to measure")->required()->check(CLI::ExistingFile);
  app.add_option("--only", only, "Only these: " + absl::StrJoin(names, ", "))->check(CLI::IsMember(names));
  app.add_option("--rounds", settings.rounds, "How often each is measured")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--seconds", seconds, "How long a load runs in each round")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 3600.0));
  app.add_option("--sessions", settings.sessions, "How many sessions there are where there are many")
      ->capture_default_str()
      ->check(CLI::Range(1'000, 1'000'000'000));
  app.add_option("--records", settings.records, "How many records a cold session has")
      ->capture_default_str()
      ->check(CLI::Range(2, 1'000'000));
  app.add_option("--redis", settings.redis, "The redis-server to compare with; empty: none")->capture_default_str();
  app.add_option("--directory", settings.directory, "Where the data are while it runs; $TMPDIR or /tmp")
      ->check(CLI::ExistingDirectory);
  app.add_option("--json", json, "A file for what was found");
  app.add_flag("--quick", settings.quick,
               "Only whether it works: so little of everything that no figure says anything");
  CLI11_PARSE(app, argc, argv);
  settings.turn = absl::Seconds(seconds);
  if (settings.quick) Shrink(settings);

  TakeSignals();
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as the server
  Report report;
  try {
    for (const Comparison& comparison : kComparisons) {
      if (!only.empty() && std::find(only.begin(), only.end(), comparison.name) == only.end()) continue;
      Tell(absl::StrCat(comparison.name, ": ", comparison.what));
      comparison.run(settings, report);
    }
  } catch (const Failure& failure) {
    std::fprintf(stderr, "bench: %s\n", failure.what());
    return 1;
  }
  std::fputs(report.Table().c_str(), stdout);
  if (!json.empty()) {
    std::ofstream file(json);
    file << report.Json({{"rounds", absl::StrCat(settings.rounds)},
                         {"seconds", absl::StrCat(absl::ToDoubleSeconds(settings.turn))},
                         {"sessions", absl::StrCat(settings.sessions)},
                         {"records", absl::StrCat(settings.records)},
                         {"cores", absl::StrCat(std::thread::hardware_concurrency())},
                         {"quick", settings.quick ? "yes" : "no"}});
    if (!file.flush()) {
      std::fprintf(stderr, "bench: %s cannot be written\n", json.c_str());
      return 1;
    }
  }
  return 0;
}

}  // namespace

std::vector<std::string> CorodCommand(const Settings& settings, const std::string& data,
                                      const std::vector<std::string>& flags) {
  std::vector<std::string> command = {settings.corod, "--listen", "127.0.0.1:0", "--data-dir", data};
  command.insert(command.end(), flags.begin(), flags.end());
  return command;
}

void Tell(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

}  // namespace corod::bench

int main(int argc, char** argv) { return corod::bench::Main(argc, argv); }
