#ifndef COROD_SERVER_SESSION_ACCOUNT_H_
#define COROD_SERVER_SESSION_ACCOUNT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/metrics/metrics.h"

namespace corod {

// What one namespace may have and do.
struct NamespaceLimits {
  static constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t sessions = kNone;             // also those that sleep, and finished ones that are still kept
  std::uint64_t commands_per_second = kNone;  // each second's worth may come at once
  std::uint64_t streams = kNone;              // Drive and Watch, at a time

  friend bool operator==(const NamespaceLimits&, const NamespaceLimits&) = default;
};

// What one namespace has, held to what it may. Lives as long as the server. Thread-safe; takes no lock.
class Account {
 public:
  Account(std::string name_space, const metrics::NamespaceMetrics& metrics)
      : name_space_(std::move(name_space)), metrics_(metrics) {}
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  const std::string& name_space() const { return name_space_; }
  const metrics::NamespaceMetrics& metrics() const { return metrics_; }

  // Counts a session that the journal does not have: an ephemeral one, or one that is about to be written. TakeSession
  // when it is not there any more, or the journal has it.
  void AddSession() { unwritten_.fetch_add(1, std::memory_order_relaxed); }
  void TakeSession() { unwritten_.fetch_sub(1, std::memory_order_relaxed); }
  std::size_t unwritten() const;
  bool LimitsSessions() const { return max_sessions_.load(std::memory_order_relaxed) != NamespaceLimits::kNone; }
  // TOO_MANY_SESSIONS if there are more than there may be, with `written` in the journal.
  absl::Status CheckSessions(std::size_t written) const;

  bool LimitsCommands() const { return interval_.load(std::memory_order_relaxed) != 0; }
  // Whether another command may be executed at `now`; it is counted then. A command that may not be asks
  // RateLimited() what to tell.
  bool TakeCommand(absl::Time now) { return !LimitsCommands() || TakeLimitedCommand(now); }
  // RATE_LIMITED, with the time after which there is room again.
  absl::Status RateLimited(absl::Time now) const;

  // A stream that is about to begin; CloseStream at its end. TOO_MANY_STREAMS, and nothing is counted.
  absl::Status OpenStream();
  void CloseStream() { streams_.fetch_sub(1, std::memory_order_relaxed); }
  std::int64_t streams() const { return streams_.load(std::memory_order_relaxed); }

  void SetLimits(const NamespaceLimits& limits);

 private:
  bool TakeLimitedCommand(absl::Time now);

  const std::string name_space_;
  const metrics::NamespaceMetrics& metrics_;
  std::atomic<std::int64_t> unwritten_{0};
  std::atomic<std::int64_t> streams_{0};
  std::atomic<std::uint64_t> max_sessions_{NamespaceLimits::kNone};
  std::atomic<std::uint64_t> max_streams_{NamespaceLimits::kNone};
  // The generic cell rate algorithm (ITU-T I.371): when the next command would be due if all came evenly, and how far
  // apart they are then, in nanoseconds. 0: there is no limit.
  std::atomic<std::int64_t> interval_{0};
  std::atomic<std::int64_t> due_{0};
};

// One for each namespace that is used. Thread-safe.
class Accounts {
 public:
  // `metrics` outlives this.
  explicit Accounts(metrics::Metrics& metrics) : metrics_(metrics) {}

  metrics::Metrics& metrics() const { return metrics_; }

  // That of the namespace, made if need be. Valid for as long as this.
  Account& Of(std::string_view name_space);

  // By namespace; `others` for those without limits of their own.
  void SetLimits(std::map<std::string, NamespaceLimits, std::less<>> limits, const NamespaceLimits& others);

  std::vector<Account*> All();

 private:
  const NamespaceLimits& LimitsOf(std::string_view name_space) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  metrics::Metrics& metrics_;
  Mutex mutex_;
  std::map<std::string, std::unique_ptr<Account>, std::less<>> accounts_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, NamespaceLimits, std::less<>> limits_ ABSL_GUARDED_BY(mutex_);
  NamespaceLimits others_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_ACCOUNT_H_
