#ifndef COROD_SERVER_SESSION_SESSION_TABLE_H_
#define COROD_SERVER_SESSION_SESSION_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "server/base/mutex.h"
#include "server/session/session.h"

namespace corod {

// The sessions that are in memory, by id. Look-ups touch one of many locks; the order of ids is kept beside.
// Thread-safe.
class SessionTable {
 public:
  // nullptr if there is none.
  SessionPtr Find(std::string_view id) const;
  // Adds `session`, in the place of `replaced` if that is not null and still there.
  enum class Added { kNot, kAlone, kInItsPlace };  // kNot: the id is taken
  Added Add(const SessionPtr& session, const SessionPtr& replaced);
  // False if it was not there.
  bool Remove(Session& session);
  // Sessions whose ids come after `id`, in order, `limit` at most.
  std::vector<SessionPtr> ListAfter(std::string_view id, std::size_t limit) const;
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct HashById {
    using is_transparent = void;
    std::size_t operator()(std::string_view id) const { return std::hash<std::string_view>()(id); }
    std::size_t operator()(const SessionPtr& session) const { return (*this)(std::string_view(session->id())); }
  };
  struct SameId {
    using is_transparent = void;
    static std::string_view Id(std::string_view id) { return id; }
    static std::string_view Id(const SessionPtr& session) { return session->id(); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Id(a) == Id(b);
    }
  };
  struct OrderById {
    using is_transparent = void;
    static std::string_view Id(std::string_view id) { return id; }
    static std::string_view Id(const Session* session) { return session->id(); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Id(a) < Id(b);
    }
  };
  struct Shard {
    mutable Mutex mutex;
    absl::flat_hash_set<SessionPtr, HashById, SameId> sessions ABSL_GUARDED_BY(mutex);
  };
  static constexpr std::size_t kShards = 64;

  // The top bits choose the shard; the set within uses the others.
  std::size_t ShardOf(std::string_view id) const { return HashById()(id) >> (sizeof(std::size_t) * 8 - 6); }

  std::atomic<std::size_t> size_{0};
  std::array<Shard, kShards> shards_;
  // Taken while a shard's is held. A session in here is in its shard, so it is alive.
  mutable Mutex order_mutex_;
  absl::btree_set<Session*, OrderById> order_ ABSL_GUARDED_BY(order_mutex_);
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_SESSION_TABLE_H_
