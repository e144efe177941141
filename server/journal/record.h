#ifndef COROD_SERVER_JOURNAL_RECORD_H_
#define COROD_SERVER_JOURNAL_RECORD_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/outcome.h"
#include "server/coroutine/value.h"

// What the log of a durable session holds. proto/corod/journal/v1 has the same as bytes.
namespace corod {

// The number of a step of a session: 1 for its first command.
using Step = std::uint64_t;

enum class Operation : std::uint8_t {
  kSend,   // `value` is sent
  kThrow,  // `value` is the exception
  kClose,
  kCreate,  // prime
  kDelete,  // close, then forget the session
};

// Who or what closes a session.
enum class CloseCause : std::uint8_t { kClient, kIdle, kExpired, kDrain, kDelete };

using Labels = std::map<std::string, std::string>;

// One life of a session id, in the namespace `default` until there are others.
struct SessionKey {
  std::string id;
  std::string uid;

  friend bool operator==(const SessionKey&, const SessionKey&) = default;
};

// Names one batch of a log. Numbers grow along a log, and a writer uses none twice for one session.
struct BatchId {
  std::uint64_t number = 0;  // 0: no batch
  std::uint64_t writer = 0;

  friend bool operator==(const BatchId&, const BatchId&) = default;
};

// One command that was accepted: a step.
struct Record {
  Operation operation = Operation::kSend;
  CloseCause cause = CloseCause::kClient;
  bool force = false;
  Value value;
  std::string request_id;         // empty: none
  std::uint64_t fingerprint = 0;  // of the operation and its value; with request_id
  absl::Time time;                // when it was accepted, whole nanoseconds

  friend bool operator==(const Record&, const Record&) = default;
};

// What one append adds to a log. Without records it is a claim: its writer voids what others have under way.
struct Batch {
  BatchId id;
  BatchId previous;          // the batch that it extends
  Step first_step = 0;       // records[0]'s; without records, the step that comes next
  std::uint64_t digest = 0;  // of all outcomes before first_step
  std::vector<Record> records;

  friend bool operator==(const Batch&, const Batch&) = default;
};

// Why a session takes no commands any more.
struct SessionProblem {
  std::string reason;  // REPLAY_DIVERGED or SESSION_BROKEN
  std::string message;
  Step step = 0;  // the first that cannot be trusted

  friend bool operator==(const SessionProblem&, const SessionProblem&) = default;
};

// What a step produced.
struct StepOutcome {
  Step step = 0;
  Outcome outcome;

  friend bool operator==(const StepOutcome&, const StepOutcome&) = default;
};

// What a session was created with, and how it stood after `steps`.
struct Head {
  SessionKey key;
  std::string coroutine;
  std::uint32_t version = 0;
  std::vector<Value> arguments;  // one for each parameter
  absl::Time create_time;
  std::string create_request_id;  // empty: none
  std::uint64_t create_fingerprint = 0;
  bool create_primed = false;  // the answer to the Create is step 1
  std::uint64_t seed = 0;      // where the body's random numbers begin
  // Names that its coroutine looks up are resolved as of this revision of the catalog; 0: it looks up none.
  std::uint64_t catalog_revision = 0;

  Labels labels;
  absl::Duration idle_timeout = absl::InfiniteDuration();  // infinite: never
  absl::Time expire_time = absl::InfiniteFuture();         // infinite: never

  Step steps = 0;
  CoroutineState state = CoroutineState::kCreated;
  std::optional<StepOutcome> last_outcome;
  absl::Time last_used_time;
  absl::Time finish_time = absl::InfiniteFuture();  // infinite: it has not finished
  std::uint64_t digest = 0;                         // of all outcomes up to `steps`
  Step earliest_step = 0;                           // the first that can be run again; 0: none was run yet
  std::optional<SessionProblem> problem;
  std::uint32_t crashes = 0;  // how often replaying it ended the process

  friend bool operator==(const Head&, const Head&) = default;
};

// A request id and the step that it stands for.
struct KnownId {
  std::string request_id;
  std::uint64_t fingerprint = 0;
  Step step = 0;

  friend bool operator==(const KnownId&, const KnownId&) = default;
};

// All that is needed to go on behind `step` without running the steps before it.
struct Checkpoint {
  Step step = 0;
  BatchId after;  // the batch that ends with `step`
  Value state;    // what the coroutine keeps
  std::uint64_t digest = 0;
  Outcome outcome;           // of `step`
  std::vector<KnownId> ids;  // the oldest first
  absl::Time time;           // of `step`

  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

// The answer to a Delete that had a request id.
struct Tombstone {
  std::string request_id;
  std::uint64_t fingerprint = 0;
  StepOutcome outcome;
  absl::Time expire_time;

  friend bool operator==(const Tombstone&, const Tombstone&) = default;
};

// What happened to a name of the catalog. All of them are its history.
struct CatalogEvent {
  enum class Kind : std::uint8_t {
    kNative,   // a version that the binary brought
    kLua,      // a version that was defined at run time
    kRemoved,  // the name is taken out of the catalog; its versions stay
  };

  std::uint64_t revision = 0;  // of the catalog, from then on: 1, 2, ... without gaps
  Kind kind = Kind::kNative;
  std::string name;
  std::uint32_t version = 0;  // kRemoved: 0
  std::string source;         // any bytes
  std::string documentation;
  absl::Time time;  // whole nanoseconds

  friend bool operator==(const CatalogEvent&, const CatalogEvent&) = default;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_RECORD_H_
