#include "server/lua/stack.h"

#include <algorithm>
#include <cstdint>

#include "server/lua/meter.h"

namespace corod::lua {
namespace {

// The beginning of a lua_State, which nothing in Lua's interface tells (5.4; checked by KnowsStack).
struct Layout {
  void* next;
  unsigned char type_mark_status_hook[4];
  unsigned short calls;
  const char* top;
  void* global;
  void* call;
  const char* stack_last;
  const char* stack;
};

constexpr std::size_t kSlot = 16;
// The same of a CallInfo.
struct CallLayout {
  void* function;
  void* top;
  CallInfo* caller;  // null: of the record that stands for the thread itself
};

// A call takes a record of 62 bytes and at least three slots.
constexpr std::size_t kBytesPerSlot = kSlot + 24;
// What comes with a thread.
constexpr std::size_t kFirstSlots = 64;

std::size_t Slots(lua_State* thread) {
  const auto* layout = reinterpret_cast<const Layout*>(thread);
  return static_cast<std::size_t>(layout->top - layout->stack) / kSlot;
}

}  // namespace

std::size_t StackBytes(lua_State* thread) { return Slots(thread) * kBytesPerSlot; }

void ChargeStack(lua_State* thread) {
  const std::size_t slots = Slots(thread);
  const std::size_t charged = std::max(kFirstSlots, ChargedSlots(thread));
  if (slots <= charged) return;
  SetChargedSlots(thread, slots);
  ChargeMemory(thread, (std::max(ChargedSlots(thread), charged) - charged) * kBytesPerSlot);
}

bool GoToCaller(lua_Debug* activation) {
  CallInfo* const caller = reinterpret_cast<const CallLayout*>(activation->i_ci)->caller;
  activation->i_ci = caller;
  return reinterpret_cast<const CallLayout*>(caller)->caller != nullptr;
}

bool KnowsStack(lua_State* thread) {
  // Two calls, one in the other.
  static constexpr auto kInner = [](lua_State* state) {
    lua_Debug inner;
    lua_Debug outer;
    bool right = lua_getstack(state, 0, &inner) != 0 && lua_getstack(state, 1, &outer) != 0;
    right = right && GoToCaller(&inner) && inner.i_ci == outer.i_ci && !GoToCaller(&outer);
    lua_pushboolean(state, right);
    return 1;
  };
  static constexpr auto kOuter = [](lua_State* state) {
    lua_pushcfunction(state, kInner);
    lua_call(state, 0, 1);
    return 1;
  };
  lua_pushcfunction(thread, kOuter);
  lua_call(thread, 0, 1);
  const bool knows_calls = lua_toboolean(thread, -1) != 0;
  lua_pop(thread, 1);
  if (!knows_calls) return false;
  const std::size_t before = Slots(thread);
  if (before != static_cast<std::size_t>(lua_gettop(thread)) + 1) return false;
  lua_pushnil(thread);
  lua_pushnil(thread);
  const std::size_t after = Slots(thread);
  lua_pop(thread, 2);
  return after == before + 2;
}

}  // namespace corod::lua
