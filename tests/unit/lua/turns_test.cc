// A step that takes long lets other sessions of its universe run, also within one call of a library function.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/step_context.h"
#include "server/lua/lua_api.h"
#include "server/lua/scripts.h"

namespace corod::lua {
namespace {

// Used within steps alone, so that no step is counted outside of it.
std::int64_t counted = 0;

int Count(lua_State* /*state*/) {
  ++counted;
  return 0;
}

int PushCounted(lua_State* state) {
  lua_pushinteger(state, counted);
  return 1;
}

int AddCounting(lua_State* state) {
  lua_pushcfunction(state, &Count);
  lua_setfield(state, 1, "count");
  lua_pushcfunction(state, &PushCounted);
  lua_setfield(state, 1, "counted");
  return 0;
}

class TurnsTest : public testing::Test {
 protected:
  Coroutine Create(const std::string& source) {
    auto defined = scripts_.Define("script", 1, source, "");
    if (const auto* wrong = std::get_if<std::string>(&defined)) {
      ADD_FAILURE() << *wrong;
      return {};
    }
    return std::get<Definition>(defined).Make({});
  }

  static Value Next(Coroutine& coroutine) {
    static std::atomic<std::uint64_t> step{0};
    const StepScope scope({.time = {}, .seed = 7, .step = ++step});
    const Outcome outcome = coroutine.Next();
    EXPECT_EQ(outcome.kind, Outcome::Kind::kYielded);
    return outcome.value;
  }

  // Whether others take steps within a step that does `what`, having done `first`.
  bool LetsOthersThrough(const std::string& first, const std::string& what) {
    Coroutine busy = Create("return function() " + first + " while true do local before = counted() " + what +
                            " yield(counted() - before) end end");
    Coroutine other = Create("return function() while true do count() yield(1) end end");
    std::atomic<bool> stopped = false;
    std::thread others([&] {
      while (!stopped) Next(other);
    });
    bool found = false;
    // At times the other thread has no processor.
    for (int i = 0; i < kAttempts && !found; ++i) found = Next(busy).AsInteger() > 0;
    stopped = true;
    others.join();
    return found;
  }

  static constexpr int kAttempts = 1'000;

  Catalog catalog_;
  Scripts scripts_{catalog_, Scripts::kUnbounded, 1, &AddCounting};
};

TEST_F(TurnsTest, Loops) { EXPECT_TRUE(LetsOthersThrough("", "for _ = 1, 100000 do end")); }

TEST_F(TurnsTest, Patterns) {
  EXPECT_TRUE(
      LetsOthersThrough("local text, pattern = ('a'):rep(100), '^' .. ('a*'):rep(3) .. 'b'", "text:find(pattern)"));
}

TEST_F(TurnsTest, Sorting) {
  EXPECT_TRUE(LetsOthersThrough("local t = {} for i = 1, 50000 do t[i] = i end", "table.sort(t)"));
}

TEST_F(TurnsTest, MovingAndJoining) {
  const std::string table = "local t = {} for i = 1, 50000 do t[i] = 7 end";
  EXPECT_TRUE(LetsOthersThrough(table, "table.move(t, 2, #t, 1)"));
  EXPECT_TRUE(LetsOthersThrough(table, "table.insert(t, 1, table.remove(t, 1))"));
  EXPECT_TRUE(LetsOthersThrough(table, "table.concat(t)"));
}

TEST_F(TurnsTest, Utf8) {
  EXPECT_TRUE(LetsOthersThrough("local text = ('\\u{e4}'):rep(100000)", "utf8.len(text)"));
  EXPECT_TRUE(LetsOthersThrough("local text = ('\\u{e4}'):rep(100000)", "utf8.offset(text, 99999)"));
}

}  // namespace
}  // namespace corod::lua
