#ifndef COROD_SERVER_PLUGIN_STAMP_H_
#define COROD_SERVER_PLUGIN_STAMP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "corod/build.h"
#include "server/catalog/catalog.h"
#include "server/catalog/definition.h"
#include "server/catalog/registration.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/iterator.h"
#include "server/coroutine/map.h"
#include "server/coroutine/outcome.h"
#include "server/coroutine/step_context.h"
#include "server/coroutine/value.h"

// What a plugin and the server that loads it must have in common, since they share objects: the text is in every
// plugin, in an ELF note, and is compared with the server's before any of the plugin's code runs.

#if !defined(__clang__)
#error "corod's coroutines are compiled with clang: GCC 12 destroys the temporaries of co_yield expressions twice"
#elif __cplusplus < 202002L
#error "corod's coroutines are C++20: compile with -std=c++20"
#elif !defined(__cpp_exceptions)
#error "corod's coroutines throw and catch exceptions: compile without -fno-exceptions"
#elif defined(__FAST_MATH__)
#error "corod's coroutines compute the same on every machine: compile without -ffast-math"
#endif

#define COROD_TEXT_OF(macro) COROD_TEXT_OF_EXPANDED(macro)
#define COROD_TEXT_OF_EXPANDED(text) #text

#if defined(_LIBCPP_VERSION)
#define COROD_STANDARD_LIBRARY "libc++ " COROD_TEXT_OF(_LIBCPP_VERSION)
#elif !_GLIBCXX_USE_CXX11_ABI
#define COROD_STANDARD_LIBRARY "libstdc++ " COROD_TEXT_OF(_GLIBCXX_RELEASE) " with old strings"
#elif defined(_GLIBCXX_DEBUG)
#define COROD_STANDARD_LIBRARY "libstdc++ " COROD_TEXT_OF(_GLIBCXX_RELEASE) " for debugging"
#else
#define COROD_STANDARD_LIBRARY "libstdc++ " COROD_TEXT_OF(_GLIBCXX_RELEASE)
#endif

// Lines of a key and what it is; all but the last must be the server's.
#define COROD_STAMP \
  "sdk " COROD_TEXT_OF(COROD_SDK_VERSION) "\n"               \
  "headers " COROD_SDK_HEADERS "\n"                          \
  "compiler clang " COROD_TEXT_OF(__clang_major__) "\n"      \
  "library " COROD_STANDARD_LIBRARY "\n"                     \
  "layout ????????\n"                                        \
  "corod " COROD_SDK_RELEASE "\n"

namespace corod::internal {

// A hash of how the objects lie that go to and fro.
consteval std::uint32_t LayoutHash() {
  std::uint32_t hash = 0x811c9dc5;  // FNV-1a
  for (const std::size_t part :
       {sizeof(Value), alignof(Value), sizeof(Exception), sizeof(Map), sizeof(Outcome), sizeof(Coroutine),
        sizeof(Promise), alignof(Promise), sizeof(Delegation), sizeof(StepScope), sizeof(Iterator), sizeof(Parameter),
        sizeof(Definition), sizeof(NativeDefinition), sizeof(Catalog), sizeof(std::string), sizeof(List),
        sizeof(std::function<void()>)}) {
    hash = (hash ^ static_cast<std::uint32_t>(part)) * 0x01000193;
  }
  return hash;
}

// COROD_STAMP with the hash in place.
consteval std::array<char, sizeof(COROD_STAMP) - 1> StampText() {
  std::array<char, sizeof(COROD_STAMP) - 1> text{};
  std::uint32_t rest = LayoutHash();
  for (std::size_t i = text.size(); i-- > 0;) {
    text[i] = COROD_STAMP[i];
    if (text[i] != '?') continue;
    text[i] = "0123456789abcdef"[rest % 16];
    rest /= 16;
  }
  return text;
}

inline constexpr std::array kStampText = StampText();

// The note as it lies in the file; its form never changes.
struct StampNote {
  static constexpr std::uint32_t kType = 1;

  std::uint32_t name_size = 6;
  std::uint32_t text_size = kStampText.size();
  std::uint32_t type = kType;
  char name[8] = "corod";
  std::array<char, kStampText.size()> text = kStampText;
};
static_assert(offsetof(StampNote, text) == 20);

}  // namespace corod::internal

#endif  // COROD_SERVER_PLUGIN_STAMP_H_
