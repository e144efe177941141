#include "server/maintenance/check.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/clock.h"
#include "server/base/failure.h"
#include "server/base/worker_pool.h"
#include "server/coroutine/limits.h"
#include "server/journal/journal.h"
#include "server/journal/valid_batches.h"
#include "server/lua/expression_stages.h"
#include "server/lua/scripts.h"
#include "server/maintenance/scratch_journal.h"
#include "server/session/crash_marks.h"
#include "server/session/definitions.h"
#include "server/session/replay.h"

namespace corod::maintenance {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;
constexpr std::size_t kPage = 256;

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

// Looks at one session after the other.
class Checker {
 public:
  // `catalog`: null: nothing is run again.
  Checker(const RocksJournal& journal, const Catalog* catalog, Report& report)
      : journal_(journal), catalog_(catalog), report_(report) {}

  void CheckAll() {
    std::string after;
    while (true) {
      const absl::StatusOr<std::vector<Journal::Listed>> page = journal_.List(after, kPage);
      if (!page.ok()) {
        report_.journal.push_back("the sessions behind '" + after + "' cannot be listed: " + MessageOf(page.status()));
        return;
      }
      for (const Journal::Listed& listed : *page) CheckOne(listed);
      if (page->size() < kPage) return;
      after = page->back().id;
    }
  }

 private:
  // What is known of the session that is looked at.
  struct Known {
    const Head& head;
    Step logged;                          // as the end of the log says
    std::vector<Checkpoint> checkpoints;  // that can be read
    Step first;                           // in the log; 0: it is empty
    Step last;
  };

  void CheckOne(const Journal::Listed& listed) {
    const std::size_t before = report_.findings.size();
    ++report_.sessions;
    id_ = listed.id;
    if (!listed.stored.ok()) {
      Damaged(0, "its head cannot be read: " + MessageOf(listed.stored.status()));
    } else if (const Head& head = listed.stored->head; head.problem) {
      Add(Finding::Kind::kProblem, head.problem->reason, head.problem->step, head.problem->message);
    } else {
      Known known{.head = head, .logged = listed.stored->logged_steps, .checkpoints = {}, .first = 0, .last = 0};
      const bool is_whole = ReadCheckpoints(known) && ReadLog(known) && FitsTogether(known);
      if (is_whole && catalog_) RunAgain(known);
    }
    // By the worst, which comes first in the enum.
    const auto worst =
        std::min_element(report_.findings.begin() + static_cast<std::ptrdiff_t>(before), report_.findings.end(),
                         [](const Finding& a, const Finding& b) { return a.kind < b.kind; });
    if (worst == report_.findings.end()) return;
    ++(worst->kind == Finding::Kind::kDamaged   ? report_.damaged
       : worst->kind == Finding::Kind::kProblem ? report_.problems
                                                : report_.waiting);
  }

  void Add(Finding::Kind kind, std::string reason, Step step, std::string message) {
    report_.findings.push_back({id_, kind, std::move(reason), step, std::move(message)});
  }
  void Damaged(Step step, std::string message) { Add(Finding::Kind::kDamaged, "", step, std::move(message)); }

  // One that is damaged is passed over by a server, if there is an older one.
  bool ReadCheckpoints(Known& known) {
    const absl::StatusOr<std::vector<Step>> steps = journal_.ListCheckpoints(known.head.key);
    if (!steps.ok()) {
      Damaged(0, "its checkpoints cannot be listed: " + MessageOf(steps.status()));
      return false;
    }
    bool all = true;
    for (const Step step : *steps) {
      absl::StatusOr<std::optional<Checkpoint>> found = journal_.FindCheckpoint(known.head.key, step);
      if (found.ok() && *found && (*found)->step == step) {
        known.checkpoints.push_back(**std::move(found));
        ++report_.checkpoints;
      } else {
        Damaged(step, "the checkpoint of this step cannot be read");
        all = false;
      }
    }
    return all;
  }

  bool ReadLog(Known& known) {
    BatchId tail;
    while (true) {
      const absl::StatusOr<std::vector<Batch>> read = journal_.Read(known.head.key, tail, kReadBytes);
      const Step next = known.first == 0 ? std::max<Step>(known.head.earliest_step, 1) : known.last + 1;
      if (!read.ok()) {
        Damaged(next, "the record of this step cannot be read: " + MessageOf(read.status()));
        return false;
      }
      if (read->empty()) return true;
      for (const Batch& batch : *read) {
        if (known.first == 0) {
          known.first = batch.first_step;
        } else if (batch.first_step != known.last + 1) {
          Damaged(known.last + 1,
                  absl::StrCat("this step is missing in the log, which goes on with step ", batch.first_step));
          return false;
        }
        known.last = LastStep(batch);
        report_.steps += batch.records.size();
      }
      tail = read->back().id;
    }
  }

  // Whether the log begins where something stands before it, and reaches as far as the head.
  bool FitsTogether(Known& known) {
    const Step from = known.checkpoints.empty() ? 0 : known.checkpoints.front().step;
    if (known.first > from + 1) {
      Damaged(from + 1, absl::StrCat("this step is missing in the log, which begins with step ", known.first));
      return false;
    }
    const Step end = std::max(known.last, known.checkpoints.empty() ? 0 : known.checkpoints.back().step);
    const Step had = std::max(known.head.steps, known.logged);
    if (end < had) {
      Damaged(end + 1, absl::StrCat("this step is missing in the log, and the session had ", had));
      return false;
    }
    return true;
  }

  void RunAgain(const Known& known) {
    const bool from_the_first = known.head.earliest_step <= 1;
    const Step oldest = from_the_first || known.checkpoints.empty() ? 0 : known.checkpoints.front().step;
    const std::optional<Head> whole = RunFrom(known, oldest);
    if (!whole || known.checkpoints.empty() || known.checkpoints.back().step == oldest) return;
    const std::optional<Head> part = RunFrom(known, known.checkpoints.back().step);
    if (!part) return;
    if (part->digest != whole->digest || part->steps != whole->steps || part->state != whole->state) {
      Add(Finding::Kind::kProblem, std::string(NameOf(Reason::REPLAY_DIVERGED)), known.checkpoints.back().step + 1,
          "run from the checkpoint of the step before it gives other outcomes than run from the beginning");
    }
  }

  // Nothing: it went wrong, and that was added.
  std::optional<Head> RunFrom(const Known& known, Step step) {
    const ReplayEnvironment environment{
        .catalog = *catalog_, .journal = journal_, .limits = ValueLimits(), .crash_marks = no_marks_};
    const auto failed = [&](const absl::Status& status, const Replay* replay) {
      if (replay && replay->problem()) {
        Add(Finding::Kind::kProblem, replay->problem()->reason, replay->problem()->step, replay->problem()->message);
      } else if (IsFailure(status, Reason::VERSION_UNAVAILABLE)) {
        Add(Finding::Kind::kWaits, "", 0, MessageOf(status));
      } else {
        Damaged(0, MessageOf(status));
      }
      return std::nullopt;
    };
    const absl::StatusOr<std::unique_ptr<Replay>> begun = Replay::Begin(environment, known.head, step);
    if (!begun.ok()) return failed(begun.status(), nullptr);
    Replay& replay = **begun;
    auto checkpoint = known.checkpoints.begin();
    while (true) {
      const absl::StatusOr<std::optional<Replay::Executed>> executed = replay.Next();
      if (!executed.ok()) return failed(executed.status(), &replay);
      if (!*executed) break;
      ++report_.replayed_steps;
      while (checkpoint != known.checkpoints.end() && checkpoint->step < replay.head().steps) ++checkpoint;
      if (checkpoint != known.checkpoints.end() && checkpoint->step == replay.head().steps &&
          checkpoint->digest != replay.head().digest) {
        Add(Finding::Kind::kProblem, std::string(NameOf(Reason::REPLAY_DIVERGED)), replay.head().steps,
            "up to this step the outcomes are not those that its checkpoint was made of");
        return std::nullopt;
      }
    }
    return replay.head();
  }

  const RocksJournal& journal_;
  const Catalog* const catalog_;
  Report& report_;
  CrashMarks no_marks_;
  std::string id_;
};

// False: it cannot be read to its end.
bool ReadCatalog(const RocksJournal& journal, Report& report) {
  while (true) {
    const absl::StatusOr<std::vector<CatalogEvent>> events = journal.ReadCatalog(report.definitions, kReadBytes);
    if (!events.ok()) {
      report.journal.push_back(MessageOf(events.status()));
      return false;
    }
    if (events->empty()) return true;
    report.definitions = events->back().revision;
  }
}

}  // namespace

absl::StatusOr<Report> Check(const std::string& directory, bool replays, Catalog& catalog) {
  absl::StatusOr<std::unique_ptr<ScratchJournal>> opened = ScratchJournal::Open(directory);
  if (!opened.ok()) return opened.status();
  RocksJournal& journal = (*opened)->journal();
  Report report;
  report.directory = directory;
  if (!journal.log_damage().empty()) {
    report.journal.push_back("the write-ahead log is not whole: " + journal.log_damage());
  }
  if (const absl::Status verified = journal.VerifyTables(); !verified.ok()) {
    report.journal.push_back("the database is damaged: " + MessageOf(verified));
  }
  // Nothing can be run with definitions that cannot be trusted.
  if (!ReadCatalog(journal, report) || !replays) {
    Checker(journal, nullptr, report).CheckAll();
    return report;
  }
  const SystemClock clock;
  WorkerPool workers(1);
  lua::Scripts scripts(catalog);
  lua::AddExpressionStages(catalog, scripts);
  Definitions definitions(catalog, journal, clock, workers,
                          [&scripts](auto... what) { return scripts.Define(what...); });
  const absl::Status read = definitions.Open();
  if (!read.ok()) report.journal.push_back("its definitions cannot be used: " + MessageOf(read));
  report.replayed = read.ok();
  Checker(journal, report.replayed ? &catalog : nullptr, report).CheckAll();
  journal.Shutdown();
  workers.Shutdown();
  return report;
}

}  // namespace corod::maintenance
