#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "server/catalog/builtin/builtin.h"
#include "server/catalog/registration.h"
#include "server/coroutine/map.h"

namespace corod::builtin {
namespace {

// The names of a path. None of them is empty, if it is one.
std::vector<std::string> NamesOf(const std::string& path) {
  std::vector<std::string> names(1);
  for (const char c : path) {
    if (c == '.') {
      names.emplace_back();
    } else {
      names.back() += c;
    }
  }
  return names;
}

bool IsPath(const Value& path) {
  const std::vector<std::string> names = NamesOf(path.AsText());
  return std::none_of(names.begin(), names.end(), [](const std::string& name) { return name.empty(); });
}

Value FieldOf(Value value, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const Value* field = value.kind() == Value::Kind::kMap ? value.AsMap().Find(name) : nullptr;
    value = field ? Value(*field) : Value();
  }
  return value;
}

// There is nothing to keep: what it yields depends on what it is sent alone.
struct Nothing {
  Value Save() const { return Value(); }
  static Nothing Load(const Value& saved) {
    if (!saved.is_null()) throw py::TypeError("there is nothing to keep, and this is '" + ClassNameOf(saved) + "'");
    return {};
  }
};

Coroutine Select(Kept<Nothing> /*kept*/, std::string field) {
  const std::vector<std::string> names = NamesOf(field);
  Value selected;
  while (true) {
    Value sent = co_yield std::move(selected);
    selected = FieldOf(std::move(sent), names);
  }
}

constexpr const char* kDocumentation = R"(
Answers each map with one of its fields. `field` is a name, or a path of names with dots between them: `address.city` is
the field `city` of the field `address`.

A field that is not there is null, and so is that of anything that is no map. In a pipeline null is nothing to pass on: what
has no such field goes no further.

```example
create {"field": "address.city"}
next                                  -> yields null
send {"address": {"city": "Oslo"}}    -> yields "Oslo"
send {"address": "Oslo"}              -> yields null
send {"name": "Ann"}                  -> yields null
send 7                                -> yields null
close                                 -> returns null
```
)";

}  // namespace

void AddSelect(Catalog& catalog) {
  catalog.Add(Native("select", 1, &Select)
                  .Takes("field", "the field's name, or a path of names with dots between them",
                         MustBe("a name, or names with dots between them", &IsPath))
                  .Summary("a field of each map")
                  .Sends("any value; a map, for there to be a field")
                  .Yields("any value: the field; null where there is none")
                  .Returns("null")
                  .StopsWhen("the caller closes it")
                  .NeverBlocks()
                  .Document(kDocumentation));
}

}  // namespace corod::builtin
