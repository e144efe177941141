#ifndef COROD_SERVER_SESSION_DELETED_SESSIONS_H_
#define COROD_SERVER_SESSION_DELETED_SESSIONS_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/session/command.h"

namespace corod {

// The answers to Deletes that had a request id, since their sessions can no longer give them again, nor keep a Delete
// that is sent again from deleting a new session of that id. Kept for the retention time, the newest 65,536.
// Thread-safe.
class DeletedSessions {
 public:
  explicit DeletedSessions(absl::Duration retention) : retention_(retention) {}

  void Remember(std::string_view session_id, std::string_view request_id, const Reply& reply, absl::Time now);
  // The answer, marked as replayed; nullopt if it is not known.
  std::optional<Reply> Find(std::string_view session_id, std::string_view request_id, absl::Time now) const;

 private:
  static constexpr std::size_t kMaxKept = 65'536;
  static std::string Key(std::string_view session_id, std::string_view request_id);

  const absl::Duration retention_;
  mutable Mutex mutex_;
  absl::flat_hash_map<std::string, std::pair<absl::Time, Reply>> answers_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> oldest_first_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_DELETED_SESSIONS_H_
