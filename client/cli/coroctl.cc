#include "client/cli/coroctl.h"

#include <cerrno>
#include <csignal>
#include <exception>
#include <system_error>
#include <variant>

#include "absl/strings/str_cat.h"
#include "client/cli/arguments.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/output.h"
#include "client/cli/report.h"

namespace corod::cli {
namespace {

// Somebody is waiting at a terminal or in a script: a server that is away for longer is an answer.
constexpr int kAttempts = 4;

bool NeedsServer(const Command& command) {
  return !std::holds_alternative<TryArguments>(command) && !std::holds_alternative<VerifyArguments>(command);
}

int RunInvocation(const Invocation& invocation, const Io& io, Output& output,
                  const client::Dependencies& dependencies) {
  client::ConnectionOptions options;
  options.timeout = invocation.global.timeout;
  options.retry.max_attempts = kAttempts;
  Context context{.channel = nullptr,
                  .connection = nullptr,
                  .output = output,
                  .global = invocation.global,
                  .io = io,
                  .dependencies = dependencies};
  if (NeedsServer(invocation.command)) {
    absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
        client::OpenChannel(invocation.global.server, invocation.global.security);
    if (!channel.ok()) return TellWrongUsage(channel.status(), context);
    context.channel = *std::move(channel);
    absl::StatusOr<std::shared_ptr<client::Connection>> connection =
        client::Connection::Make(context.channel, options, dependencies);
    if (!connection.ok()) return ReportFailure(connection.status(), context);
    context.connection = *std::move(connection);
  }
  return std::visit([&context](const auto& arguments) { return RunCommand(arguments, context); }, invocation.command);
}

int RunArguments(const std::vector<std::string>& arguments, const Io& io, Output& output,
                 const client::Dependencies& dependencies) {
  const std::variant<Invocation, Answer> parsed = ParseArguments(arguments);
  if (const auto* invocation = std::get_if<Invocation>(&parsed))
    return RunInvocation(*invocation, io, output, dependencies);
  const Answer& answer = std::get<Answer>(parsed);
  if (answer.exit_code == kFine) {
    output.Print(answer.text);
  } else {
    output.Tell(answer.text);
  }
  return answer.exit_code;
}

}  // namespace

int Run(const std::vector<std::string>& arguments, const Io& io, const client::Dependencies& dependencies) {
  std::signal(SIGPIPE, SIG_IGN);
  Output output(io.out, io.err);
  int status = kServiceFailed;
  try {
    status = RunArguments(arguments, io, output, dependencies);
  } catch (const std::exception& error) {  // memory, threads or file descriptors have run out
    output.Tell(absl::StrCat("coroctl: ", error.what()));
  }
  if (output.Flush() || status > kSignal) return status;
  if (output.error() == EPIPE) return kSignal + SIGPIPE;
  output.Tell(absl::StrCat("coroctl: cannot write to stdout: ", std::generic_category().message(output.error())));
  return kServiceFailed;
}

}  // namespace corod::cli
