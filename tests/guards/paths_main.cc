// Goes each path, and prints what that takes: lines of a name in bounds.txt and a figure.
//
// Usage: corod_guard_paths       counts allocations and appends a step, messages each time
//        valgrind --tool=callgrind --instr-atstart=no corod_guard_paths --instructions
//                                prints how many steps each path took; the instructions stand in callgrind's files
#include <valgrind/callgrind.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "tests/guards/counts.h"
#include "tests/guards/path.h"

namespace corod::guards {
namespace {

// A simulated step takes as long as many others.
constexpr int kSimulatedPart = 4;

void Print(const char* what, const NamedPath& path, std::uint64_t count, int of) {
  std::printf("%s/%s %.6f\n", what, path.name.c_str(), static_cast<double>(count) / of);
}

void CountOn(const NamedPath& named) {
  using Has = NamedPath::Has;
  const std::unique_ptr<Path> path = named.make();
  path->Go(named.times);  // what is kept from step to step has its size then
  const Path::Counts before = path->counts();
  const std::uint64_t allocations_before = CountOf(Counted::kAllocations);
  path->Go(named.times);
  const std::uint64_t allocations = CountOf(Counted::kAllocations) - allocations_before;
  const Path::Counts after = path->counts();
  Print("allocations", named, allocations, named.times * named.steps);
  if (named.has == Has::kAppends || named.has == Has::kBoth) {
    Print("appends", named, after.appends - before.appends, named.times);
  }
  if (named.has == Has::kMessages || named.has == Has::kBoth) {
    Print("messages", named, after.messages - before.messages, named.times);
  }
}

void SimulateOn(const NamedPath& named) {
  const std::unique_ptr<Path> path = named.make();
  path->Go(named.times);
  const int times = named.times / kSimulatedPart;
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  path->Go(times);
  CALLGRIND_DUMP_STATS_AT(named.name.c_str());
  CALLGRIND_STOP_INSTRUMENTATION;
  std::printf("%s %d\n", named.name.c_str(), times * named.steps);
}

int Main(bool instructions) {
  for (const std::vector<NamedPath>& paths : {SessionPaths(), RpcPaths()}) {
    for (const NamedPath& path : paths) {
      try {
        (instructions ? SimulateOn : CountOn)(path);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", path.name.c_str(), error.what());
        return 1;
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace corod::guards

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as the server does
  return corod::guards::Main(argc > 1 && std::string_view(argv[1]) == "--instructions");
}
