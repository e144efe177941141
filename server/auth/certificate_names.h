#ifndef COROD_SERVER_AUTH_CERTIFICATE_NAMES_H_
#define COROD_SERVER_AUTH_CERTIFICATE_NAMES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace corod {

// What a client certificate is called.
struct CertificateNames {
  std::vector<std::string> alternative;  // its subject alternative names that are DNS names or URIs
  std::string common_name;               // empty if it has subject alternative names, of whatever kind
};

// The names of the first certificate in a PEM text, which whoever calls has verified. CREDENTIALS_INVALID if it cannot
// be read.
absl::StatusOr<CertificateNames> NamesOfCertificate(std::string_view pem);

}  // namespace corod

#endif  // COROD_SERVER_AUTH_CERTIFICATE_NAMES_H_
