#ifndef COROD_CLIENT_CLI_EVENT_FORM_H_
#define COROD_CLIENT_CLI_EVENT_FORM_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "corod/v1/coroutine_service.pb.h"
#include "server/coroutine/outcome.h"

// The steps of a session's history as text and as JSON.
namespace corod::cli {

enum class Times : std::uint8_t { kHidden, kShown };

// On one line, as `returned 3` or `raised KeyError: "'k'"`; a yielded value alone.
std::string OutcomeToWords(const Outcome& outcome);

// "4  send 20.5 -> 15.25", with its time after the step if that is shown.
absl::StatusOr<std::string> EventToLine(const v1::Event& event, Times times);

// {"step": 4, "time": "...", "send": 20.5, "yielded": 15.25} on one line; what is not known is left out.
absl::StatusOr<std::string> EventToJson(const v1::Event& event);

}  // namespace corod::cli

#endif  // COROD_CLIENT_CLI_EVENT_FORM_H_
