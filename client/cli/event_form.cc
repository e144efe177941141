#include "client/cli/event_form.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "client/cli/json_value.h"
#include "client/cli/session_form.h"
#include "client/cpp/codec.h"

namespace corod::cli {
namespace {

// With milliseconds: steps come thick and fast.
std::string EventTime(const v1::Event& event) {
  const absl::Time time = absl::FromUnixSeconds(event.time().seconds()) + absl::Nanoseconds(event.time().nanos());
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

std::string CauseName(v1::CloseCause cause) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::CloseCause_Name(cause), "CLOSE_CAUSE_"));
}

std::string ExceptionToWords(const Exception& exception) {
  if (exception.message().empty()) return exception.type();
  return absl::StrCat(exception.type(), ": ", QuoteJson(exception.message()));
}

// As the command that made the step would be written.
absl::StatusOr<std::string> OperationToWords(const v1::Event& event) {
  switch (event.operation_case()) {
    case v1::Event::kThrow: {
      const absl::StatusOr<Exception> exception = client::Decode(event.throw_());
      if (!exception.ok()) return exception.status();
      return absl::StrCat("throw ", ExceptionToWords(*exception));
    }
    case v1::Event::kClose: {
      std::string words = event.close().force() ? "close --force" : "close";
      if (event.cause() > v1::CLOSE_CAUSE_CLIENT) absl::StrAppend(&words, " (", CauseName(event.cause()), ")");
      return words;
    }
    case v1::Event::kCreate:
      return "create";
    case v1::Event::kSend:
    case v1::Event::OPERATION_NOT_SET:
      break;
  }
  if (event.send().kind_case() == v1::Value::KIND_NOT_SET) return "next";
  const absl::StatusOr<Value> value = client::Decode(event.send());
  if (!value.ok()) return value.status();
  return absl::StrCat("send ", ToJson(*value));
}

// A member that begins with a comma.
absl::StatusOr<std::string> OperationToJson(const v1::Event& event) {
  switch (event.operation_case()) {
    case v1::Event::kThrow: {
      const absl::StatusOr<Exception> exception = client::Decode(event.throw_());
      if (!exception.ok()) return exception.status();
      return absl::StrCat(R"(, "throw": )", ToJson(*exception));
    }
    case v1::Event::kClose:
      return absl::StrCat(R"(, "close": {"force": )", event.close().force() ? "true" : "false", "}");
    case v1::Event::kCreate: {
      const absl::StatusOr<std::string> arguments = ArgumentsToJson(event.create().arguments());
      if (!arguments.ok()) return arguments.status();
      return absl::StrCat(R"(, "create": {"coroutine": )", QuoteJson(event.create().coroutine()), R"(, "arguments": )",
                          *arguments, "}");
    }
    case v1::Event::kSend:
    case v1::Event::OPERATION_NOT_SET:
      break;
  }
  const absl::StatusOr<Value> value = client::Decode(event.send());
  if (!value.ok()) return value.status();
  return absl::StrCat(R"(, "send": )", ToJson(*value));
}

}  // namespace

std::string OutcomeToWords(const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::kYielded:
      break;
    case Outcome::Kind::kReturned:
      return absl::StrCat("returned ", ToJson(outcome.value));
    case Outcome::Kind::kRaised:
      return absl::StrCat("raised ", ExceptionToWords(outcome.exception()));
  }
  return ToJson(outcome.value);
}

absl::StatusOr<std::string> EventToLine(const v1::Event& event, Times times) {
  const absl::StatusOr<std::string> operation = OperationToWords(event);
  if (!operation.ok()) return operation.status();
  const absl::StatusOr<Outcome> outcome = client::Decode(event.outcome());
  if (!outcome.ok()) return outcome.status();
  const std::string time = times == Times::kShown ? EventTime(event) + "  " : "";
  return absl::StrCat(event.step(), "  ", time, *operation, " -> ", OutcomeToWords(*outcome));
}

absl::StatusOr<std::string> EventToJson(const v1::Event& event) {
  const absl::StatusOr<std::string> operation = OperationToJson(event);
  if (!operation.ok()) return operation.status();
  const absl::StatusOr<Outcome> outcome = client::Decode(event.outcome());
  if (!outcome.ok()) return outcome.status();
  std::string json = absl::StrCat(R"({"step": )", event.step());
  if (event.has_time()) absl::StrAppend(&json, R"(, "time": )", QuoteJson(EventTime(event)));
  absl::StrAppend(&json, *operation);
  if (event.cause() != v1::CLOSE_CAUSE_UNSPECIFIED)
    absl::StrAppend(&json, R"(, "cause": )", QuoteJson(CauseName(event.cause())));
  switch (outcome->kind) {
    case Outcome::Kind::kYielded:
      absl::StrAppend(&json, R"(, "yielded": )", ToJson(outcome->value));
      break;
    case Outcome::Kind::kReturned:
      absl::StrAppend(&json, R"(, "returned": )", ToJson(outcome->value));
      break;
    case Outcome::Kind::kRaised:
      absl::StrAppend(&json, R"(, "raised": )", ToJson(outcome->exception()));
      break;
  }
  if (!event.request_id().empty()) absl::StrAppend(&json, R"(, "request_id": )", QuoteJson(event.request_id()));
  if (!event.traceparent().empty()) absl::StrAppend(&json, R"(, "traceparent": )", QuoteJson(event.traceparent()));
  return absl::StrCat(json, "}");
}

}  // namespace corod::cli
