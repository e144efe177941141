#ifndef COROD_SERVER_LUA_BODY_H_
#define COROD_SERVER_LUA_BODY_H_

#include <memory>
#include <utility>

#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/kept.h"
#include "server/coroutine/value.h"
#include "server/lua/thread.h"

namespace corod::lua {

// The coroutine that a script is. It looks up what it delegates to in that view of the catalog.
Coroutine RunScript(std::unique_ptr<Thread> thread, const Catalog* catalog, CatalogView view);

// A script that has begun, or is to. What a restartable one keeps is its state table.
class ScriptState {
 public:
  ScriptState() = default;
  explicit ScriptState(std::unique_ptr<Thread> thread) : thread_(std::move(thread)) {}
  Value Save() const { return thread_->SaveState(); }
  void AddHeld(HeldMemory& held) const { held.AddBytes(thread_->HeldBytes()); }
  // A thread belongs to it, so this is not how one is made again (scripts.cc).
  static ScriptState Load(const Value& saved);
  Thread& thread() const { return *thread_; }

 private:
  std::unique_ptr<Thread> thread_;
};

// The same, restartable.
Coroutine RunRestartableScript(Kept<ScriptState> state, const Catalog* catalog, CatalogView view);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_BODY_H_
