#ifndef COROD_SERVER_AUTH_TLS_FILES_H_
#define COROD_SERVER_AUTH_TLS_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace corod {

// Whether a server can use these files at `now`: `certificate` (PEM, the server's own first, then those between it and
// the root), its private `key` (PEM, not encrypted) and `client_ca` (PEM, the roots of clients' certificates; empty:
// clients show none). Gives the time at which the server's certificate expires; or INVALID_ARGUMENT with one line that
// names the file and says what is wrong with it.
absl::StatusOr<absl::Time> CheckTlsFiles(const std::string& certificate, const std::string& key,
                                         const std::string& client_ca, absl::Time now);

}  // namespace corod

#endif  // COROD_SERVER_AUTH_TLS_FILES_H_
