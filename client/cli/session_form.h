#ifndef COROD_CLIENT_CLI_SESSION_FORM_H_
#define COROD_CLIENT_CLI_SESSION_FORM_H_

#include <string>

#include "absl/status/statusor.h"
#include "corod/v1/session.pb.h"

// Sessions as text and as JSON.
namespace corod::cli {

// {"size": 3}, in the order of names.
absl::StatusOr<std::string> ArgumentsToJson(const google::protobuf::Map<std::string, v1::Value>& arguments);

// "suspended"
std::string StateName(v1::State state);
// "durable"
std::string DurabilityName(v1::Durability durability);

// One line: id, coroutine, state, steps, when it was last used, what it lives in, labels as k=v, its problem.
std::string SessionToLine(const v1::Session& session);
// A line for each field that is set.
absl::StatusOr<std::string> SessionToText(const v1::Session& session);
// One object on one line. `more`: further members, as JSON, or empty.
absl::StatusOr<std::string> SessionToJson(const v1::Session& session, const std::string& more = {});

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_SESSION_FORM_H_
