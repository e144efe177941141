#ifndef COROD_CLIENT_CPP_CODEC_H_
#define COROD_CLIENT_CPP_CODEC_H_

#include "absl/status/statusor.h"
#include "corod/v1/session.pb.h"
#include "corod/v1/value.pb.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/outcome.h"
#include "server/coroutine/value.h"

// What a client sends and receives, to and from protobuf. The server's limits are the server's to apply: here only what
// cannot be encoded at all is refused.
namespace corod::client {

// INVALID_ARGUMENT for text that is not UTF-8; VALUE_TOO_DEEP for what would not fit on a stack.
absl::StatusOr<v1::Value> Encode(const Value& value);
absl::StatusOr<v1::Exception> Encode(const Exception& exception);

// INTERNAL for what no server sends.
absl::StatusOr<Value> Decode(const v1::Value& proto);
absl::StatusOr<Exception> Decode(const v1::Exception& proto);
// Of a `quiet` command the kind alone holds: its value is null, its exception a nameless BaseException.
absl::StatusOr<Outcome> Decode(const v1::Outcome& proto);

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_CODEC_H_
