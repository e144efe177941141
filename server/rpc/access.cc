#include "server/rpc/access.h"

#include <grpc/grpc_security_constants.h>

#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/match.h"
#include "server/base/failure.h"

namespace corod::rpc {
namespace {

constexpr std::string_view kBearer = "bearer ";

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

absl::StatusOr<std::shared_ptr<const Identity>> Access::Identify(std::string_view authorization,
                                                                 const grpc::AuthContext* peer) const {
  if (!authorization.empty()) {
    const std::string_view token = TokenIn(authorization);
    if (token.empty()) {
      return Failed(Reason::CREDENTIALS_INVALID, "the metadata `authorization` must be `Bearer TOKEN`",
                    {{"problem", "malformed"}});
    }
    return authenticator_->AuthenticateToken(token);
  }
  if (const std::optional<CertificateNames> names = NamesOf(peer))
    return authenticator_->AuthenticateCertificate(*names);
  return Failed(Reason::CREDENTIALS_MISSING,
                "this server wants to know who calls; send the metadata `authorization: Bearer TOKEN`, or a client "
                "certificate");
}

absl::StatusOr<Caller> Access::Admit(const grpc::ServerContextBase& context, Role needed) const {
  if (IsOverOwnSocket(context)) return Caller(accounts_.Of(kDefaultNamespace), Operator(), /*is_operator=*/true);
  if (IsOpen()) return anybody_;
  const auto& metadata = context.client_metadata();
  const auto [first, last] = metadata.equal_range("authorization");
  if (first != last && std::next(first) != last) {
    return Failed(Reason::CREDENTIALS_INVALID, "there is more than one `authorization` in the metadata; send one",
                  {{"problem", "malformed"}});
  }
  const std::string_view authorization =
      first == last ? std::string_view() : std::string_view(first->second.data(), first->second.size());
  const auto identity = Identify(authorization, context.auth_context().get());
  if (!identity.ok()) return identity.status();
  if (absl::Status checked = CheckRole(**identity, needed); !checked.ok()) return checked;
  return Caller(accounts_.Of((*identity)->name_space), *identity);
}

}  // namespace corod::rpc
