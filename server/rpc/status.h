#ifndef COROD_SERVER_RPC_STATUS_H_
#define COROD_SERVER_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "corod/v1/session.pb.h"

namespace corod::rpc {

// The one map from our errors to what goes over the wire.

// A gRPC status with a google.rpc.Status in its details that holds an ErrorInfo and, where waiting helps, a RetryInfo.
// REQUIRES: not OK.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The same, for one command among many. REQUIRES: not OK.
void ToFailure(const absl::Status& status, v1::Failure* failure);

// The answer to a command whose unary call was cancelled before its turn.
absl::Status CancelledBeforeItsTurn();

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_STATUS_H_
