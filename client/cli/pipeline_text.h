#ifndef COROD_CLIENT_CLI_PIPELINE_TEXT_H_
#define COROD_CLIENT_CLI_PIPELINE_TEXT_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "server/coroutine/value.h"

namespace corod::cli {

// The coroutine that a line of stages stands for.
inline constexpr const char* kPipelineCoroutine = "pipeline";

// Whether what stands in the place of a coroutine's name is a line of stages.
bool IsPipelineText(std::string_view text);

// "line_splitter each=true | csv_parser header=true | averager" as the `stages` of a pipeline. A stage is a name and
// arguments, NAME=VALUE, with white space between them; `each` is the stage's own. A value is read as on a command line
// (ParseValue). What has spaces or `|` in it is in quotes, single ones, which are taken off as a shell does, or those
// of a JSON text; lists and maps are JSON. INVALID_ARGUMENT, with the position of what is wrong, in characters from 1.
absl::StatusOr<List> ParsePipelineText(std::string_view text);

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_PIPELINE_TEXT_H_
