#ifndef COROD_TESTS_UNIT_CATALOG_DRIVING_H_
#define COROD_TESTS_UNIT_CATALOG_DRIVING_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/catalog/catalog.h"
#include "server/coroutine/coroutine.h"
#include "server/coroutine/map.h"
#include "server/coroutine/text_form.h"

// Optimised and without sanitizers, as the server is: sizes are as promised, and a million steps take no time.
#if defined(__OPTIMIZE__) && !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
#define COROD_TEST_AS_SHIPPED 1
#else
#define COROD_TEST_AS_SHIPPED 0
#endif

namespace corod {

// A list of these; List{List{...}} would be a copy.
template <typename... Items>
List ListOf(Items... items) {
  List list;
  (list.push_back(Value(std::move(items))), ...);
  return list;
}

inline void PrintTo(const Map& map, std::ostream* out) { *out << Repr(map); }

inline void PrintTo(const Value& value, std::ostream* out) { *out << Repr(value); }

inline void PrintTo(const Outcome& outcome, std::ostream* out) {
  switch (outcome.kind) {
    case Outcome::Kind::kYielded:
      *out << "yields ";
      break;
    case Outcome::Kind::kReturned:
      *out << "returns ";
      break;
    case Outcome::Kind::kRaised:
      *out << "raises " << outcome.exception().type() << ": ";
      break;
  }
  *out << Str(outcome.value);
}

MATCHER_P(Yields, value, "") { return arg.kind == Outcome::Kind::kYielded && arg.value == Value(value); }
MATCHER_P(Returns, value, "") { return arg.kind == Outcome::Kind::kReturned && arg.value == Value(value); }
MATCHER_P2(Raises, type, message, "") {
  return arg.kind == Outcome::Kind::kRaised && arg.exception().type() == type && arg.exception().message() == message;
}

// Creates the built-in coroutines and drives one at a time. Each test leaves no frame behind.
class DrivingTest : public ::testing::Test {
 protected:
  DrivingTest() { AddBuiltinCoroutines(catalog_); }

  void TearDown() override {
    coroutine_ = Coroutine();
    EXPECT_EQ(LiveFrames().frames, 0u);
    EXPECT_EQ(LiveFrames().bytes, 0u);
  }

  // Creates without running it.
  void CreateOnly(const std::string& name, const Map& arguments = {}) {
    const Definition* definition = catalog_.Find(name);
    if (!definition) throw std::invalid_argument(name);
    std::variant<std::vector<Value>, ArgumentError> bound = definition->BindArguments(arguments);
    if (const auto* error = std::get_if<ArgumentError>(&bound)) throw std::invalid_argument(error->message);
    coroutine_ = definition->create(std::get<std::vector<Value>>(std::move(bound)), 0);
  }

  // Creates and runs it to its first yield.
  Outcome Create(const std::string& name, const Map& arguments = {}) {
    CreateOnly(name, arguments);
    return Next();
  }

  Outcome Next() { return coroutine_.Next(); }
  Outcome Send(Value value) { return coroutine_.Send(std::move(value)); }
  Outcome Throw(const std::string& type) { return coroutine_.Throw(Exception(type)); }
  Outcome Close() { return coroutine_.Close(); }

  Catalog catalog_;
  Coroutine coroutine_;
};

}  // namespace corod

#endif  // COROD_TESTS_UNIT_CATALOG_DRIVING_H_
