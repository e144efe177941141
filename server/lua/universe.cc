#include "server/lua/universe.h"

#include <cstdlib>
#include <limits>
#include <new>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "server/lua/exceptions.h"
#include "server/lua/libraries.h"
#include "server/lua/resumption.h"
#include "server/lua/stack.h"
#include "server/lua/tables.h"
#include "server/lua/thread.h"
#include "server/lua/values.h"

namespace corod::lua {
namespace {

// A string that is longer than Lua keeps only once is an object each time it is made; whether a shorter one is made
// depends on what others have made.
constexpr std::size_t kLongString = 72;
// What comes with a thread: its stack.
constexpr std::size_t kStackBytes = 1'024;

// The bound is told of more than this.
constexpr std::int64_t kUntold = std::int64_t{16} << 10;

// What the collector is asked for at once: its share for so many bytes.
constexpr std::int64_t kCollectorStep = std::int64_t{8} << 10;
// A collection waits until a fraction of what the one before left has been allocated: 1 in so many.
constexpr std::int64_t kPause = 2;
constexpr std::size_t kDroppedBytes = std::size_t{2} << 10;

thread_local constinit Universe::Running running_here = {};
thread_local constinit std::int64_t held_outside = 0;

int OpenAll(lua_State* state) {
  OpenTables(state);
  OpenValues(state);
  OpenExceptions(state);
  OpenLibraries(state, lua_tocfunction(state, 1));
  return 0;
}

}  // namespace

Universe::Universe(HeapBound& bound, lua_CFunction more) : bound_(bound) {
  main_ = lua_newstate(&Allocate, this);
  if (!main_) throw std::bad_alloc();
  SetMeter(main_, &meter_);
  if (!KnowsStack(main_) || !KnowsYields(main_)) throw std::logic_error("this is another version of Lua");
  lua_gc(main_, LUA_GCSTOP);
  Refill();
  lua_pushcfunction(main_, &OpenAll);
  if (more) lua_pushcfunction(main_, more);
  lua_call(main_, more ? 1 : 0, 0);
  shared_ = ObjectsInRegistry(main_);
  TellBound();
}

Universe::~Universe() {
  lua_close(main_);
  TellBound();
}

void Universe::TellBound() {
  bound_.Add(bytes_ - told_);
  told_ = bytes_;
}

void Universe::SetRunning(const Running& running) { running_ = running_here = running; }

Universe::Running Universe::RunningHere() { return running_here; }

void Universe::Refill() {
  meter_.instructions = std::numeric_limits<std::uint64_t>::max();
  meter_.memory = std::numeric_limits<std::size_t>::max();
}

Universe::Lock::Lock(Universe& universe) : universe_(universe) {
  universe_.mutex_.Lock();
  universe_.ForgetDropped();
  universe_.Refill();
}

Universe::Lock::~Lock() {
  universe_.ForgetDropped();
  universe_.CollectDue();
  const std::int64_t untold = universe_.bytes_ - universe_.told_;
  if (untold > kUntold || untold < -kUntold) universe_.TellBound();
  universe_.mutex_.Unlock();
}

void Universe::LetOthersThrough() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const Running running = std::exchange(running_, Running());
  mutex_.Unlock();
  std::this_thread::yield();
  mutex_.Lock();
  running_ = running;
}

void Universe::Drop(const Dropped& dropped) {
  {
    const MutexLock lock(dropped_mutex_);
    dropped_.push_back(dropped);
    has_dropped_.store(true, std::memory_order_relaxed);
  }
  if (!mutex_.TryLock()) return;  // whoever holds it sees to it
  ForgetDropped();
  mutex_.Unlock();
}

void Universe::ForgetDropped() {
  if (!has_dropped_.load(std::memory_order_relaxed)) return;
  std::vector<Dropped> dropped;
  {
    const MutexLock lock(dropped_mutex_);
    dropped.swap(dropped_);
    has_dropped_.store(false, std::memory_order_relaxed);
  }
  for (const Dropped& thread : dropped) {
    luaL_unref(main_, LUA_REGISTRYINDEX, thread.reference);
    for (const void* key : {thread.key, thread.other_key}) {
      lua_pushnil(main_);
      lua_rawsetp(main_, LUA_REGISTRYINDEX, key);
    }
    AddHeldOutside(kDroppedBytes);
  }
}

void Universe::AddHeldOutside(std::size_t bytes) { held_outside += static_cast<std::int64_t>(bytes); }

void Universe::CollectDue() {
  due_ += bytes_ - counted_ + std::exchange(held_outside, 0);
  counted_ = bytes_;
  if (due_ > 0) CollectSteps();
}

void Universe::CollectSteps() {
  const Running running = running_;
  SetRunning({});
  for (; due_ > 0; due_ -= kCollectorStep) {
    if (lua_gc(main_, LUA_GCSTEP, 0) == 0) continue;
    due_ = -bytes_ / kPause;  // it is through
    break;
  }
  counted_ = bytes_;
  SetRunning(running);
}

void Universe::PushChunk(lua_State* state, const std::shared_ptr<const Chunk>& chunk) {
  if (chunk->shared) {
    if (lua_rawgetp(state, LUA_REGISTRYINDEX, chunk.get()) == LUA_TFUNCTION) return;
    lua_pop(state, 1);
  }
  const Running running = running_;
  SetRunning({});  // it is not the session's that comes first
  const int status = luaL_loadbufferx(state, chunk->code.data(), chunk->code.size(), ("=" + chunk->name).c_str(), "t");
  if (status == LUA_OK && chunk->shared) {
    lua_pushvalue(state, -1);
    lua_rawsetp(state, LUA_REGISTRYINDEX, chunk.get());
    compiled_.push_back(chunk);
  }
  SetRunning(running);
  if (status != LUA_OK) lua_error(state);
}

Exception Universe::ErrorOnMain() {
  std::optional<Exception> exception;
  const auto convert = [](lua_State* main) {
    *static_cast<std::optional<Exception>*>(lua_touserdata(main, 1)) = ToException(main, 2);
    return 0;
  };
  lua_pushcfunction(main_, convert);
  lua_insert(main_, -2);
  lua_pushlightuserdata(main_, &exception);
  lua_insert(main_, -2);
  if (lua_pcall(main_, 2, 0, 0) != LUA_OK) lua_pop(main_, 1);
  return exception.value_or(Exception("SystemError", {Value("an error that cannot be shown")}));
}

// For the collector, what is asked for is what counts; for a session, what its script asks for: objects that Lua makes
// in the same way wherever it runs, while it makes stacks, its table of strings and its own call records as it likes.
bool Universe::Count(std::size_t kind, std::size_t bytes) {
  switch (kind) {
    case LUA_TSTRING:
      if (bytes < kLongString) return true;
      break;
    case LUA_TFUNCTION:
    case LUA_TUSERDATA:
      break;
    case LUA_TTHREAD:
      bytes += kStackBytes;
      break;
    default:
      return true;  // tables count what they hold themselves
  }
  Meter& meter = *running_.thread;
  meter.asked += bytes;
  if (bytes <= meter.memory) {
    meter.memory -= bytes;
    return true;
  }
  const bool fits = bytes <= limits.memory;
  meter.memory = 0;
  meter.abort = Abort::kMemory;
  lua_sethook(running_.state, lua_gethook(running_.state), LUA_MASKCOUNT, 1);  // ends the step at the next instruction
  return fits;
}

void* Universe::Allocate(void* self, void* block, std::size_t old_size, std::size_t new_size) {
  auto& universe = *static_cast<Universe*>(self);
  const auto before = static_cast<std::int64_t>(block ? old_size : 0);
  if (new_size == 0) {
    std::free(block);  // NOLINT: Lua's allocator is realloc
    universe.bytes_ -= before;
    return nullptr;
  }
  if (!block && universe.running_.thread && !universe.Count(old_size, new_size)) return nullptr;
  void* moved = std::realloc(block, new_size);  // NOLINT
  if (moved) universe.bytes_ += static_cast<std::int64_t>(new_size) - before;
  return moved;
}

}  // namespace corod::lua
