#ifndef COROD_SERVER_PLUGIN_PLUGIN_H_
#define COROD_SERVER_PLUGIN_PLUGIN_H_

// All that a plugin includes: coroutines of one's own, in a library that `corod --plugin` loads when it starts.
// docs/authors.md shows how one is written, built and tested.

#include "server/catalog/catalog.h"         // IWYU pragma: export
#include "server/catalog/registration.h"    // IWYU pragma: export
#include "server/coroutine/cleanup.h"       // IWYU pragma: export
#include "server/coroutine/coroutine.h"     // IWYU pragma: export
#include "server/coroutine/errors.h"        // IWYU pragma: export
#include "server/coroutine/kept.h"          // IWYU pragma: export
#include "server/coroutine/map.h"           // IWYU pragma: export
#include "server/coroutine/step_context.h"  // IWYU pragma: export
#include "server/coroutine/text_form.h"     // IWYU pragma: export
#include "server/coroutine/utf8.h"          // IWYU pragma: export
#include "server/coroutine/value.h"         // IWYU pragma: export
#include "server/plugin/stamp.h"

// Registers coroutines. Stands in a source outside of functions, once or more in each of a library's sources:
//
//     COROD_COROUTINES(catalog) {
//       catalog.Add(corod::Native("word_count", 1, &WordCount)
//                       .Takes("words", "...")
//                       .StopsWhen("the caller closes it"));
//     }
//
// `catalog` is a corod::Catalog&. What is wrong with a definition ends the server's start, with a line that says what.
#define COROD_COROUTINES(catalog) COROD_COROUTINES_NUMBERED(catalog, __COUNTER__)
#define COROD_COROUTINES_NUMBERED(catalog, number) COROD_COROUTINES_NAMED(catalog, number)
#define COROD_COROUTINES_NAMED(catalog, number)                                                               \
  static void CorodAddCoroutines##number(::corod::Catalog& catalog);                                          \
  static const ::corod::internal::PluginRegistration corod_registration##number(&CorodAddCoroutines##number); \
  static void CorodAddCoroutines##number(::corod::Catalog& catalog)

namespace corod {
namespace internal {

// A COROD_COROUTINES of this library. Hidden, so that each library has a list of its own.
class [[gnu::visibility("hidden")]] PluginRegistration {
 public:
  explicit PluginRegistration(void (*add)(Catalog&)) : add_(add) {
    *end_ = this;
    end_ = &next_;
  }
  PluginRegistration(const PluginRegistration&) = delete;
  PluginRegistration& operator=(const PluginRegistration&) = delete;

  static void AddAll(Catalog& catalog) {
    for (const PluginRegistration* registration = first_; registration; registration = registration->next_) {
      registration->add_(catalog);
    }
  }

 private:
  static inline PluginRegistration* first_ = nullptr;
  static inline PluginRegistration** end_ = &first_;

  void (*add_)(Catalog&);
  PluginRegistration* next_ = nullptr;
};

// In each source, so that all are looked at. AddressSanitizer would put bytes of its own between them.
[[gnu::section(".note.corod"), gnu::used, clang::no_sanitize("address")]] static constexpr StampNote kStampNote;

}  // namespace internal

// Adds what COROD_COROUTINES registers in the sources that this program is made of: for a plugin's own tests.
inline void AddPluginCoroutines(Catalog& catalog) { internal::PluginRegistration::AddAll(catalog); }

}  // namespace corod

// What the server calls.
extern "C" [[gnu::visibility("default"), gnu::used]] inline void corod_add_coroutines(corod::Catalog& catalog) {
  corod::AddPluginCoroutines(catalog);
}

#endif  // COROD_SERVER_PLUGIN_PLUGIN_H_
