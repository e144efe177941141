#ifndef COROD_SERVER_RPC_DECODE_H_
#define COROD_SERVER_RPC_DECODE_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "corod/v1/coroutine_service.pb.h"

// Requests are parsed here, not by gRPC, so that a value that nests deeper than protobuf parses is refused with its
// reason.
namespace corod::rpc {

// Parses `bytes`. VALUE_TOO_DEEP if messages nest deeper than is parsed at all; INVALID_ARGUMENTS if it is not such a
// message (a text in it is not UTF-8, say). The message is then as the parser left it.
absl::Status ParseRequest(std::string_view bytes, google::protobuf::Message* request);

// The bytes of a buffer that gRPC received, in one piece.
std::string Flatten(const grpc::ByteBuffer& buffer);

// The other way; does not copy what is large.
grpc::ByteBuffer ToBuffer(std::string bytes);

// The bytes of each command in a serialized DriveRequest. INVALID_ARGUMENTS if it is none.
absl::StatusOr<std::vector<std::string_view>> SplitCommands(std::string_view request);

// What can be read of a serialized Command whose operation cannot be parsed: tag, session id and `resume`, and of a
// create its session id. Another operation is left unset. An id that is not UTF-8 becomes one that no session has.
v1::Command ParseWithoutOperation(std::string_view command);

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_DECODE_H_
