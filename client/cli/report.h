#ifndef COROD_CLIENT_CLI_REPORT_H_
#define COROD_CLIENT_CLI_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "client/cli/context.h"
#include "corod/v1/session.pb.h"
#include "server/coroutine/exception.h"
#include "server/coroutine/outcome.h"

// How outcomes and failures are shown.
namespace corod::cli {

// As Python prints an exception that nobody caught, with what caused it and what was being handled, without a final
// line end.
std::string TracebackOf(const Exception& exception);

// {"step": 3, "yielded": 20.0, "replayed": false}; without `replayed` if it is not known.
std::string OutcomeToJson(const Outcome& outcome, std::uint64_t step, std::optional<bool> replayed);

// What the service sent, and how the command line was asked to show it.
struct StepReport {
  const v1::Outcome& outcome;
  bool replayed = false;
  bool quiet = false;  // the kind alone was asked for
  // Stands before it on its line of text.
  std::string prefix = {};
};

// Shows what a step produced and returns the exit status: kFine, kRaised, or kServiceFailed if it cannot be read.
//
// As text: a value that was yielded as JSON; "returned" and the value as JSON; an exception on stderr.
int ReportOutcome(const StepReport& report, Context& context);

// The same of an outcome that is there already. `replayed`: unset: it is not known.
struct OutcomeReport {
  const Outcome& outcome;
  std::uint64_t step = 0;
  std::optional<bool> replayed = {};
  bool quiet = false;
  std::string prefix = {};
};
int ShowOutcome(const OutcomeReport& report, Context& context);

// Says on stderr why the service failed, and returns kServiceFailed.
int ReportFailure(const absl::Status& status, Context& context);

// "NOT_FOUND SESSION_NOT_FOUND: there is no session abc"
std::string FailureToText(const absl::Status& status, const GlobalArguments& global);

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_REPORT_H_
