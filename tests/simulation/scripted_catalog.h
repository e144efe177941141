#ifndef COROD_TESTS_SIMULATION_SCRIPTED_CATALOG_H_
#define COROD_TESTS_SIMULATION_SCRIPTED_CATALOG_H_

#include "server/catalog/catalog.h"
#include "server/journal/record.h"
#include "server/lua/scripts.h"
#include "server/session/definitions.h"
#include "tests/unit/session/test_catalog.h"

namespace corod {

// The coroutines of tests, and what is defined while a server runs. Made anew for each server.
class ScriptedCatalog {
 public:
  explicit ScriptedCatalog(Probe& probe) { AddTestCoroutines(catalog_, probe); }

  Catalog& catalog() { return catalog_; }
  const Catalog& catalog() const { return catalog_; }
  Definitions::Compile compile();
  // What the history has next, for who is no server.
  void Learn(const CatalogEvent& event);

 private:
  Catalog catalog_;
  lua::Scripts scripts_{catalog_, lua::Scripts::kUnbounded, /*universes=*/1};
};

}  // namespace corod

#endif  // COROD_TESTS_SIMULATION_SCRIPTED_CATALOG_H_
