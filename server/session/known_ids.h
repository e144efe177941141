#ifndef COROD_SERVER_SESSION_KNOWN_IDS_H_
#define COROD_SERVER_SESSION_KNOWN_IDS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/journal/record.h"

namespace corod {

// The request ids that a durable session remembers, with the steps that they stand for: the answers can be had from the
// log again (API rule 1). The newest `max_ids` are known, and the id that the session was created with for as long as
// the session. Not thread-safe.
class KnownIds {
 public:
  explicit KnownIds(std::size_t max_ids) : max_ids_(max_ids) {}

  // nullptr if it is not known. Valid until the next change.
  const KnownId* Find(std::string_view request_id) const;
  // Nothing if the id is empty or known.
  void Remember(std::string_view request_id, std::uint64_t fingerprint, Step step);
  // The id of the Create, known for ever; step 0: it did not prime.
  void Pin(std::string_view request_id, std::uint64_t fingerprint, Step step);
  // For a checkpoint: the oldest first, without the pinned one.
  std::vector<KnownId> List() const;

 private:
  const std::size_t max_ids_;
  std::uint64_t forgotten_ = 0;  // how many have left ids_
  std::deque<KnownId> ids_;      // oldest first
  // Where an id stands: forgotten_ + its index in ids_. The keys are the ids' own texts.
  absl::flat_hash_map<std::string_view, std::uint64_t> places_;
  KnownId pinned_;
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_KNOWN_IDS_H_
