#include "server/session/timer_index.h"

#include "server/session/session.h"

namespace corod {
namespace {

// Rounded up, so that what is due by this is due by the clock.
std::int64_t Milliseconds(absl::Time time) {
  return absl::ToInt64Milliseconds(absl::Ceil(time - absl::UnixEpoch(), absl::Milliseconds(1)));
}

}  // namespace

void TimerIndex::Schedule(Session& session) {
  const MutexLock lock(mutex_);
  const absl::Time due = when_(session);
  TimerSlot& slot = session.timer();
  if (slot.due == TimerSlot::kOff) return;
  if (slot.due != TimerSlot::kNone) due_.erase({slot.due, &session});
  slot.due = due == absl::InfiniteFuture() ? TimerSlot::kNone : Milliseconds(due);
  if (slot.due != TimerSlot::kNone) due_.emplace(slot.due, &session);
}

void TimerIndex::Remove(Session& session) {
  const MutexLock lock(mutex_);
  TimerSlot& slot = session.timer();
  if (slot.due < TimerSlot::kOff) due_.erase({slot.due, &session});
  slot.due = TimerSlot::kOff;
}

std::vector<IntrusivePtr<Session>> TimerIndex::TakeDue(absl::Time now, std::size_t limit) {
  std::vector<IntrusivePtr<Session>> taken;
  const std::int64_t until = absl::ToInt64Milliseconds(now - absl::UnixEpoch());
  const MutexLock lock(mutex_);
  while (!due_.empty() && due_.begin()->first <= until && taken.size() < limit) {
    Session* session = due_.begin()->second;
    due_.erase(due_.begin());
    session->timer().due = TimerSlot::kNone;
    taken.emplace_back(session);
  }
  return taken;
}

IntrusivePtr<Session> TimerIndex::TakeFirst() {
  const MutexLock lock(mutex_);
  while (!due_.empty()) {
    const auto [at, first] = *due_.begin();
    due_.erase(due_.begin());
    TimerSlot& slot = first->timer();
    const absl::Time due = when_(*first);
    slot.due = due == absl::InfiniteFuture() ? TimerSlot::kNone : Milliseconds(due);
    if (slot.due <= at) {
      slot.due = TimerSlot::kNone;
      return IntrusivePtr<Session>(first);
    }
    if (slot.due != TimerSlot::kNone) due_.emplace(slot.due, first);  // it was used since it was put there
  }
  return {};
}

absl::Time TimerIndex::Earliest() const {
  const MutexLock lock(mutex_);
  return due_.empty() ? absl::InfiniteFuture() : absl::UnixEpoch() + absl::Milliseconds(due_.begin()->first);
}

}  // namespace corod
