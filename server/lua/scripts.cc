#include "server/lua/scripts.h"

#include <optional>
#include <utility>

#include "server/coroutine/errors.h"
#include "server/coroutine/map.h"
#include "server/lua/body.h"
#include "server/lua/description.h"
#include "server/lua/source.h"
#include "server/lua/thread.h"

namespace corod::lua {
namespace {

// Before the rewritten source, on its first line: the script's globals, and what its constructors have become calls of.
constexpr const char* kPrologue = "local _ENV, _G, __list, __map = ... ";

}  // namespace

std::optional<std::string> SyntaxError(std::string_view name, std::string_view source) {
  lua_State* state = luaL_newstate();
  if (!state) return "there is no memory to compile it";
  std::optional<std::string> error;
  const std::string chunk_name = "=" + std::string(name);
  if (luaL_loadbufferx(state, source.data(), source.size(), chunk_name.c_str(), "t") != LUA_OK) {
    error = lua_tostring(state, -1);
  }
  lua_close(state);
  return error;
}

std::string CodeOf(std::string_view source) { return kPrologue + RewriteConstructors(source); }

Scripts::Scripts(const Catalog& catalog, std::size_t max_bytes, std::size_t universes, lua_CFunction more)
    : catalog_(catalog), more_(more), bound_(max_bytes), universes_(universes) {}

Scripts::~Scripts() = default;

void Scripts::CollectSome() {
  Slot& slot = universes_[next_to_collect_.fetch_add(1, std::memory_order_relaxed) % universes_.size()];
  Universe* universe = slot.visible.load(std::memory_order_acquire);
  if (!universe) return;
  const Universe::Lock lock(*universe);
  universe->Collect();
}

Universe& Scripts::NextUniverse() {
  Slot& slot = universes_[next_.fetch_add(1, std::memory_order_relaxed) % universes_.size()];
  std::call_once(slot.made, [this, &slot] {
    slot.universe = std::make_unique<Universe>(bound_, more_);
    slot.visible.store(slot.universe.get(), std::memory_order_release);
  });
  return *slot.universe;
}

std::unique_ptr<Thread> Scripts::NewThread(std::shared_ptr<const Chunk> chunk, std::vector<Value> arguments) {
  return std::make_unique<Thread>(NextUniverse(), std::move(chunk), std::move(arguments));
}

std::variant<Definition, std::string> Scripts::Define(std::string_view name, std::uint32_t version,
                                                      std::string_view source, std::string_view documentation) {
  if (std::optional<std::string> error = SyntaxError(name, source)) return *std::move(error);
  if (const std::optional<int> line = FindReservedName(source)) {
    return std::string(name) + ":" + std::to_string(*line) + ": the names __list and __map are taken";
  }
  const auto chunk = std::make_shared<const Chunk>(Chunk{.name = std::string(name), .code = CodeOf(source)});
  Thread look(NextUniverse(), chunk, {}, &Describe);
  const Stop stop = look.Resume();
  const Value value = look.TakeValue();
  if (stop == Stop::kRaised) return value.AsException().message();
  std::variant<Definition, std::string> described = ReadDescription(value);
  if (std::holds_alternative<std::string>(described)) return described;
  Definition& definition = std::get<Definition>(described);
  definition.name = name;
  definition.version = version;
  definition.language = Language::kLua;
  definition.source = source;
  if (!documentation.empty()) definition.documentation = documentation;
  definition.never_blocks = true;  // a step is ended by its budget
  definition.looks_up = true;
  definition.memory_is_full = &bound_.is_full();
  const auto begin = [this, chunk](std::vector<Value> arguments) { return NewThread(chunk, std::move(arguments)); };
  const Catalog* catalog = &catalog_;
  if (!definition.restartable) {
    definition.create = [begin, catalog](std::vector<Value> arguments, const CatalogView& view) {
      return RunScript(begin(std::move(arguments)), catalog, view);
    };
    return described;
  }
  definition.create = [begin, catalog](std::vector<Value> arguments, const CatalogView& view) {
    return RunRestartableScript(Kept<ScriptState>(ScriptState(begin(std::move(arguments)))), catalog, view);
  };
  definition.restart = [begin, catalog](std::vector<Value> arguments, const Value& kept, const CatalogView& view) {
    std::unique_ptr<Thread> thread = begin(std::move(arguments));
    thread->SetState(kept);
    return RunRestartableScript(Kept<ScriptState>(ScriptState(std::move(thread))), catalog, view);
  };
  return described;
}

}  // namespace corod::lua
