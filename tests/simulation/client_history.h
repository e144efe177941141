#ifndef COROD_TESTS_SIMULATION_CLIENT_HISTORY_H_
#define COROD_TESTS_SIMULATION_CLIENT_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/value.h"
#include "server/journal/record.h"
#include "server/session/specs.h"
#include "tests/simulation/script_history.h"

namespace corod {

// What clients asked and were told, and nothing else. It is right if there is an order in which all that was answered,
// and some of what was not, happened one after the other, each between its question and its answer, as the reference
// bodies and the rules for sessions have it: so no acknowledged step is lost, none is there twice, none has changed,
// and each outcome is the one that the steps before it lead to.
class ClientHistory {
 public:
  // What clients know of how the server is configured.
  struct Promises {
    bool closes_idle = false;      // finishes sessions by itself
    bool forgets_finished = true;  // removes them by itself, and the answers of Deletes
    Step history = 0;              // steps that can be reached
    int max_depth = 24;            // of a value that comes out
  };

  struct Request {
    enum class Kind : std::uint8_t {
      kCommand,
      kCreate,
      kFork,
      kImport,
      kUpdate,
      kGet,
      kExport,
      kDefine,
      kRemove  // takes a script out of the catalog
    } kind = Kind::kCommand;
    std::string session_id;
    std::string request_id;
    // kCommand
    Operation operation = Operation::kSend;
    bool force = false;
    Value value;
    Step expected_step = 0;
    // kCreate: a reference body, and what it is given; kDefine, kRemove: a script, and its variant
    std::string coroutine;
    std::int64_t argument = 0;
    bool prime = false;
    IfExists if_exists = IfExists::kFail;
    // kFork: the session_id is the new one's
    std::string source_id;
    std::optional<Step> at_step;
    // kImport: the attempt of the Export that gave the file
    std::size_t file = 0;
  };

  // What a client is shown of a session.
  struct Shown {
    std::string uid;
    std::string coroutine;
    std::uint32_t version = 0;
    Step steps = 0;
    CoroutineState state = CoroutineState::kCreated;
    std::optional<StepOutcome> last_outcome;
  };

  struct Answer {
    enum class Kind : std::uint8_t { kNone, kStep, kCreated, kShown, kFile, kDefined, kRefused } kind = Kind::kNone;
    StepOutcome step;  // kStep; of kCreated that of priming, whose number is 0 if there was none
    bool replayed = false;
    std::string uid;            // kCreated
    std::uint32_t version = 0;  // kCreated, kDefined; 0: it was taken out
    bool existed = false;       // kCreated
    Shown shown;
    std::string reason;  // kRefused
    bool surely_not_executed = false;
    Step told_step = 0;       // of a refusal: which step it is about
    std::string refused_uid;  // of a refusal: whose session is there
  };

  // Before all else: the script has that variant, as version 1; 0: it is not there.
  void Begin(const std::string& script, std::int64_t variant);
  // Names a request for Ask.
  std::size_t Add(Request request);
  // A client sends the request, perhaps once more; names the attempt for Tell.
  std::size_t Ask(std::size_t request, absl::Time now);
  void Tell(std::size_t attempt, absl::Time now, Answer answer);
  static Answer Refusal(const absl::Status& status);

  // Empty: it is right. Else what is wrong.
  std::string Check(const Promises& promises) const;

 private:
  friend class Explanation;
  struct Attempt {
    std::size_t request = 0;
    std::uint64_t begin = 0;
    std::uint64_t end = ~std::uint64_t{0};  // when it was answered
    absl::Time sent;
    absl::Time answered;
    Answer answer;
  };

  std::uint64_t now_ = 1;  // counts questions and answers
  std::vector<ScriptHistory::Change> begin_;
  std::vector<Request> requests_;
  std::vector<Attempt> attempts_;
};

}  // namespace corod

#endif  // COROD_TESTS_SIMULATION_CLIENT_HISTORY_H_
