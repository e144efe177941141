#ifndef COROD_SERVER_COROUTINE_OUTCOME_H_
#define COROD_SERVER_COROUTINE_OUTCOME_H_

#include <cstdint>
#include <utility>

#include "server/coroutine/exception.h"
#include "server/coroutine/value.h"

namespace corod {

// What resuming a coroutine produced. 16 bytes: the kind lies in what a Value leaves free.
struct COROD_TRIVIAL_ABI Outcome {
  enum class Kind : std::uint8_t {
    kYielded,   // `value` was yielded
    kReturned,  // `value` was returned: StopIteration.value, or what close() returned
    kRaised,    // `value` is the exception that left the body
  };

  static Outcome Yielded(Value value) { return {std::move(value), Kind::kYielded}; }
  static Outcome Returned(Value value) { return {std::move(value), Kind::kReturned}; }
  static Outcome Raised(const Exception& exception) { return {Value(exception), Kind::kRaised}; }

  // REQUIRES: kRaised.
  Exception exception() const { return value.AsException(); }

  [[no_unique_address]] Value value;
  Kind kind = Kind::kReturned;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

static_assert(sizeof(Outcome) == sizeof(Value));

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_OUTCOME_H_
