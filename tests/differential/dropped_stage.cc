#include "tests/differential/dropped_stage.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "server/base/failure.h"
#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/journal/codec.h"
#include "server/journal/memory_journal.h"
#include "server/session/sessions.h"
#include "tests/unit/session/fakes.h"

namespace corod::differential {
namespace {

constexpr const char* kId = "s";

// A command and its answer.
class Call : public Command {
 public:
  Call(Operation what, Value with) {
    operation = what;
    value = std::move(with);
  }
  void Finish(absl::StatusOr<Reply> reply) override { answer = std::move(reply); }

  absl::StatusOr<Reply> answer = absl::UnknownError("not answered");
};

// Hands out what a disk would: what it decodes from bytes.
class ByteJournal : public MemoryJournal {
 public:
  explicit ByteJournal(Executor& executor) : MemoryJournal(executor, {.durable = true}) {}

  absl::StatusOr<std::optional<Stored>> Find(std::string_view id) const override {
    absl::StatusOr<std::optional<Stored>> found = MemoryJournal::Find(id);
    if (found.ok() && *found) (*found)->head = *DecodeHead(Encode((*found)->head));
    return found;
  }
  absl::StatusOr<std::vector<Batch>> Read(const SessionKey& key, BatchId after, std::size_t max_bytes) const override {
    absl::StatusOr<std::vector<Batch>> read = MemoryJournal::Read(key, after, max_bytes);
    if (read.ok()) {
      for (Batch& batch : *read) batch = *DecodeBatch(Encode(batch));
    }
    return read;
  }
};

class DroppedStage : public Stage {
 public:
  explicit DroppedStage(const Body& body) {
    Definition definition;
    definition.name = body.name;
    definition.stops_when = "it is closed";
    definition.create = [this, &body](const std::vector<Value>&, const CatalogView&) {
      traces_.push_back(std::make_unique<Trace>());
      Coroutine coroutine = body.create(traces_.back().get());
      coroutine_.emplace(coroutine.ref());
      return coroutine;
    };
    catalog_.Add(std::move(definition));
    options_.retention = absl::InfiniteDuration();
    options_.limits.max_depth = 1'000;  // what CPython does has no limits
    options_.durability.passivate_after = absl::Milliseconds(1);
    Start();
    CreateSpec spec;
    spec.coroutine = body.name;
    spec.session_id = kId;
    absl::Status status = absl::UnknownError("not answered");
    sessions_->Create(std::move(spec), [&status](const absl::StatusOr<Created>& made) { status = made.status(); });
    executor_.RunAll();
    if (!status.ok()) Complain("not created: " + std::string(status.message()));
  }

  ~DroppedStage() override { sessions_.reset(); }

  Outcome Send(Value value) override { return Execute(Operation::kSend, Snapshot(value)); }
  Outcome Throw(Exception exception) override { return Execute(Operation::kThrow, exception.Snapshot()); }
  Outcome Close() override { return Execute(Operation::kClose, {}); }

  char State() const override { return state_; }
  std::vector<std::string> TakeEntries() override { return std::exchange(entries_, {}); }

 private:
  void Start() {
    sessions_.reset();
    sessions_ = std::make_unique<Sessions>(options_, catalog_, clock_, executor_, random_, journal_);
  }

  void Complain(const std::string& what) { entries_.push_back("!" + what); }

  void Drop() {
    if (drops_++ % 2 == 0) {
      clock_.Advance(options_.durability.passivate_after);
      sessions_->Sweep();
      executor_.RunAll();
      if (sessions_->FindLive(kId)) Complain("awake");
    } else {
      Start();
    }
    if (LiveFrames().frames != 0) Complain("not dropped");
    if (traces_.back()->entries.size() != logged_.size()) Complain("logs when it is dropped");
  }

  Outcome Execute(Operation operation, Value value) {
    Drop();
    const std::size_t made = traces_.size();
    const bool was_closed = state_ == 'X';
    Call call(operation, std::move(value));
    sessions_->Submit(kId, &call);
    executor_.RunAll();
    // Of one that is closed the head in the journal may say all.
    if (traces_.size() != made + 1 && !(was_closed && traces_.size() == made)) Complain("not brought back once");
    TakeLogged();
    if (IsFailure(call.answer.status(), Reason::NOT_PRIMED)) {
      return Outcome::Raised(Exception("TypeError", {Value(std::string(call.answer.status().message()))}));
    }
    if (!call.answer.ok()) {
      Complain(call.answer.status().ToString());
      return Outcome::Returned(Value());
    }
    state_ = StateNow();
    return *call.answer->outcome;
  }

  // What the coroutine at hand has logged in all its life begins with what those before it had.
  void TakeLogged() {
    const std::vector<std::string>& all = traces_.back()->entries;
    if (all.size() < logged_.size() || !std::equal(logged_.begin(), logged_.end(), all.begin())) {
      Complain("logs something else when it is run again");
      return;
    }
    entries_.insert(entries_.end(), all.begin() + static_cast<std::ptrdiff_t>(logged_.size()), all.end());
    logged_ = all;
  }

  char StateNow() const {
    const SessionPtr session = sessions_->FindLive(kId);
    if (!session) return '?';
    switch (session->state()) {
      case CoroutineState::kCreated:
        return 'C';
      case CoroutineState::kSuspended:
        return coroutine_->IsDelegating() ? 'D' : 'S';
      case CoroutineState::kRunning:
        return 'R';
      case CoroutineState::kClosed:
        break;
    }
    return 'X';
  }

  FakeClock clock_;
  ManualExecutor executor_;
  SequenceRandom random_;
  ByteJournal journal_{executor_};
  Catalog catalog_;
  Sessions::Options options_;
  std::unique_ptr<Sessions> sessions_;

  std::vector<std::unique_ptr<Trace>> traces_;  // one for each coroutine that was made
  std::optional<CoroutineRef> coroutine_;       // the newest
  std::vector<std::string> logged_;             // in all steps
  std::vector<std::string> entries_;            // since they were taken
  char state_ = 'C';
  std::size_t drops_ = 0;
};

}  // namespace

std::unique_ptr<Stage> MakeDroppedStage(const Body& body) { return std::make_unique<DroppedStage>(body); }

}  // namespace corod::differential
