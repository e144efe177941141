#ifndef COROD_TESTS_UNIT_LUA_DRIVING_H_
#define COROD_TESTS_UNIT_LUA_DRIVING_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/step_context.h"
#include "server/coroutine/text_form.h"
#include "server/lua/lua_api.h"
#include "server/lua/scripts.h"

namespace corod::lua {

// A catalog that scripts can be added to.
class ScriptCatalog {
 protected:
  // `more` adds to the functions that scripts find.
  explicit ScriptCatalog(lua_CFunction more = nullptr) : scripts_(catalog_, Scripts::kUnbounded, 2, more) {}

  // The definition of a source, or a failure and an empty one.
  const Definition* Define(std::string_view source, std::string_view name = "script") {
    std::variant<Definition, std::string> defined = scripts_.Define(name, catalog_.LastVersion(name) + 1, source, "");
    if (const auto* wrong = std::get_if<std::string>(&defined)) {
      ADD_FAILURE() << *wrong;
      return nullptr;
    }
    const std::uint32_t version = std::get<Definition>(defined).version;
    catalog_.Add(std::get<Definition>(std::move(defined)), catalog_.revision() + 1);
    return catalog_.Find(name, version);
  }

  // Why a source is refused; empty: it is not.
  std::string Refusal(std::string_view source) {
    std::variant<Definition, std::string> defined = scripts_.Define("script", 1, source, "");
    const auto* wrong = std::get_if<std::string>(&defined);
    return wrong ? *wrong : "";
  }

  Coroutine Create(std::string_view source, const Map& arguments = {}) {
    const Definition* definition = Define(source);
    if (!definition) return {};
    auto bound = definition->BindArguments(arguments);
    if (const auto* error = std::get_if<ArgumentError>(&bound)) {
      ADD_FAILURE() << error->message;
      return {};
    }
    return definition->create(std::get<std::vector<Value>>(std::move(bound)), catalog_.revision());
  }

  Catalog catalog_;
  Scripts scripts_;
};

class ScriptTest : public testing::Test, protected ScriptCatalog {
 protected:
  // What came of a step, as a person reads it: "Y 1", "R None", "X ValueError: no".
  static std::string Shown(const Outcome& outcome) {
    switch (outcome.kind) {
      case Outcome::Kind::kYielded:
        return "Y " + Repr(outcome.value);
      case Outcome::Kind::kReturned:
        return "R " + Repr(outcome.value);
      case Outcome::Kind::kRaised:
        break;
    }
    const Exception raised = outcome.exception();
    return "X " + raised.type() + (raised.message().empty() ? "" : ": " + raised.message());
  }

  std::string Next(Coroutine& coroutine) { return Send(coroutine, Value()); }
  std::string Send(Coroutine& coroutine, Value value) {
    const StepScope step({.time = time_, .seed = 7, .step = ++step_});
    return Shown(coroutine.Send(std::move(value)));
  }
  std::string Throw(Coroutine& coroutine, const Exception& exception) {
    const StepScope step({.time = time_, .seed = 7, .step = ++step_});
    return Shown(coroutine.Throw(exception));
  }
  std::string Close(Coroutine& coroutine) {
    const StepScope step({.time = time_, .seed = 7, .step = ++step_});
    return Shown(coroutine.Close());
  }
  // What the body of a function returns, or raises, in its first step.
  std::string Run(const std::string& body) {
    Coroutine coroutine = Create("return function()\n" + body + "\nend");
    return Next(coroutine);
  }

  std::chrono::sys_time<std::chrono::nanoseconds> time_{std::chrono::milliseconds(1'500)};
  std::uint64_t step_ = 0;
};

}  // namespace corod::lua

#endif  // COROD_TESTS_UNIT_LUA_DRIVING_H_
