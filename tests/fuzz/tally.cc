#include "tests/fuzz/tally.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/catalog/definition.h"
#include "server/coroutine/cleanup.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/errors.h"
#include "server/coroutine/value.h"

namespace corod::fuzz {
namespace {

constexpr std::size_t kBigText = 300;

Coroutine Tally(TallyProbe* probe, std::int64_t ignores, std::int64_t by) {
  const CoroutineRef self = co_await ThisCoroutine();
  const Finally cleanup(self, [probe]() noexcept { ++probe->cleanups; });
  std::int64_t count = 0;
  Value out = count;
  while (true) {
    try {
      const Value sent = co_yield out;
      const std::string word = sent.kind() == Value::Kind::kText ? sent.AsText() : "";
      if (word == "stop") co_return count;
      if (word == "raise") throw py::ValueError("asked to");
      if (word == "big") {
        out = Value(std::string(kBigText, 'x'));
        continue;
      }
      if (word == "slow") probe->take_time();
      count += by;
    } catch (const py::LookupError&) {
      count += 100;
    } catch (const py::GeneratorExit&) {
      if (ignores == 0) co_return "bye";
      --ignores;
    }
    out = Value(count);
  }
}

Coroutine Brief(bool raises) {
  if (raises) throw py::ValueError("at once");
  co_return 7;
}

Definition Describe(std::string name, std::uint32_t version, Parameter parameter) {
  Definition definition;
  definition.name = std::move(name);
  definition.version = version;
  definition.stops_when = "it is told to";
  definition.never_blocks = true;
  definition.parameters = {std::move(parameter)};
  return definition;
}

}  // namespace

void AddTallies(Catalog& catalog, TallyProbe& probe) {
  Parameter ignores;
  ignores.name = "ignores";
  ignores.type = ParameterType::kInteger;
  ignores.default_value = Value(0);
  for (const std::uint32_t version : {1U, 2U}) {
    Definition tally = Describe("tally", version, ignores);
    const std::int64_t by = version == 1 ? 1 : 10;
    tally.never_blocks = true;
    tally.create = [&probe, by](const std::vector<Value>& arguments, const CatalogView&) {
      return Tally(&probe, arguments[0].AsInteger(), by);
    };
    catalog.Add(std::move(tally));
  }
  Parameter raises;
  raises.name = "raises";
  raises.type = ParameterType::kBoolean;
  raises.default_value = Value(false);
  Definition brief = Describe("brief", 1, raises);
  brief.never_blocks = true;
  brief.create = [](const std::vector<Value>& arguments, const CatalogView&) {
    return Brief(arguments[0].AsBoolean());
  };
  catalog.Add(std::move(brief));
}

}  // namespace corod::fuzz
