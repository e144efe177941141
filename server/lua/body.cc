#include "server/lua/body.h"

#include <memory>
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
Coroutine MakeDelegate(const Catalog& catalog, const CatalogView& view, Thread& thread) {
  const std::optional<Exception> handled = thread.handled ? thread.handled : CurrentException();
  const Value delegation = thread.TakeValue();
  const std::string& name = delegation.AsList()[0].AsText();
  const Definition* definition = catalog.Newest(name, view);
  if (!definition) Refuse("LookupError", "no coroutine '" + name + "' in the catalog", handled);
  std::variant<std::vector<Value>, ArgumentError> bound =
      definition->BindArguments(delegation.AsList()[1].AsMap(), view);
  if (const auto* error = std::get_if<ArgumentError>(&bound)) Refuse("ValueError", error->message, handled);
  return definition->create(std::get<std::vector<Value>>(std::move(bound)), view);
}

Thread& ThreadIn(const ScriptState& owner) { return owner.thread(); }
Thread& ThreadIn(const Kept<ScriptState>& owner) { return owner->thread(); }

// Goes from stop to stop of the script. There are as many frames of this as sessions: what is here while it is
// suspended is little.
template <typename Owner>
Coroutine Run(Owner owner, const Catalog* catalog, CatalogView view) {
  while (true) {
    const Stop stop = ThreadIn(owner).Resume();
    if (stop == Stop::kReturned) co_return ThreadIn(owner).TakeValue();
    if (stop == Stop::kRaised) Rethrow(ThreadIn(owner).TakeValue().AsException());
    std::unique_ptr<Handling> handling;
    if (ThreadIn(owner).handled) {
      handling = std::make_unique<Handling>(co_await ThisCoroutine(), *ThreadIn(owner).handled);
    }
    try {
      if (stop == Stop::kYielded) {
        ThreadIn(owner).Put(co_yield ThreadIn(owner).TakeValue());
      } else {
        ThreadIn(owner).Put(co_await YieldFrom(MakeDelegate(*catalog, view, ThreadIn(owner))));
      }
    } catch (...) {
      ThreadIn(owner).PutRaised(*CurrentException());
    }
  }
}

}  // namespace

ScriptState ScriptState::Load(const Value& /*saved*/) {
  throw py::RuntimeError("the state of a script is loaded by its definition");
}

Coroutine RunScript(std::unique_ptr<Thread> thread, const Catalog* catalog, CatalogView view) {
  return Run(ScriptState(std::move(thread)), catalog, view);
}

Coroutine RunRestartableScript(Kept<ScriptState> state, const Catalog* catalog, CatalogView view) {
  return Run(std::move(state), catalog, view);
}

}  // namespace corod::lua
