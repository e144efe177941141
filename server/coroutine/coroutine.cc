#include "server/coroutine/coroutine.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <string>

#include "server/coroutine/cleanup.h"
#include "server/coroutine/map.h"
#include "server/coroutine/slab.h"
#include "server/coroutine/utf8.h"

namespace corod {
namespace {

std::atomic<std::size_t> live_frames{0};
std::atomic<std::size_t> live_frame_bytes{0};

// What a frame takes, about, in bytes, beside what it keeps.
constexpr std::size_t kUsualFrame = 112;

// What this thread has allocated last.
struct NewestFrame {
  const void* begin = nullptr;
  std::size_t bytes = 0;
};
thread_local constinit NewestFrame newest_frame;

constexpr const char* kAlreadyExecuting = "generator already executing";
constexpr const char* kIgnoredExit = "generator ignored GeneratorExit";
constexpr const char* kTooDeep = "maximum recursion depth exceeded";

bool IsExit(const Exception& exception) { return exception.IsA("GeneratorExit"); }

bool IsOrdinary(std::align_val_t alignment) {
  return static_cast<std::size_t>(alignment) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;
}

// Where frames of so many bytes come from; nullptr: from the general allocator.
Slab* FrameSlab(std::size_t bytes) {
  constexpr std::size_t kLargest = 512;
  static const std::array<Slab*, kLargest / 8 + 1>& slabs = []() -> auto& {
    auto& made = *new std::array<Slab*, kLargest / 8 + 1>;  // outlives all frames
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = new Slab(8 * i);
    return made;
  }();
  return bytes <= kLargest && bytes % 8 == 0 ? slabs[bytes / 8] : nullptr;
}

// A raised StopIteration is how an iterator says that it is exhausted.
Outcome Exhausted(Outcome outcome) {
  if (outcome.kind != Outcome::Kind::kRaised) return outcome;
  const Exception exception = outcome.exception();
  return exception.IsA("StopIteration") ? Outcome::Returned(exception.StopValue()) : outcome;
}

// What `call` answers, or what it throws.
template <typename F>
auto Caught(const F& call) -> decltype(call()) {
  try {
    return call();
  } catch (...) {
    return Outcome::Raised(*CurrentException());
  }
}

// Calls `call` inside a catch block in which `handled` is being handled, so that it becomes the context of what is
// raised there; nullptr: calls it as it is.
template <typename F>
auto WhileHandling(const Exception* handled, const F& call) -> decltype(call()) {
  if (!handled) return call();
  try {
    Rethrow(*handled);
  } catch (...) {
    return call();
  }
}

// What a finished coroutine answers (rules 11, 12, 21, 27, 41).
Outcome ThrownIntoClosed(const Exception& exception) {
  return exception.IsA("StopIteration") ? Outcome::Returned(exception.StopValue()) : Outcome::Raised(exception);
}

class SequenceIterator : public Iterator {
 public:
  SequenceIterator(List items, std::string_view type_name) : items_(std::move(items)), type_name_(type_name) {}
  std::string_view TypeName() const override { return type_name_; }
  Outcome Next() override {
    return next_ < items_.size() ? Outcome::Yielded(items_[next_++]) : Outcome::Returned(Value());
  }

 private:
  List items_;
  std::size_t next_ = 0;
  std::string_view type_name_;
};

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::unique_ptr<Iterator> IteratorOver(const Value& value) {
  List items;
  switch (value.kind()) {
    case Value::Kind::kList:
      return std::make_unique<SequenceIterator>(value.AsList(), "list_iterator");
    case Value::Kind::kMap:
      for (const Map::Entry& entry : value.AsMap()) items.emplace_back(entry.key);
      return std::make_unique<SequenceIterator>(std::move(items), "dict_keyiterator");
    case Value::Kind::kText:
      for (std::string_view rest = value.AsText(); !rest.empty();) {
        const std::size_t size = DecodeUtf8(rest).size;
        items.emplace_back(rest.substr(0, size));
        rest.remove_prefix(size);
      }
      return std::make_unique<SequenceIterator>(std::move(items),
                                                IsAscii(value.AsText()) ? "str_ascii_iterator" : "str_iterator");
    case Value::Kind::kBlob:
      for (const char c : value.AsBlob()) items.emplace_back(static_cast<int>(static_cast<unsigned char>(c)));
      return std::make_unique<SequenceIterator>(std::move(items), "bytes_iterator");
    default:
      throw py::TypeError("'" + std::string(value.TypeName()) + "' object is not iterable");
  }
}

}  // namespace

std::optional<Outcome> Iterator::Send(Value) { return std::nullopt; }
std::optional<Outcome> Iterator::Throw(Exception) { return std::nullopt; }
std::optional<Outcome> Iterator::Close() { return std::nullopt; }

// ---- Coroutine and CoroutineRef: the promise does the work, unless there is none any more.

Coroutine::~Coroutine() {
  if (promise_) promise_->Destroy();
}

Outcome Coroutine::Throw(Exception exception) {
  return promise_ ? promise_->Throw(std::move(exception), 0) : ThrownIntoClosed(exception);
}

Outcome Coroutine::Close() { return promise_ ? promise_->Close(0) : Outcome::Returned(Value()); }

std::optional<Value> Coroutine::Save() const { return promise_ ? promise_->Save() : std::nullopt; }

void Coroutine::AddHeld(HeldMemory& held) const {
  if (promise_) promise_->AddHeld(held);
}

CoroutineRef Coroutine::ref() const { return CoroutineRef(promise_); }

Outcome CoroutineRef::Send(Value value) const { return promise_->Send(std::move(value)); }
Outcome CoroutineRef::Throw(Exception exception) const { return promise_->Throw(std::move(exception), 0); }
Outcome CoroutineRef::Close() const { return promise_->Close(0); }
CoroutineState CoroutineRef::state() const { return promise_->state(); }
bool CoroutineRef::IsDelegating() const { return promise_->delegation_ != nullptr && !promise_->IsRunning(); }
bool CoroutineRef::IsBeingDropped() const { return promise_->dropping_; }

internal::DelegateAwaiter YieldFrom(Coroutine sub) {
  return {.delegation = {.owned = std::move(sub), .shared = nullptr, .iterator = nullptr}};
}
internal::DelegateAwaiter YieldFrom(CoroutineRef sub) {
  return {.delegation = {.owned = {}, .shared = sub.promise_, .iterator = nullptr}};
}
internal::DelegateAwaiter YieldFrom(std::unique_ptr<Iterator> iterator) {
  return {.delegation = {.owned = {}, .shared = nullptr, .iterator = std::move(iterator)}};
}
internal::DelegateAwaiter YieldFrom(const Value& iterable) { return YieldFrom(IteratorOver(iterable)); }

FrameCount LiveFrames() {
  return {live_frames.load(std::memory_order_relaxed), live_frame_bytes.load(std::memory_order_relaxed)};
}

Handling::Handling(CoroutineRef self, Exception handled)
    : promise_(*self.promise_), outer_(promise_.handling_), handled_(std::move(handled)) {
  promise_.handling_ = this;
}

Handling::~Handling() { promise_.handling_ = outer_; }

void Handling::Raise(Exception exception) const {
  exception.SetContext(handled_);
  Rethrow(exception);
}

namespace internal {

void* Promise::operator new(std::size_t bytes, std::align_val_t alignment) {
  void* frame = nullptr;
  if (!IsOrdinary(alignment)) {
    frame = ::operator new(bytes, alignment);
  } else if (Slab* slab = FrameSlab(bytes)) {
    frame = slab->Allocate();
  } else {
    frame = ::operator new(bytes);
  }
  newest_frame = {frame, bytes};
  live_frames.fetch_add(1, std::memory_order_relaxed);
  live_frame_bytes.fetch_add(bytes, std::memory_order_relaxed);
  return frame;
}

void Promise::operator delete(void* frame, std::size_t bytes, std::align_val_t alignment) noexcept {
  live_frames.fetch_sub(1, std::memory_order_relaxed);
  live_frame_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  if (!IsOrdinary(alignment)) {  // no conditional operator: clang 19 calls both of two deletes
    ::operator delete(frame, bytes, alignment);
  } else if (Slab* slab = FrameSlab(bytes)) {
    slab->Free(frame);
  } else {
    ::operator delete(frame, bytes);
  }
}

void Promise::unhandled_exception() noexcept {
  slot_ = Value(*CurrentException());
  state_ = State::kRaised;
}

void Promise::RaiseInput() {
  const Exception thrown = std::move(slot_).AsException();
  slot_ = Value();
  Rethrow(thrown);
}

void Promise::Destroy() noexcept {
  dropping_ = true;
  handle().destroy();
}

const Promise* Promise::Root() const {
  const Promise* level = this;
  while (level->attached_) level = level->link_;
  return level;
}

bool Promise::IsRunning() const {
  const Promise* root = Root();
  return root->chain_runs_ || root->state_ >= State::kSent;
}

CoroutineState Promise::OtherState() const {
  if (IsRunning()) return CoroutineState::kRunning;
  if (IsSuspended()) return CoroutineState::kSuspended;
  return state_ == State::kCreated ? CoroutineState::kCreated : CoroutineState::kClosed;
}

std::optional<Value> Promise::Save() const {
  const bool can_restart = holding_ && holding_->save;
  if (!can_restart || state_ != State::kYielded || handling_ || IsRunning()) return std::nullopt;
  try {
    return holding_->save(Held());
  } catch (const py::BaseException&) {
    return std::nullopt;
  }
}

void Promise::AddHeld(HeldMemory& held) const {
  for (const Promise* level = this; level != nullptr;) {
    held.AddBytes(kUsualFrame);
    if (const Holding* holding = level->holding_) {
      try {
        holding->add_held(level->Held(), held);
        if (holding->saves_held) held.Add(level->Save().value_or(Value()));
      } catch (...) {  // NOLINT(bugprone-empty-catch): somebody's own code; what is not known does not count
      }
    }
    level = level->delegation_ ? level->delegation_->owned.promise_ : nullptr;
  }
}

bool Promise::IsInNewestFrame(const void* object) noexcept {
  return static_cast<std::size_t>(Address(object) - Address(newest_frame.begin)) < newest_frame.bytes;
}

Promise* Promise::Leaf() {
  if (!attached_) return link_;
  Promise* leaf = this;
  while (leaf->delegation_ && leaf->delegation_->owned.promise_) leaf = leaf->delegation_->owned.promise_;
  return leaf;
}

Outcome Promise::Send(Value value, int depth) {
  if (IsRunning()) return Outcome::Raised(py::ValueError(kAlreadyExecuting));
  if (state_ == State::kClosed) return Outcome::Returned(Value());
  if (state_ == State::kCreated && !value.is_null()) {
    return Outcome::Raised(py::TypeError("can't send non-None value to a just-started generator"));
  }
  return Resume(std::move(value), false, depth);
}

Outcome Promise::Throw(Exception exception, int depth) {
  if (IsRunning()) return Outcome::Raised(py::ValueError(kAlreadyExecuting));
  if (state_ == State::kClosed) return ThrownIntoClosed(exception);
  if (state_ == State::kCreated) {
    state_ = State::kClosed;
    return EscapedAs(exception);
  }
  if (delegation_ && IsExit(exception)) return Exit(exception, depth);
  return Resume(Value(exception), true, depth);
}

Outcome Promise::Close(int depth) {
  if (IsRunning()) return Outcome::Raised(py::ValueError(kAlreadyExecuting));
  if (!IsSuspended()) {
    state_ = State::kClosed;
    return Outcome::Returned(Value());
  }
  Outcome outcome = Exit(py::GeneratorExit(), depth);
  if (outcome.kind == Outcome::Kind::kYielded) return Outcome::Raised(py::RuntimeError(kIgnoredExit));
  if (outcome.kind == Outcome::Kind::kRaised && IsExit(outcome.exception())) return Outcome::Returned(Value());
  return outcome;
}

Outcome Promise::EscapedAs(const Exception& exception) {
  if (!exception.IsA("StopIteration")) return Outcome::Raised(exception);
  Exception replaced("RuntimeError", {Value("generator raised StopIteration")});  // PEP 479
  replaced.SetCause(exception);
  replaced.SetContext(exception);
  return Outcome::Raised(replaced);
}

void Promise::ChainTo(const Value& thrown) const {
  if (handling_) thrown.AsException().SetContext(handling_->handled());
}

const Exception* Promise::HandledBelow(const Promise* top) const {
  if (!handling_ && !under_handling_) return nullptr;
  for (const Promise* level = this;; level = level->link_) {
    if (level->handling_) return &level->handling_->handled();
    if (level == top) return nullptr;
  }
}

bool Promise::Attach(Promise* child, int depth) {
  int levels = 1;
  Promise* leaf = child->link_;
  for (Promise* level = leaf; level != child; level = level->link_) ++levels;
  if (depth + depth_ + levels >= kMaxDepth) return false;
  child->attached_ = true;
  child->link_ = this;
  for (Promise* level = leaf;; level = level->link_) {
    level->depth_ = static_cast<std::uint16_t>(level->depth_ + depth_ + 1);
    level->under_handling_ = level->under_handling_ || under_handling_ || handling_ != nullptr;
    if (level == child) break;
  }
  return true;
}

void Promise::Detach(Promise* child) {
  child->attached_ = false;
  child->under_handling_ = false;
  child->link_ = child;
  child->depth_ = 0;
  delegation_ = nullptr;
}

Outcome Promise::SendToDelegate(Value value, int depth) {
  if (Promise* shared = delegation_->shared) {
    if (depth + depth_ + 1 >= kMaxDepth) return Outcome::Raised(py::RecursionError(kTooDeep));
    return shared->Send(std::move(value), depth + depth_ + 1);
  }
  Iterator& iterator = *delegation_->iterator;
  if (value.is_null()) return Exhausted(Caught([&] { return iterator.Next(); }));
  std::optional<Outcome> answer = Caught([&] { return iterator.Send(std::move(value)); });
  if (answer) return Exhausted(*std::move(answer));
  return Outcome::Raised(
      py::AttributeError("'" + std::string(iterator.TypeName()) + "' object has no attribute 'send'"));
}

Outcome Promise::ThrowToDelegate(const Exception& exception, int depth) {
  std::optional<Outcome> answer;
  if (Promise* shared = delegation_->shared) {
    answer = shared->Throw(exception, depth + depth_ + 1);
  } else {
    answer = Caught([&] { return delegation_->iterator->Throw(exception); });
  }
  Outcome outcome = answer ? *std::move(answer) : Outcome::Raised(exception);
  if (outcome.kind == Outcome::Kind::kRaised) ChainTo(outcome.value);
  return Exhausted(std::move(outcome));
}

std::optional<Outcome> Promise::CloseDelegate(int depth) {
  std::optional<Outcome> closed;
  if (Promise* shared = delegation_->shared) {
    closed = shared->Close(depth + depth_ + 1);
  } else {
    closed = Caught([&] { return delegation_->iterator->Close(); });
  }
  delegation_ = nullptr;
  if (!closed || closed->kind != Outcome::Kind::kRaised) return std::nullopt;
  return Exhausted(*std::move(closed));
}

Promise* Promise::BeginDelegation(Promise* leaf, Value& input, bool& raise, const Promise* top, int depth) {
  input = Value();
  raise = false;
  Delegation& delegation = *leaf->delegation_;
  if (delegation.shared || delegation.iterator) return leaf;  // resumed by SendToDelegate
  Promise* child = delegation.owned.promise_;
  if (child && child->state_ != State::kClosed) {
    const Exception* handled = leaf->HandledBelow(top);
    if (child->IsRunning()) {
      input = WhileHandling(handled, [] { return Value(py::ValueError(kAlreadyExecuting)); });
    } else if (Promise* next = child->Leaf(); leaf->Attach(child, depth)) {
      return next;
    } else {
      input = WhileHandling(handled, [] { return Value(py::RecursionError(kTooDeep)); });
    }
    raise = true;
  }
  leaf->delegation_ = nullptr;
  return leaf;
}

Outcome Promise::Resume(Value input, bool raise, int depth) {
  Promise* leaf = Leaf();
  if (raise && !leaf->delegation_) leaf->ChainTo(input);
  return Run(leaf, raise ? leaf : this, std::move(input), raise, depth);
}

Outcome Promise::Stopped() {
  if (state_ != State::kDelegates) return Ended();
  chain_runs_ = true;
  Value input;
  bool raise = false;
  Promise* leaf = BeginDelegation(this, input, raise, this, 0);
  return Run(leaf, this, std::move(input), raise, 0);
}

Outcome Promise::Ended() {
  const bool returned = state_ == State::kReturned;
  state_ = State::kClosed;
  Value ended = std::exchange(slot_, Value());
  return returned ? Outcome::Returned(std::move(ended)) : EscapedAs(ended.AsException());
}

Outcome Promise::Run(Promise* leaf, const Promise* top, Value input, bool raise, int depth) {
  Promise* const root = Root();
  root->chain_runs_ = true;
  const auto leave = [&](Outcome outcome) {
    root->chain_runs_ = false;
    root->link_ = leaf;
    return outcome;
  };
  // What `leaf` ended with goes to its delegator.
  const auto pass_upwards = [&](Outcome outcome) {
    Promise* delegator = leaf->link_;
    const bool unwinding = leaf == top;
    delegator->Detach(leaf);
    leaf = delegator;
    input = std::move(outcome.value);
    raise = outcome.kind == Outcome::Kind::kRaised;
    if (!unwinding) return;
    top = leaf;
    if (raise) leaf->ChainTo(input);
  };
  while (true) {
    if (leaf->state_ == State::kClosed) {  // closed behind its delegator's back
      // NOLINTNEXTLINE(bugprone-use-after-move): whatever goes on in this loop sets it first
      pass_upwards(raise ? ThrownIntoClosed(input.AsException()) : Outcome::Returned(Value()));
      continue;
    }
    if (leaf->delegation_) {
      Outcome outcome =
          raise ? leaf->ThrowToDelegate(input.AsException(), depth)
                : WhileHandling(leaf->HandledBelow(top), [&] { return leaf->SendToDelegate(std::move(input), depth); });
      if (outcome.kind == Outcome::Kind::kYielded) return leave(std::move(outcome));
      leaf->delegation_ = nullptr;
      input = std::move(outcome.value);
      raise = outcome.kind == Outcome::Kind::kRaised;
    }
    leaf->slot_ = std::move(input);
    leaf->state_ = raise ? State::kThrown : State::kSent;
    if (leaf->under_handling_ && leaf != top) {
      WhileHandling(leaf->link_->HandledBelow(top), [&] { leaf->handle().resume(); });
    } else {
      leaf->handle().resume();
    }
    if (leaf->state_ == State::kYielded) return leave(Outcome::Yielded(std::move(leaf->slot_)));
    if (leaf->state_ == State::kDelegates) {
      leaf = BeginDelegation(leaf, input, raise, top, depth);
      continue;
    }
    Outcome outcome = leaf->Ended();
    if (leaf == this) return leave(std::move(outcome));
    pass_upwards(std::move(outcome));
  }
}

Outcome Promise::Exit(const Exception& exit, int depth) {
  Promise* level = Leaf();
  Root()->chain_runs_ = true;
  // What the close of the level below leaves for `level`; nothing: an exit of its own.
  std::optional<Outcome> left;
  if (level->delegation_) left = level->CloseDelegate(depth);
  const auto resume = [&](Promise* at, const Exception& own_exit, int above) {
    const Outcome input = left ? *std::exchange(left, std::nullopt) : Outcome::Raised(own_exit);
    return at->Resume(input.value, input.kind == Outcome::Kind::kRaised, above);
  };
  while (level != this) {
    Promise* delegator = level->link_;
    const int level_depth = depth + level->depth_;
    delegator->Detach(level);
    if (level->IsSuspended()) {
      const Outcome outcome = resume(level, py::GeneratorExit(), level_depth);
      if (outcome.kind == Outcome::Kind::kYielded) {
        left = Outcome::Raised(py::RuntimeError(kIgnoredExit));
        // Its delegator lets go of it, which is one more close whose outcome goes to nobody (rule 49).
        static_cast<void>(level->Close(level_depth));
      } else if (outcome.kind == Outcome::Kind::kRaised && !IsExit(outcome.exception())) {
        left = outcome;
      }
    }
    level = delegator;
  }
  Promise* root = Root();
  root->chain_runs_ = false;
  root->link_ = this;
  return resume(this, exit, depth);
}

}  // namespace internal
}  // namespace corod
