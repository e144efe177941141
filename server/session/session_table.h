#ifndef COROD_SERVER_SESSION_SESSION_TABLE_H_
#define COROD_SERVER_SESSION_SESSION_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "server/base/compact_pointer.h"
#include "server/base/compact_text.h"
#include "server/base/mutex.h"
#include "server/session/session.h"

namespace corod {

// The sessions that are in memory, by id. Look-ups touch one of many locks; the order of ids is kept beside.
// Thread-safe.
class SessionTable {
 public:
  using Key = CompactText::Key;

  // nullptr if there is none.
  SessionPtr Find(std::string_view id) const { return Find(Key(id)); }
  SessionPtr Find(const Key& id) const;
  // For whoever looks for many: bring nearer to the processor where `id` stands, then also the session, if it is there.
  void Prefetch(const Key& id) const;
  void PrefetchSession(const Key& id) const;
  // Adds `session`, in the place of `replaced` if that is not null and still there.
  enum class Added { kNot, kAlone, kInItsPlace };  // kNot: the id is taken
  Added Add(const SessionPtr& session, const SessionPtr& replaced);
  // False if it was not there.
  bool Remove(Session& session);
  // Sessions whose ids come after `id`, in order, `limit` at most.
  std::vector<SessionPtr> ListAfter(std::string_view id, std::size_t limit) const;
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  // Equal to whatever has the same hash, as far as the table sees that without looking at the sessions.
  struct Candidate {
    std::size_t hash;
  };
  struct HashById {
    using is_transparent = void;
    std::size_t operator()(const Candidate& candidate) const { return candidate.hash; }
    std::size_t operator()(const Key& id) const { return id.hash(); }
    std::size_t operator()(const SessionPtr& session) const { return session->compact_id().key().hash(); }
  };
  struct SameId {
    using is_transparent = void;
    bool operator()(const SessionPtr&, const Candidate&) const { return true; }
    static Key IdOf(const Key& id) { return id; }
    static Key IdOf(const SessionPtr& session) { return session->compact_id().key(); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return IdOf(a) == IdOf(b);
    }
  };
  struct OrderById {
    using is_transparent = void;
    using Entry = CompactPointer<Session>;
    bool operator()(const Entry& a, const Entry& b) const { return a->compact_id() < b->compact_id(); }
    bool operator()(const CompactText& a, const Entry& b) const { return a < b->compact_id(); }
    bool operator()(const Entry& a, const CompactText& b) const { return a->compact_id() < b; }
  };
  struct alignas(64) Shard {
    mutable SmallMutex mutex;
    absl::flat_hash_set<SessionPtr, HashById, SameId> sessions ABSL_GUARDED_BY(mutex);
  };
  // Not a power of two, so that the numbers of sessions at which the sets of all shards grow are not round ones.
  static constexpr std::size_t kShards = 80;

  static std::size_t ShardOf(const Key& id) {
    // By the top bits; the set within uses the others.
    return static_cast<std::size_t>((static_cast<unsigned __int128>(id.hash()) * kShards) >> 64);
  }

  std::atomic<std::size_t> size_{0};
  std::array<Shard, kShards> shards_;
  // Taken while a shard's is held. A session in here is in its shard, so it is alive.
  mutable Mutex order_mutex_;
  absl::btree_set<CompactPointer<Session>, OrderById> order_ ABSL_GUARDED_BY(order_mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SESSION_TABLE_H_
