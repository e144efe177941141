#include "server/lua/thread.h"

#include <algorithm>
#include <ctime>
#include <limits>

#include "server/coroutine/errors.h"
#include "server/coroutine/step_context.h"
#include "server/lua/exceptions.h"
#include "server/lua/holdings.h"
#include "server/lua/libraries.h"
#include "server/lua/mathematics.h"
#include "server/lua/resumption.h"
#include "server/lua/stack.h"
#include "server/lua/tables.h"
#include "server/lua/values.h"

namespace corod::lua {
namespace {

constexpr std::uint64_t kInstructionsOfPower = 100;
constexpr std::uint64_t kTurn = std::uint64_t{4} * kHookInterval;  // others wait for so many instructions
// A stack that grows takes longer than the calls that it grows by; so many bytes of it count as an instruction, if it
// is more than happens everywhere.
constexpr std::size_t kBytesOfDepth = 20;
constexpr std::size_t kFreeDepth = std::size_t{64} << 10;

// Where the registry has a thread's state table.
const void* StateKey(const Thread& thread) { return &thread; }

// What is left of the budget of the step that runs on this thread, for all scripts that have a part in it: those that
// are delegated to take from the same.
struct StepBudget {
  std::uint64_t serial = 0;  // of the step
  std::uint64_t instructions = 0;
  std::size_t memory = 0;
  std::chrono::steady_clock::time_point began;
  std::chrono::nanoseconds late{0};
};
thread_local StepBudget step_budget;

std::chrono::nanoseconds ThreadTime() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

void CountInstructions(lua_State* state, lua_Debug* /*activation*/) {
  Thread& thread = ThreadOf(state);
  if (thread.abort != Abort::kNone) RaiseAbort(state, thread.abort);
  const std::uint64_t taken = kHookInterval + TakePowers() * kInstructionsOfPower;
  if (thread.instructions < taken) RaiseAbort(state, Abort::kInstructions);
  const std::uint64_t left = thread.instructions - taken;
  const bool turn_is_over = left / kTurn != thread.instructions / kTurn;
  thread.instructions = left;
  if (thread.IsLate()) RaiseAbort(state, Abort::kTime);
  ChargeStack(state);
  thread.ChargeDepth(StackBytes(state));
  thread.universe().CollectDue();
  if (turn_is_over) thread.universe().LetOthersThrough();
}

Exception ExceptionOf(Abort abort) {
  if (abort == Abort::kMemory)
    return Exception("MemoryError", {Value("the step asked for more than 64 MiB of memory")});
  return Exception("BudgetExceeded", {Value("the step took more than 10,000,000 instructions")}, {"RuntimeError"});
}

// The value on the top as what the script has returned.
int Return(lua_State* state) {
  ThreadOf(state).StopWith(Stop::kReturned, ToValue(state, -1));
  return 0;
}

// The value on the top as what the script has raised.
int RaiseOut(lua_State* state) {
  MakeCatchable(state);
  ThreadOf(state).StopWith(Stop::kRaised, ToException(state, -1));
  return 0;
}

// Pushes the finalizer that was registered last, if there is one.
bool PopFinalizer(lua_State* state) {
  if (lua_rawgetp(state, LUA_REGISTRYINDEX, FinalizersKey(ThreadOf(state))) == LUA_TNIL) {
    lua_pop(state, 1);
    return false;
  }
  for (lua_Unsigned last = lua_rawlen(state, -1); last > 0; --last) {
    lua_rawgeti(state, -1, static_cast<lua_Integer>(last));
    lua_pushnil(state);
    lua_rawseti(state, -3, static_cast<lua_Integer>(last));
    // One that has run at the end of its block is no function any more.
    lua_getiuservalue(state, -1, 1);
    lua_pushnil(state);
    lua_setiuservalue(state, -3, 1);
    if (lua_isfunction(state, -1)) {
      lua_replace(state, -3);
      lua_pop(state, 1);
      return true;
    }
    lua_pop(state, 2);
  }
  lua_pop(state, 1);
  return false;
}

// On the stack at the script's end: whether it raised, and what it returned or raised.
constexpr int kRaised = 1;
constexpr int kResult = 2;

// Runs the finalizers, then hands out what has come of it. `runs`: one has just run.
int Finish(lua_State* state, int status, lua_KContext runs) {
  Thread& thread = ThreadOf(state);
  while (true) {
    if (thread.abort != Abort::kNone) RaiseAbort(state, thread.abort);
    if (runs != 0 && status != LUA_OK && status != LUA_YIELD) {
      MakeCatchable(state);
      lua_replace(state, kResult);
      lua_pushboolean(state, true);
      lua_replace(state, kRaised);
    }
    lua_settop(state, kResult);
    if (!PopFinalizer(state)) break;
    if (lua_toboolean(state, kRaised)) {
      lua_pushvalue(state, kResult);
      HandleTop(state);
      lua_copy(state, -1, kResult);  // the same for the next, and at the end
    } else {
      lua_pushnil(state);
      thread.handled.reset();
    }
    runs = 1;
    status = lua_pcallk(state, 1, 0, 0, runs, &Finish);
  }
  return Thread::HandOut(state, lua_toboolean(state, kRaised) != 0);
}

int FinishScript(lua_State* state, int status, lua_KContext /*context*/) {
  lua_pushboolean(state, status != LUA_OK && status != LUA_YIELD);
  lua_insert(state, -2);
  lua_rotate(state, 1, 2);
  return Finish(state, LUA_OK, 0);
}

int MeasureHoldings(lua_State* main) {
  auto* thread = static_cast<Thread*>(lua_touserdata(main, 1));
  lua_checkstack(thread->state(), LUA_MINSTACK);
  Holdings holdings(main, thread->universe().shared());
  lua_pushthread(thread->state());
  lua_xmove(thread->state(), main, 1);
  holdings.Add();
  for (const void* key : {StateKey(*thread), FinalizersKey(*thread)}) {
    lua_rawgetp(main, LUA_REGISTRYINDEX, key);
    holdings.Add();
  }
  lua_pushinteger(main, static_cast<lua_Integer>(holdings.Count()));
  lua_replace(main, 1);
  lua_settop(main, 1);
  return 1;
}

}  // namespace

void ChargeInTurns(lua_State* state, std::uint64_t instructions) {
  const Meter& meter = MeterOf(state);
  const std::uint64_t before = meter.instructions;
  Charge(state, instructions);
  if (meter.instructions / kTurn != before / kTurn) LetOthersThrough();
}

void LetOthersThrough() {
  if (Thread* thread = Universe::RunningHere().thread) thread->universe().LetOthersThrough();
}

Thread::~Thread() {
  if (state_) universe_.Drop({reference_, StateKey(*this), FinalizersKey(*this)});
}

int Thread::Evaluate(lua_State* state) {
  universe_.PushChunk(state, beginning_->chunk);
  PushGlobals(state);
  lua_pushvalue(state, -1);
  PushConstructors(state);
  return lua_pcall(state, 4, 1, 0);
}

int Thread::HandOut(lua_State* state, bool raised) {
  lua_pushcfunction(state, raised ? &RaiseOut : &Return);
  lua_insert(state, -2);
  if (lua_pcall(state, 1, 0, 0) != LUA_OK) {  // what it returns cannot be handed out
    if (ThreadOf(state).abort != Abort::kNone) RaiseAbort(state, ThreadOf(state).abort);
    lua_pushcfunction(state, &RaiseOut);
    lua_insert(state, -2);
    lua_call(state, 1, 0);
  }
  return 0;
}

// Stack: the function, and the state that it declares (`has_state`) or nil, in place of which come the arguments; how
// many.
int Thread::PushArguments(lua_State* state, bool has_state) {
  const std::unique_ptr<Beginning> beginning = std::move(beginning_);
  const std::vector<Value>& arguments = beginning->arguments;
  luaL_checkstack(state, static_cast<int>(arguments.size()) + LUA_MINSTACK, "too many arguments");
  auto argument = arguments.begin();
  if (beginning->has_state && argument != arguments.end()) {
    lua_pop(state, 1);
    PushValue(state, *argument++);
  }
  int count = 0;
  if (has_state) {
    lua_pushvalue(state, -1);
    lua_rawsetp(state, LUA_REGISTRYINDEX, StateKey(*this));
    ++count;
  } else {
    lua_pop(state, 1);
  }
  for (; argument != arguments.end(); ++argument, ++count) PushValue(state, *argument);
  return count;
}

int Thread::Run(lua_State* state) {
  Thread& thread = ThreadOf(state);
  if (thread.Evaluate(state) != LUA_OK) return FinishScript(state, LUA_ERRRUN, 0);
  bool has_state = false;
  if (lua_istable(state, -1)) {
    lua_pushliteral(state, "state");
    has_state = lua_rawget(state, -2) != LUA_TNIL;
    lua_pushliteral(state, "run");
    lua_rawget(state, -3);
    lua_insert(state, -2);
    lua_remove(state, -3);
  } else {
    lua_pushnil(state);
  }
  // The function, and the state that it declares.
  const int count = thread.PushArguments(state, has_state);
  return FinishScript(state, lua_pcallk(state, count, 1, 0, 0, &FinishScript), 0);
}

Value Thread::SaveState() {
  if (!state_) return beginning_->has_state ? beginning_->arguments.front() : Value();
  const Universe::Lock lock(universe_);
  Value saved;
  const auto save = [](lua_State* main) {
    auto& into = *static_cast<Value*>(lua_touserdata(main, 2));
    lua_rawgetp(main, LUA_REGISTRYINDEX, StateKey(*static_cast<Thread*>(lua_touserdata(main, 1))));
    into = ToValue(main, -1);
    return 0;
  };
  lua_State* main = universe_.main();
  // On behalf of this thread, which nothing of it is to change.
  const Meter meter = static_cast<const Meter&>(*this);
  const std::optional<Exception> handling = handled;
  TakeBudget();
  Step step;
  step_ = &step;
  abort = Abort::kNone;
  universe_.LendMain(this);
  lua_pushcfunction(main, save);
  lua_pushlightuserdata(main, this);
  lua_pushlightuserdata(main, &saved);
  std::optional<Exception> wrong;
  if (lua_pcall(main, 2, 0, 0) != LUA_OK) wrong = universe_.ErrorOnMain();
  universe_.LendMain(nullptr);
  step_ = nullptr;
  static_cast<Meter&>(*this) = meter;
  handled = handling;
  if (wrong) Rethrow(*wrong);
  return saved;
}

int Thread::Begin(lua_State* main) {
  auto& thread = *static_cast<Thread*>(lua_touserdata(main, 1));
  lua_State* state = lua_newthread(main);
  SetMeter(state, &thread);
  lua_pushcfunction(state, thread.beginning_->main);
  thread.reference_ = luaL_ref(main, LUA_REGISTRYINDEX);
  thread.state_ = state;
  return 0;
}

bool Thread::Start() {
  lua_State* main = universe_.main();
  lua_pushcfunction(main, &Begin);
  lua_pushlightuserdata(main, this);
  if (lua_pcall(main, 1, 0, 0) == LUA_OK) return true;
  lua_pop(main, 1);
  return false;
}

std::optional<std::size_t> Thread::MeasureHeld() {
  lua_State* main = universe_.main();
  lua_pushcfunction(main, &MeasureHoldings);
  lua_pushlightuserdata(main, this);
  const bool measured = lua_pcall(main, 1, 1, 0) == LUA_OK;
  const auto held = static_cast<std::size_t>(lua_tointeger(main, -1));
  lua_pop(main, 1);
  if (!measured) return std::nullopt;
  held_ = static_cast<std::uint32_t>(std::min<std::size_t>(held, std::numeric_limits<std::uint32_t>::max()));
  asked_before_ = asked;
  return held;
}

std::size_t Thread::HeldBytes() {
  if (state_ && asked != asked_before_) {
    const Universe::Lock lock(universe_);
    if (!MeasureHeld()) return held_ + (asked - asked_before_);
  }
  return held_;
}

void Thread::CheckHeld() {
  const std::optional<std::size_t> held = MeasureHeld();
  asked = asked_before_ = 0;
  if (held && *held <= limits.held) return;
  StopWith(Stop::kRaised, Exception("MemoryError", {Value("the session holds more than 16 MiB of memory")}));
}

void Thread::ChargeDepth(std::size_t bytes) {
  const std::size_t before = std::max(step_->depth, kFreeDepth);
  if (bytes > before) Charge(state_, (bytes - before) / kBytesOfDepth);
  step_->depth = bytes;
}

void Thread::TakeBudget() {
  const std::uint64_t serial = StepSerial();
  if (serial == 0 || serial != step_budget.serial) {
    step_budget = {.serial = serial, .instructions = limits.instructions, .memory = limits.memory, .began = {}};
  }
  instructions = step_budget.instructions;
  memory = step_budget.memory;
}

void Thread::LeaveBudget() const {
  step_budget = {.serial = StepSerial(),
                 .instructions = instructions,
                 .memory = memory,
                 .began = step_->began,
                 .late = step_->late};
}

bool Thread::IsLate() {
  const std::chrono::steady_clock::time_point clock = std::chrono::steady_clock::now();
  if (step_->began == std::chrono::steady_clock::time_point()) step_->began = clock;
  if (clock - step_->began < limits.time) return false;
  // The thread may have waited, so from here on its own clock counts.
  const std::chrono::nanoseconds now = ThreadTime();
  if (step_->late.count() == 0) step_->late = now;
  return now - step_->late > limits.time;
}

Stop Thread::Resume() {
  const Universe::Lock lock(universe_);
  TakeBudget();
  Step step{.surrounding = CurrentException(), .began = step_budget.began, .late = step_budget.late};
  if (state_) step.depth = StackBytes(state_);
  const std::size_t asked_at_first = asked;
  step_ = &step;
  abort = Abort::kNone;
  static_cast<void>(TakePowers());  // of others
  int status = LUA_ERRMEM;
  if (state_ || Start()) {
    universe_.SetRunning({this, state_});
    lua_sethook(state_, &CountInstructions, LUA_MASKCOUNT, kHookInterval);
    int results = 0;
    status = ResumeState(state_, nullptr, 0, &results);
    universe_.SetRunning({});
  }
  LeaveBudget();
  if (abort != Abort::kNone || status == LUA_ERRMEM) {
    StopWith(Stop::kRaised, ExceptionOf(abort == Abort::kNone ? Abort::kMemory : abort));
  } else if (status != LUA_OK && status != LUA_YIELD) {
    // What has gone wrong outside of all that is the script's own.
    const char* message = lua_tostring(state_, -1);
    StopWith(Stop::kRaised, Exception("SystemError", {Value(message ? message : "the script cannot be run")}));
  } else if (status == LUA_YIELD) {
    // Room for MeasureHoldings, which is called at any time, and is not to change what the script's next step costs.
    lua_checkstack(state_, LUA_MINSTACK);
    NoteBytesAsked(asked - asked_at_first);
    if (asked > limits.held / 2) CheckHeld();
  }
  step_ = nullptr;
  return step.stop;
}

}  // namespace corod::lua
