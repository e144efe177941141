#ifndef COROD_CLIENT_CLI_INPUT_PLAN_H_
#define COROD_CLIENT_CLI_INPUT_PLAN_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/cli/arguments.h"
#include "client/cli/line_reader.h"
#include "server/coroutine/value.h"

namespace corod::cli {

// How stdin becomes values.
struct InputPlan {
  SendAs send_as;
  Cut cut;
};

// For a coroutine whose definition says that it `sends` that, and that a line is sent as `kind`. INVALID_ARGUMENT if
// what is asked for goes not together.
absl::StatusOr<InputPlan> PlanInput(const FeedArguments& arguments, SendAs kind, std::string_view sends);

// What is sent of `bytes`. INVALID_ARGUMENT if they are not what they should be.
absl::StatusOr<Value> ValueOf(const std::string& bytes, SendAs send_as);

// "line 3 of stdin: ..."
absl::Status WrongLine(const LineReader::Line& line, const absl::Status& why);
// "line 3", or "chunk 3".
std::string NameOfLine(const InputPlan& plan, std::uint64_t number);

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_INPUT_PLAN_H_
