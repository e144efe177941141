#include "server/coroutine/kept.h"

#include <string>

#include "server/coroutine/errors.h"

namespace corod {

const List& SavedFields(const Value& saved, std::size_t count) {
  const List& fields = saved.AsList();
  if (fields.size() == count) return fields;
  throw py::ValueError("a saved state of " + std::to_string(count) + " fields, not " + std::to_string(fields.size()));
}

}  // namespace corod
