#ifndef COROD_SERVER_SESSION_REPLY_WINDOW_H_
#define COROD_SERVER_SESSION_REPLY_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "server/session/command.h"

namespace corod {

// The request ids that a session remembers, with their answers, so that a command sent again gets an equal answer
// instead of happening again (API rule 1). The newest `max_ids` ids are known; their answers are kept as long as they
// take no more than `max_bytes` together. The id that the session was created with is known for as long as the session.
// Not thread-safe.
class ReplyWindow {
 public:
  struct Known {
    std::uint64_t fingerprint;  // of the operation and its value
    Reply reply;
    bool forgotten = false;  // the answer is gone, its step is known
    std::size_t bytes = 0;
  };

  ReplyWindow(std::size_t max_ids, std::size_t max_bytes) : max_ids_(max_ids), max_bytes_(max_bytes) {}

  // nullptr if it is not known. Valid until the next change.
  const Known* Find(std::string_view request_id) const;

  // `bytes`: what the answer takes. `pinned`: known for ever. REQUIRES: the id is not known.
  void Remember(const std::string& request_id, std::uint64_t fingerprint, const Reply& reply, std::size_t bytes,
                bool pinned);

 private:
  void Forget(Known& known);

  const std::size_t max_ids_;
  const std::size_t max_bytes_;
  absl::flat_hash_map<std::string, Known> known_;
  std::deque<std::string> ids_;    // oldest first, without the pinned one
  std::size_t answered_from_ = 0;  // ids_ before this one have no answer any more
  std::string pinned_;             // empty: none
  std::size_t bytes_ = 0;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_REPLY_WINDOW_H_
