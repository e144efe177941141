#ifndef COROD_SERVER_RPC_ACCESS_H_
#define COROD_SERVER_RPC_ACCESS_H_

#include <grpcpp/server_context.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/auth/authenticator.h"
#include "server/catalog/namespaces.h"
#include "server/session/account.h"
#include "server/session/specs.h"

namespace corod::rpc {

// On whose behalf a call is made. Cheap to copy.
class Caller {
 public:
  // `identity`: null for nobody in particular. `account`: of its namespace.
  explicit Caller(Account& account, std::shared_ptr<const Identity> identity = nullptr, bool is_operator = false)
      : account_(&account), identity_(std::move(identity)), is_operator_(is_operator) {}

  Account& account() const { return *account_; }
  const std::string& name_space() const { return account_->name_space(); }
  // Whether names are the same to the caller as where they are kept.
  bool is_in_default_namespace() const { return name_space() == kDefaultNamespace; }
  Owner owner() const { return {name_space(), identity_ ? identity_->name : std::string()}; }
  // Whether the call came over the server's own socket.
  bool is_operator() const { return is_operator_; }
  // For people: in the log.
  std::string name() const { return identity_ ? identity_->name : "anybody"; }

  // What the caller's session is called where it is kept.
  std::string IdOf(std::string_view session_id) const { return Qualified(name_space(), session_id); }
  // The same; empty if it is to be made.
  std::string NewIdOf(std::string_view session_id) const { return session_id.empty() ? "" : IdOf(session_id); }

 private:
  Account* account_;
  std::shared_ptr<const Identity> identity_;
  bool is_operator_;
};

class Access;

// What a call that lasts was let in with, so that it can be asked again whether it may go on. For one thread at a time.
class Admission {
 public:
  // OK while the call would be let in as it was. CREDENTIALS_ENDED: its token or certificate was taken out of the
  // files, has another role or namespace there, or the token has expired; the caller is to begin anew with what is
  // valid then. Whoever asks each second hears of a change of the files within that, and of a token's end within half a
  // minute.
  absl::Status Check(absl::Time now);

 private:
  friend class Access;

  const Access* access_ = nullptr;  // null: nobody is asked who he is
  Role needed_ = Role::kAdmin;
  std::string authorization_;
  std::optional<CertificateNames> certificate_;
  std::string name_;
  std::string name_space_;
  std::uint64_t version_ = 0;  // of the credentials, when it was let in, or asked
  absl::Time checked_ = absl::InfinitePast();
  absl::Status ended_;
};

// Says who may make which call. Thread-safe.
//
// A call names itself by a bearer token (`authorization` in its metadata), or else by its client certificate. What
// comes over the server's own Unix socket is the operator's, since only he can open that.
class Access {
 public:
  // Without an authenticator everybody may do everything, in the namespace `default`. Both outlive this.
  Access(Authenticator* authenticator, Accounts& accounts)
      : authenticator_(authenticator), accounts_(accounts), anybody_(accounts.Of(kDefaultNamespace)) {}

  // Whether everybody may do everything.
  bool IsOpen() const { return authenticator_ == nullptr; }
  // Who calls, then.
  const Caller& anybody() const { return anybody_; }

  // Where calls are counted.
  metrics::Metrics& metrics() const { return accounts_.metrics(); }

  // Who calls, if he may do what asks for that role. CREDENTIALS_MISSING, CREDENTIALS_INVALID, ROLE_INSUFFICIENT.
  absl::StatusOr<Caller> Admit(const grpc::ServerContextBase& context, Role needed) const;
  // The same for a call that lasts, with what asks again.
  absl::StatusOr<Caller> Admit(const grpc::ServerContextBase& context, Role needed, Admission& admission) const;

  // The same of what gRPC hands to an AuthMetadataProcessor. `token`: the value of `authorization`; empty: there is
  // none.
  absl::StatusOr<std::shared_ptr<const Identity>> Identify(std::string_view authorization,
                                                           const grpc::AuthContext* peer) const;

 private:
  friend class Admission;

  absl::StatusOr<std::shared_ptr<const Identity>> IdentifyBy(std::string_view authorization,
                                                             const std::optional<CertificateNames>& certificate) const;

  Authenticator* const authenticator_;
  Accounts& accounts_;
  const Caller anybody_;
};

// ROLE_INSUFFICIENT unless the identity's role includes that one.
absl::Status CheckRole(const Identity& identity, Role needed);

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_ACCESS_H_
