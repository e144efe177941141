// create, delete, fork, get and list.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/event_form.h"
#include "client/cli/report.h"
#include "client/cli/session_form.h"
#include "client/cpp/codec.h"

namespace corod::cli {
namespace {

// `id state`, then the outcome if it was primed.
int ReportCreatedAsText(const v1::CreateResponse& response, Context& context) {
  const v1::Session& session = response.session();
  const std::string start = absl::StrCat(session.session_id(), " ", StateName(session.state()));
  if (response.has_outcome()) {
    return ReportOutcome({.outcome = response.outcome(), .replayed = response.replayed(), .prefix = start}, context);
  }
  context.output.Print(response.existed() ? absl::StrCat(start, " existed") : start);
  return kFine;
}

int ReportCreatedAsJson(const v1::CreateResponse& response, Context& context) {
  std::string more = absl::StrCat(R"("existed": )", response.existed() ? "true" : "false", R"(, "replayed": )",
                                  response.replayed() ? "true" : "false");
  int status = kFine;
  if (response.has_outcome()) {
    const absl::StatusOr<Outcome> outcome = client::Decode(response.outcome());
    if (!outcome.ok()) return ReportFailure(outcome.status(), context);
    absl::StrAppend(&more, R"(, "outcome": )", OutcomeToJson(*outcome, response.outcome().step(), response.replayed()));
    if (outcome->kind == Outcome::Kind::kRaised) status = kRaised;
  }
  const absl::StatusOr<std::string> json = SessionToJson(response.session(), more);
  if (!json.ok()) return ReportFailure(json.status(), context);
  context.output.Print(*json);
  return status;
}

}  // namespace

absl::StatusOr<v1::CreateRequest> RequestOf(const CreateArguments& arguments) {
  v1::CreateRequest request;
  request.set_coroutine(arguments.coroutine);
  for (const Map::Entry& argument : arguments.arguments) {
    absl::StatusOr<v1::Value> value = client::Encode(argument.value);
    if (!value.ok()) return value.status();
    (*request.mutable_arguments())[argument.key] = *std::move(value);
  }
  request.set_session_id(arguments.session_id);
  request.set_prime(arguments.prime);
  if (arguments.idle_timeout) *request.mutable_idle_timeout() = DurationToProto(*arguments.idle_timeout);
  request.set_durability(arguments.durability);
  request.mutable_labels()->insert(arguments.labels.begin(), arguments.labels.end());
  request.set_request_id(arguments.request_id);
  request.set_if_exists(arguments.if_exists);
  request.set_version(arguments.version);
  return request;
}

int RunCommand(const CreateArguments& arguments, Context& context) {
  absl::StatusOr<v1::CreateRequest> request = RequestOf(arguments);
  if (!request.ok()) return ReportFailure(request.status(), context);
  const absl::StatusOr<v1::CreateResponse> response = context.connection->Create(*std::move(request));
  if (!response.ok()) return ReportFailure(response.status(), context);
  const bool json = context.global.format == Format::kJson;
  return json ? ReportCreatedAsJson(*response, context) : ReportCreatedAsText(*response, context);
}

int ReportNewSession(const v1::Session& session, Context& context) {
  if (context.global.format == Format::kJson) {
    const absl::StatusOr<std::string> json = SessionToJson(session);
    if (!json.ok()) return ReportFailure(json.status(), context);
    context.output.Print(*json);
    return kFine;
  }
  std::string line = absl::StrCat(session.session_id(), " ", StateName(session.state()));
  if (session.has_last_outcome()) {
    const absl::StatusOr<Outcome> outcome = client::Decode(session.last_outcome());
    if (!outcome.ok()) return ReportFailure(outcome.status(), context);
    absl::StrAppend(&line, " ", OutcomeToWords(*outcome));
  }
  context.output.Print(line);
  return kFine;
}

int RunCommand(const ForkArguments& arguments, Context& context) {
  v1::ForkRequest request;
  request.set_session_id(arguments.session_id);
  if (arguments.at_step) request.set_at_step(*arguments.at_step);
  request.set_new_session_id(arguments.new_session_id);
  request.mutable_labels()->insert(arguments.labels.begin(), arguments.labels.end());
  request.set_request_id(arguments.request_id);
  const absl::StatusOr<v1::ForkResponse> response = context.connection->Fork(std::move(request));
  if (!response.ok()) return ReportFailure(response.status(), context);
  return ReportNewSession(response->session(), context);
}

int RunCommand(const DeleteArguments& arguments, Context& context) {
  v1::DeleteRequest request;
  request.set_session_id(arguments.session_id);
  request.set_uid(arguments.uid);
  request.set_force(arguments.force);
  request.set_request_id(arguments.request_id);
  const absl::StatusOr<v1::DeleteResponse> response = context.connection->Delete(std::move(request));
  if (!response.ok()) return ReportFailure(response.status(), context);
  if (!response->has_outcome()) return kFine;
  return ReportOutcome({.outcome = response->outcome()}, context);
}

int RunCommand(const GetArguments& arguments, Context& context) {
  v1::GetRequest request;
  request.set_session_id(arguments.session_id);
  if (arguments.at_step) request.set_at_step(*arguments.at_step);
  const absl::StatusOr<v1::GetResponse> response = context.connection->Get(request);
  if (!response.ok()) return ReportFailure(response.status(), context);
  const v1::Session& session = response->session();
  const absl::StatusOr<std::string> text =
      context.global.format == Format::kJson ? SessionToJson(session) : SessionToText(session);
  if (!text.ok()) return ReportFailure(text.status(), context);
  context.output.Print(*text);
  return kFine;
}

int RunCommand(const ListArguments& arguments, Context& context) {
  constexpr std::uint64_t kPage = 1000;
  const bool json = context.global.format == Format::kJson;
  v1::ListRequest request;
  request.set_coroutine(arguments.coroutine);
  request.set_state(arguments.state);
  request.set_has_problem(arguments.has_problem);
  request.mutable_labels()->insert(arguments.labels.begin(), arguments.labels.end());
  request.set_view(json ? v1::SESSION_VIEW_FULL : v1::SESSION_VIEW_BASIC);
  std::uint64_t shown = 0;
  do {
    const std::uint64_t wanted = arguments.limit == 0 ? kPage : std::min(kPage, arguments.limit - shown);
    request.set_page_size(static_cast<std::int32_t>(wanted));
    const absl::StatusOr<v1::ListResponse> response = context.connection->List(request);
    if (!response.ok()) return ReportFailure(response.status(), context);
    for (const v1::Session& session : response->sessions()) {
      const absl::StatusOr<std::string> line = json ? SessionToJson(session) : SessionToLine(session);
      if (!line.ok()) return ReportFailure(line.status(), context);
      context.output.Print(*line);
      ++shown;
    }
    request.set_page_token(response->next_page_token());
    if (context.output.error() != 0) break;  // nobody reads on
  } while (!request.page_token().empty() && (arguments.limit == 0 || shown < arguments.limit));
  return kFine;
}

}  // namespace corod::cli
