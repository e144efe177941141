#include "server/rpc/status.h"

#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/failure.h"
#include "server/coroutine/utf8.h"

namespace corod::rpc {
namespace {

// A status travels in trailers, of which gRPC takes 8 KiB; a client's own words that it repeats must not fill them.
constexpr std::size_t kMaxMessageBytes = 512;
constexpr std::size_t kMaxMetadataBytes = 256;

std::string Shortened(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  const std::string_view start = text.substr(0, max_bytes);
  return std::string(start.substr(0, CompleteUtf8Prefix(start))) + "...";
}

std::string MessageOf(const absl::Status& status) {
  return Shortened({status.message().data(), status.message().size()}, kMaxMessageBytes);
}

template <typename ProtoMap>
void SetMetadata(const FailureDetails& details, ProtoMap* proto) {
  for (const auto& [key, value] : details.metadata) (*proto)[key] = Shortened(value, kMaxMetadataBytes);
}

void SetDuration(absl::Duration duration, google::protobuf::Duration* proto) {
  proto->set_seconds(absl::ToInt64Seconds(duration));
  proto->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(duration % absl::Seconds(1))));
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  const FailureDetails details = DetailsOf(status);
  google::rpc::Status proto;
  proto.set_code(static_cast<int>(status.code()));
  proto.set_message(MessageOf(status));
  google::rpc::ErrorInfo info;
  info.set_reason(details.reason);
  info.set_domain("corod");
  SetMetadata(details, info.mutable_metadata());
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
  failure->set_message(MessageOf(status));
  SetMetadata(details, failure->mutable_metadata());
  if (details.retry_delay > absl::ZeroDuration()) SetDuration(details.retry_delay, failure->mutable_retry_delay());
}

absl::Status CancelledBeforeItsTurn() {
  return NotStarted(absl::StatusCode::kCancelled, "the call was cancelled before the command's turn came");
}

}  // namespace corod::rpc
