#ifndef COROD_CLIENT_CLI_COROCTL_H_
#define COROD_CLIENT_CLI_COROCTL_H_

#include <string>
#include <vector>

#include "client/cli/context.h"
#include "client/cpp/retry.h"

namespace corod::cli {

// All of coroctl: does what `arguments` (without the program's name) ask for and returns the exit status: 0 fine, 1 the
// coroutine raised, 2 wrong usage, 3 the service failed, 128 and a signal's number if that ended it (SIGPIPE too).
// Ignores SIGPIPE from then on.
int Run(const std::vector<std::string>& arguments, const Io& io, const client::Dependencies& dependencies = {});

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_COROCTL_H_
