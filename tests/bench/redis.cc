// corod against Redis with the averager as a Lua script.
#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "client/load/messages.h"
#include "tests/bench/comparison.h"
#include "tests/bench/load.h"
#include "tests/bench/redis_load.h"

namespace corod::bench {
namespace {

constexpr std::uint64_t kSessions = 1'000;
constexpr std::size_t kBatch = 100;

// One that answers from memory, and one whose every write is on the disk before it is answered.
struct Way {
  std::string kind, corod_what, redis_what;
  v1::Durability durability;
  std::vector<std::string> redis_flags;
  RedisLoad::Options options;
  double goal;
};

std::vector<std::string> RedisCommand(const Settings& settings, const std::string& directory, const std::string& socket,
                                      const std::vector<std::string>& flags) {
  std::vector<std::string> command = {settings.redis, "--port", "0", "--unixsocket", socket, "--dir",
                                      directory,      "--save", "",  "--daemonize",  "no"};
  command.insert(command.end(), flags.begin(), flags.end());
  return command;
}

void Compare(const Settings& settings, const Way& way, Report& report) {
  TemporaryDirectory directory(settings.directory);
  const ServerProcess corod(CorodCommand(settings, directory.NewPath("data"), {}), directory.NewPath("log"));
  const std::string socket = directory.NewPath("redis");
  const ServerProcess redis(RedisCommand(settings, directory.path(), socket, way.redis_flags), directory.NewPath("log"),
                            socket);
  const auto channel = Connect(corod.address());
  CreateAveragers(channel, way.kind, kSessions, way.durability);
  load::Deck deck(kSessions);
  std::vector<std::string> ids;
  for (std::uint64_t i = 0; i < kSessions; ++i) ids.push_back(SessionId(way.kind, deck.Next()));
  const auto redis_load = std::make_shared<RedisLoad>(socket, ids, way.options);
  CompareRates(settings, report,
               {.name = "drive100_" + way.kind + "_to_redis",
                .what = absl::StrFormat("Drive by %d over %d sessions, %s: to Redis with Lua pipelined by %d, %s",
                                        kBatch, kSessions, way.corod_what, kBatch, way.redis_what),
                .goal = Goal{Goal::Is::kAtLeast, way.goal}},
               AsFastAsItCan("drive100_" + way.kind, "Drive by 100, " + way.corod_what,
                             Drive({.batch = kBatch,
                                    .streams = static_cast<int>(way.options.connections),
                                    .outstanding = static_cast<int>(way.options.outstanding)},
                                   channel, way.kind, kSessions),
                             settings),
               {.name = "redis_" + way.kind, .what = "Redis, " + way.redis_what, .run = [&] {
                  return redis_load->Run(settings.turn);
                }});
}

}  // namespace

void CompareWithRedis(const Settings& settings, Report& report) {
  if (settings.redis.empty()) {
    report.Note("redis: skipped, there is no redis-server here (.ci/setup bench installs it)");
    return;
  }
  Compare(settings,
          {.kind = "ephemeral",
           .corod_what = "ephemeral",
           .redis_what = "in memory",
           .durability = v1::DURABILITY_EPHEMERAL,
           .redis_flags = {"--appendonly", "no"},
           .options = {.batch = kBatch, .connections = 1, .outstanding = 8},
           .goal = 6},
          report);
  Compare(settings,
          {.kind = "durable",
           .corod_what = "durable (--sync always)",
           .redis_what = "appendfsync always",
           .durability = v1::DURABILITY_DURABLE,
           .redis_flags = {"--appendonly", "yes", "--appendfsync", "always"},
           .options = {.batch = kBatch, .connections = 8, .outstanding = 8},
           .goal = 4},
          report);
}

}  // namespace corod::bench
