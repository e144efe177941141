#ifndef COROD_SERVER_WATCHED_SETTINGS_H_
#define COROD_SERVER_WATCHED_SETTINGS_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/auth/authenticator.h"
#include "server/base/clock.h"
#include "server/base/watched_file.h"
#include "server/flags.h"
#include "server/limits_file.h"
#include "server/metrics/metrics.h"
#include "server/served_tls_files.h"
#include "server/session/account.h"

namespace corod {

// What is in files that may change while the server runs: who may call, what namespaces may have, the certificate. A
// file that will not do changes nothing, and is told of in the log. For one thread.
class WatchedSettings {
 public:
  // All are needed for as long as this.
  WatchedSettings(const Flags& flags, const Clock& clock, metrics::Metrics& metrics);

  // Reads all of them. INVALID_ARGUMENT, in one line, if one will not do.
  absl::Status Open();

  // From the next Look or Open on the limits hold there, too.
  void SetAccounts(Accounts& accounts);
  // Null: nobody is asked who he is.
  Authenticator* authenticator() const { return authenticator_.get(); }

  // Where gRPC finds the certificate, if there is one.
  Flags::Tls served_tls() const { return tls_files_.served(); }

  // Reads again what has changed, if the last look was a second ago or more.
  void Look();

 private:
  absl::Status ReadLimits();
  absl::Status ReadTlsFiles();
  void Tell(const std::string& what, const absl::Status& status);

  const Flags& flags_;
  const Clock& clock_;
  metrics::Metrics& metrics_;
  std::unique_ptr<Authenticator> authenticator_;
  WatchedFile limits_file_;
  ServedTlsFiles tls_files_;
  LimitsOfAll limits_;
  Accounts* accounts_ = nullptr;
  absl::Time looked_ = absl::InfinitePast();
};

}  // namespace corod

#endif  // COROD_SERVER_WATCHED_SETTINGS_H_
