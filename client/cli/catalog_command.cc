// catalog: what can be created.
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/cli/commands.h"
#include "client/cli/json_value.h"
#include "client/cli/report.h"
#include "client/cpp/codec.h"

namespace corod::cli {
namespace {

std::string LanguageName(v1::Language language) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::Language_Name(language), "LANGUAGE_"));
}

std::string ValueKindName(v1::ValueKind kind) {
  if (kind == v1::VALUE_KIND_UNSPECIFIED) kind = v1::VALUE_KIND_JSON;
  return absl::AsciiStrToLower(absl::StripPrefix(v1::ValueKind_Name(kind), "VALUE_KIND_"));
}

absl::StatusOr<std::string> ParameterToText(const v1::Parameter& parameter) {
  std::string text = absl::StrCat("  ", parameter.name());
  if (!parameter.required()) {
    const absl::StatusOr<Value> value = client::Decode(parameter.default_value());
    if (!value.ok()) return value.status();
    absl::StrAppend(&text, "=", ToJson(*value));
  }
  absl::StrAppend(&text, "  (", parameter.type(), parameter.required() ? "; required)" : ")");
  if (!parameter.documentation().empty()) absl::StrAppend(&text, "\n      ", parameter.documentation());
  return text;
}

absl::StatusOr<std::string> DefinitionToText(const v1::Coroutine& coroutine) {
  std::string text =
      absl::StrCat(coroutine.name(), ", version ", coroutine.version(), ": ", coroutine.summary(), "\n\nParameters:");
  if (coroutine.parameters().empty()) absl::StrAppend(&text, " none");
  for (const v1::Parameter& parameter : coroutine.parameters()) {
    const absl::StatusOr<std::string> line = ParameterToText(parameter);
    if (!line.ok()) return line.status();
    absl::StrAppend(&text, "\n", *line);
  }
  absl::StrAppend(&text, "\n\nSends:    ", coroutine.sends(), "\nYields:   ", coroutine.yields(),
                  "\nReturns:  ", coroutine.returns(), "\nStops:    ", coroutine.stops_when(),
                  "\nWritten:  ", LanguageName(coroutine.language()), "\nPipe:     each line as ",
                  ValueKindName(coroutine.sends_kind()));
  const absl::string_view documentation = absl::StripTrailingAsciiWhitespace(coroutine.documentation());
  if (!documentation.empty()) absl::StrAppend(&text, "\n\n", documentation);
  if (!coroutine.source().empty()) absl::StrAppend(&text, "\n\n", coroutine.source());
  return text;
}

absl::StatusOr<std::string> DefinitionToJson(const v1::Coroutine& coroutine) {
  std::string parameters;
  for (const v1::Parameter& parameter : coroutine.parameters()) {
    const absl::StatusOr<Value> value = client::Decode(parameter.default_value());
    if (!value.ok()) return value.status();
    absl::StrAppend(&parameters, parameters.empty() ? "" : ", ", R"({"name": )", QuoteJson(parameter.name()),
                    R"(, "type": )", QuoteJson(parameter.type()), R"(, "required": )",
                    parameter.required() ? "true" : "false", R"(, "default_value": )", ToJson(*value),
                    R"(, "documentation": )", QuoteJson(parameter.documentation()), "}");
  }
  std::string json = absl::StrCat(
      R"({"name": )", QuoteJson(coroutine.name()), R"(, "version": )", coroutine.version(), R"(, "language": )",
      QuoteJson(LanguageName(coroutine.language())), R"(, "summary": )", QuoteJson(coroutine.summary()),
      R"(, "parameters": [)", parameters, R"(], "sends": )", QuoteJson(coroutine.sends()), R"(, "sends_kind": )",
      QuoteJson(ValueKindName(coroutine.sends_kind())), R"(, "yields": )", QuoteJson(coroutine.yields()));
  absl::StrAppend(&json, R"(, "returns": )", QuoteJson(coroutine.returns()), R"(, "stops_when": )",
                  QuoteJson(coroutine.stops_when()), R"(, "restartable": )", coroutine.restartable() ? "true" : "false",
                  R"(, "documentation": )", QuoteJson(coroutine.documentation()), R"(, "source": )",
                  QuoteJson(coroutine.source()), "}");
  return json;
}

std::string DefinitionToLine(const v1::Coroutine& coroutine) {
  const bool script = coroutine.language() == v1::LANGUAGE_LUA;
  const std::string summary = absl::StrCat(coroutine.summary(), coroutine.summary().empty() || !script ? "" : " ",
                                           script ? absl::StrCat("(", LanguageName(coroutine.language()), ")") : "");
  return absl::StrFormat("%-20s  %3d  %s", coroutine.name(), coroutine.version(), summary);
}

int ShowSource(const v1::Coroutine& coroutine, Context& context) {
  if (coroutine.source().empty()) {
    context.output.Tell(
        absl::StrCat("coroctl: ", coroutine.name(), " comes with the server: there is no source to show"));
    return kServiceFailed;
  }
  context.output.Write(coroutine.source());
  return kFine;
}

int ShowOne(const CatalogArguments& arguments, Context& context) {
  v1::GetCoroutineRequest request;
  request.set_name(arguments.name);
  request.set_version(arguments.version);
  const absl::StatusOr<v1::GetCoroutineResponse> response = context.connection->GetCoroutine(request);
  if (!response.ok()) return ReportFailure(response.status(), context);
  if (arguments.source) return ShowSource(response->coroutine(), context);
  const absl::StatusOr<std::string> text = context.global.format == Format::kJson
                                               ? DefinitionToJson(response->coroutine())
                                               : DefinitionToText(response->coroutine());
  if (!text.ok()) return ReportFailure(text.status(), context);
  context.output.Print(*text);
  return kFine;
}

}  // namespace

int RunCommand(const CatalogArguments& arguments, Context& context) {
  if (!arguments.name.empty()) return ShowOne(arguments, context);
  v1::ListCoroutinesRequest request;
  do {
    const absl::StatusOr<v1::ListCoroutinesResponse> response = context.connection->ListCoroutines(request);
    if (!response.ok()) return ReportFailure(response.status(), context);
    for (const v1::Coroutine& coroutine : response->coroutines()) {
      const absl::StatusOr<std::string> line =
          context.global.format == Format::kJson ? DefinitionToJson(coroutine) : DefinitionToLine(coroutine);
      if (!line.ok()) return ReportFailure(line.status(), context);
      context.output.Print(*line);
    }
    request.set_page_token(response->next_page_token());
  } while (!request.page_token().empty() && context.output.error() == 0);
  return kFine;
}

}  // namespace corod::cli
