#include <cstdint>
#include <utility>

#include "server/catalog/builtin/builtin.h"
#include "server/catalog/registration.h"

namespace corod::builtin {
namespace {

constexpr std::int64_t kMaxSize = 1'000'000;

struct Window {
  List values;

  Value Save() const { return values; }
  void AddHeld(HeldMemory& held) const { held.Add(values); }
  static Window Load(const Value& saved) { return {saved.AsList()}; }
};

Coroutine SlidingWindow(Kept<Window> window, std::int64_t size) {
  while (true) {
    Value sent = co_yield window->values;
    // The window was copied to be yielded, so moving it up by one costs no more than that did.
    if (window->values.size() == static_cast<std::size_t>(size)) window->values.erase(window->values.begin());
    window->values.push_back(std::move(sent));
  }
}

constexpr const char* kDocumentation = R"(
Keeps the last `size` values and answers each with all of them, as a `deque(maxlen=size)` does.

Every value counts, null too, so `next` puts a null into the window.

```example
create {"size": 2}
next       -> yields []
send 1     -> yields [1]
send "two" -> yields [1, "two"]
send [3]   -> yields ["two", [3]]
next       -> yields [[3], null]
close      -> returns null
```
)";

}  // namespace

void AddSlidingWindow(Catalog& catalog) {
  catalog.Add(Native("sliding_window", 1, &SlidingWindow)
                  .Takes("size", "how many values the window holds", Between(1, kMaxSize))
                  .Summary("the last values that were sent")
                  .Sends("any value")
                  .Yields("list: the window, oldest first; empty at first")
                  .Returns("null")
                  .StopsWhen("the caller closes it")
                  .NeverBlocks()
                  .Document(kDocumentation));
}

}  // namespace corod::builtin
