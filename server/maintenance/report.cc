#include "server/maintenance/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace corod::maintenance {
namespace {

std::string NameOf(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::kDamaged:
      return "damaged";
    case Finding::Kind::kProblem:
      return "problem";
    case Finding::Kind::kWaits:
      return "waits";
  }
  return "";
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

std::string ToText(const Report& report) {
  std::string text;
  for (const std::string& wrong : report.journal) absl::StrAppend(&text, "journal: ", OneLine(wrong), "\n");
  for (const Finding& finding : report.findings) {
    absl::StrAppend(&text, finding.session, ": ", NameOf(finding.kind));
    if (!finding.reason.empty()) absl::StrAppend(&text, " ", finding.reason);
    if (finding.step > 0) absl::StrAppend(&text, " from step ", finding.step);
    absl::StrAppend(&text, ": ", OneLine(finding.message), "\n");
  }
  absl::StrAppend(&text, report.directory, ": ", report.sessions, " sessions, ", report.healthy(), " healthy, ",
                  report.damaged, " damaged, ", report.problems, " with a problem, ", report.waiting, " waiting; ",
                  report.steps, " steps, ", report.checkpoints, " checkpoints, ", report.definitions,
                  " definitions read");
  if (report.replayed) absl::StrAppend(&text, "; ", report.replayed_steps, " steps run again");
  absl::StrAppend(&text, "\n");
  return text;
}

std::string ToJson(const Report& report) {
  nlohmann::ordered_json findings = nlohmann::ordered_json::array();
  for (const Finding& finding : report.findings) {
    nlohmann::ordered_json one = {{"session", finding.session}, {"kind", NameOf(finding.kind)}};
    if (!finding.reason.empty()) one["reason"] = finding.reason;
    if (finding.step > 0) one["step"] = finding.step;
    one["message"] = finding.message;
    findings.push_back(std::move(one));
  }
  nlohmann::ordered_json json = {{"directory", report.directory},     {"healthy", report.IsHealthy()},
                                 {"sessions", report.sessions},       {"healthy_sessions", report.healthy()},
                                 {"damaged", report.damaged},         {"problems", report.problems},
                                 {"waiting", report.waiting},         {"steps", report.steps},
                                 {"checkpoints", report.checkpoints}, {"definitions", report.definitions}};
  if (report.replayed) json["replayed_steps"] = report.replayed_steps;
  json["journal"] = report.journal;
  json["findings"] = std::move(findings);
  // What is damaged may hold any bytes.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace corod::maintenance
