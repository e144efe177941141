#ifndef COROD_SERVER_SESSION_KNOWN_IDS_H_
#define COROD_SERVER_SESSION_KNOWN_IDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/compact_pointer.h"
#include "server/journal/record.h"

namespace corod {

// The request ids that a durable session remembers, with the steps that they stand for: the answers can be had from the
// log again (API rule 1). The newest ones are known, and the id that the session was created with for as long as the
// session. 6 bytes, and nothing besides for a session that knows no id.
//
// Not thread-safe, but for what asks for the Create.
class KnownIds {
 public:
  struct Known {
    std::uint64_t fingerprint;
    Step step;
  };

  KnownIds();
  ~KnownIds();
  KnownIds(const KnownIds&) = delete;
  KnownIds& operator=(const KnownIds&) = delete;

  // The id of the Create, its fingerprint, and the step that it became (0: it did not prime), for ever; unset: that
  // is not known yet, see PinCreate. REQUIRES: the id is not empty; nobody else has the session yet.
  void SetCreate(std::string_view request_id, std::uint64_t fingerprint, std::optional<Step> step);
  // REQUIRES: SetCreate was called before anybody else had the session; true of no id otherwise.
  bool IsCreateId(std::string_view request_id) const;
  std::string create_id() const;
  std::uint64_t create_fingerprint() const;

  // nullopt if it is not known.
  std::optional<Known> Find(std::string_view request_id) const;
  // Knows the id from now on, and only the newest `max_ids` of those that came this way. Nothing if it is empty or
  // known. The id of the Create is kept apart.
  void Remember(std::string_view request_id, std::uint64_t fingerprint, Step step, std::size_t max_ids);
  // The step that the Create became. REQUIRES: SetCreate.
  void PinCreate(Step step);
  // What it takes in memory beside itself, about, in bytes.
  std::size_t HeldBytes() const;
  // For a checkpoint: the oldest first, without that of the Create.
  std::vector<KnownId> List() const;

 private:
  class Entry;
  struct Many;
  struct Kept;

  CompactPointer<Kept> kept_;  // its own; null: none is known
};

}  // namespace corod

#endif  // COROD_SERVER_SESSION_KNOWN_IDS_H_
