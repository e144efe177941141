#include "server/session/session_log.h"

#include "server/coroutine/slab.h"

namespace corod {
namespace {

// Each durable session that is in memory has a log.
Slab& LogSlab() {
  static Slab& slab = *new Slab(sizeof(SessionLog));
  return slab;
}
Slab& ExtrasSlab() {
  static Slab& slab = *new Slab(sizeof(SessionLog::Extras));
  return slab;
}

}  // namespace

static_assert(sizeof(SessionLog) == 56, "there are millions; docs/performance.md has the account");
static_assert(sizeof(SessionLog::Extras) == 80);

void* SessionLog::operator new(std::size_t) { return LogSlab().Allocate(); }
void SessionLog::operator delete(void* log) { LogSlab().Free(log); }
void* SessionLog::Extras::operator new(std::size_t) { return ExtrasSlab().Allocate(); }
void SessionLog::Extras::operator delete(void* extras) { ExtrasSlab().Free(extras); }

BatchId SessionLog::Next(Random& random) {
  if (owns_tail) return {tail.number + 1, tail.writer};
  Extras& extras = MutableExtras();
  while (extras.writer == 0) extras.writer = random.Next();
  return {tail.number + 1, extras.writer};
}

void SessionLog::ChangeWriter() {
  owns_tail = false;
  if (extras_) extras_->writer = 0;
}

void SessionLog::NoteDelete(std::string_view request_id, std::uint64_t fingerprint, const Reply& reply) {
  deleting = true;
  Extras& extras = MutableExtras();
  if (!extras.deletion) extras.deletion = std::make_unique<Deletion>();
  extras.deletion->tombstone.reset();
  if (request_id.empty()) return;
  extras.deletion->tombstone = Tombstone{.request_id = std::string(request_id),
                                         .fingerprint = fingerprint,
                                         .outcome = {reply.step, *reply.outcome},
                                         .expire_time = {}};
}

}  // namespace corod
