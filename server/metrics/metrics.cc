#include "server/metrics/metrics.h"

#include <algorithm>

namespace corod::metrics {
namespace {

constexpr char kOther[] = "other";

constexpr std::array<std::string_view, kRpcs> kRpcNames = {
#define COROD_METRICS_RPC(name) #name,
    COROD_METRICS_RPCS(COROD_METRICS_RPC)
#undef COROD_METRICS_RPC
};
static_assert(!kRpcNames.back().empty());
static_assert(static_cast<std::size_t>(Rpc::kImport) + 1 == kSessionRpcs);

constexpr std::array<std::string_view, kResults> kResultNames = {"yielded", "returned", "raised", "refused", "done"};

// In the order of names.
template <typename Counters>
std::vector<std::pair<std::string, const Counters*>> Listed(
    const absl::flat_hash_map<std::string, std::unique_ptr<Counters>>& by_name) {
  std::vector<std::pair<std::string, const Counters*>> listed;
  listed.reserve(by_name.size());
  for (const auto& [name, counters] : by_name) listed.emplace_back(name, counters.get());
  std::sort(listed.begin(), listed.end());
  return listed;
}

// That of the name, or of those that are too many.
template <typename Counters, typename Make>
const Counters& FindOrMake(absl::flat_hash_map<std::string, std::unique_ptr<Counters>>& by_name, std::string_view name,
                           Make make) {
  std::string key(name);
  if (const auto found = by_name.find(key); found != by_name.end()) return *found->second;
  const std::size_t names = by_name.size() - by_name.count(kOther);
  if (names >= kMaxNames) key = kOther;
  std::unique_ptr<Counters>& counters = by_name[key];
  if (!counters) counters = make();
  return *counters;
}

}  // namespace

std::string_view NameOf(Rpc rpc) { return kRpcNames[static_cast<std::size_t>(rpc)]; }
std::string_view NameOf(Result result) { return kResultNames[static_cast<std::size_t>(result)]; }

std::size_t RefusalCounters::KindOf(const absl::Status& status) {
  if (const std::optional<Reason> reason = ReasonOf(status)) return static_cast<std::size_t>(*reason);
  WithoutReason kind = WithoutReason::kOther;
  if (absl::IsDeadlineExceeded(status)) kind = WithoutReason::kDeadlineExceeded;
  if (absl::IsCancelled(status)) kind = WithoutReason::kCancelled;
  return kReasons + static_cast<std::size_t>(kind);
}

std::string_view RefusalCounters::NameOfKind(std::size_t kind) {
  if (kind < kReasons) return NameOf(static_cast<Reason>(kind));
  switch (static_cast<WithoutReason>(kind - kReasons)) {
    case WithoutReason::kDeadlineExceeded:
      return "DEADLINE_EXCEEDED";
    case WithoutReason::kCancelled:
      return "CANCELLED";
    case WithoutReason::kOther:
      break;
  }
  return "OTHER";
}

CommandTimes::CommandTimes(Cells& cells) {
  of_rpc_.reserve(kRpcs);
  for (std::size_t i = 0; i < kRpcs; ++i) of_rpc_.emplace_back(cells);
}

Metrics::Metrics(std::string version)
    : without_session_(cells_.Allocate((kRpcs - kSessionRpcs) * kResults)),
      without_coroutine_(cells_, without_session_),
      refusals(cells_),
      command_seconds(cells_),
      queued_commands(cells_),
      queued_by_drive(cells_),
      drive_streams(cells_),
      watch_streams(cells_),
      export_streams(cells_),
      import_streams(cells_),
      journal(cells_),
      replay(cells_),
      credentials(cells_),
      version_(std::move(version)) {
  draining.Set(0);
}

const CommandCounters& Metrics::OfCoroutine(std::string_view name) {
  const MutexLock lock(mutex_);
  return FindOrMake(coroutines_, name, [this] { return std::make_unique<CommandCounters>(cells_, without_session_); });
}

const NamespaceMetrics& Metrics::OfNamespace(std::string_view name) {
  const MutexLock lock(mutex_);
  return FindOrMake(namespaces_, name, [this] { return std::make_unique<NamespaceMetrics>(cells_); });
}

void Metrics::ReadWith(std::function<Readings()> read) {
  const MutexLock lock(read_mutex_);
  read_ = std::move(read);
}

Readings Metrics::Read() const {
  const MutexLock lock(read_mutex_);
  return read_ ? read_() : Readings();
}

std::vector<std::pair<std::string, const CommandCounters*>> Metrics::ListCoroutines() const {
  const MutexLock lock(mutex_);
  return Listed(coroutines_);
}

std::vector<std::pair<std::string, const NamespaceMetrics*>> Metrics::ListNamespaces() const {
  const MutexLock lock(mutex_);
  return Listed(namespaces_);
}

}  // namespace corod::metrics
