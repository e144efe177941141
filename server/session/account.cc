#include "server/session/account.h"

#include <algorithm>

#include "server/base/failure.h"
#include "server/base/uuid.h"
#include "server/catalog/namespaces.h"

namespace corod {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

// Counts one more, unless there are `most` already.
bool AddOne(std::atomic<std::int64_t>& count, const std::atomic<std::uint64_t>& most) {
  const std::int64_t before = count.fetch_add(1, std::memory_order_relaxed);
  if (before < 0 || static_cast<std::uint64_t>(before) < most.load(std::memory_order_relaxed)) return true;
  count.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

// FNV-1a. Two namespaces of the same number would only be measured together.
std::optional<std::uint32_t> UidGroupOf(std::string_view name_space) {
  if (name_space == kDefaultNamespace) return std::nullopt;
  std::uint32_t hash = 0x811c9dc5;
  for (const char c : name_space) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193;
  return hash;
}

}  // namespace

Account::Account(std::string name_space, const metrics::NamespaceMetrics& metrics)
    : name_space_(std::move(name_space)), uid_group_(UidGroupOf(name_space_)), metrics_(metrics) {}

std::string Account::NewUid(Random& random) const {
  return uid_group_ ? UuidIn(*uid_group_, random) : RandomUuid(random);
}

absl::Status Account::JournalFull() const {
  const std::string most = std::to_string(max_journal_.load(std::memory_order_relaxed));
  return Failed(Reason::JOURNAL_LIMIT,
                "the logs of namespace '" + name_space_ + "' take the " + most +
                    " bytes that they may; delete sessions, or let them be forgotten",
                {{"namespace", name_space_}, {"max_journal_bytes", most}}, absl::Seconds(10));
}

std::uint64_t Account::memory() const {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(memory_.load(std::memory_order_relaxed), 0));
}

bool Account::IsTight() {
  const std::uint64_t most = max_memory_.load(std::memory_order_relaxed);
  if (most == NamespaceLimits::kNone) return false;
  const std::int64_t stays = memory_.load(std::memory_order_relaxed) - leaving_.load(std::memory_order_relaxed);
  const std::uint64_t bound = most / 16 * (tight_.load(std::memory_order_relaxed) ? kRelaxed : kTight);
  const bool is_tight = stays > 0 && static_cast<std::uint64_t>(stays) > bound;
  tight_.store(is_tight, std::memory_order_relaxed);
  return is_tight;
}

absl::Status Account::MemoryFull() const {
  const std::string most = std::to_string(max_memory_.load(std::memory_order_relaxed));
  return Failed(Reason::MEMORY_LIMIT,
                "the sessions of namespace '" + name_space_ + "' that are in memory take about " +
                    std::to_string(memory()) + " of the " + most +
                    " bytes that they may; close some, or use fewer at once",
                {{"namespace", name_space_}, {"max_memory_bytes", most}}, absl::Seconds(1));
}

std::size_t Account::unwritten() const {
  return static_cast<std::size_t>(std::max<std::int64_t>(unwritten_.load(std::memory_order_relaxed), 0));
}

absl::Status Account::CheckSessions(std::size_t written) const {
  const std::uint64_t max = max_sessions_.load(std::memory_order_relaxed);
  if (max == NamespaceLimits::kNone || unwritten() + written <= max) return absl::OkStatus();
  const std::string most = std::to_string(max);
  return Failed(Reason::TOO_MANY_SESSIONS,
                "namespace '" + name_space_ + "' holds the " + most + " sessions that it may; delete or finish some",
                {{"namespace", name_space_}, {"max_sessions", most}}, absl::Seconds(1));
}

absl::Status Account::OpenStream() {
  if (AddOne(streams_, max_streams_)) return absl::OkStatus();
  const std::string most = std::to_string(max_streams_.load(std::memory_order_relaxed));
  return Failed(Reason::TOO_MANY_STREAMS,
                "namespace '" + name_space_ + "' has the " + most + " streams open that it may; close some",
                {{"namespace", name_space_}, {"max_streams", most}}, absl::Seconds(1));
}

bool Account::TakeLimitedCommand(absl::Time now) {
  const std::int64_t interval = interval_.load(std::memory_order_relaxed);
  const std::int64_t time = absl::ToUnixNanos(now);
  std::int64_t due = due_.load(std::memory_order_relaxed);
  while (true) {
    const std::int64_t next = std::max(due, time) + interval;
    if (next - time > std::max(kSecond, interval)) return false;
    if (due_.compare_exchange_weak(due, next, std::memory_order_relaxed)) return true;
  }
}

absl::Status Account::RateLimited(absl::Time now) const {
  const std::int64_t interval = std::max<std::int64_t>(interval_.load(std::memory_order_relaxed), 1);
  const std::int64_t ahead = due_.load(std::memory_order_relaxed) + interval - absl::ToUnixNanos(now);
  const absl::Duration wait = absl::Nanoseconds(std::max<std::int64_t>(ahead - std::max(kSecond, interval), 0));
  const std::string most = std::to_string(std::max<std::int64_t>(kSecond / interval, 1));
  return Failed(Reason::RATE_LIMITED, "namespace '" + name_space_ + "' may have " + most + " commands a second",
                {{"namespace", name_space_}, {"commands_per_second", most}}, std::max(wait, absl::Milliseconds(1)));
}

void Account::SetLimits(const NamespaceLimits& limits) {
  max_sessions_.store(limits.sessions, std::memory_order_relaxed);
  max_streams_.store(limits.streams, std::memory_order_relaxed);
  max_definitions_.store(limits.definitions, std::memory_order_relaxed);
  max_journal_.store(limits.journal_bytes, std::memory_order_relaxed);
  max_memory_.store(limits.memory_bytes, std::memory_order_relaxed);
  const bool is_limited = limits.commands_per_second != NamespaceLimits::kNone;
  const auto rate = static_cast<std::int64_t>(std::clamp<std::uint64_t>(limits.commands_per_second, 1, kSecond));
  interval_.store(is_limited ? kSecond / rate : 0, std::memory_order_relaxed);
}

const NamespaceLimits& Accounts::LimitsOf(std::string_view name_space) const {
  const auto found = limits_.find(name_space);
  return found == limits_.end() ? others_ : found->second;
}

bool Accounts::AnyLimits(std::uint64_t NamespaceLimits::* limit) const {
  if (others_.*limit != NamespaceLimits::kNone) return true;
  return std::any_of(limits_.begin(), limits_.end(),
                     [limit](const auto& entry) { return entry.second.*limit != NamespaceLimits::kNone; });
}

Account& Accounts::Of(std::string_view name_space) {
  const MutexLock lock(mutex_);
  const auto found = accounts_.find(name_space);
  if (found != accounts_.end()) return *found->second;
  auto account = std::make_unique<Account>(std::string(name_space), metrics_.OfNamespace(name_space));
  account->SetLimits(LimitsOf(name_space));
  return *accounts_.emplace(name_space, std::move(account)).first->second;
}

void Accounts::SetLimits(std::map<std::string, NamespaceLimits, std::less<>> limits, const NamespaceLimits& others) {
  const MutexLock lock(mutex_);
  limits_ = std::move(limits);
  others_ = others;
  limits_journal_.store(AnyLimits(&NamespaceLimits::journal_bytes), std::memory_order_relaxed);
  limits_memory_.store(AnyLimits(&NamespaceLimits::memory_bytes), std::memory_order_relaxed);
  for (const auto& [name_space, account] : accounts_) account->SetLimits(LimitsOf(name_space));
}

std::vector<Account*> Accounts::Tight() {
  if (!limits_memory_.load(std::memory_order_relaxed)) return {};
  std::vector<Account*> tight = All();
  std::erase_if(tight, [](Account* account) { return !account->IsTight(); });
  return tight;
}

std::vector<Account*> Accounts::All() {
  const MutexLock lock(mutex_);
  std::vector<Account*> all;
  all.reserve(accounts_.size());
  for (const auto& [unused, account] : accounts_) all.push_back(account.get());
  return all;
}

}  // namespace corod
