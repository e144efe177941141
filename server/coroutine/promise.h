#ifndef COROD_SERVER_COROUTINE_PROMISE_H_
#define COROD_SERVER_COROUTINE_PROMISE_H_

// What the compiler asks of a coroutine type. Bodies and callers need only coroutine.h.

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "server/coroutine/coroutine.h"
#include "server/coroutine/held.h"

namespace corod::internal {

// What a coroutine that is suspended in `yield from` delegates to: one of the three. Lives in its frame.
struct Delegation {
  Coroutine owned;
  Promise* shared = nullptr;
  std::unique_ptr<Iterator> iterator;
};

// What can be asked of the first parameter of a body, or of the state in it.
struct Holding {
  Value (*save)(const void* state);  // null: the body cannot be restarted
  void (*add_held)(const void* state, HeldMemory& held);
  bool saves_held;  // what it holds beside that is what it saves
};
template <typename S>
void AddHeldOf(const void* state, HeldMemory& held) {
  held.AddBytes(sizeof(S));
  if constexpr (KnowsHeld<S>) static_cast<const S*>(state)->AddHeld(held);
}
template <typename S>
inline constexpr Holding kKeeps = {
    .save = [](const void* state) { return Value(static_cast<const S*>(state)->Save()); },
    .add_held = &AddHeldOf<S>,
    .saves_held = !KnowsHeld<S> && !std::is_trivially_copyable_v<S>};
template <KnowsHeld T>
inline constexpr Holding kHolds = {.save = nullptr, .add_held = &AddHeldOf<T>, .saves_held = false};

// The state of a coroutine beside its locals. Created suspended; its owner resumes and destroys it.
//
// A chain of delegations by ownership has a root, which is resumed from outside, and a leaf, which runs. The root finds
// its leaf in `link_`, the others their delegator. All of a chain counts as running while its root is.
class Promise {
 public:
  Promise() = default;
  // Of a body whose first parameter is kept: the parameter's copy in the frame.
  template <typename S, typename... Rest>
  explicit Promise(Kept<S>& kept, const Rest&...) noexcept : Promise(&*kept, kKeeps<S>) {}
  // Of one that knows what it holds. It may be a reference: then nothing is known.
  template <KnowsHeld T, typename... Rest>
  explicit Promise(T& holder, const Rest&...) noexcept : Promise(&holder, kHolds<T>) {
    if (!IsInNewestFrame(&holder)) holding_ = nullptr;
  }

  Coroutine get_return_object() noexcept {
    link_ = this;
    return Coroutine(this);
  }
  std::suspend_always initial_suspend() const noexcept { return {}; }
  std::suspend_always final_suspend() const noexcept { return {}; }
  // The promise is what a `co_yield` awaits: an awaiter of its own would take room in the frame.
  Promise& yield_value(Value value) noexcept {
    slot_.Fill(std::move(value));
    state_ = State::kYielded;
    return *this;
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  Value await_resume() {
    if (state_ == State::kThrown) RaiseInput();
    return std::move(slot_);
  }
  void return_value(Value value) noexcept {
    slot_ = std::move(value);
    state_ = State::kReturned;
  }
  void unhandled_exception() noexcept;

  // What may be awaited: YieldFrom(...) and ThisCoroutine().
  DelegateAwaiter&& await_transform(DelegateAwaiter&& awaiter) noexcept { return std::move(awaiter); }
  SelfAwaiter await_transform(ThisCoroutine) noexcept;

  // With -fcoro-aligned-allocation the compiler takes these, and locals are aligned as they ask.
  static void* operator new(std::size_t bytes, std::align_val_t alignment);
  static void operator delete(void* frame, std::size_t bytes, std::align_val_t alignment) noexcept;
  // Without it these, and locals are aligned to 16 bytes at most.
  static void* operator new(std::size_t bytes) { return operator new(bytes, std::align_val_t{1}); }
  static void operator delete(void* frame, std::size_t bytes) noexcept {
    operator delete(frame, bytes, std::align_val_t{1});
  }

 private:
  friend class corod::Coroutine;
  friend class corod::CoroutineRef;
  friend class corod::Handling;
  friend struct DelegateAwaiter;

  // Where the body is, and what slot_ holds for whoever goes on from there.
  enum class State : std::uint8_t {
    kCreated,
    kYielded,    // suspended at a yield of its own; out: what is yielded
    kDelegates,  // suspended at a `yield from`
    kClosed,
    kSent,      // this and all below: the body runs; in: what is sent
    kThrown,    // in: what is raised where it was suspended
    kReturned,  // out: what is returned; what is left of the body are its destructors
    kRaised,    // out: what left the body
  };
  static constexpr int kMaxDepth = 1000;  // fits into depth_

  Promise(const void* state, const Holding& holding) noexcept
      : holding_offset_(static_cast<std::int32_t>(Address(state) - Address(this))), holding_(&holding) {}

  // Whether an object lies in the frame that this thread has allocated last.
  static bool IsInNewestFrame(const void* object) noexcept;
  static std::intptr_t Address(const void* object) noexcept { return reinterpret_cast<std::intptr_t>(object); }

  std::coroutine_handle<Promise> handle() noexcept { return std::coroutine_handle<Promise>::from_promise(*this); }

  // Where most sends go, kept short: the body is suspended at a yield of its own and no level of a longer chain.
  Outcome Send(Value value) {
    if (state_ != State::kYielded || attached_) [[unlikely]]
      return Send(std::move(value), 0);
    slot_.Fill(std::move(value));
    state_ = State::kSent;
    handle().resume();
    if (state_ != State::kYielded) [[unlikely]]
      return Stopped();
    return Outcome::Yielded(std::move(slot_));
  }
  // Any send.
  Outcome Send(Value value, int depth);
  Outcome Throw(Exception exception, int depth);
  Outcome Close(int depth);
  CoroutineState state() const {
    return state_ == State::kYielded && !attached_ && !chain_runs_ ? CoroutineState::kSuspended : OtherState();
  }
  CoroutineState OtherState() const;
  std::optional<Value> Save() const;
  void AddHeld(HeldMemory& held) const;
  // What `holding_` is about. Not a pointer's arithmetic, which would stay within the promise.
  const void* Held() const {
    return reinterpret_cast<const void*>(Address(this) + holding_offset_);  // NOLINT(performance-no-int-to-ptr)
  }
  bool IsSuspended() const { return state_ == State::kYielded || state_ == State::kDelegates; }
  // The chain that this level belongs to is running.
  bool IsRunning() const;
  const Promise* Root() const;
  Promise* Root() { return const_cast<Promise*>(std::as_const(*this).Root()); }
  Promise* Leaf();
  void Destroy() noexcept;

  // Resumes the leaf with a value, or with an exception to be raised there, and goes on until something comes out at
  // this level. `depth`: how many levels of delegation stand above.
  Outcome Resume(Value input, bool raise, int depth);
  // That, from where `leaf` is to have the input. `top`: the highest level whose handled exception is a context for
  // what is raised below it. An exception that is thrown in is passed upwards level by level, each of which sees itself
  // alone; all else runs inside of every level up to this one.
  Outcome Run(Promise* leaf, const Promise* top, Value input, bool raise, int depth);
  // What follows when Send has resumed the body itself, and it did not yield.
  Outcome Stopped();
  // The body has returned or raised.
  Outcome Ended();
  // Closes the delegates, innermost first, then raises `exit` (or what their closing raised) here.
  Outcome Exit(const Exception& exit, int depth);
  // One step of the iterator or shared coroutine that this level delegates to.
  Outcome SendToDelegate(Value value, int depth);
  Outcome ThrowToDelegate(const Exception& exception, int depth);
  // Closes it. Nothing if that went well; else what arrives at the `yield from`.
  std::optional<Outcome> CloseDelegate(int depth);
  // `leaf` has just reached a `yield from`: who is to be resumed, and with what.
  static Promise* BeginDelegation(Promise* leaf, Value& input, bool& raise, const Promise* top, int depth);
  // False if the chain would grow too long.
  bool Attach(Promise* child, int depth);
  void Detach(Promise* child);
  // What this level is handling becomes the context of what is thrown into it.
  void ChainTo(const Value& thrown) const;
  // What the nearest level from this one up to `top` is handling, or nullptr.
  const Exception* HandledBelow(const Promise* top) const;
  static Outcome EscapedAs(const Exception& exception);
  [[noreturn]] void RaiseInput();

  // Null while the body runs, but for the input that it has not taken yet, and while it is suspended. The members up to
  // link_ lie in what a Value leaves free.
  [[no_unique_address]] Value slot_;
  State state_ = State::kCreated;
  bool attached_ : 1 = false;    // an owned delegate
  bool chain_runs_ : 1 = false;  // of a root: somebody drives its chain, though its own body may be suspended
  bool dropping_ : 1 = false;
  bool under_handling_ : 1 = false;     // attached, and a level above is handling something
  std::uint16_t depth_ : 10 = 0;        // levels of the chain above
  std::int32_t holding_offset_ = 0;     // from here to what holding_ is about, which is in the same frame
  Promise* link_;                       // attached: the delegator; else the leaf of the chain that begins here
  Delegation* delegation_ = nullptr;    // set while suspended in `yield from`
  const Handling* handling_ = nullptr;  // the innermost, while the body has one
  const Holding* holding_ = nullptr;    // null: nothing is known
};

static_assert(sizeof(void*) != 8 || sizeof(Promise) == 48, "each session has one");

struct DelegateAwaiter {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<Promise> handle) noexcept {
    promise = &handle.promise();
    promise->delegation_ = &delegation;
    promise->state_ = Promise::State::kDelegates;
  }
  Value await_resume() {
    if (promise->state_ == Promise::State::kThrown) promise->RaiseInput();
    return std::move(promise->slot_);
  }
  Delegation delegation;
  Promise* promise = nullptr;
};

struct SelfAwaiter {
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  CoroutineRef await_resume() const noexcept { return CoroutineRef(promise); }
  Promise* promise;
};

inline SelfAwaiter Promise::await_transform(ThisCoroutine) noexcept { return SelfAwaiter{this}; }

}  // namespace corod::internal

namespace corod {

inline Outcome Coroutine::Send(Value value) {
  return promise_ ? promise_->Send(std::move(value)) : Outcome::Returned(Value());
}

inline CoroutineState Coroutine::state() const { return promise_ ? promise_->state() : CoroutineState::kClosed; }

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_PROMISE_H_
