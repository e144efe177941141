#ifndef COROD_SERVER_SESSION_DEFINITIONS_H_
#define COROD_SERVER_SESSION_DEFINITIONS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/executor.h"
#include "server/base/mutex.h"
#include "server/catalog/catalog.h"
#include "server/journal/journal.h"

namespace corod {

// Changes the catalog while the server runs, and keeps its history in the journal, so that every name means the same
// again after a restart. Thread-safe; what has to wait answers by callback, one change after the other.
class Definitions {
 public:
  // What a source is, or what is wrong with it.
  using Compile = std::function<std::variant<Definition, std::string>(
      std::string_view name, std::uint32_t version, std::string_view source, std::string_view documentation)>;

  // `catalog`: holds what the binary brings.
  Definitions(Catalog& catalog, Journal& journal, const Clock& clock, Executor& executor, Compile compile)
      : catalog_(catalog), journal_(journal), clock_(clock), executor_(executor), compile_(std::move(compile)) {}
  Definitions(const Definitions&) = delete;
  Definitions& operator=(const Definitions&) = delete;

  // Reads the history, and adds to it what the binary brings for the first time. Blocks. To be called once, before
  // anything is asked. A status if the history cannot be read or written, or if the binary brings a coroutine under a
  // name that was defined while it ran.
  absl::Status Open();

  // A definition of that name: the newest version if that has this very source, else a new version. INVALID_SOURCE,
  // INVALID_ARGUMENTS (the name), COROUTINE_BUILT_IN, TOO_MANY_DEFINITIONS, JOURNAL_UNAVAILABLE.
  struct Spec {
    std::string name_space{kDefaultNamespace};
    std::string name;
    std::string source;
    std::string documentation;  // empty: what the source says
    // How many versions the namespace may have with it, whatever their names.
    std::uint64_t most_versions = std::numeric_limits<std::uint64_t>::max();
  };
  using DefineDone = std::function<void(absl::StatusOr<const Definition*>)>;
  void Define(Spec spec, DefineDone done);

  // Takes the name out of the catalog; sessions that run it, or look it up, go on. COROUTINE_NOT_FOUND,
  // COROUTINE_BUILT_IN, JOURNAL_UNAVAILABLE.
  using RemoveDone = std::function<void(absl::Status)>;
  void Remove(const std::string& name_space, const std::string& name, RemoveDone done);

  // How many versions there may be, of all namespaces.
  static constexpr std::size_t kMaxVersions = 10'000;

 private:
  // Runs changes one after the other, each up to its call of Next.
  void Enqueue(std::function<void()> change);
  void Next();
  void DefineNow(const Spec& spec, const DefineDone& done);
  // TOO_MANY_DEFINITIONS.
  absl::Status CheckRoom(const Spec& spec) const;
  void CountVersion(std::string_view name_space);
  // `name`: qualified.
  void RemoveNow(const std::string& name, const RemoveDone& done);
  // Puts the event behind the history, then calls `done` on a thread that may wait: OK, it is there; a conflict, others
  // came before it, and are known now.
  void Append(CatalogEvent event, std::function<void(absl::Status)> done);
  // Reads what the history has behind what is known.
  absl::Status CatchUp();
  absl::Status Apply(const CatalogEvent& event);

  Catalog& catalog_;
  Journal& journal_;
  const Clock& clock_;
  Executor& executor_;
  const Compile compile_;
  // Of whoever makes a change.
  CatalogRevision revision_ = 0;  // of the last event that is known
  bool doubtful_ = false;         // there may be more
  std::size_t versions_ = 0;
  std::map<std::string, std::size_t, std::less<>> versions_of_;  // by namespace
  Mutex mutex_;
  std::deque<std::function<void()>> changes_ ABSL_GUARDED_BY(mutex_);
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_DEFINITIONS_H_
