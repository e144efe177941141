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
#include "server/coroutine/kept.h"
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
// The types of the parameters are those of the body's signature. A body whose first parameter is a Kept<S> (kept.h) is
// restartable; that parameter is none of the catalog's. A changed body that answers differently is a new
// version beside the old one: sessions are pinned to the version that they were created with.
class NativeDefinition {
 public:
  using Create = decltype(Definition::create);
  using Restart = decltype(Definition::restart);

  // Use Native() below. `types`: one for each parameter of the body.
  NativeDefinition(std::string name, std::uint32_t version, std::vector<ParameterType> types, Create create,
                   Restart restart);

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
struct BodyOf {
  static constexpr bool kIsFunction = true;
  static constexpr bool kReturnsCoroutine = std::is_same_v<Result, Coroutine>;
  static constexpr bool kOwnsAll = (kOwns<Parameters> && ...);
  static constexpr bool kKnowsAll = (Argument<Parameters>::kIsKnown && ...);

  static std::vector<ParameterType> Types() { return {Argument<Parameters>::kType...}; }

 protected:
  // `body(first..., one for each of Parameters...)`.
  template <typename F, typename... First>
  static Coroutine Call(F body, const std::vector<Value>& arguments, First... first) {
    return [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
      return body(std::move(first)..., Argument<Parameters>::Of(arguments[kIndex])...);
    }(std::index_sequence_for<Parameters...>());
  }
};

template <typename Result, typename... Parameters>
struct Body<Result (*)(Parameters...)> : BodyOf<Result, Parameters...> {
  static NativeDefinition::Create Create(Result (*body)(Parameters...)) {
    return [body](const std::vector<Value>& arguments, const CatalogView&) { return Body::Call(body, arguments); };
  }
  static NativeDefinition::Restart Restart(Result (*)(Parameters...)) { return nullptr; }
};
template <typename Result, typename S, typename... Parameters>
struct Body<Result (*)(Kept<S>, Parameters...)> : BodyOf<Result, Parameters...> {
  using Function = Result (*)(Kept<S>, Parameters...);
  static NativeDefinition::Create Create(Function body) {
    return [body](const std::vector<Value>& arguments, const CatalogView&) {
      return Body::Call(body, arguments, Kept<S>());
    };
  }
  static NativeDefinition::Restart Restart(Function body) {
    return [body](const std::vector<Value>& arguments, const Value& kept, const CatalogView&) {
      return Body::Call(body, arguments, Kept<S>(S::Load(kept)));
    };
  }
};
template <typename Result, typename... Parameters>
struct Body<Result (*)(Parameters...) noexcept> : Body<Result (*)(Parameters...)> {};

}  // namespace internal

// The beginning of a definition: `body` is a plain function that returns Coroutine and whose parameters are of type
// bool, std::int64_t, double, std::string or Value, after a Kept<S> if it is restartable; any other does not compile.
template <typename F>
NativeDefinition Native(std::string name, std::uint32_t version, F body) {
  using Body = internal::Body<F>;
  static_assert(
      Body::kIsFunction,
      "a coroutine's body is a plain function, given as &Body: a lambda, a function object or the object of a member "
      "function may be gone by the first resume");
  if constexpr (Body::kIsFunction) {
    static_assert(Body::kReturnsCoroutine, "a coroutine's body returns corod::Coroutine");
    static_assert(
        Body::kOwnsAll,
        "a coroutine's parameters must own what they hold: creation and the first resume are different calls");
    static_assert(!Body::kOwnsAll || Body::kKnowsAll,
                  "a coroutine's parameters are of type bool, std::int64_t, double, std::string or corod::Value; the "
                  "first may be a corod::Kept");
    if constexpr (Body::kReturnsCoroutine && Body::kOwnsAll && Body::kKnowsAll) {
      return NativeDefinition(std::move(name), version, Body::Types(), Body::Create(body), Body::Restart(body));
    }
  }
}

}  // namespace corod

#endif  // COROD_SERVER_CATALOG_REGISTRATION_H_
