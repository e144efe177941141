#ifndef COROD_TESTS_FUZZ_SESSION_MODEL_H_
#define COROD_TESTS_FUZZ_SESSION_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

// What a server does by the rules of docs/api.md, said once more and as simply as possible: one thread, plain structs,
// whole seconds. It uses nothing of the server. The bodies are those of tally.h.
namespace corod::fuzz {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
// How long the tally's "slow" takes.
constexpr std::int64_t kSlowSeconds = 3;

enum class Sent : std::uint8_t { kNull, kOne, kStop, kRaise, kBig, kSlow };
enum class Thrown : std::uint8_t { kKeyError, kValueError, kStopIteration, kGeneratorExit };

// What a step produced, as text, and what it takes when it is encoded.
struct Said {
  std::string text;  // "yielded 3", "returned 'bye'", "raised ValueError: asked to", notes in [ ]
  std::size_t bytes = 0;
};

// A body of tally.h. Each function is what Python's generator of that body would do.
class BodyModel {
 public:
  // `by` 0: the brief one, of which `ignores` says whether it raises.
  BodyModel(std::int64_t by, std::int64_t ignores) : by_(by), ignores_(ignores) {}

  bool created() const { return stage_ == Stage::kCreated; }
  bool suspended() const { return stage_ == Stage::kSuspended; }
  bool closed() const { return stage_ == Stage::kClosed; }
  const char* state() const { return created() ? "created" : suspended() ? "suspended" : "closed"; }
  // How often its Finally ran.
  int cleanups() const { return cleanups_; }
  // Whether sending this takes time.
  bool IsSlow(Sent sent) const { return suspended() && sent == Sent::kSlow; }

  Said Send(Sent sent);
  Said Throw(Thrown thrown);
  Said Close();
  void Drop() { stage_ = Stage::kClosed; }

 private:
  enum class Stage : std::uint8_t { kCreated, kSuspended, kClosed };
  Said Leave(Said said);

  std::int64_t by_;
  std::int64_t ignores_;
  Stage stage_ = Stage::kCreated;
  std::int64_t count_ = 0;
  int cleanups_ = 0;
};

enum class Verb : std::uint8_t { kSend, kThrow, kClose, kDelete };

struct CommandSpec {
  Verb verb = Verb::kSend;
  std::string session_id;
  Sent sent = Sent::kNull;
  Thrown thrown = Thrown::kKeyError;
  bool force = false;
  std::uint64_t expected_step = 0;
  std::string request_id;
  std::string uid;
  std::int64_t deadline = kNever;
};

enum class Exists : std::uint8_t { kFail, kReturn, kReplaceFinished };

struct CreateOrder {
  std::string session_id;
  std::string made_id;  // the id that its request id stands for, if session_id is empty; empty: any
  std::string coroutine;
  std::uint32_t version = 0;
  std::optional<std::int64_t> argument;  // ignores, or raises
  bool unknown_argument = false;
  bool prime = false;
  std::optional<std::int64_t> idle_timeout;
  std::int64_t expire_time = kNever;
  bool durable = false;
  Exists exists = Exists::kFail;
  std::map<std::string, std::string> labels;
  std::string request_id;
  std::int64_t deadline = kNever;
};

// What a command has to be told: one of the refusals, or the answer if there are none.
struct Expected {
  std::set<std::string> refusals = {};
  std::uint64_t step = 0;  // 0: it was no step
  std::string said = "";   // empty: nothing was said (a Create that did not prime)
  bool replayed = false;
  bool existed = false;
};

// One life of a session id.
struct Life {
  struct Known {
    std::string request_id;
    std::string what;  // operation and value
    std::uint64_t step;
    std::string said;  // empty: gone, or there was none
    std::size_t bytes;
    bool forgotten = false;
    bool of_create = false;
    CommandSpec command = {};
    CreateOrder order = {};  // of_create
  };
  // A command that waits.
  struct Waiting {
    enum class Kind : std::uint8_t {
      kCommand,
      kPrime,  // a Create's
      kAgain,  // a Create that was seen before: asks for its answer
      kClose,  // the server's: the session is idle or expired
      kDrain,  // the server's
    };
    Kind kind = Kind::kCommand;
    int token = 0;
    bool cancelled = false;
    bool too_many = false;  // it has to be refused: QUEUE_FULL
    CommandSpec command = {};
    CreateOrder order = {};
  };

  std::string id;
  std::string uid;  // empty until the server has told it
  std::string coroutine;
  std::uint32_t version = 0;
  BodyModel body{1, 0};
  std::uint64_t steps = 0;
  std::uint64_t last_step = 0;
  std::string last_said;
  std::map<std::string, std::string> labels;
  std::int64_t idle_timeout = kNever;
  std::int64_t expire_time = kNever;
  std::int64_t created = 0;
  std::int64_t last_used = 0;
  std::int64_t finished = kNever;
  std::string create_request_id;
  std::vector<Known> known;  // oldest first
  std::deque<Waiting> waiting;
  bool in_step = false;
  bool forgotten = false;
};

class SessionModel {
 public:
  struct Options {
    std::size_t max_sessions;
    std::int64_t idle_timeout;
    std::int64_t retention;
    std::size_t max_queued;
    std::size_t max_remembered_ids;
    std::size_t max_remembered_bytes;
  };

  // `steps_of`: how many steps the server says that a session has, which is how the model sees that a close that the
  // server makes by itself has happened.
  SessionModel(Options options, std::function<std::uint64_t(const std::string&)> steps_of)
      : options_(options), steps_of_(std::move(steps_of)) {}

  // A command comes in. The answer that it gets at once, or nothing: it waits, and Answer says what it gets.
  std::optional<Expected> Create(int token, const CreateOrder& order);
  std::optional<Expected> Submit(int token, const CommandSpec& command);
  // What a command that waits is answered with, now. A refusal "OUT OF TURN" if it is not its turn.
  Expected Answer(int token);
  // The server has refused a command at once since too many wait; false: it may not.
  bool RefuseQueueFull(int token);
  // The id of a session that was created without one.
  void Learn(const std::string& id);
  // The caller of a command that waits has gone.
  void Cancel(int token);

  // The refusal; empty: it was done.
  std::string Update(const std::string& id, const std::map<std::string, std::string>& labels,
                     const std::vector<std::string>& remove_labels, std::optional<std::int64_t> idle_timeout,
                     std::optional<std::int64_t> expire_time);

  void Advance(std::int64_t seconds) { now_ += seconds; }
  void Sweep();
  void Drain();
  // Sees which of the closes that the server makes have happened, other than behind a command that was answered.
  void Observe();
  // A task of the server's has ended, or a call to it: no command waits for a session that had a turn in it. False: one
  // does.
  bool Settle();

  std::int64_t now() const { return now_; }
  bool draining() const { return draining_; }
  const std::map<std::string, std::shared_ptr<Life>>& lives() const { return lives_; }
  Life* Find(const std::string& id);
  bool AnyoneWaits() const { return !waiting_in_.empty(); }
  // A close that the server makes waits for its turn.
  static bool IsBeingClosed(const Life& life);
  // When something is due for a session that nobody closes yet; kNever: nothing is.
  std::int64_t EarliestDue() const;
  int cleanups() const { return cleanups_; }
  // The Deletes whose answers have been kept: session id and request id.
  std::vector<std::pair<std::string, std::string>> Deletes() const;

 private:
  std::optional<Expected> CreateAnew(int token, const CreateOrder& order, const std::string& id);
  void Enqueue(const std::shared_ptr<Life>& life, Life::Waiting waiting);
  // Takes from the head of the queue what is answered to nobody, or is sent elsewhere.
  enum class DueCloses : std::uint8_t { kRun, kLeave };
  void TakeUnseen(const std::shared_ptr<Life>& life, DueCloses due_closes);
  // Whether a close that the server makes happens when its turn comes.
  bool IsStillDue(const Life& life, const Life::Waiting& waiting) const;
  Expected Turn(Life& life, const Life::Waiting& waiting);
  Expected TakeStep(Life& life, const Life::Waiting& waiting);
  Said Run(Life& life, const Life::Waiting& waiting);
  static Said CloseUpTo(Life& life, int attempts, bool drop);
  void Remember(Life& life, Life::Known known) const;
  void Forget(const std::shared_ptr<Life>& life);
  std::int64_t DueOf(const Life& life) const;

  const Options options_;
  const std::function<std::uint64_t(const std::string&)> steps_of_;
  std::int64_t now_ = 0;
  bool draining_ = false;
  int cleanups_ = 0;
  std::map<std::string, std::shared_ptr<Life>> lives_;
  std::map<int, std::shared_ptr<Life>> waiting_in_;  // by token
  std::map<int, Expected> answered_;                 // what was told to a Create that was sent elsewhere, by token
  std::set<std::shared_ptr<Life>> touched_;          // had a turn since Settle
  // The answers to Deletes: by session id and request id, until when and what.
  std::map<std::pair<std::string, std::string>, std::pair<std::int64_t, Expected>> deleted_;
};

}  // namespace corod::fuzz

#endif  // COROD_TESTS_FUZZ_SESSION_MODEL_H_
