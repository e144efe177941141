#include "server/coroutine/map.h"

#include <functional>
#include <utility>

namespace corod {

Map::Map(std::initializer_list<Entry> entries) {
  entries_.reserve(entries.size());
  for (const Entry& entry : entries) (*this)[entry.key] = entry.value;
}

std::uint32_t Map::IndexOf(std::string_view key) const {
  if (index_.empty()) {
    for (std::uint32_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].key == key) return i;
    }
    return kFree;
  }
  const std::size_t mask = index_.size() - 1;
  for (std::size_t slot = std::hash<std::string_view>()(key) & mask;; slot = (slot + 1) & mask) {
    const std::uint32_t position = index_[slot];
    if (position == kFree || entries_[position].key == key) return position;
  }
}

void Map::AddToIndex(std::uint32_t position) {
  const std::size_t mask = index_.size() - 1;
  std::size_t slot = std::hash<std::string_view>()(entries_[position].key) & mask;
  while (index_[slot] != kFree) slot = (slot + 1) & mask;
  index_[slot] = position;
}

void Map::Reindex() {
  if (entries_.size() <= kWithoutIndex) {
    index_.clear();
    return;
  }
  std::size_t slots = 32;
  while (slots < entries_.size() * 2) slots *= 2;
  index_.assign(slots, kFree);
  for (std::uint32_t i = 0; i < entries_.size(); ++i) AddToIndex(i);
}

const Value* Map::Find(std::string_view key) const {
  const std::uint32_t position = IndexOf(key);
  return position == kFree ? nullptr : &entries_[position].value;
}

Value& Map::operator[](std::string_view key) {
  const std::uint32_t found = IndexOf(key);
  if (found != kFree) return entries_[found].value;
  entries_.push_back(Entry{std::string(key), Value()});
  if (entries_.size() > kWithoutIndex && entries_.size() * 2 > index_.size()) {
    Reindex();
  } else if (!index_.empty()) {
    AddToIndex(static_cast<std::uint32_t>(entries_.size() - 1));
  }
  return entries_.back().value;
}

bool Map::Erase(std::string_view key) {
  const std::uint32_t found = IndexOf(key);
  if (found == kFree) return false;
  entries_.erase(entries_.begin() + found);
  Reindex();
  return true;
}

}  // namespace corod
