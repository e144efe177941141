#ifndef COROD_CLIENT_CLI_FILES_H_
#define COROD_CLIENT_CLI_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/context.h"

namespace corod::cli {

// The text in a file; "-": in stdin. INVALID_ARGUMENT, which names the file, if it cannot be read or is not UTF-8.
absl::StatusOr<std::string> ReadText(const std::string& file, const Io& io);

// Says on stderr what is wrong with what was given, and returns kWrongUsage.
int TellWrongUsage(const absl::Status& what, Context& context);

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_FILES_H_
