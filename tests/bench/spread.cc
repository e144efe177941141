// What it costs to go to many sessions, and to one.
#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/bench/comparison.h"
#include "tests/bench/load.h"

namespace corod::bench {
namespace {

constexpr std::uint64_t kFew = 1'000;
constexpr std::size_t kBatch = 100;

}  // namespace

void CompareSpread(const Settings& settings, Report& report) {
  TemporaryDirectory directory(settings.directory);
  const std::uint64_t many = settings.sessions;
  ServerProcess server(CorodCommand(settings, directory.NewPath("data"),
                                    {"--max-sessions", absl::StrCat(2 * (many + kFew)), "--idle-timeout", "0"}),
                       directory.NewPath("log"));
  const auto channel = Connect(server.address());
  const auto drive = [&](const std::string& kind, std::uint64_t sessions) {
    CreateAveragers(channel, kind, sessions, v1::DURABILITY_EPHEMERAL);
    return DriveBy(kBatch, channel, kind, sessions, many);
  };
  const auto few = drive("few", kFew);
  CompareRates(settings, report,
               {.name = "drive100_one_to_few",
                .what = absl::StrFormat("Drive by %d: to one session against over %d", kBatch, kFew),
                .goal = Goal{Goal::Is::kAtLeast, 0.8}},
               AsFastAsItCan("drive100_one", "to one", drive("one", 1), settings),
               AsFastAsItCan("drive100_few_beside_one", absl::StrFormat("over %d", kFew), few, settings));
  Tell(absl::StrCat("spread: making ", many, " sessions"));
  CompareRates(
      settings, report,
      {.name = "drive100_many_to_few",
       .what = absl::StrFormat("Drive by %d: over %d live sessions at random against over %d", kBatch, many, kFew),
       .goal = Goal{Goal::Is::kAtLeast, 0.6}},
      AsFastAsItCan("drive100_many", absl::StrFormat("over %d", many), drive("many", many), settings),
      AsFastAsItCan("drive100_few", absl::StrFormat("over %d", kFew), few, settings));
}

}  // namespace corod::bench
