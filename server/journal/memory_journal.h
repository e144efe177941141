#ifndef COROD_SERVER_JOURNAL_MEMORY_JOURNAL_H_
#define COROD_SERVER_JOURNAL_MEMORY_JOURNAL_H_

#include "server/journal/journal.h"

namespace corod {

// Keeps nothing: every session is ephemeral (--journal memory).
class MemoryJournal : public Journal {
 public:
  bool IsDurable() const override;
};

}  // namespace corod

#endif  // COROD_SERVER_JOURNAL_MEMORY_JOURNAL_H_
