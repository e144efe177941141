#ifndef COROD_SERVER_SESSION_TIMER_INDEX_H_
#define COROD_SERVER_SESSION_TIMER_INDEX_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/time/time.h"
#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"

namespace corod {

class Session;

// When a session stands in the index: milliseconds since the index began, 34 years at most. 5 bytes, since there are
// millions.
class TimerSlot {
 public:
  static constexpr std::uint64_t kNone = (std::uint64_t{1} << 40) - 1;  // not in the index
  static constexpr std::uint64_t kOff = kNone - 1;                      // taken out for good
  static constexpr std::uint64_t kLast = kOff - 1;                      // this late or later

  TimerSlot() { Set(kNone); }
  std::uint64_t Get() const {
    std::uint64_t due = 0;
    std::memcpy(&due, due_.data(), due_.size());
    return due;
  }
  void Set(std::uint64_t due) { std::memcpy(due_.data(), &due, due_.size()); }

 private:
  std::array<std::uint8_t, 5> due_;
};

// Which session is to be looked at when: one time each, in milliseconds. A session that is used goes on standing at its
// old time and is put to its new one when that comes. A session stands in one index at most. Thread-safe.
class TimerIndex {
 public:
  // `when`: the time at which a session is due.
  // Nothing is due before `begin`.
  TimerIndex(absl::Time begin, absl::Time (*when)(const Session&)) : begin_(begin), when_(when) {}

  // Puts the session to the time at which it is due next, if there is one (which is asked for here, so that of two
  // calls at once the later one holds). Nothing for a session that was taken out for good.
  void Schedule(Session& session);
  // Takes the session out for good.
  void Remove(Session& session);
  // Takes out what is due, the earliest first, `limit` at most.
  std::vector<IntrusivePtr<Session>> TakeDue(absl::Time now, std::size_t limit);
  // Takes out the session that is due first, by what is so now; nullptr if there is none.
  IntrusivePtr<Session> TakeFirst();
  // Takes out those of the next `looks` sessions behind `place` that `takes` is true of, in the order in which they are
  // due by what is so now, and moves `place` on; to the beginning at the end. `takes` must not block.
  struct Place {
    std::uint64_t due = 0;
    const Session* session = nullptr;  // not to be looked at: it may be gone
  };
  std::vector<IntrusivePtr<Session>> TakeSome(Place& place, std::size_t looks,
                                              const std::function<bool(const Session&)>& takes);
  // The earliest time; infinite if there is none.
  absl::Time Earliest() const;

 private:
  // A session and when it is due, in 12 bytes: 40 bits of time before 48 of address.
  class Entry {
   public:
    Entry(std::uint64_t due, const Session* session) {
      const auto address = reinterpret_cast<std::uintptr_t>(session);
      high_ = static_cast<std::uint32_t>(due >> 8);
      middle_ = static_cast<std::uint32_t>(due << 24 | address >> 24);
      low_ = static_cast<std::uint32_t>(address & 0xffffff);
    }
    std::uint64_t due() const { return std::uint64_t{high_} << 8 | middle_ >> 24; }
    Session* session() const {
      const std::uintptr_t address = std::uintptr_t{middle_ & 0xffffff} << 24 | low_;
      return reinterpret_cast<Session*>(address);  // NOLINT(performance-no-int-to-ptr)
    }
    friend auto operator<=>(const Entry&, const Entry&) = default;

   private:
    std::uint32_t high_;
    std::uint32_t middle_;
    std::uint32_t low_;
  };
  static_assert(sizeof(Entry) == 12);

  // Rounded up, so that what is due by this is due by the clock.
  std::uint64_t DueOf(const Session& session) const;
  // Those below are due at `now`.
  std::uint64_t Behind(absl::Time now) const;

  const absl::Time begin_;
  absl::Time (*const when_)(const Session&);
  mutable Mutex mutex_;
  absl::btree_set<Entry> due_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_TIMER_INDEX_H_
