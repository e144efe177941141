#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/coroutine/errors.h"
#include "server/coroutine/map.h"
#include "server/coroutine/step_context.h"
#include "server/lua/exceptions.h"
#include "server/lua/libraries.h"
#include "server/lua/resumption.h"
#include "server/lua/stack.h"
#include "server/lua/tables.h"
#include "server/lua/text.h"
#include "server/lua/thread.h"
#include "server/lua/values.h"

// The functions that stand by themselves: calls that catch, what is the coroutine's own, conversions.
namespace corod::lua {
namespace {

// Registry: what scripts find without having defined it, and the metatables of their globals and of finalizers.
char base_key;
char globals_metatable_key;
char finalizer_metatable_key;

constexpr std::uint64_t kInstructionsOfDelegation = 1'000;  // to make the coroutine and to end it
constexpr std::uint64_t kInstructionsOfRaise = 200;
// Lua goes through the whole stack for each error that is caught; so many bytes of it count as an instruction.
constexpr std::size_t kBytesAnInstruction = 320;

void ChargeCaught(lua_State* state) { Charge(state, kInstructionsOfRaise + StackBytes(state) / kBytesAnInstruction); }

// Stack: what was being handled before, `true`, the results.
int PcallDone(lua_State* state, int status, lua_KContext /*context*/) {
  Thread& thread = ThreadOf(state);
  if (thread.abort != Abort::kNone) RaiseAbort(state, thread.abort);
  if (status == LUA_OK || status == LUA_YIELD) {
    SetHandled(state, 1);
    return lua_gettop(state) - 1;
  }
  ChargeCaught(state);
  MakeCatchable(state);
  SetHandled(state, 1);
  lua_pushboolean(state, false);
  lua_insert(state, -2);
  return 2;
}

int Pcall(lua_State* state) {
  luaL_checkany(state, 1);
  PushHandled(state);
  lua_pushboolean(state, true);
  lua_rotate(state, 1, 2);
  return PcallDone(state, lua_pcallk(state, lua_gettop(state) - 3, LUA_MULTRET, 0, 0, &PcallDone), 0);
}

// Stack: what was being handled before, the handler, `false`, the handler's results.
int XpcallHandled(lua_State* state, int /*status*/, lua_KContext /*context*/) {
  SetHandled(state, 1);
  return lua_gettop(state) - 2;
}

// Stack: what was being handled before, the handler, the results.
int XpcallDone(lua_State* state, int status, lua_KContext /*context*/) {
  Thread& thread = ThreadOf(state);
  if (thread.abort != Abort::kNone) RaiseAbort(state, thread.abort);
  if (status == LUA_OK || status == LUA_YIELD) {
    SetHandled(state, 1);
    lua_pushboolean(state, true);
    lua_replace(state, 2);
    return lua_gettop(state) - 1;
  }
  ChargeCaught(state);
  HandleTop(state);
  lua_pushboolean(state, false);
  lua_pushvalue(state, 2);
  lua_rotate(state, -3, 2);
  lua_callk(state, 1, LUA_MULTRET, 0, &XpcallHandled);
  return XpcallHandled(state, LUA_OK, 0);
}

int Xpcall(lua_State* state) {
  luaL_checktype(state, 2, LUA_TFUNCTION);
  PushHandled(state);
  lua_pushvalue(state, 2);
  lua_remove(state, 2);
  lua_rotate(state, 1, 2);
  return XpcallDone(state, lua_pcallk(state, lua_gettop(state) - 3, LUA_MULTRET, 0, 0, &XpcallDone), 0);
}

int Assert(lua_State* state) {
  luaL_checkany(state, 1);
  if (lua_toboolean(state, 1)) return lua_gettop(state);
  if (lua_isnoneornil(state, 2)) RaiseException(state, "AssertionError", "assertion failed!");
  if (lua_type(state, 2) == LUA_TSTRING) RaiseException(state, "AssertionError", lua_tostring(state, 2));
  const Exception exception = ToException(state, 2);
  lua_settop(state, 2);
  if (!lua_istable(state, 2)) RaiseException(state, exception);
  RaiseValue(state, exception);
}

int Select(lua_State* state) {
  const int count = lua_gettop(state);
  if (lua_type(state, 1) == LUA_TSTRING && *lua_tostring(state, 1) == '#') {
    lua_pushinteger(state, count - 1);
    return 1;
  }
  lua_Integer from = CheckInteger(state, 1);
  if (from < 0) {
    from = count + from;
  } else if (from > count) {
    from = count;
  }
  luaL_argcheck(state, from >= 1, 1, "index out of range");
  return count - static_cast<int>(from);
}

int ToString(lua_State* state) {
  luaL_checkany(state, 1);
  if (luaL_callmeta(state, 1, "__tostring")) {
    if (!lua_isstring(state, -1)) return luaL_error(state, "'__tostring' must return a string");
    return 1;
  }
  PushText(state, 1);
  return 1;
}

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The integer that the whole text is in that base, as Lua reads it: spaces around it, a sign, wrapping around.
bool ReadInteger(std::string_view text, lua_Integer base, lua_Integer* integer) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  const bool negative = !text.empty() && text.front() == '-';
  if (!text.empty() && (negative || text.front() == '+')) text.remove_prefix(1);
  if (text.empty()) return false;
  lua_Unsigned read = 0;
  for (const char c : text) {
    lua_Integer digit = 0;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'a' && c <= 'z') {
      digit = c - 'a' + 10;
    } else if (c >= 'A' && c <= 'Z') {
      digit = c - 'A' + 10;
    } else {
      return false;
    }
    if (digit >= base) return false;
    read = read * static_cast<lua_Unsigned>(base) + static_cast<lua_Unsigned>(digit);
  }
  *integer = static_cast<lua_Integer>(negative ? 0 - read : read);
  return true;
}

int ToNumber(lua_State* state) {
  if (lua_isnoneornil(state, 2)) {
    if (lua_type(state, 1) == LUA_TNUMBER) {
      lua_settop(state, 1);
      return 1;
    }
    luaL_checkany(state, 1);
    std::size_t size = 0;
    const char* text = lua_type(state, 1) == LUA_TSTRING ? lua_tolstring(state, 1, &size) : nullptr;
    Charge(state, size);
    if (text && lua_stringtonumber(state, text) == size + 1) return 1;
    luaL_pushfail(state);
    return 1;
  }
  const lua_Integer base = CheckInteger(state, 2);
  luaL_checktype(state, 1, LUA_TSTRING);
  luaL_argcheck(state, 2 <= base && base <= 36, 2, "base out of range");
  std::size_t size = 0;
  const char* text = lua_tolstring(state, 1, &size);
  Charge(state, size);
  lua_Integer integer = 0;
  if (ReadInteger({text, size}, base, &integer)) {
    lua_pushinteger(state, integer);
  } else {
    luaL_pushfail(state);
  }
  return 1;
}

// Raises in Lua what `function` raises in C++.
template <typename F>
auto Converting(lua_State* state, F function) {
  std::optional<Exception> raised;
  try {
    return function();
  } catch (const py::BaseException& e) {
    raised = e;
  }
  RaiseException(state, *raised);
}

// time(): when the step was accepted, in seconds since 1970.
int Time(lua_State* state) {
  const std::chrono::nanoseconds since = Converting(state, [] { return StepTime().time_since_epoch(); });
  lua_pushnumber(state, static_cast<double>(since.count()) / 1e9);
  return 1;
}

// As math.random of Lua's, with the session's numbers.
int Random(lua_State* state) {
  const int arguments = lua_gettop(state);
  if (arguments == 0) {
    const std::uint64_t bits = Converting(state, [] { return StepRandom(); });
    lua_pushnumber(state, std::ldexp(static_cast<double>(bits >> 11), -53));
    return 1;
  }
  if (arguments > 2) return luaL_error(state, "wrong number of arguments");
  const lua_Integer low = arguments == 1 ? 1 : CheckInteger(state, 1);
  const lua_Integer high = CheckInteger(state, arguments);
  if (arguments == 1 && high == 0) {
    const std::uint64_t bits = Converting(state, [] { return StepRandom(); });
    lua_pushinteger(state, static_cast<lua_Integer>(bits));
    return 1;
  }
  luaL_argcheck(state, low <= high, arguments, "interval is empty");
  const std::uint64_t last = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  const std::uint64_t drawn =
      Converting(state, [last] { return last + 1 == 0 ? StepRandom() : RandomBelow(last + 1); });
  const std::uint64_t chosen = static_cast<std::uint64_t>(low) + drawn;
  lua_pushinteger(state, static_cast<lua_Integer>(chosen));
  return 1;
}

// The session's own stack: neither in a nested coroutine, nor called by something that cannot be suspended.
void CheckMayStop(lua_State* state, const char* what) {
  if (state != ThreadOf(state).state()) {
    RaiseException(state, "RuntimeError",
                   std::string(what) + " stands in the script's own function, not in a coroutine");
  }
  if (!lua_isyieldable(state)) {
    RaiseException(
        state, "RuntimeError",
        std::string("cannot ") + what + " here: outside of the script's function, or in what a library calls");
  }
}

// What comes in where a script stopped.
int Resumed(lua_State* state, int /*status*/, lua_KContext /*context*/) {
  Thread& thread = ThreadOf(state);
  const Value value = thread.TakeValue();
  if (thread.TakeRaises()) ReraiseException(state, value.AsException());
  PushValue(state, value);
  return 1;
}

// yield(v): hands out a value, and returns what is sent.
int Yield(lua_State* state) {
  Thread& thread = ThreadOf(state);
  if (state != thread.state()) YieldState(state, lua_gettop(state), nullptr);
  CheckMayStop(state, "yield");
  lua_settop(state, 1);
  ChargeStack(state);
  thread.StopWith(Stop::kYielded, ToValue(state, 1));
  YieldState(state, 0, &Resumed);
}

// Delegate's arguments are its stop.
void PrepareToDelegate(lua_State* state) {
  std::size_t size = 0;
  const char* name = luaL_checklstring(state, 1, &size);
  lua_settop(state, 2);
  Value arguments = lua_isnil(state, 2) ? Value(Map()) : ToValue(state, 2);
  if (arguments.kind() == Value::Kind::kList && arguments.AsList().empty()) arguments = Map();
  if (arguments.kind() != Value::Kind::kMap) {
    RaiseException(state, "TypeError", "delegate takes its arguments by name, as in delegate('chunks', {size = 3})");
  }
  ThreadOf(state).StopWith(Stop::kDelegates, List{Value(std::string(name, size)), std::move(arguments)});
}

// delegate(name [, arguments]): `yield from` a coroutine of the catalog.
int Delegate(lua_State* state) {
  CheckMayStop(state, "delegate");
  Charge(state, kInstructionsOfDelegation);
  ChargeStack(state);
  PrepareToDelegate(state);
  YieldState(state, 0, &Resumed);
}

int FinalizerRan(lua_State* state, int /*status*/, lua_KContext /*context*/) {
  SetHandled(state, 3);
  return 0;
}

// At the end of the block whose variable a finalizer is: stack: it, the error or nil.
int CloseFinalizer(lua_State* state) {
  lua_settop(state, 2);
  PushHandled(state);
  lua_getiuservalue(state, 1, 1);
  if (!lua_isfunction(state, -1)) return 0;  // has run
  lua_pushnil(state);
  lua_setiuservalue(state, 1, 1);
  lua_pushvalue(state, 2);
  if (!lua_isnil(state, 2)) HandleTop(state);
  lua_callk(state, 1, 0, 0, &FinalizerRan);
  return FinalizerRan(state, LUA_OK, 0);
}

// finally(f): f is called when the coroutine ends, by return, raise or close; with `local _ <close> = finally(f)`
// at the end of that block.
int FinallyFunction(lua_State* state) {
  luaL_checktype(state, 1, LUA_TFUNCTION);
  lua_settop(state, 1);
  ChargeMemory(state, 128);
  // No table: a script could put into one what nobody counts.
  lua_newuserdatauv(state, 0, 1);
  lua_insert(state, 1);
  lua_setiuservalue(state, 1, 1);
  lua_rawgetp(state, LUA_REGISTRYINDEX, &finalizer_metatable_key);
  lua_setmetatable(state, 1);
  const void* key = FinalizersKey(ThreadOf(state));
  if (lua_rawgetp(state, LUA_REGISTRYINDEX, key) == LUA_TNIL) {
    lua_pop(state, 1);
    lua_createtable(state, 1, 0);
    lua_pushvalue(state, -1);
    lua_rawsetp(state, LUA_REGISTRYINDEX, key);
  }
  // Those at the end that have run make room.
  auto count = static_cast<lua_Integer>(lua_rawlen(state, 2));
  for (; count > 0; --count) {
    lua_rawgeti(state, 2, count);
    const bool waits = lua_getiuservalue(state, -1, 1) == LUA_TFUNCTION;
    lua_pop(state, 2);
    if (waits) break;
    lua_pushnil(state);
    lua_rawseti(state, 2, count);
  }
  lua_pushvalue(state, 1);
  lua_rawseti(state, 2, count + 1);
  lua_settop(state, 1);
  return 1;
}

// "10" + 1 is 11, as in Lua.
template <int kOperation>
int StringArithmetic(lua_State* state) {
  for (int index = 1; index <= 2; ++index) {
    if (lua_type(state, index) == LUA_TNUMBER) continue;
    std::size_t size = 0;
    const char* text = lua_type(state, index) == LUA_TSTRING ? lua_tolstring(state, index, &size) : nullptr;
    Charge(state, size);
    if (!text || lua_stringtonumber(state, text) != size + 1) {
      return luaL_error(state, "attempt to perform arithmetic on a %s value", TypeNameOf(state, index));
    }
    lua_replace(state, index);
  }
  lua_settop(state, kOperation == LUA_OPUNM ? 1 : 2);
  lua_arith(state, kOperation);
  return 1;
}

constexpr std::array<luaL_Reg, 10> kFunctions = {{{"pcall", &Pcall},
                                                  {"xpcall", &Xpcall},
                                                  {"assert", &Assert},
                                                  {"select", &Select},
                                                  {"tostring", &ToString},
                                                  {"tonumber", &ToNumber},
                                                  {"time", &Time},
                                                  {"yield", &Yield},
                                                  {"delegate", &Delegate},
                                                  {"finally", &FinallyFunction}}};

constexpr std::array<luaL_Reg, 8> kStringArithmetic = {{{"__add", &StringArithmetic<LUA_OPADD>},
                                                        {"__sub", &StringArithmetic<LUA_OPSUB>},
                                                        {"__mul", &StringArithmetic<LUA_OPMUL>},
                                                        {"__mod", &StringArithmetic<LUA_OPMOD>},
                                                        {"__pow", &StringArithmetic<LUA_OPPOW>},
                                                        {"__div", &StringArithmetic<LUA_OPDIV>},
                                                        {"__idiv", &StringArithmetic<LUA_OPIDIV>},
                                                        {"__unm", &StringArithmetic<LUA_OPUNM>}}};

// Puts the library on the top into the table below it, so that scripts can read it and no more.
void AddLibrary(lua_State* state, const char* name) {
  lua_createtable(state, 0, 0);
  NewReadOnly(state);
  lua_setfield(state, -2, name);
}

}  // namespace

const void* FinalizersKey(const Thread& thread) { return reinterpret_cast<const char*>(&thread) + 1; }

void OpenLibraries(lua_State* state, lua_CFunction more) {
  lua_newtable(state);
  AddTableFunctions(state);
  AddValueFunctions(state);
  AddExceptionFunctions(state);
  for (const luaL_Reg& function : kFunctions) {
    lua_pushcfunction(state, function.func);
    lua_setfield(state, -2, function.name);
  }
  lua_pushcfunction(state, &Random);
  lua_setfield(state, -2, "random");

  PushStringLibrary(state);
  // Of strings: ("text"):upper(), and arithmetic.
  lua_pushliteral(state, "");
  lua_newtable(state);
  lua_pushvalue(state, -3);
  lua_setfield(state, -2, "__index");
  for (const luaL_Reg& function : kStringArithmetic) {
    lua_pushcfunction(state, function.func);
    lua_setfield(state, -2, function.name);
  }
  lua_setmetatable(state, -2);
  lua_pop(state, 1);
  AddLibrary(state, "string");
  PushTableLibrary(state);
  AddLibrary(state, "table");
  PushMathLibrary(state);
  lua_pushcfunction(state, &Random);
  lua_setfield(state, -2, "random");
  AddLibrary(state, "math");
  PushUtf8Library(state);
  AddLibrary(state, "utf8");
  PushCoroutineLibrary(state);
  lua_pushcfunction(state, &Yield);
  lua_setfield(state, -2, "yield");
  AddLibrary(state, "coroutine");
  if (more) {
    lua_pushcfunction(state, more);
    lua_pushvalue(state, -2);
    lua_call(state, 1, 0);
  }
  lua_rawsetp(state, LUA_REGISTRYINDEX, &base_key);

  lua_newtable(state);
  lua_pushcfunction(state, &CloseFinalizer);
  lua_setfield(state, -2, "__close");
  lua_rawsetp(state, LUA_REGISTRYINDEX, &finalizer_metatable_key);

  NewMap(state);
  NewMap(state);
  lua_rawgetp(state, LUA_REGISTRYINDEX, &base_key);
  lua_setfield(state, -2, "__index");
  SetSharedMetatable(state);
  lua_getmetatable(state, -1);
  lua_rawsetp(state, LUA_REGISTRYINDEX, &globals_metatable_key);
  lua_pop(state, 1);
}

void PushGlobals(lua_State* state) {
  lua_createtable(state, 0, 0);
  lua_rawgetp(state, LUA_REGISTRYINDEX, &globals_metatable_key);
  lua_setmetatable(state, -2);
}

void PushConstructors(lua_State* state) {
  lua_rawgetp(state, LUA_REGISTRYINDEX, &base_key);
  lua_getfield(state, -1, "__list");
  lua_getfield(state, -2, "__map");
  lua_remove(state, -3);
}

}  // namespace corod::lua
