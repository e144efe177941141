#include "server/auth/authenticator.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace corod {
namespace {

constexpr std::size_t kMaxTokenBytes = std::size_t{8} << 10;
constexpr absl::Duration kMaxCached = absl::Minutes(5);

// The same for a name that is unknown and for a secret that is wrong.
absl::Status RefuseUnknown() {
  return RefuseCredentials("unknown",
                           "the token is not one that this server accepts; get one from whoever runs it (corod token)");
}

std::string Described(const Identities& identities, const std::string& path) {
  return "identities file " + path + ": " + std::to_string(identities.size()) +
         (identities.size() == 1 ? " name" : " names");
}

std::string Described(const KeySet& keys, const std::string& path) {
  std::string line =
      "key set " + path + ": " + std::to_string(keys.size()) + (keys.size() == 1 ? " key" : " keys") + " can be used";
  for (const std::string& left_out : keys.left_out()) line += "; " + left_out;
  return line;
}

}  // namespace

Authenticator::Snapshot::Snapshot(std::shared_ptr<const Identities> read_identities,
                                  std::shared_ptr<const KeySet> read_keys, std::size_t cached_tokens)
    : identities(std::move(read_identities)), keys(std::move(read_keys)), cache(cached_tokens) {}

Authenticator::Authenticator(Options options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      identities_file_(options_.identities_file),
      jwks_file_(options_.jwks_file) {}

absl::StatusOr<std::unique_ptr<Authenticator>> Authenticator::Open(Options options, const Clock& clock) {
  if (options.identities_file.empty() && options.jwks_file.empty()) {
    return absl::InvalidArgumentError("there is nothing to tell callers by: name an identities file or a key set");
  }
  if (!options.jwks_file.empty() && (options.rules.issuer.empty() || options.rules.audience.empty())) {
    return absl::InvalidArgumentError("with a key set, name the issuer and the audience that its tokens must have");
  }
  if (!options.jwks_file.empty() && (options.rules.namespace_claim.empty() || options.rules.role_claim.empty())) {
    return absl::InvalidArgumentError("with a key set, name the claims that hold the namespace and the role");
  }
  std::unique_ptr<Authenticator> made(new Authenticator(std::move(options), clock));
  const MutexLock lock(made->reload_mutex_);
  std::shared_ptr<const Identities> identities;
  std::shared_ptr<const KeySet> keys;
  if (made->identities_file_.exists()) {
    absl::StatusOr<std::shared_ptr<const Identities>> read = made->Read(made->identities_file_);
    if (!read.ok()) return read.status();
    identities = *std::move(read);
  }
  if (made->jwks_file_.exists()) {
    absl::StatusOr<std::shared_ptr<const KeySet>> read = made->Read(made->jwks_file_);
    if (!read.ok()) return read.status();
    keys = *std::move(read);
  }
  made->Replace(std::move(identities), std::move(keys));
  return made;
}

absl::StatusOr<std::shared_ptr<const Identity>> Authenticator::AuthenticateToken(std::string_view token) {
  if (token.size() > kMaxTokenBytes) {
    return RefuseCredentials("too_long", "the token has more than 8192 bytes; get one with fewer claims");
  }
  const std::shared_ptr<Snapshot> snapshot = Current();
  const std::size_t dot = token.find('.');
  if (dot != std::string_view::npos && token.find('.', dot + 1) == std::string_view::npos) {
    const std::string_view name = token.substr(0, dot), secret = token.substr(dot + 1);
    if (name.empty() || secret.empty()) {
      return RefuseCredentials("malformed", "a token reads NAME.SECRET; send it as it was given");
    }
    std::shared_ptr<const Identity> found =
        snapshot->identities ? snapshot->identities->FindToken(name, secret) : nullptr;
    if (!found) return RefuseUnknown();
    return found;
  }
  if (!snapshot->keys) {
    return RefuseCredentials("malformed", "a token for this server reads NAME.SECRET; send it as it was given");
  }
  const absl::Time now = clock_.Now();
  const Digest digest = Sha256(token);
  if (std::shared_ptr<const Identity> known = snapshot->cache.Find(digest, now)) return known;
  absl::StatusOr<VerifiedToken> verified = VerifyJsonWebToken(token, *snapshot->keys, options_.rules, now);
  if (!verified.ok()) return verified.status();
  auto identity = std::make_shared<const Identity>(std::move(verified->identity));
  snapshot->cache.Add(digest, identity, std::min(verified->good_for, now + kMaxCached), now);
  return identity;
}

absl::StatusOr<std::shared_ptr<const Identity>> Authenticator::AuthenticateCertificate(
    const CertificateNames& names) const {
  const std::shared_ptr<Snapshot> snapshot = Current();
  std::shared_ptr<const Identity> found;
  const auto look_for = [&snapshot, &found](const std::string& name) {
    std::shared_ptr<const Identity> one = snapshot->identities ? snapshot->identities->FindCertificate(name) : nullptr;
    if (one && found && *one != *found) return false;
    if (one) found = std::move(one);
    return true;
  };
  bool is_one = true;
  for (const std::string& name : names.alternative) is_one = is_one && look_for(name);
  if (names.alternative.empty() && !names.common_name.empty()) is_one = look_for(names.common_name);
  if (!is_one) {
    return RefuseCredentials("unknown",
                             "the client's certificate has the names of more than one identity; whoever runs "
                             "this server must leave one of them in the identities file");
  }
  if (!found) {
    return RefuseCredentials("unknown",
                             "the client's certificate is nobody's here; whoever runs this server can add its "
                             "name to the identities file");
  }
  return found;
}

template <typename T>
absl::StatusOr<std::shared_ptr<const T>> Authenticator::Read(Source<T>& source) {
  const absl::StatusOr<std::string> text = source.file.Read();
  if (!text.ok()) return text.status();
  absl::StatusOr<T> parsed = T::Parse(*text, source.file.path());
  if (!parsed.ok()) return parsed.status();
  source.in_force = Sha256(*text);
  return std::make_shared<const T>(*std::move(parsed));
}

// Null: what is in force stays.
template <typename T>
std::shared_ptr<const T> Authenticator::Refresh(Source<T>& source, std::vector<Reloaded>& lines) {
  if (!source.exists() || !source.file.IsChanged()) return nullptr;
  const Digest before = source.in_force;
  const absl::StatusOr<std::shared_ptr<const T>> read = Read(source);
  if (!read.ok()) {
    const std::string fault(read.status().message());
    if (fault != source.fault) lines.push_back({fault + "; what it held before stays in force", false});
    source.fault = fault;
    return nullptr;
  }
  const bool was_bad = !source.fault.empty();
  source.fault.clear();
  if (source.in_force != before) {
    lines.push_back({Described(**read, source.file.path()) + ", read again"});
    return *read;
  }
  if (was_bad) lines.push_back({Described(**read, source.file.path()) + ", as before"});
  return nullptr;
}

std::vector<Authenticator::Reloaded> Authenticator::Reload() {
  std::vector<Reloaded> lines;
  const MutexLock lock(reload_mutex_);
  std::shared_ptr<const Identities> identities = Refresh(identities_file_, lines);
  std::shared_ptr<const KeySet> keys = Refresh(jwks_file_, lines);
  if (!identities && !keys) return lines;
  const std::shared_ptr<Snapshot> before = Current();
  Replace(identities ? std::move(identities) : before->identities, keys ? std::move(keys) : before->keys);
  return lines;
}

std::vector<std::string> Authenticator::Describe() const {
  std::vector<std::string> lines;
  const std::shared_ptr<Snapshot> snapshot = Current();
  if (snapshot->identities) lines.push_back(Described(*snapshot->identities, options_.identities_file));
  if (snapshot->keys) lines.push_back(Described(*snapshot->keys, options_.jwks_file));
  return lines;
}

std::size_t Authenticator::cached_tokens() const { return Current()->cache.size(); }

std::shared_ptr<Authenticator::Snapshot> Authenticator::Current() const {
  const MutexLock lock(snapshot_mutex_);
  return snapshot_;
}

void Authenticator::Replace(std::shared_ptr<const Identities> identities, std::shared_ptr<const KeySet> keys) {
  auto made = std::make_shared<Snapshot>(std::move(identities), std::move(keys), options_.cached_tokens);
  {
    const MutexLock lock(snapshot_mutex_);
    snapshot_.swap(made);  // the old one is freed after the lock
  }
  version_.fetch_add(1, std::memory_order_release);
}

}  // namespace corod
