#ifndef COROD_SERVER_SESSION_COMMAND_H_
#define COROD_SERVER_SESSION_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/prefetch.h"
#include "server/coroutine/outcome.h"
#include "server/coroutine/value.h"
#include "server/journal/record.h"
#include "server/metrics/metrics.h"

namespace corod {

// The answer to a command that was a step.
struct Reply {
  Step step = 0;
  // Unset only for a Create that was not asked to prime.
  std::optional<Outcome> outcome;
  // The answer to an earlier, equal command.
  bool replayed = false;
};

// How it counts.
inline metrics::Result ResultOf(const Outcome& outcome) {
  static_assert(static_cast<int>(Outcome::Kind::kYielded) == static_cast<int>(metrics::Result::kYielded) &&
                static_cast<int>(Outcome::Kind::kReturned) == static_cast<int>(metrics::Result::kReturned) &&
                static_cast<int>(Outcome::Kind::kRaised) == static_cast<int>(metrics::Result::kRaised));
  return static_cast<metrics::Result>(outcome.kind);
}
inline metrics::Result ResultOf(const Reply& reply) {
  return reply.outcome ? ResultOf(*reply.outcome) : metrics::Result::kDone;
}

// A command on its way through a session's queue. Whoever makes it keeps it until Finish is called, which happens once.
class Command {
 public:
  Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;

  // In the command's turn, before any other check: an error is its answer, and it is not executed. On the thread that
  // runs the session.
  virtual absl::Status Admit() { return absl::OkStatus(); }

  // Whether it is to end the session, which is not refused for want of room.
  bool ends() const { return operation == Operation::kClose || operation == Operation::kDelete; }

  // Answers it before its turn: if it has a request id, it may have been executed before.
  void TurnAway(const absl::Status& refusal);

  // The answer; the command may destroy itself. On any thread, possibly before Submit returns; must not block. Answers
  // of one session come in the order of its steps.
  virtual void Finish(absl::StatusOr<Reply> reply) = 0;

  // Of the call that it came with (W3C Trace Context, section 3.2); empty: none. In the command's turn. Takes time, so
  // it is only asked when somebody is told of the step.
  virtual std::string Traceparent() const { return {}; }

 private:
  friend class CommandQueue;
  // The first cache line has these and what is looked at in any case.
  Command* next_ = nullptr;
  std::uint32_t place_ = 0;  // of two neighbours in a queue the second has the next higher

 public:
  Operation operation = Operation::kSend;
  CloseCause cause = CloseCause::kClient;
  // A close that the body ignores drops the coroutine.
  bool force = false;
  // Not a step: forget the session if it was finished long enough ago. The server's own.
  bool forgets = false;
  // The sender bounds how many it has under way, so that the session's queue need not.
  bool bounded_by_sender = false;
  Value value;
  // The step that it must become; 0: whichever comes.
  Step expected_step = 0;
  // kCreate: the hash of the whole request. Else it is made from the operation and the value.
  std::uint64_t fingerprint = 0;
  // Set in its turn, of a durable session's: the time of its step.
  absl::Time accepted;
  // Not executed when its turn comes later than this.
  absl::Time deadline = absl::InfiniteFuture();
  // Empty: none.
  std::string request_id;
  // kDelete: the life of the id that is meant; empty: whichever.
  std::string uid;
  // Set in its turn: the step whose answer it is to get again.
  Step repeats = 0;
  // Set when a session has answered it, or refused it: where its coroutine's commands count.
  const metrics::CommandCounters* counters = nullptr;
  // Set if it became a step: when that was over.
  absl::Time executed = absl::InfinitePast();
};

// First in, first out, without allocating. Not thread-safe. Does not own what is in it. 8 bytes: a ring of which the
// last is known.
class CommandQueue {
 public:
  CommandQueue() = default;
  CommandQueue(CommandQueue&& other) noexcept : last_(std::exchange(other.last_, nullptr)) {}
  CommandQueue& operator=(CommandQueue&& other) noexcept {
    std::swap(last_, other.last_);
    return *this;
  }

  bool empty() const { return last_ == nullptr; }
  std::uint32_t size() const { return last_ ? last_->place_ - first()->place_ + 1 : 0; }

  void Push(Command* command) {
    Insert(command);
    last_ = command;
  }
  void PushFront(Command* command) {
    const std::uint32_t place = last_ ? first()->place_ - 1 : 0;
    Insert(command);
    command->place_ = place;
  }
  // All of `commands`, in their order, before what is here; leaves `commands` empty.
  void PutBack(CommandQueue& commands) {
    if (commands.empty()) return;
    if (empty()) {
      std::swap(last_, commands.last_);
      return;
    }
    std::uint32_t place = first()->place_ - commands.size();
    for (Command* command = commands.first(); command; command = commands.After(command)) command->place_ = place++;
    std::swap(commands.last_->next_, last_->next_);
    commands.last_ = nullptr;
  }
  // The first, without taking it; then the one behind `command`. nullptr: none.
  Command* first() const { return last_ ? last_->next_ : nullptr; }
  Command* After(const Command* command) const { return command == last_ ? nullptr : command->next_; }
  // For whoever has room for a pointer alone: what Detach gave up is a queue again in Attach.
  Command* Detach() { return std::exchange(last_, nullptr); }
  static CommandQueue Attach(Command* detached) {
    CommandQueue queue;
    queue.last_ = detached;
    return queue;
  }
  // They are about to be taken: brings the last nearer, or with `near`, when that is there, the first.
  void Prefetch(bool near) const {
    if (last_) PrefetchLines<3>(near ? last_->next_ : last_);
  }
  // nullptr if it is empty.
  Command* Pop() {
    Command* const command = first();
    if (command == last_) {
      last_ = nullptr;
    } else {
      last_->next_ = command->next_;
      PrefetchLines<3>(last_->next_);  // which is soon the next
    }
    return command;
  }

 private:
  // Between the last and the first.
  void Insert(Command* command) {
    if (last_) {
      command->place_ = last_->place_ + 1;
      command->next_ = last_->next_;
      last_->next_ = command;
    } else {
      command->place_ = 0;
      command->next_ = last_ = command;
    }
  }

  Command* last_ = nullptr;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_COMMAND_H_
