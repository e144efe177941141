#ifndef COROD_SERVER_SESSION_SESSION_LOG_H_
#define COROD_SERVER_SESSION_SESSION_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/compact_text.h"
#include "server/journal/journal.h"
#include "server/session/command.h"
#include "server/session/known_ids.h"

namespace corod {

// What a durable session knows of its log. For whoever runs the session, but for what is said to be guarded.
struct SessionLog {
  explicit SessionLog(std::size_t max_ids) : ids(max_ids) {}

  CompactText uid;  // the session's

  // Where the log ends, and who writes: another writer after each doubt, so that what lands late is void.
  BatchId tail;
  std::uint64_t writer = 0;
  std::uint64_t last_number = 0;  // the highest that this writer has used
  KnownIds ids;

  // What was handed to the journal.
  CommandQueue batch;
  std::vector<Record> records;  // of batch, while it is under way
  BatchId batch_id;
  absl::Time batch_time;

  // What the next append is to do before anything else.
  std::unique_ptr<Journal::NewSession> creating;  // the session is not in the journal yet
  std::function<void(const absl::Status&)> created;
  bool claiming = false;  // append an empty batch, so that no other writer's lands any more
  bool doubtful = false;  // the log may hold more than is known here: read it first
  bool deleting = false;  // the last step was a Delete: remove the session from the journal
  // Of that Delete: what is to be kept of it, and the command that waits for its answer.
  std::optional<Tombstone> tombstone;
  Command* deleter = nullptr;
  std::optional<Reply> deleted;

  // The step `reply` was a Delete.
  void NoteDelete(const std::string& request_id, std::uint64_t fingerprint, const Reply& reply) {
    deleting = true;
    tombstone.reset();
    if (!request_id.empty()) {
      tombstone = Tombstone{.request_id = request_id,
                            .fingerprint = fingerprint,
                            .outcome = {reply.step, *reply.outcome},
                            .expire_time = {}};
    }
  }
  bool scheduled = false;  // the journal's index by time knows that this session is alive

  // Of the Create.
  std::string create_request_id;
  std::uint64_t create_fingerprint = 0;
  bool create_primed = false;

  Step asked_checkpoint = 0;  // the newest that was asked for

  // Guarded by the session's mutex.
  bool being_created = false;  // from CreateInJournal until it is known how that went
  std::vector<std::function<void()>> waiting_for_creation;
  int updates = 0;                // changes that are on their way to the journal
  std::uint64_t digest = 0;       // of all outcomes
  std::vector<Step> checkpoints;  // the steps of those that are stored, in order
  Step earliest_step = 1;
  Step saved_steps = 0;         // the head in the journal speaks of so many
  bool saved_finished = false;  // and says that it is finished
  std::optional<SessionProblem> problem;
  std::uint32_t crashes = 0;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SESSION_LOG_H_
