#include "client/cli/session_form.h"

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/duration_text.h"
#include "client/cli/event_form.h"
#include "client/cli/json_value.h"
#include "client/cli/report.h"
#include "client/cpp/codec.h"
#include "client/cpp/service_error.h"

namespace corod::cli {
namespace {

template <typename Labels>
std::string LabelsToText(const Labels& labels) {
  const std::map<std::string, std::string> sorted(labels.begin(), labels.end());
  return absl::StrJoin(sorted, " ", absl::PairFormatter("="));
}

std::string LabelsToJson(const v1::Session& session) {
  const std::map<std::string, std::string> sorted(session.labels().begin(), session.labels().end());
  return absl::StrCat("{",
                      absl::StrJoin(sorted, ", ",
                                    [](std::string* out, const auto& label) {
                                      absl::StrAppend(out, QuoteJson(label.first), ": ", QuoteJson(label.second));
                                    }),
                      "}");
}

std::string ProblemToText(const v1::Failure& problem) {
  return absl::StrCat(absl::StatusCodeToString(client::StatusOf(problem).code()), " ", problem.reason(), ": ",
                      problem.message());
}

// As a step would be shown, on one line.
std::string LastOutcomeToText(const Outcome& outcome, std::uint64_t step) {
  const bool yielded = outcome.kind == Outcome::Kind::kYielded;
  return absl::StrCat(yielded ? "yielded " : "", OutcomeToWords(outcome), " (step ", step, ")");
}

// What a session lives in: `ephemeral`, `durable`, or `asleep` if it is durable and not in memory just now.
std::string HomeOf(const v1::Session& session) {
  const bool asleep =
      session.durability() == v1::DURABILITY_DURABLE && !session.live() && session.state() != v1::STATE_CLOSED;
  return asleep ? "asleep" : DurabilityName(session.durability());
}

std::string DurabilityToText(const v1::Session& session) {
  std::string name = DurabilityName(session.durability());
  if (session.durability() != v1::DURABILITY_DURABLE || session.state() == v1::STATE_CLOSED) return name;
  return absl::StrCat(name, session.live() ? ", live" : ", asleep");
}

// Of the steps kept, if any are.
bool HasEarliestStep(const v1::Session& session) {
  return session.earliest_step() > 0 && session.earliest_step() <= session.steps();
}

}  // namespace

absl::StatusOr<std::string> ArgumentsToJson(const google::protobuf::Map<std::string, v1::Value>& arguments) {
  const std::map<std::string, v1::Value> sorted(arguments.begin(), arguments.end());
  std::string json;
  for (const auto& [name, proto] : sorted) {
    absl::StatusOr<Value> value = client::Decode(proto);
    if (!value.ok()) return value.status();
    absl::StrAppend(&json, json.empty() ? "" : ", ", QuoteJson(name), ": ", ToJson(*value));
  }
  return absl::StrCat("{", json, "}");
}

std::string StateName(v1::State state) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::State_Name(state), "STATE_"));
}

std::string DurabilityName(v1::Durability durability) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::Durability_Name(durability), "DURABILITY_"));
}

std::string SessionToLine(const v1::Session& session) {
  std::string line = absl::StrFormat("%-36s  %-16s  %-9s  %8d  %s  %s", session.session_id(), session.coroutine(),
                                     StateName(session.state()), session.steps(), TimeToText(session.last_used_time()),
                                     HomeOf(session));
  if (!session.labels().empty()) absl::StrAppend(&line, "  ", LabelsToText(session.labels()));
  if (session.has_problem()) absl::StrAppend(&line, "  problem: ", session.problem().reason());
  return line;
}

absl::StatusOr<std::string> SessionToText(const v1::Session& session) {
  std::string text;
  const auto add = [&text](const std::string& name, const std::string& value) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", absl::StrFormat("%-14s", name), value);
  };
  const absl::StatusOr<std::string> arguments = ArgumentsToJson(session.arguments());
  if (!arguments.ok()) return arguments.status();
  add("session", session.session_id());
  add("coroutine", absl::StrCat(session.coroutine(), " version ", session.version()));
  add("arguments", *arguments);
  add("state", StateName(session.state()));
  add("steps", absl::StrCat(session.steps()));
  if (HasEarliestStep(session)) add("earliest step", absl::StrCat(session.earliest_step()));
  if (session.has_last_outcome()) {
    const absl::StatusOr<Outcome> outcome = client::Decode(session.last_outcome());
    if (!outcome.ok()) return outcome.status();
    add("last outcome", LastOutcomeToText(*outcome, session.last_outcome().step()));
  }
  if (session.has_problem()) add("problem", ProblemToText(session.problem()));
  if (!session.labels().empty()) add("labels", LabelsToText(session.labels()));
  add("durability", DurabilityToText(session));
  add("idle timeout", IdleTimeoutToText(session.idle_timeout()));
  if (session.has_expire_time()) add("expires", TimeToText(session.expire_time()));
  add("created", TimeToText(session.create_time()));
  add("last used", TimeToText(session.last_used_time()));
  add("uid", session.uid());
  return text;
}

absl::StatusOr<std::string> SessionToJson(const v1::Session& session, const std::string& more) {
  const absl::StatusOr<std::string> arguments = ArgumentsToJson(session.arguments());
  if (!arguments.ok()) return arguments.status();
  std::string json = absl::StrCat(R"({"session_id": )", QuoteJson(session.session_id()), R"(, "coroutine": )",
                                  QuoteJson(session.coroutine()), R"(, "version": )", session.version(),
                                  R"(, "arguments": )", *arguments, R"(, "state": )",
                                  QuoteJson(StateName(session.state())), R"(, "steps": )", session.steps());
  if (session.has_last_outcome()) {
    const absl::StatusOr<Outcome> outcome = client::Decode(session.last_outcome());
    if (!outcome.ok()) return outcome.status();
    absl::StrAppend(&json, R"(, "last_outcome": )",
                    OutcomeToJson(*outcome, session.last_outcome().step(), std::nullopt));
  }
  if (session.has_problem()) absl::StrAppend(&json, R"(, "problem": )", QuoteJson(ProblemToText(session.problem())));
  absl::StrAppend(&json, R"(, "labels": )", LabelsToJson(session), R"(, "durability": )",
                  QuoteJson(DurabilityName(session.durability())), R"(, "idle_timeout": )",
                  QuoteJson(IdleTimeoutToText(session.idle_timeout())));
  if (session.has_expire_time())
    absl::StrAppend(&json, R"(, "expire_time": )", QuoteJson(TimeToText(session.expire_time())));
  absl::StrAppend(&json, R"(, "create_time": )", QuoteJson(TimeToText(session.create_time())),
                  R"(, "last_used_time": )", QuoteJson(TimeToText(session.last_used_time())), R"(, "earliest_step": )",
                  session.earliest_step(), R"(, "uid": )", QuoteJson(session.uid()), R"(, "live": )",
                  session.live() ? "true" : "false");
  if (!more.empty()) absl::StrAppend(&json, ", ", more);
  return absl::StrCat(json, "}");
}

}  // namespace corod::cli
