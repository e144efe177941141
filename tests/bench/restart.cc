// What a client that tries again notices when the server is stopped in order and started on the same data.
#include <grpcpp/channel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "server/base/mutex.h"
#include "tests/bench/comparison.h"
#include "tests/bench/failure.h"
#include "tests/bench/load.h"
#include "tests/bench/memory.h"

namespace corod::bench {
namespace {

constexpr char kKind[] = "restart";
constexpr std::uint64_t kThreads = 8;
constexpr std::uint64_t kSessionsEach = 25;
constexpr int kRestarts = 5;

// What the users have seen since they were last asked.
struct Seen {
  std::uint64_t answers = 0;
  std::uint64_t errors = 0;
  std::uint64_t wrong_steps = 0;  // a step that was lost or happened twice
  absl::Duration longest_call = {};
  absl::Duration longest_silence = {};  // in which nobody had an answer
  std::string first;                    // error or wrong step
};

// Threads that share a Client and send to durable averagers without pause, while this exists. Each session has one
// thread, which knows which step comes next.
class Users {
 public:
  // REQUIRES: there are kThreads * kSessionsEach primed sessions.
  explicit Users(client::Client client) : client_(std::move(client)) {
    for (std::uint64_t i = 0; i < kThreads; ++i) threads_.emplace_back([this, i] { Run(i * kSessionsEach); });
  }
  ~Users() {
    stopped_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Users(const Users&) = delete;
  Users& operator=(const Users&) = delete;

  Seen Take() {
    const MutexLock lock(mutex_);
    return std::exchange(seen_, {});
  }
  std::uint64_t answers() const {
    const MutexLock lock(mutex_);
    return seen_.answers;
  }

 private:
  void Run(std::uint64_t first) {
    std::vector<std::uint64_t> steps(kSessionsEach, 1);  // that each session has
    for (std::uint64_t i = 0; !stopped_; i = (i + 1) % kSessionsEach) {
      v1::SendRequest request;
      request.set_session_id(SessionId(kKind, first + i));
      // The number of the Send, so that the average of all is half of one more, if each was added once.
      request.mutable_value()->set_integer(static_cast<std::int64_t>(steps[i]));
      const absl::Time began = absl::Now();
      const absl::StatusOr<v1::SendResponse> response = client_.connection()->Send(request);
      const absl::Time now = absl::Now();
      const std::uint64_t expected = steps[i] + 1;
      const double average = static_cast<double>(expected) / 2;
      const MutexLock lock(mutex_);
      ++seen_.answers;
      seen_.longest_call = std::max(seen_.longest_call, now - began);
      if (!response.ok()) {
        ++seen_.errors;
        Say(absl::StrCat("a Send failed: ", response.status().ToString()));
        continue;
      }
      seen_.longest_silence = std::max(seen_.longest_silence, now - std::exchange(last_answer_, now));
      steps[i] = response->outcome().step();
      if (response->outcome().step() == expected && response->outcome().yielded().number() == average) continue;
      ++seen_.wrong_steps;
      Say(absl::StrCat("a Send was answered with ", response->outcome().ShortDebugString(), " where step ", expected,
                       " and ", average, " were due"));
    }
  }

  void Say(std::string what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (seen_.first.empty()) seen_.first = std::move(what);
  }

  client::Client client_;
  std::atomic<bool> stopped_ = false;
  mutable Mutex mutex_;
  Seen seen_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_answer_ ABSL_GUARDED_BY(mutex_) = absl::Now();
  std::vector<std::thread> threads_;
};

}  // namespace

void MeasureRestart(const Settings& settings, Report& report) {
  TemporaryDirectory directory(settings.directory);
  std::vector<std::string> command = CorodCommand(settings, directory.NewPath("data"), {});
  auto server = std::make_unique<ServerProcess>(command, directory.NewPath("log"));
  // From now on where the client knows it to be.
  *std::find(command.begin(), command.end(), "127.0.0.1:0") = server->address();
  CreateAveragers(Connect(server->address()), kKind, kThreads * kSessionsEach, v1::DURABILITY_DURABLE);
  absl::StatusOr<client::Client> client = client::Client::Connect(server->address());
  if (!client.ok()) throw Failure(client.status().ToString());

  std::vector<double> errors, wrong_steps, answers, longest_call, longest_silence, drain, start;
  {
    Users users(*std::move(client));
    for (int i = 0; i < (settings.quick ? 2 : kRestarts); ++i) {
      absl::SleepFor(settings.turn / 2);
      absl::Time began = absl::Now();
      server->Stop();
      drain.push_back(absl::ToDoubleSeconds(absl::Now() - began));
      began = absl::Now();
      server = std::make_unique<ServerProcess>(command, directory.NewPath("log"));
      start.push_back(absl::ToDoubleSeconds(absl::Now() - began));
      // Whoever waits before he tries again has done so.
      const std::uint64_t before = users.answers();
      Await("the users are served again", [&] { return users.answers() >= before + 10 * kThreads; });
      absl::SleepFor(settings.turn / 2);
      const Seen seen = users.Take();
      answers.push_back(static_cast<double>(seen.answers));
      errors.push_back(static_cast<double>(seen.errors));
      wrong_steps.push_back(static_cast<double>(seen.wrong_steps));
      longest_call.push_back(absl::ToDoubleSeconds(seen.longest_call));
      longest_silence.push_back(absl::ToDoubleSeconds(seen.longest_silence));
      if (!seen.first.empty()) report.Note(absl::StrFormat("restart %d: %s", i + 1, seen.first));
    }
  }
  const auto highest = [](const std::vector<double>& rounds) {
    return *std::max_element(rounds.begin(), rounds.end());
  };
  report.Add({.name = "restart_errors",
              .what = absl::StrFormat("errors of %d threads that send to durable sessions through a restart", kThreads),
              .unit = "errors",
              .rounds = errors,
              .goal = Goal{Goal::Is::kAtMost, 0},
              .overall = highest(errors)});
  report.Add({.name = "restart_wrong_steps",
              .what = "  steps that were lost or happened twice",
              .unit = "steps",
              .rounds = wrong_steps,
              .goal = Goal{Goal::Is::kAtMost, 0},
              .overall = highest(wrong_steps)});
  report.Add({.name = "restart_answers", .what = "  answers", .unit = "answers", .rounds = answers});
  report.Add(
      {.name = "restart_silence", .what = "  longest time without an answer", .unit = "s", .rounds = longest_silence});
  report.Add({.name = "restart_longest_call", .what = "  longest call", .unit = "s", .rounds = longest_call});
  report.Add({.name = "restart_drain", .what = "  SIGTERM to the end of the process", .unit = "s", .rounds = drain});
  report.Add({.name = "restart_start", .what = "  start to ready", .unit = "s", .rounds = start});
}

}  // namespace corod::bench
