#ifndef COROD_CLIENT_CLI_CONTEXT_H_
#define COROD_CLIENT_CLI_CONTEXT_H_

#include <memory>
#include <string>

#include "client/cli/arguments.h"
#include "client/cli/output.h"
#include "client/cpp/connection.h"

namespace corod::cli {

// coroctl's exit status. One that was ended by a signal returns 128 and the signal's number.
inline constexpr int kFine = 0;
inline constexpr int kRaised = 1;
inline constexpr int kWrongUsage = 2;
inline constexpr int kServiceFailed = 3;
inline constexpr int kSignal = 128;

// The process's streams.
struct Io {
  int in = 0;
  int out = 1;
  int err = 2;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
};

// What every command is given.
struct Context {
  // Null for a command that needs no server.
  std::shared_ptr<grpc::Channel> channel;
  std::shared_ptr<client::Connection> connection;
  Output& output;
  const GlobalArguments& global;
  const Io& io;
  const client::Dependencies& dependencies;
};

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_CONTEXT_H_
