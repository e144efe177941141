// send, next, throw and close: one step each.
#include <utility>

#include "client/cli/commands.h"
#include "client/cli/report.h"
#include "client/cpp/codec.h"

namespace corod::cli {
namespace {

template <typename Request>
void SetStep(const StepArguments& step, Request* request) {
  request->set_session_id(step.session_id);
  request->set_expected_step(step.expected_step);
  request->set_request_id(step.request_id);
}

template <typename Response>
int Report(const absl::StatusOr<Response>& response, const StepArguments& step, Context& context) {
  if (!response.ok()) return ReportFailure(response.status(), context);
  return ReportOutcome({.outcome = response->outcome(), .replayed = response->replayed(), .quiet = step.quiet},
                       context);
}

}  // namespace

int RunCommand(const SendArguments& arguments, Context& context) {
  absl::StatusOr<v1::Value> value = client::Encode(arguments.value);
  if (!value.ok()) return ReportFailure(value.status(), context);
  v1::SendRequest request;
  SetStep(arguments.step, &request);
  request.set_quiet(arguments.step.quiet);
  *request.mutable_value() = *std::move(value);
  return Report(context.connection->Send(std::move(request)), arguments.step, context);
}

int RunCommand(const ThrowArguments& arguments, Context& context) {
  absl::StatusOr<v1::Exception> exception = client::Encode(arguments.exception);
  if (!exception.ok()) return ReportFailure(exception.status(), context);
  v1::ThrowRequest request;
  SetStep(arguments.step, &request);
  request.set_quiet(arguments.step.quiet);
  *request.mutable_exception() = *std::move(exception);
  return Report(context.connection->Throw(std::move(request)), arguments.step, context);
}

int RunCommand(const CloseArguments& arguments, Context& context) {
  v1::CloseRequest request;
  SetStep(arguments.step, &request);
  request.set_force(arguments.force);
  return Report(context.connection->Close(std::move(request)), arguments.step, context);
}

}  // namespace corod::cli
