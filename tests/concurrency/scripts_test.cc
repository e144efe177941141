// Sessions of scripts that share a universe, stepped, made and dropped from many threads, while some of them run long.
#include "server/lua/scripts.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/step_context.h"

namespace corod::lua {
namespace {

TEST(ScriptsConcurrencyTest, SessionsOfOneUniverseRunFromManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kSessions = 60;
  constexpr std::int64_t kSteps = 30;
  Catalog catalog;
  Scripts scripts(catalog, Scripts::kUnbounded, 1);
  auto defined = scripts.Define("script", 1, R"(
    return function(long)
      local sum, said = 0, list()
      local inner = coroutine.wrap(function(v) while true do v = coroutine.yield(v) end end)
      while true do
        local ok, e = pcall(error, {type = "KeyError", message = "k"})
        sum = sum + inner(yield(sum))
        said[#said % 10 + 1] = bytes(e.message .. sum)
        if long then for i = 1, 10000 do said[i % 10 + 1] = tostring(i) end end
      end
    end)",
                                "");
  ASSERT_TRUE(std::holds_alternative<Definition>(defined)) << std::get<std::string>(defined);
  const Definition& definition = std::get<Definition>(defined);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&definition, i] {
      for (int j = 0; j < kSessions; ++j) {
        Coroutine session = definition.create({Value(j % 20 == i)}, 0);
        for (std::int64_t step = 1; step <= kSteps; ++step) {
          const StepScope scope({.time = {}, .seed = 7, .step = static_cast<std::uint64_t>(step)});
          const Outcome outcome = step == 1 ? session.Next() : session.Send(Value(step));
          ASSERT_EQ(outcome.kind, Outcome::Kind::kYielded);
          ASSERT_EQ(outcome.value, Value(step * (step + 1) / 2 - 1));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace corod::lua
