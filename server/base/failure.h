#ifndef COROD_SERVER_BASE_FAILURE_H_
#define COROD_SERVER_BASE_FAILURE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace corod {

// Why the service refuses: stable names that clients branch on, each with its status code (docs/errors.md).
#define COROD_REASONS(X)                         \
  X(SESSION_NOT_FOUND, kNotFound)                \
  X(COROUTINE_NOT_FOUND, kNotFound)              \
  X(SESSION_EXISTS, kAlreadyExists)              \
  X(CREDENTIALS_MISSING, kUnauthenticated)       \
  X(CREDENTIALS_INVALID, kUnauthenticated)       \
  X(CREDENTIALS_ENDED, kUnavailable)             \
  X(ROLE_INSUFFICIENT, kPermissionDenied)        \
  X(INVALID_SESSION_ID, kInvalidArgument)        \
  X(INVALID_ARGUMENTS, kInvalidArgument)         \
  X(INVALID_EXCEPTION, kInvalidArgument)         \
  X(INVALID_PAGE_TOKEN, kInvalidArgument)        \
  X(INVALID_SOURCE, kInvalidArgument)            \
  X(VALUE_TOO_DEEP, kInvalidArgument)            \
  X(VALUE_TOO_LARGE, kInvalidArgument)           \
  X(NOT_PRIMED, kFailedPrecondition)             \
  X(NOT_DURABLE, kFailedPrecondition)            \
  X(DURABILITY_UNAVAILABLE, kFailedPrecondition) \
  X(VERSION_UNAVAILABLE, kFailedPrecondition)    \
  X(COROUTINE_BUILT_IN, kFailedPrecondition)     \
  X(REPLY_FORGOTTEN, kFailedPrecondition)        \
  X(HISTORY_LIMIT, kFailedPrecondition)          \
  X(HISTORY_TRIMMED, kOutOfRange)                \
  X(STEP_MISMATCH, kAborted)                     \
  X(REQUEST_ID_REUSED, kAborted)                 \
  X(PREDECESSOR_FAILED, kAborted)                \
  X(TOO_MANY_SESSIONS, kResourceExhausted)       \
  X(TOO_MANY_DEFINITIONS, kResourceExhausted)    \
  X(SCRIPT_MEMORY_FULL, kResourceExhausted)      \
  X(QUEUE_FULL, kResourceExhausted)              \
  X(WATCHER_TOO_SLOW, kResourceExhausted)        \
  X(RATE_LIMITED, kResourceExhausted)            \
  X(TOO_MANY_STREAMS, kResourceExhausted)        \
  X(JOURNAL_LIMIT, kResourceExhausted)           \
  X(MEMORY_LIMIT, kResourceExhausted)            \
  X(READER_TOO_SLOW, kResourceExhausted)         \
  X(OVERLOADED, kUnavailable)                    \
  X(BACKUP_FAILED, kFailedPrecondition)          \
  X(DRAINING, kUnavailable)                      \
  X(JOURNAL_UNAVAILABLE, kUnavailable)           \
  X(REPLAY_DIVERGED, kDataLoss)                  \
  X(SESSION_BROKEN, kDataLoss)

enum class Reason : std::uint8_t {
#define COROD_REASON(name, code) name,
  COROD_REASONS(COROD_REASON)
#undef COROD_REASON
};

// How many there are.
inline constexpr std::size_t kReasons = 0
#define COROD_REASON(name, code) +1
    COROD_REASONS(COROD_REASON)
#undef COROD_REASON
    ;

std::string_view NameOf(Reason reason);

// What a refused call is told. Travels as an absl::Status with payloads; server/rpc/status.cc turns it into a gRPC
// status.
struct FailureDetails {
  std::string reason;  // empty: the status has none (a deadline, a cancellation)
  std::map<std::string, std::string> metadata;
  absl::Duration retry_delay = absl::ZeroDuration();  // zero: waiting does not help
};

// The payload of a status that says, with "no", that nothing has run.
inline constexpr char kExecutedKey[] = "corod/metadata/executed";

// A status of the reason's code. `metadata`: "session_id" and whatever else the reason calls for; `executed` = "no" is
// added, since nothing that is refused has run.
absl::Status Failed(Reason reason, std::string_view message, const std::map<std::string, std::string>& metadata = {},
                    absl::Duration retry_delay = absl::ZeroDuration());

// The same for what may have been done all the same: without `executed`.
absl::Status Doubtful(Reason reason, std::string_view message, const std::map<std::string, std::string>& metadata = {},
                      absl::Duration retry_delay = absl::ZeroDuration());

// A DEADLINE_EXCEEDED or CANCELLED status, for a command that was not executed.
absl::Status NotStarted(absl::StatusCode code, std::string_view message);

FailureDetails DetailsOf(const absl::Status& status);
bool IsFailure(const absl::Status& status, Reason reason);
// The reason alone; nullopt: it has none.
std::optional<Reason> ReasonOf(const absl::Status& status);

}  // namespace corod

#endif  // COROD_SERVER_BASE_FAILURE_H_
