#ifndef COROD_SERVER_COROUTINE_COROUTINE_H_
#define COROD_SERVER_COROUTINE_COROUTINE_H_

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "server/coroutine/errors.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/iterator.h"
#include "server/coroutine/outcome.h"
#include "server/coroutine/value.h"

namespace corod {

class Coroutine;
class CoroutineRef;
class Handling;
template <typename S>
class Kept;

namespace internal {
class Promise;
struct Delegation;
struct DelegateAwaiter;
struct SelfAwaiter;
}  // namespace internal

// inspect.getgeneratorstate's states.
enum class CoroutineState : std::uint8_t { kCreated, kSuspended, kRunning, kClosed };

// A generator that is sent values, with Python's semantics (docs/semantics.md has the rules and their numbers).
//
//     Coroutine Averager() {
//       double total = 0;
//       std::int64_t count = 0;
//       while (true) {
//         Value sent = co_yield (count ? Value(total / count) : Value());
//         total += sent.AsNumber();
//         ++count;
//       }
//     }
//
// In a body: `co_yield v` hands v out and evaluates to what is sent in; `co_return v` finishes; `co_await
// YieldFrom(...)` is `yield from`; `co_await ThisCoroutine()` is a reference to the coroutine itself. A body is a plain
// function whose parameters own what they hold: creation and the first resume are different calls.
//
//   state     | Next         | Send(v), v not null | Throw(e)                  | Close
//   CREATED   | runs         | TypeError, stays    | raises e, CLOSED; no code | CLOSED; no code
//   SUSPENDED | runs         | runs                | raises e at the yield     | raises GeneratorExit at the yield
//   RUNNING   | ValueError: generator already executing; the running one is unharmed (all four)
//   CLOSED    | returns null | returns null        | raises e                  | returns null
//
// One thread at a time; which one may change between calls. Destroying a suspended Coroutine drops it: no handler and
// no Finally of the body runs. REQUIRES of destruction: not from inside the body.
class [[nodiscard]] Coroutine {
 public:
  using promise_type = internal::Promise;

  // A finished one.
  Coroutine() noexcept = default;
  Coroutine(Coroutine&& other) noexcept : promise_(std::exchange(other.promise_, nullptr)) {}
  Coroutine& operator=(Coroutine&& other) noexcept {
    std::swap(promise_, other.promise_);
    return *this;
  }
  ~Coroutine();

  Outcome Next() { return Send(Value()); }
  Outcome Send(Value value);
  Outcome Throw(Exception exception);
  // kReturned with what the body returned on GeneratorExit, or kRaised; "generator ignored GeneratorExit" leaves it
  // suspended.
  Outcome Close();

  CoroutineState state() const;
  // What it keeps (kept.h), if it can be restarted with that as it stands: its body was given a Kept, and it is
  // SUSPENDED at a yield of its own, neither delegating nor handling anything (Handling). Else nullopt.
  // Shares what it holds with the body, exceptions as objects (Snapshot). Not bounded by the limits of a reply.
  std::optional<Value> Save() const;
  // Adds what it takes in memory, with what it delegates to, about: its frames, and what its body has as its first
  // parameter or keeps there (kept.h). That may say so itself, by `void AddHeld(HeldMemory&) const` (held.h), which is
  // asked at any time when the body does not run, also before it has begun; of other states what Save gives counts,
  // when it can be asked. What else hangs on locals is not known. REQUIRES: it is not RUNNING.
  void AddHeld(HeldMemory& held) const;
  // Brings its frame, if there is one, nearer to the processor, for a call that follows soon.
  void Prefetch() const {
    if (promise_ == nullptr) return;
    const auto* frame = reinterpret_cast<const char*>(promise_);
    __builtin_prefetch(frame - 16);
    __builtin_prefetch(frame + 48);
  }
  // For as long as this lives (also when it is moved).
  CoroutineRef ref() const;

 private:
  friend class internal::Promise;
  friend class CoroutineRef;
  explicit Coroutine(internal::Promise* promise) noexcept : promise_(promise) {}

  internal::Promise* promise_ = nullptr;
};

// A coroutine that another owns, as a second name for a generator in Python. Valid for as long as the Coroutine lives.
class CoroutineRef {
 public:
  explicit CoroutineRef(internal::Promise* promise) noexcept : promise_(promise) {}

  Outcome Next() const { return Send(Value()); }
  Outcome Send(Value value) const;
  Outcome Throw(Exception exception) const;
  Outcome Close() const;

  CoroutineState state() const;
  // gi_yieldfrom is set: suspended in a `yield from`.
  bool IsDelegating() const;
  // It is being destroyed while suspended.
  bool IsBeingDropped() const;

 private:
  friend class Handling;
  friend class Coroutine;
  friend internal::DelegateAwaiter YieldFrom(CoroutineRef);
  internal::Promise* promise_;
};

// `yield from sub`: co_await it. Values, exceptions and closes go to `sub`; evaluates to what it returns. The coroutine
// that delegates owns `sub`; chains of up to 1,000 levels take no native stack, longer ones raise RecursionError.
internal::DelegateAwaiter YieldFrom(Coroutine sub);
// The same for a coroutine that somebody else owns. Each such level takes native stack.
internal::DelegateAwaiter YieldFrom(CoroutineRef sub);
internal::DelegateAwaiter YieldFrom(std::unique_ptr<Iterator> iterator);
// The items of a list, the keys of a map, the characters of a text, the bytes of a blob; for anything else raises
// TypeError ("'int' object is not iterable").
internal::DelegateAwaiter YieldFrom(const Value& iterable);

// co_await ThisCoroutine() gives a CoroutineRef to the body's own coroutine.
struct ThisCoroutine {};

// Frames alive in this process, and the bytes they take.
struct FrameCount {
  std::size_t frames;
  std::size_t bytes;
};
FrameCount LiveFrames();

}  // namespace corod

#include "server/coroutine/promise.h"  // IWYU pragma: export

#endif  // COROD_SERVER_COROUTINE_COROUTINE_H_
