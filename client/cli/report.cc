#include "client/cli/report.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "client/cli/json_value.h"
#include "client/cpp/codec.h"
#include "client/cpp/service_error.h"

namespace corod::cli {

std::string TracebackOf(const Exception& exception) {
  std::string text;
  const std::optional<Exception> cause = exception.cause();
  const std::optional<Exception> context = exception.context();
  if (cause) {
    absl::StrAppend(&text, TracebackOf(*cause),
                    "\n\nThe above exception was the direct cause of the following exception:\n\n");
  } else if (context && !exception.suppress_context()) {
    absl::StrAppend(&text, TracebackOf(*context),
                    "\n\nDuring handling of the above exception, another exception occurred:\n\n");
  }
  if (!exception.traceback().empty()) {
    absl::StrAppend(&text, "Traceback (most recent call last):\n  ",
                    absl::StrReplaceAll(exception.traceback(), {{"\n", "\n  "}}), "\n");
  }
  absl::StrAppend(&text, exception.type());
  if (!exception.message().empty()) absl::StrAppend(&text, ": ", exception.message());
  for (const std::string& note : exception.notes()) absl::StrAppend(&text, "\n", note);
  return text;
}

std::string OutcomeToJson(const Outcome& outcome, std::uint64_t step, std::optional<bool> replayed) {
  std::string text = absl::StrCat(R"({"step": )", step, ", ");
  switch (outcome.kind) {
    case Outcome::Kind::kYielded:
      absl::StrAppend(&text, R"("yielded": )", ToJson(outcome.value));
      break;
    case Outcome::Kind::kReturned:
      absl::StrAppend(&text, R"("returned": )", ToJson(outcome.value));
      break;
    case Outcome::Kind::kRaised:
      absl::StrAppend(&text, R"("raised": )", ToJson(outcome.exception()));
      break;
  }
  if (replayed) absl::StrAppend(&text, R"(, "replayed": )", *replayed ? "true" : "false");
  return absl::StrCat(text, "}");
}

int ReportOutcome(const StepReport& report, Context& context) {
  const absl::StatusOr<Outcome> outcome = client::Decode(report.outcome);
  if (!outcome.ok()) return ReportFailure(outcome.status(), context);
  return ShowOutcome(OutcomeReport{.outcome = *outcome,
                                   .step = report.outcome.step(),
                                   .replayed = report.replayed,
                                   .quiet = report.quiet,
                                   .prefix = report.prefix},
                     context);
}

int ShowOutcome(const OutcomeReport& report, Context& context) {
  const Outcome& outcome = report.outcome;
  const bool raised = outcome.kind == Outcome::Kind::kRaised;
  if (context.global.format == Format::kJson) {
    context.output.Print(OutcomeToJson(outcome, report.step, report.replayed));
    return raised ? kRaised : kFine;
  }
  std::string line = report.prefix;
  const auto append = [&line](const std::string& word) { absl::StrAppend(&line, line.empty() ? "" : " ", word); };
  if (outcome.kind == Outcome::Kind::kReturned) append("returned");
  if (!raised && !report.quiet) append(ToJson(outcome.value));
  if (!line.empty()) context.output.Print(line);
  if (!raised) return kFine;
  context.output.Flush();  // the exception comes after what went before it
  context.output.Tell(report.quiet ? "coroctl: the coroutine raised an exception" : TracebackOf(outcome.exception()));
  return kRaised;
}

std::string FailureToText(const absl::Status& status, const GlobalArguments& global) {
  const client::ServiceError error = client::ErrorOf(status);
  std::string text = absl::StatusCodeToString(status.code());
  if (!error.reason.empty()) absl::StrAppend(&text, " ", error.reason);
  absl::StrAppend(&text, ": ", error.message);
  if (error.reason.empty() && status.code() == absl::StatusCode::kUnavailable) {
    absl::StrAppend(&text, " (is corod running at ", global.server, "?)");
  }
  if (error.retry_delay > absl::ZeroDuration()) {
    absl::StrAppend(&text, " (try again in ", absl::FormatDuration(error.retry_delay), ")");
  }
  return text;
}

int ReportFailure(const absl::Status& status, Context& context) {
  context.output.Flush();
  context.output.Tell(absl::StrCat("coroctl: ", FailureToText(status, context.global)));
  return kServiceFailed;
}

}  // namespace corod::cli
