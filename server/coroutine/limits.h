#ifndef COROD_SERVER_COROUTINE_LIMITS_H_
#define COROD_SERVER_COROUTINE_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "server/coroutine/exception.h"
#include "server/coroutine/value.h"

namespace corod {

// How large a value may be that goes in or comes out.
struct ValueLimits {
  // Lists, maps and exceptions within each other. More than 24 would reach protobuf's limit of 100 messages in some
  // replies, and a client could not read them.
  int max_depth = 24;
  // Of the value as corod.v1.Value encodes it.
  std::size_t max_bytes = std::size_t{1} << 20;
};

// What a value is, measured against limits.
struct ValueMeasure {
  enum class Fault : std::uint8_t { kNone, kTooDeep, kTooLarge, kNotUtf8 };
  Fault fault = Fault::kNone;
  // As corod.v1.Value encodes it, in bytes; complete when there is no fault.
  std::size_t bytes = 0;
};

// Measures `value`; stops at the first fault, so it takes no more than `limits` allow, however deep the value is.
ValueMeasure Measure(const Value& value, const ValueLimits& limits);

// Measures an exception that is sent for itself (thrown or raised): each value in it begins anew at depth 0.
// REQUIRES: its chain is bounded (Exception::Snapshot).
ValueMeasure Measure(const Exception& exception, const ValueLimits& limits);

}  // namespace corod

#endif  // COROD_SERVER_COROUTINE_LIMITS_H_
