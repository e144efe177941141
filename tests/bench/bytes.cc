// What a live session holds in memory.
#include <grpcpp/channel.h>
#include <signal.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/bench/comparison.h"
#include "tests/bench/failure.h"
#include "tests/bench/load.h"
#include "tests/bench/lua.h"
#include "tests/bench/memory.h"

namespace corod::bench {
namespace {

// Made before the first that counts, so that what the server needs once is there.
constexpr std::uint64_t kWarmUp = 1'000;

constexpr const char* kLuaAverager = "lua_averager";

// Makes and primes `count` sessions, and sends each a value.
void Make(const std::shared_ptr<grpc::Channel>& channel, const std::string& coroutine, const std::string& kind,
          std::uint64_t count, v1::Durability durability, bool request_ids) {
  Drive(channel, count, [&](std::uint64_t number, v1::Command& command) {
    v1::CreateRequest& create = *command.mutable_create();
    create.set_coroutine(coroutine);
    create.set_session_id(SessionId(kind, number));
    create.set_prime(true);
    create.set_durability(durability);
    if (request_ids) create.set_request_id(SessionId(kind + " create", number));
  });
  Drive(channel, count, [&](std::uint64_t number, v1::Command& command) {
    command.set_session_id(SessionId(kind, number));
    command.mutable_send()->set_integer(7);
    if (request_ids) command.set_request_id(SessionId(kind + " send", number));
  });
}

// What the journal held when the server was told to end; the server does not live to put its sessions to sleep.
double EndAndAskWhatRocksDbHeld(ServerProcess& server) {
  server.Signal(SIGTERM);
  std::optional<double> memtables, cache;
  Await("the server says what RocksDB holds", [&] {
    const std::string log = server.log();
    memtables = NumberBehind(log, " memtables=");
    cache = NumberBehind(log, " block_cache=");
    return memtables && cache;
  });
  server.Kill();
  return *memtables + *cache;
}

// Bytes that each of `sessions` added to what is resident.
double BytesEach(const Settings& settings, const std::string& coroutine, v1::Durability durability, bool request_ids) {
  TemporaryDirectory directory(settings.directory);
  const std::uint64_t count = settings.sessions;
  const std::string many = absl::StrCat(2 * (count + kWarmUp));
  const std::string data = directory.NewPath("data");
  ServerProcess server(
      GivingBackSoon(CorodCommand(
          settings, data,
          {"--max-sessions", many, "--max-live-sessions", many, "--idle-timeout", "0", "--durable-idle-timeout", "0",
           "--passivate-after", "0", "--sync", "never", "--log-level", "debug"})),
      directory.NewPath("log"));
  const auto channel = Connect(server.address());
  // No more than these: what RocksDB has of them is not set aside.
  if (coroutine == kLuaAverager) DefineScript(channel, kLuaAverager, kLuaAveragerSource);
  Make(channel, coroutine, "first", kWarmUp, durability, request_ids);
  const std::uint64_t before = SettledMemory(server).resident;
  Make(channel, coroutine, "counted", count, durability, request_ids);
  const std::uint64_t after = SettledMemory(server).resident;
  const double aside = durability == v1::DURABILITY_DURABLE ? EndAndAskWhatRocksDbHeld(server) : 0;
  return (static_cast<double>(after) - static_cast<double>(before) - aside) / static_cast<double>(count);
}

}  // namespace

void MeasureBytes(const Settings& settings, Report& report) {
  struct Kind {
    std::string name, what;
    v1::Durability durability;
    double goal;
  };
  const std::vector<Kind> kinds = {
      {"ephemeral", "ephemeral", v1::DURABILITY_EPHEMERAL, 256},
      {"durable", "durable, RocksDB's memtables and block cache aside", v1::DURABILITY_DURABLE, 320}};
  for (const Kind& kind : kinds) {
    Tell(absl::StrCat("bytes: making ", settings.sessions, " ", kind.name, " sessions, twice"));
    const double plain = BytesEach(settings, "averager", kind.durability, false);
    const double with_ids = BytesEach(settings, "averager", kind.durability, true);
    report.Add({.name = "bytes_" + kind.name,
                .what = absl::StrFormat("memory of a live session, of %d: %s", settings.sessions, kind.what),
                .unit = "bytes",
                .rounds = {plain},
                .goal = Goal{Goal::Is::kAtMost, kind.goal}});
    report.Add({.name = "bytes_request_ids_" + kind.name,
                .what = "  what a request id with each of its two commands adds",
                .unit = "bytes",
                .rounds = {with_ids - plain},
                .goal = Goal{Goal::Is::kAtMost, 64}});
  }
}

void MeasureLua(const Settings& settings, Report& report) {
  Contestant steps{.name = "lua_steps", .what = "corod", .run = [&settings] {
                     return LuaStepsASecond(settings.quick ? 10 : 1'000);
                   }};
  TakeTurns(settings.rounds, {&steps});
  report.Add({.name = steps.name,
              .what = "steps of a Lua averager over 1,000 sessions, in one thread without a server",
              .unit = "/s",
              .rounds = steps.rounds,
              .goal = Goal{Goal::Is::kAtLeast, 2e6}});
  Tell(absl::StrCat("lua: making ", settings.sessions, " sessions of a Lua averager"));
  report.Add({.name = "lua_bytes",
              .what = absl::StrFormat("memory of a live session of a Lua averager, of %d", settings.sessions),
              .unit = "bytes",
              .rounds = {BytesEach(settings, kLuaAverager, v1::DURABILITY_EPHEMERAL, false)},
              .goal = Goal{Goal::Is::kAtMost, 2'000}});
}

}  // namespace corod::bench
