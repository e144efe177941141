#include "tests/simulation/schedule.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "server/base/failure.h"
#include "server/coroutine/errors.h"
#include "server/session/planted_faults.h"
#include "server/session/sessions.h"
#include "tests/simulation/client_history.h"
#include "tests/simulation/scripted_catalog.h"
#include "tests/simulation/scripts.h"
#include "tests/unit/session/test_catalog.h"

namespace corod {
namespace {

constexpr int kMaxTries = 4;
constexpr int kMaxDrain = 100'000;
// Of the schedules; they take several times as long as others.
constexpr std::uint64_t kScriptedPercent = 12;
constexpr std::size_t kWholeCatalog = std::size_t{1} << 20;

// Runs its tasks in an order that the dice say.
class DiceExecutor : public Executor {
 public:
  explicit DiceExecutor(Dice& dice) : dice_(dice) {}
  void Run(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  bool HasTasks() const { return !tasks_.empty(); }
  void RunOne() {
    const auto place = tasks_.begin() + static_cast<std::ptrdiff_t>(dice_.Below(tasks_.size()));
    const std::function<void()> task = std::move(*place);
    tasks_.erase(place);
    task();
  }

 private:
  Dice& dice_;
  std::deque<std::function<void()>> tasks_;
};

Probe& TheProbe() {
  static Probe* const probe = new Probe;
  return *probe;
}

const Catalog& TestCatalog() {
  static const Catalog* const catalog = [] {
    auto* made = new Catalog;
    AddTestCoroutines(*made, TheProbe());
    return made;
  }();
  return *catalog;
}

std::string TextOf(const absl::Status& status) {
  const FailureDetails details = DetailsOf(status);
  return details.reason.empty() ? status.ToString() : details.reason + ": " + std::string(status.message());
}

// What command `number` sends to that coroutine. NumberIn finds the number again.
Value ValueFor(const std::string& coroutine, int number) {
  if (coroutine == "token_counter") return "t" + std::to_string(number);
  if (coroutine == "obedient" || coroutine == "lua_clerk" || coroutine == "lua_raiser") {
    return Map{{number % 8 == 0 ? "return" : number % 8 == 1 ? "raise" : "yield", number}};
  }
  Value value = number;
  if (coroutine == "echo") {
    for (int depth = number % 4; depth > 0; --depth) value = List{value};
  }
  return value;
}

// -1: none.
int NumberIn(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kInteger:
      return static_cast<int>(value.AsInteger());
    case Value::Kind::kText:
      return std::stoi(value.AsText().substr(1));
    case Value::Kind::kException:
      return std::stoi(value.AsException().message().substr(1));
    case Value::Kind::kList:
      return NumberIn(value.AsList().front());
    case Value::Kind::kMap:
      return NumberIn(value.AsMap().begin()->value);
    default:
      return -1;
  }
}

ClientHistory::Shown ShownOf(const SessionInfo& info) {
  return {.uid = info.key.uid,
          .coroutine = info.coroutine,
          .version = info.version,
          .steps = info.steps,
          .state = info.state,
          .last_outcome = info.last_outcome};
}

bool SurelyNotExecuted(const absl::Status& status) {
  const FailureDetails details = DetailsOf(status);
  const auto executed = details.metadata.find("executed");
  if (details.reason == "REPLY_FORGOTTEN" || details.reason == "REQUEST_ID_REUSED") return false;
  return executed != details.metadata.end() && executed->second == "no";
}

// What a client wants, over all its attempts.
struct Wish {
  enum class Kind : std::uint8_t { kCommand, kCreate, kFork, kUpdate, kImport, kDefine, kRemove } kind = Kind::kCommand;
  int number = 0;
  std::string id;
  std::string request_id;
  // kCommand
  Operation operation = Operation::kSend;
  bool force = false;
  Value value;
  Step expected_step = 0;
  CreateSpec create;
  std::string body;  // of kCreate: its reference
  ForkSpec fork;
  std::string file;          // kImport
  std::size_t exported = 0;  // the attempt that gave it
  std::string script;        // kDefine, kRemove
  std::int64_t variant = 0;  // kDefine

  std::size_t request = 0;  // in the history
  int tries = 0;
  bool under_way = false;
  bool over = false;
  bool doubtful = false;  // an attempt may have been executed
  // The answer, if it is one.
  std::optional<Reply> reply;  // of a command, or of priming
  std::string uid;             // of what was created or changed
  std::optional<absl::Status> refusal;
};

class Schedule;

class Attempt : public Command {
 public:
  Attempt(Schedule& schedule, int wish, int server, std::size_t asked = 0)
      : schedule_(schedule), wish_(wish), server_(server), asked_(asked) {}
  void Finish(absl::StatusOr<Reply> reply) override;

 private:
  Schedule& schedule_;
  const int wish_;
  const int server_;
  const std::size_t asked_;
};

class Schedule {
 public:
  Schedule(std::uint64_t seed, Fault fault, Ends ends, Totals& totals, std::vector<std::string>* trace)
      : dice_(seed * 0x9e3779b97f4a7c15 + 1),
        fault_(fault),
        ends_(ends),
        totals_(totals),
        trace_(trace),
        scripted_(Dice(seed).Percent(kScriptedPercent)) {}

  Verdict Run();

  // `asked`: the attempt in the history.
  void Answered(int wish, int server, std::size_t asked, absl::StatusOr<Reply> reply);

 private:
  void Complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = what;
    Trace("WRONG: " + what);
  }
  bool Ended() const { return !complaint_.empty() && ends_ == Ends::kAtOnce; }
  void Trace(const std::string& what) {
    if (trace_) trace_->push_back(what);
  }
  // No two sessions are used at the same time, so that they come in one order everywhere.
  void Tick() { clock_.Advance(absl::Milliseconds(1)); }
  void ChooseOptions();
  void Start();
  void Stop();
  void Settle();
  void Act();
  void Begin();
  void Try(int number);
  void AnsweredCreate(int wish, int server, std::size_t asked, const absl::StatusOr<Created>& created);
  // A Fork, an Update or an Import.
  void AnsweredInfo(int wish, int server, std::size_t asked, const absl::StatusOr<SessionInfo>& info);
  // What a client is told goes into the history.
  void Told(int server, std::size_t asked, ClientHistory::Answer answer);
  ClientHistory::Request RequestOf(const Wish& wish) const;
  // Whether it is right that so old a step cannot be forked from any more.
  bool MayBeTrimmed(const Wish& wish, const absl::Status& status) const;
  bool Accept(Wish& wish, int server, const absl::Status& status);
  void AnsweredCatalog(int wish, int server, std::size_t asked, const absl::Status& status, std::uint32_t version);
  void ClaimByOther();
  void DefineAnEvent();
  // What the journal has of the catalog when the schedule begins.
  void BeginCatalog();
  // Of the scripts that the schedule defines again and again.
  std::string AnyScript();
  CreateSpec SpecOf(const std::string& body) const;
  void List();
  void Export(const std::string& id);
  // What is shown of a session; it may be as it was a moment ago.
  void CheckShown(const std::string& how, const SessionInfo& info);
  std::string AnyId() { return "s" + std::to_string(dice_.Below(ids_)); }

  void Check();
  void CheckSteps(std::vector<int>& found);
  bool Copies(const Life& life, const std::string& source_id) const;
  void CheckAnswer(const Wish& wish);
  void CheckServer();
  void AskAgain();
  // The same question once more, now that nothing fails.
  void AskOnceMore(int number);
  void AskWhatIsInDoubt();
  void AskTheRest();
  void LookAtAll();
  void CheckDrain();
  // What was told to be in the catalog is there.
  void CheckCatalog();

  Dice dice_;
  const Fault fault_;
  const Ends ends_;
  Totals& totals_;
  std::vector<std::string>* const trace_;
  std::string complaint_;

  FakeClock clock_;
  Sessions::Options options_;
  SimulatedJournal::Rates rates_;
  std::uint64_t ids_ = 1;
  std::size_t clients_ = 1;
  std::uint64_t crash_percent_ = 0;
  bool shared_ = false;
  bool warms_ = false;
  const bool scripted_;
  bool keeps_finished_ = true;           // for longer than the schedule takes; and the answers of Deletes
  std::vector<std::string> coroutines_;  // reference bodies
  // Those that are defined again and again, and the variant that was wanted last.
  std::map<std::string, std::int64_t> scripts_;
  std::unique_ptr<ScriptedCatalog> judge_;  // of the store
  std::unique_ptr<LogStore> store_;
  SimulatedJournal::Late late_;
  bool readable_ = true;

  int server_ = 0;
  std::unique_ptr<SequenceRandom> random_;
  std::unique_ptr<DiceExecutor> executor_;
  std::unique_ptr<SimulatedJournal> journal_;
  std::unique_ptr<ScriptedCatalog> catalog_;  // of a schedule with scripts
  std::unique_ptr<Definitions> definitions_;
  std::unique_ptr<Sessions> sessions_;

  std::deque<Wish> wishes_;
  std::vector<std::unique_ptr<Attempt>> attempts_;
  struct File {
    std::string content;
    std::size_t exported;  // the attempt that gave it
  };
  std::deque<File> files_;
  ClientHistory history_;
  std::vector<CatalogEvent> defined_;  // what was told to be stable; of scripts, without a revision
  std::vector<CatalogEvent> refused_;  // what was told to be void
  std::vector<int> open_;              // wishes that are neither over nor given up
};

void Attempt::Finish(absl::StatusOr<Reply> reply) { schedule_.Answered(wish_, server_, asked_, std::move(reply)); }

void Schedule::ChooseOptions() {
  options_.durability.checkpoint_every = 3 + dice_.Below(5);
  options_.durability.history = 5 + dice_.Below(16);
  options_.durability.max_live_sessions = 1 + dice_.Below(3);
  options_.durability.passivate_after = absl::Minutes(1 + static_cast<std::int64_t>(dice_.Below(3)));
  options_.durability.settle_after = absl::Minutes(10);
  options_.max_remembered_ids = 1024;
  options_.max_queued = dice_.Percent(20) ? 2 : 64;
  if (dice_.Percent(20)) options_.durable_idle_timeout = absl::Minutes(5);
  if (dice_.Percent(25)) options_.limits.max_depth = 2;
  keeps_finished_ = dice_.Percent(60);
  if (keeps_finished_) options_.retention = absl::Hours(100);
  ids_ = 1 + dice_.Below(3);
  clients_ = 1 + dice_.Below(4);
  crash_percent_ = dice_.Percent(70) ? 2 : 0;
  shared_ = dice_.Percent(25);
  warms_ = dice_.Percent(30);
  if (!dice_.Percent(25)) rates_.failing = 3 + dice_.Below(15);
  rates_.landing = dice_.Below(101);
  rates_.late = dice_.Below(101);
  static constexpr const char* kCoroutines[] = {"averager",   "token_counter", "echo",     "tallying", "counter",
                                                "last_words", "stubborn",      "obedient", "dicing",   "dicing"};
  for (int i = 0; i < 2; ++i) coroutines_.emplace_back(kCoroutines[dice_.Below(10)]);
  if (!scripted_) return;
  const std::vector<ScriptedKind>& kinds = ScriptedKinds();
  coroutines_[0] = kinds[dice_.Below(kinds.size())].name;
  if (dice_.Percent(70)) coroutines_[1] = kinds[dice_.Below(kinds.size())].name;
}

void Schedule::Start() {
  ++server_;
  executor_ = std::make_unique<DiceExecutor>(dice_);
  journal_ = std::make_unique<SimulatedJournal>(*store_, late_, dice_, rates_, fault_, shared_,
                                                [this](const std::string& what) { Trace("  journal: " + what); });
  readable_ = true;
  if (scripted_) {
    catalog_ = std::make_unique<ScriptedCatalog>(TheProbe());
    definitions_ =
        std::make_unique<Definitions>(catalog_->catalog(), *journal_, clock_, *executor_, catalog_->compile());
    if (const absl::Status opened = definitions_->Open(); !opened.ok()) Complain("no catalog: " + TextOf(opened));
  }
  const Catalog& catalog = scripted_ ? catalog_->catalog() : TestCatalog();
  sessions_ = std::make_unique<Sessions>(options_, catalog, clock_, *executor_, *random_, *journal_);
  Trace("server " + std::to_string(server_) + " starts");
  if (!warms_) return;
  // Bodies that are known to be quick run at once.
  for (const std::string& coroutine : std::set<std::string>(coroutines_.begin(), coroutines_.end())) {
    CreateSpec spec = SpecOf(coroutine);
    spec.session_id = "warm-" + coroutine;
    spec.prime = true;
    spec.durability = Durability::kEphemeral;
    Tick();
    sessions_->Create(spec, [](const absl::StatusOr<Created>&) {});
    while (executor_->HasTasks() || journal_->HasPending()) {
      if (executor_->HasTasks()) executor_->RunOne();
    }
    for (int i = 0; i < 32; ++i) {
      attempts_.push_back(std::make_unique<Attempt>(*this, -1, server_));
      attempts_.back()->value = ValueFor(coroutine, 2);
      sessions_->Submit(spec.session_id, attempts_.back().get());
      while (executor_->HasTasks()) executor_->RunOne();
    }
  }
}

void Schedule::Stop() {
  const int gone = server_++;  // what is answered now, nobody hears
  journal_->Crash();
  for (int i = 0; executor_->HasTasks() || journal_->HasPending(); ++i) {
    if (executor_->HasTasks()) executor_->RunOne();
    journal_->Advance();
    if (i > kMaxDrain) {
      Complain("a server whose journal is gone does not come to rest");
      std::abort();
    }
  }
  sessions_.reset();
  definitions_.reset();
  catalog_.reset();
  journal_.reset();
  executor_.reset();
  store_->LoseUnsynced([this] { return dice_.Percent(50); });
  Trace("server " + std::to_string(gone) + " has crashed");
  for (const int number : open_) {
    Wish& wish = wishes_[static_cast<std::size_t>(number)];
    if (wish.under_way) wish.doubtful = true;
    wish.under_way = false;
  }
  attempts_.clear();
}

void Schedule::Settle() {
  int i = 0;
  while (executor_->HasTasks() || journal_->HasPending()) {
    Tick();
    if (executor_->HasTasks()) executor_->RunOne();
    journal_->Advance();
    if (++i > kMaxDrain) {
      Complain("the server does not come to rest");
      return;
    }
  }
}

void Schedule::Begin() {
  Wish wish;
  wish.number = static_cast<int>(wishes_.size());
  const std::string name = std::to_string(wish.number);
  wish.id = AnyId();
  if (dice_.Percent(75)) wish.request_id = "r" + name;
  const std::uint64_t what = dice_.Below(100);
  const Life* life = store_->Current(wish.id);
  if (scripted_ && dice_.Percent(10)) {
    wish.kind = dice_.Percent(75) ? Wish::Kind::kDefine : Wish::Kind::kRemove;
    wish.request_id = "d" + name;  // as an Update's
    wish.id.clear();
    wish.script = AnyScript();
    if (wish.kind == Wish::Kind::kDefine) {
      std::int64_t& last = scripts_[wish.script];
      if (last == 0 || dice_.Percent(70)) last = wish.number + 2;
      wish.variant = last;
    }
  } else if (what < 14 || (!life && what < 70)) {
    wish.kind = Wish::Kind::kCreate;
    wish.body = coroutines_[dice_.Below(coroutines_.size())];
    wish.create = SpecOf(wish.body);
    wish.create.session_id = wish.id;
    wish.create.prime = dice_.Percent(70);
    wish.create.request_id = wish.request_id;
    wish.create.labels["n"] = name;
    const std::uint64_t variant = dice_.Below(3);
    wish.create.if_exists = variant == 0   ? IfExists::kFail
                            : variant == 1 ? IfExists::kReturn
                                           : IfExists::kReplaceFinished;
    wish.create.durability = Durability::kDurable;
  } else if (what < 20) {
    wish.kind = Wish::Kind::kFork;
    wish.fork.session_id = wish.id;
    wish.id = wish.fork.new_session_id = "f" + std::to_string(dice_.Below(2));
    if (life && dice_.Percent(50) && life->last() > 0) wish.fork.at_step = 1 + dice_.Below(life->last());
    wish.fork.labels["n"] = name;
    wish.fork.request_id = wish.request_id;
  } else if (what < 24) {
    wish.kind = Wish::Kind::kUpdate;
    wish.request_id = "u" + name;  // it is never sent, but an Update may be made again
    if (dice_.Percent(30)) wish.id = "f0";
  } else if (what < 26 && !files_.empty()) {
    wish.kind = Wish::Kind::kImport;
    wish.request_id.clear();
    wish.id = "i" + std::to_string(dice_.Below(2));
    const File& file = files_[dice_.Below(files_.size())];
    wish.file = file.content;
    wish.exported = file.exported;
  } else {
    if (dice_.Percent(20)) wish.id = (dice_.Percent(70) ? "f" : "i") + std::to_string(dice_.Below(2));
    life = store_->Current(wish.id);
    if (what < 31) {
      wish.operation = Operation::kClose;
      wish.force = dice_.Percent(50);
      wish.request_id = "r" + name;
    } else if (what < 35) {
      wish.operation = Operation::kDelete;
      wish.force = dice_.Percent(30);
      wish.request_id = "r" + name;
    } else if (what < 40) {
      wish.operation = Operation::kThrow;
      wish.value = py::ValueError("x" + name);
    } else if (what < 48) {
      wish.request_id = "r" + name;  // next
    } else {
      wish.value = ValueFor(life ? life->definition->name : "", wish.number);
    }
    if (life && dice_.Percent(10)) wish.expected_step = life->last() + 1;
  }
  wish.request = history_.Add(RequestOf(wish));
  open_.push_back(wish.number);
  wishes_.push_back(std::move(wish));
  ++totals_.commands;
  Try(static_cast<int>(wishes_.size()) - 1);
}

void Schedule::Try(int number) {
  Wish& wish = wishes_[static_cast<std::size_t>(number)];
  wish.under_way = true;
  ++wish.tries;
  ++totals_.attempts;
  const int server = server_;
  const std::size_t asked = history_.Ask(wish.request, clock_.Now());
  if (trace_) {
    static constexpr const char* kOperations[] = {"send", "throw", "close", "create", "delete"};
    std::string text = "client: " + std::to_string(number) + " try " + std::to_string(wish.tries) + " " + wish.id + " ";
    if (wish.kind == Wish::Kind::kCommand) {
      text += kOperations[static_cast<int>(wish.operation)];
    } else if (wish.kind == Wish::Kind::kCreate) {
      text += "Create " + wish.create.coroutine + " prime " + std::to_string(wish.create.prime) + " if_exists " +
              std::to_string(static_cast<int>(wish.create.if_exists));
    } else if (wish.kind == Wish::Kind::kDefine || wish.kind == Wish::Kind::kRemove) {
      text += (wish.kind == Wish::Kind::kDefine ? "Define " : "Remove ") + wish.script + " variant " +
              std::to_string(wish.variant);
    } else if (wish.kind == Wish::Kind::kUpdate) {
      text += "Update";
    } else if (wish.kind == Wish::Kind::kImport) {
      text += "Import";
    } else {
      text +=
          "Fork of " + wish.fork.session_id + " at " + (wish.fork.at_step ? std::to_string(*wish.fork.at_step) : "-");
    }
    Trace(text + " id '" + wish.request_id + "'");
  }
  if (wish.kind == Wish::Kind::kCreate) {
    const CreateSpec spec = wish.create;
    sessions_->Create(spec, [this, number, server, asked](const absl::StatusOr<Created>& created) {
      AnsweredCreate(number, server, asked, created);
    });
  } else if (wish.kind == Wish::Kind::kFork) {
    const ForkSpec spec = wish.fork;
    sessions_->Fork(spec, [this, number, server, asked](const absl::StatusOr<SessionInfo>& forked) {
      AnsweredInfo(number, server, asked, forked);
    });
  } else if (wish.kind == Wish::Kind::kUpdate) {
    const std::string id = wish.id;
    sessions_->Update(id, {.labels = {{"u" + std::to_string(number), "v"}}},
                      [this, number, server, asked](const absl::StatusOr<SessionInfo>& updated) {
                        AnsweredInfo(number, server, asked, updated);
                      });
  } else if (wish.kind == Wish::Kind::kDefine) {
    definitions_->Define({.name = wish.script, .source = SourceOf(wish.script, wish.variant), .documentation = {}},
                         [this, number, server, asked](const absl::StatusOr<const Definition*>& defined) {
                           AnsweredCatalog(number, server, asked, defined.status(),
                                           defined.ok() ? (*defined)->version : 0);
                         });
  } else if (wish.kind == Wish::Kind::kRemove) {
    definitions_->Remove("default", wish.script, [this, number, server, asked](const absl::Status& removed) {
      AnsweredCatalog(number, server, asked, removed, 0);
    });
  } else if (wish.kind == Wish::Kind::kImport) {
    sessions_->Import(wish.file, "default", wish.id,
                      [this, number, server, asked](const absl::StatusOr<SessionInfo>& imported) {
                        AnsweredInfo(number, server, asked, imported);
                      });
  } else {
    attempts_.push_back(std::make_unique<Attempt>(*this, number, server, asked));
    Attempt& attempt = *attempts_.back();
    attempt.operation = wish.operation;
    attempt.force = wish.force;
    attempt.value = Snapshot(wish.value);
    attempt.request_id = wish.request_id;
    attempt.expected_step = wish.expected_step;
    const std::string id = wish.id;
    sessions_->Submit(id, &attempt);
  }
}

// Whether an attempt was answered with what was asked for.
bool Schedule::Accept(Wish& wish, int server, const absl::Status& status) {
  if (server != server_) return false;
  if (!wish.under_way) {
    Complain("command " + std::to_string(wish.number) + " is answered twice");
    return false;
  }
  wish.under_way = false;
  Trace("client: " + std::to_string(wish.number) + " is answered: " + (status.ok() ? "OK" : TextOf(status)));
  if (status.ok()) {
    wish.over = true;
    ++totals_.answered;
    return true;
  }
  // With a request id QUEUE_FULL leaves open whether an earlier attempt was executed; this one was not.
  if (SurelyNotExecuted(status) || IsFailure(status, Reason::QUEUE_FULL)) {
    ++totals_.refused;
    const FailureDetails details = DetailsOf(status);
    // Waiting helps.
    if (details.reason == "QUEUE_FULL" && wish.tries < kMaxTries) return false;
    wish.over = true;
    wish.refusal = status;
    if (details.reason == "SESSION_EXISTS" && !wish.request_id.empty()) {
      const Life* life = store_->Current(wish.id);
      const auto label = life ? life->labels.find("n") : Labels::const_iterator();
      if (life && label != life->labels.end() && label->second == std::to_string(wish.number)) {
        Complain("command " + std::to_string(wish.number) + " is told that the session exists which it made itself");
      }
    }
    return false;
  }
  wish.doubtful = true;
  const FailureDetails details = DetailsOf(status);
  if (details.reason != "JOURNAL_UNAVAILABLE") {
    wish.over = true;
    wish.refusal = status;
    if (details.reason != "REPLY_FORGOTTEN" && details.reason != "HISTORY_TRIMMED") {
      Complain("command " + std::to_string(wish.number) + " is refused strangely: " + TextOf(status));
    }
  }
  return false;
}

ClientHistory::Request Schedule::RequestOf(const Wish& wish) const {
  using Kind = ClientHistory::Request::Kind;
  static constexpr Kind kKinds[] = {Kind::kCommand, Kind::kCreate, Kind::kFork,  Kind::kUpdate,
                                    Kind::kImport,  Kind::kDefine, Kind::kRemove};
  ClientHistory::Request request;
  request.kind = kKinds[static_cast<int>(wish.kind)];
  request.session_id = wish.id;
  request.request_id = request.kind == Kind::kUpdate ? "" : wish.request_id;
  request.operation = wish.operation;
  request.force = wish.force;
  request.value = wish.value;
  request.expected_step = wish.expected_step;
  request.coroutine = wish.kind == Wish::Kind::kCreate ? wish.body : wish.script;
  request.argument = wish.kind == Wish::Kind::kCreate && wish.body == "stubborn" ? 1 : wish.variant;
  request.prime = wish.create.prime;
  request.if_exists = wish.create.if_exists;
  request.source_id = wish.fork.session_id;
  request.at_step = wish.fork.at_step;
  request.file = wish.exported;
  return request;
}

void Schedule::Told(int server, std::size_t asked, ClientHistory::Answer answer) {
  if (server == server_) history_.Tell(asked, clock_.Now(), std::move(answer));
}

void Schedule::Answered(int number, int server, std::size_t asked, absl::StatusOr<Reply> reply) {
  if (number < 0) return;
  if (reply.ok()) {
    Told(server, asked,
         {.kind = ClientHistory::Answer::Kind::kStep,
          .step = {reply->step, *reply->outcome},
          .replayed = reply->replayed});
  } else {
    Told(server, asked, ClientHistory::Refusal(reply.status()));
  }
  Wish& wish = wishes_[static_cast<std::size_t>(number)];
  if (!Accept(wish, server, reply.status())) return;
  wish.reply = *std::move(reply);
  if (wish.reply->replayed) ++totals_.replayed;
}

void Schedule::AnsweredCreate(int number, int server, std::size_t asked, const absl::StatusOr<Created>& created) {
  if (created.ok()) {
    ClientHistory::Answer answer{.kind = ClientHistory::Answer::Kind::kCreated,
                                 .replayed = created->replayed,
                                 .uid = created->session->uid(),
                                 .version = created->session->definition()->version,
                                 .existed = created->existed};
    if (created->primed) answer.step = {created->primed->step, *created->primed->outcome};
    Told(server, asked, std::move(answer));
  } else {
    Told(server, asked, ClientHistory::Refusal(created.status()));
  }
  Wish& wish = wishes_[static_cast<std::size_t>(number)];
  if (!Accept(wish, server, created.status())) return;
  wish.uid = created->existed ? "" : created->session->uid();
  wish.reply = created->primed;
  if (created->replayed) ++totals_.replayed;
  if (!created->existed && wish.create.prime != created->primed.has_value()) {
    Complain("command " + std::to_string(number) + " asked for priming and got another answer");
  }
}

bool Schedule::MayBeTrimmed(const Wish& wish, const absl::Status& status) const {
  if (wish.kind != Wish::Kind::kFork || !wish.fork.at_step) return false;
  const FailureDetails details = DetailsOf(status);
  const auto told = details.metadata.find("earliest_step");
  if (details.reason != "HISTORY_TRIMMED" || told == details.metadata.end()) return false;
  const Step earliest = std::stoull(told->second);
  if (*wish.fork.at_step + 1 >= earliest) return false;
  // Some life of that id has gone on for so long that its log may begin there.
  return std::any_of(store_->lives().begin(), store_->lives().end(), [&](const auto& life) {
    return life.second.key.id == wish.fork.session_id &&
           earliest - 1 + options_.durability.history <= life.second.last();
  });
}

void Schedule::AnsweredInfo(int number, int server, std::size_t asked, const absl::StatusOr<SessionInfo>& info) {
  if (info.ok()) {
    Told(server, asked, {.kind = ClientHistory::Answer::Kind::kShown, .shown = ShownOf(*info)});
  } else {
    Told(server, asked, ClientHistory::Refusal(info.status()));
  }
  Wish& wish = wishes_[static_cast<std::size_t>(number)];
  if (server == server_ && absl::IsOutOfRange(info.status())) {
    if (!MayBeTrimmed(wish, info.status())) {
      Complain("command " + std::to_string(number) +
               " is told that what it needs is no longer there: " + TextOf(info.status()));
    }
    wish.under_way = false;
    wish.over = true;
    return;
  }
  if (!Accept(wish, server, info.status())) return;
  wish.uid = info->key.uid;
}

void Schedule::AnsweredCatalog(int number, int server, std::size_t asked, const absl::Status& status,
                               std::uint32_t version) {
  if (status.ok()) {
    Told(server, asked, {.kind = ClientHistory::Answer::Kind::kDefined, .version = version});
  } else {
    Told(server, asked, ClientHistory::Refusal(status));
  }
  Wish& wish = wishes_[static_cast<std::size_t>(number)];
  if (!Accept(wish, server, status) || wish.kind == Wish::Kind::kRemove) return;
  defined_.push_back({.kind = CatalogEvent::Kind::kLua,
                      .name = wish.script,
                      .version = version,
                      .source = SourceOf(wish.script, wish.variant)});
}

void Schedule::ClaimByOther() {
  const std::string id = AnyId();
  const auto found = store_->reads().Find(id);
  const Life* life = store_->Current(id);
  if (!found.ok() || !*found || !life) return;
  Batch claim;
  claim.id = {(*found)->tail.number + 1, dice_.Next()};
  claim.previous = (*found)->tail;
  claim.first_step = life->last() + 1;
  claim.digest = life->digests.back();
  Trace("another server claims " + id);
  static_cast<void>(store_->Apply(LogStore::Append{life->key, claim, std::nullopt}));
}

void Schedule::DefineAnEvent() {
  const absl::StatusOr<std::vector<CatalogEvent>> known = journal_->ReadCatalog(0, kWholeCatalog);
  if (!known.ok()) return;
  CatalogEvent event;
  event.revision = known->size() + 1;
  if (scripted_) {
    // Another server's, of which this one does not know yet.
    const std::string script = AnyScript();
    constexpr std::int64_t kOthers = 1000;
    const std::int64_t variant = kOthers + static_cast<std::int64_t>(event.revision);
    event.kind = CatalogEvent::Kind::kLua;
    event.name = script;
    event.version = judge_->catalog().LastVersion(script) + 1;
    event.source = SourceOf(script, variant);
    Trace("another server defines " + script + " variant " + std::to_string(variant));
    ClientHistory::Request request;
    request.kind = ClientHistory::Request::Kind::kDefine;
    request.coroutine = script;
    request.argument = variant;
    history_.Ask(history_.Add(std::move(request)), clock_.Now());
    static_cast<void>(store_->Apply(event));
    return;
  }
  event.name = "d" + std::to_string(dice_.Next());
  event.version = 1;
  Trace("the catalog is to have " + event.name + " at " + std::to_string(event.revision));
  journal_->Define(event, [this, server = server_, event](const absl::Status& status) {
    if (server != server_) return;
    if (status.ok()) defined_.push_back(event);
    if (absl::IsAborted(status)) refused_.push_back(event);
  });
}

void Schedule::BeginCatalog() {
  store_->SetLearns([this](const CatalogEvent& event) { judge_->Learn(event); });
  std::uint64_t revision = 0;
  for (const Definition* native : judge_->catalog().Undated()) {
    static_cast<void>(
        store_->Apply(CatalogEvent{.revision = ++revision, .name = native->name, .version = native->version}));
  }
  const auto define = [&](const std::string& script) {
    static_cast<void>(store_->Apply(CatalogEvent{.revision = ++revision,
                                                 .kind = CatalogEvent::Kind::kLua,
                                                 .name = script,
                                                 .version = 1,
                                                 .source = SourceOf(script, 1)}));
  };
  for (const std::string& body : std::set<std::string>(coroutines_.begin(), coroutines_.end())) {
    const ScriptedKind* kind = FindScriptedKind(body);
    if (!kind) continue;
    if (kind->other) define(kind->other);
    if (scripts_.contains(kind->script)) continue;
    const std::int64_t variant = dice_.Percent(80) ? 1 : 0;
    if (variant != 0) define(kind->script);
    history_.Begin(kind->script, variant);
    scripts_[kind->script] = variant;
  }
}

std::string Schedule::AnyScript() {
  return std::next(scripts_.begin(), static_cast<std::ptrdiff_t>(dice_.Below(scripts_.size())))->first;
}

CreateSpec Schedule::SpecOf(const std::string& body) const {
  CreateSpec spec;
  spec.coroutine = body;
  if (body == "stubborn") spec.arguments["times"] = 1;
  if (const ScriptedKind* kind = FindScriptedKind(body)) {
    spec.coroutine = kind->coroutine;
    spec.arguments = ArgumentsOf(*kind);
  }
  return spec;
}

void Schedule::CheckCatalog() {
  const absl::StatusOr<std::vector<CatalogEvent>> history = store_->reads().ReadCatalog(0, kWholeCatalog);
  for (std::size_t i = 0; i < history->size(); ++i) {
    if ((*history)[i].revision != i + 1) Complain("the history of the catalog has a gap");
  }
  const auto has = [&history](const CatalogEvent& event) {
    if (event.revision == 0) {
      return std::any_of(history->begin(), history->end(), [&event](const CatalogEvent& there) {
        return there.kind == event.kind && there.name == event.name && there.version == event.version &&
               there.source == event.source;
      });
    }
    return event.revision <= history->size() && (*history)[event.revision - 1] == event;
  };
  for (const auto& [script, variant] : scripts_) {
    const Definition* shown = catalog_->catalog().Newest(script);
    const Definition* known = judge_->catalog().Newest(script);
    if (!shown != !known || (shown && (shown->version != known->version || shown->source != known->source))) {
      Complain("the catalog of the server has another " + script + " than its history");
    }
  }
  for (const CatalogEvent& event : defined_) {
    if (!has(event)) Complain("the catalog has lost " + event.name + " at " + std::to_string(event.revision));
  }
  for (const CatalogEvent& event : refused_) {
    if (has(event)) Complain("the catalog has " + event.name + ", which was told to be void");
  }
}

void Schedule::CheckShown(const std::string& how, const SessionInfo& info) {
  const auto life = store_->lives().find(info.key.uid);
  if (life == store_->lives().end()) {
    Complain(how + " shows a session that is not in the journal");
    return;
  }
  if (info.problem) Complain(how + " shows a problem: " + info.problem->message);
  if (info.steps > life->second.last() ||
      (info.steps + 1 >= life->second.first && info.digest != life->second.digest(info.steps))) {
    Complain(how + " shows a session as it never was, at step " + std::to_string(info.steps));
  }
}

void Schedule::List() {
  auto last = std::make_shared<std::string>();
  const auto each = [this, server = server_, last](const SessionInfo& info) {
    if (server != server_) return true;
    if (info.key.id <= *last) Complain("List shows " + info.key.id + " behind " + *last);
    *last = info.key.id;
    if (info.durable) CheckShown("List", info);
    return true;
  };
  sessions_->List({}, each, [](const absl::StatusOr<std::string>&) {});
}

void Schedule::Export(const std::string& id) {
  auto file = std::make_shared<std::string>();
  const auto sink = [file](const std::string& part, const std::function<void(bool)>& taken) {
    *file += part;
    taken(true);
  };
  ClientHistory::Request request;
  request.kind = ClientHistory::Request::Kind::kExport;
  request.session_id = id;
  const std::size_t asked = history_.Ask(history_.Add(std::move(request)), clock_.Now());
  sessions_->Export(id, sink, [this, server = server_, id, asked, file](const absl::Status& exported) {
    if (server != server_ || !exported.ok()) return;
    Trace("client: has a file of " + id);
    Told(server, asked, {.kind = ClientHistory::Answer::Kind::kFile});
    files_.push_back({std::move(*file), asked});
    if (files_.size() > 3) files_.pop_front();
  });
}

void Schedule::Act() {
  Tick();
  std::erase_if(open_, [this](int number) { return wishes_[static_cast<std::size_t>(number)].over; });
  const std::uint64_t what = dice_.Below(100);
  if (what < 40) {
    if (executor_->HasTasks()) executor_->RunOne();
  } else if (what < 68) {
    journal_->Advance();
  } else if (what < 92) {
    std::vector<int> waiting;
    for (const int number : open_) {
      if (!wishes_[static_cast<std::size_t>(number)].under_way) waiting.push_back(number);
    }
    if (!waiting.empty() && dice_.Percent(70)) {
      const int number = waiting[dice_.Below(waiting.size())];
      const Wish& wish = wishes_[static_cast<std::size_t>(number)];
      // Without an id it must not be tried again; and some do not try for ever.
      if ((wish.request_id.empty() && wish.doubtful) || wish.tries >= kMaxTries || dice_.Percent(5)) {
        std::erase(open_, number);
      } else {
        Try(number);
      }
    } else if (open_.size() < clients_ * 2) {
      Begin();
    }
  } else if (what < 94) {
    clock_.Advance(absl::Seconds(static_cast<std::int64_t>(1 + dice_.Below(dice_.Percent(10) ? 400 : 60))));
    Trace("time passes");
    sessions_->Sweep();
  } else if (what < 95) {
    if (!late_.empty()) {
      const auto place = late_.begin() + static_cast<std::ptrdiff_t>(dice_.Below(late_.size()));
      LogStore::Write write = std::move(*place);
      late_.erase(place);
      const std::string text = Describe(write);
      const absl::Status landed = Land(*store_, std::move(write), fault_);
      Trace("  journal: lands late (" + std::string(landed.message()) + "): " + text);
    }
  } else if (what < 96) {
    if (rates_.failing > 0 && (!readable_ || dice_.Percent(30))) {
      readable_ = !readable_;
      Trace(readable_ ? "the journal can be read again" : "the journal cannot be read");
      journal_->SetReadable(readable_);
    }
  } else if (what < 97) {
    if (rates_.failing > 0 && dice_.Percent(30)) ClaimByOther();
  } else if (what < 98) {
    const std::string id = AnyId();
    const std::uint64_t how = dice_.Below(4);
    if (how == 0) {
      sessions_->Get(id, std::nullopt, [this, server = server_](const absl::StatusOr<SessionInfo>& info) {
        if (server == server_ && info.ok()) CheckShown("Get", *info);
      });
    } else if (how == 1) {
      List();
    } else if (how == 2) {
      DefineAnEvent();
    } else {
      Export(id);
    }
  } else if (dice_.Percent(crash_percent_ * 25)) {
    Stop();
    ++totals_.crashes;
    Start();
  }
}

Verdict Schedule::Run() {
  ChooseOptions();
  random_ = std::make_unique<SequenceRandom>(dice_.Next());
  if (scripted_) judge_ = std::make_unique<ScriptedCatalog>(TheProbe());
  store_ = std::make_unique<LogStore>(scripted_ ? judge_->catalog() : TestCatalog(), options_.limits,
                                      [this](const std::string& what) { Complain(what); });
  if (scripted_) BeginCatalog();
  Start();
  const std::uint64_t actions = 80 + dice_.Below(240);
  for (std::uint64_t i = 0; i < actions && !Ended(); ++i) Act();
  // Nothing fails any more; who waits for an answer gets one.
  Trace("nothing fails any more");
  rates_.failing = 0;
  journal_->SetRates(rates_);
  journal_->SetReadable(true);
  Settle();
  AskWhatIsInDoubt();
  late_.clear();
  // What is in doubt is found out when it is time to sleep.
  clock_.Advance(options_.durability.passivate_after);
  sessions_->Sweep();
  Settle();
  if (!Ended()) Check();
  if (!Ended()) CheckServer();
  if (!Ended()) LookAtAll();
  if (!Ended()) AskAgain();
  Stop();  // what is left is dropped
  Start();
  if (!Ended()) CheckServer();
  if (!Ended()) AskAgain();
  if (!Ended()) AskTheRest();
  if (!Ended()) LookAtAll();
  if (!Ended()) CheckDrain();
  if (!Ended()) CheckCatalog();
  Stop();
  ++totals_.schedules;
  if (scripted_) ++totals_.scripted;
  for (const auto& [uid, life] : store_->lives()) {
    ++totals_.lives;
    totals_.steps += life.records.size();
  }
  Verdict verdict{.logs = complaint_, .clients = {}};
  if (!Ended()) {
    verdict.clients = history_.Check({.closes_idle = options_.durable_idle_timeout != absl::InfiniteDuration(),
                                      .forgets_finished = !keeps_finished_,
                                      .history = options_.durability.history,
                                      .max_depth = options_.limits.max_depth});
    if (!verdict.clients.empty()) Trace("WRONG: " + verdict.clients);
  }
  return verdict;
}

void Schedule::AskOnceMore(int number) {
  Tick();
  wishes_[static_cast<std::size_t>(number)].over = false;
  Try(number);
  Settle();
}

void Schedule::AskWhatIsInDoubt() {
  // Who still waits, then who had given up.
  const auto waits = [](const Wish& wish) {
    return !wish.over && !wish.under_way && !(wish.request_id.empty() && wish.doubtful);
  };
  for (int round = 0; round < 3 && !Ended(); ++round) {
    for (const int number : std::vector<int>(open_)) {
      if (waits(wishes_[static_cast<std::size_t>(number)])) AskOnceMore(number);
    }
  }
  for (const int number : open_) {
    const Wish& wish = wishes_[static_cast<std::size_t>(number)];
    if (!Ended() && waits(wish))
      Complain("command " + std::to_string(number) + " is not answered though nothing fails");
  }
  for (const Wish& wish : wishes_) {
    const bool catalog = wish.kind == Wish::Kind::kDefine || wish.kind == Wish::Kind::kRemove;
    const bool resolves = !wish.request_id.empty() && wish.kind != Wish::Kind::kUpdate && !catalog;
    if (!Ended() && resolves && waits(wish)) AskOnceMore(wish.number);
    const std::string name = "command " + std::to_string(wish.number);
    if (!Ended() && wish.under_way) Complain(name + " is never answered");
    if (!Ended() && !wish.over && resolves) Complain(name + " is not answered though nothing fails");
  }
}

// Whether the life began as another one stood (of that id; "": of any).
bool Schedule::Copies(const Life& life, const std::string& source_id) const {
  for (const auto& [uid, source] : store_->lives()) {
    if (&source != &life && (source_id.empty() || source.key.id == source_id) && life.base + 1 >= source.first &&
        life.base <= source.last() && source.digest(life.base) == life.digest(life.base)) {
      return true;
    }
  }
  return false;
}

// Which wish each step is, and that none is there too often.
void Schedule::CheckSteps(std::vector<int>& found) {
  for (const auto& [uid, life] : store_->lives()) {
    const auto label = life.labels.find("n");
    const int maker = label == life.labels.end() ? -1 : std::stoi(label->second);
    if (maker < 0 || maker >= static_cast<int>(wishes_.size())) {
      Complain("a session was made that nobody asked for");
      continue;
    }
    const Wish& made = wishes_[static_cast<std::size_t>(maker)];
    const bool imported = life.key.id.starts_with("i");
    if (!imported && (made.kind == Wish::Kind::kCommand || made.id != life.key.id)) {
      Complain("a session was made by another command");
    }
    if (imported) {
      if (!Copies(life, "")) Complain("an import does not stand where its source stood");
    } else if (made.kind == Wish::Kind::kCreate)
      ++found[static_cast<std::size_t>(maker)];
    if (!imported && made.kind == Wish::Kind::kFork) {
      ++found[static_cast<std::size_t>(maker)];
      if (!Copies(life, made.fork.session_id))
        Complain("fork " + std::to_string(maker) + " does not stand where its source stood");
      if (made.fork.at_step && life.base != *made.fork.at_step) Complain("a fork stands at another step");
    }
    std::set<int> here;
    for (Step step = std::max<Step>(life.first, life.base + 1); step <= life.last(); ++step) {
      const Record& record = life.record(step);
      const std::string where = " (step " + std::to_string(step) + " of " + life.key.id + " " + uid.substr(0, 8) + ")";
      if (record.cause != CloseCause::kClient) continue;
      int number = -1;
      if (record.operation == Operation::kCreate) {
        if (step != 1 || made.kind != Wish::Kind::kCreate || !made.create.prime)
          Complain("priming is no first step" + where);
        continue;
      }
      if (!record.request_id.empty()) {
        number = std::stoi(record.request_id.substr(1));
      } else {
        number = NumberIn(record.value);
      }
      if (number < 0 || number >= static_cast<int>(wishes_.size())) {
        Complain("a step is nobody's" + where);
        continue;
      }
      const Wish& wish = wishes_[static_cast<std::size_t>(number)];
      const std::string name = "command " + std::to_string(number);
      if (wish.kind != Wish::Kind::kCommand || wish.id != life.key.id || wish.operation != record.operation ||
          wish.force != record.force || wish.value != record.value) {
        Complain(name + " is in the log as another" + where);
      }
      if (wish.expected_step != 0 && wish.expected_step != step) Complain(name + " is not the step it must be" + where);
      if (!here.insert(number).second) Complain(name + " is in the log twice" + where);
      ++found[static_cast<std::size_t>(number)];
    }
    if (life.removed && life.state != CoroutineState::kClosed) {
      Complain("session " + life.key.id + " " + uid.substr(0, 8) + " is gone though it was not finished");
    }
  }
}

void Schedule::CheckAnswer(const Wish& wish) {
  const std::string name = "command " + std::to_string(wish.number);
  if (wish.kind != Wish::Kind::kCommand) {
    if (wish.uid.empty()) return;
    const auto life = store_->lives().find(wish.uid);
    if (life == store_->lives().end()) {
      Complain(name + " was told of a session that is not in the journal");
    } else if (wish.kind == Wish::Kind::kUpdate || wish.kind == Wish::Kind::kImport) {
      if (life->second.key.id != wish.id) Complain(name + " was told of another session");
    } else if (life->second.labels.at("n") != std::to_string(wish.number)) {
      Complain(name + " was told of a session that another made");
    } else if (wish.reply &&
               (wish.reply->step != 1 || !life->second.Has(1) || *wish.reply->outcome != life->second.outcome(1))) {
      Complain(name + " was told another first step");
    }
    return;
  }
  if (!wish.reply) return;
  bool there = false;
  for (const auto& [uid, life] : store_->lives()) {
    if (life.key.id != wish.id || wish.reply->step <= life.base || !life.Has(wish.reply->step)) continue;
    const Record& record = life.record(wish.reply->step);
    if (record.operation != wish.operation || record.request_id != wish.request_id || record.value != wish.value) {
      continue;
    }
    if (*wish.reply->outcome == life.outcome(wish.reply->step)) return;
    there = true;
  }
  if (there) {
    Complain(name + " was told another outcome than that of step " + std::to_string(wish.reply->step));
    return;
  }
  Complain(name + " was told step " + std::to_string(wish.reply->step) + ", which is not in the log as that");
}

void Schedule::Check() {
  std::vector<int> found(wishes_.size());
  CheckSteps(found);
  for (const Wish& wish : wishes_) {
    CheckAnswer(wish);
    const int times = found[static_cast<std::size_t>(wish.number)];
    const std::string name = "command " + std::to_string(wish.number);
    if (times > 1 && (wish.request_id.empty() || wish.tries == 1)) Complain(name + " was executed twice");
    if (times > 1 && wish.kind == Wish::Kind::kCommand && wish.operation == Operation::kDelete && keeps_finished_) {
      Complain(name + ", a Delete that was sent again, has deleted another session");
    }
    if (times > 0 && !wish.doubtful && wish.refusal) {
      Complain(name + " was refused (" + TextOf(*wish.refusal) + ") and executed");
    }
  }
}

void Schedule::CheckServer() {
  for (const auto& [uid, life] : store_->lives()) {
    if (store_->Current(life.key.id) != &life) continue;
    const std::string where = "session " + life.key.id + " " + uid.substr(0, 8);
    std::optional<absl::StatusOr<SessionInfo>> info;
    sessions_->Get(life.key.id, std::nullopt, [&info](absl::StatusOr<SessionInfo> got) { info = std::move(got); });
    Settle();
    if (!info || !info->ok()) {
      // A Delete is carried out when somebody looks.
      if (!life.records.empty() && life.records.back().operation == Operation::kDelete) continue;
      Complain(where + " cannot be looked at: " + (info ? TextOf(info->status()) : "no answer"));
      return;
    }
    const SessionInfo& got = **info;
    if (got.key.uid != uid || got.problem || got.steps != life.last() || got.digest != life.digests.back() ||
        got.state != life.state) {
      Complain(where + " is shown with step " + std::to_string(got.steps) + ", the log ends with " +
               std::to_string(life.last()) + (got.problem ? ", problem: " + got.problem->message : ""));
      return;
    }
    for (const Wish& wish : wishes_) {
      if (wish.kind == Wish::Kind::kUpdate && wish.uid == uid &&
          !got.labels.contains("u" + std::to_string(wish.number))) {
        Complain(where + " lacks the label of update " + std::to_string(wish.number));
        return;
      }
    }
    // Its steps, as they are told.
    std::shared_ptr<Watch> watch;
    const Step from = std::max(got.earliest_step, life.first);
    sessions_->StartWatch(
        life.key.id, from, [] {},
        [&](absl::StatusOr<std::shared_ptr<Watch>> begun) {
          if (begun.ok()) watch = *begun;
        });
    Settle();
    if (!watch) {
      Complain(where + " cannot be watched from step " + std::to_string(from));
      return;
    }
    Step next = from;
    for (bool more = true; more;) {
      Watch::Taken taken = watch->Take(100);
      Settle();
      if (taken.events.empty() && !taken.end) taken = watch->Take(100);
      more = !taken.events.empty() && !taken.end;
      if (taken.end && !taken.end->ok()) Complain(where + " ends its watch: " + TextOf(*taken.end));
      for (const auto& event : taken.events) {
        if (event->step != next || !life.Has(next) || event->outcome != life.outcome(next)) {
          Complain(where + " shows another step " + std::to_string(next));
          return;
        }
        ++next;
      }
      // What follows the last step of the body is told to nobody.
      if (taken.end) next = life.last() + 1;
    }
    sessions_->EndWatch(watch);
    if (next != life.last() + 1) Complain(where + " shows its steps only up to " + std::to_string(next - 1));
  }
}

// A server that ends in peace leaves durable sessions as they are.
void Schedule::CheckDrain() {
  std::map<std::string, Step> before;
  for (const auto& [uid, life] : store_->lives()) before[uid] = life.last();
  bool drained = false;
  sessions_->Drain([&drained] { drained = true; });
  Settle();
  if (!drained) Complain("the server is not drained");
  for (const auto& [uid, life] : store_->lives()) {
    if (life.last() != before[uid]) Complain("draining changes session " + life.key.id + " " + uid.substr(0, 8));
  }
}

// Every acknowledged command is answered as before.
void Schedule::AskAgain() {
  const std::size_t count = wishes_.size();
  for (std::size_t i = 0; i < count && !Ended(); ++i) {
    Wish& wish = wishes_[i];
    if (wish.kind != Wish::Kind::kCommand || !wish.reply || wish.request_id.empty()) continue;
    if (wish.operation == Operation::kDelete) continue;
    const Life* life = store_->Current(wish.id);
    if (!life || wish.reply->step <= life->base || !life->Has(wish.reply->step) ||
        life->record(wish.reply->step).request_id != wish.request_id ||
        life->records.back().operation == Operation::kDelete) {
      continue;
    }
    const Reply before = *wish.reply;
    const Step last = life->last();
    wish.reply.reset();
    ++totals_.asked_again;
    AskOnceMore(wish.number);
    const std::string name = "command " + std::to_string(i) + " asked again";
    if (life->last() != last && life->records.back().cause == CloseCause::kClient) {
      Complain(name + " is executed again");
    } else if (!wish.reply) {
      const bool old = before.step + options_.durability.history <= last;
      if (wish.under_way || !wish.refusal) {
        Complain(name + " is not answered");
      } else if (!old || DetailsOf(*wish.refusal).reason != "REPLY_FORGOTTEN") {
        Complain(name + " (step " + std::to_string(before.step) + " of " + std::to_string(last) +
                 ") is refused: " + TextOf(*wish.refusal));
      }
      wish.over = true;
      wish.under_way = false;
      wish.reply = before;
      wish.refusal.reset();
    } else if (wish.reply->step != before.step || wish.reply->outcome != before.outcome || !wish.reply->replayed) {
      Complain(name + " gets another answer");
    }
  }
}

// Some of those too of which the logs do not say that they have the same answer: that is for the history to say.
// Deletes come last.
void Schedule::AskTheRest() {
  for (const bool deletes : {false, true}) {
    for (std::size_t i = 0; i < wishes_.size() && !Ended(); ++i) {
      const Wish& wish = wishes_[i];
      const bool is_delete = wish.kind == Wish::Kind::kCommand && wish.operation == Operation::kDelete;
      const bool asks = wish.kind == Wish::Kind::kCommand || wish.kind == Wish::Kind::kCreate;
      const bool acknowledged = wish.over && !wish.refusal && !wish.request_id.empty();
      if (!asks || !acknowledged || is_delete != deletes || !dice_.Percent(30)) continue;
      const Life* life = store_->Current(wish.id);
      // Asked a moment ago, by AskAgain.
      if (!is_delete && life && wish.reply && life->Has(wish.reply->step) &&
          life->record(wish.reply->step).request_id == wish.request_id) {
        continue;
      }
      ++totals_.asked_again;
      AskOnceMore(wish.number);
    }
  }
}

// A client looks at each session.
void Schedule::LookAtAll() {
  std::set<std::string> ids;
  for (const Wish& wish : wishes_) {
    if (!wish.id.empty()) ids.insert(wish.id);
  }
  for (const std::string& id : ids) {
    ClientHistory::Request request;
    request.kind = ClientHistory::Request::Kind::kGet;
    request.session_id = id;
    const std::size_t asked = history_.Ask(history_.Add(std::move(request)), clock_.Now());
    sessions_->Get(id, std::nullopt, [this, server = server_, asked](const absl::StatusOr<SessionInfo>& info) {
      if (info.ok()) {
        Told(server, asked, {.kind = ClientHistory::Answer::Kind::kShown, .shown = ShownOf(*info)});
      } else {
        Told(server, asked, ClientHistory::Refusal(info.status()));
      }
    });
    Settle();
  }
}

}  // namespace

Verdict RunSchedule(std::uint64_t seed, Fault fault, Ends ends, Totals& totals, std::vector<std::string>* trace) {
#ifdef COROD_PLANT_FAULTS
  switch (fault) {
    case Fault::kAnswersBeforeAppend:
      planted_fault = PlantedFault::kAnswersBeforeAppend;
      break;
    case Fault::kLosesRequestIds:
      planted_fault = PlantedFault::kLosesRequestIds;
      break;
    case Fault::kAppendsTwice:
      planted_fault = PlantedFault::kAppendsTwice;
      break;
    case Fault::kTakesNewestVersion:
      planted_fault = PlantedFault::kTakesNewestVersion;
      break;
    case Fault::kLooksUpAnew:
      planted_fault = PlantedFault::kLooksUpAnew;
      break;
    default:
      planted_fault = PlantedFault::kNone;
  }
#endif
  return Schedule(seed, fault, ends, totals, trace).Run();
}

}  // namespace corod
