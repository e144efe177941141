#ifndef COROD_SERVER_JOURNAL_JOURNAL_H_
#define COROD_SERVER_JOURNAL_JOURNAL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/compact_text.h"
#include "server/journal/record.h"

namespace corod {

// Where the logs of durable sessions are kept.
//
// A session has a *head* (what it was created with and how it stood when that was last saved), a *log* of batches, and
// *checkpoints*. The log is the truth; heads of sessions that are alive lag behind it.
//
// The order of the log is the fencing. Each batch names the batch that it extends; one whose `previous` is not the last
// valid batch before it is void, for every reader and for ever. So of two writers of one session one succeeds, whatever
// happens between them and the log.
//
// Beside the sessions there is the history of the catalog: one log of events. Their numbers, the revisions of the
// catalog, are its fencing: an event whose revision does not follow that of the last valid event before it is void, for
// every reader and for ever.
//
// Writes (Create, Append, Save, Trim, Remove, Define, Reschedule) never wait for a disk: they are gathered into few
// synced writes and call `done` once, never before the call returns (it must not block), on a thread of the journal's
// or behind the CompletionScope of any thread that has appended: who appends within a scope may be kept behind it, to
// write what has been gathered and to answer it. At most one thread at a time is kept by the disk in that way; it holds
// no lock. Those of one write are called within a CompletionScope. They take effect and are answered in the order of
// the calls, but for appends: what a thread appends within a CompletionScope takes effect when that ends or the thread
// asks for something else, and appends are answered in any order, since a session has one under way. Nothing is kept of
// what is given that somebody may go on changing (exceptions are objects). What `done` is told:
//   OK            it is stable, as --sync promises, and valid
//   kAborted      a conflict: nothing was written; somebody else wrote. Read the log, then decide
//   kUnavailable  a doubt: it may have been written, or be written later. Read the log, and write on with another
//                 BatchId::writer, so that what lands late is void
//   kDataLoss     nothing was written: what the session has, or the catalog's history, is damaged
// Reads may wait for a disk. They see every write that was reported as done. kUnavailable: the journal cannot be read
// now. kDataLoss: what is there is damaged; it concerns that session alone, or the catalog alone.
//
// Thread-safe. REQUIRES of destruction: no call is under way, and every `done` was called (see Shutdown).
class Journal {
 public:
  using Done = std::function<void(absl::Status)>;

  virtual ~Journal() = default;

  // Whether what it keeps survives a restart. A session that is asked to be durable is refused where it does not.
  virtual bool IsDurable() const = 0;
  // Whether other servers may write to the same logs: a session that is brought to life is then claimed first.
  virtual bool IsShared() const { return false; }

  // A new session: its head, the checkpoint where its log begins (if that is not the first step), its first batches,
  // and when it is to be looked at (see ListDue; unset: never), all or nothing. `replaces`: the uid of the session that
  // stands under the id now; what that one had is removed. A conflict if another one stands there, or if none does and
  // one was to be replaced: a write that lands late brings nothing back. REQUIRES: no session ever had this uid; `log`
  // is valid, behind `checkpoint->after` or from the beginning.
  struct NewSession {
    Head head;
    std::optional<Checkpoint> checkpoint;
    std::vector<Batch> log;
    std::string replaces;  // empty: nothing
    std::optional<absl::Time> due;
  };
  virtual void Create(NewSession session, Done done) = 0;

  // Adds a batch. `due`: also look at the session then. A conflict if `batch.previous` is not the last valid batch, or
  // the session is not there.
  virtual void Append(const SessionKey& key, const Batch& batch, std::optional<absl::Time> due, Done done) = 0;
  // What follows an append, for whoever appends with every step: two words, and what is done with them.
  struct Then {
    struct Kind {
      void (*run)(void* a, void* b, absl::Status status);
      // `run` is about to be called: what it needs may be brought into the cache. Called with `near` false, then with
      // true, when what the first call asked for is likely to be there.
      void (*prefetch)(void* a, void* b, bool near);
    };

    void operator()(absl::Status status) const { kind->run(a, b, std::move(status)); }

    const Kind* kind = nullptr;
    void* a = nullptr;
    void* b = nullptr;
  };
  // The same, for whoever has the key in short form: a step copies no texts and allocates nothing.
  virtual void AppendTo(const CompactText& id, const CompactText& uid, const Batch& batch,
                        std::optional<absl::Time> due, Then then) {
    Append({id.str(), uid.str()}, batch, due, then);
  }

  // Replaces the head; adds a checkpoint and a time to look at the session, where they are given. Stable at once only
  // if `synced`. Does not compare: only the one who may append calls it. Does nothing for a session that is not there.
  struct Saved {
    Head head;
    std::optional<Checkpoint> checkpoint;
    std::optional<absl::Time> due;
    bool synced = false;
  };
  virtual void Save(Saved saved, Done done) = 0;

  // Removes the checkpoint of each of these steps, and the batches before `checkpoint_after`, which is `after` of a
  // checkpoint that stays ({}: none; it stays itself, so that a log never loses its last batch). Lazily; not synced.
  // Nobody is told.
  virtual void Trim(const SessionKey& key, BatchId checkpoint_after, std::vector<Step> checkpoints) = 0;

  // Removes all that the session has, if the id still stands for that uid. `tombstone`: kept until its time, for
  // FindTombstone, also if another has come in its place. Without a uid: a session whose head is damaged, so that
  // nobody knows its uid; its log stays where it is, and is of no use. A conflict if the head can be read.
  virtual void Remove(const SessionKey& key, std::optional<Tombstone> tombstone, Done done) = 0;

  // Adds an event to the history of the catalog. A conflict if `event.revision` does not follow the last one there is.
  // After a doubt: read the history to its end, and go on from there. Of two events of one revision the one that takes
  // effect first stays, and the other is void; so one in doubt may still come until another one of its revision is
  // there, and not after that. REQUIRES: `event.name` and
  // `event.documentation` are UTF-8.
  virtual void Define(CatalogEvent event, Done done) = 0;

  // A head, and how far the log goes.
  struct Stored {
    Head head;
    BatchId tail;  // the last valid batch (or `after` of the checkpoint where the log begins); {}: none
    // The last step in the log (or the checkpoint where it begins); 0: none. One that lies behind all that is known, if
    // the end of the log is damaged: who reads on finds that.
    Step logged_steps = 0;
    // The head speaks of all that the log holds.
    bool IsSettled() const { return logged_steps <= head.steps; }
  };
  // nullopt: there is no such session.
  virtual absl::StatusOr<std::optional<Stored>> Find(std::string_view id) const = 0;

  // The sessions whose ids come after `id`, in order, `limit` at most. One that is damaged has a status instead.
  struct Listed {
    std::string id;
    absl::StatusOr<Stored> stored;
  };
  virtual absl::StatusOr<std::vector<Listed>> List(std::string_view after, std::size_t limit) const = 0;

  // The newest checkpoint at or before `step` that is not damaged; nullopt: none (kDataLoss if there are only damaged
  // ones).
  virtual absl::StatusOr<std::optional<Checkpoint>> FindCheckpoint(const SessionKey& key, Step step) const = 0;
  // The steps that have checkpoints, in order.
  virtual absl::StatusOr<std::vector<Step>> ListCheckpoints(const SessionKey& key) const = 0;

  // The valid batches behind `after`, in order: as many as come to about `max_bytes`, at least one if there is one. One
  // that is damaged ends the answer; if it is the first, kDataLoss. Nothing, if the session is not there. kOutOfRange:
  // what follows `after` was trimmed away. REQUIRES: `after` is valid ({}: where the log begins now).
  virtual absl::StatusOr<std::vector<Batch>> Read(const SessionKey& key, BatchId after,
                                                  std::size_t max_bytes) const = 0;

  virtual absl::StatusOr<std::optional<Tombstone>> FindTombstone(std::string_view id,
                                                                 std::string_view request_id) const = 0;

  // The history of the catalog behind that revision, in order: as many events as come to about `max_bytes`, at least
  // one if there is one. One that is damaged or missing ends the answer, and if it is the first, kDataLoss, whose
  // message names its revision: nothing that is behind it can be trusted.
  virtual absl::StatusOr<std::vector<CatalogEvent>> ReadCatalog(std::uint64_t after_revision,
                                                                std::size_t max_bytes) const = 0;

  // The index by time. Each entry stands until Reschedule takes it away, so that nothing is forgotten in a crash; a
  // session may have several. Tombstones are not in it: the journal removes them itself.
  struct Due {
    absl::Time time;
    std::string id;
  };
  // Entries whose time has come, the earliest first, behind `after` (of the call before, while there is more), `limit`
  // at most.
  virtual absl::StatusOr<std::vector<Due>> ListDue(absl::Time now, const std::optional<Due>& after,
                                                   std::size_t limit) const = 0;
  // Takes an entry away and puts the session to another time (unset: to none). Lazily; not synced. Nobody is told.
  virtual void Reschedule(const Due& entry, std::optional<absl::Time> next) = 0;
  // The earliest time in the index; infinite: none.
  virtual absl::Time EarliestDue() const = 0;

  // How many sessions there are.
  virtual std::size_t size() const = 0;
  // How many of them have ids that begin with `prefix`, which is "/.../"; empty: that begin with no '/'.
  virtual std::size_t CountIn(std::string_view prefix) const = 0;

  // Copies what it keeps into `directory`, an absolute path of nothing or of an empty directory: all that was reported
  // as done before the call, and maybe some of what comes meanwhile, as of one moment. Blocks for as long as that
  // takes; writes go on. All or nothing; `cancelled` ends it early. INVALID_ARGUMENTS (the directory), BACKUP_FAILED,
  // DURABILITY_UNAVAILABLE.
  struct BackedUp {
    std::uint64_t sessions = 0;  // about so many, if some come and go meanwhile
    std::uint64_t bytes = 0;
  };
  virtual absl::StatusOr<BackedUp> Backup(const std::string& directory, const std::atomic<bool>& cancelled);

  // How many writes wait for their turn.
  virtual std::size_t QueuedWrites() const { return 0; }
  // How long that has waited which is written next; zero: nothing waits. Takes no lock.
  virtual absl::Duration LongestWait() const { return absl::ZeroDuration(); }
  // What it takes on the disk; nullopt: nothing is there, or it cannot be read now. Looks at the directory.
  virtual std::optional<std::uint64_t> BytesOnDisk() const { return std::nullopt; }
  // About how much of that is of the logs and checkpoints of sessions whose uids are UUIDs that begin with this number
  // (UuidIn). Looks at no file.
  virtual std::optional<std::uint64_t> BytesOf(std::uint32_t uid_group) const {
    static_cast<void>(uid_group);
    return std::nullopt;
  }

  // Says in the log, for those who debug, what it holds in memory beside what its callers know of.
  virtual void LogMemory() const {}

  // Finishes what was asked (all `done` are called), makes it stable, and takes nothing more: later writes are
  // kUnavailable.
  virtual void Shutdown() = 0;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_JOURNAL_H_
