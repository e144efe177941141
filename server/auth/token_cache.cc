#include "server/auth/token_cache.h"

#include <algorithm>
#include <utility>

namespace corod {

TokenCache::TokenCache(std::size_t size) : shard_size_(std::max<std::size_t>(size / kShards, 1)) {}

std::shared_ptr<const Identity> TokenCache::Find(const Digest& token, absl::Time now) {
  Shard& shard = ShardOf(token);
  const MutexLock lock(shard.mutex);
  const auto found = shard.entries.find(token);
  if (found == shard.entries.end()) return nullptr;
  if (now < found->second.expires) return found->second.identity;
  shard.entries.erase(found);
  return nullptr;
}

void TokenCache::Add(const Digest& token, std::shared_ptr<const Identity> identity, absl::Time expires,
                     absl::Time now) {
  Shard& shard = ShardOf(token);
  const MutexLock lock(shard.mutex);
  if (shard.entries.size() >= shard_size_ && !shard.entries.contains(token)) {
    absl::erase_if(shard.entries, [now](const auto& entry) { return now >= entry.second.expires; });
    // Any will do: its place in the table is as good as random.
    if (shard.entries.size() >= shard_size_) shard.entries.erase(shard.entries.begin());
  }
  shard.entries.insert_or_assign(token, Entry{std::move(identity), expires});
}

std::size_t TokenCache::size() {
  std::size_t total = 0;
  for (Shard& shard : shards_) {
    const MutexLock lock(shard.mutex);
    total += shard.entries.size();
  }
  return total;
}

}  // namespace corod
