#include "server/catalog/registration.h"

#include <optional>
#include <stdexcept>

namespace corod {
namespace {

// Asks more of a parameter: all that was asked before, and this.
void Require(Parameter& parameter, const std::string& what, std::function<bool(const Value&)> holds) {
  parameter.type_text += ", " + what;
  parameter.check = [before = std::move(parameter.check), wrong = "must be " + what,
                     holds = std::move(holds)](const Value& value) {
    if (before) {
      std::string first = before(value);
      if (!first.empty()) return first;
    }
    return holds(value) ? std::string() : wrong;
  };
}

// Of a number or an integer. NaN lies in no range.
void RequireRange(Parameter& parameter, const std::string& what, std::optional<std::int64_t> lowest,
                  std::optional<std::int64_t> highest) {
  const auto lies_within = [lowest, highest](auto value) {
    using T = decltype(value);
    return (!lowest || value >= static_cast<T>(*lowest)) && (!highest || value <= static_cast<T>(*highest));
  };
  if (parameter.type == ParameterType::kInteger) {
    Require(parameter, what, [lies_within](const Value& value) { return lies_within(value.AsInteger()); });
  } else if (parameter.type == ParameterType::kNumber) {
    Require(parameter, what, [lies_within](const Value& value) { return lies_within(value.AsNumber()); });
  } else {
    throw std::invalid_argument("parameter '" + parameter.name + "' is no number to be " + what);
  }
}

}  // namespace

ParameterRule Optional(Value default_value) {
  return [default_value = std::move(default_value)](Parameter& parameter) { parameter.default_value = default_value; };
}

ParameterRule AtLeast(std::int64_t lowest) {
  return [lowest](Parameter& parameter) {
    RequireRange(parameter, "at least " + std::to_string(lowest), lowest, std::nullopt);
  };
}

ParameterRule AtMost(std::int64_t highest) {
  return [highest](Parameter& parameter) {
    RequireRange(parameter, "at most " + std::to_string(highest), std::nullopt, highest);
  };
}

ParameterRule Between(std::int64_t lowest, std::int64_t highest) {
  return [lowest, highest](Parameter& parameter) {
    RequireRange(parameter, "from " + std::to_string(lowest) + " to " + std::to_string(highest), lowest, highest);
  };
}

ParameterRule MustBe(std::string what, std::function<bool(const Value&)> holds) {
  return [what = std::move(what), holds = std::move(holds)](Parameter& parameter) { Require(parameter, what, holds); };
}

NativeDefinition::NativeDefinition(std::string name, std::uint32_t version, std::vector<ParameterType> types,
                                   Create create, Restart restart)
    : types_(std::move(types)) {
  definition_.name = std::move(name);
  definition_.version = version;
  definition_.create = std::move(create);
  definition_.restartable = static_cast<bool>(restart);
  definition_.restart = std::move(restart);
}

NativeDefinition& NativeDefinition::Takes(std::string name, std::string documentation,
                                          std::initializer_list<ParameterRule> rules) {
  Parameter parameter;
  parameter.name = std::move(name);
  parameter.documentation = std::move(documentation);
  const std::size_t position = definition_.parameters.size();
  if (position < types_.size()) parameter.type = types_[position];
  parameter.type_text = TypeTextOf(parameter.type);
  for (const ParameterRule& rule : rules) rule(parameter);
  definition_.parameters.push_back(std::move(parameter));
  return *this;
}

NativeDefinition& NativeDefinition::Summary(std::string line) {
  definition_.summary = std::move(line);
  return *this;
}

NativeDefinition& NativeDefinition::Sends(std::string what, SendsKind kind) {
  definition_.sends = std::move(what);
  definition_.sends_kind = kind;
  return *this;
}

NativeDefinition& NativeDefinition::Yields(std::string what) {
  definition_.yields = std::move(what);
  return *this;
}

NativeDefinition& NativeDefinition::Returns(std::string what) {
  definition_.returns = std::move(what);
  return *this;
}

NativeDefinition& NativeDefinition::StopsWhen(std::string what) {
  definition_.stops_when = std::move(what);
  return *this;
}

NativeDefinition& NativeDefinition::NeverBlocks() {
  definition_.never_blocks = true;
  return *this;
}

NativeDefinition& NativeDefinition::Document(std::string markdown) {
  if (markdown.starts_with('\n')) markdown.erase(0, 1);
  definition_.documentation = std::move(markdown);
  return *this;
}

NativeDefinition::operator Definition() const {
  if (definition_.parameters.size() != types_.size()) {
    throw std::invalid_argument("coroutine '" + definition_.name + "': its body has " + std::to_string(types_.size()) +
                                " parameter(s), Takes() describes " + std::to_string(definition_.parameters.size()));
  }
  return definition_;
}

}  // namespace corod
