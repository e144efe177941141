#ifndef COROD_SERVER_SESSION_TIMER_INDEX_H_
#define COROD_SERVER_SESSION_TIMER_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_set.h"
#include "absl/time/time.h"
#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"

namespace corod {

class Session;

// A session's place in the index.
struct TimerSlot {
  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  static constexpr std::int64_t kOff = kNone - 1;
  std::int64_t due = kNone;
};

// Which session is to be looked at when: one time each, in milliseconds. A session that is used goes on standing at its
// old time and is put to its new one when that comes. A session stands in one index at most. Thread-safe.
class TimerIndex {
 public:
  // `when`: the time at which a session is due.
  explicit TimerIndex(absl::Time (*when)(const Session&)) : when_(when) {}

  // Puts the session to the time at which it is due next, if there is one (which is asked for here, so that of two
  // calls at once the later one holds). Nothing for a session that was taken out for good.
  void Schedule(Session& session);
  // Takes the session out for good.
  void Remove(Session& session);
  // Takes out what is due, the earliest first, `limit` at most.
  std::vector<IntrusivePtr<Session>> TakeDue(absl::Time now, std::size_t limit);
  // Takes out the session that is due first, by what is so now; nullptr if there is none.
  IntrusivePtr<Session> TakeFirst();
  // The earliest time; infinite if there is none.
  absl::Time Earliest() const;

 private:
  absl::Time (*const when_)(const Session&);
  mutable Mutex mutex_;
  absl::btree_set<std::pair<std::int64_t, Session*>> due_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_TIMER_INDEX_H_
