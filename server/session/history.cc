#include "server/session/history.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "server/base/executor.h"
#include "server/base/failure.h"
#include "server/catalog/namespaces.h"
#include "server/coroutine/outcome.h"
#include "server/journal/codec.h"
#include "server/journal/memory_journal.h"
#include "server/session/refusals.h"
#include "server/session/session_id.h"

namespace corod {
namespace {

constexpr std::string_view kMagic = "corod export 1\n";
constexpr std::size_t kReadBytes = std::size_t{1} << 20;
constexpr std::size_t kPartBytes = std::size_t{64} << 10;
constexpr std::size_t kMaxBatchRecords = 1'024;
constexpr std::size_t kMaxBatchBytes = std::size_t{1} << 20;  // of their values

// How it stood before the first step of `batch`, for copies that begin there.
struct Numbering {
  BatchId tail;
  std::uint64_t writer;

  // The next batch of a log that is written anew.
  void Renumber(Batch& batch) {
    batch.previous = tail;
    batch.id = tail = BatchId{tail.number + 1, writer};
  }
};

void AppendSize(std::string& out, std::size_t size) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>((size >> shift) & 0xff);
}

void AppendItem(std::string& out, const std::string& item) {
  AppendSize(out, item.size());
  out += item;
}

absl::Status BadFile(const std::string& what) {
  return Failed(Reason::INVALID_ARGUMENTS, "the file cannot be imported: " + what, {{"parameter", "chunk"}});
}

// A Delete is the last that a session has; only one that could not be carried out yet is seen at all.
bool Deletes(const Batch& batch) {
  return std::any_of(batch.records.begin(), batch.records.end(),
                     [](const Record& record) { return record.operation == Operation::kDelete; });
}

// An executor for a journal that is written once and then only read.
class AtOnce : public Executor {
 public:
  void Run(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  void RunAll() {
    while (!tasks_.empty()) {
      const auto tasks = std::exchange(tasks_, {});
      for (const auto& task : tasks) task();
    }
  }

 private:
  std::vector<std::function<void()>> tasks_;
};

// The items of an exported file.
absl::StatusOr<Journal::NewSession> ReadFile(std::string_view file) {
  if (!file.starts_with(kMagic)) return BadFile("it does not begin as one that Export made");
  file.remove_prefix(kMagic.size());
  Journal::NewSession session;
  bool has_head = false;
  while (true) {
    if (file.size() < 4) return BadFile("it ends early");
    std::size_t size = 0;
    for (int i = 3; i >= 0; --i) size = size << 8 | static_cast<unsigned char>(file[static_cast<std::size_t>(i)]);
    file.remove_prefix(4);
    if (size == 0) break;
    if (file.size() < size) return BadFile("it ends early");
    absl::StatusOr<ExportItem> item = DecodeExportItem(file.substr(0, size));
    if (!item.ok()) return BadFile(std::string(item.status().message()));
    file.remove_prefix(size);
    if (has_head == std::holds_alternative<Head>(*item)) return BadFile("its parts are not in their order");
    if (auto* head = std::get_if<Head>(&*item)) {
      session.head = std::move(*head);
      has_head = true;
    } else if (auto* checkpoint = std::get_if<Checkpoint>(&*item)) {
      if (session.checkpoint || !session.log.empty()) return BadFile("its parts are not in their order");
      session.checkpoint = std::move(*checkpoint);
    } else {
      session.log.push_back(std::get<Batch>(*std::move(item)));
    }
  }
  if (!file.empty()) return BadFile("something follows its end");
  if (!has_head) return BadFile("it holds no session");
  return session;
}

}  // namespace

absl::StatusOr<Head> History::Now(const Journal::Stored& stored) const {
  if (stored.IsSettled() || stored.head.problem) return stored.head;
  absl::StatusOr<std::unique_ptr<Replay>> replay = Replay::Begin(environment_, stored.head, stored.logged_steps);
  if (!replay.ok()) return replay.status();
  absl::Status ran = (*replay)->RunTo(stored.logged_steps);
  if (!ran.ok() && !(*replay)->problem()) return ran;
  Head head = (*replay)->head();
  head.problem = (*replay)->problem();
  return head;
}

absl::StatusOr<Head> History::At(const Head& head, Step step) const {
  if (head.problem && step >= head.problem->step) return ProblemStatus(head.key.id, *head.problem);
  absl::StatusOr<std::unique_ptr<Replay>> replay = Replay::Begin(environment_, head, step);
  if (!replay.ok()) return replay.status();
  if (absl::Status ran = (*replay)->RunTo(step); !ran.ok()) return ran;
  return (*replay)->head();
}

absl::StatusOr<History::Copy> History::CopyAt(const Head& head, Step step, Random& random) const {
  if (head.problem && step >= head.problem->step) return ProblemStatus(head.key.id, *head.problem);
  absl::StatusOr<std::unique_ptr<Replay>> begun = Replay::Begin(environment_, head, step);
  if (!begun.ok()) return begun.status();
  Copy copy{.stored = {}, .replay = *std::move(begun)};
  Replay& replay = *copy.replay;
  if (replay.problem()) return ProblemStatus(head.key.id, *replay.problem());
  Numbering numbering{.tail = {}, .writer = random.Next()};
  copy.stored.checkpoint = replay.checkpoint();
  if (copy.stored.checkpoint) {
    copy.stored.checkpoint->ids.clear();
    copy.stored.checkpoint->after = numbering.tail = BatchId{1, numbering.writer};
  }
  while (replay.head().steps < step) {
    Batch batch;
    batch.first_step = replay.head().steps + 1;
    batch.digest = replay.head().digest;
    numbering.Renumber(batch);
    std::size_t bytes = 0;
    while (replay.head().steps < step && batch.records.size() < kMaxBatchRecords && bytes < kMaxBatchBytes) {
      absl::StatusOr<std::optional<Replay::Executed>> executed = replay.Next();
      if (!executed.ok()) return executed.status();
      if (!*executed) return replay.RunTo(step);
      if ((*executed)->record.operation == Operation::kDelete) return NotFound(head.key.id);  // it is as good as gone
      (*executed)->record.request_id.clear();
      (*executed)->record.fingerprint = 0;
      bytes += Measure((*executed)->record.value, environment_.limits).bytes;
      batch.records.push_back(std::move((*executed)->record));
    }
    copy.stored.log.push_back(std::move(batch));
  }
  copy.stored.head = replay.head();
  copy.stored.head.earliest_step = copy.stored.checkpoint ? copy.stored.checkpoint->step + 1 : 1;
  copy.stored.head.problem.reset();
  copy.stored.head.crashes = 0;
  replay.Rest();
  return copy;
}

absl::StatusOr<std::string> History::File::Next() {
  if (taken_ == ready_.size()) {
    ready_.clear();
    taken_ = 0;
  }
  if (!std::exchange(begun_, true)) {
    if (absl::Status begun = Begin(); !begun.ok()) return begun;
  }
  while (ready_.size() < kPartBytes && !ended_) {
    if (absl::Status read = ReadSome(); !read.ok()) return read;
  }
  std::string part = ready_.substr(taken_, kPartBytes);
  taken_ += part.size();
  return part;
}

absl::Status History::File::Begin() {
  absl::StatusOr<std::vector<Step>> checkpoints = environment_.journal.ListCheckpoints(head_.key);
  if (!checkpoints.ok()) return checkpoints.status();
  std::optional<Checkpoint> from;  // none: the log begins at the first step
  auto next_checkpoint = checkpoints->begin();
  if (head_.earliest_step > 1 && next_checkpoint != checkpoints->end()) {
    if (absl::Status found = FindCheckpoint(*next_checkpoint++, from); !found.ok()) return found;
  }
  while (!head_.problem) {
    const absl::StatusOr<std::optional<Step>> damaged = FindDamage();
    if (!damaged.ok()) return damaged.status();
    if (!*damaged) break;
    // What stands behind the damage is whole without what stands before it, if there is a checkpoint between.
    next_checkpoint = std::lower_bound(next_checkpoint, checkpoints->end(), **damaged);
    if (next_checkpoint == checkpoints->end()) {
      head_.problem = DamagedRecord(**damaged);
    } else if (absl::Status found = FindCheckpoint(*next_checkpoint++, from); !found.ok()) {
      return found;
    }
  }
  ready_ = kMagic;
  // Whoever reads the file has namespaces of their own.
  Head head = head_;
  head.key.id = LocalName(head_.key.id);
  AppendItem(ready_, Encode(ExportItem(std::move(head))));
  if (from) AppendItem(ready_, Encode(ExportItem(*std::move(from))));
  return absl::OkStatus();
}

absl::Status History::File::FindCheckpoint(Step step, std::optional<Checkpoint>& from) {
  absl::StatusOr<std::optional<Checkpoint>> found = environment_.journal.FindCheckpoint(head_.key, step);
  if (absl::IsDataLoss(found.status())) return ProblemStatus(head_.key.id, DamagedCheckpoint(step + 1));
  if (!found.ok()) return found.status();
  if (*found) {
    tail_ = (*found)->after;
    next_ = (*found)->step + 1;
    from = **std::move(found);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Step>> History::File::FindDamage() const {
  BatchId tail = tail_;
  Step next = next_;
  while (true) {
    const absl::StatusOr<std::vector<Batch>> read = environment_.journal.Read(head_.key, tail, kReadBytes);
    if (absl::IsDataLoss(read.status())) return std::optional<Step>(next);
    if (absl::IsOutOfRange(read.status())) return std::optional<Step>();  // who reads it to export it finds that, too
    if (!read.ok()) return read.status();
    if (read->empty()) return std::optional<Step>();
    tail = read->back().id;
    next = read->back().first_step + read->back().records.size();
  }
}

absl::Status History::File::ReadSome() {
  const auto shortened = [this] {
    return Failed(Reason::HISTORY_TRIMMED,
                  "the log was shortened while it was exported (at step " + std::to_string(next_) + "); export again",
                  {{"session_id", std::string(LocalName(head_.key.id))}}, absl::Milliseconds(100));
  };
  absl::StatusOr<std::vector<Batch>> read = environment_.journal.Read(head_.key, tail_, kReadBytes);
  if (absl::IsOutOfRange(read.status())) return shortened();
  const bool damaged = absl::IsDataLoss(read.status());
  if (damaged && !head_.problem) return ProblemStatus(head_.key.id, DamagedRecord(next_));  // since Begin looked
  if (!read.ok() && !damaged) return read.status();
  ended_ = damaged || read->empty();
  for (std::size_t i = 0; !ended_ && i < read->size(); ++i) {
    Batch& batch = (*read)[i];
    if (batch.previous != tail_) return shortened();
    if (Deletes(batch)) return NotFound(head_.key.id);
    tail_ = batch.id;
    next_ = batch.first_step + batch.records.size();
    // No further than the head, whose digest tells whoever reads the file that it has the same outcomes. That of a
    // session that cannot be run here may lag.
    const bool lags = !DefinitionOf(environment_.catalog, head_);
    const Step behind_head = lags ? ~Step{0} : head_.steps + 1;
    const Step end = head_.problem ? head_.problem->step : behind_head;
    if (next_ > end) {
      const Step kept = std::max(end, batch.first_step) - batch.first_step;
      batch.records.resize(static_cast<std::size_t>(kept));
      next_ = batch.first_step + kept;
      ended_ = true;
    }
    AppendItem(ready_, Encode(ExportItem(std::move(batch))));
  }
  // A log that is shorter than the session was went with it, meanwhile.
  if (ended_ && !damaged && !head_.problem && next_ <= head_.steps) return NotFound(head_.key.id);
  if (ended_) AppendSize(ready_, 0);
  return absl::OkStatus();
}

absl::StatusOr<History::Copy> History::Import(std::string_view file, std::string_view name_space) const {
  absl::StatusOr<Journal::NewSession> read = ReadFile(file);
  if (!read.ok()) return read.status();
  Copy copy{.stored = *std::move(read), .replay = nullptr};
  Head& head = copy.stored.head;
  head.key.id = Qualified(name_space, head.key.id);
  if (absl::Status checked = CheckSessionId(head.key.id); !checked.ok()) return checked;
  if (std::any_of(copy.stored.log.begin(), copy.stored.log.end(), &Deletes)) return BadFile("it deletes its session");
  const Definition* definition = DefinitionOf(environment_.catalog, head);
  if (definition && definition->parameters.size() != head.arguments.size()) {
    return BadFile("the arguments are not those of '" + head.coroutine + "'");
  }
  if (definition) {
    const CatalogView view(kNewestRevision, environment_.catalog.Intern(name_space));
    for (std::size_t i = 0; i < head.arguments.size(); ++i) {
      const auto accepted = definition->parameters[i].Accept(head.arguments[i], view);
      if (const auto* error = std::get_if<ArgumentError>(&accepted)) return BadFile(error->message);
    }
  }
  // Revisions of another server mean nothing here.
  if (head.catalog_revision != 0) head.catalog_revision = environment_.catalog.revision();
  const bool ends_early = head.problem.has_value();
  head.problem.reset();
  head.crashes = 0;
  // Run from a journal of its own, by the same rules as any other. What is said of the state is taken from the run.
  AtOnce executor;
  MemoryJournal journal(executor);
  journal.Create(copy.stored, [](const absl::Status&) {});
  executor.RunAll();
  ReplayEnvironment environment{.catalog = environment_.catalog,
                                .journal = journal,
                                .limits = environment_.limits,
                                .crash_marks = environment_.crash_marks,
                                .metrics = environment_.metrics};
  if (ends_early) head.steps = ~Step{0};  // what the head says is of later steps
  absl::StatusOr<std::unique_ptr<Replay>> replay =
      Replay::Begin(environment, head, copy.stored.checkpoint ? copy.stored.checkpoint->step : 0);
  if (!replay.ok()) return replay.status();
  while (true) {
    absl::StatusOr<std::optional<Replay::Executed>> executed = (*replay)->Next();
    if (!executed.ok()) {
      return (*replay)->problem() ? BadFile((*replay)->problem()->message) : executed.status();
    }
    if (!*executed) break;
  }
  copy.replay = *std::move(replay);
  copy.replay->Rest();
  if (!copy.stored.log.empty() && copy.replay->tail() != copy.stored.log.back().id) {
    return BadFile("its log has a gap");
  }
  const Head ran = copy.replay->head();
  if (!ends_early && ran.steps < head.steps) return BadFile("its log is shorter than it says");
  head = ran;
  head.earliest_step = copy.stored.checkpoint ? copy.stored.checkpoint->step + 1 : 1;
  return copy;
}

}  // namespace corod
