#ifndef COROD_SERVER_LUA_THREAD_H_
#define COROD_SERVER_LUA_THREAD_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "server/coroutine/exception.h"
#include "server/coroutine/value.h"
#include "server/lua/lua_api.h"
#include "server/lua/meter.h"
#include "server/lua/universe.h"

namespace corod::lua {

// What a step may use. Part of what a script sees, so the same on every server.
struct Limits {
  std::uint64_t instructions = 10'000'000;
  std::size_t memory = std::size_t{64} << 20;  // asked for in a step
  std::size_t held = std::size_t{16} << 20;    // by a session between steps
  // Some instructions of Lua's take time in proportion to what they are given and cannot be counted (a call with a
  // hundred thousand arguments). A step that does little else is ended by the clock of the thread: twice this is many
  // times what any other step takes, so that it does not matter where exactly.
  std::chrono::nanoseconds time = std::chrono::seconds(5);
};
// Those are what all servers have. Tests change them, for more runs in less time.
inline Limits limits;

// Instructions are counted by so many.
inline constexpr int kHookInterval = 1'000;

// Why a script has stopped: with what it handed out or returned, the exception that it raised, or a list of the name
// and the arguments of what it delegates to.
enum class Stop : std::uint8_t { kYielded, kDelegates, kReturned, kRaised };

// One session's script: a thread of Lua's, with globals of its own. From any thread, one at a time.
class Thread : public Meter {
 public:
  // `arguments`: of the script's function. `main`: what is to be done with the script, if not to run it.
  Thread(Universe& universe, std::shared_ptr<const Chunk> chunk, std::vector<Value> arguments,
         lua_CFunction main = &Run)
      : universe_(universe),
        beginning_(new Beginning{.chunk = std::move(chunk), .arguments = std::move(arguments), .main = main}) {}
  ~Thread();
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  // Runs the script from where it stands, with what was put in, to its next stop, whose value is then taken out. It
  // begins with the first call, into which nothing is put. REQUIRES: it has not returned or raised.
  Stop Resume();
  void Put(Value sent) { value_ = std::move(sent); }
  void PutRaised(Exception raised) {
    value_ = std::move(raised);
    raises_ = true;
  }
  Value TakeValue() { return std::exchange(value_, Value()); }

  // What a restartable script begins with in place of the state that it declares. Before the first Resume.
  void SetState(Value state) {
    beginning_->arguments.insert(beginning_->arguments.begin(), std::move(state));
    beginning_->has_state = true;
  }
  // The state table of a restartable script as it stands, or what it was set to. Raises ValueError or TypeError if
  // there is something in it that cannot be kept.
  Value SaveState();

  // What the script holds, about, in bytes. Looks at all of it if it has asked for anything since that was last done.
  // REQUIRES: it does not run.
  std::size_t HeldBytes();

  // What is being handled: the exception that an xpcall's handler was given, or one that is on its way to whoever
  // catches it. What is raised meanwhile has it as its context.
  std::optional<Exception> handled;

  // The same or, if that is nothing, what is handled around what runs.
  std::optional<Exception> Handled() const { return handled || !step_ ? handled : step_->surrounding; }

  // For the functions that scripts call, while it runs.
  lua_State* state() const { return state_; }
  Universe& universe() { return universe_; }
  void StopWith(Stop stop, Value value) {
    step_->stop = stop;
    value_ = std::move(value);
  }
  // Whether what is put in is to be raised.
  bool TakeRaises() { return std::exchange(raises_, false); }
  // How deep coroutines that close each other are nested; Lua does not count that.
  int& closing() { return step_->closing; }
  // What is handled by those that delegate to the script, and by those that resume the nested coroutine which runs.
  std::optional<Exception>& surrounding() { return step_->surrounding; }
  // Whether the step has taken too much of the processor. To be asked now and then.
  bool IsLate();
  // How large the stack is that runs. Likewise.
  void ChargeDepth(std::size_t bytes);

  // Evaluates the source, in globals of its own. LUA_OK: pushes what it returns; else pushes what it raises.
  int Evaluate(lua_State* state);
  // Ends what runs: the value on the top is what it returns or raises.
  static int HandOut(lua_State* state, bool raised);

 private:
  // Until it begins.
  struct Beginning {
    std::shared_ptr<const Chunk> chunk;
    std::vector<Value> arguments;
    lua_CFunction main;
    bool has_state = false;  // the arguments begin with it
  };
  // While it runs.
  struct Step {
    Stop stop = Stop::kReturned;
    int closing = 0;
    std::size_t depth = 0;                          // bytes of stack when they were last asked for
    std::optional<Exception> surrounding{};         // handled around what runs
    std::chrono::steady_clock::time_point began{};  // when the clock was first looked at; zero: not yet
    std::chrono::nanoseconds late{0};               // the thread's clock when it was seen to take long; 0: not yet
  };

  // What a script holds that has just begun, or is about to.
  static constexpr std::uint32_t kHeldAtFirst = 1'600;

  // Evaluates the source, and calls its function.
  static int Run(lua_State* state);
  int PushArguments(lua_State* state, bool has_state);
  static int Begin(lua_State* main);
  bool Start();
  // What can be reached from it, about, in bytes; nullopt: that could not be found out. REQUIRES: the lock is held.
  std::optional<std::size_t> MeasureHeld();
  // Ends a script that holds more than it may. The same script on the same input at the same step, so what else is
  // measured does not matter here.
  void CheckHeld();
  void TakeBudget();
  void LeaveBudget() const;

  Universe& universe_;
  std::unique_ptr<Beginning> beginning_;
  lua_State* state_ = nullptr;  // null: has not begun
  Step* step_ = nullptr;
  Value value_;                        // goes in or out
  int reference_ = LUA_NOREF;          // in the registry
  bool raises_ = false;                // value_ is raised
  std::uint32_t held_ = kHeldAtFirst;  // bytes, when it was last measured
  std::size_t asked_before_ = 0;       // of `asked`, what was before that
};

// For library functions that may take long by themselves: others get their turns meanwhile. As Charge; and where much
// is charged before it is done, to be called now and then while it is.
void ChargeInTurns(lua_State* state, std::uint64_t instructions);
void LetOthersThrough();

// Where the registry has what finally() was given.
const void* FinalizersKey(const Thread& thread);

// Whose code the state runs.
inline Thread& ThreadOf(lua_State* state) { return static_cast<Thread&>(MeterOf(state)); }

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_THREAD_H_
