#include "server/journal/journal.h"

#include "server/base/failure.h"

namespace corod {

absl::StatusOr<Journal::BackedUp> Journal::Backup(const std::string&, const std::atomic<bool>&) {
  return Failed(Reason::DURABILITY_UNAVAILABLE, "this server keeps nothing (--journal memory), so there is no backup");
}

}  // namespace corod
