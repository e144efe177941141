#include "server/session/reply_window.h"

#include "absl/strings/string_view.h"

namespace corod {

const ReplyWindow::Known* ReplyWindow::Find(std::string_view request_id) const {
  const auto found = known_.find(absl::string_view(request_id.data(), request_id.size()));
  return found == known_.end() ? nullptr : &found->second;
}

void ReplyWindow::Remember(const std::string& request_id, std::uint64_t fingerprint, const Reply& reply,
                           std::size_t bytes, bool pinned) {
  known_[request_id] = Known{fingerprint, reply, false, bytes};
  bytes_ += bytes;
  if (pinned) {
    pinned_ = request_id;
  } else {
    ids_.push_back(request_id);
  }
  if (ids_.size() > max_ids_) {
    const auto oldest = known_.find(ids_.front());
    Forget(oldest->second);
    known_.erase(oldest);
    ids_.pop_front();
    if (answered_from_ > 0) --answered_from_;
  }
  // The oldest answers go first, that of the Create before all; the newest goes only if it is too large by itself.
  if (bytes_ > max_bytes_ && !pinned_.empty()) Forget(known_[pinned_]);
  while (bytes_ > max_bytes_ && answered_from_ < ids_.size()) Forget(known_[ids_[answered_from_++]]);
}

void ReplyWindow::Forget(Known& known) {
  if (!known.reply.outcome) return;  // nothing to forget
  bytes_ -= known.bytes;
  known.bytes = 0;
  known.forgotten = true;
  known.reply.outcome.reset();
}

}  // namespace corod
