#ifndef COROD_CLIENT_CPP_SERVICE_ERROR_H_
#define COROD_CLIENT_CPP_SERVICE_ERROR_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "corod/v1/session.pb.h"

namespace grpc {
class Status;
}

namespace corod::client {

// Why the service refused a call. Stands beside the status's code.
struct ServiceError {
  // Stable, to branch on: "SESSION_NOT_FOUND". Empty: the service did not say, as when there is no connection or a
  // deadline has passed.
  std::string reason;
  std::string message;
  // What the reason calls for, as the session's id. "executed" is "no" where it is certain that nothing ran.
  std::map<std::string, std::string> metadata;
  // How long to wait before the next attempt; zero: waiting does not help.
  absl::Duration retry_delay = absl::ZeroDuration();
};

// What a failed call of this library says about its failure.
ServiceError ErrorOf(const absl::Status& status);

// Whether the service is away, so that trying again may help: UNAVAILABLE; and a CANCELLED that corod did not give,
// which is how gRPC answers for a server that is ending. REQUIRES: the call was not cancelled on this side.
bool IsAway(const absl::Status& status);

// Whether the same call may succeed later, if it is safe to repeat: the service is away or has more work than it can do
// (OVERLOADED), or its caller makes more calls than he may (RATE_LIMITED). REQUIRES: as IsAway.
bool MayPass(const absl::Status& status);

// The same status, with what its google.rpc.Status details hold as payloads, under their type URLs.
absl::Status StatusOf(const grpc::Status& status);

// How a refused command of a Drive stream would have failed as a call of its own.
absl::Status StatusOf(const v1::Failure& failure);

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_SERVICE_ERROR_H_
