#include <cstdint>

#include "server/catalog/builtin/builtin.h"
#include "server/catalog/registration.h"

namespace corod::builtin {
namespace {

// Out of line, so that a step does not make room for it.
[[noreturn]] [[gnu::noinline]] void RaiseNoAddend(Value value) {
  throw py::TypeError("unsupported operand type(s) for +=: 'float' and '" + ClassNameOf(value) + "'");
}

// What `total += value` adds.
double Addend(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kBoolean:
    case Value::Kind::kInteger:
    case Value::Kind::kNumber:
      return value.AsNumber();
    default:
      RaiseNoAddend(value);
  }
}

struct Running {
  double total = 0;
  std::int64_t count = 0;

  Value Save() const { return List{total, count}; }
  static Running Load(const Value& saved) {
    const List& fields = SavedFields(saved, 2);
    return {fields[0].AsNumber(), fields[1].AsInteger()};
  }
};

Coroutine Averager(Kept<Running> kept) {
  while (true) {
    Value sent = co_yield (kept->count ? Value(kept->total / static_cast<double>(kept->count)) : Value());
    kept->total += Addend(sent);
    ++kept->count;
  }
}

constexpr const char* kDocumentation = R"(
Keeps a running total and answers every number with the average of all that were sent.

It is this Python program:

```python
def averager():
    total = 0.0
    n = 0
    while True:
        x = yield (total / n if n else None)
        total += x
        n += 1
```

A boolean counts as 0 or 1, as in Python. What is no number raises TypeError, and so does `next` once it runs, for
that sends null.

```example
next       -> yields null
send 10    -> yields 10.0
send 30    -> yields 20.0
send 5.5   -> yields 15.166666666666666
close      -> returns null
```

```example
next       -> yields null
send "ten" -> raises TypeError: unsupported operand type(s) for +=: 'float' and 'str'
```
)";

}  // namespace

void AddAverager(Catalog& catalog) {
  catalog.Add(Native("averager", 1, &Averager)
                  .Summary("the average of all numbers sent so far")
                  .Sends("number", SendsKind::kNumber)
                  .Yields("number: the average; null before the first number")
                  .Returns("null")
                  .StopsWhen("the caller closes it, or what it is sent is no number")
                  .NeverBlocks()
                  .Document(kDocumentation));
}

}  // namespace corod::builtin
