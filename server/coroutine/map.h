#ifndef COROD_SERVER_COROUTINE_MAP_H_
#define COROD_SERVER_COROUTINE_MAP_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "server/coroutine/value.h"

namespace corod {

// Text keys to Values in insertion order, as a Python dict keeps it. Setting a key that is there keeps its place.
// Look-up takes constant time. Safe for reading from many threads; a change needs the only access.
class Map {
 public:
  struct Entry {
    std::string key;
    Value value;

    friend bool operator==(const Entry&, const Entry&) = default;
  };

  Map() = default;
  Map(std::initializer_list<Entry> entries);

  // The value of `key`, or nullptr. Valid until the next change.
  const Value* Find(std::string_view key) const;
  // The value of `key`, which is added as null if it is not there. Valid until the next change.
  Value& operator[](std::string_view key);
  // Removes `key`; false if it was not there. Takes linear time.
  bool Erase(std::string_view key);

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  std::vector<Entry>::const_iterator begin() const { return entries_.begin(); }
  std::vector<Entry>::const_iterator end() const { return entries_.end(); }

  // The same entries in the same order.
  friend bool operator==(const Map& a, const Map& b) { return a.entries_ == b.entries_; }

 private:
  static constexpr std::uint32_t kFree = 0xffffffff;
  static constexpr std::size_t kWithoutIndex = 8;  // up to here a search is faster

  std::uint32_t IndexOf(std::string_view key) const;
  void AddToIndex(std::uint32_t position);
  void Reindex();

  std::vector<Entry> entries_;
  // Open addressing; a power of two in size, positions in entries_ or kFree. Empty while there are few entries.
  std::vector<std::uint32_t> index_;
};

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_MAP_H_
