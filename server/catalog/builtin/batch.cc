#include <cstddef>
#include <cstdint>
#include <utility>

#include "server/catalog/builtin/builtin.h"
#include "server/catalog/registration.h"

namespace corod::builtin {
namespace {

constexpr std::int64_t kMaxSize = 1'000'000;

struct Gathered {
  List values;  // fewer than a batch

  Value Save() const { return values; }
  void AddHeld(HeldMemory& held) const { held.Add(values); }
  static Gathered Load(const Value& saved) { return {saved.AsList()}; }
};

Coroutine Batch(Kept<Gathered> gathered, std::int64_t size) {
  Value batch;
  while (true) {
    Value sent;
    try {
      sent = co_yield std::move(batch);
    } catch (const py::GeneratorExit&) {
      co_return gathered->values.empty() ? Value() : Value(std::move(gathered->values));
    }
    gathered->values.push_back(std::move(sent));
    batch = Value();
    if (gathered->values.size() == static_cast<std::size_t>(size)) batch = Value(std::exchange(gathered->values, {}));
  }
}

constexpr const char* kDocumentation = R"(
Gathers `size` values into a list. It answers null until they are there, and the last of them with the list; then it begins anew.
Close returns those that were left, if there are any.

Every value counts, null too, so `next` puts a null into the batch.

```example
create {"size": 2}
next       -> yields null
send 1     -> yields null
send "two" -> yields [1, "two"]
send [3]   -> yields null
next       -> yields [[3], null]
send 5     -> yields null
close      -> returns [5]
```
)";

}  // namespace

void AddBatch(Catalog& catalog) {
  catalog.Add(Native("batch", 1, &Batch)
                  .Takes("size", "how many values make a batch", Between(1, kMaxSize))
                  .Summary("so many values as a list")
                  .Sends("any value")
                  .Yields("list of values: a batch that is full; null until then")
                  .Returns("list of values: what is left; null if nothing is")
                  .StopsWhen("the caller closes it (it then returns the rest)")
                  .NeverBlocks()
                  .Document(kDocumentation));
}

}  // namespace corod::builtin
