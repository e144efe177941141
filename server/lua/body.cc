#include "server/lua/body.h"

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "server/catalog/definition.h"
#include "server/coroutine/cleanup.h"
#include "server/coroutine/errors.h"

namespace corod::lua {
namespace {

[[noreturn]] void Refuse(const char* type, std::string message, const std::optional<Exception>& handled) {
  Exception why(type, {Value(std::move(message))});
  if (handled) why.SetContext(*handled);
  Rethrow(why);
}

// What a script delegates to, while something may be being handled. Raises LookupError if there is no such coroutine,
// ValueError if it is not to be created with these arguments.
Coroutine MakeDelegate(const Catalog& catalog, CatalogRevision revision, const Stop& stop,
                       const std::optional<Exception>& handled) {
  const Definition* definition = catalog.Newest(stop.name, revision);
  if (!definition) Refuse("LookupError", "no coroutine '" + stop.name + "' in the catalog", handled);
  std::variant<std::vector<Value>, ArgumentError> bound = definition->BindArguments(stop.value.AsMap());
  if (const auto* error = std::get_if<ArgumentError>(&bound)) Refuse("ValueError", error->message, handled);
  return definition->create(std::get<std::vector<Value>>(std::move(bound)), revision);
}

Thread& ThreadIn(const std::unique_ptr<Thread>& owner) { return *owner; }
Thread& ThreadIn(const Kept<ScriptState>& owner) { return owner->thread(); }

// Goes from stop to stop of the script.
template <typename Owner>
Coroutine Run(Owner owner, const Catalog* catalog, CatalogRevision revision) {
  const CoroutineRef self = co_await ThisCoroutine();
  Thread& thread = ThreadIn(owner);
  Input input;
  while (true) {
    Stop stop = thread.Resume(std::exchange(input, Input()));
    if (stop.kind == Stop::Kind::kReturned) co_return std::move(stop.value);
    if (stop.kind == Stop::Kind::kRaised) Rethrow(stop.value.AsException());
    std::optional<Handling> handling;
    if (thread.handled) handling.emplace(self, *thread.handled);
    try {
      if (stop.kind == Stop::Kind::kYielded) {
        input.value = co_yield std::move(stop.value);
      } else {
        input.value = co_await YieldFrom(MakeDelegate(*catalog, revision, stop, thread.Handled()));
      }
    } catch (...) {
      input = {*CurrentException(), /*raises=*/true};
    }
  }
}

}  // namespace

ScriptState ScriptState::Load(const Value& /*saved*/) {
  throw py::RuntimeError("the state of a script is loaded by its definition");
}

Coroutine RunScript(std::unique_ptr<Thread> thread, const Catalog* catalog, CatalogRevision revision) {
  return Run(std::move(thread), catalog, revision);
}

Coroutine RunRestartableScript(Kept<ScriptState> state, const Catalog* catalog, CatalogRevision revision) {
  return Run(std::move(state), catalog, revision);
}

}  // namespace corod::lua
