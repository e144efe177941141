#include "tests/fuzz/session_model.h"

#include <algorithm>
#include <utility>

namespace corod::fuzz {
namespace {

// ---- What things take when they are encoded (proto/corod/v1/value.proto); every field's number is below 16.

std::size_t VarintSize(std::uint64_t number) {
  std::size_t size = 1;
  for (; number >= 128; number /= 128) ++size;
  return size;
}
std::size_t FieldSize(std::size_t content) { return 1 + VarintSize(content) + content; }
std::size_t IntegerSize(std::int64_t integer) {  // of those that are not negative
  return 1 + VarintSize(static_cast<std::uint64_t>(integer) * 2);
}
std::size_t TextSize(const std::string& text) { return FieldSize(text.size()); }
// An exception with one argument; `argument` 0: with none.
std::size_t ExceptionSize(const std::string& type, const std::string& message, std::size_t argument) {
  return TextSize(type) + (message.empty() ? 0 : TextSize(message)) + (argument == 0 ? 0 : FieldSize(argument));
}

Said Yielded(std::int64_t count) { return {"yielded " + std::to_string(count), IntegerSize(count)}; }
Said Returned(std::int64_t count) { return {"returned " + std::to_string(count), IntegerSize(count)}; }
Said ReturnedNone() { return {"returned None", 0}; }
Said ReturnedBye() { return {"returned 'bye'", TextSize("bye")}; }
Said Raised(const std::string& type, const std::string& message) {
  return {"raised " + type + ": " + message, ExceptionSize(type, message, TextSize(message))};
}

constexpr std::int64_t kStopValue = 5;

// StopIteration(5) leaves a generator as a RuntimeError (PEP 479), whose cause and context it is.
Said RaisedStop() {
  Said said = Raised("RuntimeError", "generator raised StopIteration");
  const std::size_t flags = 2 + 2;
  said.bytes += flags + FieldSize(ExceptionSize("StopIteration", "5", IntegerSize(kStopValue)));
  return said;
}

// What is thrown where no code runs.
Said RaisedAsThrown(Thrown thrown) {
  switch (thrown) {
    case Thrown::kKeyError:
      return {"raised KeyError: 'k'", ExceptionSize("KeyError", "'k'", TextSize("k"))};
    case Thrown::kValueError:
      return Raised("ValueError", "thrown");
    case Thrown::kStopIteration:
      return RaisedStop();
    case Thrown::kGeneratorExit:
      break;
  }
  return {"raised GeneratorExit: ", ExceptionSize("GeneratorExit", "", 0)};
}

// What an answer takes where it is remembered: a raised exception is a field, and says where it was raised.
std::size_t AnswerSize(const Said& said, const Life& life) {
  if (!said.text.starts_with("raised ")) return said.bytes;
  return FieldSize(said.bytes + TextSize("coroutine " + life.coroutine + " version " + std::to_string(life.version) +
                                         ", step " + std::to_string(life.steps)));
}

// ---- What a request id stands for.

std::string WhatOf(const CommandSpec& command) {
  std::string what = std::to_string(static_cast<int>(command.verb));
  if (command.verb == Verb::kSend) what += "/" + std::to_string(static_cast<int>(command.sent));
  if (command.verb == Verb::kThrow) what += "/" + std::to_string(static_cast<int>(command.thrown));
  if (command.force) what += "/force";
  return what;
}

std::string WhatOf(const CreateOrder& order) {
  std::string what = "create/" + order.coroutine + "/" + std::to_string(order.version) + "/" +
                     std::to_string(order.argument.value_or(-1)) + (order.unknown_argument ? "?" : "") + "/" +
                     std::to_string(order.prime ? 1 : 0) + "/" + std::to_string(order.idle_timeout.value_or(-100)) +
                     "/" + std::to_string(order.expire_time) + "/" + std::to_string(order.durable ? 1 : 0) + "/" +
                     std::to_string(static_cast<int>(order.exists));
  for (const auto& [name, value] : order.labels) what += "/" + name + "=" + value;
  return what;
}

Expected Refused(const std::string& reason, std::uint64_t step = 0) { return {.refusals = {reason}, .step = step}; }

// The ids that the fuzzer uses are valid but for those that begin with a sign.
bool IsValid(const std::string& id) { return !id.empty() && id[0] != '-'; }

Life::Known* FindKnown(Life& life, const std::string& request_id) {
  if (request_id.empty()) return nullptr;
  for (Life::Known& known : life.known) {
    if (known.request_id == request_id) return &known;
  }
  return nullptr;
}

}  // namespace

// ---- The bodies of tally.h.

Said BodyModel::Leave(Said said) {
  stage_ = Stage::kClosed;
  ++cleanups_;
  return said;
}

Said BodyModel::Send(Sent sent) {
  if (closed()) return ReturnedNone();
  if (created() && by_ == 0) {
    stage_ = Stage::kClosed;
    return ignores_ != 0 ? Raised("ValueError", "at once") : Returned(7);
  }
  if (created()) {
    stage_ = Stage::kSuspended;
    return Yielded(0);
  }
  switch (sent) {
    case Sent::kStop:
      return Leave(Returned(count_));
    case Sent::kRaise:
      return Leave(Raised("ValueError", "asked to"));
    case Sent::kBig:
      return Raised("ValueError", "yielded value too large");
    default:
      count_ += by_;
      return Yielded(count_);
  }
}

Said BodyModel::Throw(Thrown thrown) {
  if (closed() && thrown == Thrown::kStopIteration) return Returned(kStopValue);
  if (!suspended()) {
    stage_ = Stage::kClosed;
    return RaisedAsThrown(thrown);
  }
  if (thrown == Thrown::kGeneratorExit && ignores_ == 0) return Leave(ReturnedBye());
  if (thrown == Thrown::kGeneratorExit) {
    --ignores_;
    return Yielded(count_);
  }
  if (thrown != Thrown::kKeyError) return Leave(RaisedAsThrown(thrown));
  count_ += 100;
  return Yielded(count_);
}

Said BodyModel::Close() {
  if (!suspended()) {
    stage_ = Stage::kClosed;
    return ReturnedNone();
  }
  if (ignores_ == 0) return Leave(ReturnedBye());
  --ignores_;
  return Raised("RuntimeError", "generator ignored GeneratorExit");
}

// ---- Sessions.

Life* SessionModel::Find(const std::string& id) {
  const auto found = lives_.find(id);
  return found == lives_.end() ? nullptr : found->second.get();
}

std::optional<Expected> SessionModel::Create(int token, const CreateOrder& order) {
  if (!order.session_id.empty() && !IsValid(order.session_id)) return Refused("INVALID_SESSION_ID");
  const std::string id = order.session_id.empty() ? order.made_id : order.session_id;
  const auto found = lives_.find(id);
  if (found == lives_.end()) return CreateAnew(token, order, id);
  Life& life = *found->second;
  if (!order.request_id.empty() && order.request_id == life.create_request_id) {
    Enqueue(found->second, {.kind = Life::Waiting::Kind::kAgain, .token = token, .order = order});
    return std::nullopt;
  }
  if (order.exists == Exists::kReplaceFinished && life.body.closed()) return CreateAnew(token, order, id);
  if (order.exists == Exists::kReturn) return Expected{.existed = true};
  return Refused("SESSION_EXISTS");
}

std::optional<Expected> SessionModel::CreateAnew(int token, const CreateOrder& order, const std::string& id) {
  const bool tally = order.coroutine == "tally";
  std::set<std::string> refusals;
  if (draining_) refusals.insert("DRAINING");
  if (!tally && order.coroutine != "brief") refusals.insert("COROUTINE_NOT_FOUND");
  if (order.version > (tally ? 2U : 1U)) refusals.insert("VERSION_UNAVAILABLE");
  if (order.durable) refusals.insert("DURABILITY_UNAVAILABLE");
  if (order.idle_timeout && *order.idle_timeout < 0) refusals.insert("INVALID_ARGUMENTS");
  if (order.unknown_argument) refusals.insert("INVALID_ARGUMENTS");
  if (!lives_.contains(id) && lives_.size() >= options_.max_sessions) refusals.insert("TOO_MANY_SESSIONS");
  if (!refusals.empty()) return Expected{.refusals = refusals};

  const auto life = std::make_shared<Life>();
  life->id = id;
  life->coroutine = order.coroutine;
  life->version = order.version != 0 ? order.version : tally ? 2 : 1;
  const std::int64_t by = !tally ? 0 : life->version == 1 ? 1 : 10;
  life->body = BodyModel(by, order.argument.value_or(0));
  life->labels = order.labels;
  life->idle_timeout = order.idle_timeout.value_or(options_.idle_timeout);
  if (life->idle_timeout == 0) life->idle_timeout = kNever;
  life->expire_time = order.expire_time;
  life->created = life->last_used = now_;
  life->create_request_id = order.request_id;
  lives_[id] = life;
  if (order.prime) {
    Enqueue(life, {.kind = Life::Waiting::Kind::kPrime, .token = token, .order = order});
    return std::nullopt;
  }
  if (!order.request_id.empty()) {
    life->known.push_back({.request_id = order.request_id,
                           .what = WhatOf(order),
                           .step = 0,
                           .said = "",
                           .bytes = 0,
                           .of_create = true,
                           .order = order});
  }
  return Expected{};
}

std::optional<Expected> SessionModel::Submit(int token, const CommandSpec& command) {
  if (command.verb == Verb::kDelete && !command.request_id.empty()) {
    const auto deleted = deleted_.find({command.session_id, command.request_id});
    if (deleted != deleted_.end() && now_ < deleted->second.first) return deleted->second.second;
  }
  const auto found = lives_.find(command.session_id);
  if (found == lives_.end()) return Refused(IsValid(command.session_id) ? "SESSION_NOT_FOUND" : "INVALID_SESSION_ID");
  Enqueue(found->second, {.kind = Life::Waiting::Kind::kCommand, .token = token, .command = command});
  return std::nullopt;
}

void SessionModel::Enqueue(const std::shared_ptr<Life>& life, Life::Waiting waiting) {
  const auto asked = [](const Life::Waiting& other) { return other.token != 0; };
  const auto clients = std::count_if(life->waiting.begin(), life->waiting.end(), asked);
  waiting.too_many = asked(waiting) && static_cast<std::size_t>(clients) >= options_.max_queued;
  if (asked(waiting)) waiting_in_[waiting.token] = life;
  life->waiting.push_back(std::move(waiting));
}

bool SessionModel::RefuseQueueFull(int token) {
  const auto found = waiting_in_.find(token);
  if (found == waiting_in_.end()) return false;
  Life& life = *found->second;
  // It stands last. Whether closes that the server makes count is its own business.
  const bool may = life.waiting.back().too_many || IsBeingClosed(life);
  life.waiting.pop_back();
  waiting_in_.erase(found);
  return may;
}

bool SessionModel::IsBeingClosed(const Life& life) {
  return std::any_of(life.waiting.begin(), life.waiting.end(),
                     [](const Life::Waiting& waiting) { return waiting.token == 0; });
}

void SessionModel::Cancel(int token) {
  const auto found = waiting_in_.find(token);
  if (found == waiting_in_.end()) return;
  for (Life::Waiting& waiting : found->second->waiting) {
    if (waiting.token == token) waiting.cancelled = true;
  }
}

void SessionModel::Learn(const std::string& id) {
  const auto unnamed = lives_.extract("");
  if (unnamed.empty()) return;
  unnamed.mapped()->id = id;
  lives_[id] = unnamed.mapped();
}

Expected SessionModel::Answer(int token) {
  while (true) {
    if (const auto answered = answered_.extract(token)) return answered.mapped();
    const auto found = waiting_in_.find(token);
    if (found == waiting_in_.end()) return Refused("OUT OF TURN");
    const std::shared_ptr<Life> life = found->second;
    touched_.insert(life);
    TakeUnseen(life, DueCloses::kRun);
    if (!waiting_in_.contains(token) || waiting_in_[token] != life) continue;  // sent elsewhere
    if (life->waiting.front().token != token) return Refused("OUT OF TURN");
    const Life::Waiting waiting = std::move(life->waiting.front());
    life->waiting.pop_front();
    waiting_in_.erase(token);
    if (waiting.too_many) return Refused("QUEUE_FULL");
    Expected expected = Turn(*life, waiting);
    // A Create that was refused leaves nothing behind.
    if (waiting.kind == Life::Waiting::Kind::kPrime && !expected.refusals.empty()) Forget(life);
    return expected;
  }
}

void SessionModel::TakeUnseen(const std::shared_ptr<Life>& life, DueCloses due_closes) {
  while (!life->waiting.empty()) {
    const Life::Waiting& first = life->waiting.front();
    const bool close = first.token == 0;
    const bool due = close && IsStillDue(*life, first);
    const bool again = first.kind == Life::Waiting::Kind::kAgain && life->forgotten &&
                       FindKnown(*life, first.order.request_id) == nullptr;
    if ((!close && !again) || (due && due_closes == DueCloses::kLeave)) return;
    const Life::Waiting waiting = std::move(life->waiting.front());
    life->waiting.pop_front();
    if (due) {
      static_cast<void>(TakeStep(*life, waiting));
    } else if (again) {
      // The session went before its turn: as if it came now.
      waiting_in_.erase(waiting.token);
      if (const std::optional<Expected> at_once = Create(waiting.token, waiting.order)) {
        answered_[waiting.token] = *at_once;
      }
    }
  }
}

bool SessionModel::IsStillDue(const Life& life, const Life::Waiting& waiting) const {
  if (life.forgotten || life.body.closed()) return false;
  return waiting.kind == Life::Waiting::Kind::kDrain || DueOf(life) <= now_;
}

Expected SessionModel::Turn(Life& life, const Life::Waiting& waiting) {
  const bool create = waiting.kind != Life::Waiting::Kind::kCommand;
  const CommandSpec& command = waiting.command;
  if (waiting.cancelled) return Refused("CANCELLED");
  if (!command.uid.empty() && command.uid != life.uid) return Refused("SESSION_NOT_FOUND");
  if (const Life::Known* known = FindKnown(life, create ? waiting.order.request_id : command.request_id)) {
    if (known->what != (create ? WhatOf(waiting.order) : WhatOf(command))) {
      return Refused("REQUEST_ID_REUSED", known->step);
    }
    if (known->forgotten) return Refused("REPLY_FORGOTTEN", known->step);
    return {.step = known->step, .said = known->said, .replayed = true};
  }
  std::set<std::string> refusals;
  if (life.forgotten) refusals.insert("SESSION_NOT_FOUND");
  if (now_ > (create ? waiting.order.deadline : command.deadline)) refusals.insert("DEADLINE_EXCEEDED");
  if (draining_) refusals.insert("DRAINING");
  if (!refusals.empty()) return {.refusals = refusals};
  if (command.expected_step != 0 && command.expected_step != life.steps + 1) {
    return Refused("STEP_MISMATCH", life.steps + 1);
  }
  if (!create && command.verb == Verb::kSend && command.sent != Sent::kNull && life.body.created()) {
    return Refused("NOT_PRIMED");
  }
  return TakeStep(life, waiting);
}

Expected SessionModel::TakeStep(Life& life, const Life::Waiting& waiting) {
  const bool was_closed = life.body.closed();
  const int cleanups = life.body.cleanups();
  life.in_step = true;
  const Said said = Run(life, waiting);
  life.in_step = false;
  cleanups_ += life.body.cleanups() - cleanups;
  life.last_used = now_;
  ++life.steps;
  if (!was_closed) {
    life.last_step = life.steps;
    life.last_said = said.text;
    if (life.body.closed()) life.finished = now_;
  }
  const bool create = waiting.kind == Life::Waiting::Kind::kPrime;
  const std::string& request_id = create ? waiting.order.request_id : waiting.command.request_id;
  if (!request_id.empty()) {
    Remember(life, {.request_id = request_id,
                    .what = create ? WhatOf(waiting.order) : WhatOf(waiting.command),
                    .step = life.steps,
                    .said = said.text,
                    .bytes = AnswerSize(said, life),
                    .of_create = create,
                    .command = waiting.command,
                    .order = waiting.order});
  }
  if (waiting.kind == Life::Waiting::Kind::kCommand && waiting.command.verb == Verb::kDelete) {
    if (!request_id.empty()) {
      deleted_[{life.id, request_id}] = {now_ + options_.retention,
                                         {.step = life.steps, .said = said.text, .replayed = true}};
    }
    if (Find(life.id) == &life) lives_.erase(life.id);
    life.forgotten = true;
  }
  return {.step = life.steps, .said = said.text};
}

Said SessionModel::Run(Life& life, const Life::Waiting& waiting) {
  const CommandSpec& command = waiting.command;
  switch (waiting.kind) {
    case Life::Waiting::Kind::kPrime:
    case Life::Waiting::Kind::kAgain:
      return life.body.Send(Sent::kNull);
    case Life::Waiting::Kind::kClose:
    case Life::Waiting::Kind::kDrain:
      return CloseUpTo(life, 3, true);
    case Life::Waiting::Kind::kCommand:
      break;
  }
  switch (command.verb) {
    case Verb::kSend:
      if (life.body.IsSlow(command.sent)) {
        Advance(kSlowSeconds);
        Sweep();
      }
      return life.body.Send(command.sent);
    case Verb::kThrow:
      return life.body.Throw(command.thrown);
    case Verb::kClose:
      return CloseUpTo(life, 1, command.force);
    case Verb::kDelete:
      break;
  }
  return CloseUpTo(life, command.force ? 1 : 3, true);
}

Said SessionModel::CloseUpTo(Life& life, int attempts, bool drop) {
  Said said = life.body.Close();
  for (int attempt = 1; attempt < attempts && life.body.suspended(); ++attempt) said = life.body.Close();
  if (drop && life.body.suspended()) {
    const std::string note = "the coroutine ignored the close and was dropped";
    said.text += " [" + note + "]";
    said.bytes += TextSize(note);
    life.body.Drop();
  }
  return said;
}

void SessionModel::Remember(Life& life, Life::Known known) const {
  life.known.push_back(std::move(known));
  const auto of_others = [](const Life::Known& other) { return !other.of_create; };
  const auto count = std::count_if(life.known.begin(), life.known.end(), of_others);
  if (static_cast<std::size_t>(count) > options_.max_remembered_ids) {
    life.known.erase(std::find_if(life.known.begin(), life.known.end(), of_others));
  }
  // The answer of the Create goes first, then the oldest.
  while (true) {
    std::size_t bytes = 0;
    Life::Known* first = nullptr;
    for (Life::Known& other : life.known) {
      if (other.forgotten || other.said.empty()) continue;
      bytes += other.bytes;
      if (!first || (other.of_create && !first->of_create)) first = &other;
    }
    if (bytes <= options_.max_remembered_bytes) return;
    first->forgotten = true;
  }
}

std::string SessionModel::Update(const std::string& id, const std::map<std::string, std::string>& labels,
                                 const std::vector<std::string>& remove_labels,
                                 std::optional<std::int64_t> idle_timeout, std::optional<std::int64_t> expire_time) {
  Life* life = Find(id);
  if (!life) return IsValid(id) ? "SESSION_NOT_FOUND" : "INVALID_SESSION_ID";
  if (idle_timeout && *idle_timeout < 0) return "INVALID_ARGUMENTS";
  for (const std::string& name : remove_labels) life->labels.erase(name);
  for (const auto& [name, value] : labels) life->labels[name] = value;
  if (idle_timeout) life->idle_timeout = *idle_timeout;
  if (expire_time) life->expire_time = *expire_time;
  return "";
}

std::int64_t SessionModel::DueOf(const Life& life) const {
  if (life.finished != kNever) return life.finished + options_.retention;
  const std::int64_t idle = life.in_step || life.idle_timeout == kNever ? kNever : life.last_used + life.idle_timeout;
  return std::min(idle, life.expire_time);
}

std::int64_t SessionModel::EarliestDue() const {
  std::int64_t earliest = kNever;
  for (const auto& [id, life] : lives_) {
    if (!IsBeingClosed(*life)) earliest = std::min(earliest, DueOf(*life));
  }
  return earliest;
}

std::vector<std::pair<std::string, std::string>> SessionModel::Deletes() const {
  std::vector<std::pair<std::string, std::string>> deletes;
  for (const auto& [ids, answer] : deleted_) deletes.push_back(ids);
  return deletes;
}

void SessionModel::Sweep() {
  const std::map<std::string, std::shared_ptr<Life>> lives = lives_;
  for (const auto& [id, life] : lives) {
    if (DueOf(*life) > now_ || IsBeingClosed(*life)) continue;
    if (life->finished != kNever) {
      Forget(life);
    } else {
      Enqueue(life, {.kind = Life::Waiting::Kind::kClose});
    }
  }
}

void SessionModel::Drain() {
  draining_ = true;
  for (const auto& [id, life] : lives_) {
    if (!life->body.closed()) Enqueue(life, {.kind = Life::Waiting::Kind::kDrain});
  }
}

void SessionModel::Forget(const std::shared_ptr<Life>& life) {
  life->forgotten = true;
  if (Find(life->id) == life.get()) lives_.erase(life->id);
}

void SessionModel::Observe() {
  const std::map<std::string, std::shared_ptr<Life>> lives = lives_;
  for (const auto& [id, life] : lives) {
    if (!life->waiting.empty() && life->waiting.front().token == 0 && steps_of_(id) != life->steps) {
      TakeUnseen(life, DueCloses::kRun);
    }
  }
}

bool SessionModel::Settle() {
  Observe();
  bool done = true;
  while (!touched_.empty()) {
    const std::shared_ptr<Life> life = touched_.extract(touched_.begin()).value();
    TakeUnseen(life, DueCloses::kLeave);  // one that is due is seen when it happens
    done = done && (life->waiting.empty() || life->waiting.front().token == 0);
  }
  return done;
}

}  // namespace corod::fuzz
