#include "server/session/known_ids.h"

namespace corod {

const KnownId* KnownIds::Find(std::string_view request_id) const {
  if (request_id.empty()) return nullptr;
  if (request_id == pinned_.request_id) return &pinned_;
  const auto found = places_.find(request_id);
  return found == places_.end() ? nullptr : &ids_[found->second - forgotten_];
}

void KnownIds::Remember(std::string_view request_id, std::uint64_t fingerprint, Step step) {
  if (request_id.empty() || Find(request_id)) return;
  ids_.push_back(KnownId{std::string(request_id), fingerprint, step});
  places_.emplace(ids_.back().request_id, forgotten_ + ids_.size() - 1);
  if (ids_.size() <= max_ids_) return;
  places_.erase(ids_.front().request_id);
  ids_.pop_front();
  ++forgotten_;
}

void KnownIds::Pin(std::string_view request_id, std::uint64_t fingerprint, Step step) {
  pinned_ = KnownId{std::string(request_id), fingerprint, step};
}

std::vector<KnownId> KnownIds::List() const { return {ids_.begin(), ids_.end()}; }

}  // namespace corod
