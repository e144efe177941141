// What one resume costs, without a server: a C++ coroutine against CPython's generator, each in a process of its own.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/catalog/builtin/builtin.h"
#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "tests/bench/comparison.h"
#include "tests/bench/failure.h"
#include "tests/bench/server_process.h"

namespace corod::bench {
namespace {

// The best of so many is what it costs; the others were disturbed.
constexpr int kRepeat = 5;

// The coroutine comes out of the catalog, so that its body is compiled elsewhere: each resume is an indirect call that
// the compiler cannot see through.
double NanosecondsOfResume(std::uint64_t times) {
  using Clock = std::chrono::steady_clock;
  Catalog catalog;
  builtin::AddAverager(catalog);
  Coroutine coroutine = catalog.Find("averager")->Make({});
  coroutine.Next();
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kRepeat; ++i) {
    double sum = 0;
    const Clock::time_point begin = Clock::now();
    for (std::uint64_t time = 0; time < times; ++time) {
      const Outcome outcome = coroutine.Send(Value(std::int64_t{7}));
      sum += outcome.value.AsNumber();
    }
    const std::chrono::duration<double, std::nano> took = Clock::now() - begin;
    if (sum != 7.0 * static_cast<double>(times)) throw Failure("the averager's average is wrong");
    best = std::min(best, took.count() / static_cast<double>(times));
  }
  return best;
}

constexpr char kScript[] = R"python(
import timeit
def averager():
    total = 0.0
    n = 0
    while True:
        x = yield (total / n if n else None)
        total += x
        n += 1
g = averager()
next(g)
times = %TIMES%
print(min(timeit.repeat("send(7)", repeat=%REPEAT%, number=times, globals={"send": g.send})) / times * 1e9)
)python";

double NanosecondsOfSend(const std::string& python, std::uint64_t times) {
  const std::string script =
      absl::StrReplaceAll(kScript, {{"%TIMES%", absl::StrCat(times)}, {"%REPEAT%", absl::StrCat(kRepeat)}});
  const std::string printed = OutputOf({python, "-c", script});
  double nanoseconds = 0;
  if (!absl::SimpleAtod(printed, &nanoseconds)) throw Failure(python + " printed " + printed);
  return nanoseconds;
}

}  // namespace

void CompareResume(const Settings& settings, Report& report) {
  const std::uint64_t times = settings.quick ? 10'000 : 2'000'000;
  Contestant resume{.name = "resume", .what = "corod", .run = [times] { return NanosecondsOfResume(times); }};
  Contestant send{.name = "resume_cpython", .what = "CPython", .run = [&settings, times] {
                    return NanosecondsOfSend(settings.python, times);
                  }};
  TakeTurns(settings.rounds, {&resume, &send});
  report.Add({.name = "resume_to_cpython",
              .what = "averager resume in one process: how many times faster than CPython's send",
              .rounds = Ratios(send, resume),
              .goal = Goal{Goal::Is::kAtLeast, 8}});
  report.Add({.name = "resume",
              .what = "averager resume, value in and value out",
              .unit = "ns",
              .rounds = resume.rounds,
              .goal = Goal{Goal::Is::kAtMost, 10}});
  report.Add({.name = send.name, .what = "  CPython's bound send", .unit = "ns", .rounds = send.rounds});
}

}  // namespace corod::bench
