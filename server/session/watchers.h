#ifndef COROD_SERVER_SESSION_WATCHERS_H_
#define COROD_SERVER_SESSION_WATCHERS_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/base/mutex.h"
#include "server/journal/record.h"

namespace corod {

// One step of a session, as Watch shows it.
struct StepEvent {
  Step step = 0;
  Record record;
  Outcome outcome;
  bool finished = false;    // this step finished the coroutine
  std::string traceparent;  // of the call that it came with; empty: none, or it is read from the log
  std::size_t bytes = 0;    // of what was sent and what came of it
};

// Somebody who is told of a session's steps.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // A step was taken. In the order of the steps; on the thread that runs the session, so it must not block.
  virtual void OnStep(const std::shared_ptr<const StepEvent>& event) = 0;
  // The session was forgotten: no step follows.
  virtual void OnForgotten() = 0;
  // The server ends.
  virtual void OnDrained() = 0;
};

// Who watches which session: by the session's uid, so that it does not matter whether the session is in memory.
// Thread-safe.
class Watchers {
 public:
  void Add(std::string_view uid, std::shared_ptr<Watcher> watcher);
  // Nobody is called after this returns but for calls under way.
  void Remove(std::string_view uid, const Watcher* watcher);

  // Whether anybody watches anything; cheap.
  bool Any() const { return count_.load(std::memory_order_relaxed) != 0; }
  bool Watches(std::string_view uid) const;
  void Publish(std::string_view uid, StepEvent event) const;
  void Forget(std::string_view uid);
  // Tells all that the server ends.
  void Drain() const;

 private:
  using List = std::vector<std::shared_ptr<Watcher>>;
  List Of(std::string_view uid) const;

  std::atomic<std::size_t> count_{0};
  mutable Mutex mutex_;
  absl::flat_hash_map<std::string, List> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_WATCHERS_H_
