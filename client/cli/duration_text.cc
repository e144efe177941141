#include "client/cli/duration_text.h"

#include "absl/strings/numbers.h"

namespace corod::cli {

std::optional<absl::Duration> ParseDuration(const std::string& text) {
  // protobuf's own bound, some 10,000 years.
  constexpr std::int64_t kMostSeconds = 315'576'000'000;
  absl::Duration duration;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    return std::nullopt;
  }
  // Also refuses nan, which no comparison holds for.
  if (!(duration >= absl::ZeroDuration() && duration <= absl::Seconds(kMostSeconds))) return std::nullopt;
  return duration;
}

std::string IdleTimeoutToText(const google::protobuf::Duration& duration) {
  const absl::Duration value = absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
  return value == absl::ZeroDuration() ? "never" : absl::FormatDuration(value);
}

std::string TimeToText(const google::protobuf::Timestamp& time) {
  const absl::Time value = absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", value, absl::UTCTimeZone());
}

google::protobuf::Duration DurationToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  absl::Duration rest;
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  proto.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(rest)));
  return proto;
}

}  // namespace corod::cli
