#include "tests/unit/session/test_catalog.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/catalog/registration.h"
#include "server/coroutine/cleanup.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/errors.h"
#include "server/coroutine/kept.h"
#include "server/coroutine/map.h"
#include "server/coroutine/step_context.h"

namespace corod {
namespace {

Coroutine Echo() {
  Value sent;
  while (true) sent = co_yield sent;
}

Coroutine Counter() {
  for (std::int64_t count = 1;; ++count) co_yield count;
}

Coroutine Obedient() {
  Value out;
  while (true) {
    const Value order = co_yield out;
    const Map::Entry& what = *order.AsMap().begin();
    if (what.key == "return") co_return what.value;
    if (what.key == "raise" && what.value.kind() == Value::Kind::kException) Raise(what.value.AsException());
    if (what.key == "raise") throw py::ValueError(what.value);
    out = what.value;
  }
}

Coroutine RaisesAtOnce() {
  throw py::ValueError("at once");
  co_return Value();
}

Coroutine ReturnsAtOnce(Value value) { co_return value; }

Coroutine Stubborn(std::int64_t times) {
  std::int64_t ignored = 0;
  while (true) {
    try {
      while (true) co_yield ignored;
    } catch (const py::GeneratorExit&) {
      if (times >= 0 && ignored >= times) throw;
      ++ignored;
    }
  }
}

Coroutine LastWords() {
  try {
    while (true) co_yield Value();
  } catch (const py::GeneratorExit&) {
    co_return "bye";
  }
}

Coroutine FailingCleanup() {
  try {
    while (true) co_yield Value();
  } catch (const py::GeneratorExit&) {
    throw py::RuntimeError("cleanup failed");
  }
}

Coroutine Counted(Probe* probe) {
  const CoroutineRef self = co_await ThisCoroutine();
  const Finally count(self, [probe]() noexcept { probe->cleanups.fetch_add(1); });
  Value sent;
  while (true) sent = co_yield sent;
}

Coroutine StubbornCounted(Probe* probe) {
  const CoroutineRef self = co_await ThisCoroutine();
  const Finally count(self, [probe]() noexcept { probe->cleanups.fetch_add(1); });
  while (true) {
    try {
      while (true) co_yield Value();
    } catch (const py::GeneratorExit&) {  // goes on
    }
  }
}

Coroutine Probing(Probe* probe) {
  Value sent;
  while (true) {
    if (probe->during) probe->during();
    sent = co_yield sent;
  }
}

Coroutine Blocking(Probe* probe) {
  Value sent;
  while (true) {
    sent = co_yield sent;
    if (sent == Value("block")) probe->gate.Pass();
  }
}

Coroutine BlocksAtOnce(Probe* probe) {
  probe->gate.Pass();
  Value sent;
  while (true) sent = co_yield sent;
}

Coroutine Tallying(Probe* probe) {
  for (std::int64_t count = 1;; ++count) {
    probe->tallied.fetch_add(1);
    try {
      co_yield count;
    } catch (const py::ValueError&) {  // goes on
    }
  }
}

Coroutine ChangesError() {
  const Exception error = py::ValueError("kept");
  while (true) {
    co_yield error;
    Exception(error).AddNote("later");
  }
}

Coroutine RaisesArgument(Value error) {
  co_yield Value();
  Raise(error.AsException());
}

struct Diced {
  Value out;
  std::uint64_t sum = 0;

  Value Save() const { return List{out, static_cast<std::int64_t>(sum)}; }
  static Diced Load(const Value& saved) {
    const List& fields = SavedFields(saved, 2);
    return {fields[0], static_cast<std::uint64_t>(fields[1].AsInteger())};
  }
};

Coroutine Dicing(Kept<Diced> kept) {
  while (true) {
    co_yield kept->out;
    const std::uint64_t random = StepRandom();
    kept->sum += random;
    kept->out = List{static_cast<std::int64_t>(StepTime().time_since_epoch().count()),
                     static_cast<std::int64_t>(random), static_cast<std::int64_t>(kept->sum)};
  }
}

Coroutine Version1() {
  while (true) co_yield 1;
}
Coroutine Version2() {
  while (true) co_yield 2;
}

NativeDefinition Described(NativeDefinition definition) {
  return definition.Summary("for tests")
      .Sends("any value")
      .Yields("any value")
      .Returns("any value")
      .StopsWhen("it is closed")
      .NeverBlocks()
      .Document("For tests.");
}

template <typename F>
void AddBody(Catalog& catalog, const char* name, F body) {
  catalog.Add(Described(Native(name, 1, body)));
}

// One that the probe comes along with.
Definition Probed(const char* name, Coroutine (*body)(Probe*), Probe& probe) {
  Definition definition = Described(Native(name, 1, &Echo));
  definition.create = [body, &probe](const std::vector<Value>&, const CatalogView&) { return body(&probe); };
  return definition;
}

void AddProbed(Catalog& catalog, const char* name, Coroutine (*body)(Probe*), Probe& probe) {
  catalog.Add(Probed(name, body, probe));
}

void AddBlocking(Catalog& catalog, const char* name, Coroutine (*body)(Probe*), Probe& probe) {
  Definition definition = Probed(name, body, probe);
  definition.never_blocks = false;
  catalog.Add(std::move(definition));
}

// splitmix64's finaliser.
std::uint64_t Mix(std::uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}

}  // namespace

Value DicingYields(std::uint64_t seed, std::uint64_t step, absl::Time time) {
  std::uint64_t random = 0;
  std::uint64_t sum = 0;
  for (std::uint64_t of = 2; of <= step; ++of) {
    random = Mix(Mix(Mix(seed) + of) + 0x9e3779b97f4a7c15);  // as step_context.h has it
    sum += random;
  }
  return List{absl::ToUnixNanos(time), static_cast<std::int64_t>(random), static_cast<std::int64_t>(sum)};
}

void AddTestCoroutines(Catalog& catalog, Probe& probe) {
  AddBuiltinCoroutines(catalog);
  AddBody(catalog, "echo", &Echo);
  AddBody(catalog, "counter", &Counter);
  AddBody(catalog, "obedient", &Obedient);
  AddBody(catalog, "raises_at_once", &RaisesAtOnce);
  catalog.Add(Described(Native("returns_at_once", 1, &ReturnsAtOnce).Takes("value", "what it returns")));
  catalog.Add(Described(Native("stubborn", 1, &Stubborn).Takes("times", "how many closes it ignores; -1: all")));
  AddBody(catalog, "last_words", &LastWords);
  AddBody(catalog, "failing_cleanup", &FailingCleanup);
  AddProbed(catalog, "counted", &Counted, probe);
  AddProbed(catalog, "stubborn_counted", &StubbornCounted, probe);
  AddProbed(catalog, "probing", &Probing, probe);
  AddBlocking(catalog, "blocking", &Blocking, probe);
  AddBlocking(catalog, "blocks_at_once", &BlocksAtOnce, probe);
  AddProbed(catalog, "tallying", &Tallying, probe);
  AddBody(catalog, "changes_error", &ChangesError);
  catalog.Add(Described(Native("raises_argument", 1, &RaisesArgument).Takes("error", "what it raises")));
  AddBody(catalog, "dicing", &Dicing);
  catalog.Add(Described(Native("versioned", 1, &Version1)));
  catalog.Add(Described(Native("versioned", 2, &Version2)));
}

}  // namespace corod
