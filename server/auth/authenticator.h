#ifndef COROD_SERVER_AUTH_AUTHENTICATOR_H_
#define COROD_SERVER_AUTH_AUTHENTICATOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "server/auth/certificate_names.h"
#include "server/auth/digest.h"
#include "server/auth/identities.h"
#include "server/auth/identity.h"
#include "server/auth/json_web_token.h"
#include "server/auth/key_set.h"
#include "server/auth/token_cache.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"
#include "server/base/watched_file.h"

namespace corod {

struct AuthenticatorOptions {
  std::string identities_file;  // static tokens and certificates (identities.h); empty: there are none
  std::string jwks_file;        // the keys of whoever issues JSON Web Tokens (key_set.h); empty: none is accepted
  TokenRules rules;             // for those; issuer and audience must be set
  std::size_t cached_tokens = 16384;
};

// Says who a caller is. Safe from many threads.
class Authenticator {
 public:
  using Options = AuthenticatorOptions;

  // INVALID_ARGUMENT, in one line, if a file cannot be used or the options name none. `clock` lives longer.
  static absl::StatusOr<std::unique_ptr<Authenticator>> Open(Options options, const Clock& clock);

  // Whose token it is; NAME.SECRET is looked for in the identities file, HEADER.CLAIMS.SIGNATURE verified.
  // CREDENTIALS_INVALID otherwise, with metadata "problem" (RefuseCredentials). A verified token is remembered until it
  // expires, for at most five minutes, and no longer than the files stay as they are. Takes about a microsecond for
  // static and for remembered tokens.
  absl::StatusOr<std::shared_ptr<const Identity>> AuthenticateToken(std::string_view token);

  // Whose certificate has these names. CREDENTIALS_INVALID if nobody's, or that of more than one.
  absl::StatusOr<std::shared_ptr<const Identity>> AuthenticateCertificate(const CertificateNames& names) const;

  // Reads the files that have changed, after which those who are gone from them are refused. A file that is bad or
  // missing changes nothing. Returns what happened, for the log; nothing if nothing did.
  struct Reloaded {
    std::string line;
    bool is_good = true;  // what the file says now is in force
  };
  std::vector<Reloaded> Reload();

  // What is in the files, in lines for the log.
  std::vector<std::string> Describe() const;

  // Another number after each change of what the files say. Whoever was let in while it was this one would be let in
  // as the same, unless a token has expired.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

  // How many verified tokens are remembered now.
  std::size_t cached_tokens() const;

 private:
  // What holds between two reloads, with the tokens that were verified with it: one that is verified during a reload
  // cannot outlive it.
  struct Snapshot {
    Snapshot(std::shared_ptr<const Identities> read_identities, std::shared_ptr<const KeySet> read_keys,
             std::size_t cached_tokens);

    const std::shared_ptr<const Identities> identities;  // null: there is no file
    const std::shared_ptr<const KeySet> keys;            // null: there is no file
    TokenCache cache;
  };

  // A file, and what is to be said of it.
  template <typename T>
  struct Source {
    explicit Source(const std::string& path) : file(path) {}
    bool exists() const { return !file.path().empty(); }

    WatchedFile file;
    Digest in_force{};  // the digest of the text that is
    std::string fault;  // why what is there now is not in force; empty: it is
  };

  Authenticator(Options options, const Clock& clock);

  template <typename T>
  absl::StatusOr<std::shared_ptr<const T>> Read(Source<T>& source);
  template <typename T>
  std::shared_ptr<const T> Refresh(Source<T>& source, std::vector<Reloaded>& lines);

  std::shared_ptr<Snapshot> Current() const;
  void Replace(std::shared_ptr<const Identities> identities, std::shared_ptr<const KeySet> keys);

  const Options options_;
  const Clock& clock_;

  Mutex reload_mutex_;
  Source<Identities> identities_file_ ABSL_GUARDED_BY(reload_mutex_);
  Source<KeySet> jwks_file_ ABSL_GUARDED_BY(reload_mutex_);

  mutable SmallMutex snapshot_mutex_;
  std::shared_ptr<Snapshot> snapshot_ ABSL_GUARDED_BY(snapshot_mutex_);
  std::atomic<std::uint64_t> version_{0};  // of the snapshot, or of one before it
};

}  // namespace corod

#endif  // COROD_SERVER_AUTH_AUTHENTICATOR_H_
