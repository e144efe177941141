#ifndef COROD_SERVER_SESSION_HISTORY_H_
#define COROD_SERVER_SESSION_HISTORY_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/random.h"
#include "server/journal/journal.h"
#include "server/session/replay.h"

namespace corod {

// What can be had from a session's log without touching the session: how it stood, a copy of it, a file of it. Blocks
// for the journal and for bodies that are run again. Thread-safe.
class History {
 public:
  explicit History(const ReplayEnvironment& environment) : environment_(environment) {}

  // How a session stands of which the journal has this. One that cannot be replayed to its end is shown with its
  // problem, as far as it goes.
  absl::StatusOr<Head> Now(const Journal::Stored& stored) const;
  // How it stood after `step`. INVALID_ARGUMENTS beyond its end; what Replay fails with.
  absl::StatusOr<Head> At(const Head& head, Step step) const;

  // A session that stands where another one stood: what the journal is to keep of it, and it itself, as a replay at its
  // end.
  struct Copy {
    Journal::NewSession stored;
    std::unique_ptr<Replay> replay;
  };
  // Of the session after `step`. It knows no request ids.
  absl::StatusOr<Copy> CopyAt(const Head& head, Step step, Random& random) const;

  // A file of all that is kept of a session. What is damaged in the log is left out with what stands before it, if a
  // checkpoint stands behind it; else the file ends before it and says so in its head's problem. Not thread-safe.
  class File {
   public:
    File(const ReplayEnvironment& environment, const Head& head) : environment_(environment), head_(head) {}
    // The next part of it, 64 KiB at most; empty: that was all.
    absl::StatusOr<std::string> Next();

   private:
    absl::Status Begin();
    // The log is to begin behind that one.
    absl::Status FindCheckpoint(Step step, std::optional<Checkpoint>& from);
    // The first step from next_ on whose record cannot be read; nullopt: all can.
    absl::StatusOr<std::optional<Step>> FindDamage() const;
    absl::Status ReadSome();

    const ReplayEnvironment environment_;
    Head head_;
    bool begun_ = false;
    bool ended_ = false;
    BatchId tail_;
    Step next_ = 1;
    std::string ready_;
    std::size_t taken_ = 0;  // of ready_
  };
  std::unique_ptr<File> Export(const Head& head) const { return std::make_unique<File>(environment_, head); }
  // The session in such a file, checked and run to its end. Under its own id and uid. INVALID_ARGUMENTS, naming what is
  // wrong, for a file that is none, or whose outcomes this server does not get.
  absl::StatusOr<Copy> Import(std::string_view file, std::string_view name_space) const;

 private:
  const ReplayEnvironment environment_;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_HISTORY_H_
