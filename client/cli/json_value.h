#ifndef COROD_CLIENT_CLI_JSON_VALUE_H_
#define COROD_CLIENT_CLI_JSON_VALUE_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/value.h"

// Values as JSON, in both directions and without loss: ParseJson(ToJson(v)) == v.
//
// 10 is an integer and 10.0 a number; maps keep their order. What JSON has no word for is a map whose first and only
// key begins with a dollar sign:
//
//     {"$bytes": "aGk="}                     bytes, as base64
//     {"$number": "nan"}                     nan, inf or -inf
//     {"$exception": {"type": "KeyError", "arguments": ["k"], ...}}
//     {"$message": {"type_url": "...", "value": "base64"}}
//     {"$map": {"$bytes": "text"}}           a map as it is, whose first key is one of these five
namespace corod::cli {

// Strict JSON. INVALID_ARGUMENT, with a message for the user, for what is not JSON, for integers beyond 64 bits and
// numbers beyond double, and for wrong content of one of the maps above.
absl::StatusOr<Value> ParseJson(std::string_view text);

// A value on a command line: JSON if it is JSON, else the text itself. What begins as a JSON string, list or map has to
// be one, so that a slip in it is not sent as text. Errors as ParseJson.
absl::StatusOr<Value> ParseValue(std::string_view text);

// On one line.
std::string ToJson(const Value& value);
// What stands below "$exception".
std::string ToJson(const Exception& exception);
// `text` in quotes. REQUIRES: UTF-8.
std::string QuoteJson(std::string_view text);

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_JSON_VALUE_H_
