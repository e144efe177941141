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
#include "server/lua/lua_api.h"
#include "server/lua/meter.h"

namespace corod::lua {

class Thread;

// The source of one version of a script, as Lua compiles it.
struct Chunk {
  std::string name;  // in messages: "name:12: ..."
  std::string code;  // rewritten (source.h)
};

// One memory of Lua's, with its collector and its libraries, which many sessions share: a state of its own for each
// would take ten times as much. Each session is a thread of Lua's with globals of its own; what they share cannot be
// changed. One of them runs at a time.
class Universe {
 public:
  Universe();
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
  // Pushes the main function of a chunk, which is compiled when it is first asked for. REQUIRES: the lock is held; in
  // protected code.
  void PushChunk(lua_State* state, const std::shared_ptr<const Chunk>& chunk);
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

  // Lets those through who wait. REQUIRES: the lock is held, and Lua has called whoever calls this.
  void LetOthersThrough();

  // What Lua has allocated here, in bytes. Without the lock.
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  static void* Allocate(void* self, void* block, std::size_t old_size, std::size_t new_size);
  bool Count(std::size_t kind, std::size_t bytes);
  void Refill();
  void ForgetDropped() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  FairMutex mutex_;
  Meter meter_;  // of what runs in main_
  lua_State* main_ = nullptr;
  Running running_;
  std::atomic<std::size_t> bytes_{0};
  std::vector<std::shared_ptr<const Chunk>> compiled_;  // whose addresses are the registry's keys
  Mutex dropped_mutex_;
  std::vector<Dropped> dropped_ ABSL_GUARDED_BY(dropped_mutex_);
};

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_UNIVERSE_H_
