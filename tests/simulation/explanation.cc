#include "tests/simulation/explanation.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "server/coroutine/fingerprint.h"
#include "server/coroutine/text_form.h"

namespace corod {
namespace {

// After so many looks it is worth while to recognize positions that lead nowhere; after so many it is given up.
constexpr std::uint64_t kLooksBeforeRemembering = 100;
constexpr std::uint64_t kMaxLooks = 500'000;

CoroutineState StateOf(reference::State::Phase phase) {
  switch (phase) {
    case reference::State::Phase::kCreated:
      return CoroutineState::kCreated;
    case reference::State::Phase::kSuspended:
      return CoroutineState::kSuspended;
    case reference::State::Phase::kClosed:
      break;
  }
  return CoroutineState::kClosed;
}

// What the session finds does not follow from its own version.
bool LooksUp(const reference::Body& body) {
  return !reference::ScriptOf(body).empty() && reference::ScriptOf(body) != reference::CoroutineOf(body);
}

}  // namespace

Explanation::Explanation(const ClientHistory& history, const ClientHistory::Promises& promises)
    : history_(history), promises_(promises) {}

std::string Explanation::Find() {
  CollectScripts();
  if (std::string wrong = scripts_.Check(); !wrong.empty()) return wrong;
  if (std::string wrong = CheckRefusals(); !wrong.empty()) return wrong;
  Collect();
  if (Enter(0)) return "";
  const bool given_up = looks_ > kMaxLooks;
  // Once more, to say how far it went.
  looks_ = 0;
  dead_ends_.clear();
  describes_ = true;
  static_cast<void>(Enter(0));
  return (given_up ? "no order was found (there may be one) that explains what clients were told; " : "") +
         description_;
}

void Explanation::CollectScripts() {
  for (const ScriptHistory::Change& change : history_.begin_) scripts_.Add(change);
  for (const Attempt& attempt : history_.attempts_) {
    const Request& request = history_.requests_[attempt.request];
    if (request.kind != Request::Kind::kDefine && request.kind != Request::Kind::kRemove) continue;
    const bool refused = attempt.answer.kind == Answer::Kind::kRefused;
    if (refused && attempt.answer.surely_not_executed) continue;
    ScriptHistory::Change change{.script = request.coroutine, .variant = request.argument, .begin = attempt.begin};
    if (attempt.answer.kind == Answer::Kind::kDefined) {
      change.end = attempt.end;
      change.version = attempt.answer.version;
    }
    scripts_.Add(std::move(change));
  }
}

bool Explanation::MayLackScript(const Attempt& attempt, const Request& request) const {
  std::string_view script = request.coroutine;
  if (request.kind == Request::Kind::kCreate) {
    const reference::Body& body = *reference::FindBody(request.coroutine);
    script = reference::ScriptOf(body);
    if (!reference::NeedsScript(body)) return false;
  }
  const std::vector<std::int64_t> possible = scripts_.PossibleBetween(script, attempt.begin, attempt.end);
  return std::find(possible.begin(), possible.end(), 0) != possible.end();
}

bool Explanation::MayHaveChanged(std::size_t file) const {
  const std::string& id = history_.requests_[history_.attempts_[file].request].session_id;
  return std::any_of(history_.requests_.begin(), history_.requests_.end(), [&](const Request& request) {
    if (request.kind != Request::Kind::kCreate || request.session_id != id) return false;
    const reference::Body& body = *reference::FindBody(request.coroutine);
    return LooksUp(body) && scripts_.PossibleBetween(reference::ScriptOf(body), 0, ~std::uint64_t{0}).size() > 1;
  });
}

// What no client may be told, however things stand.
std::string Explanation::CheckRefusals() const {
  constexpr std::array<std::string_view, 7> kUsual = {"SESSION_NOT_FOUND",  "SESSION_EXISTS", "NOT_PRIMED",
                                                      "STEP_MISMATCH",      "QUEUE_FULL",     "REPLY_FORGOTTEN",
                                                      "JOURNAL_UNAVAILABLE"};
  for (const Attempt& attempt : history_.attempts_) {
    if (attempt.answer.kind != Answer::Kind::kRefused) continue;
    const Request& request = history_.requests_[attempt.request];
    const std::string& reason = attempt.answer.reason;
    if (std::find(kUsual.begin(), kUsual.end(), reason) != kUsual.end()) continue;
    const bool creates = request.kind == Request::Kind::kCreate;
    const bool lacks_script =
        (reason == "COROUTINE_NOT_FOUND" && (creates || request.kind == Request::Kind::kRemove)) ||
        (reason == "INVALID_ARGUMENTS" && creates);
    if (lacks_script && MayLackScript(attempt, request)) continue;
    const bool imports = request.kind == Request::Kind::kImport;
    if (imports && reason == "INVALID_ARGUMENTS" && MayHaveChanged(request.file)) continue;
    if (request.at_step && (reason == "HISTORY_TRIMMED" || reason == "INVALID_ARGUMENTS")) continue;
    Event event;
    event.attempt = static_cast<std::size_t>(&attempt - history_.attempts_.data());
    return Text(event) + ", which nothing explains";
  }
  return "";
}

void Explanation::AddEvent(const std::string& id, const Event& event) {
  auto track = std::find_if(tracks_.begin(), tracks_.end(), [&id](const Track& known) { return known.id == id; });
  if (track == tracks_.end()) {
    tracks_.emplace_back().id = id;
    track = std::prev(tracks_.end());
  }
  track->events.push_back(event);
  if (event.certain) ++track->left;
}

void Explanation::Collect() {
  std::map<std::size_t, std::uint64_t> first;  // when a request was sent first
  std::map<std::size_t, int> times;
  std::set<std::size_t> copied;
  for (std::size_t i = 0; i < history_.attempts_.size(); ++i) {
    const Attempt& attempt = history_.attempts_[i];
    const Request& request = history_.requests_[attempt.request];
    first.emplace(attempt.request, attempt.begin);
    ++times[attempt.request];
    using Kind = Request::Kind;
    if (request.kind == Kind::kExport || request.kind == Kind::kDefine || request.kind == Kind::kRemove) continue;
    const Answer& answer = attempt.answer;
    const bool changes = request.kind != Kind::kUpdate && request.kind != Kind::kGet;
    const bool copies = request.kind == Kind::kFork || request.kind == Kind::kImport;
    Event event{.attempt = i, .begin = attempt.begin, .end = attempt.end};
    const bool refused = answer.kind == Answer::Kind::kRefused;
    if (refused && answer.surely_not_executed) {
      event.certain = true;
      const std::string& reason = answer.reason;
      if (request.kind == Kind::kFork && (reason == "HISTORY_TRIMMED" || reason == "INVALID_ARGUMENTS")) {
        event.kind = reason == "HISTORY_TRIMMED" ? Event::Kind::kTrimmed : Event::Kind::kTooShort;
        AddEvent(request.source_id, event);
      } else if (reason == "SESSION_EXISTS" || (reason == "STEP_MISMATCH" && answer.told_step > 1) ||
                 (reason == "SESSION_NOT_FOUND" && !copies)) {
        AddEvent(request.session_id, event);
      }
      continue;
    }
    event.certain = answer.kind != Answer::Kind::kNone && (!refused || answer.reason == "REPLY_FORGOTTEN");
    if (!event.certain) event.end = ~std::uint64_t{0};
    if (event.certain || changes) AddEvent(request.session_id, event);
    if (!event.certain || !copies) continue;
    // How the original stood, if that is known: a Fork that was sent twice may show what was made the first time.
    if (request.kind == Kind::kFork && !request.at_step && times[attempt.request] > 1) continue;
    if (!copied.insert(attempt.request).second) continue;
    event.kind = Event::Kind::kCopied;
    if (request.kind == Kind::kImport) {
      const Attempt& exported = history_.attempts_[request.file];
      event.begin = exported.begin;
      event.end = exported.end;
      AddEvent(history_.requests_[exported.request].session_id, event);
    } else {
      event.begin = first[attempt.request];
      AddEvent(request.source_id, event);
    }
  }
  const auto has_copies = [this](const Track& track) {
    return std::any_of(track.events.begin(), track.events.end(), [this](const Event& event) {
      const Request& request = history_.requests_[history_.attempts_[event.attempt].request];
      return event.kind == Event::Kind::kAttempt &&
             (request.kind == Request::Kind::kFork || request.kind == Request::Kind::kImport);
    });
  };
  std::partition(tracks_.begin(), tracks_.end(), [&](const Track& track) { return !has_copies(track); });
}

bool Explanation::Enter(std::size_t at) {
  if (at == tracks_.size()) return true;
  const std::size_t before = std::exchange(at_, at);
  const std::size_t spare = spare_;
  // With as little as possible that nobody was told.
  for (spare_ = 0; spare_ <= 2 * tracks_[at].events.size(); spare_ = 2 * spare_ + 1) {
    if (Go()) return true;
  }
  at_ = before;
  spare_ = spare;
  return false;
}

bool Explanation::Go() {
  if (++looks_ > kMaxLooks) return false;
  if (tracks_[at_].left == 0) return Enter(at_ + 1);
  if (describes_) Describe();
  Track& track = tracks_[at_];
  std::uint64_t position = 0;
  bool leads_nowhere = false;
  if (looks_ > kLooksBeforeRemembering) {
    position = Position();
    const auto dead_end = dead_ends_.find(position);
    leads_nowhere = (dead_end != dead_ends_.end() && dead_end->second >= spare_) || IsTooLate();
  }
  if (!leads_nowhere) {
    std::uint64_t first_end = ~std::uint64_t{0};
    for (const Event& event : track.events) {
      if (event.certain && !event.done) first_end = std::min(first_end, event.end);
    }
    for (const bool certain : {true, false}) {
      for (Event& event : track.events) {
        if (event.done || event.certain != certain || event.begin > first_end || leads_nowhere) continue;
        if (!certain && IsAnothersTurn(event)) continue;
        const std::size_t costs = certain || Supported(event) ? 0 : 1;
        if (costs > spare_) continue;
        spare_ -= costs;
        const Tried tried = Try(event);
        spare_ += costs;
        if (tried == Tried::kExplained) return true;
        leads_nowhere = tried == Tried::kDeadEnd;
      }
    }
    if (!leads_nowhere && ServerActs()) return true;
  }
  if (position != 0) {
    std::size_t& spare = dead_ends_[position];
    spare = std::max(spare, spare_);
  }
  return false;
}

bool Explanation::IsAnothersTurn(const Event& event) const {
  const std::size_t request = history_.attempts_[event.attempt].request;
  for (const Event& other : tracks_[at_].events) {
    if (&other == &event) return false;
    if (!other.done && !other.certain && history_.attempts_[other.attempt].request == request) return true;
  }
  return false;
}

bool Explanation::Supported(const Event& event) const {
  const Track& track = tracks_[at_];
  const std::size_t request = history_.attempts_[event.attempt].request;
  const Step next = track.current == kNothing ? 1 : lives_[track.current].steps.size() + 1;
  return std::any_of(track.events.begin(), track.events.end(), [&](const Event& other) {
    const Attempt& later = history_.attempts_[other.attempt];
    if (!other.certain || other.done || later.request != request || other.kind != Event::Kind::kAttempt) return false;
    const Answer& answer = later.answer;
    switch (answer.kind) {
      case Answer::Kind::kStep:
        return answer.replayed && answer.step.step == next;
      case Answer::Kind::kCreated:
        return answer.replayed;
      case Answer::Kind::kShown:
        return true;
      case Answer::Kind::kRefused:
        return answer.reason == "REPLY_FORGOTTEN" && answer.told_step == next;
      default:
        return false;
    }
  });
}

bool Explanation::IsTooLate() const {
  const Track& track = tracks_[at_];
  for (const Event& event : track.events) {
    if (!event.certain || event.done || event.kind != Event::Kind::kAttempt) continue;
    const Answer& answer = history_.attempts_[event.attempt].answer;
    std::string_view uid;
    if (answer.kind == Answer::Kind::kCreated) uid = answer.uid;
    if (answer.kind == Answer::Kind::kShown) uid = answer.shown.uid;
    if (answer.kind == Answer::Kind::kRefused) uid = answer.refused_uid;
    if (uid.empty()) continue;
    for (std::size_t life = 0; life < lives_.size(); ++life) {
      if (lives_[life].uid == uid && life != track.current && life != track.leaving) return true;
    }
  }
  return false;
}

bool Explanation::GoOn(Event& event) {
  event.done = true;
  if (event.certain) --tracks_[at_].left;
  if (Go()) return true;
  event.done = false;
  if (event.certain) ++tracks_[at_].left;
  return false;
}

Explanation::Tried Explanation::Seen(Event& event, std::size_t mark) {
  const bool learned = known_.size() != mark;
  if (GoOn(event)) return Tried::kExplained;
  Forget(mark);
  return learned ? Tried::kFailed : Tried::kDeadEnd;
}

Explanation::Tried Explanation::Try(Event& event) {
  const Attempt& attempt = history_.attempts_[event.attempt];
  const Request& request = history_.requests_[attempt.request];
  if (event.kind != Event::Kind::kAttempt) return TrySource(event, attempt, request);
  const Answer& answer = attempt.answer;
  if (event.certain && answer.kind == Answer::Kind::kRefused && answer.reason != "REPLY_FORGOTTEN") {
    return TryRefusal(event, attempt, request);
  }
  switch (request.kind) {
    case Request::Kind::kCommand:
      return TryCommand(event, attempt, request);
    case Request::Kind::kCreate:
      return TryCreate(event, attempt, request);
    case Request::Kind::kFork:
    case Request::Kind::kImport:
      return TryCopy(event, attempt, request);
    case Request::Kind::kUpdate:
    case Request::Kind::kGet: {
      const std::size_t mark = known_.size();
      for (const std::size_t life : {tracks_[at_].current, tracks_[at_].leaving}) {
        if (life == kNothing) continue;
        // An Update shows the session as it is later, when the change is stable; that may be a moment after its end.
        const bool fits = request.kind == Request::Kind::kUpdate ? FitsUid(life, answer.shown.uid)
                                                                 : FitsShown(life, answer.shown, attempt.answered);
        if (fits) return Seen(event, mark);
        Forget(mark);
      }
      return Tried::kNo;
    }
    case Request::Kind::kExport:
    case Request::Kind::kDefine:
    case Request::Kind::kRemove:
      break;
  }
  return Tried::kNo;
}

Explanation::Tried Explanation::TryCommand(Event& event, const Attempt& attempt, const Request& request) {
  Track& track = tracks_[at_];
  const Answer& answer = attempt.answer;
  const std::size_t mark = known_.size();
  const bool forgotten = answer.kind == Answer::Kind::kRefused && event.certain;
  if (request.operation == Operation::kDelete && !request.request_id.empty()) {
    for (const Gone& gone : track.gone) {
      if (gone.request != attempt.request) continue;
      if (event.certain && !forgotten && answer.replayed && answer.step.step == gone.step &&
          FitsOutcome(gone.life, answer.step, attempt.answered)) {
        return Seen(event, mark);
      }
      Forget(mark);
      if (!promises_.forgets_finished) return Tried::kNo;
    }
  }
  if (track.current == kNothing) return Tried::kNo;
  const Life& life = lives_[track.current];
  const std::optional<Step> known = request.request_id.empty() ? std::nullopt : StepOf(life, attempt.request);
  if (known) {
    if (!event.certain) return Tried::kNo;
    if (forgotten) {
      const bool may_be = answer.told_step == *known && *known + promises_.history <= life.steps.size();
      return may_be ? Seen(event, mark) : Tried::kNo;
    }
    if (answer.replayed && answer.step.step == *known && FitsOutcome(track.current, answer.step, attempt.answered)) {
      return Seen(event, mark);
    }
    Forget(mark);
    return Tried::kNo;
  }
  if (event.certain && (forgotten || answer.replayed)) return Tried::kNo;
  return TakeFresh(event, attempt, request);
}

Explanation::Tried Explanation::TakeFresh(Event& event, const Attempt& attempt, const Request& request) {
  Track& track = tracks_[at_];
  const std::size_t at = track.current;
  Life& life = lives_[at];
  const Step step = life.steps.size() + 1;
  if (request.expected_step != 0 && request.expected_step != step) return Tried::kNo;
  if (event.certain && attempt.answer.step.step != step) return Tried::kNo;
  const bool created = life.state().phase == reference::State::Phase::kCreated;
  if (created && request.operation == Operation::kSend && !request.value.is_null()) return Tried::kNo;
  const std::size_t mark = known_.size();
  Push(life, attempt.request,
       {.operation = request.operation, .force = request.force, .value = request.value, .step = step}, attempt.sent);
  Tried tried = Tried::kNo;
  if (!event.certain || FitsOutcome(at, attempt.answer.step, attempt.answered)) {
    const std::size_t leaving = track.leaving;
    const bool deletes = request.operation == Operation::kDelete;
    if (deletes) {
      track.gone.push_back({attempt.request, at, step});
      track.leaving = event.certain ? kNothing : at;
      track.current = kNothing;
    }
    tried = GoOn(event) ? Tried::kExplained : Tried::kFailed;
    if (tried == Tried::kExplained) return tried;
    if (deletes) {
      track.gone.pop_back();
      track.leaving = leaving;
      track.current = at;
    }
  }
  Forget(mark);
  Pop(lives_[at]);
  return tried;
}

Explanation::Tried Explanation::TryCreate(Event& event, const Attempt& attempt, const Request& request) {
  const Track& track = tracks_[at_];
  const Answer& answer = attempt.answer;
  const std::size_t mark = known_.size();
  const bool forgotten = answer.kind == Answer::Kind::kRefused && event.certain;
  if (track.current != kNothing && Created(lives_[track.current], request)) {
    if (!event.certain) return Tried::kNo;
    const Life& life = lives_[track.current];
    if (forgotten) {
      const bool may_be = request.prime && answer.told_step == 1 && 1 + promises_.history <= life.steps.size();
      return may_be ? Seen(event, mark) : Tried::kNo;
    }
    const bool fits =
        answer.replayed && !answer.existed && FitsUid(track.current, answer.uid) &&
        (request.prime ? answer.step.step == 1 && FitsOutcome(track.current, answer.step, attempt.answered)
                       : answer.step.step == 0);
    if (fits) return Seen(event, mark);
    Forget(mark);
    return Tried::kNo;
  }
  if (event.certain && answer.existed && request.if_exists == IfExists::kReturn) {
    for (const std::size_t life : {track.current, track.leaving}) {
      if (life != kNothing && FitsUid(life, answer.uid)) return Seen(event, mark);
    }
  }
  if (event.certain && (forgotten || answer.existed || answer.replayed)) return Tried::kNo;
  if (track.current != kNothing &&
      !(lives_[track.current].closed() && request.if_exists == IfExists::kReplaceFinished)) {
    return Tried::kNo;
  }
  Life life;
  life.id = request.session_id;
  life.body = reference::FindBody(request.coroutine);
  life.begin.argument = request.argument;
  life.creator = attempt.request;
  const auto begin_life = [&](Life made) {
    if (request.prime) Push(made, attempt.request, {.operation = Operation::kCreate, .step = 1}, attempt.sent);
    return BeginLife(event, std::move(made), attempt, request);
  };
  const std::string_view script = reference::ScriptOf(*life.body);
  if (script.empty()) return begin_life(std::move(life));
  Tried tried = Tried::kNo;
  for (const std::int64_t variant : scripts_.PossibleBetween(script, event.begin, event.end)) {
    if (variant == 0 && reference::NeedsScript(*life.body)) continue;
    life.begin.argument = variant;
    const Tried with_variant = begin_life(life);
    if (with_variant == Tried::kExplained) return with_variant;
    if (with_variant != Tried::kNo) tried = Tried::kFailed;
  }
  return tried;
}

Explanation::Tried Explanation::TryCopy(Event& event, const Attempt& attempt, const Request& request) {
  const Track& track = tracks_[at_];
  const std::size_t mark = known_.size();
  for (const std::size_t life : {track.current, track.leaving}) {
    if (life == kNothing || !Created(lives_[life], request)) continue;
    if (event.certain && FitsShown(life, attempt.answer.shown, attempt.answered)) return Seen(event, mark);
    Forget(mark);
  }
  if (track.current != kNothing) return Tried::kNo;
  const std::string& id = track.id;
  const auto known = sources_.find(attempt.request);
  if (known != sources_.end() && event.certain) {
    return BeginCopy(event, CopyOf(known->second.life, known->second.base, id, attempt.request), attempt, request);
  }
  const bool is_fork = request.kind == Request::Kind::kFork;
  const std::string& source_id =
      is_fork ? request.source_id : history_.requests_[history_.attempts_[request.file].request].session_id;
  Tried tried = Tried::kNo;
  const std::size_t lives = lives_.size();
  for (std::size_t source = 0; source < lives; ++source) {
    if (lives_[source].id != source_id) continue;
    for (Step base = 0; base <= lives_[source].steps.size(); ++base) {
      if (request.at_step && base != *request.at_step) continue;
      if (event.certain && base != attempt.answer.shown.steps) continue;
      const Tried copied = BeginCopy(event, CopyOf(source, base, id, attempt.request), attempt, request);
      if (copied == Tried::kExplained) return copied;
      if (copied != Tried::kNo) tried = Tried::kFailed;
    }
  }
  return tried;
}

Explanation::Tried Explanation::BeginCopy(Event& event, const Life& copy, const Attempt& attempt,
                                          const Request& request) {
  // A file may come from another server, so that an Import sees the catalog as it is then.
  if (request.kind == Request::Kind::kFork || !LooksUp(*copy.body)) return BeginLife(event, copy, attempt, request);
  Tried tried = Tried::kNo;
  for (const std::int64_t variant : scripts_.PossibleBetween(reference::ScriptOf(*copy.body), event.begin, event.end)) {
    Life other = copy;
    if (!LooksUpAnew(other, variant)) continue;
    const Tried begun = BeginLife(event, std::move(other), attempt, request);
    if (begun == Tried::kExplained) return begun;
    if (begun != Tried::kNo) tried = Tried::kFailed;
  }
  return tried;
}

Explanation::Tried Explanation::BeginLife(Event& event, Life life, const Attempt& attempt, const Request& request) {
  Track& track = tracks_[at_];
  const std::size_t current = track.current;
  const std::size_t leaving = track.leaving;
  const std::size_t mark = known_.size();
  const std::size_t at = lives_.size();
  lives_.push_back(std::move(life));
  lives_[at].begun_in_doubt = !event.certain;
  const Answer& answer = attempt.answer;
  bool fits = true;
  if (event.certain && request.kind == Request::Kind::kCreate) {
    fits = FitsUid(at, answer.uid) && FitsVersion(at, answer.version) &&
           (request.prime ? answer.step.step == 1 && FitsOutcome(at, answer.step, attempt.answered)
                          : answer.step.step == 0);
  } else if (event.certain) {
    fits = FitsShown(at, answer.shown, attempt.answered);
  }
  Tried tried = Tried::kNo;
  if (fits) {
    track.current = at;
    track.leaving = kNothing;
    tried = GoOn(event) ? Tried::kExplained : Tried::kFailed;
    if (tried == Tried::kExplained) return tried;
    track.current = current;
    track.leaving = leaving;
  }
  Forget(mark);
  lives_.pop_back();
  return tried;
}

Explanation::Tried Explanation::TryRefusal(Event& event, const Attempt& attempt, const Request& request) {
  const Track& track = tracks_[at_];
  const Answer& answer = attempt.answer;
  const std::size_t mark = known_.size();
  if (answer.reason == "SESSION_NOT_FOUND") {
    // Also of the one that was there before, when a Create in doubt took its place.
    const bool may_be = track.current == kNothing || lives_[track.current].begun_in_doubt;
    return may_be ? Seen(event, mark) : Tried::kNo;
  }
  if (answer.reason == "SESSION_EXISTS") {
    if (answer.refused_uid.empty()) return Seen(event, mark);  // another one was on its way, and may have failed
    for (const std::size_t life : {track.current, track.leaving}) {
      if (life == kNothing || Created(lives_[life], request)) continue;
      if (FitsUid(life, answer.refused_uid)) return Seen(event, mark);
    }
    return Tried::kNo;
  }
  if (track.current == kNothing) return Tried::kNo;
  const Life& life = lives_[track.current];
  return answer.told_step == life.steps.size() + 1 ? Seen(event, mark) : Tried::kNo;
}

Explanation::Tried Explanation::TrySource(Event& event, const Attempt& attempt, const Request& request) {
  const Track& track = tracks_[at_];
  const Answer& answer = attempt.answer;
  const std::size_t mark = known_.size();
  Tried tried = Tried::kNo;
  for (const std::size_t at : {track.current, track.leaving}) {
    if (at == kNothing) continue;
    const Life& life = lives_[at];
    const Step last = life.steps.size();
    if (event.kind == Event::Kind::kTrimmed) {
      // The server says where the log begins; so much must be left of it.
      const bool may_be = *request.at_step + 1 < answer.told_step && answer.told_step - 1 + promises_.history <= last;
      if (may_be) return Seen(event, mark);
      continue;
    }
    if (event.kind == Event::Kind::kTooShort) {
      if (*request.at_step > answer.told_step && answer.told_step == last) return Seen(event, mark);
      continue;
    }
    const Shown& shown = answer.shown;
    const Step base = request.at_step.value_or(shown.steps);
    const bool stands =
        shown.coroutine == reference::CoroutineOf(*life.body) && (request.at_step ? base <= last : base == last);
    if (!stands) continue;
    if (shown.last_outcome && shown.steps == base && !FitsOutcome(at, *shown.last_outcome, attempt.answered)) {
      Forget(mark);
      continue;
    }
    sources_[attempt.request] = {at, base};
    known_.push_back({Known::Kind::kSource, attempt.request, 0});
    if (GoOn(event)) return Tried::kExplained;
    Forget(mark);
    tried = Tried::kFailed;
  }
  return tried;
}

bool Explanation::ServerActs() {
  Track& track = tracks_[at_];
  const std::size_t current = track.current;
  if (current == kNothing || spare_ == 0) return false;
  Life& life = lives_[current];
  if (!life.closed()) {
    if (!promises_.closes_idle) return false;
    Push(life, kNothing, {.operation = Operation::kClose, .by_server = true, .step = life.steps.size() + 1},
         absl::InfinitePast());
    --spare_;
    if (Go()) return true;
    ++spare_;
    Pop(lives_[current]);
    return false;
  }
  if (!promises_.forgets_finished) return false;
  track.current = kNothing;
  --spare_;
  if (Go()) return true;
  ++spare_;
  track.current = current;
  return false;
}

Explanation::Life Explanation::CopyOf(std::size_t source, Step base, const std::string& id, std::size_t creator) const {
  const Life& original = lives_[source];
  Life copy;
  copy.id = id;
  copy.body = original.body;
  copy.creator = creator;
  copy.source = source;
  copy.base = base;
  copy.begin = original.begin;
  copy.steps.assign(original.steps.begin(), original.steps.begin() + static_cast<std::ptrdiff_t>(base));
  if (original.finished <= base) copy.finished = original.finished;
  copy.chance = original.chance;
  copy.version = original.version;
  return copy;
}

bool Explanation::LooksUpAnew(Life& copy, std::int64_t variant) const {
  if (variant == copy.begin.argument) return true;
  if (variant == 0 && reference::NeedsScript(*copy.body)) return false;
  copy.begin.argument = variant;
  reference::State state = copy.begin;
  for (TakenStep& taken : copy.steps) {
    const reference::Expected expected = reference::Take(*copy.body, state, taken.input, promises_.max_depth);
    if (expected.outcome != taken.expected.outcome) return false;
    taken.after = state;
  }
  return true;
}

void Explanation::Push(Life& life, std::size_t request, const reference::Input& input, absl::Time sent) {
  TakenStep taken;
  taken.request = request;
  taken.sent = sent;
  taken.input = input;
  taken.after = life.state();
  const bool was_closed = life.closed();
  taken.expected = reference::Take(*life.body, taken.after, input, promises_.max_depth);
  life.steps.push_back(std::move(taken));
  if (!was_closed && life.closed()) life.finished = life.steps.size();
}

void Explanation::Pop(Life& life) {
  if (life.finished == life.steps.size()) life.finished = 0;
  life.steps.pop_back();
}

std::optional<Step> Explanation::StepOf(const Life& life, std::size_t request) const {
  for (std::size_t i = life.base; i < life.steps.size(); ++i) {
    if (life.steps[i].request == request) return i + 1;
  }
  return std::nullopt;
}

bool Explanation::Created(const Life& life, const Request& request) const {
  return !request.request_id.empty() && &history_.requests_[life.creator] == &request;
}

bool Explanation::FitsUid(std::size_t life, const std::string& uid) {
  if (!lives_[life].uid.empty()) return lives_[life].uid == uid;
  if (uid.empty() ||
      std::any_of(lives_.begin(), lives_.end(), [&uid](const Life& other) { return other.uid == uid; })) {
    return false;
  }
  lives_[life].uid = uid;
  known_.push_back({Known::Kind::kUid, life, 0});
  return true;
}

bool Explanation::FitsVersion(std::size_t at, std::uint32_t version) {
  Life& life = lives_[at];
  const std::string_view coroutine = reference::CoroutineOf(*life.body);
  if (coroutine != reference::ScriptOf(*life.body)) return version == 1;
  if (life.version != 0) return life.version == version;
  if (version == 0 || !scripts_.Fits(coroutine, version, life.begin.argument)) return false;
  life.version = version;
  known_.push_back({Known::Kind::kVersion, at, 0});
  return true;
}

bool Explanation::FitsOutcome(std::size_t at, const StepOutcome& told, absl::Time now) {
  Life& life = lives_[at];
  if (told.step == 0 || told.step > life.steps.size()) return false;
  TakenStep& taken = life.steps[told.step - 1];
  if (!taken.expected.draws) {
    if (told.outcome != taken.expected.outcome) return false;
    if (told.outcome.kind != Outcome::Kind::kRaised) return true;
    const std::string traceback = told.outcome.exception().traceback();
    const std::string begin = "coroutine " + std::string(reference::CoroutineOf(*life.body)) + " version ";
    if (!traceback.starts_with(begin)) return false;
    const std::string rest = traceback.substr(begin.size());
    const std::string version = rest.substr(0, rest.find(','));
    return rest == version + ", step " + std::to_string(told.step) &&
           FitsVersion(at, static_cast<std::uint32_t>(std::stoul(version)));
  }
  if (told.outcome.kind != Outcome::Kind::kYielded || told.outcome.value.kind() != Value::Kind::kList) return false;
  const List& drawn = told.outcome.value.AsList();
  if (drawn.size() != 3) return false;
  const auto random = static_cast<std::uint64_t>(drawn[1].AsInteger());
  const std::uint64_t chance = life.chance.value_or(reference::ChanceOf(random, told.step));
  std::uint64_t sum = 0;
  for (Step step = taken.expected.draws_from; step <= told.step; ++step) sum += reference::RandomOf(chance, step);
  if (random != reference::RandomOf(chance, told.step) || static_cast<std::uint64_t>(drawn[2].AsInteger()) != sum) {
    return false;
  }
  const std::int64_t time = drawn[0].AsInteger();
  if (taken.time ? time != *taken.time : time < absl::ToUnixNanos(taken.sent) || time > absl::ToUnixNanos(now)) {
    return false;
  }
  if (!life.chance) {
    life.chance = chance;
    known_.push_back({Known::Kind::kChance, at, 0});
  }
  if (!taken.time) {
    taken.time = time;
    known_.push_back({Known::Kind::kTime, at, told.step});
  }
  return true;
}

bool Explanation::FitsShown(std::size_t at, const Shown& shown, absl::Time now) {
  const Life& life = lives_[at];
  if (shown.coroutine != reference::CoroutineOf(*life.body) || !FitsVersion(at, shown.version) ||
      shown.steps != life.steps.size() || shown.state != StateOf(life.state().phase)) {
    return false;
  }
  const Step outcome_step = life.finished != 0 ? life.finished : life.steps.size();
  if (shown.last_outcome.has_value() != (outcome_step != 0)) return false;
  if (shown.last_outcome && (shown.last_outcome->step != outcome_step || !FitsOutcome(at, *shown.last_outcome, now))) {
    return false;
  }
  return FitsUid(at, shown.uid);
}

void Explanation::Forget(std::size_t mark) {
  while (known_.size() > mark) {
    const Known& known = known_.back();
    switch (known.kind) {
      case Known::Kind::kUid:
        lives_[known.which].uid.clear();
        break;
      case Known::Kind::kVersion:
        lives_[known.which].version = 0;
        break;
      case Known::Kind::kChance:
        lives_[known.which].chance.reset();
        break;
      case Known::Kind::kTime:
        lives_[known.which].steps[known.step - 1].time.reset();
        break;
      case Known::Kind::kSource:
        sources_.erase(known.which);
        break;
    }
    known_.pop_back();
  }
}

std::uint64_t Explanation::Position() const {
  Fingerprint fingerprint;
  const Track& track = tracks_[at_];
  fingerprint.AddNumber(at_).AddNumber(track.current).AddNumber(track.leaving);
  std::set<std::size_t> to_be_told;  // requests whose step matters, not only that they are there
  for (const Event& event : track.events) {
    fingerprint.AddNumber(event.done ? 1 : 0);
    if (event.certain && !event.done) to_be_told.insert(history_.attempts_[event.attempt].request);
  }
  for (const Life& life : lives_) {
    fingerprint.AddNumber(life.creator).AddNumber(life.source).AddNumber(life.base).AddNumber(life.steps.size());
    fingerprint.AddNumber(life.begun_in_doubt ? 1 : 0).AddNumber(life.finished);
    fingerprint.Add(Value(life.uid)).AddNumber(life.chance.value_or(0)).AddNumber(life.version);
    fingerprint.AddNumber(static_cast<std::uint64_t>(life.begin.argument));
    std::uint64_t requests = 0;
    for (std::size_t i = life.base; i < life.steps.size(); ++i) {
      const TakenStep& taken = life.steps[i];
      const std::uint64_t request = taken.request + 1;
      requests += request * request * 0x9e3779b97f4a7c15;
      const bool matters = taken.expected.draws || to_be_told.contains(taken.request);
      fingerprint.AddNumber(matters ? request : 0).AddNumber(static_cast<std::uint64_t>(taken.time.value_or(0)));
      fingerprint.AddNumber(static_cast<std::uint64_t>(taken.expected.outcome.kind)).Add(taken.expected.outcome.value);
      const reference::State& after = taken.after;
      fingerprint.AddNumber(static_cast<std::uint64_t>(after.phase)).Add(Value(after.total)).Add(Value(after.count));
      fingerprint.Add(after.held);
    }
    fingerprint.AddNumber(requests);
  }
  for (const Gone& gone : track.gone) fingerprint.AddNumber(gone.request).AddNumber(gone.step);
  for (const auto& [request, source] : sources_) {
    fingerprint.AddNumber(request).AddNumber(source.life).AddNumber(source.base);
  }
  return fingerprint.value() | 1;
}

std::string Explanation::TextOf(const StepOutcome& told) const {
  static constexpr std::array<const char*, 3> kVerbs = {"yielded ", "returned ", "raised "};
  std::string text = kVerbs.at(static_cast<std::size_t>(told.outcome.kind)) + Repr(told.outcome.value);
  return text + " as step " + std::to_string(told.step);
}

std::string Explanation::Text(const Event& event) const {
  static constexpr std::array<const char*, 5> kOperations = {"send", "throw", "close", "create", "delete"};
  static constexpr std::array<const char*, 9> kKinds = {"",    "Create", "Fork",   "Import", "Update",
                                                        "Get", "Export", "Define", "Remove"};
  const Attempt& attempt = history_.attempts_[event.attempt];
  const Request& request = history_.requests_[attempt.request];
  std::string text = request.kind == Request::Kind::kCommand
                         ? kOperations.at(static_cast<std::size_t>(request.operation)) + (" " + Repr(request.value))
                         : kKinds.at(static_cast<std::size_t>(request.kind));
  text += " to " + request.session_id + " '" + request.request_id + "' was told ";
  const Answer& answer = attempt.answer;
  switch (answer.kind) {
    case Answer::Kind::kNone:
    case Answer::Kind::kFile:
    case Answer::Kind::kDefined:
      return text + "nothing";
    case Answer::Kind::kStep:
      return text + TextOf(answer.step) + (answer.replayed ? ", as before" : "");
    case Answer::Kind::kCreated:
      return text + answer.uid.substr(0, 8) + " version " + std::to_string(answer.version) +
             (answer.existed ? " existed" : "") + (answer.replayed ? " as before" : "") +
             (answer.step.step != 0 ? ", " + TextOf(answer.step) : "");
    case Answer::Kind::kShown:
      return text + answer.shown.uid.substr(0, 8) + " with " + std::to_string(answer.shown.steps) + " steps" +
             (answer.shown.last_outcome ? ", " + TextOf(*answer.shown.last_outcome) : "");
    case Answer::Kind::kRefused:
      return text + answer.reason + " (" + std::to_string(answer.told_step) + answer.refused_uid.substr(0, 8) + ")";
  }
  return text;
}

// Of the position that explains most.
void Explanation::Describe() {
  const Track& track = tracks_[at_];
  std::size_t explained = at_ + 1;
  for (const Track& other : tracks_) {
    for (const Event& event : other.events) explained += event.certain && event.done ? 1 : 0;
  }
  if (explained <= furthest_) return;
  furthest_ = explained;
  const Event* next = nullptr;
  for (const Event& event : track.events) {
    if (event.certain && !event.done && (!next || event.end < next->end)) next = &event;
  }
  description_ = "clients of " + track.id + ": ";
  if (track.current == kNothing) {
    description_ += "when there is no session";
  } else {
    const Life& life = lives_[track.current];
    description_ += "behind step " + std::to_string(life.steps.size()) + " of " + life.uid.substr(0, 8) + " (" +
                    std::string(reference::CoroutineOf(*life.body)) + ")";
  }
  description_ += ", nothing explains that " + Text(*next);
}

}  // namespace corod
