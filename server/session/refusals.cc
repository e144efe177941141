#include "server/session/refusals.h"

#include <algorithm>
#include <map>
#include <utility>

#include "server/base/failure.h"
#include "server/catalog/namespaces.h"

namespace corod {
namespace {

// For a server that has more work than it can do.
constexpr absl::Duration kLeastRetryDelay = absl::Milliseconds(100);
constexpr absl::Duration kMostRetryDelay = absl::Seconds(10);

std::string Local(std::string_view id) { return std::string(LocalName(id)); }

}  // namespace

absl::Status ProblemStatus(const std::string& session_id, const SessionProblem& problem) {
  const Reason reason =
      problem.reason == NameOf(Reason::REPLAY_DIVERGED) ? Reason::REPLAY_DIVERGED : Reason::SESSION_BROKEN;
  return Failed(reason, problem.message + "; steps before it can be watched, exported and forked",
                {{"session_id", Local(session_id)}, {"step", std::to_string(problem.step)}});
}

absl::Status InDoubt(const absl::Status& refusal) {
  absl::Status doubt = refusal;
  doubt.ErasePayload(kExecutedKey);
  return doubt;
}

SessionProblem Broken(std::string message, Step step) {
  return {std::string(NameOf(Reason::SESSION_BROKEN)), std::move(message), step};
}

SessionProblem Diverged(Step from, Step to) {
  return {std::string(NameOf(Reason::REPLAY_DIVERGED)),
          "replaying steps " + std::to_string(from) + " to " + std::to_string(to) +
              " gave other outcomes than when they were first run",
          from};
}

SessionProblem DamagedRecord(Step step) {
  return Broken("the record of step " + std::to_string(step) + " is damaged", step);
}

SessionProblem DamagedHead() { return Broken("what the journal has of the session is damaged", 0); }

SessionProblem DamagedCheckpoint(Step step) {
  return Broken("the checkpoint before step " + std::to_string(step) + ", where the log begins, is damaged", step);
}

absl::Status VersionUnavailable(const Head& head) {
  return Failed(
      Reason::VERSION_UNAVAILABLE,
      "coroutine '" + head.coroutine + "' has no version " + std::to_string(head.version) +
          " in this server; the session is untouched, a server that has it can go on with it",
      {{"session_id", Local(head.key.id)}, {"coroutine", head.coroutine}, {"version", std::to_string(head.version)}});
}

absl::Status Trimmed(const Head& head, Step step) {
  return Failed(Reason::HISTORY_TRIMMED,
                "step " + std::to_string(step) + " is no longer in the log; the earliest is " +
                    std::to_string(head.earliest_step),
                {{"session_id", Local(head.key.id)}, {"earliest_step", std::to_string(head.earliest_step)}});
}

absl::Status NoScriptMemory(const std::string& coroutine) {
  return Failed(Reason::SCRIPT_MEMORY_FULL,
                "coroutines written in Lua hold as much memory as they may; close some, or raise --max-script-memory",
                {{"coroutine", coroutine}}, absl::Seconds(1));
}

absl::Status NotFound(std::string_view id) {
  return Failed(Reason::SESSION_NOT_FOUND, "no session '" + Local(id) + "'", {{"session_id", Local(id)}});
}

absl::Status Exists(const std::string& id, const std::string& uid, bool finished_would_do) {
  return Failed(Reason::SESSION_EXISTS,
                finished_would_do
                    ? "session '" + Local(id) + "' exists and is not finished"
                    : "session '" + Local(id) + "' exists; take another id, or say what to do with if_exists",
                {{"session_id", Local(id)}, {"uid", uid}});
}

bool IsConflict(const absl::Status& status) { return absl::IsAborted(status) && DetailsOf(status).reason.empty(); }

absl::Status NotDurable(std::string_view id, std::string_view what) {
  return Failed(Reason::NOT_DURABLE, "an ephemeral session has no " + std::string(what), {{"session_id", Local(id)}});
}

absl::Status Draining() {
  return Failed(Reason::DRAINING, "the server is shutting down; try again when it is back", {}, absl::Seconds(1));
}

absl::Status Overloaded(std::string_view id, absl::Duration wait) {
  // At the rate of late, what waits is over after as long.
  const absl::Duration delay = std::clamp(absl::Trunc(wait, absl::Milliseconds(1)), kLeastRetryDelay, kMostRetryDelay);
  return Failed(Reason::OVERLOADED, "the server has more work than it can do; try again later, or ask for less",
                {{"session_id", Local(id)}}, delay);
}

}  // namespace corod
