#include "server/catalog/catalog.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>
#include <variant>

namespace corod {
namespace {

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsName(std::string_view name) {
  return !name.empty() && IsLetter(name[0]) &&
         std::all_of(name.begin(), name.end(), [](char c) { return IsLetter(c) || IsDigit(c) || c == '_'; });
}

[[noreturn]] void Refuse(const Definition& definition, const std::string& why) {
  throw std::invalid_argument("coroutine '" + definition.name + "': " + why);
}

void CheckParameters(const Definition& definition) {
  const std::vector<Parameter>& parameters = definition.parameters;
  for (auto it = parameters.begin(); it != parameters.end(); ++it) {
    if (!IsName(it->name)) Refuse(definition, "'" + it->name + "' is no name for a parameter");
    const auto shares_name = [&](const Parameter& other) { return other.name == it->name; };
    if (std::any_of(parameters.begin(), it, shares_name)) Refuse(definition, "two parameters are '" + it->name + "'");
    if (!it->default_value) continue;
    const std::variant<Value, ArgumentError> accepted = it->Accept(*it->default_value);
    if (const auto* error = std::get_if<ArgumentError>(&accepted)) Refuse(definition, "its default: " + error->message);
  }
}

}  // namespace

void Catalog::Add(Definition definition) {
  if (!IsName(definition.name)) Refuse(definition, "no name: letters, digits and '_', first a letter");
  if (definition.version == 0) Refuse(definition, "version 0 stands for the newest");
  if (definition.stops_when.empty()) Refuse(definition, "stops_when must say how the caller ends it");
  if (!definition.create) Refuse(definition, "nothing makes it");
  if (definition.restartable != static_cast<bool>(definition.restart)) {
    Refuse(definition, "restartable must say whether there is `restart`");
  }
  CheckParameters(definition);
  Versions& versions = definitions_[definition.name];
  if (versions.contains(definition.version)) {
    Refuse(definition, "version " + std::to_string(definition.version) + " is there already");
  }
  const std::uint32_t version = definition.version;
  versions.emplace(version, std::make_unique<Definition>(std::move(definition)));
}

const Definition* Catalog::Find(std::string_view name, std::uint32_t version) const {
  const auto found = definitions_.find(name);
  if (found == definitions_.end()) return nullptr;
  const Versions& versions = found->second;
  const auto it = version == 0 ? std::prev(versions.end()) : versions.find(version);
  return it == versions.end() ? nullptr : it->second.get();
}

std::vector<const Definition*> Catalog::ListAfter(std::string_view name, std::size_t limit) const {
  std::vector<const Definition*> listed;
  for (auto it = definitions_.upper_bound(name); it != definitions_.end() && listed.size() < limit; ++it) {
    listed.push_back(it->second.rbegin()->second.get());
  }
  return listed;
}

std::vector<const Definition*> Catalog::All() const {
  std::vector<const Definition*> all;
  for (const auto& [name, versions] : definitions_) {
    for (const auto& [version, definition] : versions) all.push_back(definition.get());
  }
  return all;
}

}  // namespace corod
