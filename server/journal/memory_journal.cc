#include "server/journal/memory_journal.h"

namespace corod {

bool MemoryJournal::IsDurable() const { return false; }

}  // namespace corod
