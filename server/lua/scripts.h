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
  // What scripts delegate to is looked up in `catalog`.
  explicit Scripts(const Catalog& catalog, std::size_t universes = 32);
  ~Scripts();
  Scripts(const Scripts&) = delete;
  Scripts& operator=(const Scripts&) = delete;

  // The definition that `source` is, or what is wrong with it: with the line, for people. Runs the source once, as each
  // session does, to see what it returns. `documentation`: empty: what the script says.
  std::variant<Definition, std::string> Define(std::string_view name, std::uint32_t version, std::string_view source,
                                               std::string_view documentation);

  // What is to run a chunk with these arguments, in the universe whose turn it is.
  std::unique_ptr<Thread> NewThread(std::shared_ptr<const Chunk> chunk, std::vector<Value> arguments);

  // What all scripts hold, in bytes.
  std::size_t bytes() const;

 private:
  Universe& NextUniverse();

  const Catalog& catalog_;
  struct Slot {
    std::once_flag made;
    std::unique_ptr<Universe> universe;
    std::atomic<const Universe*> visible{nullptr};  // for those who only look
  };
  std::vector<Slot> universes_;  // each made when it is first used
  std::atomic<std::size_t> next_{0};
};

}  // namespace corod::lua

#endif  // COROD_SERVER_LUA_SCRIPTS_H_
