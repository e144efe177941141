#ifndef COROD_SERVER_COROUTINE_HELD_H_
#define COROD_SERVER_COROUTINE_HELD_H_

#include <cstddef>
#include <string>
#include <unordered_set>

#include "server/coroutine/value.h"

namespace corod {

// Adds up what objects take in memory, about, in bytes. What several Values share counts once. Not thread-safe.
class HeldMemory {
 public:
  void AddBytes(std::size_t bytes) { bytes_ += bytes; }
  // What it takes beside the 16 bytes of the Value itself.
  void Add(const Value& value) {
    if (value.kind() >= Value::Kind::kText) AddNode(value);
  }
  // Its items.
  void Add(const List& items);

  std::size_t bytes() const { return bytes_; }

 private:
  void AddNode(const Value& value);
  void AddException(const Value& value);
  void Add(const std::string& text);

  std::size_t bytes_ = 0;
  std::unordered_set<const void*> shared_;  // that were added
};

// What one value takes beside its own 16 bytes.
inline std::size_t HeldBytes(const Value& value) {
  if (value.kind() < Value::Kind::kText) return 0;
  HeldMemory held;
  held.Add(value);
  return held.bytes();
}

// What can say how much memory it holds beside its own bytes.
template <typename T>
concept KnowsHeld = requires(const T& object, HeldMemory& held) { object.AddHeld(held); };

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_HELD_H_
