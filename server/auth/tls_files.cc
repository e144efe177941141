#include "server/auth/tls_files.h"

#include <openssl/asn1.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/base/pem.h"
#include "server/base/watched_file.h"

namespace corod {
namespace {

absl::Status Refuse(const std::string& file, std::string_view why) {
  return absl::InvalidArgumentError(file + ": " + std::string(why));
}

// What `parse` makes of the file's content.
template <typename T>
absl::StatusOr<T> Load(const std::string& file, absl::StatusOr<T> (*parse)(std::string_view)) {
  const absl::StatusOr<std::string> content = ReadSmallFile(file);
  if (!content.ok()) return content.status();
  absl::StatusOr<T> parsed = parse(*content);
  if (!parsed.ok()) return Refuse(file, std::string(parsed.status().message()));
  return parsed;
}

// Far in the future or the past if it is no time.
absl::Time TimeOf(const ASN1_TIME* time, absl::Time otherwise) {
  std::tm broken_down{};
  return ASN1_TIME_to_tm(time, &broken_down) == 1 ? absl::FromTM(broken_down, absl::UTCTimeZone()) : otherwise;
}

absl::Time ExpiryOf(const X509* certificate) { return TimeOf(X509_get0_notAfter(certificate), absl::InfinitePast()); }

absl::Time BeginOf(const X509* certificate) { return TimeOf(X509_get0_notBefore(certificate), absl::InfiniteFuture()); }

std::string Described(absl::Time time) { return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone()); }

}  // namespace

absl::StatusOr<absl::Time> CheckTlsFiles(const std::string& certificate, const std::string& key,
                                         const std::string& client_ca, absl::Time now) {
  const absl::StatusOr<std::vector<CertificateHandle>> chain = Load(certificate, &CertificatesIn);
  if (!chain.ok()) return chain.status();
  const absl::StatusOr<PrivateKeyHandle> private_key = Load(key, &PrivateKeyIn);
  if (!private_key.ok()) return private_key.status();
  const X509* const own = chain->front().get();
  if (!IsKeyOf(private_key->get(), own))
    return Refuse(key, "it is not the key of the first certificate in " + certificate);
  const absl::Time expires = ExpiryOf(own);
  if (now >= expires) return Refuse(certificate, "its certificate expired at " + Described(expires) + "; renew it");
  if (now < BeginOf(own)) {
    return Refuse(certificate, "its certificate is valid from " + Described(BeginOf(own)) +
                                   " on; wait, or set this machine's clock");
  }
  if (client_ca.empty()) return expires;
  const absl::StatusOr<std::vector<CertificateHandle>> roots = Load(client_ca, &CertificatesIn);
  if (!roots.ok()) return roots.status();
  const bool all_expired = std::all_of(roots->begin(), roots->end(),
                                       [now](const CertificateHandle& root) { return now >= ExpiryOf(root.get()); });
  if (all_expired) return Refuse(client_ca, "every certificate in it has expired; renew them");
  return expires;
}

}  // namespace corod
