// Registers what FAULT in the environment says.

#include <corod/plugin.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace {

using namespace corod;

Coroutine Body() { co_return Value(); }

Coroutine Takes(std::int64_t) { co_return Value(); }

NativeDefinition Named(const std::string& name) { return Native(name, 1, &Body).StopsWhen("it is resumed"); }

COROD_COROUTINES(catalog) {
  const char* const variable = std::getenv("FAULT");
  const std::string fault = variable ? variable : "";
  if (fault == "own name") catalog.Add(Native("averager", 7, &Body).StopsWhen("it is resumed"));
  if (fault == "no name") catalog.Add(Named("no-name"));
  if (fault == "twice") catalog.Add(Named("twice"));
  if (fault == "undescribed") catalog.Add(Native("undescribed", 1, &Takes).StopsWhen("it is resumed"));
  if (fault == "default") {
    catalog.Add(Native("default", 1, &Takes).Takes("size", "", AtLeast(1), Optional(0)).StopsWhen("it is resumed"));
  }
  if (fault == "throws") throw std::runtime_error("the table of words\nis not there");
  if (fault == "raises") throw py::KeyError("words");
  if (fault == "exits") throw py::SystemExit(3);
  if (fault == "throws a number") throw 7;
}

// A second one in the same source.
COROD_COROUTINES(catalog) { catalog.Add(Named("twice")); }

}  // namespace
