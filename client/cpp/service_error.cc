#include "client/cpp/service_error.h"

#include <grpcpp/support/status.h>

#include <cstdint>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/failure.h"

namespace corod::client {
namespace {

constexpr absl::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr absl::string_view kRetryInfoUrl = "type.googleapis.com/google.rpc.RetryInfo";
constexpr const char* kDomain = "corod";

absl::Duration DurationOf(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

template <typename Detail>
void WritePayload(const Detail& detail, absl::string_view url, absl::Status* status) {
  const std::string bytes = detail.SerializeAsString();
  status->SetPayload(url, absl::Cord(bytes));
}

template <typename Detail>
bool ReadPayload(const absl::Status& status, absl::string_view url, Detail* detail) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  return payload.has_value() && detail->ParseFromString(std::string(*payload));
}

}  // namespace

ServiceError ErrorOf(const absl::Status& status) {
  ServiceError error;
  error.message = std::string(status.message());
  google::rpc::ErrorInfo info;
  if (ReadPayload(status, kErrorInfoUrl, &info) && info.domain() == kDomain) {
    error.reason = info.reason();
    error.metadata = {info.metadata().begin(), info.metadata().end()};
  } else {
    // Refused on this side, by the same rules.
    FailureDetails details = DetailsOf(status);
    error.reason = std::move(details.reason);
    error.metadata = std::move(details.metadata);
    error.retry_delay = details.retry_delay;
  }
  google::rpc::RetryInfo retry;
  if (ReadPayload(status, kRetryInfoUrl, &retry)) error.retry_delay = DurationOf(retry.retry_delay());
  return error;
}

bool IsAway(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return true;
  if (!absl::IsCancelled(status)) return false;
  const ServiceError error = ErrorOf(status);
  return error.reason.empty() && error.metadata.empty();
}

bool MayPass(const absl::Status& status) {
  return IsAway(status) || ErrorOf(status).reason == NameOf(Reason::RATE_LIMITED);
}

absl::Status StatusOf(const grpc::Status& status) {
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  // Details that are none came from something between the service and us; the code and the message still hold.
  if (result.ok() || !details.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& detail : details.details())
    result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  return result;
}

absl::Status StatusOf(const v1::Failure& failure) {
  const bool known =
      failure.code() > 0 && failure.code() <= static_cast<std::int32_t>(absl::StatusCode::kUnauthenticated);
  absl::Status result(known ? static_cast<absl::StatusCode>(failure.code()) : absl::StatusCode::kUnknown,
                      failure.message());
  if (!failure.reason().empty() || failure.metadata_size() > 0) {
    google::rpc::ErrorInfo info;
    info.set_reason(failure.reason());
    info.set_domain(kDomain);
    *info.mutable_metadata() = failure.metadata();
    WritePayload(info, kErrorInfoUrl, &result);
  }
  if (failure.has_retry_delay()) {
    google::rpc::RetryInfo retry;
    *retry.mutable_retry_delay() = failure.retry_delay();
    WritePayload(retry, kRetryInfoUrl, &result);
  }
  return result;
}

}  // namespace corod::client
