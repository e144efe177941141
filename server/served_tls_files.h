#ifndef COROD_SERVER_SERVED_TLS_FILES_H_
#define COROD_SERVER_SERVED_TLS_FILES_H_

#include <array>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/watched_file.h"
#include "server/flags.h"

namespace corod {

// The certificate, key and clients' roots that gRPC serves with, and how they are renewed: gRPC reads its files again
// by itself, but takes whatever stands there. So it is given copies, in memory, of what has been checked; files that do
// not fit each other, because one is damaged or only the first of them has been replaced, change nothing. For one
// thread.
class ServedTlsFiles {
 public:
  // `tls` must stay.
  explicit ServedTlsFiles(const Flags::Tls& tls);
  ~ServedTlsFiles();
  ServedTlsFiles(const ServedTlsFiles&) = delete;
  ServedTlsFiles& operator=(const ServedTlsFiles&) = delete;

  // Whether a file may be another one than was read last.
  bool IsChanged() const;
  // Reads and checks them, and serves them if they will do. Gives when the certificate expires; INVALID_ARGUMENT in one
  // line if they will not do.
  absl::StatusOr<absl::Time> Read(absl::Time now);

  // Where gRPC finds what is served. `client_ca`: empty if there is none.
  Flags::Tls served() const;

 private:
  absl::StatusOr<absl::Time> ReadOnce(absl::Time now);

  enum File : std::size_t { kCertificate, kKey, kClientCa, kFiles };

  const Flags::Tls& tls_;
  std::vector<WatchedFile> files_;
  std::array<int, kFiles> copies_;  // descriptors of anonymous files
};

}  // namespace corod

#endif  // COROD_SERVER_SERVED_TLS_FILES_H_
