#ifndef COROD_TESTS_GUARDS_WORLD_H_
#define COROD_TESTS_GUARDS_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/base/executor.h"
#include "server/catalog/builtin/builtin.h"
#include "server/catalog/catalog.h"
#include "server/journal/memory_journal.h"
#include "server/session/sessions.h"
#include "tests/guards/path.h"
#include "tests/unit/session/fakes.h"

namespace corod::guards {

// Runs tasks when it is told to, in order, on the thread that tells it. Allocates nothing once it has held as many.
class Tasks : public Executor {
 public:
  void Run(std::function<void()> task) override { waiting_.push_back(std::move(task)); }
  void RunAll() {
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
      const std::function<void()> task = std::move(waiting_[i]);
      task();
    }
    waiting_.clear();
  }

 private:
  std::vector<std::function<void()>> waiting_;
};

class CountingJournal : public MemoryJournal {
 public:
  using MemoryJournal::MemoryJournal;
  void Append(const SessionKey& key, const Batch& batch, std::optional<absl::Time> due, Done done) override {
    ++appends_;
    MemoryJournal::Append(key, batch, due, std::move(done));
  }
  std::uint64_t appends() const { return appends_; }

 private:
  std::uint64_t appends_ = 0;
};

// The session layer on one thread, with a journal in memory; no time passes, so every step is quick.
class World {
 public:
  World() { builtin::AddAverager(catalog_); }
  ~World() { RunAll(); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Sessions& sessions() { return sessions_; }
  absl::Time Now() const { return clock_.Now(); }
  std::uint64_t appends() const { return journal_.appends(); }
  void RunAll() { tasks_.RunAll(); }

  // A primed averager.
  SessionPtr Create(const std::string& id, Durability durability) {
    CreateSpec spec;
    spec.coroutine = "averager";
    spec.session_id = id;
    spec.prime = true;
    spec.durability = durability;
    SessionPtr session;
    sessions_.Create(std::move(spec), [&session](const absl::StatusOr<Created>& created) {
      if (created.ok()) session = created->session;
    });
    RunAll();
    Require(session.get() != nullptr, "a session could not be created");
    return session;
  }

 private:
  Catalog catalog_;
  FakeClock clock_;
  SequenceRandom random_;
  Tasks tasks_;
  CountingJournal journal_{tasks_, MemoryJournal::Options{.durable = true}};
  Sessions sessions_{Sessions::Options(), catalog_, clock_, tasks_, random_, journal_};
};

// Request ids as clients make them, none twice; written into a text that has been one before, without allocating.
class RequestIds {
 public:
  void Next(std::string& id) {
    id = kFirst;
    std::uint64_t rest = ++last_;
    for (std::size_t at = id.size(); rest != 0; rest /= 10) id[--at] = static_cast<char>('0' + rest % 10);
  }

 private:
  static constexpr const char* kFirst = "5f0c9a52-7d1e-4b53-9f0a-000000000000";
  std::uint64_t last_ = 0;
};

}  // namespace corod::guards

#endif  // COROD_TESTS_GUARDS_WORLD_H_
