#include <cstdint>
#include <utility>

#include "server/catalog/builtin/builtin.h"
#include "server/catalog/registration.h"
#include "server/coroutine/map.h"

namespace corod::builtin {
namespace {

struct Counts {
  Value of = Map();  // tokens to integers

  Value Save() const { return of; }
  void AddHeld(HeldMemory& held) const { held.Add(of); }
  static Counts Load(const Value& saved) {
    for (const Map::Entry& token : saved.AsMap()) static_cast<void>(token.value.AsInteger());
    return {saved};
  }
};

Coroutine TokenCounter(Kept<Counts> counts) {
  while (true) {
    Value token = co_yield counts->of;
    if (token.kind() != Value::Kind::kText) throw py::TypeError("token must be str, not " + ClassNameOf(token));
    Value& count = counts->of.MutableMap()[token.AsText()];
    count = Value(count.is_null() ? 1 : count.AsInteger() + 1);
  }
}

constexpr const char* kDocumentation = R"(
Counts tokens and answers each with the counts of all tokens so far. The empty text is a token as well.

What is no text raises TypeError, and so does `next` once it runs, for that sends null. The map grows with every new
token; one that is too large to be sent back raises ValueError at the caller and leaves the session as it is.

```example
next        -> yields {}
send "to"   -> yields {"to": 1}
send "be"   -> yields {"to": 1, "be": 1}
send "to"   -> yields {"to": 2, "be": 1}
send 7      -> raises TypeError: token must be str, not int
```
)";

}  // namespace

void AddTokenCounter(Catalog& catalog) {
  catalog.Add(Native("token_counter", 1, &TokenCounter)
                  .Summary("how often each text was sent")
                  .Sends("text: a token", SendsKind::kText)
                  .Yields("map of tokens to integers: how often each was sent, in the order of their first appearance")
                  .Returns("null")
                  .StopsWhen("the caller closes it, or what it is sent is no text")
                  .NeverBlocks()
                  .Document(kDocumentation));
}

}  // namespace corod::builtin
