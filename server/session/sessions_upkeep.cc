#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/catalog/namespaces.h"
#include "server/log/log.h"
#include "server/session/refusals.h"
#include "server/session/sessions.h"

// What is done about sessions though nobody asks: they are put to sleep, closed, forgotten, and drained.
namespace corod {
namespace {

// How many sessions one Sweep takes care of.
constexpr std::size_t kSweepLimit = 1'000;
// How many sessions are woken at a time because their time has come.
constexpr std::size_t kMaxBackground = 256;
// Between two Sweeps.
constexpr absl::Duration kPause = absl::Milliseconds(20);
// How many busy sessions are tried when one must leave memory.
constexpr std::size_t kEvictionTries = 16;
// How many sessions one Sweep looks at when a namespace has little memory left.
constexpr std::size_t kSweepTightLooks = 4'096;
// How many sessions of such a namespace one Sweep measures, and what they may take together, since that takes a while.
constexpr std::size_t kChargeLooks = 256;
constexpr std::size_t kChargeBytes = std::size_t{4} << 20;
// How many sessions are looked at in one go when the server ends, and how often each is tried to be put to sleep.
constexpr std::size_t kDrainBatch = 256;
constexpr int kDrainTries = 10;
// How often what the logs of namespaces take is looked at, if that is limited.
constexpr absl::Duration kMeasures = absl::Seconds(1);
// A replay that ended the process so often is not tried again.
constexpr std::uint32_t kMaxCrashes = 2;

// A close that the server itself makes.
class BackgroundClose : public Command {
 public:
  explicit BackgroundClose(std::function<void()> done) : done_(std::move(done)) {
    operation = Operation::kClose;
    bounded_by_sender = true;
  }
  void Finish(absl::StatusOr<Reply>) override {
    const auto done = std::move(done_);
    delete this;
    done();
  }

 private:
  std::function<void()> done_;
};

}  // namespace

void Sessions::PutToSleep(const SessionPtr& session, const std::function<void(bool)>& done) {
  falling_asleep_.fetch_add(1);
  const bool begun = session->Sleep([this, session, done](bool asleep) {
    if (asleep) {
      Leave(*session);
    } else {
      recency_.Schedule(*session);
    }
    falling_asleep_.fetch_sub(1);
    done(asleep);
  });
  if (begun) return;
  recency_.Schedule(*session);
  falling_asleep_.fetch_sub(1);
  done(false);
}

void Sessions::Evict() {
  const auto enough = [this] {
    return durable_live_.load() <= options_.durability.max_live_sessions + falling_asleep_.load();
  };
  if (enough()) return;
  // All at once, since one that is busy goes back to where it stood: before the others.
  std::vector<SessionPtr> first;
  while (first.size() < kEvictionTries) {
    SessionPtr session = recency_.TakeFirst();
    if (!session) break;
    first.push_back(std::move(session));
  }
  for (const SessionPtr& session : first) {
    if (enough()) {
      recency_.Schedule(*session);
    } else {
      PutToSleep(session, [](bool) {});
    }
  }
}

void Sessions::EvictOfTight(std::size_t looks) {
  std::vector<SessionPtr> first;
  std::vector<std::int64_t> leaving;  // what each of them takes
  {
    const MutexLock lock(tight_mutex_);
    first = recency_.TakeSome(tight_place_, looks, [&leaving](const Session& session) {
      if (!session.account().IsTight()) return false;
      leaving.push_back(static_cast<std::int64_t>(session.charged()));
      session.account().AddLeaving(leaving.back());
      return true;
    });
  }
  for (std::size_t i = 0; i < first.size(); ++i) {
    const SessionPtr& session = first[i];
    PutToSleep(session, [&account = session->account(), bytes = leaving[i]](bool) { account.AddLeaving(-bytes); });
  }
}

void Sessions::ChargeOf(const std::vector<Account*>& tight) {
  std::erase_if(charged_to_, [&tight](const auto& entry) {
    return std::find(tight.begin(), tight.end(), entry.first) == tight.end();
  });
  if (tight.empty()) return;
  const Account* account = tight[charged_turns_++ % tight.size()];
  const std::string first = BeforeNamesOf(account->name_space());
  const auto before = charged_to_.find(account);
  const std::vector<SessionPtr> batch =
      table_.ListAfter(before == charged_to_.end() ? first : before->second, kChargeLooks);
  std::size_t looked = 0;
  std::size_t bytes = 0;
  while (looked < batch.size() && bytes < kChargeBytes && &batch[looked]->account() == account) {
    const SessionPtr& session = batch[looked++];
    if (session->durable()) continue;  // it rather falls asleep
    session->ChargeIfStale();
    bytes += session->charged();
  }
  const bool goes_on = looked == kChargeLooks || bytes >= kChargeBytes;
  charged_to_[account] = goes_on ? batch[looked - 1]->id() : first;
}

void Sessions::CloseInBackground(const SessionPtr& session, CloseCause cause, bool forgets,
                                 std::function<void()> done) {
  auto* close = new BackgroundClose(std::move(done));
  close->cause = cause;
  close->forgets = forgets;
  if (!session->Submit(close)) close->Finish(Reply());
}

absl::Time Sessions::Sweep() {
  const absl::Time now = environment_.clock.Now();
  SweepEphemeral(now);
  for (const SessionPtr& session : recency_.TakeDue(now, kSweepLimit)) {
    if (session->SleepDue() > now) {
      recency_.Schedule(*session);
    } else {
      PutToSleep(session, [](bool) {});
    }
  }
  Evict();
  const std::vector<Account*> tight = accounts_.Tight();
  if (tight.empty()) {
    const MutexLock lock(tight_mutex_);
    tight_place_ = {};
  } else {
    EvictOfTight(kSweepTightLooks);
  }
  ChargeOf(tight);
  SweepJournal(now);
  MeasureJournal(now);
  if (!tight.empty()) return now + kPause;
  // What is being taken care of still stands in the index, and so does what cannot be taken care of now: a body that is
  // busy, a journal that cannot be written.
  return std::max(now + kPause, std::min({timers_.Earliest(), recency_.Earliest(), journal_.EarliestDue()}));
}

bool Sessions::FindNamespaces() {
  // In order, those of the namespaces come first, and all of one lie together.
  std::string after = "/";
  while (true) {
    const absl::StatusOr<std::vector<Journal::Listed>> next = journal_.List(after, 1);
    if (!next.ok()) return false;
    if (next->empty() || !next->front().id.starts_with('/')) return true;
    const std::string_view name_space = NamespaceOf(next->front().id);
    accounts_.Of(name_space);
    after = BeforeNamesOf(name_space) + "~";  // behind every name
  }
}

void Sessions::MeasureJournal(absl::Time now) {
  if (!accounts_.LimitJournal() || now - measured_ < kMeasures) return;
  if (measured_ == absl::InfinitePast() && !FindNamespaces()) return;  // the next Sweep tries again
  measured_ = now;
  std::uint64_t others = 0;
  for (Account* account : accounts_.All()) {
    if (!account->uid_group()) continue;
    const std::uint64_t bytes = journal_.BytesOf(*account->uid_group()).value_or(0);
    others += bytes;
    account->SetJournalBytes(bytes);
  }
  Account& rest = accounts_.Of(kDefaultNamespace);
  if (!rest.LimitsJournal()) return;
  const std::uint64_t all = journal_.BytesOnDisk().value_or(0);
  rest.SetJournalBytes(all - std::min(all, others));
}

void Sessions::SweepEphemeral(absl::Time now) {
  for (const SessionPtr& session : timers_.TakeDue(now, kSweepLimit)) {
    const Session::Due due = session->NextDue();
    const auto reschedule = [this, session] { timers_.Schedule(*session); };
    if (due.when > now) {
      reschedule();
    } else if (due.act == Session::Due::Act::kForget) {
      Forget(*session);
    } else {
      CloseInBackground(session, due.act == Session::Due::Act::kCloseIdle ? CloseCause::kIdle : CloseCause::kExpired,
                        /*forgets=*/false, reschedule);
    }
  }
}

void Sessions::SweepJournal(absl::Time now) {
  if (background_.load() >= kMaxBackground) return;
  const absl::StatusOr<std::vector<Journal::Due>> due = journal_.ListDue(now, swept_to_, kMaxBackground);
  if (!due.ok()) return;  // it cannot be read now; the next Sweep tries again
  for (const Journal::Due& entry : *due) {
    swept_to_ = entry;
    SweepEntry(entry, now);
  }
  if (due->size() < kMaxBackground) swept_to_.reset();
}

void Sessions::SweepEntry(const Journal::Due& entry, absl::Time now) {
  if (!table_.Find(entry.id)) {
    const absl::StatusOr<std::optional<Journal::Stored>> found = journal_.Find(entry.id);
    if (absl::IsUnavailable(found.status())) return;
    if (!found.ok() || !*found || (*found)->head.problem) {
      journal_.Reschedule(entry, std::nullopt);
      return;
    }
    // One that was alive when the server ended is woken, so that what became of it is saved when it goes to sleep.
    if ((*found)->IsSettled()) {
      const absl::Time next = DueOf((*found)->head);
      if (next > now) {
        journal_.Reschedule(entry, next == absl::InfiniteFuture() ? std::nullopt : std::optional(next));
        return;
      }
    }
  }
  background_.fetch_add(1);
  Open(entry.id, [this, entry, now](const absl::StatusOr<SessionPtr>& opened) {
    const auto taken_care_of = [this, entry](std::optional<absl::Time> next) {
      journal_.Reschedule(entry, next);
      background_.fetch_sub(1);
    };
    if (!opened.ok()) {
      // Later, when the journal can be read or the coroutine is there again.
      taken_care_of(now + options_.durability.settle_after);
      return;
    }
    if (!*opened || !(*opened)->durable()) {
      taken_care_of(std::nullopt);
      return;
    }
    const SessionPtr& session = *opened;
    const Session::Due due = session->NextDue();
    if (due.when > now) {
      taken_care_of(std::min(due.when, now + options_.durability.settle_after));
      return;
    }
    const bool forgets = due.act == Session::Due::Act::kForget;
    CloseInBackground(
        session, due.act == Session::Due::Act::kCloseExpired ? CloseCause::kExpired : CloseCause::kIdle, forgets,
        [this, session, taken_care_of] {
          const absl::Time next = session->NextDue().when;
          const absl::Time later = environment_.clock.Now() + options_.durability.settle_after;
          taken_care_of(table_.Find(session->id()) == session ? std::optional(std::min(next, later)) : std::nullopt);
        });
  });
}

absl::Time Sessions::DueOf(const Head& head) const {
  if (head.finish_time != absl::InfiniteFuture()) return head.finish_time + options_.retention;
  return std::min(head.expire_time, head.last_used_time + head.idle_timeout);
}

void Sessions::CountCrashes(const CrashMarks& marks) {
  for (const CrashMarks::Crash& crash : marks.found()) {
    const absl::StatusOr<std::optional<Journal::Stored>> found = journal_.Find(crash.key.id);
    if (!found.ok() || !*found || (*found)->head.key != crash.key) continue;
    Head head = (*found)->head;
    if (++head.crashes >= kMaxCrashes) {
      head.problem = Broken("replaying step " + std::to_string(crash.step) + " ended the server " +
                                std::to_string(head.crashes) + " times, so it is not tried again",
                            crash.step);
      environment_.troubled.Add(head.key.uid);
      COROD_LOG(kSession, kError, "replaying a session ended the server, so it is not tried again",
                {{"session_id", LocalName(head.key.id)},
                 {"namespace", NamespaceOf(head.key.id)},
                 {"step", crash.step},
                 {"times", head.crashes}});
    }
    {
      const MutexLock lock(crashes_mutex_);
      ++crashes_to_save_;
    }
    journal_.Save({.head = std::move(head), .checkpoint = {}, .due = {}, .synced = true}, [this](const absl::Status&) {
      const MutexLock lock(crashes_mutex_);
      if (--crashes_to_save_ == 0) crashes_saved_.NotifyAll();
    });
  }
}

void Sessions::WaitForCrashes() {
  const MutexLock lock(crashes_mutex_);
  while (crashes_to_save_ > 0) crashes_saved_.Wait(crashes_mutex_);
}

void Sessions::Drain(std::function<void()> done) {
  environment_.draining.store(true);
  // Counts what is under way, and this call itself, which calls `done` if nothing is left.
  auto left = std::make_shared<std::atomic<std::size_t>>(1);
  const std::function<void()> one_less = [this, left, done = std::move(done)] {
    if (left->fetch_sub(1) != 1) return;
    watchers_.Drain();
    done();
  };
  std::string last;
  while (true) {
    const std::vector<SessionPtr> batch = table_.ListAfter(last, kDrainBatch);
    for (const SessionPtr& session : batch) {
      last = session->id();
      if (!session->durable() && session->state() == CoroutineState::kClosed) continue;
      left->fetch_add(1);
      if (session->durable()) {
        DrainDurable(session, kDrainTries, one_less);
      } else {
        CloseInBackground(session, CloseCause::kDrain, /*forgets=*/false, one_less);
      }
    }
    if (batch.size() < kDrainBatch) break;
  }
  one_less();
}

void Sessions::DrainDurable(const SessionPtr& session, int tries, std::function<void()> done) {
  // A command that is refused in its turn tells when all before it are through.
  CloseInBackground(session, CloseCause::kDrain, /*forgets=*/false, [this, session, tries, done = std::move(done)] {
    environment_.executor.Run([this, session, tries, done] {
      PutToSleep(session, [this, session, tries, done](bool asleep) {
        // One that cannot be saved loses nothing: its log says all.
        if (asleep || tries == 1 || table_.Find(session->id()) != session) {
          done();
        } else {
          DrainDurable(session, tries - 1, done);
        }
      });
    });
  });
}

}  // namespace corod
