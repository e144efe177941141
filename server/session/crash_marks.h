#ifndef COROD_SERVER_SESSION_CRASH_MARKS_H_
#define COROD_SERVER_SESSION_CRASH_MARKS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/journal/record.h"

namespace corod {

struct CrashMarksSlot;

// Notes in a file which session is being replayed on which thread, so that after a crash it is known whose replay it
// was. The file is mapped into memory: a note costs no system call, and survives the process. Only a death by a fault
// of the process itself counts (SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL), not a kill from outside. Thread-safe.
class CrashMarks {
 public:
  // What was found in the file when it was opened.
  struct Crash {
    SessionKey key;
    Step step;  // that was being replayed; or of the checkpoint that it was being started from
  };

  // Notes nothing.
  CrashMarks();
  // In the file at `path`, which is made if need be. Installs handlers for the signals above that note the fault and
  // pass it on. Once per process.
  static absl::StatusOr<std::unique_ptr<CrashMarks>> Open(const std::string& path);
  ~CrashMarks();
  CrashMarks(const CrashMarks&) = delete;
  CrashMarks& operator=(const CrashMarks&) = delete;

  const std::vector<Crash>& found() const { return found_; }

  // While it lives, the thread replays that step. Does not nest.
  class Guard {
   public:
    Guard(CrashMarks& marks, const SessionKey& key, Step step);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    CrashMarksSlot* slot_;
  };

 private:
  struct File;
  File* file_ = nullptr;  // mapped; null: notes nothing
  std::vector<Crash> found_;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_CRASH_MARKS_H_
