#include "server/session/overview.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/failure.h"
#include "server/base/page_token.h"
#include "server/catalog/namespaces.h"
#include "server/session/refusals.h"
#include "server/session/session_id.h"

namespace corod {
namespace {

// How many sessions one page looks at, at a time at most and in all.
constexpr std::size_t kMaxBatch = 256;
constexpr std::size_t kLooksAt = 10'000;
// How many sessions one page runs again to know how they stand.
constexpr int kReplays = 100;
// How often a session is looked at whose log is shortened while it is read.
constexpr int kLooks = 4;

}  // namespace

absl::StatusOr<SessionInfo> Overview::InfoOf(const std::string& id, const absl::StatusOr<Journal::Stored>& stored,
                                             bool replays) const {
  SessionInfo info;
  info.durable = true;
  if (absl::IsDataLoss(stored.status())) {
    info.key.id = id;
    info.state = CoroutineState::kClosed;
    info.problem = DamagedHead();
    return info;
  }
  if (!stored.ok()) return stored.status();
  static_cast<Head&>(info) = stored->head;
  info.definition = DefinitionOf(environment_.catalog, info);
  // What this server cannot run is shown as it was when that was last written.
  if (replays && info.definition && !stored->IsSettled()) {
    absl::StatusOr<Head> now = history_.Now(*stored);
    if (!now.ok()) return now.status();
    static_cast<Head&>(info) = *std::move(now);
  }
  return info;
}

absl::StatusOr<SessionInfo> Overview::Get(const std::string& id, std::optional<Step> at_step) const {
  absl::StatusOr<SessionInfo> info = Look(id, at_step);
  for (int looks = 1; looks < kLooks && !at_step && IsFailure(info.status(), Reason::HISTORY_TRIMMED); ++looks) {
    info = Look(id, at_step);
  }
  return info;
}

absl::StatusOr<SessionInfo> Overview::GetLogged(const std::string& id) const {
  absl::StatusOr<SessionInfo> info = LookAtLog(id);
  // The log was shortened meanwhile, or is gone.
  const auto changed = [&info] {
    return IsFailure(info.status(), Reason::HISTORY_TRIMMED) || IsFailure(info.status(), Reason::INVALID_ARGUMENTS);
  };
  for (int looks = 1; looks < kLooks && changed(); ++looks) info = LookAtLog(id);
  return info;
}

absl::StatusOr<SessionInfo> Overview::LookAtLog(const std::string& id) const {
  if (absl::Status checked = CheckSessionId(id); !checked.ok()) return checked;
  absl::StatusOr<std::optional<Journal::Stored>> found = environment_.journal.Find(id);
  if (found.ok() && !*found) return NotFound(id);
  return InfoOf(id, found.ok() ? absl::StatusOr<Journal::Stored>(**found) : found.status(), /*replays=*/true);
}

absl::StatusOr<SessionInfo> Overview::Look(const std::string& id, std::optional<Step> at_step) const {
  SessionPtr live = table_.Find(id);
  if (live && live->IsBeingCreated()) live = SessionPtr();  // not there yet; perhaps in the place of one that is
  if (live && !at_step) return live->Describe();
  if (absl::Status checked = CheckSessionId(id); !checked.ok()) return checked;
  if (live && !live->durable()) {
    return NotDurable(id, "history; leave at_step out to see it as it stands");
  }
  if (!at_step) return LookAtLog(id);
  absl::StatusOr<std::optional<Journal::Stored>> stored = environment_.journal.Find(id);
  if (stored.ok() && !*stored) return NotFound(id);
  if (!stored.ok()) return InfoOf(id, stored.status(), /*replays=*/true);
  absl::StatusOr<Head> head = history_.At((*stored)->head, *at_step);
  if (!head.ok()) return head.status();
  SessionInfo info;
  static_cast<Head&>(info) = *std::move(head);
  info.definition = DefinitionOf(environment_.catalog, info);
  info.durable = true;
  return info;
}

absl::StatusOr<std::string> Overview::List(const ListQuery& query, const Each& each) const {
  const std::uint64_t fingerprint = FingerprintOf(query);
  absl::StatusOr<std::string> after = ReadPageToken(query.page_token, fingerprint);
  if (!after.ok()) return after.status();
  // All of a namespace lie together.
  const std::string before = BeforeNamesOf(query.name_space);
  const bool has_end = query.name_space != kDefaultNamespace;
  std::string last = std::max(before, *std::move(after));
  int replays = 0;
  // One more than the page takes tells that there are more. Where few match, more are looked at the next time.
  std::size_t batch = std::min(query.page_size + 1, kMaxBatch);
  for (std::size_t looked_at = 0; looked_at < kLooksAt; batch = std::min(2 * batch, kMaxBatch)) {
    std::vector<SessionPtr> live = table_.ListAfter(last, batch);
    absl::StatusOr<std::vector<Journal::Listed>> stored = environment_.journal.List(last, batch);
    if (!stored.ok()) return stored.status();
    while (has_end && !live.empty() && !live.back()->id().starts_with(before)) live.pop_back();
    while (has_end && !stored->empty() && !stored->back().id.starts_with(before)) stored->pop_back();
    auto next_live = live.begin();
    auto next_stored = stored->begin();
    // Beyond the end of a batch that is full there may be others that come before the rest of the other batch.
    while (next_live != live.end() || next_stored != stored->end()) {
      if (next_live == live.end() && live.size() == batch) break;
      if (next_stored == stored->end() && stored->size() == batch) break;
      const bool takes_live =
          next_live != live.end() && (next_stored == stored->end() || (*next_live)->id() <= next_stored->id);
      const std::string id = takes_live ? (*next_live)->id() : next_stored->id;
      SessionInfo info;
      bool matches = true;
      if (takes_live) {
        const Session& session = **next_live;
        if (session.IsBeingCreated()) {
          ++next_live;
          // The one that it replaces, if it does, is shown.
          if (next_stored != stored->end() && next_stored->id == id) continue;
          last = id;
          ++looked_at;
          continue;
        }
        matches = (!query.state || session.state() == *query.state) && (!query.has_problem || session.HasProblem()) &&
                  session.MatchesLabels(query.labels) &&
                  (query.coroutine.empty() || session.definition()->name == query.coroutine);
        if (matches) info = session.Describe();
        if (next_stored != stored->end() && next_stored->id == id) ++next_stored;
        ++next_live;
      } else {
        const absl::StatusOr<Journal::Stored>& of = next_stored->stored;
        const bool unsettled = of.ok() && !of->IsSettled() && !of->head.problem;
        if (of.ok()) {
          matches = (query.coroutine.empty() || of->head.coroutine == query.coroutine) &&
                    Includes(of->head.labels, query.labels);
        }
        if (matches && unsettled && ++replays > kReplays) return MakePageToken(last, fingerprint);
        if (matches) {
          absl::StatusOr<SessionInfo> read = InfoOf(id, of, /*replays=*/true);
          if (IsFailure(read.status(), Reason::HISTORY_TRIMMED)) read = Get(id, std::nullopt);
          const bool deleted = IsFailure(read.status(), Reason::SESSION_NOT_FOUND);  // meanwhile
          if (!read.ok() && !deleted) return read.status();
          if (!deleted) info = *std::move(read);
          matches = !deleted && (!query.state || info.state == *query.state) && (!query.has_problem || info.problem) &&
                    (query.coroutine.empty() || info.coroutine == query.coroutine) &&
                    Includes(info.labels, query.labels);
        }
        ++next_stored;
      }
      if (matches && !each(info)) return MakePageToken(last, fingerprint);
      last = id;
      ++looked_at;
    }
    if (live.size() < batch && stored->size() < batch) return std::string();
  }
  return MakePageToken(last, fingerprint);
}

}  // namespace corod
