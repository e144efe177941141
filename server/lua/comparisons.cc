#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "server/lua/meter.h"
#include "server/lua/thread.h"

// Lua compares two strings in one instruction, however long they are, and asks nobody. It does so with the C library's
// memcmp and strcoll, and those that it calls are these (CMakeLists.txt): they charge for what they look at. They
// cannot raise; a step that has nothing left ends at the next instruction.
namespace {

using corod::lua::Abort;
using corod::lua::Universe;

constexpr std::size_t kBytesPerInstruction = 16;
// Shorter ones count as a part of the instruction. (A look into a table compares keys of the same length, and which
// depends on how they are hashed; of keys as long as this there are few.)
constexpr std::size_t kFreeBytes = 4'096;

void ChargeBytes(std::size_t bytes) {
  const Universe::Running running = Universe::RunningHere();
  if (!running.thread) return;
  corod::lua::Meter& meter = *running.thread;
  const std::uint64_t cost = bytes / kBytesPerInstruction;
  if (cost <= meter.instructions) {
    meter.instructions -= cost;
    return;
  }
  meter.instructions = 0;
  meter.abort = Abort::kInstructions;
  lua_sethook(running.state, lua_gethook(running.state), LUA_MASKCOUNT, 1);
}

}  // namespace

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names.
int __real_memcmp(const void* a, const void* b, std::size_t size);

int __wrap_memcmp(const void* a, const void* b, std::size_t size) {
  if (size > kFreeBytes) ChargeBytes(size);
  return __real_memcmp(a, b, size);
}

// As in the C locale, whatever the locale is.
int __wrap_strcoll(const char* a, const char* b) {
  static constexpr std::size_t kWindow = 1'024;
  int order = 0;
  std::size_t at = 0;
  for (bool ends = false; order == 0 && !ends; at += kWindow) {
    order = std::strncmp(a + at, b + at, kWindow);
    ends = order == 0 && strnlen(a + at, kWindow) < kWindow;
  }
  // Of a text with zeros Lua gives one piece after the other.
  ChargeBytes(at > kWindow ? at : kBytesPerInstruction);
  return order;
}
// NOLINTEND(bugprone-reserved-identifier)

}  // extern "C"
