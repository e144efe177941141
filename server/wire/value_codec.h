#ifndef COROD_SERVER_WIRE_VALUE_CODEC_H_
#define COROD_SERVER_WIRE_VALUE_CODEC_H_

#include "absl/status/statusor.h"
#include "corod/v1/value.pb.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/limits.h"
#include "server/coroutine/value.h"

// Values and exceptions to and from protobuf, for the server and for the C++ client.
namespace corod::wire {

// REQUIRES: within the limits and UTF-8 (Measure finds no fault).
void ToProto(const Value& value, v1::Value* proto);
// REQUIRES: a chain that ends (Exception::Snapshot).
void ToProto(const Exception& exception, v1::Exception* proto);

// VALUE_TOO_DEEP or VALUE_TOO_LARGE for what is over the limits; INVALID_EXCEPTION for an exception in it that is none.
absl::StatusOr<Value> FromProto(const v1::Value& proto, const ValueLimits& limits = {});
// The same; INVALID_EXCEPTION if it has no type or its type is not a name. A chain of more than 16 levels or 64
// exceptions is cut, and a note says so.
absl::StatusOr<Exception> FromProto(const v1::Exception& proto, const ValueLimits& limits = {});

}  // namespace corod::wire

#endif  // COROD_SERVER_WIRE_VALUE_CODEC_H_
