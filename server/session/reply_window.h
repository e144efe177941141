#ifndef COROD_SERVER_SESSION_REPLY_WINDOW_H_
#define COROD_SERVER_SESSION_REPLY_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "server/base/compact_text.h"
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
  struct Known {
    std::uint64_t fingerprint;  // of the operation and its value
    Reply reply;
    bool forgotten = false;  // the answer is gone, its step is known
  };

  // `create_id`: that of the Create; it is known when RememberCreate is called. Empty: none.
  explicit ReplyWindow(std::string_view create_id);
  ~ReplyWindow();

  static void* operator new(std::size_t bytes);
  static void operator delete(void* window);

  // Thread-safe.
  bool IsCreateId(std::string_view request_id) const { return !request_id.empty() && create_.id() == request_id; }

  std::optional<Known> Find(std::string_view request_id) const;

  // REQUIRES: the id is not empty and not known.
  void Remember(std::string_view request_id, std::uint64_t fingerprint, const Reply& reply, const Limits& limits);
  // Of the id that this was made with.
  void RememberCreate(std::uint64_t fingerprint, const Reply& reply, const Limits& limits);

 private:
  // An id and its answer.
  class Entry {
   public:
    Entry() = default;
    explicit Entry(std::string_view request_id) : id_(request_id) {}
    Entry(Entry&& other) noexcept { Swap(other); }
    Entry& operator=(Entry&& other) noexcept {
      Swap(other);
      return *this;
    }
    ~Entry() { ForgetAnswer(); }

    const CompactText& id() const { return id_; }
    bool is_known() const { return state_.known; }
    void Set(std::uint64_t fingerprint, const Reply& reply);
    Known Get() const;
    // What the answer takes, as corod.v1 encodes it.
    std::size_t bytes() const;
    // The id and its step stay known.
    void ForgetAnswer();

   private:
    void Swap(Entry& other) noexcept;
    Value value() const;

    CompactText id_;
    std::uint64_t fingerprint_ = 0;
    std::uint64_t value_bits_ = 0;  // a Value's, with its kind
    struct State {
      Step step : 48 = 0;
      Value::Kind value_kind : 4 = Value::Kind::kNull;
      Outcome::Kind outcome : 2 = Outcome::Kind::kReturned;
      bool answered : 1 = false;  // it has an outcome
      bool known : 1 = false;
      bool forgotten : 1 = false;  // it had one
    } state_;
  };
  // More than one beside the Create's.
  struct More;

  void KeepWithin(const Limits& limits);

  Entry create_;
  Entry first_;  // the one beside it, if there is but one
  std::unique_ptr<More> more_;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_REPLY_WINDOW_H_
