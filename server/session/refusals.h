#ifndef COROD_SERVER_SESSION_REFUSALS_H_
#define COROD_SERVER_SESSION_REFUSALS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/journal/record.h"

// What sessions are refused with, and the problems that they may have.
namespace corod {

// What a command for a session with that problem is told: REPLAY_DIVERGED or SESSION_BROKEN, with the step.
absl::Status ProblemStatus(const std::string& session_id, const SessionProblem& problem);

// That refusal, of a command that may have been executed before, or may yet be found in the log: without `executed`.
absl::Status InDoubt(const absl::Status& refusal);

// The problem of a session that cannot be run or read from `step` on.
SessionProblem Broken(std::string message, Step step);
// The problem of one whose replay up to that step gave other outcomes.
SessionProblem Diverged(Step from, Step to);

// The problem of one of whose log the record of `step` cannot be read.
SessionProblem DamagedRecord(Step step);
// The problem of one of which not even the head can be read.
SessionProblem DamagedHead();
// The problem of one whose log begins behind a checkpoint, before `step`, that cannot be read.
SessionProblem DamagedCheckpoint(Step step);

// VERSION_UNAVAILABLE: this server does not have the session's coroutine.
absl::Status VersionUnavailable(const Head& head);

// HISTORY_TRIMMED: the log does not reach back to `step`.
absl::Status Trimmed(const Head& head, Step step);

// SESSION_NOT_FOUND.
absl::Status NoScriptMemory(const std::string& coroutine);
absl::Status NotFound(std::string_view id);

// SESSION_EXISTS. `uid`: of the one that exists, if that is known; `finished_would_do`: the caller would have replaced
// a finished one.
absl::Status Exists(const std::string& id, const std::string& uid, bool finished_would_do);

// Whether this is the journal's, or the table's: the id is taken after all. Nobody is told so.
bool IsConflict(const absl::Status& status);

// NOT_DURABLE, for what needs a log. `what`: the end of the sentence "an ephemeral session has no ...".
absl::Status NotDurable(std::string_view id, std::string_view what);

// DRAINING.
absl::Status Draining();

// OVERLOADED: what waits for what the command needs has waited for so long.
absl::Status Overloaded(std::string_view id, absl::Duration wait);

}  // namespace corod

#endif  // COROD_SERVER_SESSION_REFUSALS_H_
