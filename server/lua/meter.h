#ifndef COROD_SERVER_LUA_METER_H_
#define COROD_SERVER_LUA_METER_H_

#include <cstddef>
#include <cstdint>

#include "server/lua/lua_api.h"

namespace corod::lua {

// Why a step was ended, whatever the script does about it.
enum class Abort : std::uint8_t { kNone, kInstructions, kMemory, kTime };

// What a step may use, and has used. Counted by what the script asks for, so that the same script on the same input is
// ended at the same step on any machine, whatever the collector and the hash seeds do.
struct Meter {
  std::uint64_t instructions = 0;  // that are left
  std::size_t memory = 0;          // bytes that may still be asked for in this step
  std::size_t asked = 0;           // bytes asked for since what the session holds was measured
  Abort abort = Abort::kNone;
  int nested_exceptions = 0;  // that are being converted (exceptions.h)
};

// Each state of Lua's has room for a word. It holds where the meter is and, in the bits that no address has, how far
// the state's stack has been charged (stack.h), in units of so many slots.
inline constexpr std::uintptr_t kAddressBits = 48;
inline constexpr std::uintptr_t kAddressMask = (std::uintptr_t{1} << kAddressBits) - 1;
inline constexpr std::size_t kChargedUnit = 64;
static_assert(sizeof(std::uintptr_t) == 8 && LUA_EXTRASPACE >= sizeof(std::uintptr_t));

inline std::uintptr_t& WordOf(lua_State* state) { return *static_cast<std::uintptr_t*>(lua_getextraspace(state)); }

inline std::size_t ChargedSlots(lua_State* state) { return (WordOf(state) >> kAddressBits) * kChargedUnit; }
inline void SetChargedSlots(lua_State* state, std::size_t slots) {
  std::uintptr_t& word = WordOf(state);
  word = (word & kAddressMask) | (std::uintptr_t{slots / kChargedUnit} << kAddressBits);
}

// For a new state.
inline void SetMeter(lua_State* state, Meter* meter) { WordOf(state) = reinterpret_cast<std::uintptr_t>(meter); }

// That of the session whose code the state runs. REQUIRES: it runs some.
inline Meter& MeterOf(lua_State* state) {
  return *reinterpret_cast<Meter*>(WordOf(state) & kAddressMask);  // NOLINT(performance-no-int-to-ptr)
}

// Ends the step: raises what no pcall catches. Also called again by whatever runs while the error is on its way.
[[noreturn]] void RaiseAbort(lua_State* state, Abort why);

// For library functions: what they do beyond a constant counts as so many instructions of the virtual machine (about
// one for each 16 bytes copied or compared, or for each element looked at). To be called before the work is done.
inline void Charge(lua_State* state, std::uint64_t instructions) {
  Meter& meter = MeterOf(state);
  if (meter.abort != Abort::kNone) RaiseAbort(state, meter.abort);
  if (instructions > meter.instructions) RaiseAbort(state, Abort::kInstructions);
  meter.instructions -= instructions;
}

// The same for memory that is asked for on the script's behalf and that Lua does not allocate as an object of its own:
// buffers, and what a table grows by. To be called before it is allocated. New strings, tables, functions and
// userdata are counted where they are made.
inline void ChargeMemory(lua_State* state, std::size_t bytes) {
  Meter& meter = MeterOf(state);
  if (meter.abort != Abort::kNone) RaiseAbort(state, meter.abort);
  if (bytes > meter.memory) RaiseAbort(state, Abort::kMemory);
  meter.memory -= bytes;
  meter.asked += bytes;
}

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_METER_H_
