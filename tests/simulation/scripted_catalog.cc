#include "tests/simulation/scripted_catalog.h"

#include <utility>
#include <variant>

namespace corod {

Definitions::Compile ScriptedCatalog::compile() {
  return [this](auto... what) { return scripts_.Define(what...); };
}

void ScriptedCatalog::Learn(const CatalogEvent& event) {
  switch (event.kind) {
    case CatalogEvent::Kind::kNative:
      catalog_.Date(event.name, event.version, event.revision);
      break;
    case CatalogEvent::Kind::kLua:
      catalog_.Add(std::get<Definition>(scripts_.Define(event.name, event.version, event.source, event.documentation)),
                   event.revision);
      break;
    case CatalogEvent::Kind::kRemoved:
      catalog_.Remove(event.name, event.revision);
      break;
  }
}

}  // namespace corod
