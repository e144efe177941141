#ifndef COROD_TESTS_SIMULATION_EXPLANATION_H_
#define COROD_TESTS_SIMULATION_EXPLANATION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/time/time.h"
#include "tests/simulation/client_history.h"
#include "tests/simulation/reference_bodies.h"
#include "tests/simulation/script_history.h"

namespace corod {

// Looks for an order that explains a history (see ClientHistory): depth first, one session id after the other (they do
// not depend on each other, but for what is copied from one to another), with what was surely executed before what
// perhaps was.
//
// Copies are made of sessions under other ids than those of copies.
class Explanation {
 public:
  Explanation(const ClientHistory& history, const ClientHistory::Promises& promises);
  // Empty: found.
  std::string Find();

 private:
  using Request = ClientHistory::Request;
  using Attempt = ClientHistory::Attempt;
  using Answer = ClientHistory::Answer;
  using Shown = ClientHistory::Shown;
  static constexpr std::size_t kNothing = ~std::size_t{0};

  struct TakenStep {
    std::size_t request = kNothing;  // kNothing: the server's own
    absl::Time sent;
    reference::Input input;
    reference::Expected expected;
    reference::State after;
    std::optional<std::int64_t> time;  // of one that draws, when a client was told
  };
  // One life of a session id.
  struct Life {
    std::string id;
    const reference::Body* body = nullptr;
    std::size_t creator = kNothing;  // the request
    std::size_t source = kNothing;   // the life that it is a copy of
    Step base = 0;                   // the steps that it has from there
    reference::State begin;
    std::vector<TakenStep> steps;
    Step finished = 0;
    bool begun_in_doubt = false;  // by an attempt that was not answered
    std::string uid;              // empty: no client was told
    std::uint32_t version = 0;    // of a script, as clients were told; 0: none was
    std::optional<std::uint64_t> chance;

    const reference::State& state() const { return steps.empty() ? begin : steps.back().after; }
    bool closed() const { return state().phase == reference::State::Phase::kClosed; }
  };
  // Something that happened, or may have happened, at one moment between two.
  struct Event {
    enum class Kind : std::uint8_t {
      kAttempt,   // what the attempt asks for, and its answer
      kCopied,    // of a Fork or an Import: the session that was copied stood so
      kTrimmed,   // of a Fork: so many steps were no longer there
      kTooShort,  // of a Fork: the session had just so many steps
    } kind = Kind::kAttempt;
    std::size_t attempt = 0;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool certain = false;
    bool done = false;
  };
  struct Gone {
    std::size_t request = 0;
    std::size_t life = 0;
    Step step = 0;
  };
  // All that is known of one session id.
  struct Track {
    std::string id;
    std::vector<Event> events;
    std::size_t left = 0;  // certain events that are not done
    std::size_t current = kNothing;
    std::size_t leaving = kNothing;  // a Delete of it is in the log, and perhaps not carried out yet
    std::vector<Gone> gone;
  };
  // What was found out on the way, to be forgotten on the way back.
  struct Known {
    enum class Kind : std::uint8_t { kUid, kVersion, kChance, kTime, kSource } kind;
    std::size_t which = 0;
    Step step = 0;
  };
  struct Source {
    std::size_t life = kNothing;
    Step base = 0;
  };
  enum class Tried : std::uint8_t {
    kNo,       // it does not fit here
    kFailed,   // it fits, but then something else does not
    kDeadEnd,  // the same, and leaving it for later would not help
    kExplained
  };

  // What clients know of the scripts.
  void CollectScripts();
  void Collect();
  void AddEvent(const std::string& id, const Event& event);
  std::string CheckRefusals() const;
  // Whether a refusal can be explained by a script that was not there.
  bool MayLackScript(const Attempt& attempt, const Request& request) const;
  // Whether what the session in that file looks up may have changed.
  bool MayHaveChanged(std::size_t file) const;

  // The rest, from that track on.
  bool Enter(std::size_t at);
  // The rest of this track, and what follows.
  bool Go();
  bool GoOn(Event& event);
  Tried Try(Event& event);
  Tried TryCommand(Event& event, const Attempt& attempt, const Request& request);
  Tried TryCreate(Event& event, const Attempt& attempt, const Request& request);
  Tried TryCopy(Event& event, const Attempt& attempt, const Request& request);
  Tried BeginCopy(Event& event, const Life& copy, const Attempt& attempt, const Request& request);
  Tried TryRefusal(Event& event, const Attempt& attempt, const Request& request);
  Tried TrySource(Event& event, const Attempt& attempt, const Request& request);
  // A step, and what follows.
  Tried TakeFresh(Event& event, const Attempt& attempt, const Request& request);
  Tried BeginLife(Event& event, Life life, const Attempt& attempt, const Request& request);
  bool ServerActs();
  // Whether the same was asked before, which is as good.
  bool IsAnothersTurn(const Event& event) const;
  // Whether somebody was told later of what the attempt may have done next.
  bool Supported(const Event& event) const;
  // Whether somebody is still to be told of a life that is over.
  bool IsTooLate() const;
  // What is told fits; nothing about the order changes by it.
  Tried Seen(Event& event, std::size_t mark);

  Life CopyOf(std::size_t source, Step base, const std::string& id, std::size_t creator) const;
  // It finds another variant of what it looks up. False: then it would not have had the outcomes that it had.
  bool LooksUpAnew(Life& copy, std::int64_t variant) const;
  void Push(Life& life, std::size_t request, const reference::Input& input, absl::Time sent);
  void Pop(Life& life);
  std::optional<Step> StepOf(const Life& life, std::size_t request) const;
  bool Created(const Life& life, const Request& request) const;

  bool FitsUid(std::size_t life, const std::string& uid);
  bool FitsVersion(std::size_t life, std::uint32_t version);
  bool FitsOutcome(std::size_t life, const StepOutcome& told, absl::Time now);
  bool FitsShown(std::size_t life, const Shown& shown, absl::Time now);
  void Forget(std::size_t mark);

  // What the rest depends on, as one number.
  std::uint64_t Position() const;
  void Describe();
  std::string Text(const Event& event) const;
  std::string TextOf(const StepOutcome& outcome) const;

  const ClientHistory& history_;
  const ClientHistory::Promises promises_;
  ScriptHistory scripts_;
  std::vector<Track> tracks_;
  std::deque<Life> lives_;
  std::vector<Known> known_;
  std::map<std::size_t, Source> sources_;  // of requests that made copies
  std::size_t at_ = 0;                     // the track
  std::uint64_t looks_ = 0;
  std::size_t spare_ = 0;                                     // so much may have happened that nobody was told of
  std::unordered_map<std::uint64_t, std::size_t> dead_ends_;  // with how much to spare
  bool describes_ = false;
  std::size_t furthest_ = 0;
  std::string description_;
};

}  // namespace corod

#endif  // COROD_TESTS_SIMULATION_EXPLANATION_H_
