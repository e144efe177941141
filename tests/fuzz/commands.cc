// Fuzzes the session layer against a model of it: random creates, sends, throws, closes, deletes, updates, lists and
// gets, with request ids, expected steps, deadlines and cancellations, while time goes on, sweeps happen, and queued
// work is run or left waiting.
//
// Every answer has to be the one that session_model.h gives by the rules of docs/api.md: the outcome, whether it is a
// replay, or the reason of the refusal. After each command every session has to look as it does in the model (Get and
// List), as many cleanups must have run, and as many coroutines be alive.
//
// A finding again: build-fuzz/fuzz/commands build-fuzz/findings/commands/crash-...
// It prints what was done up to there. An input: options, then commands, each a byte and its parameters (see Do);
// make_seeds.py writes some.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/executor.h"
#include "server/base/failure.h"
#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/text_form.h"
#include "server/journal/memory_journal.h"
#include "server/session/sessions.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/session_model.h"
#include "tests/fuzz/tally.h"
#include "tests/unit/session/answers.h"
#include "tests/unit/session/fakes.h"

namespace corod::fuzz {
namespace {

constexpr SessionModel::Options kOptions{.max_sessions = 5,
                                         .idle_timeout = 60,
                                         .retention = 9,
                                         .max_queued = 3,
                                         .max_remembered_ids = 4,
                                         .max_remembered_bytes = 120};
constexpr std::size_t kMaxValueBytes = 200;
constexpr int kMaxCommands = 300;

Sessions::Options ServerOptions() {
  Sessions::Options options;
  options.max_sessions = kOptions.max_sessions;
  options.idle_timeout = absl::Seconds(kOptions.idle_timeout);
  options.retention = absl::Seconds(kOptions.retention);
  options.max_queued = static_cast<std::uint32_t>(kOptions.max_queued);
  options.max_remembered_ids = kOptions.max_remembered_ids;
  options.max_remembered_bytes = kOptions.max_remembered_bytes;
  options.limits.max_bytes = kMaxValueBytes;
  return options;
}

// The request ids that are used, and the session ids that they stand for: UUIDv5 of "default\n\n" and the request id,
// in the namespace that is UUIDv5 of "corod" in DNS's.
struct RequestId {
  const char* text;
  const char* made_id;
};
constexpr RequestId kRequestIds[] = {
    {"a", "3878b68f-a901-58b0-aa6a-26128eb9108e"}, {"b", "eb8e5662-5b04-59ec-a366-d342e6bf902c"},
    {"c", "366f34c6-9c71-52ab-9c16-358858bede7c"}, {"d", "0809904e-8b01-5d47-ac32-c9061ac756cc"},
    {"e", "f71c47ee-e7fa-5c0b-856d-36bdcd3f3e07"}, {"f", "7b6ee9b6-a19e-5b51-9be8-1733da7b5dc6"}};

// Runs tasks when it is told to, in an order that it is told.
class PickingExecutor : public Executor {
 public:
  void Run(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  bool empty() const { return tasks_.empty(); }
  void RunOne(std::size_t which) {
    const auto at = tasks_.begin() + static_cast<std::ptrdiff_t>(which % tasks_.size());
    const std::function<void()> task = std::move(*at);
    tasks_.erase(at);
    task();
  }

 private:
  std::vector<std::function<void()>> tasks_;
};

absl::Time ToTime(std::int64_t seconds, absl::Time start) {
  return seconds == kNever ? absl::InfiniteFuture() : start + absl::Seconds(seconds);
}
absl::Duration ToDuration(std::int64_t seconds) {
  return seconds == kNever ? absl::InfiniteDuration() : absl::Seconds(seconds);
}

Value ToValue(Sent sent) {
  switch (sent) {
    case Sent::kNull:
      return Value();
    case Sent::kOne:
      return Value(1);
    case Sent::kStop:
      return Value("stop");
    case Sent::kRaise:
      return Value("raise");
    case Sent::kBig:
      return Value("big");
    case Sent::kSlow:
      break;
  }
  return Value("slow");
}

Exception ToException(Thrown thrown) {
  switch (thrown) {
    case Thrown::kKeyError:
      return Exception("KeyError", {Value("k")});
    case Thrown::kValueError:
      return Exception("ValueError", {Value("thrown")});
    case Thrown::kStopIteration:
      return Exception("StopIteration", {Value(5)});
    case Thrown::kGeneratorExit:
      break;
  }
  return Exception("GeneratorExit");
}

std::string Described(const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::kYielded:
      return "yielded " + Repr(outcome.value);
    case Outcome::Kind::kReturned:
      return "returned " + Repr(outcome.value);
    case Outcome::Kind::kRaised:
      break;
  }
  const Exception raised = outcome.exception();
  std::string text = "raised " + raised.type() + ": " + raised.message();
  for (const std::string& note : raised.notes()) text += " [" + note + "]";
  return text;
}

// What the server told.
struct Told {
  std::string refusal = "";
  std::uint64_t step = 0;
  std::string said = "";
  bool replayed = false;
  bool existed = false;
};

Told ToTold(const absl::Status& status) {
  const FailureDetails details = DetailsOf(status);
  Told told;
  told.refusal = details.reason.empty() ? absl::StatusCodeToString(status.code()) : details.reason;
  for (const char* key : {"step", "actual_step"}) {
    if (details.metadata.contains(key)) told.step = std::stoull(details.metadata.at(key));
  }
  // REPLY_FORGOTTEN: the same command was executed, once. QUEUE_FULL: it may have been, if it has a request id.
  Require((details.metadata.contains("executed") && details.metadata.at("executed") == "no") ||
              told.refusal == "REPLY_FORGOTTEN" || told.refusal == "QUEUE_FULL",
          "a refusal that does not say that nothing was executed");
  return told;
}

Told ToTold(const Reply& reply) {
  return {.step = reply.step, .said = reply.outcome ? Described(*reply.outcome) : "", .replayed = reply.replayed};
}

std::string Described(const Told& told) {
  return (told.refusal.empty() ? "'" + told.said + "'" : told.refusal) + " as step " + std::to_string(told.step) +
         (told.replayed ? ", replayed" : "") + (told.existed ? ", existed" : "");
}

std::string Described(const Expected& expected) {
  std::string refusals;
  for (const std::string& refusal : expected.refusals) refusals += (refusals.empty() ? "" : " or ") + refusal;
  return Described(Told{refusals, expected.step, expected.said, expected.replayed, expected.existed});
}

bool Agree(const Told& told, const Expected& expected) {
  if (!expected.refusals.empty()) {
    return expected.refusals.contains(told.refusal) && (expected.step == 0 || told.step == expected.step);
  }
  return told.refusal.empty() && told.step == expected.step && told.said == expected.said &&
         told.replayed == expected.replayed && told.existed == expected.existed;
}

// Server and model, side by side.
class Harness {
 public:
  explicit Harness(bool quick);
  ~Harness();

  // Does the next command.
  void Do(Input& input);
  // Runs all that waits, and looks into what does not show: sends again what has a request id, then lets time go on
  // until all that is finished is forgotten.
  void Finish();

 private:
  class PendingCommand;

  void WarmUp();
  void Send(Input& input);
  void Throw(Input& input);
  void Close(Input& input);
  void Delete(Input& input);
  void Create(Input& input);
  void Create(const CreateOrder& order);
  void Update(Input& input);
  void List(Input& input);
  void Peek(Input& input);
  void Drain();
  void Advance(std::int64_t seconds);
  void SendAgain();
  void DeleteAgain();

  CommandSpec ReadCommand(Verb verb, Input& input);
  std::string ReadId(Input& input);
  std::string ReadRequestId(Input& input);
  std::int64_t ReadDeadline(Input& input);
  void Submit(const CommandSpec& command);
  // The server's answer to a command has come.
  void Answered(int token, const Told& told);
  void RunOne(std::size_t which);
  void RunAll();
  void Sweep();
  void Settle();
  void Compare();
  void CompareSession(Life& life);
  std::string Time() const { return "at " + std::to_string(model_.now()) + " s: "; }
  void Log(const std::string& what) { log_.push_back(Time() + what); }
  void Check(bool holds, const std::string& what);

  TallyProbe probe_;
  Catalog catalog_;
  FakeClock clock_;
  const absl::Time start_ = clock_.Now();
  PickingExecutor executor_;
  SequenceRandom random_;
  MemoryJournal journal_{executor_};
  std::unique_ptr<Sessions> sessions_;
  SessionModel model_;
  int next_token_ = 0;
  std::map<int, std::optional<Expected>> open_;  // by token; what is expected, if it is known already
  std::map<int, PendingCommand*> cancellable_;   // by token
  std::vector<std::string> uids_;                // all that there were
  std::vector<std::string> made_ids_;            // that the server made
  bool drained_ = false;
  std::vector<std::string> log_;
};

class Harness::PendingCommand : public Command {
 public:
  PendingCommand(Harness& harness, int token) : harness_(harness), token_(token) {
    harness_.cancellable_[token_] = this;
  }

  absl::Status Admit() override {
    return cancelled ? NotStarted(absl::StatusCode::kCancelled, "cancelled") : absl::OkStatus();
  }
  void Finish(absl::StatusOr<Reply> reply) override {
    harness_.cancellable_.erase(token_);
    harness_.Answered(token_, reply.ok() ? ToTold(*reply) : ToTold(reply.status()));
    delete this;
  }

  bool cancelled = false;

 private:
  Harness& harness_;
  const int token_;
};

Harness::Harness(bool quick)
    : model_(kOptions, [this](const std::string& id) { return GetNow(*sessions_, id)->steps; }) {
  AddTallies(catalog_, probe_);
  sessions_ = std::make_unique<Sessions>(ServerOptions(), catalog_, clock_, executor_, random_, journal_);
  probe_.take_time = [this] {
    clock_.Advance(absl::Seconds(kSlowSeconds));
    static_cast<void>(sessions_->Sweep());
  };
  if (quick) WarmUp();
  probe_.cleanups = 0;
}

Harness::~Harness() {
  sessions_.reset();
  Require(LiveFrames().frames == 0, "a frame outlives the sessions");
}

// The steps of a definition that is known to be quick run on the thread at hand; it is known after 32 steps.
void Harness::WarmUp() {
  constexpr int kSteps = 32;
  struct AnyCommand : Command {
    void Finish(absl::StatusOr<Reply> reply) override {
      Require(reply.ok(), "warm-up");
      delete this;
    }
  };
  CreateSpec spec;
  spec.coroutine = "tally";
  spec.session_id = "warm-up";
  sessions_->Create(std::move(spec), [](const absl::StatusOr<Created>& created) { Require(created.ok(), "warm-up"); });
  for (int step = 1; step <= kSteps; ++step) {
    auto* command = new AnyCommand;
    if (step == kSteps) command->operation = Operation::kDelete;
    sessions_->Submit("warm-up", command);
    while (!executor_.empty()) executor_.RunOne(0);
  }
}

void Harness::Check(bool holds, const std::string& what) {
  if (holds) return;
  for (const std::string& line : log_) std::fprintf(stderr, "%s\n", line.c_str());
  Fail(Time() + what);
}

std::string Harness::ReadId(Input& input) {
  switch (input.Pick(8)) {
    case 0:
    case 1:
    case 2:
      return "s0";
    case 3:
      return "s1";
    case 4:
      return "s2";
    case 5:
      return input.Flag() ? "nobody" : "-bad";
    default:
      if (made_ids_.empty()) return "s0";
      return made_ids_[input.Byte() % made_ids_.size()];
  }
}

std::string Harness::ReadRequestId(Input& input) {
  const std::size_t which = input.Pick(2 * std::size(kRequestIds));
  return which < std::size(kRequestIds) ? "" : kRequestIds[which - std::size(kRequestIds)].text;
}

std::int64_t Harness::ReadDeadline(Input& input) {
  const std::uint8_t seconds = input.Pick(16);
  return seconds < 12 ? kNever : model_.now() + seconds - 12;
}

CommandSpec Harness::ReadCommand(Verb verb, Input& input) {
  CommandSpec command;
  command.verb = verb;
  command.session_id = ReadId(input);
  command.request_id = ReadRequestId(input);
  command.deadline = ReadDeadline(input);
  if (verb == Verb::kDelete) return command;
  const Life* life = model_.Find(command.session_id);
  switch (input.Pick(8)) {
    case 1:
      command.expected_step = life ? life->steps + 1 : 1;
      break;
    case 2:
      command.expected_step = life ? life->steps : 1;
      break;
    case 3:
      command.expected_step = input.Pick(8);
      break;
    default:
      break;
  }
  return command;
}

void Harness::Send(Input& input) {
  static constexpr Sent kSent[] = {Sent::kNull, Sent::kOne,   Sent::kOne, Sent::kNull,
                                   Sent::kStop, Sent::kRaise, Sent::kBig, Sent::kSlow};
  CommandSpec command = ReadCommand(Verb::kSend, input);
  command.sent = kSent[input.Pick(std::size(kSent))];
  Submit(command);
}

void Harness::Throw(Input& input) {
  CommandSpec command = ReadCommand(Verb::kThrow, input);
  command.thrown = static_cast<Thrown>(input.Pick(4));
  Submit(command);
}

void Harness::Close(Input& input) {
  CommandSpec command = ReadCommand(Verb::kClose, input);
  command.force = input.Pick(4) == 1;
  Submit(command);
}

void Harness::Delete(Input& input) {
  CommandSpec command = ReadCommand(Verb::kDelete, input);
  const std::uint8_t how = input.Byte();
  command.force = (how & 3) == 1;
  if ((how & 12) == 4 && !uids_.empty()) command.uid = uids_[input.Byte() % uids_.size()];
  Submit(command);
}

void Harness::Submit(const CommandSpec& command) {
  static constexpr const char* kVerbs[] = {"send", "throw", "close", "delete"};
  static constexpr Operation kOperations[] = {Operation::kSend, Operation::kThrow, Operation::kClose,
                                              Operation::kDelete};
  const auto verb = static_cast<std::size_t>(command.verb);
  const int token = ++next_token_;
  auto* pending = new PendingCommand(*this, token);
  pending->operation = kOperations[verb];
  if (command.verb == Verb::kSend) pending->value = ToValue(command.sent);
  if (command.verb == Verb::kThrow) pending->value = Value(ToException(command.thrown));
  pending->force = command.force;
  pending->expected_step = command.expected_step;
  pending->request_id = command.request_id;
  pending->uid = command.uid;
  pending->deadline = ToTime(command.deadline, start_);
  Log("command " + std::to_string(token) + ": " + kVerbs[verb] + " " + command.session_id + " " + Repr(pending->value) +
      (command.force ? " by force" : "") +
      (command.expected_step != 0 ? " as step " + std::to_string(command.expected_step) : "") +
      (command.request_id.empty() ? "" : " id " + command.request_id) +
      (command.deadline == kNever ? "" : " by " + std::to_string(command.deadline) + " s") +
      (command.uid.empty() ? "" : " uid " + command.uid));
  open_[token] = model_.Submit(token, command);
  const bool at_once = open_[token].has_value();
  sessions_->Submit(command.session_id, pending);
  Check(!at_once || !open_.contains(token), "command " + std::to_string(token) + " is not answered at once");
}

void Harness::Create(Input& input) {
  CreateOrder order;
  const std::uint8_t what = input.Byte();
  order.coroutine = (what & 15) == 15 ? "nothing" : (what & 15) >= 13 ? "brief" : "tally";
  order.prime = (what & 16) != 0;
  order.exists = static_cast<Exists>(((what >> 5) & 3) % 3);
  const bool has_id = (what & 128) == 0;
  if (has_id) order.session_id = ReadId(input);
  order.request_id = ReadRequestId(input);
  const std::uint8_t how = input.Byte();
  order.version = (how & 3) == 3 ? input.Pick(4) : 0;
  if ((how & 12) != 0) order.argument = order.coroutine == "brief" ? (how >> 2) & 1 : (how >> 2) & 3;
  if ((how & 16) != 0) order.idle_timeout = static_cast<std::int64_t>(input.Pick(12)) - 1;
  if ((how & 32) != 0) order.expire_time = model_.now() + input.Pick(16);
  if ((how & 64) != 0) order.labels = {{"color", input.Flag() ? "red" : "blue"}};
  if ((how & 128) != 0) {
    order.deadline = ReadDeadline(input);
    order.durable = input.Pick(8) == 1;
    order.unknown_argument = input.Pick(8) == 1;
  }
  if (!has_id) {
    for (const RequestId& id : kRequestIds) {
      if (order.request_id == id.text) order.made_id = id.made_id;
    }
    // One that is made at random is not known until the Create is answered.
    if (order.request_id.empty() && order.prime) order.session_id = sessions_->MakeSessionId({}, "");
  }
  Create(order);
}

void Harness::Create(const CreateOrder& order) {
  CreateSpec spec;
  spec.coroutine = order.coroutine;
  spec.version = order.version;
  if (order.argument) {
    if (order.coroutine == "brief") {
      spec.arguments["raises"] = Value(*order.argument != 0);
    } else {
      spec.arguments["ignores"] = Value(*order.argument);
    }
  }
  if (order.unknown_argument) spec.arguments["unknown"] = Value(1);
  spec.session_id = order.session_id;
  spec.prime = order.prime;
  if (order.idle_timeout) spec.idle_timeout = absl::Seconds(*order.idle_timeout);
  spec.expire_time = ToTime(order.expire_time, start_);
  spec.durability = order.durable ? Durability::kDurable : Durability::kDefault;
  spec.if_exists = static_cast<IfExists>(order.exists);
  spec.labels = order.labels;
  spec.request_id = order.request_id;
  spec.deadline = ToTime(order.deadline, start_);

  const int token = ++next_token_;
  Log("command " + std::to_string(token) + ": create " + order.coroutine + " " + order.session_id +
      (order.prime ? " and prime" : "") + " exists " + std::to_string(static_cast<int>(order.exists)) +
      (order.request_id.empty() ? "" : " id " + order.request_id) +
      (order.idle_timeout ? " idle " + std::to_string(*order.idle_timeout) : "") +
      (order.expire_time == kNever ? "" : " expires " + std::to_string(order.expire_time)) +
      (order.argument ? " argument " + std::to_string(*order.argument) : "") +
      (order.deadline == kNever ? "" : " by " + std::to_string(order.deadline) + " s"));
  open_[token] = model_.Create(token, order);
  const bool at_once = open_[token].has_value();
  sessions_->Create(std::move(spec), [this, token, order](const absl::StatusOr<Created>& created) {
    if (!created.ok()) return Answered(token, ToTold(created.status()));
    const std::string& id = created->session->id();
    if (order.session_id.empty() && order.made_id.empty()) {
      Check(!model_.Find(id), "an id was made twice");
      model_.Learn(id);
    }
    Check(id == (order.session_id.empty() ? (order.made_id.empty() ? id : order.made_id) : order.session_id),
          "created with another id: " + id);
    if (order.session_id.empty()) made_ids_.push_back(id);
    Told told = created->primed ? ToTold(*created->primed) : Told();
    told.replayed = created->replayed;
    told.existed = created->existed;
    Answered(token, told);
  });
  Check(!at_once || !open_.contains(token), "command " + std::to_string(token) + " is not answered at once");
}

void Harness::Answered(int token, const Told& told) {
  const auto open = open_.find(token);
  Check(open != open_.end(), "command " + std::to_string(token) + " is answered twice");
  const std::optional<Expected> at_once = open->second;
  open_.erase(open);
  if (!at_once && told.refusal == "QUEUE_FULL") {
    Check(model_.RefuseQueueFull(token), "command " + std::to_string(token) + ": the queue is not full");
    Log("command " + std::to_string(token) + " told " + Described(told));
    return;
  }
  const Expected expected = at_once ? *at_once : model_.Answer(token);
  Log("command " + std::to_string(token) + " told " + Described(told));
  Check(Agree(told, expected),
        "command " + std::to_string(token) + " is told " + Described(told) + ", should be told " + Described(expected));
  model_.Observe();
}

void Harness::Update(Input& input) {
  const std::string id = ReadId(input);
  const std::uint8_t what = input.Byte();
  std::map<std::string, std::string> labels;
  std::vector<std::string> remove_labels;
  std::optional<std::int64_t> idle_timeout;
  std::optional<std::int64_t> expire_time;
  if ((what & 1) != 0) labels = {{"color", (what & 2) != 0 ? "red" : "blue"}};
  if ((what & 4) != 0) remove_labels = {"color"};
  if ((what & 8) != 0) idle_timeout = static_cast<std::int64_t>(input.Pick(12)) - 1;
  if ((what & 16) != 0) expire_time = (what & 32) != 0 ? model_.now() + input.Pick(16) : kNever;
  if (idle_timeout == 0) idle_timeout = kNever;
  // Whether a close that waits is still due when its turn comes cannot be seen from outside.
  if (const Life* life = model_.Find(id); life && SessionModel::IsBeingClosed(*life)) RunAll();

  Session::Changes changes;
  changes.labels = labels;
  changes.remove_labels = remove_labels;
  if (idle_timeout) changes.idle_timeout = *idle_timeout == kNever ? absl::ZeroDuration() : ToDuration(*idle_timeout);
  if (expire_time) changes.expire_time = ToTime(*expire_time, start_);
  Log("update " + id + (idle_timeout ? " idle " + std::to_string(*idle_timeout) : "") +
      (expire_time ? " expires " + std::to_string(*expire_time) : ""));
  const absl::StatusOr<SessionInfo> info = UpdateNow(*sessions_, id, changes);
  const std::string refusal = model_.Update(id, labels, remove_labels, idle_timeout, expire_time);
  Check((info.ok() ? "" : ToTold(info.status()).refusal) == refusal, "update: should be '" + refusal + "'");
}

void Harness::List(Input& input) {
  const std::uint8_t what = input.Byte();
  ListQuery query;
  if ((what & 1) != 0) query.coroutine = (what & 2) != 0 ? "brief" : "tally";
  if ((what & 4) != 0) query.state = (what & 8) != 0 ? CoroutineState::kClosed : CoroutineState::kSuspended;
  if ((what & 16) != 0) query.labels = {{"color", "red"}};
  query.has_problem = (what & 224) == 224;
  const std::size_t page_size = 1 + input.Pick(4);

  std::vector<std::string> expected;
  for (const auto& [id, life] : model_.lives()) {
    const auto color = life->labels.find("color");
    if ((query.coroutine.empty() || query.coroutine == life->coroutine) &&
        (!query.state || (*query.state == CoroutineState::kClosed ? life->body.closed() : life->body.suspended())) &&
        (query.labels.empty() || (color != life->labels.end() && color->second == "red")) && !query.has_problem) {
      expected.push_back(id);
    }
  }
  std::vector<std::string> listed;
  do {
    std::size_t on_page = 0;
    const absl::StatusOr<std::string> next = ListNow(*sessions_, query, [&](const SessionInfo& info) {
      if (on_page == page_size) return false;
      ++on_page;
      listed.push_back(info.key.id);
      return true;
    });
    Check(next.ok(), "list: " + next.status().ToString());
    if (!next->empty()) {
      ListQuery other = query;
      other.page_token = *next;
      other.coroutine = "other";
      Check(IsFailure(ListNow(*sessions_, other, [](const SessionInfo&) { return true; }).status(),
                      Reason::INVALID_PAGE_TOKEN),
            "a page token is taken for other filters");
    }
    query.page_token = *next;
  } while (!query.page_token.empty());
  Check(listed == expected, "list: another set of sessions");
}

void Harness::Peek(Input& input) {
  const std::string id = ReadId(input);
  const Life* life = model_.Find(id);
  const absl::StatusOr<SessionInfo> now = GetNow(*sessions_, id, std::nullopt);
  const absl::StatusOr<SessionInfo> past = GetNow(*sessions_, id, Step{0});
  const std::string refusal = life ? "" : id == "-bad" ? "INVALID_SESSION_ID" : "SESSION_NOT_FOUND";
  Check((now.ok() ? "" : ToTold(now.status()).refusal) == refusal, "get: should be '" + refusal + "'");
  Check(!past.ok() && ToTold(past.status()).refusal == (life ? "NOT_DURABLE" : refusal), "get at a step");
}

void Harness::Drain() {
  if (std::exchange(drained_, true)) return;
  Log("drain");
  model_.Drain();
  auto done = std::make_shared<bool>(false);
  sessions_->Drain([done] { *done = true; });
  Settle();
  RunAll();
  Check(*done, "drain: it does not end");
  for (const auto& [id, life] : model_.lives()) Check(life->body.closed(), "drain: open is " + id);
}

void Harness::RunOne(std::size_t which) {
  executor_.RunOne(which);
  Settle();
}

void Harness::RunAll() {
  while (!executor_.empty()) RunOne(0);
  Check(open_.empty() && !model_.AnyoneWaits(), "all is done, and somebody has no answer");
}

void Harness::Sweep() {
  Log("sweep");
  model_.Sweep();
  const absl::Time next = sessions_->Sweep();
  Settle();
  // A session for which a close of the server's waits is scheduled when that had its turn.
  if (executor_.empty()) Check(next <= ToTime(model_.EarliestDue(), start_), "sweep: the next one comes too late");
}

// One whose steps took long lets others have its thread, and goes on later.
void Harness::Settle() {
  Check(model_.Settle() || !executor_.empty(), "a session has stopped, and commands wait for it");
}

void Harness::CompareSession(Life& life) {
  const absl::StatusOr<SessionInfo> info = GetNow(*sessions_, life.id, std::nullopt);
  const std::string who = "session " + life.id + ": ";
  Check(info.ok(), who + info.status().ToString());
  if (life.uid.empty()) {
    life.uid = info->key.uid;
    Check(std::find(uids_.begin(), uids_.end(), life.uid) == uids_.end(), who + "a uid was given twice");
    uids_.push_back(life.uid);
  }
  static constexpr const char* kStates[] = {"created", "suspended", "running", "closed"};
  const std::string state = kStates[static_cast<int>(info->state)];
  Check(info->key.uid == life.uid, who + "another uid");
  Check(info->coroutine == life.coroutine && info->version == life.version, who + "another definition");
  Check(state == life.body.state(), who + "is " + state + ", should be " + life.body.state());
  Check(info->steps == life.steps,
        who + "has " + std::to_string(info->steps) + " steps, should have " + std::to_string(life.steps));
  const Told last =
      info->last_outcome ? ToTold(Reply{info->last_outcome->step, info->last_outcome->outcome, false}) : Told();
  Check(last.step == life.last_step && last.said == life.last_said, who + "last outcome " + Described(last) +
                                                                        ", should be '" + life.last_said +
                                                                        "' as step " + std::to_string(life.last_step));
  Check(info->labels == life.labels, who + "other labels");
  Check(info->idle_timeout == ToDuration(life.idle_timeout), who + "another idle timeout");
  Check(info->expire_time == ToTime(life.expire_time, start_), who + "expires at another time");
  Check(info->create_time == ToTime(life.created, start_), who + "created at another time");
  Check(info->last_used_time == ToTime(life.last_used, start_),
        who + "used at another time, should be " + std::to_string(life.last_used) + " s");
}

void Harness::Compare() {
  Check(sessions_->size() == model_.lives().size(), "there are " + std::to_string(sessions_->size()) +
                                                        " sessions, should be " +
                                                        std::to_string(model_.lives().size()));
  std::size_t alive = 0;
  for (const auto& [id, life] : model_.lives()) {
    CompareSession(*life);
    if (!life->body.closed()) ++alive;
  }
  Check(probe_.cleanups == model_.cleanups(),
        std::to_string(probe_.cleanups) + " cleanups ran, should be " + std::to_string(model_.cleanups()));
  Check(LiveFrames().frames == alive,
        std::to_string(LiveFrames().frames) + " coroutines are alive, should be " + std::to_string(alive));
  Check(clock_.Now() == start_ + absl::Seconds(model_.now()), "time is out of step");
}

void Harness::Do(Input& input) {
  static constexpr std::int64_t kSeconds[] = {1, 1, 2, 3, 5, 9, 10, 60};
  switch (input.Pick(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
      Send(input);
      break;
    case 4:
      Throw(input);
      break;
    case 5:
      Close(input);
      break;
    case 6:
      Delete(input);
      break;
    case 7:
    case 8:
    case 9:
      Create(input);
      break;
    case 10:
      Advance(kSeconds[input.Pick(std::size(kSeconds))]);
      break;
    case 11:
    case 12:
      Sweep();
      break;
    case 13:
      if (!executor_.empty()) RunOne(input.Byte());
      break;
    case 14:
    case 15:
      RunAll();
      break;
    case 16:
      Update(input);
      break;
    case 17:
      List(input);
      break;
    case 18:
      if (!cancellable_.empty()) {
        auto& [token, command] = *cancellable_.begin();
        Log("cancel " + std::to_string(token));
        command->cancelled = true;
        model_.Cancel(token);
      }
      break;
    default:
      if (input.Pick(16) == 15) {
        Drain();
      } else {
        Peek(input);
      }
      break;
  }
  Settle();
  Compare();
}

void Harness::Advance(std::int64_t seconds) {
  model_.Advance(seconds);
  clock_.Advance(absl::Seconds(seconds));
}

void Harness::SendAgain() {
  std::vector<Life::Known> known;
  for (const auto& [id, life] : model_.lives()) known.insert(known.end(), life->known.begin(), life->known.end());
  for (const Life::Known& each : known) {
    if (each.of_create) {
      Create(each.order);
    } else {
      Submit(each.command);
    }
    RunAll();
  }
}

void Harness::DeleteAgain() {
  for (const auto& [session_id, request_id] : model_.Deletes()) {
    if (model_.Find(session_id)) continue;  // another life of it
    CommandSpec command;
    command.verb = Verb::kDelete;
    command.session_id = session_id;
    command.request_id = request_id;
    Submit(command);
  }
}

void Harness::Finish() {
  RunAll();
  Compare();
  SendAgain();
  Compare();
  for (std::int64_t second = 0; second <= kOptions.retention; ++second) {
    DeleteAgain();
    Advance(1);
    Sweep();
    RunAll();
    Compare();
  }
}

void TestOneInput(Input input) {
  Harness harness(/*quick=*/input.Pick(4) == 3);
  for (int i = 0; i < kMaxCommands && !input.empty(); ++i) harness.Do(input);
  harness.Finish();
}

}  // namespace
}  // namespace corod::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  corod::fuzz::TestOneInput(corod::fuzz::Input(data, size));
  return 0;
}
