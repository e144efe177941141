#ifndef COROD_SERVER_METRICS_METRICS_H_
#define COROD_SERVER_METRICS_METRICS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "server/base/failure.h"
#include "server/base/mutex.h"
#include "server/metrics/cells.h"
#include "server/metrics/counters.h"

// All that the server counts (docs/metrics.md has the names under which it is served). One object per server, given to
// whoever counts. Thread-safe, all of it.
namespace corod::metrics {

// The calls of the API. First those that are about one session, whose coroutine is known.
#define COROD_METRICS_RPCS(X) \
  X(Create)                   \
  X(Send)                     \
  X(Throw)                    \
  X(Close)                    \
  X(Delete)                   \
  X(Drive)                    \
  X(Get)                      \
  X(Update)                   \
  X(Watch)                    \
  X(Fork)                     \
  X(Export)                   \
  X(Import)                   \
  X(List)                     \
  X(ListCoroutines)           \
  X(GetCoroutine)             \
  X(DefineCoroutine)          \
  X(DeleteCoroutine)          \
  X(GetLogLevels)             \
  X(SetLogLevel)              \
  X(Backup)
enum class Rpc : std::uint8_t {
#define COROD_METRICS_RPC(name) k##name,
  COROD_METRICS_RPCS(COROD_METRICS_RPC)
#undef COROD_METRICS_RPC
};
inline constexpr std::size_t kRpcs = 20;
inline constexpr std::size_t kSessionRpcs = 12;

// How a call ended: with what a step gave, with an error, or well and without a step (kDone).
enum class Result : std::uint8_t { kYielded, kReturned, kRaised, kRefused, kDone };
inline constexpr std::size_t kResults = 5;

// Names with counters of their own, at most, of coroutines and of namespaces each; more are "other" together.
inline constexpr std::size_t kMaxNames = 200;

// The calls about one coroutine's sessions. To be looked for once (Metrics::OfCoroutine) and kept.
class CommandCounters {
 public:
  CommandCounters(Cells& cells, Cell* without_session)
      : first_(cells.Allocate(kSessionRpcs * kResults)), without_session_(without_session) {}

  // A command that came by Drive counts as Drive, whatever it asked for. A call that is about no session counts without
  // a coroutine.
  void Count(Rpc rpc, Result result, std::uint64_t times = 1) const { AddTo(CellOf(rpc, result), times); }
  std::uint64_t value(Rpc rpc, Result result) const { return SumOf(CellOf(rpc, result)); }

 private:
  Cell* CellOf(Rpc rpc, Result result) const {
    const auto row = static_cast<std::size_t>(rpc);
    Cell* const rows =
        row < kSessionRpcs ? first_ + row * kResults : without_session_ + (row - kSessionRpcs) * kResults;
    return rows + static_cast<std::size_t>(result);
  }

  Cell* first_;
  Cell* without_session_;  // the same of all coroutines
};

// Why calls were refused.
class RefusalCounters {
 public:
  // What has no reason of ours counts by its code, or as kOther.
  enum class WithoutReason : std::uint8_t { kDeadlineExceeded, kCancelled, kOther };
  static constexpr std::size_t kKinds = kReasons + 3;

  explicit RefusalCounters(Cells& cells) : first_(cells.Allocate(kKinds)) {}

  void Count(Reason reason, std::uint64_t times = 1) const { AddTo(first_ + static_cast<std::size_t>(reason), times); }
  // REQUIRES: it is not OK.
  void Count(const absl::Status& status) const { AddTo(first_ + KindOf(status), 1); }
  // Its number. REQUIRES: it is not OK.
  static std::size_t KindOf(const absl::Status& status);

  // By number, in the order of Reason and then of WithoutReason.
  std::uint64_t value(std::size_t kind) const { return SumOf(first_ + kind); }
  static std::string_view NameOfKind(std::size_t kind);

 private:
  static_assert(kKinds <= kSlotCells);
  Cell* first_;
};

// From a command's arrival to its answer.
class CommandTimes {
 public:
  explicit CommandTimes(Cells& cells);
  const LatencyHistogram& operator[](Rpc rpc) const { return of_rpc_[static_cast<std::size_t>(rpc)]; }

 private:
  std::vector<LatencyHistogram> of_rpc_;
};

struct JournalMetrics {
  explicit JournalMetrics(Cells& cells)
      : append_seconds(cells), batch_appends(cells), syncs(cells), written_bytes(cells) {}

  LatencyHistogram append_seconds;
  SizeHistogram batch_appends;
  Counter syncs;
  Counter written_bytes;
};

// Why a log was run again: a session came into memory, somebody looked at an earlier step, or a command's answer was to
// be given again.
enum class ReplayCause : std::uint8_t { kWake, kHistory, kRepeat };
struct ReplayMetrics {
  explicit ReplayMetrics(Cells& cells) : replays(cells), steps(cells), seconds(cells) {}

  CounterBy<ReplayCause, 3> replays;
  Counter steps;
  LatencyHistogram seconds;
};

enum class Reload : std::uint8_t { kOk, kFailed };
struct CredentialMetrics {
  explicit CredentialMetrics(Cells& cells) : reloads(cells) {}

  CounterBy<Reload, 2> reloads;
  Gauge certificate_expiry;  // seconds since 1970, of the one that ends first; unset: there is none
};

// What one namespace does. To be looked for once (Metrics::OfNamespace) and kept.
struct NamespaceMetrics {
  explicit NamespaceMetrics(Cells& cells) : commands(cells), refusals(cells) {}

  Counter commands;
  RefusalCounters refusals;
};

// What is cheaper to ask for than to keep. What is not known now is left unset, and not served.
struct Readings {
  std::optional<double> live_sessions;
  std::optional<double> asleep_sessions;
  std::optional<double> finished_sessions;
  std::optional<double> problem_sessions;
  std::optional<double> frames;
  std::optional<double> frame_bytes;
  std::optional<double> lua_bytes;
  std::optional<double> queued_by_workers;
  std::optional<double> queued_by_journal;
  std::optional<double> journal_bytes;
  // Sessions of namespaces, and their bytes; more than one entry for the same are added up.
  std::vector<std::pair<const NamespaceMetrics*, double>> namespace_sessions;
  std::vector<std::pair<const NamespaceMetrics*, double>> namespace_memory;
};

class Metrics {
 private:
  Cells cells_;  // what all others are made with

 public:
  // `version`: the server's.
  explicit Metrics(std::string version);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // What the name has, made if need be. It stays as long as this. Takes a lock: ask once and keep it.
  const CommandCounters& OfCoroutine(std::string_view name);
  const NamespaceMetrics& OfNamespace(std::string_view name);
  // For calls that were refused before their coroutine was known, and for those that are about none.
  const CommandCounters& without_coroutine() const { return without_coroutine_; }

  // Who answers what is asked when somebody reads the metrics, on any thread. When this returns, the one before is not
  // called any more; nullptr: nobody.
  void ReadWith(std::function<Readings()> read);

 private:
  Cell* const without_session_;
  const CommandCounters without_coroutine_;

 public:
  const RefusalCounters refusals;
  const CommandTimes command_seconds;
  const Level queued_commands;  // that wait in their sessions' queues
  const Level queued_by_drive;  // commands that were read from Drive and wait for a turn in their lanes
  const Level drive_streams;
  const Level watch_streams;
  const Level export_streams;
  const Level import_streams;
  const JournalMetrics journal;
  const ReplayMetrics replay;
  CredentialMetrics credentials;
  Gauge draining;  // 1: the server takes nothing new

  // For who serves them.
  const std::string& version() const { return version_; }
  Readings Read() const;
  std::vector<std::pair<std::string, const CommandCounters*>> ListCoroutines() const;
  std::vector<std::pair<std::string, const NamespaceMetrics*>> ListNamespaces() const;

 private:
  // Counters by name, and those of "other".
  template <typename Counters>
  using ByName = absl::flat_hash_map<std::string, std::unique_ptr<Counters>>;

  const std::string version_;
  mutable Mutex mutex_;
  ByName<CommandCounters> coroutines_ ABSL_GUARDED_BY(mutex_);
  ByName<NamespaceMetrics> namespaces_ ABSL_GUARDED_BY(mutex_);
  mutable Mutex read_mutex_;  // held while `read_` is called
  std::function<Readings()> read_ ABSL_GUARDED_BY(read_mutex_);
};

// "Create", as in the API.
std::string_view NameOf(Rpc rpc);
// yielded, returned, raised, refused, done.
std::string_view NameOf(Result result);

}  // namespace corod::metrics

#endif  // COROD_SERVER_METRICS_METRICS_H_
