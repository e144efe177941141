#ifndef COROD_SERVER_LUA_SCRIPTS_H_
#define COROD_SERVER_LUA_SCRIPTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/catalog/catalog.h"
#include "server/catalog/definition.h"
#include "server/lua/thread.h"
#include "server/lua/universe.h"

namespace corod::lua {

// What Lua says of a source as it was written, if it is not Lua. `name`: of the source, in messages.
std::optional<std::string> SyntaxError(std::string_view name, std::string_view source);
// The code of a Chunk. REQUIRES: the source is Lua.
std::string CodeOf(std::string_view source);

// Makes definitions of scripts, and has the memory that their sessions live in: several universes, so that a collector
// has less to go through and sessions wait for each other less. Thread-safe. Outlives what it defines.
class Scripts {
 public:
  // What scripts delegate to is looked up in `catalog`. `max_bytes`: with more than that the steps of scripts are
  // refused (Definition::memory_is_full). `more`: adds to what scripts find (libraries.h).
  explicit Scripts(const Catalog& catalog, std::size_t max_bytes = kUnbounded, std::size_t universes = 32,
                   lua_CFunction more = nullptr);
  ~Scripts();
  Scripts(const Scripts&) = delete;
  Scripts& operator=(const Scripts&) = delete;

  // The definition that `source` is, or what is wrong with it: with the line, for people. Runs the source once, as each
  // session does, to see what it returns. `documentation`: empty: what the script says.
  std::variant<Definition, std::string> Define(std::string_view name, std::uint32_t version, std::string_view source,
                                               std::string_view documentation);

  // What is to run a chunk with these arguments, in the universe whose turn it is.
  std::unique_ptr<Thread> NewThread(std::shared_ptr<const Chunk> chunk, std::vector<Value> arguments);

  // What all scripts hold, in bytes, but for a few KiB.
  std::size_t bytes() const { return bound_.bytes(); }
  bool IsFull() const { return bound_.is_full().load(std::memory_order_relaxed); }
  // Frees what nothing holds any more in one of the universes, each in its turn. To be called now and then while it is
  // full, since nothing else does when no step is run.
  void CollectSome();

  static constexpr std::size_t kUnbounded = std::size_t{1} << 62;

 private:
  Universe& NextUniverse();

  const Catalog& catalog_;
  const lua_CFunction more_;
  HeapBound bound_;
  struct Slot {
    std::once_flag made;
    std::unique_ptr<Universe> universe;
    std::atomic<Universe*> visible{nullptr};  // for those who only look
  };
  std::vector<Slot> universes_;  // each made when it is first used
  std::atomic<std::size_t> next_{0};
  std::atomic<std::size_t> next_to_collect_{0};
};

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_SCRIPTS_H_
