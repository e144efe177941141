#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/catalog/builtin/builtin.h"
#include "server/catalog/registration.h"
#include "server/coroutine/map.h"

namespace corod::builtin {
namespace {

constexpr std::size_t kMaxStages = 100;

// One stage as it stands in the argument.
struct StageSpec {
  std::string coroutine;
  Map arguments;
  bool each = false;
};

// What is wrong with a stage: how an error message goes on behind "argument 'stages'".
struct BadStage {
  std::string why;
};

std::variant<StageSpec, BadStage> ReadStage(const Value& value, std::size_t number) {
  const auto bad = [number](const std::string& why) {
    return BadStage{"has a stage " + std::to_string(number) + " " + why};
  };
  if (value.kind() != Value::Kind::kMap) return bad("that is no map of coroutine, arguments and each");
  StageSpec spec;
  for (const Map::Entry& entry : value.AsMap()) {
    if (entry.key == "coroutine" && entry.value.kind() == Value::Kind::kText) {
      spec.coroutine = entry.value.AsText();
    } else if (entry.key == "arguments" && entry.value.kind() == Value::Kind::kMap) {
      spec.arguments = entry.value.AsMap();
    } else if (entry.key == "each" && entry.value.kind() == Value::Kind::kBoolean) {
      spec.each = entry.value.AsBoolean();
    } else {
      return bad("with a field '" + entry.key +
                 "'; there are coroutine (a text), arguments (a map) and each (a boolean)");
    }
  }
  if (spec.coroutine.empty()) return bad("without a coroutine");
  return spec;
}

std::variant<std::vector<StageSpec>, BadStage> ReadStages(const Value& value) {
  if (value.kind() != Value::Kind::kList || value.AsList().empty() || value.AsList().size() > kMaxStages) {
    return BadStage{"must be a list of 1 to " + std::to_string(kMaxStages) + " stages"};
  }
  std::vector<StageSpec> specs;
  for (const Value& stage : value.AsList()) {
    std::variant<StageSpec, BadStage> spec = ReadStage(stage, specs.size() + 1);
    if (auto* wrong = std::get_if<BadStage>(&spec)) return std::move(*wrong);
    specs.push_back(std::get<StageSpec>(std::move(spec)));
  }
  return specs;
}

// What is wrong with the stages for a pipeline that is created now.
std::string CheckStages(const Catalog& catalog, const Value& value, const CatalogView& view) {
  const std::variant<std::vector<StageSpec>, BadStage> specs = ReadStages(value);
  if (const auto* wrong = std::get_if<BadStage>(&specs)) return wrong->why;
  std::size_t number = 0;
  for (const StageSpec& spec : std::get<std::vector<StageSpec>>(specs)) {
    const std::string stage = "has a stage " + std::to_string(++number) + ", '" + spec.coroutine + "', ";
    const Definition* definition = catalog.Newest(spec.coroutine, view);
    if (!definition) return stage + "that is not in the catalog";
    const auto bound = definition->BindArguments(spec.arguments, view);
    if (const auto* error = std::get_if<ArgumentError>(&bound)) return stage + "whose " + error->message;
  }
  return {};
}

Coroutine MakeStage(const Catalog& catalog, const CatalogView& view, const StageSpec& spec) {
  const Definition* definition = catalog.Newest(spec.coroutine, view);
  if (!definition) throw py::LookupError("no coroutine '" + spec.coroutine + "' in the catalog");
  return definition->Make(spec.arguments, view);
}

// Stages behind each other, each of which is sent what the one before yields.
class Stages {
 public:
  explicit Stages(bool collect) : collect_(collect) {}

  // Before all else. Raises ValueError and LookupError if `value` will not do.
  void Make(const Catalog& catalog, const CatalogView& view, const Value& value) {
    const std::variant<std::vector<StageSpec>, BadStage> specs = ReadStages(value);
    if (const auto* wrong = std::get_if<BadStage>(&specs)) throw py::ValueError("stages: " + wrong->why);
    for (const StageSpec& spec : std::get<std::vector<StageSpec>>(specs)) {
      stages_.push_back({MakeStage(catalog, view, spec), spec.each});
    }
  }

  void AddHeld(HeldMemory& held) const {
    held.Add(last_);
    for (const Stage& stage : stages_) {
      held.AddBytes(sizeof(Stage));
      stage.coroutine.AddHeld(held);
    }
  }

  // Each gives what comes out of the pipeline: kYielded; or how it has ended, with no stage left open.
  Outcome Prime() {
    Begin();
    // From the end, so that each that yields finds the next one ready.
    for (std::size_t i = stages_.size(); i-- > 0;) {
      if (std::optional<Outcome> ended = Take(i, stages_[i].coroutine.Next())) return *std::move(ended);
    }
    return Result();
  }
  Outcome Send(Value value) {
    Begin();
    std::optional<Outcome> ended = Take(0, stages_[0].coroutine.Send(std::move(value)));
    return ended ? *std::move(ended) : Result();
  }
  Outcome Throw(const Exception& exception) {
    Begin();
    std::optional<Outcome> ended = Take(0, stages_[0].coroutine.Throw(exception));
    return ended ? *std::move(ended) : Result();
  }
  // kReturned with what the last stage returns, or kRaised.
  Outcome Close() { return CloseFrom(stages_.size(), std::nullopt); }

 private:
  struct Stage {
    Coroutine coroutine;
    bool each;
  };

  void Begin() {
    last_ = Value();
    all_.clear();
  }
  Outcome Result() { return Outcome::Yielded(Collected()); }
  Value Collected() { return collect_ ? Value(std::move(all_)) : std::move(last_); }

  // What came of a stage's step. Set: the pipeline has ended with it.
  std::optional<Outcome> Take(std::size_t i, Outcome outcome) {
    switch (outcome.kind) {
      case Outcome::Kind::kYielded:
        return PassOn(i, std::move(outcome.value));
      case Outcome::Kind::kReturned:
        return EndAt(i, std::move(outcome.value));
      case Outcome::Kind::kRaised:
        break;
    }
    return TravelOn(i, outcome.exception());
  }

  std::optional<Outcome> PassOn(std::size_t i, Value value) {
    if (value.is_null()) return std::nullopt;
    const std::size_t next = i + 1;
    if (next == stages_.size()) {
      if (collect_) all_.push_back(value);
      last_ = std::move(value);
      return std::nullopt;
    }
    if (!stages_[i].each || value.kind() != Value::Kind::kList) {
      return Take(next, stages_[next].coroutine.Send(std::move(value)));
    }
    for (const Value& item : value.AsList()) {
      if (item.is_null()) continue;
      if (std::optional<Outcome> ended = Take(next, stages_[next].coroutine.Send(item))) return ended;
    }
    return std::nullopt;
  }

  // A stage did not catch it: it is for the next one.
  std::optional<Outcome> TravelOn(std::size_t i, const Exception& exception) {
    const std::size_t next = i + 1;
    if (next == stages_.size()) return CloseFrom(stages_.size(), exception);
    return Take(next, stages_[next].coroutine.Throw(exception));
  }

  // A stage has returned: those behind it get what is left, one after the other, and are closed.
  std::optional<Outcome> EndAt(std::size_t i, Value value) {
    for (std::size_t next = i + 1; next < stages_.size(); ++next) {
      if (std::optional<Outcome> ended = PassOn(next - 1, std::move(value))) return ended;
      const Outcome closed = stages_[next].coroutine.Close();
      value = Value();
      if (closed.kind == Outcome::Kind::kRaised) {
        if (std::optional<Outcome> ended = TravelOn(next, closed.exception())) return ended;
      } else {
        value = closed.value;
      }
    }
    Outcome closed = CloseFrom(i, std::nullopt);
    if (closed.kind == Outcome::Kind::kRaised) return closed;
    if (!value.is_null()) static_cast<void>(PassOn(stages_.size() - 1, std::move(value)));
    return Outcome::Returned(Collected());
  }

  // Closes the stages before `end`, the last one first. `raised`: what the pipeline ends with if no cleanup raises.
  Outcome CloseFrom(std::size_t end, std::optional<Exception> raised) {
    Value returned;
    for (std::size_t i = end; i-- > 0;) {
      const Outcome closed = stages_[i].coroutine.Close();
      if (closed.kind == Outcome::Kind::kRaised) {
        Exception exception = closed.exception();
        if (raised) exception.SetContext(*raised);
        raised = exception;
      } else if (i + 1 == stages_.size()) {
        returned = closed.value;
      }
    }
    return raised ? Outcome::Raised(*raised) : Outcome::Returned(std::move(returned));
  }

  std::vector<Stage> stages_;
  bool collect_;
  Value last_;
  List all_;
};

Coroutine Pipeline(Stages stages, Value specs, const Catalog* catalog, CatalogView view) {
  stages.Make(*catalog, view, specs);
  Outcome outcome = stages.Prime();
  while (outcome.kind == Outcome::Kind::kYielded) {
    Value sent;
    std::optional<Exception> thrown;
    try {
      sent = co_yield std::move(outcome.value);
    } catch (...) {
      thrown = CurrentException();
    }
    if (!thrown) {
      outcome = stages.Send(std::move(sent));
    } else if (thrown->IsA("GeneratorExit")) {
      outcome = stages.Close();
      if (outcome.kind == Outcome::Kind::kReturned && outcome.value.is_null()) Rethrow(*thrown);
    } else {
      outcome = stages.Throw(*thrown);
    }
  }
  if (outcome.kind == Outcome::Kind::kRaised) Rethrow(outcome.exception());
  co_return std::move(outcome.value);
}

constexpr const char* kDocumentation = R"(
Chains coroutines of the catalog. What is sent goes to the first stage; what a stage yields is sent to the next; what the last
one yields is the outcome. A stage is a map of `coroutine` (its name), `arguments` (a map, if it takes any) and `each`.

- null is nothing to pass on: if a stage yields null, those behind it are not run, and if nothing comes out at the end, the
  outcome is null.
- `each: true` sends the items of the lists that a stage yields one by one. Then the last stage may yield several times in one
  step: the outcome is what it yielded last, or with `collect: true` the list of all.
- An exception that is thrown in enters the first stage. What a stage does not catch, thrown in or its own, goes on to the
  next; what the last one does not catch ends the pipeline.
- A stage that returns ends the pipeline: what it returned is passed on, the stages behind it are closed one after the other,
  and what each of them returns is passed on, too. Then the stages before it are closed, the last of them first. The pipeline
  returns what came out at the end. A stage that raised returns at the next step.
- A close closes the last stage first, and the pipeline returns what that returned.
- The stages are those of the catalog as it was when the pipeline was created.

```example
create {"stages": [{"coroutine": "json_lines", "each": true}, {"coroutine": "averager"}]}
next -> yields null
send "1\n2\n" -> yields 1.5
send "3" -> yields null
send "\n" -> yields 2.0
close -> returns null
```
)";

}  // namespace

void AddPipeline(Catalog& catalog) {
  Definition definition;
  definition.name = "pipeline";
  definition.summary = "coroutines behind each other";
  definition.documentation = kDocumentation + 1;
  definition.parameters = {
      {.name = "stages",
       .documentation = "the coroutines, the first one first",
       .type = ParameterType::kValue,
       .default_value = std::nullopt,
       .type_text = "list of maps with coroutine, arguments and each",
       .check = nullptr,
       .check_names = [&catalog](const Value& value,
                                 const CatalogView& view) { return CheckStages(catalog, value, view); }},
      {.name = "collect",
       .documentation = "whether the outcome is the list of all that the last stage yielded in the step",
       .type = ParameterType::kBoolean,
       .default_value = Value(false),
       .type_text = "boolean",
       .check = nullptr}};
  definition.sends = "what the first stage takes";
  definition.yields = "what the last stage yields";
  definition.returns = "what came out at the end";
  definition.stops_when = "a stage returns, or the caller closes it";
  definition.looks_up = true;
  definition.create = [&catalog](std::vector<Value> arguments, const CatalogView& view) {
    return Pipeline(Stages(arguments[1].AsBoolean()), std::move(arguments[0]), &catalog, view);
  };
  catalog.Add(std::move(definition));
}

}  // namespace corod::builtin
