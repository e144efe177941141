#include "server/metrics/exposition.h"

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <cmath>
#include <initializer_list>
#include <sstream>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "server/metrics/process.h"

namespace corod::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

struct Label {
  const char* name;
  std::string_view value;
};
using Labels = std::initializer_list<Label>;

// Adds samples to one family.
class Family {
 public:
  Family(std::vector<MetricFamily>& families, const char* name, MetricType type, const char* help)
      : family_(families.emplace_back()), is_counter_(type == MetricType::Counter) {
    family_.name = name;
    family_.type = type;
    family_.help = help;
  }

  void Add(double value, Labels labels = {}) {
    ClientMetric& metric = NewMetric(labels);
    if (is_counter_) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
  }
  void Add(std::optional<double> value, Labels labels = {}) {
    if (value) Add(*value, labels);
  }
  // Not what never happened: of all that can, most never does.
  void AddIfAny(std::uint64_t value, Labels labels) {
    if (value > 0) Add(static_cast<double>(value), labels);
  }
  // `scale`: what the histogram's unit is in that of the family.
  template <typename Histogram>
  void AddHistogram(const Histogram& histogram, double scale, Labels labels = {}) {
    AddSnapshot<Histogram>(histogram.Read(), scale, labels);
  }
  template <typename Histogram>
  void AddHistogramIfAny(const Histogram& histogram, double scale, Labels labels) {
    const typename Histogram::Snapshot snapshot = histogram.Read();
    if (snapshot.count > 0) AddSnapshot<Histogram>(snapshot, scale, labels);
  }

 private:
  ClientMetric& NewMetric(Labels labels) {
    ClientMetric& metric = family_.metric.emplace_back();
    for (const Label& label : labels) metric.label.push_back({label.name, std::string(label.value)});
    return metric;
  }
  template <typename Histogram>
  void AddSnapshot(const typename Histogram::Snapshot& snapshot, double scale, Labels labels) {
    ClientMetric::Histogram& added = NewMetric(labels).histogram;
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < Histogram::kBounds; ++i) {
      count += snapshot.counts[i];
      added.bucket.push_back({count, static_cast<double>(Histogram::BoundOf(i)) / scale});
    }
    added.sample_count = snapshot.count;
    added.sample_sum = static_cast<double>(snapshot.sum) / scale;
  }

  MetricFamily& family_;
  const bool is_counter_;
};

constexpr double kNanoseconds = 1e9;

void AddCommands(const std::string& coroutine, const CommandCounters& counters, std::size_t rpcs, Family& family) {
  for (std::size_t i = 0; i < rpcs; ++i) {
    const auto rpc = static_cast<Rpc>(i);
    for (std::size_t j = 0; j < kResults; ++j) {
      const auto result = static_cast<Result>(j);
      family.AddIfAny(counters.value(rpc, result),
                      {{"rpc", NameOf(rpc)}, {"coroutine", coroutine}, {"result", NameOf(result)}});
    }
  }
}

}  // namespace

std::vector<MetricFamily> Collect(const Metrics& metrics) {
  std::vector<MetricFamily> families;
  families.reserve(64);  // a Family refers to one of them
  const auto counter = [&families](const char* name, const char* help) {
    return Family(families, name, MetricType::Counter, help);
  };
  const auto gauge = [&families](const char* name, const char* help) {
    return Family(families, name, MetricType::Gauge, help);
  };
  const auto histogram = [&families](const char* name, const char* help) {
    return Family(families, name, MetricType::Histogram, help);
  };
  const Readings readings = metrics.Read();

  {
    Family commands = counter("corod_commands_total", "Calls that were answered, and commands of Drive.");
    for (const auto& [name, counters] : metrics.ListCoroutines()) {
      AddCommands(name, *counters, kSessionRpcs, commands);
    }
    AddCommands("", metrics.without_coroutine(), kRpcs, commands);
  }
  {
    Family refusals = counter("corod_refusals_total", "Calls and commands that were answered with an error.");
    for (std::size_t kind = 0; kind < RefusalCounters::kKinds; ++kind) {
      refusals.Add(static_cast<double>(metrics.refusals.value(kind)), {{"reason", RefusalCounters::NameOfKind(kind)}});
    }
  }
  {
    Family seconds = histogram("corod_command_seconds", "From the arrival of a call or a command to its answer.");
    for (std::size_t i = 0; i < kRpcs; ++i) {
      const auto rpc = static_cast<Rpc>(i);
      seconds.AddHistogramIfAny(metrics.command_seconds[rpc], kNanoseconds, {{"rpc", NameOf(rpc)}});
    }
  }
  {
    Family sessions = gauge("corod_sessions", "Sessions: in memory, on the disk alone, finished, with a problem.");
    sessions.Add(readings.live_sessions, {{"kind", "live"}});
    sessions.Add(readings.asleep_sessions, {{"kind", "asleep"}});
    sessions.Add(readings.finished_sessions, {{"kind", "finished"}});
    sessions.Add(readings.problem_sessions, {{"kind", "problem"}});
  }
  gauge("corod_frames", "Coroutine frames that live sessions have.").Add(readings.frames);
  gauge("corod_frame_bytes", "Memory for coroutine frames.").Add(readings.frame_bytes);
  gauge("corod_lua_bytes", "Memory that coroutines written in Lua hold.").Add(readings.lua_bytes);
  {
    Family depth = gauge("corod_queue_depth", "What waits for its turn.");
    depth.Add(static_cast<double>(metrics.queued_commands.value()), {{"queue", "commands"}});
    depth.Add(readings.queued_by_workers, {{"queue", "workers"}});
    depth.Add(readings.queued_by_journal, {{"queue", "journal"}});
    depth.Add(static_cast<double>(metrics.queued_by_drive.value()), {{"queue", "drive"}});
  }
  {
    Family streams = gauge("corod_streams", "Streams that are open: those that a namespace's `streams` limit.");
    streams.Add(static_cast<double>(metrics.drive_streams.value()), {{"rpc", "Drive"}});
    streams.Add(static_cast<double>(metrics.watch_streams.value()), {{"rpc", "Watch"}});
    streams.Add(static_cast<double>(metrics.export_streams.value()), {{"rpc", "Export"}});
    streams.Add(static_cast<double>(metrics.import_streams.value()), {{"rpc", "Import"}});
  }

  const JournalMetrics& journal = metrics.journal;
  histogram("corod_journal_append_seconds",
            "From an append to the journal until it is written and, if need be, synced.")
      .AddHistogram(journal.append_seconds, kNanoseconds);
  histogram("corod_journal_batch_appends", "Appends that were written together.")
      .AddHistogram(journal.batch_appends, 1);
  counter("corod_journal_syncs_total", "Syncs of the journal's write-ahead log.")
      .Add(static_cast<double>(journal.syncs.value()));
  counter("corod_journal_written_bytes_total", "Bytes written to the journal's write-ahead log.")
      .Add(static_cast<double>(journal.written_bytes.value()));
  gauge("corod_journal_bytes", "What the journal takes on the disk.").Add(readings.journal_bytes);

  const ReplayMetrics& replay = metrics.replay;
  {
    Family replays = counter("corod_replays_total", "How often a session's log was run again.");
    const auto add = [&](ReplayCause cause, std::string_view name) {
      replays.Add(static_cast<double>(replay.replays.value(cause)), {{"cause", name}});
    };
    add(ReplayCause::kWake, "wake");
    add(ReplayCause::kHistory, "history");
    add(ReplayCause::kRepeat, "repeat");
  }
  counter("corod_replayed_steps_total", "Steps that were run again.").Add(static_cast<double>(replay.steps.value()));
  histogram("corod_replay_seconds", "How long it took to run a session's log again.")
      .AddHistogram(replay.seconds, kNanoseconds);

  const auto namespaces = metrics.ListNamespaces();
  const auto add_by_namespace = [&](Family family,
                                    const std::vector<std::pair<const NamespaceMetrics*, double>>& counts) {
    absl::flat_hash_map<const NamespaceMetrics*, double> known;
    for (const auto& [of, count] : counts) known[of] += count;
    for (const auto& [name, of] : namespaces) {
      if (const auto found = known.find(of); found != known.end()) family.Add(found->second, {{"namespace", name}});
    }
  };
  add_by_namespace(gauge("corod_namespace_sessions", "Sessions of a namespace."), readings.namespace_sessions);
  add_by_namespace(gauge("corod_namespace_memory_bytes", "Memory that the live sessions of a namespace take, about."),
                   readings.namespace_memory);
  {
    Family commands = counter("corod_namespace_commands_total", "Calls and commands of a namespace.");
    for (const auto& [name, of] : namespaces) {
      commands.Add(static_cast<double>(of->commands.value()), {{"namespace", name}});
    }
  }
  {
    Family refusals =
        counter("corod_namespace_refusals_total", "Those of a namespace that were answered with an error.");
    for (const auto& [name, of] : namespaces) {
      for (std::size_t kind = 0; kind < RefusalCounters::kKinds; ++kind) {
        refusals.AddIfAny(of->refusals.value(kind),
                          {{"namespace", name}, {"reason", RefusalCounters::NameOfKind(kind)}});
      }
    }
  }

  const CredentialMetrics& credentials = metrics.credentials;
  {
    Family reloads =
        counter("corod_credential_reloads_total", "How often certificates, keys, roles or limits were read again.");
    reloads.Add(static_cast<double>(credentials.reloads.value(Reload::kOk)), {{"result", "ok"}});
    reloads.Add(static_cast<double>(credentials.reloads.value(Reload::kFailed)), {{"result", "failed"}});
  }
  gauge("corod_certificate_expiry_timestamp_seconds", "When the certificate that ends first does.")
      .Add(credentials.certificate_expiry.value());
  gauge("corod_draining", "1 while the server takes no new work and ends; else 0.").Add(metrics.draining.value());
  gauge("corod_build_info", "Always 1; the version is a label.").Add(1, {{"version", metrics.version()}});

  const ProcessUse process = ReadProcessUse();
  gauge("process_resident_memory_bytes", "Memory of the process that is resident.").Add(process.resident_bytes);
  counter("process_cpu_seconds_total", "Processor time that the process took.").Add(process.cpu_seconds);
  gauge("process_open_fds", "File descriptors that are open.").Add(process.open_fds);
  gauge("process_start_time_seconds", "When the process began.").Add(process.start_time);
  return families;
}

std::string ToText(const Metrics& metrics) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, Collect(metrics));
  return text.str();
}

}  // namespace corod::metrics
