#include "server/rpc/drive_lanes.h"

#include <algorithm>

namespace corod::rpc {

DriveLane* DriveLanes::Find(const Key& key) const {
  const auto found = lanes_.find(key);
  return found == lanes_.end() ? nullptr : found->lane.get();
}

DriveLane& DriveLanes::FindOrAdd(std::string_view id, const Key& key) {
  if (DriveLane* const found = Find(key)) return *found;
  return *lanes_.insert({CompactText(id), std::make_unique<DriveLane>(id)}).first->lane;
}

void DriveLanes::ForgetIdle() {
  absl::erase_if(lanes_, [](const Entry& entry) { return entry.lane->IsIdle(); });
  // So that many that are not idle are not looked through again and again.
  full_ = std::max(kKept, 2 * lanes_.size());
}

}  // namespace corod::rpc
