#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

#include "server/lua/libraries.h"
#include "server/lua/mathematics.h"
#include "server/lua/meter.h"
#include "server/lua/text.h"

// Function by function what Lua 5.4's lmathlib.c does, so that results and errors are the same.
namespace corod::lua {
namespace {

constexpr std::uint64_t kInstructionsOfFunction = 100;  // of one that mathematics.h computes
constexpr std::uint64_t kComparedBytes = 16;            // for one instruction

// An integer if it fits. REQUIRES: no fraction.
void PushWhole(lua_State* state, double number) {
  lua_Integer integer = 0;
  if (lua_numbertointeger(number, &integer)) {
    lua_pushinteger(state, integer);
  } else {
    lua_pushnumber(state, number);
  }
}

template <double (*kFunction)(double)>
int Compute(lua_State* state) {
  const double x = CheckNumber(state, 1);
  Charge(state, kInstructionsOfFunction);
  lua_pushnumber(state, kFunction(x));
  return 1;
}

int ComputeAtan(lua_State* state) {
  const double y = CheckNumber(state, 1);
  const double x = lua_isnoneornil(state, 2) ? 1 : CheckNumber(state, 2);
  Charge(state, kInstructionsOfFunction);
  lua_pushnumber(state, Atan2(y, x));
  return 1;
}

int ComputeLog(lua_State* state) {
  const double x = CheckNumber(state, 1);
  if (lua_isnoneornil(state, 2)) return Compute<Log>(state);
  const double base = CheckNumber(state, 2);
  if (base == 2) return Compute<Log2>(state);
  if (base == 10) return Compute<Log10>(state);
  Charge(state, 2 * kInstructionsOfFunction);
  lua_pushnumber(state, Log(x) / Log(base));
  return 1;
}

int Sqrt(lua_State* state) {
  lua_pushnumber(state, std::sqrt(CheckNumber(state, 1)));
  return 1;
}

int Deg(lua_State* state) {
  lua_pushnumber(state, CheckNumber(state, 1) * (180.0 / std::numbers::pi));
  return 1;
}

int Rad(lua_State* state) {
  lua_pushnumber(state, CheckNumber(state, 1) * (std::numbers::pi / 180.0));
  return 1;
}

int Abs(lua_State* state) {
  if (lua_isinteger(state, 1) == 0) {
    lua_pushnumber(state, std::fabs(CheckNumber(state, 1)));
    return 1;
  }
  const lua_Integer integer = lua_tointeger(state, 1);
  // The least integer stays what it is.
  lua_pushinteger(state, integer < 0 ? static_cast<lua_Integer>(0 - static_cast<lua_Unsigned>(integer)) : integer);
  return 1;
}

int Ceil(lua_State* state) {
  if (lua_isinteger(state, 1) != 0) {
    lua_settop(state, 1);
  } else {
    PushWhole(state, std::ceil(CheckNumber(state, 1)));
  }
  return 1;
}

int Floor(lua_State* state) {
  if (lua_isinteger(state, 1) != 0) {
    lua_settop(state, 1);
  } else {
    PushWhole(state, std::floor(CheckNumber(state, 1)));
  }
  return 1;
}

int Modf(lua_State* state) {
  if (lua_isinteger(state, 1) != 0) {
    lua_settop(state, 1);
    lua_pushnumber(state, 0);
    return 2;
  }
  const double number = CheckNumber(state, 1);
  const double whole = std::trunc(number);
  PushWhole(state, whole);
  lua_pushnumber(state, number == whole ? 0.0 : number - whole);  // infinity has no fraction either
  return 2;
}

int Fmod(lua_State* state) {
  if (lua_isinteger(state, 1) == 0 || lua_isinteger(state, 2) == 0) {
    const double divisor = CheckNumber(state, 2);  // if both are wrong, this is the one that Lua complains of
    lua_pushnumber(state, std::fmod(CheckNumber(state, 1), divisor));
    return 1;
  }
  const lua_Integer divisor = lua_tointeger(state, 2);
  luaL_argcheck(state, divisor != 0, 2, "zero");
  lua_pushinteger(state, divisor == -1 ? 0 : lua_tointeger(state, 1) % divisor);  // the least one / -1 overflows
  return 1;
}

// Of all arguments the one that stands before each other that it is compared with.
template <bool kMax>
int Select(lua_State* state) {
  const int count = lua_gettop(state);
  luaL_argcheck(state, count >= 1, 1, "value expected");
  int selected = 1;
  for (int i = 2; i <= count; ++i) {
    const std::uint64_t bytes = lua_type(state, i) == LUA_TSTRING ? lua_rawlen(state, i) : 0;
    Charge(state, 1 + bytes / kComparedBytes);
    if (lua_compare(state, kMax ? selected : i, kMax ? i : selected, LUA_OPLT) != 0) selected = i;
  }
  lua_pushvalue(state, selected);
  return 1;
}

int ToInteger(lua_State* state) {
  int fits = 0;
  const lua_Integer integer = lua_tointegerx(state, 1, &fits);
  if (fits != 0) {
    lua_pushinteger(state, integer);
  } else {
    luaL_checkany(state, 1);
    luaL_pushfail(state);
  }
  return 1;
}

int Type(lua_State* state) {
  if (lua_type(state, 1) == LUA_TNUMBER) {
    lua_pushstring(state, lua_isinteger(state, 1) != 0 ? "integer" : "float");
  } else {
    luaL_checkany(state, 1);
    luaL_pushfail(state);
  }
  return 1;
}

int Ult(lua_State* state) {
  const lua_Integer left = CheckInteger(state, 1);
  const lua_Integer right = CheckInteger(state, 2);
  lua_pushboolean(state, static_cast<lua_Unsigned>(left) < static_cast<lua_Unsigned>(right) ? 1 : 0);
  return 1;
}

constexpr luaL_Reg kFunctions[] = {
    {"abs", Abs},
    {"acos", Compute<Acos>},
    {"asin", Compute<Asin>},
    {"atan", ComputeAtan},
    {"ceil", Ceil},
    {"cos", Compute<Cos>},
    {"deg", Deg},
    {"exp", Compute<Exp>},
    {"floor", Floor},
    {"fmod", Fmod},
    {"log", ComputeLog},
    {"max", Select<true>},
    {"min", Select<false>},
    {"modf", Modf},
    {"rad", Rad},
    {"sin", Compute<Sin>},
    {"sqrt", Sqrt},
    {"tan", Compute<Tan>},
    {"tointeger", ToInteger},
    {"type", Type},
    {"ult", Ult},
    {nullptr, nullptr},
};

}  // namespace

void PushMathLibrary(lua_State* state) {
  luaL_newlib(state, kFunctions);
  lua_pushnumber(state, std::numbers::pi);
  lua_setfield(state, -2, "pi");
  lua_pushnumber(state, std::numeric_limits<double>::infinity());
  lua_setfield(state, -2, "huge");
  lua_pushinteger(state, std::numeric_limits<lua_Integer>::max());
  lua_setfield(state, -2, "maxinteger");
  lua_pushinteger(state, std::numeric_limits<lua_Integer>::min());
  lua_setfield(state, -2, "mininteger");
}

}  // namespace corod::lua
