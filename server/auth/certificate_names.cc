#include "server/auth/certificate_names.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "server/auth/identity.h"
#include "server/base/pem.h"

namespace corod {
namespace {

struct GeneralNamesDeleter {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

// Empty if it holds a zero, where others would see its end.
std::string TextOf(const ASN1_STRING* text) {
  const std::string_view bytes(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                               static_cast<std::size_t>(ASN1_STRING_length(text)));
  return bytes.find('\0') == std::string_view::npos ? std::string(bytes) : "";
}

// Empty if there is none, or more than one.
std::string CommonNameOf(const X509* certificate) {
  const X509_NAME* const subject = X509_get_subject_name(certificate);
  const int first = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (first < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, first) >= 0) return "";
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, first)));
  if (size < 0) return "";
  std::string name(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return name.find('\0') == std::string::npos ? name : "";
}

}  // namespace

absl::StatusOr<CertificateNames> NamesOfCertificate(std::string_view pem) {
  const auto refuse = [] {
    return RefuseCredentials("malformed", "the client's certificate cannot be read; get a new one");
  };
  const absl::StatusOr<std::vector<CertificateHandle>> certificates = CertificatesIn(pem);
  if (!certificates.ok()) return refuse();
  const X509* const certificate = certificates->front().get();
  CertificateNames names;
  int found = 0;
  const std::unique_ptr<GENERAL_NAMES, GeneralNamesDeleter> alternative(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &found, nullptr)));
  ERR_clear_error();
  if (!alternative) {
    constexpr int kAbsent = -1;  // else it stands twice, or cannot be read
    if (found != kAbsent) return refuse();
    names.common_name = CommonNameOf(certificate);
    ERR_clear_error();
    return names;
  }
  for (int i = 0; i < sk_GENERAL_NAME_num(alternative.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(alternative.get(), i);
    std::string text;
    if (name->type == GEN_DNS) text = TextOf(name->d.dNSName);
    if (name->type == GEN_URI) text = TextOf(name->d.uniformResourceIdentifier);
    if (!text.empty()) names.alternative.push_back(text);
  }
  return names;
}

}  // namespace corod
