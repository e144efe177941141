// What a step of a script costs, without a server.
#include "tests/bench/lua.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/lua/scripts.h"
#include "tests/bench/failure.h"

namespace corod::bench {

double LuaStepsASecond(int rounds) {
  using Clock = std::chrono::steady_clock;
  constexpr int kSessions = 1'000;
  Catalog catalog;
  lua::Scripts scripts(catalog);
  std::variant<Definition, std::string> defined = scripts.Define("averager", 1, kLuaAveragerSource, "");
  if (const auto* wrong = std::get_if<std::string>(&defined)) throw Failure(*wrong);
  const Definition& definition = std::get<Definition>(defined);
  std::vector<Coroutine> sessions;
  for (int i = 0; i < kSessions; ++i) {
    sessions.push_back(definition.Make({}));
    sessions.back().Next();
  }
  double sum = 0;
  const Clock::time_point begin = Clock::now();
  for (int round = 0; round < rounds; ++round) {
    for (Coroutine& session : sessions) sum += session.Send(Value(std::int64_t{7})).value.AsNumber();
  }
  const std::chrono::duration<double> took = Clock::now() - begin;
  const double steps = static_cast<double>(rounds) * kSessions;
  if (sum != 7 * steps) throw Failure("the averager's average is wrong");
  return steps / took.count();
}

}  // namespace corod::bench
