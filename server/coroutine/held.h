#ifndef COROD_SERVER_COROUTINE_HELD_H_
#define COROD_SERVER_COROUTINE_HELD_H_

#include <concepts>
#include <cstddef>
#include <type_traits>

#include "server/coroutine/value.h"

namespace corod {

// What `value` takes in memory beside the 16 bytes of the Value itself, about, in bytes. What is shared counts each
// time; of an exception its cause and context do not count.
inline std::size_t HeldBytes(const Value& value);

namespace internal {
std::size_t HeldBytesOfNode(const Value& value);
}  // namespace internal

inline std::size_t HeldBytes(const Value& value) {
  return value.kind() < Value::Kind::kText ? 0 : internal::HeldBytesOfNode(value);
}

// What knows how much memory it holds beside its own bytes, about.
template <typename T>
concept KnowsHeldBytes = requires(const T& object) {
  { object.HeldBytes() } -> std::convertible_to<std::size_t>;
};

// The same of what a body keeps (kept.h): as it says itself; else by what Save gives, which is asked for only if there
// can be anything. Raises what Save raises.
template <typename S>
std::size_t HeldBytesOfKept(const S& state) {
  if constexpr (KnowsHeldBytes<S>) {
    return state.HeldBytes();
  } else if constexpr (std::is_trivially_copyable_v<S>) {
    return 0;
  } else {
    return HeldBytes(Value(state.Save()));
  }
}

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_HELD_H_
