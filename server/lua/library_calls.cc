#include <cmath>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "server/lua/meter.h"
#include "server/lua/thread.h"

// What Lua calls of the C library in the middle of one instruction, asking nobody. It comes here instead
// (CMakeLists.txt), and is charged. Nothing here can raise; a step that has nothing left ends at the next instruction.
//
// memcmp and strcoll compare two strings, however long they are. snprintf writes a number into a text (`x .. ""`), with
// the sign of a NaN, which is the processor's choice: 0/0 is -nan on some and nan on others.
namespace {

using corod::lua::Abort;
using corod::lua::Universe;

constexpr std::size_t kBytesPerInstruction = 16;
// Shorter ones count as a part of the instruction. (A look into a table compares keys of the same length, and which
// depends on how they are hashed; of keys as long as this there are few.)
constexpr std::size_t kFreeBytes = 4'096;

constexpr std::uint64_t kInstructionsOfNumeral = 20;

void ChargeHere(std::uint64_t instructions) {
  const Universe::Running running = Universe::RunningHere();
  if (!running.thread) return;
  corod::lua::Meter& meter = *running.thread;
  if (instructions <= meter.instructions) {
    meter.instructions -= instructions;
    return;
  }
  meter.instructions = 0;
  meter.abort = Abort::kInstructions;
  lua_sethook(running.state, lua_gethook(running.state), LUA_MASKCOUNT, 1);
}

}  // namespace

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl50-cpp): the linker's names.
int __real_memcmp(const void* a, const void* b, std::size_t size);

int __wrap_memcmp(const void* a, const void* b, std::size_t size) {
  if (size > kFreeBytes) ChargeHere(size / kBytesPerInstruction);
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
  ChargeHere(at > kWindow ? at / kBytesPerInstruction : 1);
  return order;
}

int __wrap___snprintf_chk(char* out, std::size_t size, int /*flag*/, std::size_t /*room*/, const char* format, ...) {
  ChargeHere(kInstructionsOfNumeral);
  std::va_list arguments;
  va_start(arguments, format);
  int written = 0;
  if (std::strcmp(format, "%.14g") == 0) {  // LUAI_NUMFFORMAT
    const double number = va_arg(arguments, double);
    written = std::snprintf(out, size, format, std::isnan(number) ? std::fabs(number) : number);
  } else {
    written = std::vsnprintf(out, size, format, arguments);
  }
  va_end(arguments);
  return written;
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl50-cpp)

}  // extern "C"
