#ifndef COROD_SERVER_LUA_HOLDINGS_H_
#define COROD_SERVER_LUA_HOLDINGS_H_

#include <cstddef>
#include <unordered_set>

#include "server/lua/lua_api.h"

namespace corod::lua {

// Objects of Lua's, by their addresses.
using Objects = std::unordered_set<const void*>;

// Adds up what can be reached from some objects, each once, and what it takes, about. `shared` and what is behind it
// does not count. Uses the stack of `state`, in which nothing else is to happen meanwhile.
class Holdings {
 public:
  // `shared` outlives this.
  Holdings(lua_State* state, const Objects& shared);
  ~Holdings();
  Holdings(const Holdings&) = delete;
  Holdings& operator=(const Holdings&) = delete;

  // Adds what is on the top, and pops it. For another thread's state: it is suspended, with room on its stack.
  void Add();
  // Adds all that can be reached from there; in bytes.
  std::size_t Count();
  // What was added.
  Objects& found() { return found_; }

 private:
  void AddTable();
  void AddFunction();
  void AddUserdata();
  void AddThread(lua_State* thread);
  void Take(lua_State* thread);

  lua_State* const state_;
  const Objects& shared_;
  int work_;  // where on the stack a table is of what was found and not looked at yet
  lua_Integer waiting_ = 0;
  Objects found_;
  std::size_t bytes_ = 0;
};

// All that there is in the registry, but threads.
Objects ObjectsInRegistry(lua_State* state);

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_HOLDINGS_H_
