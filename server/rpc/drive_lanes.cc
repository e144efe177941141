#include "server/rpc/drive_lanes.h"

#include <algorithm>

namespace corod::rpc {

DriveLane* DriveLanes::Find(const Key& key) const {
  const auto found = lanes_.find(key);
  return found == lanes_.end() ? nullptr : found->get();
}

DriveLane& DriveLanes::FindOrAdd(std::string_view id, const Key& key) {
  if (DriveLane* const found = Find(key)) return *found;
  return **lanes_.insert(std::make_unique<DriveLane>(id, key)).first;
}

void DriveLanes::ForgetIdle() {
  absl::erase_if(lanes_, [](const std::unique_ptr<DriveLane>& lane) { return lane->IsIdle(); });
  // So that many that are not idle are not looked through again and again.
  full_ = std::max(kKept, 2 * lanes_.size());
}

}  // namespace corod::rpc
