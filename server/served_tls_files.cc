#include "server/served_tls_files.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "server/auth/tls_files.h"

namespace corod {
namespace {

// How often files are read that are replaced meanwhile.
constexpr int kReads = 4;

absl::Status Replace(int copy, std::string_view content) {
  if (copy < 0 || ftruncate(copy, 0) != 0) {
    return absl::InternalError("there is no memory for a certificate: " + std::string(std::strerror(errno)));
  }
  for (std::size_t at = 0; at < content.size();) {
    const ssize_t written = pwrite(copy, content.data() + at, content.size() - at, static_cast<off_t>(at));
    if (written < 0) {
      return absl::InternalError("there is no memory for a certificate: " + std::string(std::strerror(errno)));
    }
    at += static_cast<std::size_t>(written);
  }
  return absl::OkStatus();
}

std::string PathOf(int copy) { return "/proc/self/fd/" + std::to_string(copy); }

}  // namespace

ServedTlsFiles::ServedTlsFiles(const Flags::Tls& tls) : tls_(tls) {
  copies_.fill(-1);
  if (!tls_.IsOn()) return;
  for (const std::string& path : {tls_.certificate, tls_.key, tls_.client_ca}) {
    if (path.empty()) continue;
    copies_[files_.size()] = memfd_create("tls", MFD_CLOEXEC);
    files_.emplace_back(path);
  }
}

ServedTlsFiles::~ServedTlsFiles() {
  for (const int copy : copies_) {
    if (copy >= 0) close(copy);
  }
}

bool ServedTlsFiles::IsChanged() const {
  return std::any_of(files_.begin(), files_.end(), [](const WatchedFile& file) { return file.IsChanged(); });
}

absl::StatusOr<absl::Time> ServedTlsFiles::Read(absl::Time now) {
  absl::StatusOr<absl::Time> expires = ReadOnce(now);
  // What was checked is what is served.
  for (int reads = 1; expires.ok() && IsChanged() && reads < kReads; ++reads) expires = ReadOnce(now);
  return expires;
}

absl::StatusOr<absl::Time> ServedTlsFiles::ReadOnce(absl::Time now) {
  std::array<std::string, kFiles> contents;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    absl::StatusOr<std::string> content = files_[i].Read();
    if (!content.ok()) return content.status();
    contents[i] = *std::move(content);
  }
  absl::StatusOr<absl::Time> expires = CheckTlsFiles(tls_.certificate, tls_.key, tls_.client_ca, now);
  if (!expires.ok()) return expires;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (absl::Status replaced = Replace(copies_[i], contents[i]); !replaced.ok()) return replaced;
  }
  return expires;
}

Flags::Tls ServedTlsFiles::served() const {
  Flags::Tls served = tls_;
  if (!tls_.IsOn()) return served;
  served.certificate = PathOf(copies_[kCertificate]);
  served.key = PathOf(copies_[kKey]);
  if (!tls_.client_ca.empty()) served.client_ca = PathOf(copies_[kClientCa]);
  return served;
}

}  // namespace corod
