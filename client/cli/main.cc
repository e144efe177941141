// coroctl: corod on the command line.
#include <stdlib.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "client/cli/coroctl.h"

int main(int argc, char** argv) {
  // gRPC's own lines about what is reported better; whoever wants them sets the variable.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  corod::cli::Io io;
  io.out_is_terminal = isatty(io.out) == 1;
  io.err_is_terminal = isatty(io.err) == 1;
  const int status = corod::cli::Run(arguments, io);
  if (status > corod::cli::kSignal) {
    // End as the signal would have ended it, so that a shell's loop ends too.
    std::signal(status - corod::cli::kSignal, SIG_DFL);
    std::raise(status - corod::cli::kSignal);
  }
  return status;
}
