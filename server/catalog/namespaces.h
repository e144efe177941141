#ifndef COROD_SERVER_CATALOG_NAMESPACES_H_
#define COROD_SERVER_CATALOG_NAMESPACES_H_

#include <string>
#include <string_view>

// Namespaces keep what belongs to one user of a server from all others: sessions, and what is defined at run time. A
// name of a session or coroutine is qualified where it is kept: in the namespace `default` it is the name itself, in
// another one it is "/NAMESPACE/NAME". No name holds a '/', so none of one namespace is one of another, and in order
// all of one namespace lie together, before those of `default`.
namespace corod {

inline constexpr std::string_view kDefaultNamespace = "default";

// The name as it is kept. One that begins with a '/' is the name of nothing in any namespace.
std::string Qualified(std::string_view name_space, std::string_view name);

// The namespace of such a name. Refers to it, or to kDefaultNamespace.
std::string_view NamespaceOf(std::string_view qualified);

// As it is called in its namespace. Refers to `qualified`.
std::string_view LocalName(std::string_view qualified);

// Comes before every qualified name of the namespace, and behind all that do.
std::string BeforeNamesOf(std::string_view name_space);

}  // namespace corod

#endif  // COROD_SERVER_CATALOG_NAMESPACES_H_
