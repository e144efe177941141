#include "server/catalog/namespaces.h"

namespace corod {
namespace {

bool IsPrefixed(std::string_view qualified) { return !qualified.empty() && qualified.front() == '/'; }

// Of the '/' behind the namespace.
std::size_t EndOfNamespace(std::string_view qualified) { return qualified.find('/', 1); }

}  // namespace

std::string Qualified(std::string_view name_space, std::string_view name) {
  if (name_space == kDefaultNamespace && !IsPrefixed(name)) return std::string(name);
  std::string qualified;
  qualified.reserve(name_space.size() + name.size() + 2);
  qualified += '/';
  qualified += name_space;
  qualified += '/';
  qualified += name;
  return qualified;
}

std::string_view NamespaceOf(std::string_view qualified) {
  if (!IsPrefixed(qualified)) return kDefaultNamespace;
  const std::size_t end = EndOfNamespace(qualified);
  return end == std::string_view::npos ? kDefaultNamespace : qualified.substr(1, end - 1);
}

std::string_view LocalName(std::string_view qualified) {
  if (!IsPrefixed(qualified)) return qualified;
  const std::size_t end = EndOfNamespace(qualified);
  return end == std::string_view::npos ? qualified : qualified.substr(end + 1);
}

std::string BeforeNamesOf(std::string_view name_space) {
  // Names of the default namespace begin with a letter or digit, which come behind '/'.
  return name_space == kDefaultNamespace ? std::string("/~") : Qualified(name_space, "");
}

}  // namespace corod
