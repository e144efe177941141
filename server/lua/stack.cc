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

bool KnowsStack(lua_State* thread) {
  const std::size_t before = Slots(thread);
  if (before != static_cast<std::size_t>(lua_gettop(thread)) + 1) return false;
  lua_pushnil(thread);
  lua_pushnil(thread);
  const std::size_t after = Slots(thread);
  lua_pop(thread, 2);
  return after == before + 2;
}

}  // namespace corod::lua
