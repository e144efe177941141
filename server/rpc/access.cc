#include "server/rpc/access.h"

#include <grpc/grpc_security_constants.h>

#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "server/base/failure.h"
#include "server/log/log.h"

namespace corod::rpc {
namespace {

constexpr std::string_view kBearer = "bearer ";
// How long what was asked of a call that lasts holds, while the files stay as they are.
constexpr absl::Duration kCheckedFor = absl::Seconds(30);

// A scheme's case says nothing (RFC 9110, section 11.1).
std::string_view TokenIn(std::string_view authorization) {
  const std::string_view scheme = authorization.substr(0, kBearer.size());
  if (!absl::EqualsIgnoreCase({scheme.data(), scheme.size()}, {kBearer.data(), kBearer.size()})) return {};
  std::string_view token = authorization.substr(kBearer.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  return token;
}

// What a verified client certificate is called; nullopt: there is none.
std::optional<CertificateNames> NamesOf(const grpc::AuthContext* peer) {
  if (!peer || !peer->IsPeerAuthenticated()) return std::nullopt;
  CertificateNames names;
  for (const char* property : {GRPC_PEER_DNS_PROPERTY_NAME, GRPC_PEER_URI_PROPERTY_NAME}) {
    for (const grpc::string_ref& name : peer->FindPropertyValues(property)) {
      names.alternative.emplace_back(name.data(), name.size());
    }
  }
  const std::vector<grpc::string_ref> common = peer->FindPropertyValues(GRPC_X509_CN_PROPERTY_NAME);
  if (peer->FindPropertyValues(GRPC_X509_SAN_PROPERTY_NAME).empty() && !common.empty()) {
    names.common_name = std::string(common.front().data(), common.front().size());
  }
  return names;
}

// The value of `authorization` in its metadata; empty: there is none. CREDENTIALS_INVALID: there is more than one.
absl::StatusOr<std::string_view> AuthorizationOf(const grpc::ServerContextBase& context) {
  const auto& metadata = context.client_metadata();
  const auto [first, last] = metadata.equal_range("authorization");
  if (first == last) return std::string_view();
  if (std::next(first) == last) return std::string_view(first->second.data(), first->second.size());
  return Failed(Reason::CREDENTIALS_INVALID, "there is more than one `authorization` in the metadata; send one",
                {{"problem", "malformed"}});
}

bool IsOverOwnSocket(const grpc::ServerContextBase& context) { return context.peer().starts_with("unix:"); }

const std::shared_ptr<const Identity>& Operator() {
  static const auto* const identity = new std::shared_ptr<const Identity>(
      std::make_shared<Identity>(Identity{"operator", std::string(kDefaultNamespace), Role::kAdmin}));
  return *identity;
}

}  // namespace

absl::Status CheckRole(const Identity& identity, Role needed) {
  if (identity.role >= needed) return absl::OkStatus();
  const std::string has(NameOf(identity.role));
  const std::string wants(NameOf(needed));
  return Failed(
      Reason::ROLE_INSUFFICIENT,
      "'" + identity.name + "' has the role " + has + "; this needs " + wants + ", which the server's operator gives",
      {{"role", has}, {"needed", wants}});
}

absl::Status Admission::Check(absl::Time now) {
  if (!access_ || !ended_.ok()) return ended_;
  const std::uint64_t version = access_->authenticator_->version();
  if (version == version_ && now - checked_ < kCheckedFor && now >= checked_) return absl::OkStatus();
  version_ = version;
  checked_ = now;
  const auto identity = access_->IdentifyBy(authorization_, certificate_);
  absl::Status status = identity.ok() ? CheckRole(**identity, needed_) : identity.status();
  if (status.ok() && (*identity)->name_space == name_space_) return absl::OkStatus();
  const std::string why(status.ok() ? "it is of another namespace now" : status.message());
  COROD_LOG(kAuth, kInfo, "a stream ends, since who began it may not go on with it",
            {{"who", name_}, {"namespace", name_space_}, {"why", why}});
  ended_ =
      Failed(Reason::CREDENTIALS_ENDED, "the token or certificate that this stream began with is not valid any more (" +
                                            why + "); begin a stream with one that is");
  return ended_;
}

absl::StatusOr<std::shared_ptr<const Identity>> Access::Identify(std::string_view authorization,
                                                                 const grpc::AuthContext* peer) const {
  return IdentifyBy(authorization, authorization.empty() ? NamesOf(peer) : std::nullopt);
}

absl::StatusOr<std::shared_ptr<const Identity>> Access::IdentifyBy(
    std::string_view authorization, const std::optional<CertificateNames>& certificate) const {
  if (!authorization.empty()) {
    const std::string_view token = TokenIn(authorization);
    if (token.empty()) {
      return Failed(Reason::CREDENTIALS_INVALID, "the metadata `authorization` must be `Bearer TOKEN`",
                    {{"problem", "malformed"}});
    }
    return authenticator_->AuthenticateToken(token);
  }
  if (certificate) return authenticator_->AuthenticateCertificate(*certificate);
  return Failed(Reason::CREDENTIALS_MISSING,
                "this server wants to know who calls; send the metadata `authorization: Bearer TOKEN`, or a client "
                "certificate");
}

absl::StatusOr<Caller> Access::Admit(const grpc::ServerContextBase& context, Role needed) const {
  if (IsOverOwnSocket(context)) return Caller(accounts_.Of(kDefaultNamespace), Operator(), /*is_operator=*/true);
  if (IsOpen()) return anybody_;
  const absl::StatusOr<std::string_view> authorization = AuthorizationOf(context);
  if (!authorization.ok()) return authorization.status();
  const auto identity = Identify(*authorization, context.auth_context().get());
  if (!identity.ok()) return identity.status();
  if (absl::Status checked = CheckRole(**identity, needed); !checked.ok()) return checked;
  return Caller(accounts_.Of((*identity)->name_space), *identity);
}

absl::StatusOr<Caller> Access::Admit(const grpc::ServerContextBase& context, Role needed, Admission& admission) const {
  const std::uint64_t version = IsOpen() ? 0 : authenticator_->version();  // before it is asked who calls
  absl::StatusOr<Caller> caller = Admit(context, needed);
  if (!caller.ok() || caller->is_operator() || IsOpen()) return caller;
  admission.access_ = this;
  admission.needed_ = needed;
  admission.authorization_ = *AuthorizationOf(context);
  if (admission.authorization_.empty()) admission.certificate_ = NamesOf(context.auth_context().get());
  admission.name_ = caller->name();
  admission.name_space_ = caller->name_space();
  admission.version_ = version;
  return caller;
}

}  // namespace corod::rpc
