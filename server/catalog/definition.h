#ifndef COROD_SERVER_CATALOG_DEFINITION_H_
#define COROD_SERVER_CATALOG_DEFINITION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "server/coroutine/coroutine.h"
#include "server/coroutine/map.h"
#include "server/coroutine/value.h"

namespace corod {

// A revision of the catalog: how many changes it has had.
using CatalogRevision = std::uint64_t;
inline constexpr CatalogRevision kNewestRevision = ~CatalogRevision{0};

// How whoever looks up names sees the catalog: as of a revision, and from a namespace. Cheap to copy.
struct CatalogView {
  // A revision alone is a view from `default`.
  CatalogView(CatalogRevision as_of = kNewestRevision,  // NOLINT(google-explicit-constructor)
              const std::string* from = nullptr)
      : revision(as_of), name_space(from) {}

  CatalogRevision revision;
  const std::string* name_space;  // one of Catalog::Intern; null: `default`
};

// What an argument of a parameter may be.
enum class ParameterType : std::uint8_t { kBoolean, kInteger, kNumber, kText, kValue };

// "integer", "any value": how a Parameter's type_text begins.
std::string_view TypeTextOf(ParameterType type);

// What Create's arguments are refused for.
struct ArgumentError {
  std::string parameter;
  std::string message;  // names the parameter and says what would do
};

// A parameter of a definition.
struct Parameter {
  std::string name;
  std::string documentation;
  ParameterType type = ParameterType::kValue;
  // Unset: Create must give it.
  std::optional<Value> default_value;
  // The type and what more is asked of it, in words a person reads: "integer, at least 1".
  std::string type_text;
  // What is wrong with an argument of the right type, as in "must be at least 1"; empty: nothing is.
  std::function<std::string(const Value&)> check;
  // The same of one that names others of the catalog.
  std::function<std::string(const Value&, const CatalogView&)> check_names = nullptr;

  // `argument` as the body gets it (an integer becomes a number where a number is asked for), or what is wrong with it.
  std::variant<Value, ArgumentError> Accept(const Value& argument, const CatalogView& view = {}) const;
};

// What a definition is written in.
enum class Language : std::uint8_t { kNative, kLua };

// How a command line should read what is sent.
enum class SendsKind : std::uint8_t { kText, kBytes, kNumber, kJson };

// One version of a coroutine that can be created. Immutable once it is in the catalog; safe from many threads.
struct Definition {
  std::string name;
  std::string name_space;  // where it was defined at run time; empty: `default`, or what comes with the server
  std::uint32_t version = 1;
  std::string summary;        // one line
  std::string documentation;  // Markdown
  std::vector<Parameter> parameters;
  std::string sends;  // types, in words a person reads
  std::string yields;
  std::string returns;
  std::string stops_when;  // how the caller ends it; never empty
  SendsKind sends_kind = SendsKind::kJson;
  bool restartable = false;  // whether there is `restart`
  // No step waits for anything or runs without bound, so that it may run on a thread that must not be kept busy.
  bool never_blocks = false;
  Language language = Language::kNative;
  std::string source;     // of what was defined at run time
  bool looks_up = false;  // it finds others by their names, as of a revision of the catalog
  // Set, and true for a while: there is no memory for more of its steps or coroutines. Outlives it.
  const std::atomic<bool>* memory_is_full = nullptr;
  // Makes a coroutine, which has not run yet. REQUIRES: one argument for each parameter, in order, as BindArguments
  // gives them.
  std::function<Coroutine(std::vector<Value> arguments, const CatalogView& view)> create;
  // As `create`, of one that has been saved: `kept` is what Coroutine::Save gave. Raises what the state's Load raises.
  // Empty: the body is not restartable.
  std::function<Coroutine(std::vector<Value> arguments, const Value& kept, const CatalogView& view)> restart;

  // `arguments` (a map of names to values) as one value per parameter, in order, defaults filled in; or what is wrong
  // with them. An integer is accepted where a number is asked for, a boolean is neither.
  std::variant<std::vector<Value>, ArgumentError> BindArguments(const Map& arguments,
                                                                const CatalogView& view = {}) const;

  bool HasNoMemory() const { return memory_is_full && memory_is_full->load(std::memory_order_relaxed); }

  // A coroutine with these arguments, which has not run yet. Raises ValueError if they will not do.
  Coroutine Make(const Map& arguments, const CatalogView& view = {}) const;

  // Restarts a coroutine: makes it of `kept` (Coroutine::Save) and resumes it to its first yield, whose value is thrown
  // away. It then goes on where the saved one was. Or why that failed: what Load raised, what the body raised, or a
  // RuntimeError if it returned, or is not restartable. REQUIRES: as `create`; the arguments are those of the saved
  // one.
  std::variant<Coroutine, Exception> Restart(std::vector<Value> arguments, const Value& kept,
                                             const CatalogView& view = {}) const;
};

}  // namespace corod

#endif  // COROD_SERVER_CATALOG_DEFINITION_H_
