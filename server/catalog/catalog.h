#ifndef COROD_SERVER_CATALOG_CATALOG_H_
#define COROD_SERVER_CATALOG_CATALOG_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "server/catalog/definition.h"
#include "server/catalog/namespaces.h"

namespace corod {

// What can be created, by name and version. What is defined at run time is there for its own namespace alone; what
// comes with the server is there for all. It has a history: a coroutine that looks up others by their names sees the
// catalog as it was at one revision, so that it finds the same ones whenever its log is run again. Thread-safe.
class Catalog {
 public:
  Catalog() = default;
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  // Adds a definition (registration.h makes one of a function), which is there from `revision` on. Throws
  // std::invalid_argument, which names the coroutine, and adds nothing if
  //   - that version is there already, or the version is 0, or `create` or `stops_when` is empty;
  //   - `restartable` and whether there is `restart` differ;
  //   - its name or a parameter's is not one (letters, digits and `_`, first a letter), or two parameters share one;
  //   - a default is not what its own parameter accepts.
  void Add(Definition definition, CatalogRevision revision = 0);
  // What Add would throw, of the definition by itself.
  static void Check(const Definition& definition);
  static bool IsName(std::string_view name);
  // Takes the name (qualified: namespaces.h) out of the catalog from `revision` on. Its versions stay, for those that
  // run.
  void Remove(std::string_view name, CatalogRevision revision);
  // Says that the version came at `revision`. If it is not there, neither is anything older from then on.
  void Date(std::string_view name, std::uint32_t version, CatalogRevision revision);

  // The namespace for views of it, for as long as the catalog lives; null for `default`.
  const std::string* Intern(std::string_view name_space) const;

  // The newest version that is seen there, or nullptr: there is none, or the name has been taken out. Valid for as long
  // as the catalog. What a namespace has defined itself comes before what is there for all.
  const Definition* Newest(std::string_view name, const CatalogView& view = {}) const;
  // That version, also of a name that has been taken out; 0: the newest now. Or nullptr.
  const Definition* Find(std::string_view name, std::uint32_t version = 0,
                         std::string_view name_space = kDefaultNamespace) const;
  // The highest version that ever was under that name (qualified); 0: none.
  std::uint32_t LastVersion(std::string_view name) const;

  // Whether there is a version of it that no source defines; it is there for all namespaces.
  bool IsNative(std::string_view name) const;
  // Those whose revision is 0, by name and version.
  std::vector<const Definition*> Undated() const;

  // The newest version of each that is seen from the namespace, in the order of names, beginning after `name` (empty:
  // from the first), `limit` at most.
  std::vector<const Definition*> ListAfter(std::string_view name, std::size_t limit,
                                           std::string_view name_space = kDefaultNamespace) const;

  // Every version of each, in the order of names and versions.
  std::vector<const Definition*> All() const;

  // Of the last change.
  CatalogRevision revision() const;

 private:
  // From this revision on `version` is the newest; 0: the name is not there.
  struct Change {
    CatalogRevision revision;
    std::uint32_t version;
    friend auto operator<=>(const Change&, const Change&) = default;
  };
  struct Name {
    std::map<std::uint32_t, std::unique_ptr<Definition>> versions;
    std::vector<Change> changes;  // in order
  };

  using Names = std::map<std::string, Name, std::less<>>;

  static const Definition* NewestOf(const Name& name, CatalogRevision revision);
  static bool IsNative(const Name& name);
  // What stands for the name in that namespace: its own, or what is there for all. Null: nothing. For whoever has the
  // lock.
  const Name* Look(std::string_view name, std::string_view name_space) const;
  void Insert(Name& name, Change change);

  mutable std::shared_mutex mutex_;
  Names names_;  // by qualified name
  mutable std::set<std::string, std::less<>> namespaces_;
  CatalogRevision revision_ = 0;
};

// Adds the coroutines that corod comes with (server/catalog/builtin/).
void AddBuiltinCoroutines(Catalog& catalog);

}  // namespace corod

#endif  // COROD_SERVER_CATALOG_CATALOG_H_
