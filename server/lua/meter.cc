#include "server/lua/meter.h"

namespace corod::lua {

void RaiseAbort(lua_State* state, Abort why) {
  MeterOf(state).abort = why;
  // From here on every instruction raises it again: what runs on the way out (a __close, say) gets nowhere.
  lua_sethook(state, lua_gethook(state), LUA_MASKCOUNT, 1);
  lua_pushnil(state);
  lua_error(state);
  __builtin_unreachable();
}

}  // namespace corod::lua
