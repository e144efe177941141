#include "server/lua/resumption.h"

#include <concepts>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace corod::lua {
namespace {

// What of a lua_State stands for the calls that are in it, which nothing in Lua's interface tells (5.4; checked by
// KnowsYields). Lua leaves both as they were when a yield comes out of it.
constexpr std::size_t kHandlerAt = 88;  // std::uintptr_t: of what is raised
constexpr std::size_t kCallsAt = 176;   // std::uint32_t: nested calls of C; in its upper half those across which
constexpr std::uint32_t kCallsThatCannotYield = 0x10000;  // nothing can yield, counted by these

template <std::unsigned_integral T>
T Read(lua_State* state, std::size_t at) {
  T value = 0;
  std::memcpy(&value, reinterpret_cast<const char*>(state) + at, sizeof(T));
  return value;
}

template <std::unsigned_integral T>
void Write(lua_State* state, std::size_t at, T value) {
  std::memcpy(reinterpret_cast<char*>(state) + at, &value, sizeof(T));
}

// What is run by a ResumeState.
struct Resumption {
  Resumption(lua_State* state, Resumption* outer) : state(state), outer(outer) {}

  lua_State* state;
  Resumption* outer;
  lua_State* yields = nullptr;  // Lua is about to raise what stands for a yield of this one
  int results = 0;              // of the yield
  std::jmp_buf way_out;
};

thread_local Resumption* innermost = nullptr;

}  // namespace

int ResumeState(lua_State* state, lua_State* from, int arguments, int* results) {
  Resumption here{state, innermost};
  innermost = &here;
  int status = LUA_YIELD;
  if (_setjmp(here.way_out) == 0) {
    status = lua_resume(state, from, arguments, results);
  } else {
    Write<std::uintptr_t>(state, kHandlerAt, 0);
    Write<std::uint32_t>(state, kCallsAt, (from ? Read<std::uint32_t>(from, kCallsAt) % kCallsThatCannotYield : 0) + 1);
    *results = here.results;
  }
  innermost = here.outer;
  return status;
}

void YieldState(lua_State* state, int results, lua_KFunction continuation) {
  if (innermost && innermost->state == state) {
    innermost->yields = state;
    innermost->results = results;
  }
  lua_yieldk(state, results, 0, continuation);
  std::abort();
}

namespace {

constexpr int kAnswer = 42;

// What a function finds while Lua runs it, and what Lua leaves when it has yielded.
struct Seen {
  bool jumps;  // how it is to yield
  std::uintptr_t frame = 0;
  std::uintptr_t handler = 0;
  std::uint32_t calls = 0;
  std::uint32_t calls_in_call = 0;
};

int CountCalls(lua_State* state) {
  static_cast<Seen*>(lua_touserdata(state, 1))->calls_in_call = Read<std::uint32_t>(state, kCallsAt);
  return 0;
}

int Answer(lua_State* state, int /*status*/, lua_KContext /*context*/) {
  lua_pushinteger(state, kAnswer);
  return 1;
}

int SeeAndYield(lua_State* state) {
  Seen& seen = *static_cast<Seen*>(lua_touserdata(state, 1));
  seen.frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  seen.handler = Read<std::uintptr_t>(state, kHandlerAt);
  seen.calls = Read<std::uint32_t>(state, kCallsAt);
  lua_pushcfunction(state, &CountCalls);
  lua_pushvalue(state, 1);
  lua_call(state, 1, 0);
  if (seen.jumps) YieldState(state, 1, &Answer);
  return lua_yieldk(state, 1, 0, &Answer);
}

// Whether all is where it is expected; and what is left after the yield.
bool Try(lua_State* state, Seen& seen, std::uintptr_t* handler, std::uint32_t* calls) {
  lua_State* thread = lua_newthread(state);
  lua_pushcfunction(thread, &SeeAndYield);
  lua_pushlightuserdata(thread, &seen);
  int results = 0;
  bool right = ResumeState(thread, state, 1, &results) == LUA_YIELD && results == 1;
  right = right && lua_touserdata(thread, -1) == &seen;
  *handler = Read<std::uintptr_t>(thread, kHandlerAt);
  *calls = Read<std::uint32_t>(thread, kCallsAt);
  lua_pop(thread, 1);
  right = right && ResumeState(thread, state, 0, &results) == LUA_OK && results == 1;
  right = right && lua_tointeger(thread, -1) == kAnswer;
  lua_pop(state, 1);
  return right && seen.handler > seen.frame &&
         seen.handler < reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) &&
         seen.calls_in_call == seen.calls + kCallsThatCannotYield + 1;
}

}  // namespace

bool KnowsYields(lua_State* state) {
  Seen thrown{.jumps = false};
  Seen jumped{.jumps = true};
  std::uintptr_t handlers[2];
  std::uint32_t calls[2];
  return Try(state, thrown, &handlers[0], &calls[0]) && Try(state, jumped, &handlers[1], &calls[1]) &&
         handlers[0] == handlers[1] && calls[0] == calls[1];
}

}  // namespace corod::lua

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names.
void* __real___cxa_allocate_exception(std::size_t size) noexcept;

// Lua makes an exception (the compiler calls this) when it has noted that the state yields.
void* __wrap___cxa_allocate_exception(std::size_t size) noexcept {
  using corod::lua::innermost;
  if (innermost && innermost->yields) {
    lua_State* state = innermost->yields;
    innermost->yields = nullptr;
    if (lua_status(state) == LUA_YIELD) _longjmp(innermost->way_out, 1);
  }
  return __real___cxa_allocate_exception(size);
}
// NOLINTEND(bugprone-reserved-identifier)

}  // extern "C"
