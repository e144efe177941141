#ifndef COROD_SERVER_MAINTENANCE_CHECK_H_
#define COROD_SERVER_MAINTENANCE_CHECK_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/catalog/catalog.h"
#include "server/maintenance/report.h"

namespace corod::maintenance {

// Reads the journal in a data directory that no server has open, and changes nothing there. Each session's head, log
// and checkpoints are read and held against each other. With `replays` each log is also run again, from where it begins
// and from its newest checkpoint, with what is in `catalog` and what the journal defines, and what comes out is
// compared with the digests that were kept; a body that ends the process ends this one.
//
// kUnavailable: a server has the directory. Any other status: it cannot be read.
absl::StatusOr<Report> Check(const std::string& directory, bool replays, Catalog& catalog);

}  // namespace corod::maintenance

#endif  // COROD_SERVER_MAINTENANCE_CHECK_H_
