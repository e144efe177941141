// health and log-level: for whoever runs the server.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/json_value.h"
#include "client/cli/report.h"

namespace corod::cli {
namespace {

// What health returns where the server is not well: what watches over it wants 1.
constexpr int kUnhealthy = 1;
// In the place of an area.
constexpr const char* kEach = "all";

int TellUnhealthy(const std::string& why, Context& context) {
  context.output.Flush();
  context.output.Tell(absl::StrCat("coroctl: ", why));
  return kUnhealthy;
}

}  // namespace

int RunCommand(const HealthArguments& arguments, Context& context) {
  using Response = grpc::health::v1::HealthCheckResponse;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(arguments.service);
  const absl::StatusOr<Response> response = context.connection->CheckHealth(request);
  if (absl::IsNotFound(response.status())) {
    return TellUnhealthy(absl::StrCat("the server tells nothing of a service ", arguments.service), context);
  }
  if (!response.ok()) return TellUnhealthy(FailureToText(response.status(), context.global), context);
  const std::string status = Response::ServingStatus_Name(response->status());
  if (response->status() != Response::SERVING) {
    return TellUnhealthy(absl::StrCat(status, ": the server takes no new work"), context);
  }
  context.output.Print(context.global.format == Format::kJson ? absl::StrCat(R"({"status": )", QuoteJson(status), "}")
                                                              : status);
  return kFine;
}

int RunCommand(const LogLevelArguments& arguments, Context& context) {
  const std::string area = arguments.area == kEach ? "" : arguments.area;
  google::protobuf::RepeatedPtrField<v1::LogLevel> levels;
  if (arguments.level.empty()) {
    absl::StatusOr<v1::GetLogLevelsResponse> response = context.connection->GetLogLevels();
    if (!response.ok()) return ReportFailure(response.status(), context);
    levels.Swap(response->mutable_levels());
  } else {
    v1::SetLogLevelRequest request;
    request.set_area(area);
    request.set_level(arguments.level);
    absl::StatusOr<v1::SetLogLevelResponse> response = context.connection->SetLogLevel(request);
    if (!response.ok()) return ReportFailure(response.status(), context);
    levels.Swap(response->mutable_levels());
  }
  std::vector<std::string> areas;
  bool is_there = false;
  for (const v1::LogLevel& level : levels) {
    areas.push_back(level.area());
    if (!area.empty() && level.area() != area) continue;
    is_there = true;
    context.output.Print(
        context.global.format == Format::kJson
            ? absl::StrCat(R"({"area": )", QuoteJson(level.area()), R"(, "level": )", QuoteJson(level.level()), "}")
            : absl::StrFormat("%-8s %s", level.area(), level.level()));
  }
  if (is_there) return kFine;
  return TellWrongUsage(
      absl::InvalidArgumentError(absl::StrCat("there is no area ", area, "; there are ", absl::StrJoin(areas, ", "))),
      context);
}

}  // namespace corod::cli
