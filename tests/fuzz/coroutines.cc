// Fuzzes the coroutine engine: bodies that interpret a script (yield, raise, return, catch, handle, delegate, drive
// themselves and others), driven by random next, send, throw and close.
//
// Each command is held to the table of states in coroutine.h: what it may produce in which state, that no code runs in
// a coroutine that is not suspended, that a StopIteration never leaves (PEP 479), that a close never yields and never
// raises GeneratorExit, that a finished one stays so. The same script runs three times, delegating to coroutines that
// it owns, to such that it refers to, and to iterators that wrap them: all three must give the same outcomes, with the
// same chains of causes and contexts. At the end nothing is left alive, and what was dropped ran none of its `Finally`.
//
// A finding again: build-fuzz/fuzz/coroutines build-fuzz/findings/coroutines/crash-...
// An input: options, how many commands, the commands, the script of the outermost body (see Driver and Scripted).
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/coroutine/cleanup.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/errors.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/iterator.h"
#include "server/coroutine/map.h"
#include "server/coroutine/outcome.h"
#include "server/coroutine/text_form.h"
#include "server/coroutine/value.h"
#include "tests/fuzz/input.h"

namespace corod::fuzz {
namespace {

// How a body delegates to a coroutine that it makes.
enum class Delegating : std::uint8_t { kOwned, kShared, kIterator };

// What the bodies of one run share.
struct World {
  Delegating delegating;
  int relays_per_byte;
  int entered = 0;  // bodies that began to run
  int left = 0;     // of those, the ones whose Finally ran
};

// Bodies within bodies; deeper ones have an empty script.
constexpr int kMaxLevels = 8;

class WrappedCoroutine : public Iterator {
 public:
  explicit WrappedCoroutine(Coroutine coroutine) : coroutine_(std::move(coroutine)) {}

  std::string_view TypeName() const override { return "generator"; }
  Outcome Next() override { return coroutine_.Next(); }
  std::optional<Outcome> Send(Value value) override { return coroutine_.Send(std::move(value)); }
  std::optional<Outcome> Throw(Exception exception) override { return coroutine_.Throw(std::move(exception)); }
  std::optional<Outcome> Close() override { return coroutine_.Close(); }

 private:
  Coroutine coroutine_;
};

Exception MakeException(Input& input) {
  const Value argument(input.Pick(4));
  switch (input.Pick(8)) {
    case 0:
      return Exception("ValueError", {argument});
    case 1:
      return Exception("KeyError", {argument});
    case 2:
      return Exception("StopIteration", {argument});
    case 3:
      return Exception("GeneratorExit");
    case 4:
      return Exception("KeyboardInterrupt");
    case 5:
      return Exception("mine.Error", {argument}, {"LookupError"});
    case 6:
      return Exception("mine.Stop", {argument}, {"StopIteration", "Exception"});
    default:
      return Exception("RuntimeError", {argument});
  }
}

Value MakeIterable(Input& input) {
  switch (input.Pick(6)) {
    case 0:
      return Value(List{Value(1), Value(2)});
    case 1:
      return Value(Map{{"a", Value(1)}, {"b", Value()}});
    case 2:
      return Value("x\u00e9");
    case 3:
      return Value::Blob("\xff");
    case 4:
      return Value(5);
    default:
      return Value(List{});
  }
}

// What the script of a body holds for a body that it makes.
Input InnerScript(Input& script, int level) {
  const std::string_view inner = script.Take(script.Byte() & 31);
  return level < kMaxLevels ? Input(inner) : Input("");
}

// Next, send, throw or close.
Outcome Drive(const CoroutineRef& coroutine, Input& input) {
  switch (input.Pick(4)) {
    case 0:
      return coroutine.Next();
    case 1:
      return coroutine.Send(Value(input.Byte()));
    case 2:
      return coroutine.Throw(MakeException(input));
    default:
      return coroutine.Close();
  }
}

Coroutine Relay(World* world, Coroutine sub) {
  switch (world->delegating) {
    case Delegating::kOwned:
      co_return co_await YieldFrom(std::move(sub));
    case Delegating::kShared:
      co_return co_await YieldFrom(sub.ref());
    case Delegating::kIterator:
      break;
  }
  std::unique_ptr<Iterator> iterator = std::make_unique<WrappedCoroutine>(std::move(sub));
  co_return co_await YieldFrom(std::move(iterator));
}

// What a script says: each byte a Deed (4 bits), what is caught of it (Guard), and what is done with that (Then, 2
// bits); then the deed's parameters.
enum Deed : std::uint8_t {
  kYield,
  kYieldLast,  // what came in last
  kReturnLast,
  kRaise,
  kRaiseLast,
  kRaiseFromCaught,
  kDelegate,
  kDelegateToValue,
  kDriveItself,
  kMakeOther,  // a coroutine that it keeps
  kDriveOther,
  kDelegateToOther,
  kDelegateToItself,
  kRaiseWhileHandling,
  kDelegateToChain,
  kLookAtItself,
};
enum Guard : std::uint8_t { kNothing, kExceptions, kEverything };
enum Then : std::uint8_t { kForget, kYieldHandling, kReraise, kRaiseAnother };

// A body that does what its script says.
Coroutine Scripted(World* world, Input script, int level) {  // NOLINT(readability-function-cognitive-complexity)
  const CoroutineRef self = co_await ThisCoroutine();
  ++world->entered;
  const Finally leave(self, [world]() noexcept { ++world->left; });
  Value last;
  std::optional<Exception> caught;
  std::optional<Coroutine> other;
  while (!script.empty()) {
    const std::uint8_t code = script.Byte();
    std::optional<Exception> handled;
    try {
      switch (code & 15) {
        case kYield:
          last = co_yield Value(script.Byte());
          break;
        case kYieldLast:
          last = co_yield last;
          break;
        case kReturnLast:
          co_return last;
        case kRaise:
          Raise(MakeException(script));
        case kRaiseLast:
          if (last.kind() == Value::Kind::kException) Raise(last.AsException());
          break;
        case kRaiseFromCaught:
          if (caught) throw From(py::KeyError(script.Byte()), *caught);
          break;
        case kDelegate: {
          Coroutine sub = Scripted(world, InnerScript(script, level), level + 1);
          if (script.Flag()) last = sub.Next().value;
          Coroutine relay = Relay(world, std::move(sub));
          if (world->delegating == Delegating::kOwned) {
            last = co_await YieldFrom(std::move(relay));
          } else {
            last = co_await YieldFrom(relay.ref());
          }
          break;
        }
        case kDelegateToValue: {
          const Value iterable = MakeIterable(script);
          last = co_await YieldFrom(iterable);
          break;
        }
        case kDriveItself: {
          const Outcome outcome = Drive(self, script);
          Require(outcome.kind == Outcome::Kind::kRaised && outcome.exception().type() == "ValueError",
                  "a running coroutine answers itself: " + Repr(outcome.value));
          last = outcome.value;
          break;
        }
        case kMakeOther:
          other = Scripted(world, InnerScript(script, level), level + 1);
          last = other->Next().value;
          break;
        case kDriveOther:
          if (other) last = Drive(other->ref(), script).value;
          break;
        case kDelegateToOther:
          if (other) last = co_await YieldFrom(other->ref());
          break;
        case kDelegateToItself:
          last = co_await YieldFrom(self);
          break;
        case kRaiseWhileHandling:
          try {
            Raise(MakeException(script));
          } catch (const py::BaseException&) {
            Raise(MakeException(script));
          }
        case kDelegateToChain: {
          const int relays = script.Byte() * world->relays_per_byte / 16;
          Coroutine chain = Scripted(world, InnerScript(script, level), level + 1);
          for (int i = 0; i < relays; ++i) chain = Relay(world, std::move(chain));
          last = co_await YieldFrom(std::move(chain));
          break;
        }
        default:
          Require(self.state() == CoroutineState::kRunning && !self.IsDelegating(), "its own state while it runs");
          break;
      }
    } catch (const py::BaseException& e) {
      const int guard = (code >> 4) & 3;
      if (guard == kNothing || (guard == kExceptions && !e.IsA("Exception"))) throw;
      handled = e;
    }
    if (!handled) continue;
    caught = handled;
    switch (code >> 6) {
      case kForget:
        last = Value(*handled);
        break;
      case kYieldHandling: {
        const Handling handling(self, *handled);
        last = co_yield Value("handling");
        break;
      }
      case kReraise: {
        const Handling handling(self, *handled);
        last = co_yield Value("handling");
        handling.Reraise();
      }
      default: {
        const Handling handling(self, *handled);
        handling.Raise(MakeException(script));
      }
    }
  }
  co_return last;
}

// One command's outcome, with the state after it.
struct Step {
  Outcome outcome;
  CoroutineState state;

  friend bool operator==(const Step&, const Step&) = default;
};

std::string Described(const Exception& exception) {
  std::string text = exception.type() + "(" + exception.message() + ")";
  if (exception.suppress_context()) text += "!";
  const std::optional<Exception> cause = exception.cause();
  const std::optional<Exception> context = exception.context();
  if (cause) text += " from <" + Described(*cause) + ">";
  if (context) text += cause && context->Is(*cause) ? " in it" : " in <" + Described(*context) + ">";
  return text;
}

std::string Described(const Step& step) {
  static constexpr const char* kKinds[] = {"yielded ", "returned ", "raised "};
  static constexpr const char* kStates[] = {"created", "suspended", "running", "closed"};
  const bool exception = step.outcome.value.kind() == Value::Kind::kException;
  return kKinds[static_cast<int>(step.outcome.kind)] +
         (exception ? Described(step.outcome.exception()) : Repr(step.outcome.value)) + "; " +
         kStates[static_cast<int>(step.state)];
}

// Drives one coroutine and checks each step.
class Driver {
 public:
  Driver(World& world, Coroutine coroutine) : world_(world), coroutine_(std::move(coroutine)) {}

  void Send(Value value) {
    const CoroutineState before = coroutine_.state();
    const int entered = world_.entered;
    const Value sent = value;
    const Outcome outcome = coroutine_.Send(std::move(value));
    const CoroutineState after = coroutine_.state();
    if (before == CoroutineState::kCreated && !sent.is_null()) {
      Require(IsRaised(outcome, "TypeError") && after == before, "a value was sent to a just-started coroutine");
    } else if (before == CoroutineState::kClosed) {
      Require(IsReturned(outcome, Value()) && after == before, "a finished coroutine was sent a value");
    } else {
      CheckRun(outcome, after);
    }
    Record(outcome, before, entered);
  }

  void Throw(Exception exception) {
    const CoroutineState before = coroutine_.state();
    const int entered = world_.entered;
    const bool stops = exception.IsA("StopIteration");
    const Outcome outcome = coroutine_.Throw(exception);
    const CoroutineState after = coroutine_.state();
    if (before == CoroutineState::kSuspended) {
      CheckRun(outcome, after);
    } else {
      Require(after == CoroutineState::kClosed, "it was thrown into and is open");
      if (!stops) {
        Require(outcome.kind == Outcome::Kind::kRaised && outcome.exception().Is(exception), "not what was thrown");
      } else if (before == CoroutineState::kCreated) {
        Require(IsRaised(outcome, "RuntimeError") && outcome.exception().cause()->Is(exception) &&
                    outcome.exception().context()->Is(exception),
                "a StopIteration was thrown into a new coroutine");
      } else {
        Require(IsReturned(outcome, exception.StopValue()), "a StopIteration was thrown into a finished coroutine");
      }
    }
    Record(outcome, before, entered);
  }

  void Close() {
    const CoroutineState before = coroutine_.state();
    const int entered = world_.entered;
    const Outcome outcome = coroutine_.Close();
    const CoroutineState after = coroutine_.state();
    if (before == CoroutineState::kSuspended) {
      Require(outcome.kind != Outcome::Kind::kYielded, "a close yielded");
      Require(outcome.kind != Outcome::Kind::kRaised || !outcome.exception().IsA("GeneratorExit"),
              "a close raised GeneratorExit");
      CheckNoStop(outcome);
      if (after != CoroutineState::kClosed) {
        Require(after == CoroutineState::kSuspended && IsRaised(outcome, "RuntimeError") &&
                    outcome.exception().message() == "generator ignored GeneratorExit",
                "a close left it open");
      }
    } else {
      Require(IsReturned(outcome, Value()) && after == CoroutineState::kClosed, "a close with nothing to do");
    }
    Record(outcome, before, entered);
  }

  // Drops it as it stands.
  std::vector<Step> Finish() {
    const int left = world_.left;
    coroutine_ = Coroutine();
    Require(world_.left == left, "a drop ran a Finally");
    return std::move(steps_);
  }

 private:
  static bool IsRaised(const Outcome& outcome, std::string_view type) {
    return outcome.kind == Outcome::Kind::kRaised && outcome.exception().type() == type;
  }
  static bool IsReturned(const Outcome& outcome, const Value& value) {
    return outcome.kind == Outcome::Kind::kReturned && outcome.value == value;
  }
  static void CheckNoStop(const Outcome& outcome) {
    Require(outcome.kind != Outcome::Kind::kRaised || !outcome.exception().IsA("StopIteration"),
            "a StopIteration left a coroutine");
  }
  // After a send or throw that resumed it.
  static void CheckRun(const Outcome& outcome, CoroutineState after) {
    Require((outcome.kind == Outcome::Kind::kYielded) == (after == CoroutineState::kSuspended) &&
                (after == CoroutineState::kSuspended || after == CoroutineState::kClosed),
            "the state does not fit the outcome");
    CheckNoStop(outcome);
  }

  void Record(const Outcome& outcome, CoroutineState before, int entered) {
    const bool may_run = before == CoroutineState::kSuspended || coroutine_.state() == CoroutineState::kSuspended ||
                         (before == CoroutineState::kCreated && coroutine_.state() == CoroutineState::kClosed);
    Require(may_run || world_.entered == entered, "a body began where none may");
    steps_.push_back({{Snapshot(outcome.value), outcome.kind}, coroutine_.state()});
  }

  World& world_;
  Coroutine coroutine_;
  std::vector<Step> steps_;
};

std::vector<Step> Run(Input commands, Input script, World world) {
  std::vector<Step> steps;
  {
    Driver driver(world, Scripted(&world, script, 0));
    while (!commands.empty()) {
      switch (commands.Pick(6)) {
        case 0:
        case 1:
          driver.Send(Value());
          break;
        case 2:
          driver.Send(Value(commands.Byte()));
          break;
        case 3:
        case 4:
          driver.Throw(MakeException(commands));
          break;
        default:
          driver.Close();
          break;
      }
    }
    steps = driver.Finish();
  }
  Require(world.left <= world.entered, "more bodies were left than entered");
  Require(LiveFrames().frames == 0 && LiveFrames().bytes == 0, "a frame is still alive");
  return steps;
}

void RequireSame(const std::vector<Step>& owned, const std::vector<Step>& other, const char* how) {
  for (std::size_t i = 0; i < owned.size(); ++i) {
    if (owned[i] == other[i]) continue;
    Fail("step " + std::to_string(i + 1) + " delegating to " + how + ":\n  " + Described(other[i]) +
         "\nand to coroutines of its own:\n  " + Described(owned[i]));
  }
}

void TestOneInput(Input input) {
  const bool deep = input.Pick(8) == 7;
  const Input commands(input.Take(input.Byte() & 63));
  const Input script(input.Rest());
  const std::vector<Step> owned = Run(commands, script, {Delegating::kOwned, deep ? 100 : 1});
  if (deep) return;  // the others take native stack
  RequireSame(owned, Run(commands, script, {Delegating::kShared, 1}), "references");
  RequireSame(owned, Run(commands, script, {Delegating::kIterator, 1}), "iterators");
}

}  // namespace
}  // namespace corod::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  corod::fuzz::TestOneInput(corod::fuzz::Input(data, size));
  return 0;
}
