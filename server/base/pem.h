#ifndef COROD_SERVER_BASE_PEM_H_
#define COROD_SERVER_BASE_PEM_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace corod {

struct CertificateDeleter {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using CertificateHandle = std::unique_ptr<X509, CertificateDeleter>;

struct PrivateKeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using PrivateKeyHandle = std::unique_ptr<EVP_PKEY, PrivateKeyDeleter>;

// The certificates in a PEM text, in its order; what is between them is skipped. INVALID_ARGUMENT, saying what "it" is
// not, if there is none or one is damaged.
absl::StatusOr<std::vector<CertificateHandle>> CertificatesIn(std::string_view pem);

// The first private key in a PEM text. INVALID_ARGUMENT, as above, if there is none, or it is damaged or encrypted.
absl::StatusOr<PrivateKeyHandle> PrivateKeyIn(std::string_view pem);

// Whether `key` is the private one of `certificate`.
bool IsKeyOf(const EVP_PKEY* key, const X509* certificate);

}  // namespace corod

#endif  // COROD_SERVER_BASE_PEM_H_
