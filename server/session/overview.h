#ifndef COROD_SERVER_SESSION_OVERVIEW_H_
#define COROD_SERVER_SESSION_OVERVIEW_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/journal/journal.h"
#include "server/session/history.h"
#include "server/session/replay.h"
#include "server/session/session.h"
#include "server/session/session_table.h"
#include "server/session/specs.h"

namespace corod {

// How sessions stand, in memory or not; wakes none. Blocks for the journal and for bodies that are run again.
// Thread-safe.
class Overview {
 public:
  Overview(const ReplayEnvironment& environment, const SessionTable& table, const History& history)
      : environment_(environment), table_(table), history_(history) {}

  // One session, as it stands or after a step. SESSION_NOT_FOUND; NOT_DURABLE for a step of an ephemeral one. One whose
  // head is damaged has no uid.
  absl::StatusOr<SessionInfo> Get(const std::string& id, std::optional<Step> at_step) const;
  // A durable session as its log has it, of which one in memory may not have run the end yet.
  absl::StatusOr<SessionInfo> GetLogged(const std::string& id) const;

  // Calls `each` with sessions in the order of their ids until it returns false (that session comes again on the next
  // page). The token of the next page, empty after the last session. Looks at a bounded number, so a page may be empty.
  using Each = std::function<bool(const SessionInfo&)>;
  absl::StatusOr<std::string> List(const ListQuery& query, const Each& each) const;

 private:
  // As Get, but for HISTORY_TRIMMED: the log was shortened between two reads.
  absl::StatusOr<SessionInfo> Look(const std::string& id, std::optional<Step> at_step) const;
  absl::StatusOr<SessionInfo> LookAtLog(const std::string& id) const;
  absl::StatusOr<SessionInfo> InfoOf(const std::string& id, const absl::StatusOr<Journal::Stored>& stored,
                                     bool replays) const;

  const ReplayEnvironment environment_;
  const SessionTable& table_;
  const History& history_;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_OVERVIEW_H_
