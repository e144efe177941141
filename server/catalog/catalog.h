#ifndef COROD_SERVER_CATALOG_CATALOG_H_
#define COROD_SERVER_CATALOG_CATALOG_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/catalog/definition.h"

namespace corod {

// What can be created, by name and version. Filled before the server starts, read from many threads after that.
class Catalog {
 public:
  Catalog() = default;
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  // Adds a definition (registration.h makes one of a function). Throws std::invalid_argument, which names the
  // coroutine, and adds nothing if
  //   - that version is there already, or the version is 0, or `create` or `stops_when` is empty;
  //   - `restartable` and whether there is `restart` differ;
  //   - its name or a parameter's is not one (letters, digits and `_`, first a letter), or two parameters share one;
  //   - a default is not what its own parameter accepts.
  void Add(Definition definition);

  // The definition, or nullptr. Version 0 is the newest. Valid for as long as the catalog.
  const Definition* Find(std::string_view name, std::uint32_t version = 0) const;

  // The newest version of each, in the order of names, beginning after `name` (empty: from the first), `limit` at most.
  std::vector<const Definition*> ListAfter(std::string_view name, std::size_t limit) const;

  // Every version of each, in the order of names and versions.
  std::vector<const Definition*> All() const;

 private:
  using Versions = std::map<std::uint32_t, std::unique_ptr<Definition>>;
  std::map<std::string, Versions, std::less<>> definitions_;
};

// Adds the coroutines that corod comes with (server/catalog/builtin/).
void AddBuiltinCoroutines(Catalog& catalog);

}  // namespace corod

#endif  // COROD_SERVER_CATALOG_CATALOG_H_
