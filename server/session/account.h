#ifndef COROD_SERVER_SESSION_ACCOUNT_H_
#define COROD_SERVER_SESSION_ACCOUNT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/base/random.h"
#include "server/metrics/metrics.h"

namespace corod {

// What one namespace may have and do.
struct NamespaceLimits {
  static constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t sessions = kNone;             // also those that sleep, and finished ones that are still kept
  std::uint64_t commands_per_second = kNone;  // each second's worth may come at once
  std::uint64_t streams = kNone;              // Drive, Watch, Export and Import, at a time
  std::uint64_t journal_bytes = kNone;        // of the logs of its durable sessions
  std::uint64_t definitions = kNone;          // versions of coroutines, those of deleted names included
  std::uint64_t memory_bytes = kNone;         // that its sessions in memory take, about

  friend bool operator==(const NamespaceLimits&, const NamespaceLimits&) = default;
};

// What one namespace has, held to what it may. Lives as long as the server. Thread-safe; takes no lock.
class Account {
 public:
  Account(std::string name_space, const metrics::NamespaceMetrics& metrics);
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

  // How many versions of coroutines it may have defined.
  std::uint64_t max_definitions() const { return max_definitions_.load(std::memory_order_relaxed); }

  // What the uids of its durable sessions begin with, so that what their logs take can be known; nullopt for `default`,
  // whose uids are any.
  std::optional<std::uint32_t> uid_group() const { return uid_group_; }
  std::string NewUid(Random& random) const;

  // What was found when somebody looked, now and then.
  void SetJournalBytes(std::uint64_t bytes) { journal_bytes_.store(bytes, std::memory_order_relaxed); }
  bool LimitsJournal() const { return max_journal_.load(std::memory_order_relaxed) != NamespaceLimits::kNone; }
  // Whether there is room for more steps of durable sessions.
  bool HasJournal() const {
    return journal_bytes_.load(std::memory_order_relaxed) < max_journal_.load(std::memory_order_relaxed);
  }
  // JOURNAL_LIMIT: what to tell if not.
  absl::Status JournalFull() const;

  // What its sessions, and files that are to become some, take in memory changed by so much, about.
  void AddMemory(std::int64_t bytes) { memory_.fetch_add(bytes, std::memory_order_relaxed); }
  std::uint64_t memory() const;
  // Whether there is room for steps of sessions that are in memory. The last eighth of what may be taken is for them
  // alone, so that what grows is not stopped by what is new.
  bool HasMemory() const { return IsBelow(kStop, 0); }
  // MEMORY_LIMIT: what to tell if not.
  absl::Status MemoryFull() const;
  // MEMORY_LIMIT if there is no room for sessions that are to come into memory, or for so many bytes of what is to
  // become one.
  absl::Status CheckMemoryOfSession(std::uint64_t bytes = 0) const {
    return IsBelow(kAdmitNone, bytes) ? absl::OkStatus() : MemoryFull();
  }
  // The same for one that is new, which needs room in the journal if it is durable.
  absl::Status CheckNewSession(bool durable) const {
    return durable && !HasJournal() ? JournalFull() : CheckMemoryOfSession();
  }
  // Whether durable sessions are to leave memory, so that others can come: from when there is little room left, without
  // those that are leaving it, until there is more again.
  bool IsTight();
  void AddLeaving(std::int64_t bytes) { leaving_.fetch_add(bytes, std::memory_order_relaxed); }

  void SetLimits(const NamespaceLimits& limits);

 private:
  // What may be taken for what, in sixteenths.
  static constexpr std::uint64_t kRelaxed = 12, kTight = 13, kAdmitNone = 14, kStop = 16;
  bool IsBelow(std::uint64_t sixteenths, std::uint64_t more) const {
    const std::uint64_t most = max_memory_.load(std::memory_order_relaxed);
    return most == NamespaceLimits::kNone || memory() + more < most / 16 * sixteenths + most % 16 * sixteenths / 16;
  }
  bool TakeLimitedCommand(absl::Time now);

  const std::string name_space_;
  const std::optional<std::uint32_t> uid_group_;
  const metrics::NamespaceMetrics& metrics_;
  std::atomic<std::int64_t> unwritten_{0};
  std::atomic<std::int64_t> streams_{0};
  std::atomic<std::uint64_t> max_sessions_{NamespaceLimits::kNone};
  std::atomic<std::uint64_t> max_streams_{NamespaceLimits::kNone};
  std::atomic<std::uint64_t> max_definitions_{NamespaceLimits::kNone};
  std::atomic<std::uint64_t> max_journal_{NamespaceLimits::kNone};
  std::atomic<std::uint64_t> journal_bytes_{0};
  std::atomic<std::uint64_t> max_memory_{NamespaceLimits::kNone};
  std::atomic<std::int64_t> memory_{0};
  std::atomic<std::int64_t> leaving_{0};  // of that, what is about to go
  std::atomic<bool> tight_{false};
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
  // Whether the logs of any are limited.
  bool LimitJournal() const { return limits_journal_.load(std::memory_order_relaxed); }
  // Those that have to make room in memory (Account::IsTight).
  std::vector<Account*> Tight();

 private:
  const NamespaceLimits& LimitsOf(std::string_view name_space) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AnyLimits(std::uint64_t NamespaceLimits::* limit) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  metrics::Metrics& metrics_;
  Mutex mutex_;
  std::map<std::string, std::unique_ptr<Account>, std::less<>> accounts_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, NamespaceLimits, std::less<>> limits_ ABSL_GUARDED_BY(mutex_);
  NamespaceLimits others_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> limits_journal_{false};
  std::atomic<bool> limits_memory_{false};
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_ACCOUNT_H_
