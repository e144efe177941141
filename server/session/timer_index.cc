#include "server/session/timer_index.h"

#include <algorithm>

#include "server/session/session.h"

namespace corod {

std::uint64_t TimerIndex::DueOf(const Session& session) const {
  const absl::Time due = when_(session);
  if (due == absl::InfiniteFuture()) return TimerSlot::kNone;
  const std::int64_t ms = absl::ToInt64Milliseconds(absl::Ceil(due - begin_, absl::Milliseconds(1)));
  return std::min(static_cast<std::uint64_t>(std::max(ms, std::int64_t{0})), TimerSlot::kLast);
}

std::uint64_t TimerIndex::Behind(absl::Time now) const {
  const std::int64_t ms = absl::ToInt64Milliseconds(now - begin_);
  return static_cast<std::uint64_t>(std::max(ms, std::int64_t{-1}) + 1);
}

void TimerIndex::Schedule(Session& session) {
  const MutexLock lock(mutex_);
  const std::uint64_t due = DueOf(session);
  TimerSlot& slot = session.timer();
  const std::uint64_t before = slot.Get();
  if (before == TimerSlot::kOff || before == due) return;
  if (before != TimerSlot::kNone) due_.erase(Entry(before, &session));
  slot.Set(due);
  if (due != TimerSlot::kNone) due_.insert(Entry(due, &session));
}

void TimerIndex::Remove(Session& session) {
  const MutexLock lock(mutex_);
  TimerSlot& slot = session.timer();
  if (slot.Get() < TimerSlot::kOff) due_.erase(Entry(slot.Get(), &session));
  slot.Set(TimerSlot::kOff);
}

std::vector<IntrusivePtr<Session>> TimerIndex::TakeDue(absl::Time now, std::size_t limit) {
  std::vector<IntrusivePtr<Session>> taken;
  const std::uint64_t behind = Behind(now);
  const MutexLock lock(mutex_);
  while (!due_.empty() && due_.begin()->due() < behind && taken.size() < limit) {
    Session* session = due_.begin()->session();
    due_.erase(due_.begin());
    session->timer().Set(TimerSlot::kNone);
    taken.emplace_back(session);
  }
  return taken;
}

IntrusivePtr<Session> TimerIndex::TakeFirst() {
  const MutexLock lock(mutex_);
  while (!due_.empty()) {
    const Entry entry = *due_.begin();
    due_.erase(due_.begin());
    Session* const first = entry.session();
    const std::uint64_t due = DueOf(*first);
    if (due <= entry.due()) {
      first->timer().Set(TimerSlot::kNone);
      return IntrusivePtr<Session>(first);
    }
    first->timer().Set(due);
    if (due != TimerSlot::kNone) due_.insert(Entry(due, first));  // it was used since it was put there
  }
  return {};
}

std::vector<IntrusivePtr<Session>> TimerIndex::TakeSome(Place& place, std::size_t looks,
                                                        const std::function<bool(const Session&)>& takes) {
  std::vector<IntrusivePtr<Session>> taken;
  const MutexLock lock(mutex_);
  auto next = due_.upper_bound(Entry(place.due, place.session));
  for (; next != due_.end() && looks > 0; --looks) {
    Session* const session = next->session();
    place = {next->due(), session};
    const std::uint64_t due = DueOf(*session);
    const bool was_used = due > next->due();  // since it was put there; it is met again where it belongs
    if (!was_used && !takes(*session)) {
      ++next;
      continue;
    }
    due_.erase(next);
    session->timer().Set(was_used ? due : TimerSlot::kNone);
    if (!was_used) {
      taken.emplace_back(session);
    } else if (due != TimerSlot::kNone) {
      due_.insert(Entry(due, session));
    }
    next = due_.upper_bound(Entry(place.due, place.session));
  }
  if (next == due_.end()) place = {};
  return taken;
}

absl::Time TimerIndex::Earliest() const {
  const MutexLock lock(mutex_);
  if (due_.empty()) return absl::InfiniteFuture();
  return begin_ + absl::Milliseconds(due_.begin()->due());
}

}  // namespace corod
