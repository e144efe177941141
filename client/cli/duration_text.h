#ifndef COROD_CLIENT_CLI_DURATION_TEXT_H_
#define COROD_CLIENT_CLI_DURATION_TEXT_H_

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <optional>
#include <string>

#include "absl/time/time.h"

// Durations and times, as people write them and as protobuf holds them.
namespace corod::cli {

// "500ms", "90s", "10m", "1h30m"; a bare number is seconds. nullopt: it is none, or negative, or infinite.
std::optional<absl::Duration> ParseDuration(const std::string& text);

// "1h30m"; "never" for zero, as the API means it.
std::string IdleTimeoutToText(const google::protobuf::Duration& duration);

// "2026-01-31T12:00:00Z"
std::string TimeToText(const google::protobuf::Timestamp& time);

google::protobuf::Duration DurationToProto(absl::Duration duration);

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_DURATION_TEXT_H_
