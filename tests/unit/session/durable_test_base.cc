#include "tests/unit/session/durable_test_base.h"

#include <limits>

namespace corod {

DurableTest::DurableTest(MemoryJournal::Options options) : store_(executor_, options) {
  journal_in_use_ = &durable_journal_;
  Restart();
}

DurableTest::~DurableTest() {
  RunAll();
  Crash();
}

void DurableTest::Crash() {
  durable_journal_.Kill();
  RunAll();
  SessionsTest::Crash();
  durable_journal_.Revive();
}

void DurableTest::Restart(const Sessions::Options& options) {
  SessionsTest::Restart(options);
  RunAll();
}

void DurableTest::CrashAndRestart(const Sessions::Options& options) {
  Crash();
  Restart(options);
}

void DurableTest::Sleep() {
  clock_.Advance(options_.durability.passivate_after);
  Sweep();
}

absl::StatusOr<SessionInfo> DurableTest::Get(const std::string& id, std::optional<Step> at_step) {
  return GetNow(*sessions_, id, at_step, [this] { RunAll(); });
}

SessionInfo DurableTest::LookAt(const std::string& id) {
  absl::StatusOr<SessionInfo> info = Get(id);
  EXPECT_TRUE(info.ok()) << info.status();
  return info.ok() ? *std::move(info) : SessionInfo();
}

absl::StatusOr<SessionInfo> DurableTest::Update(const Session::Changes& changes, const std::string& id) {
  return UpdateNow(*sessions_, id, changes, [this] { RunAll(); });
}

std::vector<SessionInfo> DurableTest::ListAll(const ListQuery& query) {
  std::vector<SessionInfo> all;
  const absl::StatusOr<std::string> token = ListNow(
      *sessions_, query,
      [&all](const SessionInfo& info) {
        all.push_back(info);
        return true;
      },
      [this] { RunAll(); });
  EXPECT_TRUE(token.ok()) << token.status();
  return all;
}

ForkSpec DurableTest::Forking(std::optional<Step> at_step, const std::string& to, const std::string& from) {
  ForkSpec spec;
  spec.session_id = from;
  spec.at_step = at_step;
  spec.new_session_id = to;
  return spec;
}

absl::StatusOr<SessionInfo> DurableTest::Fork(ForkSpec spec) {
  return AnswerOf<SessionInfo>([&](Sessions::GetDone done) { sessions_->Fork(std::move(spec), std::move(done)); },
                               [this] { RunAll(); });
}

absl::StatusOr<std::string> DurableTest::Export(const std::string& id) {
  std::string file;
  absl::Status status = absl::UnknownError("not answered");
  sessions_->Export(
      id,
      [&file](const std::string& part, const std::function<void(bool)>& taken) {
        file += part;
        taken(true);
      },
      [&status](const absl::Status& given) { status = given; });
  RunAll();
  if (!status.ok()) return status;
  return file;
}

absl::StatusOr<SessionInfo> DurableTest::Import(std::string file, const std::string& id,
                                                const std::string& name_space) {
  return AnswerOf<SessionInfo>(
      [&](Sessions::GetDone done) { sessions_->Import(std::move(file), name_space, id, std::move(done)); },
      [this] { RunAll(); });
}

absl::StatusOr<Watching> DurableTest::StartWatch(std::optional<Step> from_step, const std::string& id) {
  using Made = std::shared_ptr<Watch>;
  absl::StatusOr<Made> watch =
      AnswerOf<Made>([&](Sessions::WatchDone done) { sessions_->StartWatch(id, from_step, [] {}, std::move(done)); },
                     [this] { RunAll(); });
  if (!watch.ok()) return watch.status();
  Watching watching;
  watching.watch = *std::move(watch);
  return watching;
}

void DurableTest::Follow(Watching& watching, std::size_t at_a_time) {
  while (!watching.end) {
    Watch::Taken taken = watching.watch->Take(at_a_time);
    for (const auto& event : taken.events) {
      watching.steps.push_back(event->step);
      watching.outcomes.push_back(event->outcome);
    }
    watching.end = taken.end;
    if (taken.events.empty() && !taken.end) {
      if (!executor_.RunOne()) break;
      RunAll();
    }
  }
}

void DurableTest::End(Watching& watching) { sessions_->EndWatch(watching.watch); }

Journal::Stored DurableTest::Stored(const std::string& id) {
  absl::StatusOr<std::optional<Journal::Stored>> found = store_.Find(id);
  EXPECT_TRUE(found.ok() && found->has_value()) << id;
  return found.ok() && *found ? **std::move(found) : Journal::Stored();
}

std::vector<Batch> DurableTest::Log(const std::string& id) {
  return store_.Read(Stored(id).head.key, {}, std::numeric_limits<std::size_t>::max()).value();
}

std::size_t DurableTest::LoggedSteps(const std::string& id) {
  std::size_t steps = 0;
  for (const Batch& batch : Log(id)) steps += batch.records.size();
  return steps;
}

std::vector<Step> DurableTest::Checkpoints(const std::string& id) {
  return store_.ListCheckpoints(Stored(id).head.key).value();
}

}  // namespace corod
