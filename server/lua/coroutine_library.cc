#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "server/coroutine/exception.h"
#include "server/lua/exceptions.h"
#include "server/lua/libraries.h"
#include "server/lua/meter.h"
#include "server/lua/resumption.h"
#include "server/lua/stack.h"
#include "server/lua/thread.h"

// Coroutines within a script. As Lua's, but that nothing in them keeps a step from being ended.
namespace corod::lua {
namespace {

constexpr std::size_t kThreadBytes = 1'024;
// Besides what it runs, which is counted by the thousand instructions of each coroutine.
constexpr std::uint64_t kInstructionsOfCreate = 500;
constexpr std::uint64_t kInstructionsOfResume = 100;
constexpr int kMaxClosing = 10;

lua_State* CoroutineAt(lua_State* state, int index) {
  lua_State* coroutine = lua_tothread(state, index);
  luaL_argexpected(state, coroutine, index, "coroutine");
  return coroutine;
}

enum class Status { kRunning, kDead, kSuspended, kNormal };
constexpr std::array<const char*, 4> kStatusNames = {"running", "dead", "suspended", "normal"};

Status StatusOf(lua_State* state, lua_State* coroutine) {
  if (state == coroutine) return Status::kRunning;
  switch (lua_status(coroutine)) {
    case LUA_YIELD:
      return Status::kSuspended;
    case LUA_OK: {
      lua_Debug activation;
      if (lua_getstack(coroutine, 0, &activation)) return Status::kNormal;
      return lua_gettop(coroutine) == 0 ? Status::kDead : Status::kSuspended;
    }
    default:
      return Status::kDead;
  }
}

// While a coroutine is resumed or closed: that it handles nothing, and what its caller handles is around it.
class Inside {
 public:
  explicit Inside(Thread& thread)
      : thread_(thread),
        surrounding_(std::exchange(thread.surrounding(), thread.Handled())),
        handled_(std::exchange(thread.handled, std::nullopt)) {}
  ~Inside() {
    thread_.handled = std::move(handled_);
    thread_.surrounding() = std::move(surrounding_);
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Thread& thread_;
  std::optional<Exception> surrounding_;
  std::optional<Exception> handled_;
};

// A coroutine that has yielded has what it handles on the top of its stack.
void KeepHandled(lua_State* state, lua_State* coroutine) {
  PushHandled(state);
  lua_xmove(state, coroutine, 1);
}

void TakeHandled(lua_State* coroutine) {
  if (lua_status(coroutine) != LUA_YIELD) return;
  SetHandled(coroutine, -1);
  lua_pop(coroutine, 1);
}

// Moves `arguments` values into the coroutine and runs it. The number of results, which are on the stack then, or -1:
// what it raised is.
int Resume(lua_State* state, lua_State* coroutine, int arguments) {
  const Status status = StatusOf(state, coroutine);
  if (status != Status::kSuspended) {
    lua_pop(state, arguments);
    lua_pushfstring(state, "cannot resume %s coroutine", status == Status::kDead ? "dead" : "non-suspended");
    return -1;
  }
  if (!lua_checkstack(coroutine, arguments)) {
    lua_pop(state, arguments);
    lua_pushliteral(state, "too many arguments to resume");
    return -1;
  }
  Thread& thread = ThreadOf(state);
  Charge(state, kInstructionsOfResume);
  ChargeStack(state);
  const Inside inside(thread);
  TakeHandled(coroutine);
  lua_xmove(state, coroutine, arguments);
  const Universe::Running before = thread.universe().running();
  thread.universe().SetRunning({&thread, coroutine});
  int results = 0;
  const int resumed = ResumeState(coroutine, state, arguments, &results);
  thread.universe().SetRunning(before);
  if (thread.abort != Abort::kNone) RaiseAbort(state, thread.abort);
  if (resumed == LUA_YIELD) ChargeStack(coroutine);
  if (resumed == LUA_OK || resumed == LUA_YIELD) {
    const bool fits = lua_checkstack(state, results + 2);
    if (fits) {
      lua_xmove(coroutine, state, results);
    } else {
      lua_pop(coroutine, results);
    }
    if (resumed == LUA_YIELD) KeepHandled(state, coroutine);
    if (fits) return results;
    lua_pushliteral(state, "too many results to resume");
    return -1;
  }
  lua_xmove(coroutine, state, 1);
  MakeCatchable(state);
  return -1;
}

int ResumeFunction(lua_State* state) {
  lua_State* coroutine = CoroutineAt(state, 1);
  const int results = Resume(state, coroutine, lua_gettop(state) - 1);
  if (results < 0) {
    MakeCatchable(state);
    lua_pushboolean(state, false);
    lua_insert(state, -2);
    return 2;
  }
  lua_pushboolean(state, true);
  lua_insert(state, -(results + 1));
  return results + 1;
}

// Ends a coroutine: runs what its variables are to be closed by. False: what that raised is on the stack.
bool Close(lua_State* state, lua_State* coroutine) {
  Thread& thread = ThreadOf(state);
  ChargeStack(state);
  if (thread.closing() >= kMaxClosing) {
    lua_pushliteral(state, "C stack overflow");
    return false;
  }
  ++thread.closing();
  const Inside inside(thread);
  TakeHandled(coroutine);
  const Universe::Running before = thread.universe().running();
  thread.universe().SetRunning({&thread, coroutine});
  const int closed = lua_resetthread(coroutine);
  thread.universe().SetRunning(before);
  --thread.closing();
  if (thread.abort != Abort::kNone) RaiseAbort(state, thread.abort);
  if (closed == LUA_OK) return true;
  lua_xmove(coroutine, state, 1);
  MakeCatchable(state);
  return false;
}

int CloseFunction(lua_State* state) {
  lua_State* coroutine = CoroutineAt(state, 1);
  const Status status = StatusOf(state, coroutine);
  if (status != Status::kDead && status != Status::kSuspended) {
    return luaL_error(state, "cannot close a %s coroutine", kStatusNames[static_cast<std::size_t>(status)]);
  }
  if (Close(state, coroutine)) {
    lua_pushboolean(state, true);
    return 1;
  }
  MakeCatchable(state);
  lua_pushboolean(state, false);
  lua_insert(state, -2);
  return 2;
}

int Create(lua_State* state) {
  luaL_checktype(state, 1, LUA_TFUNCTION);
  Charge(state, kInstructionsOfCreate);
  ChargeMemory(state, kThreadBytes);
  lua_State* coroutine = lua_newthread(state);  // with the hook, and a count of its own
  SetMeter(coroutine, &MeterOf(state));
  lua_pushvalue(state, 1);
  lua_xmove(state, coroutine, 1);
  return 1;
}

int Wrapped(lua_State* state) {
  lua_State* coroutine = lua_tothread(state, lua_upvalueindex(1));
  const int results = Resume(state, coroutine, lua_gettop(state));
  if (results >= 0) return results;
  const int status = lua_status(coroutine);
  if (status != LUA_OK && status != LUA_YIELD && !Close(state, coroutine)) lua_remove(state, -2);
  MakeCatchable(state);
  return lua_error(state);
}

int Wrap(lua_State* state) {
  Create(state);
  lua_pushcclosure(state, &Wrapped, 1);
  return 1;
}

int StatusFunction(lua_State* state) {
  lua_pushstring(state, kStatusNames[static_cast<std::size_t>(StatusOf(state, CoroutineAt(state, 1)))]);
  return 1;
}

int IsYieldable(lua_State* state) {
  lua_pushboolean(state, lua_isyieldable(lua_isthread(state, 1) ? lua_tothread(state, 1) : state));
  return 1;
}

// The coroutine that runs, and whether it is the script's own.
int RunningFunction(lua_State* state) {
  lua_pushthread(state);
  lua_pushboolean(state, state == ThreadOf(state).state());
  return 2;
}

constexpr std::array<luaL_Reg, 7> kFunctions = {{{"close", &CloseFunction},
                                                 {"create", &Create},
                                                 {"isyieldable", &IsYieldable},
                                                 {"resume", &ResumeFunction},
                                                 {"running", &RunningFunction},
                                                 {"status", &StatusFunction},
                                                 {"wrap", &Wrap}}};

}  // namespace

void PushCoroutineLibrary(lua_State* state) {
  lua_newtable(state);
  for (const luaL_Reg& function : kFunctions) {
    lua_pushcfunction(state, function.func);
    lua_setfield(state, -2, function.name);
  }
}

}  // namespace corod::lua
