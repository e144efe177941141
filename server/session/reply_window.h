#ifndef COROD_SERVER_SESSION_REPLY_WINDOW_H_
#define COROD_SERVER_SESSION_REPLY_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "server/base/compact_text.h"
#include "server/coroutine/held.h"
#include "server/coroutine/outcome.h"
#include "server/coroutine/value.h"
#include "server/session/command.h"

namespace corod {

// The request ids that an ephemeral session remembers, with their answers, so that a command sent again gets an equal
// answer instead of happening again (API rule 1). The newest `ids` are known; their answers are kept as long as they
// take no more than `bytes` together. The id that the session was created with is known for as long as the session.
//
// Not thread-safe, but for IsCreateId.
class ReplyWindow {
 public:
  struct Limits {
    std::size_t ids;
    std::size_t bytes;
  };
  // What is kept of the fingerprint of an operation and its value: enough to notice that an id is used for another one.
  static std::uint64_t Kept(std::uint64_t fingerprint) { return fingerprint & kFingerprintMask; }

  struct Known {
    std::uint64_t fingerprint;  // as Kept
    Reply reply;
    bool forgotten = false;  // the answer is gone, its step is known
  };

  // `create_id`: that of the Create; it is known when RememberCreate is called. Empty: none.
  explicit ReplyWindow(std::string_view create_id);
  ~ReplyWindow();
  ReplyWindow(const ReplyWindow&) = delete;
  ReplyWindow& operator=(const ReplyWindow&) = delete;

  static void* operator new(std::size_t bytes);
  static void operator delete(void* window);

  // Thread-safe.
  bool IsCreateId(std::string_view request_id) const { return !request_id.empty() && create_id_ == request_id; }

  std::optional<Known> Find(std::string_view request_id) const;

  // Adds what it takes in memory, about.
  void AddHeld(HeldMemory& held) const;

  // REQUIRES: the id is not empty and not known.
  void Remember(std::string_view request_id, std::uint64_t fingerprint, const Reply& reply, const Limits& limits);
  // Of the id that this was made with.
  void RememberCreate(std::uint64_t fingerprint, const Reply& reply, const Limits& limits);

 private:
  class Entry;
  struct Many;

  // Most windows hold the Create's answer, a null, and one beside it: what they need for that is here, and not more.
  // Anything else is in a Many.
  static bool IsOfFew(const Reply& reply) { return reply.outcome.has_value() && reply.step <= kMaxStep; }
  static bool IsCreateOfFew(const Reply& reply) {
    return reply.step <= 1 && (!reply.outcome || reply.outcome->value.is_null());
  }
  Known FirstKnown() const;
  Known CreateKnown() const;
  void ForgetFirst();
  Many& many() const;
  Many& BecomeMany();

  void KeepWithin(const Limits& limits);

  static constexpr int kFingerprintBits = 48;
  static constexpr std::uint64_t kFingerprintMask = (std::uint64_t{1} << kFingerprintBits) - 1;
  static constexpr int kStepBits = 16;
  static constexpr Step kMaxStep = (Step{1} << kStepBits) - 1;

  const CompactText create_id_;
  CompactText first_id_;
  std::uint64_t bits_ = 0;  // the first's Value's, with its kind; or the address of the Many
  std::uint64_t first_fingerprint_ : kFingerprintBits = 0;
  Step first_step_ : kStepBits = 0;
  std::uint64_t create_fingerprint_ : kFingerprintBits = 0;
  Value::Kind value_kind_ : 4 = Value::Kind::kNull;
  Outcome::Kind first_outcome_ : 2 = Outcome::Kind::kReturned;
  bool first_known_ : 1 = false;
  bool first_forgotten_ : 1 = false;
  Step create_step_ : 1 = 0;
  Outcome::Kind create_outcome_ : 2 = Outcome::Kind::kReturned;
  bool create_known_ : 1 = false;
  bool create_answered_ : 1 = false;  // it has an outcome
  bool is_many_ : 1 = false;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_REPLY_WINDOW_H_
