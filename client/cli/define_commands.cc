// define and undefine: coroutines of one's own.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/json_value.h"
#include "client/cli/report.h"
#include "client/cpp/service_error.h"

namespace corod::cli {
namespace {

// What is wrong with a source, with the file's name in the place of the coroutine's where a message begins with that.
absl::Status NamingTheFile(const absl::Status& status, const DefineArguments& arguments) {
  const std::string message(status.message());
  if (client::ErrorOf(status).reason != "INVALID_SOURCE" || !message.starts_with(arguments.name + ":")) return status;
  const std::string file = arguments.file == "-" ? "stdin" : arguments.file;
  absl::Status renamed(status.code(), file + message.substr(arguments.name.size()));
  status.ForEachPayload(
      [&renamed](absl::string_view type, const absl::Cord& payload) { renamed.SetPayload(type, payload); });
  return renamed;
}

}  // namespace

int RunCommand(const DefineArguments& arguments, Context& context) {
  absl::StatusOr<std::string> source = ReadText(arguments.file, context.io);
  if (!source.ok()) return TellWrongUsage(source.status(), context);
  v1::DefineCoroutineRequest request;
  v1::Coroutine& coroutine = *request.mutable_coroutine();
  if (!arguments.documentation.empty()) {
    absl::StatusOr<std::string> documentation = ReadText(arguments.documentation, context.io);
    if (!documentation.ok()) return TellWrongUsage(documentation.status(), context);
    coroutine.set_documentation(*std::move(documentation));
  }
  coroutine.set_name(arguments.name);
  coroutine.set_language(v1::LANGUAGE_LUA);
  coroutine.set_source(*std::move(source));

  v1::GetCoroutineRequest which;
  which.set_name(arguments.name);
  const absl::StatusOr<v1::GetCoroutineResponse> before = context.connection->GetCoroutine(which);
  if (!before.ok() && !absl::IsNotFound(before.status())) return ReportFailure(before.status(), context);
  const absl::StatusOr<v1::DefineCoroutineResponse> response = context.connection->DefineCoroutine(request);
  if (!response.ok()) return ReportFailure(NamingTheFile(response.status(), arguments), context);
  const v1::Coroutine& defined = response->coroutine();
  const bool existed = before.ok() && before->coroutine().version() == defined.version();
  context.output.Print(context.global.format == Format::kJson
                           ? absl::StrCat(R"({"name": )", QuoteJson(defined.name()), R"(, "version": )",
                                          defined.version(), R"(, "existed": )", existed ? "true" : "false", "}")
                           : absl::StrCat(defined.name(), " version ", defined.version(), existed ? " existed" : ""));
  return kFine;
}

int RunCommand(const UndefineArguments& arguments, Context& context) {
  v1::DeleteCoroutineRequest request;
  request.set_name(arguments.name);
  const absl::StatusOr<v1::DeleteCoroutineResponse> response = context.connection->DeleteCoroutine(request);
  return response.ok() ? kFine : ReportFailure(response.status(), context);
}

}  // namespace corod::cli
