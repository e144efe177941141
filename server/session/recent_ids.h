#ifndef COROD_SERVER_SESSION_RECENT_IDS_H_
#define COROD_SERVER_SESSION_RECENT_IDS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "server/base/compact_text.h"

namespace corod {

// A queue of entries that each have an id of their own and are found by it. Besides an entry it takes 5 to 11 bytes
// for each, and half of an entry while it grows.
//
// Entry: default constructible, movable, with `const CompactText& id() const`. Not thread-safe.
template <typename Entry>
class RecentIds {
 public:
  RecentIds() : index_(0, Hash{this}, Same{this}) {}
  RecentIds(const RecentIds&) = delete;
  RecentIds& operator=(const RecentIds&) = delete;

  std::size_t size() const { return size_; }
  // The oldest is 0.
  Entry& operator[](std::size_t i) { return ring_[Place(i)]; }
  const Entry& operator[](std::size_t i) const { return ring_[Place(i)]; }

  // Null: there is none.
  const Entry* Find(const CompactText::Key& id) const {
    if (!index_.empty()) {
      const auto found = index_.find(id);
      return found == index_.end() ? nullptr : &OfSerial(*found);
    }
    for (std::size_t i = 0; i < size_; ++i) {
      if ((*this)[i].id().key() == id) return &(*this)[i];
    }
    return nullptr;
  }

  // REQUIRES: Find(entry.id()) is null; fewer than 2^32 are there.
  void Add(Entry entry) {
    if (size_ == ring_.size()) Grow();
    (*this)[size_++] = std::move(entry);
    if (!index_.empty()) {
      index_.insert(Serial(size_ - 1));
    } else if (size_ > kFew) {
      for (std::size_t i = 0; i < size_; ++i) index_.insert(Serial(i));
    }
  }

  // REQUIRES: there is one.
  void RemoveOldest() {
    if (!index_.empty()) index_.erase(Serial(0));
    (*this)[0] = Entry();
    begin_ = Place(1);
    ++left_;
    --size_;
  }

 private:
  // Up to so many are looked through one by one.
  static constexpr std::size_t kFew = 8;

  // Names an entry as long as it is there: how many came before it, of which the highest bits are not needed.
  std::uint32_t Serial(std::size_t i) const { return left_ + static_cast<std::uint32_t>(i); }
  const Entry& OfSerial(std::uint32_t serial) const { return (*this)[serial - left_]; }

  std::size_t Place(std::size_t i) const {
    const std::size_t place = begin_ + i;
    return place < ring_.size() ? place : place - ring_.size();
  }

  void Grow() {
    std::vector<Entry> larger(std::max<std::size_t>(4, size_ + size_ / 2));
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    ring_ = std::move(larger);
    begin_ = 0;
  }

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const CompactText::Key& id) const { return id.hash(); }
    std::size_t operator()(std::uint32_t serial) const { return ids->OfSerial(serial).id().key().hash(); }
    const RecentIds* ids;
  };
  struct Same {
    using is_transparent = void;
    bool operator()(std::uint32_t a, std::uint32_t b) const { return a == b; }
    bool operator()(std::uint32_t serial, const CompactText::Key& id) const {
      return ids->OfSerial(serial).id().key() == id;
    }
    const RecentIds* ids;
  };

  std::vector<Entry> ring_;
  std::size_t begin_ = 0;  // where the oldest is
  std::size_t size_ = 0;
  std::uint32_t left_ = 0;                                // how many have left
  absl::flat_hash_set<std::uint32_t, Hash, Same> index_;  // serials, by id. Empty: there are few
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_RECENT_IDS_H_
