#ifndef COROD_SERVER_SESSION_SESSION_LOG_H_
#define COROD_SERVER_SESSION_SESSION_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/base/compact_pointer.h"
#include "server/base/compact_text.h"
#include "server/base/random.h"
#include "server/journal/journal.h"
#include "server/session/command.h"
#include "server/session/known_ids.h"

namespace corod {

// What a durable session knows of its log. For whoever runs the session, but for what is said to be guarded, which is
// by the session's mutex; what only whoever runs it changes, it reads without.
struct SessionLog {
  // A session that is being created.
  struct Creation {
    std::unique_ptr<Journal::NewSession> made;
    const Command* prime = nullptr;  // which is part of the Create; null: none
    std::function<void(const absl::Status&)> created;
    std::vector<std::function<void()>> waiting;  // guarded
  };
  // The last step was a Delete.
  struct Deletion {
    std::optional<Tombstone> tombstone;  // what is to be kept of it
    Command* deleter = nullptr;          // who waits for its answer
    std::optional<Reply> deleted;
  };
  // What only some sessions have, or all at times only.
  struct Extras {
    static void* operator new(std::size_t bytes);
    static void operator delete(void* extras);

    bool IsEmpty() const {
      return !creation && !deletion && !problem && checkpoints.empty() && asked_checkpoint == 0 && earliest_step == 1 &&
             updates == 0 && writer == 0;
    }

    std::unique_ptr<Creation> creation;
    std::unique_ptr<Deletion> deletion;
    // Guarded.
    std::unique_ptr<SessionProblem> problem;
    std::vector<Step> checkpoints;  // the steps of those that are stored, in order
    Step asked_checkpoint = 0;      // the newest that was asked for
    Step earliest_step = 1;
    std::uint64_t writer = 0;  // see Next
    std::int32_t updates = 0;  // changes that are on their way to the journal
  };

  SessionLog() = default;
  ~SessionLog() { delete extras_.get(); }
  SessionLog(const SessionLog&) = delete;
  SessionLog& operator=(const SessionLog&) = delete;

  static void* operator new(std::size_t bytes);
  static void operator delete(void* log);

  // Whether nothing is to be done before the next command.
  bool IsSettled() const { return !creating && !claiming && !doubtful && !deleting; }
  // The step `reply` was a Delete. Guarded.
  void NoteDelete(std::string_view request_id, std::uint64_t fingerprint, const Reply& reply);

  // Guarded, all of what follows.
  const Extras* extras() const { return extras_.get(); }
  Extras& MutableExtras() {
    if (!extras_) extras_ = CompactPointer<Extras>(new Extras);
    return *extras_;
  }
  // When nobody runs the session.
  void TidyUp() {
    if (!extras_ || !extras_->IsEmpty()) return;
    delete extras_.get();
    extras_ = {};
  }
  bool has_problem() const { return extras_ && extras_->problem; }
  Step earliest_step() const { return extras_ ? extras_->earliest_step : 1; }
  Step asked_checkpoint() const { return extras_ ? extras_->asked_checkpoint : 0; }
  // The batch that is appended next, or is under way: by the writer of the tail, or by one of its own, which is made of
  // `random` when it is needed.
  BatchId Next(Random& random);
  // What follows is by another writer.
  void ChangeWriter();

  CompactText uid;  // the session's; does not change

  // Where the log ends. Who writes is another one after each doubt, so that what lands late is void.
  BatchId tail;
  std::uint64_t digest = 0;  // of all outcomes; guarded
  KnownIds ids;

 private:
  CompactPointer<Extras> extras_;  // its own

 public:
  // What the next append is to do before anything else.
  bool creating : 1 = false;        // the session is not in the journal yet: extras say what is to be created
  bool claiming : 1 = false;        // append an empty batch, so that no other writer's lands any more
  bool doubtful : 1 = false;        // the log may hold more than is known here: read it first
  bool deleting : 1 = false;        // the last step was a Delete: remove the session from the journal
  bool scheduled : 1 = false;       // the journal's index by time knows that this session is alive
  bool owns_tail : 1 = false;       // its writer writes on
  bool checkpoint_due : 1 = false;  // the last step was one of so many since the last checkpoint
  bool saved_finished : 1 = false;  // the head in the journal says, or is to say, that it is finished
  bool : 0;                         // guarded, so no bits of the same word
  bool being_created : 1 = false;   // from CreateInJournal until it is known how that went
  bool saved : 1 = false;           // the head in the journal speaks of all steps
  bool : 0;                         // does not change
  bool create_primed : 1 = false;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SESSION_LOG_H_
