#include "server/catalog/definition.h"

#include <algorithm>

#include "server/coroutine/step_context.h"
#include "server/coroutine/text_form.h"
#include "server/coroutine/utf8.h"

namespace corod {
namespace {

constexpr std::size_t kShownBytes = 60;

bool Takes(ParameterType type, Value::Kind kind) {
  switch (type) {
    case ParameterType::kBoolean:
      return kind == Value::Kind::kBoolean;
    case ParameterType::kInteger:
      return kind == Value::Kind::kInteger;
    case ParameterType::kNumber:
      return kind == Value::Kind::kNumber || kind == Value::Kind::kInteger;
    case ParameterType::kText:
      return kind == Value::Kind::kText;
    case ParameterType::kValue:
      return true;
  }
  return false;
}

// "an integer, at least 1"
std::string WantedBy(const Parameter& parameter) {
  std::string text = parameter.type_text.empty() ? std::string(TypeTextOf(parameter.type)) : parameter.type_text;
  if (text.starts_with("any ")) return text;
  const bool vowel = std::string_view("aeiou").find(text[0]) != std::string_view::npos;
  return (vowel ? "an " : "a ") + text;
}

// repr(), cut to what an error message can hold.
std::string Shown(const Value& value) {
  std::string text = Repr(value);
  if (text.size() <= kShownBytes) return text;
  text.resize(kShownBytes);
  text.resize(CompleteUtf8Prefix(text));
  return text + "...";
}

// "'size'", "'delimiter' and 'header'", "'a', 'b' and 'c'", "no arguments"
std::string NamesOf(const std::vector<Parameter>& parameters) {
  if (parameters.empty()) return "no arguments";
  std::string names;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (i > 0) names += i + 1 == parameters.size() ? " and " : ", ";
    names += "'" + parameters[i].name + "'";
  }
  return names;
}

}  // namespace

std::string_view TypeTextOf(ParameterType type) {
  switch (type) {
    case ParameterType::kBoolean:
      return "boolean";
    case ParameterType::kInteger:
      return "integer";
    case ParameterType::kNumber:
      return "number";
    case ParameterType::kText:
      return "text";
    case ParameterType::kValue:
      return "any value";
  }
  return "any value";
}

std::variant<Value, ArgumentError> Parameter::Accept(const Value& argument, const CatalogView& view) const {
  if (!Takes(type, argument.kind())) {
    return ArgumentError{name, "argument '" + name + "' must be " + WantedBy(*this) + "; got " + Shown(argument) +
                                   " (" + std::string(argument.TypeName()) + ")"};
  }
  Value accepted = type == ParameterType::kNumber ? Value(argument.AsNumber()) : argument;
  if (check || check_names) {
    const std::string wrong = check ? check(accepted) : check_names(accepted, view);
    if (!wrong.empty()) return ArgumentError{name, "argument '" + name + "' " + wrong + "; got " + Shown(argument)};
  }
  return accepted;
}

std::variant<std::vector<Value>, ArgumentError> Definition::BindArguments(const Map& arguments,
                                                                          const CatalogView& view) const {
  for (const Map::Entry& argument : arguments) {
    const auto takes_it = [&](const Parameter& parameter) { return parameter.name == argument.key; };
    if (std::none_of(parameters.begin(), parameters.end(), takes_it)) {
      return ArgumentError{argument.key, "there is no argument " + Shown(Value(argument.key)) + ": '" + name +
                                             "' takes " + NamesOf(parameters)};
    }
  }
  std::vector<Value> bound;
  bound.reserve(parameters.size());
  for (const Parameter& parameter : parameters) {
    const Value* argument = arguments.Find(parameter.name);
    if (!argument && !parameter.default_value) {
      return ArgumentError{parameter.name,
                           "argument '" + parameter.name + "' is missing; it must be " + WantedBy(parameter)};
    }
    std::variant<Value, ArgumentError> accepted =
        parameter.Accept(argument ? *argument : *parameter.default_value, view);
    if (auto* error = std::get_if<ArgumentError>(&accepted)) return std::move(*error);
    bound.push_back(std::get<Value>(std::move(accepted)));
  }
  return bound;
}

Coroutine Definition::Make(const Map& arguments, const CatalogView& view) const {
  std::variant<std::vector<Value>, ArgumentError> bound = BindArguments(arguments, view);
  if (const auto* error = std::get_if<ArgumentError>(&bound)) throw py::ValueError(error->message);
  return create(std::get<std::vector<Value>>(std::move(bound)), view);
}

std::variant<Coroutine, Exception> Definition::Restart(std::vector<Value> arguments, const Value& kept,
                                                       const CatalogView& view) const {
  const std::string what = name + " version " + std::to_string(version);
  if (!restart) return Exception("RuntimeError", {what + " is not restartable"});
  const StepScope no_step;
  try {
    Coroutine coroutine = restart(std::move(arguments), kept, view);
    const Outcome first = coroutine.Next();
    if (first.kind == Outcome::Kind::kYielded) return coroutine;
    if (first.kind == Outcome::Kind::kRaised) return first.exception();
  } catch (...) {
    return *CurrentException();
  }
  return Exception("RuntimeError", {what + " returned before its first yield when it was restarted"});
}

}  // namespace corod
