#ifndef COROD_SERVER_SESSION_SESSION_FACTORY_H_
#define COROD_SERVER_SESSION_SESSION_FACTORY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/journal/journal.h"
#include "server/session/history.h"
#include "server/session/session.h"
#include "server/session/session_log.h"
#include "server/session/specs.h"

namespace corod {

// Makes sessions: new ones, copies, and those that the journal holds. They are in no table and nobody runs them yet.
// Thread-safe.
class SessionFactory {
 public:
  explicit SessionFactory(SessionEnvironment& environment);

  // A session as a spec asks for it; of a durable one also what the journal is to keep. COROUTINE_NOT_FOUND,
  // VERSION_UNAVAILABLE, DURABILITY_UNAVAILABLE, INVALID_ARGUMENTS.
  struct Built {
    SessionPtr session;
    Journal::NewSession stored;
  };
  absl::StatusOr<Built> Build(const CreateSpec& spec);

  // Takes the coroutine out of the copy.
  SessionPtr FromCopy(const History::Copy& copy);

  // The session that the journal has under this id, replayed to its end; nullptr: there is none. One with a problem
  // answers with it. Blocks for the journal and for bodies that are run again. JOURNAL_UNAVAILABLE,
  // VERSION_UNAVAILABLE; kDataLoss, if not even its head can be read.
  absl::StatusOr<SessionPtr> Load(const std::string& id);

 private:
  std::unique_ptr<SessionLog> NewLog(const Head& head);
  void Remember(SessionLog& log, std::string_view request_id, std::uint64_t fingerprint, Step step) const;
  void Remember(SessionLog& log, const Batch& batch) const;
  // Gives the checkpoint's step.
  Step Remember(SessionLog& log, const Checkpoint& checkpoint) const;
  // Of a session that has finished: the ids in its log, and whether it is to be removed. Gives the step of its newest
  // checkpoint; 0: there is none.
  absl::StatusOr<Step> ReadIds(const Head& head, SessionLog& log) const;
  SessionKind& KindOf(const Definition* definition, const Head& head);

  SessionEnvironment& environment_;
  std::atomic<std::uint64_t> next_seed_;  // of ephemeral sessions: no two have the same
  Mutex kinds_mutex_;
  absl::flat_hash_map<const Definition*, std::unique_ptr<Pace>> paces_ ABSL_GUARDED_BY(kinds_mutex_);
  absl::flat_hash_map<std::tuple<const Definition*, CatalogRevision, Account*>, std::unique_ptr<SessionKind>> kinds_
      ABSL_GUARDED_BY(kinds_mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SESSION_FACTORY_H_
