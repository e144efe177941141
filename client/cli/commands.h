#ifndef COROD_CLIENT_CLI_COMMANDS_H_
#define COROD_CLIENT_CLI_COMMANDS_H_

#include "absl/status/statusor.h"
#include "client/cli/arguments.h"
#include "client/cli/context.h"
#include "corod/v1/coroutine_service.pb.h"

// coroctl's commands. Each does what its arguments say, shows what comes of it, and returns the exit status.
namespace corod::cli {

int RunCommand(const CreateArguments& arguments, Context& context);
int RunCommand(const SendArguments& arguments, Context& context);
int RunCommand(const ThrowArguments& arguments, Context& context);
int RunCommand(const CloseArguments& arguments, Context& context);
int RunCommand(const DeleteArguments& arguments, Context& context);
int RunCommand(const GetArguments& arguments, Context& context);
int RunCommand(const ListArguments& arguments, Context& context);
int RunCommand(const CatalogArguments& arguments, Context& context);
int RunCommand(const PipeArguments& arguments, Context& context);
int RunCommand(const BenchArguments& arguments, Context& context);

int RunCommand(const DefineArguments& arguments, Context& context);
int RunCommand(const UndefineArguments& arguments, Context& context);
int RunCommand(const TryArguments& arguments, Context& context);
int RunCommand(const VerifyArguments& arguments, Context& context);

int RunCommand(const HealthArguments& arguments, Context& context);
int RunCommand(const LogLevelArguments& arguments, Context& context);

int RunCommand(const WatchArguments& arguments, Context& context);
int RunCommand(const ForkArguments& arguments, Context& context);
int RunCommand(const ExportArguments& arguments, Context& context);
int RunCommand(const ImportArguments& arguments, Context& context);

// Shows a session that was made of another one, as create does: its id, its state and what came of its last step.
int ReportNewSession(const v1::Session& session, Context& context);

// What Create is asked.
absl::StatusOr<v1::CreateRequest> RequestOf(const CreateArguments& arguments);

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_COMMANDS_H_
