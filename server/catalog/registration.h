#ifndef COROD_SERVER_CATALOG_REGISTRATION_H_
#define COROD_SERVER_CATALOG_REGISTRATION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "server/catalog/definition.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/value.h"

namespace corod {

// What is asked of a parameter beyond its type. Given to NativeDefinition::Takes.
using ParameterRule = std::function<void(Parameter&)>;

// May be left out of Create's arguments; the body then gets `default_value`.
ParameterRule Optional(Value default_value);
// Of an integer or a number; the ends are included.
ParameterRule AtLeast(std::int64_t lowest);
ParameterRule AtMost(std::int64_t highest);
ParameterRule Between(std::int64_t lowest, std::int64_t highest);
// Anything else: `holds` says whether an argument will do, `what` in which words: MustBe("one character",
// &IsOneCharacter).
ParameterRule MustBe(std::string what, std::function<bool(const Value&)> holds);

// A Definition in the making: a C++ body, and what a caller must know to use it. One statement registers a coroutine:
//
//     catalog.Add(Native("sliding_window", 1, &SlidingWindow)
//                     .Takes("size", "how many values the window holds", Between(1, 1'000'000))
//                     .Summary("the last values that were sent")
//                     .Sends("any value")
//                     .Yields("list: the window, oldest first")
//                     .Returns("nothing")
//                     .StopsWhen("the caller closes it")
//                     .Document(kDocumentation));
//
// The types of the parameters are those of the body's signature. A changed body that answers differently is a new
// version beside the old one: sessions are pinned to the version that they were created with.
class NativeDefinition {
 public:
  using Create = std::function<Coroutine(std::vector<Value>)>;

  // Use Native() below. `types`: one for each parameter of the body.
  NativeDefinition(std::string name, std::uint32_t version, std::vector<ParameterType> types, Create create);

  // Describes the body's next parameter. Throws std::invalid_argument if a rule does not fit its type.
  NativeDefinition& Takes(std::string name, std::string documentation, std::initializer_list<ParameterRule> rules);
  template <typename... Rules>
  NativeDefinition& Takes(std::string name, std::string documentation, Rules... rules) {
    return Takes(std::move(name), std::move(documentation), std::initializer_list<ParameterRule>{std::move(rules)...});
  }

  NativeDefinition& Summary(std::string line);
  NativeDefinition& Sends(std::string what, SendsKind kind = SendsKind::kJson);
  NativeDefinition& Yields(std::string what);
  NativeDefinition& Returns(std::string what);
  NativeDefinition& StopsWhen(std::string what);
  // No step waits for anything (a lock, a file, another session) or runs without bound. Such a body may be run on the
  // thread that received the command, which is faster; one that does wait there holds up every call of its connection.
  NativeDefinition& NeverBlocks();
  // A line break at its beginning is dropped, so that a raw string may begin on a line of its own.
  NativeDefinition& Document(std::string markdown);

  // What Catalog::Add takes. Throws std::invalid_argument, which names the coroutine, if Takes() was not called once
  // for each parameter of the body.
  operator Definition() const;  // NOLINT(google-explicit-constructor): so that registering is one statement

 private:
  Definition definition_;
  std::vector<ParameterType> types_;
};

namespace internal {

// Whether a T keeps what it refers to alive; false for what merely points to it.
template <typename T>
inline constexpr bool kOwns = !std::is_reference_v<T> && !std::is_pointer_v<T>;
template <typename Char, typename Traits>
inline constexpr bool kOwns<std::basic_string_view<Char, Traits>> = false;
template <typename T, std::size_t kSize>
inline constexpr bool kOwns<std::span<T, kSize>> = false;
template <typename T>
inline constexpr bool kOwns<std::initializer_list<T>> = false;
template <typename T>
inline constexpr bool kOwns<std::reference_wrapper<T>> = false;

// How a body's parameter of type T is described and made of an argument.
template <typename T>
struct Argument {
  static constexpr bool kIsKnown = false;
};
template <>
struct Argument<bool> {
  static constexpr bool kIsKnown = true;
  static constexpr ParameterType kType = ParameterType::kBoolean;
  static bool Of(const Value& value) { return value.AsBoolean(); }
};
template <>
struct Argument<std::int64_t> {
  static constexpr bool kIsKnown = true;
  static constexpr ParameterType kType = ParameterType::kInteger;
  static std::int64_t Of(const Value& value) { return value.AsInteger(); }
};
template <>
struct Argument<double> {
  static constexpr bool kIsKnown = true;
  static constexpr ParameterType kType = ParameterType::kNumber;
  static double Of(const Value& value) { return value.AsNumber(); }
};
template <>
struct Argument<std::string> {
  static constexpr bool kIsKnown = true;
  static constexpr ParameterType kType = ParameterType::kText;
  static std::string Of(const Value& value) { return value.AsText(); }
};
template <>
struct Argument<Value> {
  static constexpr bool kIsKnown = true;
  static constexpr ParameterType kType = ParameterType::kValue;
  static Value Of(const Value& value) { return value; }
};

template <typename F>
struct Body {
  static constexpr bool kIsFunction = false;
};
template <typename Result, typename... Parameters>
struct Body<Result (*)(Parameters...)> {
  static constexpr bool kIsFunction = true;
  static constexpr bool kReturnsCoroutine = std::is_same_v<Result, Coroutine>;
  static constexpr bool kOwnsAll = (kOwns<Parameters> && ...);
  static constexpr bool kKnowsAll = (Argument<Parameters>::kIsKnown && ...);

  static std::vector<ParameterType> Types() { return {Argument<Parameters>::kType...}; }

  static NativeDefinition::Create Create(Result (*body)(Parameters...)) {
    return [body](const std::vector<Value>& arguments) {
      return Call(body, arguments, std::index_sequence_for<Parameters...>());
    };
  }

 private:
  template <std::size_t... kIndex>
  static Coroutine Call(Result (*body)(Parameters...), [[maybe_unused]] const std::vector<Value>& arguments,
                        std::index_sequence<kIndex...>) {
    return body(Argument<Parameters>::Of(arguments[kIndex])...);
  }
};
template <typename Result, typename... Parameters>
struct Body<Result (*)(Parameters...) noexcept> : Body<Result (*)(Parameters...)> {};

}  // namespace internal

// The beginning of a definition: `body` is a plain function that returns Coroutine and whose parameters are of type
// bool, std::int64_t, double, std::string or Value; any other does not compile.
template <typename F>
NativeDefinition Native(std::string name, std::uint32_t version, F body) {
  using Body = internal::Body<F>;
  static_assert(
      Body::kIsFunction,
      "a coroutine's body is a plain function, given as &Body: what a lambda or a function object holds may be "
      "gone by the first resume");
  if constexpr (Body::kIsFunction) {
    static_assert(Body::kReturnsCoroutine, "a coroutine's body returns corod::Coroutine");
    static_assert(
        Body::kOwnsAll,
        "a coroutine's parameters must own what they hold: creation and the first resume are different calls");
    static_assert(!Body::kOwnsAll || Body::kKnowsAll,
                  "a coroutine's parameters are of type bool, std::int64_t, double, std::string or corod::Value");
    if constexpr (Body::kReturnsCoroutine && Body::kOwnsAll && Body::kKnowsAll) {
      return NativeDefinition(std::move(name), version, Body::Types(), Body::Create(body));
    }
  }
}

}  // namespace corod

#endif  // COROD_SERVER_CATALOG_REGISTRATION_H_
