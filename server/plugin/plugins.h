#ifndef COROD_SERVER_PLUGIN_PLUGINS_H_
#define COROD_SERVER_PLUGIN_PLUGINS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/catalog/catalog.h"
#include "server/catalog/definition.h"

namespace corod {

// Loads plugins (plugin.h) into a catalog, before the server starts.
class Plugins {
 public:
  // The names that are in `catalog` now are corod's own; no plugin may have a coroutine of such a name.
  explicit Plugins(Catalog& catalog);

  // Loads the library `file` and adds its coroutines, which it returns; or says why not, in one line that names the
  // file and, if it is about one, the coroutine. Nothing of the library runs unless it was built for this server. It
  // stays loaded for as long as the process, so that its coroutines may live as long. After a failure the process is
  // to end.
  absl::StatusOr<std::vector<const Definition*>> Load(const std::string& file);

 private:
  Catalog& catalog_;
  std::set<std::string> own_;
  std::map<std::pair<std::string, std::uint32_t>, std::string> loaded_;  // the file that a coroutine's version is from
};

}  // namespace corod

#endif  // COROD_SERVER_PLUGIN_PLUGINS_H_
