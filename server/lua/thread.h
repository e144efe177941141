#ifndef COROD_SERVER_LUA_THREAD_H_
#define COROD_SERVER_LUA_THREAD_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
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

// What goes into a script: what was sent, or an exception that is raised at its yield.
struct Input {
  Value value;
  bool raises = false;
};

// Why a script has stopped.
struct Stop {
  enum class Kind : std::uint8_t { kYielded, kDelegates, kReturned, kRaised };
  Kind kind = Kind::kReturned;
  Value value;       // what it handed out or returned, the exception, or the arguments of what it delegates to
  std::string name;  // of what it delegates to
};

// One session's script: a thread of Lua's, with globals of its own. From any thread, one at a time.
class Thread : public Meter {
 public:
  // `arguments`: of the script's function. `main`: what is to be done with the script, if not to run it.
  Thread(Universe& universe, std::shared_ptr<const Chunk> chunk, std::vector<Value> arguments,
         lua_CFunction main = &Run)
      : universe_(universe), chunk_(std::move(chunk)), arguments_(std::move(arguments)), main_(main) {}
  ~Thread();
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  // Runs the script from where it stands to its next stop. It begins with the first call, whose input must be null.
  // REQUIRES: it has not returned or raised.
  Stop Resume(Input input);

  // What a restartable script begins with in place of the state that it declares. Before the first Resume.
  void SetState(Value state) {
    arguments_.insert(arguments_.begin(), std::move(state));
    has_state_ = true;
  }
  // The state table of a restartable script as it stands, or what it was set to. Raises ValueError or TypeError if
  // there is something in it that cannot be kept.
  Value SaveState();

  // What is being handled: the exception that an xpcall's handler was given, or one that is on its way to whoever
  // catches it. What is raised meanwhile has it as its context.
  std::optional<Exception> handled;

  // The same or, if that is nothing, what those that delegate to the script are handling.
  std::optional<Exception> Handled() const { return handled ? handled : surrounding_; }

  // For the functions that scripts call, while it runs.
  lua_State* state() const { return state_; }
  Universe& universe() { return universe_; }
  Stop& stop() { return *stop_; }
  Input TakeInput() { return std::exchange(*input_, Input()); }
  // How deep coroutines that close each other are nested; Lua does not count that.
  int& closing() { return closing_; }
  // Whether the step has taken too much of the processor. To be asked now and then.
  bool IsLate();
  // How large the stack is that runs. Likewise.
  void ChargeDepth(std::size_t bytes);

  // Evaluates the source, in globals of its own. LUA_OK: pushes what it returns; else pushes what it raises.
  int Evaluate(lua_State* state);
  // Ends what runs: the value on the top is what it returns or raises.
  static int HandOut(lua_State* state, bool raised);

 private:
  // Evaluates the source, and calls its function.
  static int Run(lua_State* state);
  static int Begin(lua_State* main);
  bool Start();
  void MeasureHeld(Stop& stop);
  void TakeBudget();

  Universe& universe_;
  const std::shared_ptr<const Chunk> chunk_;
  std::vector<Value> arguments_;  // until it begins
  const lua_CFunction main_;
  lua_State* state_ = nullptr;  // null: has not begun
  int reference_ = LUA_NOREF;   // in the registry
  int closing_ = 0;
  std::size_t depth_ = 0;                        // bytes of stack when they were asked for last
  bool has_state_ = false;                       // arguments_ begin with it
  std::optional<Exception> surrounding_;         // handled by whoever resumed it
  std::chrono::steady_clock::time_point began_;  // the step
  std::chrono::nanoseconds late_{0};             // the thread's clock when it was seen to take long; 0: not yet
  Input* input_ = nullptr;                       // while it runs
  Stop* stop_ = nullptr;
};

// Where the registry has what finally() was given.
const void* FinalizersKey(const Thread& thread);

// Whose code the state runs.
inline Thread& ThreadOf(lua_State* state) { return static_cast<Thread&>(MeterOf(state)); }

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_THREAD_H_
