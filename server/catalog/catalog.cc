#include "server/catalog/catalog.h"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <variant>

namespace corod {
namespace {

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

constexpr std::size_t kMaxNameBytes = 128;

[[noreturn]] void Refuse(const Definition& definition, const std::string& why) {
  throw std::invalid_argument("coroutine '" + definition.name + "': " + why);
}

void CheckParameters(const Definition& definition) {
  const std::vector<Parameter>& parameters = definition.parameters;
  for (auto it = parameters.begin(); it != parameters.end(); ++it) {
    if (!Catalog::IsName(it->name)) Refuse(definition, "'" + it->name + "' is no name for a parameter");
    const auto shares_name = [&](const Parameter& other) { return other.name == it->name; };
    if (std::any_of(parameters.begin(), it, shares_name)) Refuse(definition, "two parameters are '" + it->name + "'");
    if (!it->default_value) continue;
    const std::variant<Value, ArgumentError> accepted = it->Accept(*it->default_value);
    if (const auto* error = std::get_if<ArgumentError>(&accepted)) Refuse(definition, "its default: " + error->message);
  }
}

}  // namespace

bool Catalog::IsName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && IsLetter(name[0]) &&
         std::all_of(name.begin(), name.end(), [](char c) { return IsLetter(c) || IsDigit(c) || c == '_'; });
}

void Catalog::Check(const Definition& definition) {
  if (!IsName(definition.name)) Refuse(definition, "no name: letters, digits and '_', first a letter");
  if (definition.version == 0) Refuse(definition, "version 0 stands for the newest");
  if (definition.stops_when.empty()) Refuse(definition, "stops_when must say how the caller ends it");
  if (!definition.create) Refuse(definition, "nothing makes it");
  if (definition.restartable != static_cast<bool>(definition.restart)) {
    Refuse(definition, "restartable must say whether there is `restart`");
  }
  CheckParameters(definition);
}

void Catalog::Add(Definition definition, CatalogRevision revision) {
  Check(definition);
  const std::unique_lock lock(mutex_);
  const std::string& name_space = definition.name_space;
  Name& name = names_[name_space.empty() ? definition.name : Qualified(name_space, definition.name)];
  const std::uint32_t version = definition.version;
  if (name.versions.contains(version)) Refuse(definition, "version " + std::to_string(version) + " is there already");
  name.versions.emplace(version, std::make_unique<Definition>(std::move(definition)));
  Insert(name, {revision, version});
}

void Catalog::Insert(Name& name, Change change) {
  name.changes.insert(std::upper_bound(name.changes.begin(), name.changes.end(), change), change);
  revision_ = std::max(revision_, change.revision);
}

void Catalog::Remove(std::string_view name, CatalogRevision revision) {
  const std::unique_lock lock(mutex_);
  Insert(names_[std::string(name)], {revision, 0});
}

void Catalog::Date(std::string_view name, std::uint32_t version, CatalogRevision revision) {
  const std::unique_lock lock(mutex_);
  Name& dated = names_[std::string(name)];
  std::erase_if(dated.changes, [version](const Change& change) { return change.version == version; });
  Insert(dated, {revision, version});
}

const Definition* Catalog::NewestOf(const Name& name, CatalogRevision revision) {
  const auto behind = std::upper_bound(name.changes.begin(), name.changes.end(), revision,
                                       [](CatalogRevision at, const Change& change) { return at < change.revision; });
  if (behind == name.changes.begin()) return nullptr;
  const auto found = name.versions.find(std::prev(behind)->version);
  return found == name.versions.end() ? nullptr : found->second.get();
}

const Catalog::Name* Catalog::Look(std::string_view name, std::string_view name_space) const {
  if (name_space != kDefaultNamespace) {
    if (const auto own = names_.find(Qualified(name_space, name)); own != names_.end()) return &own->second;
  }
  const auto found = names_.find(name);
  if (found == names_.end()) return nullptr;
  return name_space == kDefaultNamespace || IsNative(found->second) ? &found->second : nullptr;
}

const std::string* Catalog::Intern(std::string_view name_space) const {
  if (name_space == kDefaultNamespace) return nullptr;
  {
    const std::shared_lock lock(mutex_);
    if (const auto found = namespaces_.find(name_space); found != namespaces_.end()) return &*found;
  }
  const std::unique_lock lock(mutex_);
  return &*namespaces_.emplace(name_space).first;
}

const Definition* Catalog::Newest(std::string_view name, const CatalogView& view) const {
  const std::shared_lock lock(mutex_);
  const Name* found = Look(name, view.name_space ? std::string_view(*view.name_space) : kDefaultNamespace);
  return found ? NewestOf(*found, view.revision) : nullptr;
}

const Definition* Catalog::Find(std::string_view name, std::uint32_t version, std::string_view name_space) const {
  const std::shared_lock lock(mutex_);
  const Name* found = Look(name, name_space);
  if (!found) return nullptr;
  if (version == 0) return NewestOf(*found, kNewestRevision);
  const auto it = found->versions.find(version);
  return it == found->versions.end() ? nullptr : it->second.get();
}

std::uint32_t Catalog::LastVersion(std::string_view name) const {
  const std::shared_lock lock(mutex_);
  const auto found = names_.find(name);
  std::uint32_t last = 0;
  if (found == names_.end()) return last;
  for (const Change& change : found->second.changes) last = std::max(last, change.version);
  return last;
}

bool Catalog::IsNative(const Name& name) {
  return std::any_of(name.versions.begin(), name.versions.end(),
                     [](const auto& version) { return version.second->language == Language::kNative; });
}

bool Catalog::IsNative(std::string_view name) const {
  const std::shared_lock lock(mutex_);
  const auto found = names_.find(name);
  return found != names_.end() && IsNative(found->second);
}

std::vector<const Definition*> Catalog::Undated() const {
  const std::shared_lock lock(mutex_);
  std::vector<const Definition*> undated;
  for (const auto& [unused, name] : names_) {
    for (const Change& change : name.changes) {
      if (change.revision == 0) undated.push_back(name.versions.at(change.version).get());
    }
  }
  return undated;
}

std::vector<const Definition*> Catalog::ListAfter(std::string_view name, std::size_t limit,
                                                  std::string_view name_space) const {
  const std::shared_lock lock(mutex_);
  const bool is_default = name_space == kDefaultNamespace;
  // Two lists in order: what the namespace has defined, and what is there for all.
  const std::string prefix = BeforeNamesOf(name_space);
  auto own = is_default ? names_.end() : names_.upper_bound(prefix + std::string(name));
  auto shared = names_.upper_bound(std::max(BeforeNamesOf(kDefaultNamespace), std::string(name)));
  const auto is_own = [&] { return own != names_.end() && own->first.starts_with(prefix); };
  const auto skip = [&] {
    while (!is_default && shared != names_.end() && !IsNative(shared->second)) ++shared;
  };
  std::vector<const Definition*> listed;
  for (skip(); listed.size() < limit && (is_own() || shared != names_.end()); skip()) {
    const bool takes_own = is_own() && (shared == names_.end() || LocalName(own->first) <= shared->first);
    if (takes_own && shared != names_.end() && LocalName(own->first) == shared->first) ++shared;  // it is hidden
    auto& next = takes_own ? own : shared;
    if (const Definition* newest = NewestOf(next->second, kNewestRevision)) listed.push_back(newest);
    ++next;
  }
  return listed;
}

CatalogRevision Catalog::revision() const {
  const std::shared_lock lock(mutex_);
  return revision_;
}

std::vector<const Definition*> Catalog::All() const {
  const std::shared_lock lock(mutex_);
  std::vector<const Definition*> all;
  for (const auto& [unused, name] : names_) {
    for (const auto& [version, definition] : name.versions) all.push_back(definition.get());
  }
  return all;
}

}  // namespace corod
