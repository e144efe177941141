#ifndef COROD_SERVER_AUTH_TOKEN_CACHE_H_
#define COROD_SERVER_AUTH_TOKEN_CACHE_H_

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "server/auth/digest.h"
#include "server/auth/identity.h"
#include "server/base/mutex.h"

namespace corod {

// Whose tokens are that were verified lately, by the tokens' digests. Safe from many threads.
class TokenCache {
 public:
  // Holds about `size` tokens; when there are more, some are forgotten.
  explicit TokenCache(std::size_t size);

  // Null: not known, or not any more at `now`.
  std::shared_ptr<const Identity> Find(const Digest& token, absl::Time now);
  // Remembers it until `expires`.
  void Add(const Digest& token, std::shared_ptr<const Identity> identity, absl::Time expires, absl::Time now);

  // How many it holds.
  std::size_t size();

 private:
  static constexpr std::size_t kShards = 16;
  struct Entry {
    std::shared_ptr<const Identity> identity;
    absl::Time expires;
  };
  // Some bytes of it, which are random already.
  struct Hash {
    std::size_t operator()(const Digest& token) const {
      std::size_t hash = 0;
      std::memcpy(&hash, &token[token.size() - sizeof(hash)], sizeof(hash));
      return hash;
    }
  };
  struct alignas(64) Shard {
    Mutex mutex;
    absl::flat_hash_map<Digest, Entry, Hash> entries ABSL_GUARDED_BY(mutex);
  };

  Shard& ShardOf(const Digest& token) { return shards_[token[0] % kShards]; }

  const std::size_t shard_size_;
  std::array<Shard, kShards> shards_;
};

}  // namespace corod

#endif  // COROD_SERVER_AUTH_TOKEN_CACHE_H_
