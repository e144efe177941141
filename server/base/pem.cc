#include "server/base/pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <utility>

#include "absl/status/status.h"

namespace corod {
namespace {

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using BioHandle = std::unique_ptr<BIO, BioDeleter>;

BioHandle Open(std::string_view text) { return BioHandle(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

// Instead of asking on the terminal; notes that there was something to ask.
int NoPassword(char* /*buffer*/, int /*size*/, int /*writing*/, void* was_asked) {
  *static_cast<bool*>(was_asked) = true;
  return -1;
}

}  // namespace

absl::StatusOr<std::vector<CertificateHandle>> CertificatesIn(std::string_view pem) {
  const BioHandle bio = Open(pem);
  std::vector<CertificateHandle> certificates;
  bool is_encrypted = false;
  ERR_clear_error();
  while (true) {
    CertificateHandle certificate(PEM_read_bio_X509(bio.get(), nullptr, &NoPassword, &is_encrypted));
    if (!certificate) break;
    certificates.push_back(std::move(certificate));
  }
  // Reading ends where nothing more begins, or with another error.
  const unsigned long error = ERR_peek_last_error();
  const bool is_whole = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!is_whole) return absl::InvalidArgumentError("it holds a damaged certificate");
  if (certificates.empty()) {
    return absl::InvalidArgumentError("it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
  }
  return certificates;
}

absl::StatusOr<PrivateKeyHandle> PrivateKeyIn(std::string_view pem) {
  const BioHandle bio = Open(pem);
  bool is_encrypted = false;
  ERR_clear_error();
  PrivateKeyHandle key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &NoPassword, &is_encrypted));
  ERR_clear_error();
  if (key) return key;
  if (is_encrypted) return absl::InvalidArgumentError("its private key is encrypted; store it without a password");
  if (pem.find("PRIVATE KEY-----") == std::string_view::npos) {
    return absl::InvalidArgumentError("it holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)");
  }
  return absl::InvalidArgumentError("it holds a damaged private key");
}

bool IsKeyOf(const EVP_PKEY* key, const X509* certificate) {
  const bool fits = X509_check_private_key(certificate, key) == 1;
  ERR_clear_error();
  return fits;
}

}  // namespace corod
