#include "client/cli/input_plan.h"

#include "absl/strings/str_cat.h"
#include "client/cli/json_value.h"
#include "server/coroutine/utf8.h"

namespace corod::cli {

absl::StatusOr<InputPlan> PlanInput(const FeedArguments& arguments, SendAs kind, std::string_view sends) {
  if (arguments.chunks) return InputPlan{.send_as = SendAs::kBytes, .cut = Cut::kBlocks};
  InputPlan plan{.send_as = arguments.send_as, .cut = Cut::kLines};
  if (plan.send_as == SendAs::kAsDefined) plan.send_as = kind;
  if (plan.send_as == SendAs::kJson) {
    if (!arguments.keep_ends) return plan;
    return absl::InvalidArgumentError("--keep-ends goes with text and bytes; these lines are sent as JSON");
  }
  // Who takes chunks finds the ends of lines himself.
  if (arguments.keep_ends || sends.starts_with("chunks")) plan.cut = Cut::kLinesWithEnds;
  return plan;
}

absl::StatusOr<Value> ValueOf(const std::string& bytes, SendAs send_as) {
  switch (send_as) {
    case SendAs::kText:
      if (!IsUtf8(bytes)) return absl::InvalidArgumentError("not UTF-8; --as bytes sends bytes as they are");
      return Value(bytes);
    case SendAs::kBytes:
      return Value::Blob(bytes);
    case SendAs::kJson:
    case SendAs::kAsDefined:
      break;
  }
  return ParseValue(bytes);
}

absl::Status WrongLine(const LineReader::Line& line, const absl::Status& why) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line.number, " of stdin: ", why.message()));
}

std::string NameOfLine(const InputPlan& plan, std::uint64_t number) {
  return absl::StrCat(plan.cut == Cut::kBlocks ? "chunk " : "line ", number);
}

}  // namespace corod::cli
