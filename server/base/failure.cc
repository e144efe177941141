#include "server/base/failure.h"

#include <string>
#include <unordered_map>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"

namespace corod {
namespace {

constexpr absl::string_view kReasonKey = "corod/reason";
constexpr absl::string_view kRetryKey = "corod/retry_delay_ms";
constexpr absl::string_view kMetadataPrefix = "corod/metadata/";

absl::StatusCode CodeOf(Reason reason) {
  switch (reason) {
#define COROD_REASON(name, code) \
  case Reason::name:             \
    return absl::StatusCode::code;
    COROD_REASONS(COROD_REASON)
#undef COROD_REASON
  }
  return absl::StatusCode::kUnknown;
}

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

std::string_view NameOf(Reason reason) {
  switch (reason) {
#define COROD_REASON(name, code) \
  case Reason::name:             \
    return #name;
    COROD_REASONS(COROD_REASON)
#undef COROD_REASON
  }
  return "UNKNOWN";
}

absl::Status Failed(Reason reason, std::string_view message, const std::map<std::string, std::string>& metadata,
                    absl::Duration retry_delay) {
  absl::Status status = Doubtful(reason, message, metadata, retry_delay);
  status.SetPayload(kExecutedKey, absl::Cord("no"));
  return status;
}

absl::Status Doubtful(Reason reason, std::string_view message, const std::map<std::string, std::string>& metadata,
                      absl::Duration retry_delay) {
  absl::Status status(CodeOf(reason), View(message));
  status.SetPayload(kReasonKey, absl::Cord(View(NameOf(reason))));
  for (const auto& [key, value] : metadata) {
    status.SetPayload(std::string(kMetadataPrefix) + key, absl::Cord(View(value)));
  }
  if (retry_delay > absl::ZeroDuration()) {
    const std::string delay = std::to_string(absl::ToInt64Milliseconds(retry_delay));
    status.SetPayload(kRetryKey, absl::Cord(View(delay)));
  }
  return status;
}

absl::Status NotStarted(absl::StatusCode code, std::string_view message) {
  absl::Status status(code, View(message));
  status.SetPayload(kExecutedKey, absl::Cord("no"));
  return status;
}

FailureDetails DetailsOf(const absl::Status& status) {
  FailureDetails details;
  status.ForEachPayload([&details](absl::string_view key, const absl::Cord& value) {
    if (key == kReasonKey) {
      details.reason = std::string(value);
    } else if (key == kRetryKey) {
      details.retry_delay = absl::Milliseconds(std::stoll(std::string(value)));
    } else if (key.substr(0, kMetadataPrefix.size()) == kMetadataPrefix) {
      details.metadata[std::string(key.substr(kMetadataPrefix.size()))] = std::string(value);
    }
  });
  return details;
}

bool IsFailure(const absl::Status& status, Reason reason) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kReasonKey);
  return payload.has_value() && *payload == View(NameOf(reason));
}

std::optional<Reason> ReasonOf(const absl::Status& status) {
  static const auto& reasons = *[] {
    auto* const by_name = new std::unordered_map<std::string_view, Reason>;
    for (std::size_t i = 0; i < kReasons; ++i) {
      const auto reason = static_cast<Reason>(i);
      by_name->emplace(NameOf(reason), reason);
    }
    return by_name;
  }();
  const absl::optional<absl::Cord> payload = status.GetPayload(kReasonKey);
  if (!payload) return std::nullopt;
  const auto found = reasons.find(std::string(*payload));
  return found == reasons.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace corod
