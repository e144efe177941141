#include "tests/unit/lua/corpus.h"

#include <chrono>
#include <utility>
#include <variant>

#include "server/catalog/definition.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/step_context.h"
#include "server/coroutine/text_form.h"

namespace corod::lua {
namespace {

constexpr std::chrono::sys_time<std::chrono::nanoseconds> kTime{std::chrono::milliseconds(1'500)};

Outcome Do(Coroutine& coroutine, std::string_view command) {
  static constexpr std::string_view kThrow = "throw ";
  if (command == "close") return coroutine.Close();
  if (command.starts_with(kThrow)) return coroutine.Throw(Exception(std::string(command.substr(kThrow.size()))));
  return coroutine.Next();
}

std::string Shown(const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::kYielded) return "Y " + Repr(outcome.value);
  if (outcome.kind == Outcome::Kind::kReturned) return "R " + Repr(outcome.value);
  const Exception raised = outcome.exception();
  return "X " + raised.type() + (raised.message().empty() ? "" : ": " + raised.message());
}

using Cost = Attempt::Cost;

}  // namespace

const std::vector<Attempt>& Corpus() {
  static const std::vector<Attempt> corpus = {
#include "tests/unit/lua/corpus.inc"
  };
  return corpus;
}

std::vector<std::string> Outcomes(Catalog& catalog, Scripts& scripts, std::string_view source,
                                  std::span<const char* const> commands) {
  static constexpr const char* kName = "script";
  const std::uint32_t version = catalog.LastVersion(kName) + 1;
  std::variant<Definition, std::string> defined = scripts.Define(kName, version, source, "");
  if (auto* wrong = std::get_if<std::string>(&defined)) return {std::move(*wrong)};
  catalog.Add(std::get<Definition>(std::move(defined)), catalog.revision() + 1);
  std::vector<std::string> outcomes;
  Coroutine coroutine = catalog.Find(kName, version)->create({}, catalog.revision());
  for (const char* command : commands) {
    const StepScope step({.time = kTime, .seed = 7, .step = outcomes.size() + 1});
    outcomes.push_back(Shown(Do(coroutine, command)));
    if (coroutine.state() == CoroutineState::kClosed) break;
  }
  return outcomes;
}

std::vector<std::string> Outcomes(Catalog& catalog, Scripts& scripts, const Attempt& attempt) {
  std::vector<const char*> commands;
  for (const Attempt::Step& step : attempt.steps) commands.push_back(step.command);
  return Outcomes(catalog, scripts, attempt.Source(), commands);
}

}  // namespace corod::lua
