#include "server/session/deleted_sessions.h"

namespace corod {

std::string DeletedSessions::Key(std::string_view session_id, std::string_view request_id) {
  std::string key(session_id);
  key += '\n';  // in no session id
  key += request_id;
  return key;
}

void DeletedSessions::Remember(std::string_view session_id, std::string_view request_id, const Reply& reply,
                               absl::Time now) {
  const std::string key = Key(session_id, request_id);
  const MutexLock lock(mutex_);
  while (!oldest_first_.empty()) {
    const auto oldest = answers_.find(oldest_first_.front());
    if (oldest_first_.size() < kMaxKept && oldest->second.first + retention_ > now) break;
    answers_.erase(oldest);
    oldest_first_.pop_front();
  }
  if (answers_.insert_or_assign(key, std::pair(now, reply)).second) oldest_first_.push_back(key);
}

std::optional<Reply> DeletedSessions::Find(std::string_view session_id, std::string_view request_id,
                                           absl::Time now) const {
  const MutexLock lock(mutex_);
  const auto found = answers_.find(Key(session_id, request_id));
  if (found == answers_.end() || found->second.first + retention_ <= now) return std::nullopt;
  Reply reply = found->second.second;
  reply.replayed = true;
  return reply;
}

}  // namespace corod
