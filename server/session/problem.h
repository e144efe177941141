#ifndef COROD_SERVER_SESSION_PROBLEM_H_
#define COROD_SERVER_SESSION_PROBLEM_H_

#include <string>

#include "absl/status/status.h"
#include "server/journal/record.h"

namespace corod {

// What a command for a session with that problem is told: REPLAY_DIVERGED or SESSION_BROKEN, with the step.
absl::Status ProblemStatus(const std::string& session_id, const SessionProblem& problem);

// The problem of a session that cannot be run or read from `step` on.
SessionProblem Broken(std::string message, Step step);
// The problem of one whose replay up to that step gave other outcomes.
SessionProblem Diverged(Step from, Step to);

// The problem of one of which not even the head can be read.
SessionProblem DamagedHead();

// VERSION_UNAVAILABLE: this server does not have the session's coroutine.
absl::Status VersionUnavailable(const Head& head);

// HISTORY_TRIMMED: the log does not reach back to `step`.
absl::Status Trimmed(const Head& head, Step step);

}  // namespace corod

#endif  // COROD_SERVER_SESSION_PROBLEM_H_
