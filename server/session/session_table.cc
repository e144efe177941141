#include "server/session/session_table.h"

#include "server/base/prefetch.h"

namespace corod {
namespace {

// A set that has this much more room than it needs gives it back; most sessions may be asleep for a long time.
constexpr std::size_t kSparse = 8;
constexpr std::size_t kAlwaysKept = 128;

}  // namespace

SessionPtr SessionTable::Find(const Key& id) const {
  const Shard& shard = shards_[ShardOf(id)];
  const MutexLock lock(shard.mutex);
  const auto found = shard.sessions.find(id);
  return found == shard.sessions.end() ? SessionPtr() : *found;
}

void SessionTable::Prefetch(const Key& id) const {
  const Shard& shard = shards_[ShardOf(id)];
  const MutexLock lock(shard.mutex);
  shard.sessions.prefetch(id);
}

void SessionTable::PrefetchSession(const Key& id) const {
  const Shard& shard = shards_[ShardOf(id)];
  const MutexLock lock(shard.mutex);
  const auto found = shard.sessions.find(Candidate{id.hash()});
  if (found == shard.sessions.end()) return;
  PrefetchLines<2>(found->get());
}

SessionTable::Added SessionTable::Add(const SessionPtr& session, const SessionPtr& replaced) {
  const Key key = session->compact_id().key();
  Shard& shard = shards_[ShardOf(key)];
  const MutexLock lock(shard.mutex);
  const auto found = shard.sessions.find(key);
  if (found != shard.sessions.end()) {
    if (!replaced || *found != replaced) return Added::kNot;
    const MutexLock order_lock(order_mutex_);
    order_.erase(CompactPointer<Session>(found->get()));
    shard.sessions.erase(found);
    order_.insert(CompactPointer<Session>(session.get()));
    shard.sessions.insert(session);
    return Added::kInItsPlace;
  }
  size_.fetch_add(1, std::memory_order_relaxed);
  const MutexLock order_lock(order_mutex_);
  order_.insert(CompactPointer<Session>(session.get()));
  shard.sessions.insert(session);
  return Added::kAlone;
}

bool SessionTable::Remove(Session& session) {
  SessionPtr removed;  // freed without the lock
  const Key key = session.compact_id().key();
  Shard& shard = shards_[ShardOf(key)];
  const MutexLock lock(shard.mutex);
  const auto found = shard.sessions.find(key);
  if (found == shard.sessions.end() || found->get() != &session) return false;
  removed = *found;
  {
    const MutexLock order_lock(order_mutex_);
    order_.erase(CompactPointer<Session>(&session));
  }
  shard.sessions.erase(found);
  const std::size_t capacity = shard.sessions.capacity();
  if (capacity > kAlwaysKept && capacity > kSparse * shard.sessions.size()) shard.sessions.rehash(0);
  size_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

std::vector<SessionPtr> SessionTable::ListAfter(std::string_view id, std::size_t limit) const {
  std::vector<SessionPtr> sessions;
  const MutexLock lock(order_mutex_);
  for (auto next = order_.upper_bound(CompactText(id)); next != order_.end() && sessions.size() < limit; ++next) {
    sessions.emplace_back(next->get());
  }
  return sessions;
}

}  // namespace corod
