#include "server/watched_settings.h"

#include <utility>

#include "absl/status/statusor.h"
#include "server/log/log.h"

namespace corod {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);

}  // namespace

WatchedSettings::WatchedSettings(const Flags& flags, const Clock& clock, metrics::Metrics& metrics)
    : flags_(flags), clock_(clock), metrics_(metrics), limits_file_(flags.limits), tls_files_(flags.tls) {}

absl::Status WatchedSettings::Open() {
  if (!flags_.identities.empty() || !flags_.jwks.empty()) {
    absl::StatusOr<std::unique_ptr<Authenticator>> opened = Authenticator::Open(
        {.identities_file = flags_.identities, .jwks_file = flags_.jwks, .rules = flags_.tokens}, clock_);
    if (!opened.ok()) return opened.status();
    authenticator_ = *std::move(opened);
    for (const std::string& line : authenticator_->Describe()) COROD_LOG(kAuth, kInfo, line);
  }
  if (!flags_.limits.empty()) {
    if (absl::Status read = ReadLimits(); !read.ok()) return read;
  }
  return flags_.tls.IsOn() ? ReadTlsFiles() : absl::OkStatus();
}

void WatchedSettings::SetAccounts(Accounts& accounts) {
  accounts_ = &accounts;
  accounts_->SetLimits(limits_.by_namespace, limits_.others);
}

absl::Status WatchedSettings::ReadLimits() {
  const absl::StatusOr<std::string> text = limits_file_.Read();
  if (!text.ok()) return text.status();
  absl::StatusOr<LimitsOfAll> limits = ParseLimits(*text, flags_.limits);
  if (!limits.ok()) return limits.status();
  limits_ = *std::move(limits);
  if (accounts_) SetAccounts(*accounts_);
  return absl::OkStatus();
}

absl::Status WatchedSettings::ReadTlsFiles() {
  const absl::StatusOr<absl::Time> expires = tls_files_.Read(clock_.Now());
  if (!expires.ok()) return expires.status();
  metrics_.credentials.certificate_expiry.Set(absl::ToDoubleSeconds(*expires - absl::UnixEpoch()));
  return absl::OkStatus();
}

void WatchedSettings::Tell(const std::string& what, const absl::Status& status) {
  metrics_.credentials.reloads.Add(status.ok() ? metrics::Reload::kOk : metrics::Reload::kFailed);
  if (status.ok()) {
    COROD_LOG(kAudit, kInfo, "read again", {{"file", what}});
  } else {
    COROD_LOG(kAudit, kError, "cannot be used, so what was read before holds", {{"file", what}, {"error", status}});
  }
}

void WatchedSettings::Look() {
  const absl::Time now = clock_.Now();
  if (now - looked_ < kInterval && now >= looked_) return;
  looked_ = now;
  if (authenticator_) {
    for (const Authenticator::Reloaded& reloaded : authenticator_->Reload()) {
      metrics_.credentials.reloads.Add(reloaded.is_good ? metrics::Reload::kOk : metrics::Reload::kFailed);
      if (reloaded.is_good) {
        COROD_LOG(kAudit, kInfo, reloaded.line);
      } else {
        COROD_LOG(kAudit, kError, reloaded.line);
      }
    }
  }
  if (!flags_.limits.empty() && limits_file_.IsChanged()) Tell(flags_.limits, ReadLimits());
  if (flags_.tls.IsOn() && tls_files_.IsChanged()) Tell(flags_.tls.certificate, ReadTlsFiles());
}

}  // namespace corod
