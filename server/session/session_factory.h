#ifndef COROD_SERVER_SESSION_SESSION_FACTORY_H_
#define COROD_SERVER_SESSION_SESSION_FACTORY_H_

#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/journal/journal.h"
#include "server/session/history.h"
#include "server/session/pace.h"
#include "server/session/session.h"
#include "server/session/session_log.h"
#include "server/session/specs.h"

namespace corod {

// Makes sessions: new ones, copies, and those that the journal holds. They are in no table and nobody runs them yet.
// Thread-safe.
class SessionFactory {
 public:
  // Of a session that names none; infinite: never.
  struct IdleTimeouts {
    absl::Duration ephemeral;
    absl::Duration durable;
  };

  SessionFactory(SessionEnvironment& environment, const IdleTimeouts& default_idle_timeout)
      : environment_(environment), default_idle_timeout_(default_idle_timeout) {}

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
  // VERSION_UNAVAILABLE; SESSION_BROKEN, if not even its head can be read.
  absl::StatusOr<SessionPtr> Load(const std::string& id);

 private:
  std::unique_ptr<SessionLog> NewLog(const Head& head);
  // Of a session that has finished: the ids in its log.
  absl::Status ReadIds(const Head& head, SessionLog& log) const;
  Pace* PaceOf(const Definition* definition);

  SessionEnvironment& environment_;
  const IdleTimeouts default_idle_timeout_;
  Mutex paces_mutex_;
  absl::flat_hash_map<const Definition*, std::unique_ptr<Pace>> paces_ ABSL_GUARDED_BY(paces_mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SESSION_FACTORY_H_
