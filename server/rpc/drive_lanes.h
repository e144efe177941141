#ifndef COROD_SERVER_RPC_DRIVE_LANES_H_
#define COROD_SERVER_RPC_DRIVE_LANES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "server/base/compact_text.h"
#include "server/session/command.h"
#include "server/session/session.h"

namespace corod::rpc {

// What a Drive stream knows of one session: which of its commands are open, and whether one failed. Whoever has the
// stream's lock may look and change, but for what is atomic.
struct DriveLane {
  using Key = CompactText::Key;

  explicit DriveLane(std::string_view session_id) : id(session_id) {}

  // Nothing is open, and what comes next is not to fail: it may go another way.
  bool IsFree() const { return open.load(std::memory_order_acquire) == 0 && !failed.load(std::memory_order_relaxed); }
  // Also nobody looks at it any more. REQUIRES: the stream's lock is held.
  bool IsIdle() const { return IsFree() && !handing_over; }
  // Whether the next command goes to the session at once, rather than behind those that wait.
  bool GoesOn() const { return !handing_over && !alone && waiting.empty(); }

  const CompactText id;
  std::atomic<std::uint32_t> open{0};  // commands that came and were not answered; only the thread that reads adds
  std::atomic<bool> failed{false};     // a command failed, and none carried `resume` since

  bool handing_over = false;    // a thread hands what waits to the session
  bool alone = false;           // what is under way is a command that is to be alone (DriveCommand::alone)
  std::uint32_t under_way = 0;  // handed to the session and not answered
  CommandQueue waiting;         // behind those
  // The session to which all that is under way was handed, unless that is alone: what comes later is for the same one,
  // also when it has left the table. For whoever hands over; null when nothing is under way.
  SessionPtr session;
};

// The lanes of a stream by session id. For the thread that reads, who alone adds and forgets. A lane stays where it is,
// and stays when it is idle, for it is likely to be used again.
class DriveLanes {
 public:
  using Key = DriveLane::Key;

  bool empty() const { return lanes_.empty(); }
  std::size_t size() const { return lanes_.size(); }
  // It is about to be looked for.
  void Prefetch(const Key& key) const { lanes_.prefetch(key); }
  // nullptr if there is none. Does not touch the lane.
  DriveLane* Find(const Key& key) const;
  DriveLane& FindOrAdd(std::string_view id, const Key& key);
  // Whether there are so many that the idle ones should go.
  bool IsFull() const { return lanes_.size() >= full_; }
  // Forgets those that are idle. REQUIRES: the stream's lock is held.
  void ForgetIdle();

 private:
  struct Entry {
    CompactText id;  // so that a lane that is looked for need not be touched
    std::unique_ptr<DriveLane> lane;
  };
  struct HashById {
    using is_transparent = void;
    std::size_t operator()(const Key& key) const { return key.hash(); }
    std::size_t operator()(const Entry& entry) const { return entry.id.key().hash(); }
  };
  struct SameId {
    using is_transparent = void;
    bool operator()(const Entry& a, const Key& b) const { return a.id.key() == b; }
    bool operator()(const Entry& a, const Entry& b) const { return a.id == b.id; }
  };
  static constexpr std::size_t kKept = 1'024;

  std::size_t full_ = kKept;
  absl::flat_hash_set<Entry, HashById, SameId> lanes_;
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_DRIVE_LANES_H_
