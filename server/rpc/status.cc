#include "server/rpc/status.h"

#include <string>

#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/failure.h"

namespace corod::rpc {
namespace {

void SetDuration(absl::Duration duration, google::protobuf::Duration* proto) {
  proto->set_seconds(absl::ToInt64Seconds(duration));
  proto->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(duration % absl::Seconds(1))));
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  const FailureDetails details = DetailsOf(status);
  google::rpc::Status proto;
  proto.set_code(static_cast<int>(status.code()));
  proto.set_message(std::string(status.message()));
  google::rpc::ErrorInfo info;
  info.set_reason(details.reason);
  info.set_domain("corod");
  info.mutable_metadata()->insert(details.metadata.begin(), details.metadata.end());
  proto.add_details()->PackFrom(info);
  if (details.retry_delay > absl::ZeroDuration()) {
    google::rpc::RetryInfo retry;
    SetDuration(details.retry_delay, retry.mutable_retry_delay());
    proto.add_details()->PackFrom(retry);
  }
  return {static_cast<grpc::StatusCode>(status.code()), proto.message(), proto.SerializeAsString()};
}

void ToFailure(const absl::Status& status, v1::Failure* failure) {
  const FailureDetails details = DetailsOf(status);
  failure->set_code(static_cast<int>(status.code()));
  failure->set_reason(details.reason);
  failure->set_message(std::string(status.message()));
  failure->mutable_metadata()->insert(details.metadata.begin(), details.metadata.end());
  if (details.retry_delay > absl::ZeroDuration()) SetDuration(details.retry_delay, failure->mutable_retry_delay());
}

}  // namespace corod::rpc
