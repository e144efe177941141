#ifndef COROD_SERVER_LUA_UNIVERSE_H_
#define COROD_SERVER_LUA_UNIVERSE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/base/fair_mutex.h"
#include "server/base/mutex.h"
#include "server/coroutine/exception.h"
#include "server/lua/holdings.h"
#include "server/lua/lua_api.h"
#include "server/lua/meter.h"

namespace corod::lua {

class Thread;

// The source of one version of a script, as Lua compiles it.
struct Chunk {
  std::string name;    // in messages: "name:12: ..."
  std::string code;    // rewritten (source.h)
  bool shared = true;  // by many sessions, so that it is worth while to keep it compiled
};

// What all universes of a server hold together, against what they may. Thread-safe.
class HeapBound {
 public:
  explicit HeapBound(std::size_t most) : most_(static_cast<std::int64_t>(most)) {}
  void Add(std::int64_t bytes) {
    is_full_.store(bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes > most_, std::memory_order_relaxed);
  }
  const std::atomic<bool>& is_full() const { return is_full_; }
  std::size_t bytes() const { return static_cast<std::size_t>(bytes_.load(std::memory_order_relaxed)); }

 private:
  const std::int64_t most_;
  std::atomic<std::int64_t> bytes_{0};
  std::atomic<bool> is_full_{false};
};

// One memory of Lua's, with its collector and its libraries, which many sessions share: a state of its own for each
// would take ten times as much. Each session is a thread of Lua's with globals of its own; what they share cannot be
// changed. One of them runs at a time.
class Universe {
 public:
  // `more`: adds to what scripts find (libraries.h).
  explicit Universe(HeapBound& bound, lua_CFunction more = nullptr);
  ~Universe();
  Universe(const Universe&) = delete;
  Universe& operator=(const Universe&) = delete;

  // Who wants to call Lua holds this. Given to the others, in their order, every so many instructions of a step.
  class ABSL_SCOPED_LOCKABLE Lock {
   public:
    explicit Lock(Universe& universe) ABSL_EXCLUSIVE_LOCK_FUNCTION(universe.mutex_);
    ~Lock() ABSL_UNLOCK_FUNCTION();
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    Universe& universe_;
  };

  // What runs under the lock: `thread`, in a state of its own or that of a nested coroutine. None: nothing is counted.
  struct Running {
    Thread* thread = nullptr;
    lua_State* state = nullptr;
  };
  Running running() const { return running_; }
  void SetRunning(const Running& running);
  // What runs on this thread.
  static Running RunningHere();

  // The state whose stack is used to set up others. REQUIRES: the lock is held.
  lua_State* main() { return main_; }
  // Pushes the main function of a chunk, which is compiled when it is first asked for, or, if it is not
  // shared, each time. REQUIRES: the lock is held; in
  // protected code.
  void PushChunk(lua_State* state, const std::shared_ptr<const Chunk>& chunk);
  // What all sessions find, and none has for itself.
  const Objects& shared() const { return shared_; }
  // Whose code `main` runs from now on; null: its own. REQUIRES: the lock is held.
  void LendMain(Meter* meter) { SetMeter(main_, meter ? meter : &meter_); }
  // What protected code on `main` has raised, which is popped from there.
  Exception ErrorOnMain();

  // Gives a thread back to the collector, now or when the lock is next given up or taken: a reference in the registry,
  // and what stands there under two keys. The lock need not be held, and is not waited for.
  struct Dropped {
    int reference;
    const void* key;
    const void* other_key;
  };
  void Drop(const Dropped& dropped);

  // Lets those through who wait for the lock, and those who wait for the processor: else one of them would have it when
  // this thread's time is over, some milliseconds later. REQUIRES: the lock is held, and Lua has called whoever calls
  // this.
  void LetOthersThrough();

  // Lets the collector do what is due: it does nothing by itself, but runs with the lock, now and then. What it frees
  // is freed on the stack of main(), where there is room for it: on that of a script that has recursed as far as it can
  // nothing could be called. REQUIRES: the lock is held.
  void CollectDue();
  // That something new holds memory of which Lua does not know. On a thread that holds the lock.
  static void AddHeldOutside(std::size_t bytes);

  // Frees what nothing holds any more. REQUIRES: the lock is held.
  void Collect() { lua_gc(main_, LUA_GCCOLLECT); }

 private:
  static void* Allocate(void* self, void* block, std::size_t old_size, std::size_t new_size);
  void TellBound();
  bool Count(std::size_t kind, std::size_t bytes);
  void Refill();
  void CollectSteps();
  void ForgetDropped() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  FairMutex mutex_;
  Meter meter_;  // of what runs in main_
  lua_State* main_ = nullptr;
  Objects shared_;
  Running running_;
  HeapBound& bound_;
  std::int64_t bytes_ = 0;                              // that are allocated
  std::int64_t told_ = 0;                               // of that, what the bound knows of
  std::int64_t counted_ = 0;                            // of that, what is in due_
  std::int64_t due_ = 0;                                // bytes for which the collector has not done its share
  std::vector<std::shared_ptr<const Chunk>> compiled_;  // whose addresses are the registry's keys
  Mutex dropped_mutex_;
  std::vector<Dropped> dropped_ ABSL_GUARDED_BY(dropped_mutex_);
  std::atomic<bool> has_dropped_{false};
};

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_UNIVERSE_H_
