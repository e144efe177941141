#include "client/cli/bench_form.h"

#include <array>
#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/json_value.h"
#include "client/cli/session_form.h"

namespace corod::cli {
namespace {

struct Part {
  const char* name;
  std::optional<double> quantile;  // unset: the highest
};

constexpr std::array kParts = {Part{"p50", 0.5}, Part{"p90", 0.9}, Part{"p99", 0.99}, Part{"p99.9", 0.999},
                               Part{"max", std::nullopt}};

double Milliseconds(const Part& part, const load::Latencies& latencies) {
  return absl::ToDoubleMilliseconds(part.quantile ? latencies.Quantile(*part.quantile) : latencies.max());
}

// "64 calls"
std::string Counted(std::uint64_t count, const char* what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

std::string LoadToText(const BenchArguments& arguments) {
  if (arguments.mode == BenchArguments::Mode::kDrive) {
    return absl::StrCat(
        "drive, messages of ", Counted(arguments.batch, "command"), ", ",
        Counted(static_cast<std::uint64_t>(arguments.outstanding), "message"), " outstanding on ",
        arguments.streams == 1 ? "one stream" : absl::StrCat("each of ", arguments.streams, " streams"));
  }
  if (arguments.rate) return absl::StrFormat("unary, %d calls a second", *arguments.rate);
  return absl::StrCat("unary, ", Counted(static_cast<std::uint64_t>(arguments.outstanding), "call"), " outstanding");
}

std::string LoadToJson(const BenchArguments& arguments) {
  if (arguments.mode == BenchArguments::Mode::kDrive) {
    return absl::StrFormat(R"("mode": "drive", "batch": %d, "streams": %d, "outstanding": %d)", arguments.batch,
                           arguments.streams, arguments.outstanding);
  }
  if (arguments.rate) return absl::StrFormat(R"("mode": "unary", "rate": %d)", *arguments.rate);
  return absl::StrFormat(R"("mode": "unary", "outstanding": %d)", arguments.outstanding);
}

}  // namespace

std::string BenchToText(const BenchArguments& arguments, const v1::Session& session, const load::Found& found) {
  std::string text;
  const auto add = [&text](const std::string& name, const std::string& what) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", absl::StrFormat("%-13s %s", name, what));
  };
  add("sessions", absl::StrCat(arguments.sessions, " of ", session.coroutine(), " version ", session.version(), ", ",
                               DurabilityName(session.durability())));
  add("load", LoadToText(arguments));
  add("commands", absl::StrFormat("%d in %.3f s", found.commands, absl::ToDoubleSeconds(found.took)));
  add("throughput", absl::StrFormat("%.0f commands/s", found.rate()));
  for (const Part& part : kParts) {
    add(absl::StrCat("latency ", part.name), absl::StrFormat("%.3f ms", Milliseconds(part, found.latencies)));
  }
  return text;
}

std::string BenchToJson(const BenchArguments& arguments, const v1::Session& session, const load::Found& found) {
  std::string latencies;
  for (const Part& part : kParts) {
    absl::StrAppend(&latencies, latencies.empty() ? "" : ", ", QuoteJson(part.name), ": ",
                    absl::StrFormat("%.6f", Milliseconds(part, found.latencies)));
  }
  return absl::StrCat(R"({"coroutine": )", QuoteJson(session.coroutine()), R"(, "version": )", session.version(),
                      R"(, "durability": )", QuoteJson(DurabilityName(session.durability())), R"(, "sessions": )",
                      arguments.sessions, ", ", LoadToJson(arguments), R"(, "commands": )", found.commands,
                      absl::StrFormat(R"(, "seconds": %.6f, "commands_per_second": %.1f)",
                                      absl::ToDoubleSeconds(found.took), found.rate()),
                      R"(, "latency_ms": {)", latencies, "}}");
}

}  // namespace corod::cli
