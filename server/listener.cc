#include "server/listener.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/method_handler.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/rpc/status.h"

namespace corod {
namespace {

constexpr unsigned int kLooksAtFilesEverySeconds = 1;

bool IsLoopback(const std::string& address) {
  std::string host = address.substr(0, address.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}

// Holds the calls of gRPC's own services to what a caller may do. Those of corod's are looked at where they are
// answered, with their reasons.
class OwnServices final : public grpc::AuthMetadataProcessor {
 public:
  explicit OwnServices(const rpc::Access& access) : access_(access) {}

  // It waits for nothing.
  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    if (access_.IsOpen()) return grpc::Status::OK;
    const std::string_view path = Find(metadata, ":path");
    if (path.starts_with("/corod.v1.") || path.starts_with("/grpc.health.v1.")) return grpc::Status::OK;
    if (metadata.count("authorization") > 1) {
      return {grpc::StatusCode::UNAUTHENTICATED, "there is more than one `authorization` in the metadata; send one"};
    }
    const auto identity = access_.Identify(Find(metadata, "authorization"), context);
    if (!identity.ok()) return rpc::ToGrpcStatus(identity.status());
    const bool tells_of_others = !path.starts_with("/grpc.reflection.");
    const absl::Status allowed = rpc::CheckRole(**identity, tells_of_others ? Role::kAdmin : Role::kObserve);
    return allowed.ok() ? grpc::Status::OK : rpc::ToGrpcStatus(allowed);
  }

 private:
  static std::string_view Find(const InputMetadata& metadata, const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string_view() : std::string_view(found->second.data(), found->second.size());
  }

  const rpc::Access& access_;
};

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(std::min<std::int64_t>(absl::ToInt64Milliseconds(duration), INT_MAX));
}

}  // namespace

absl::Status CheckExposure(const Flags& flags) {
  const bool authenticates = !flags.identities.empty() || !flags.jwks.empty();
  if (flags.insecure) return absl::OkStatus();
  if (!flags.metrics.empty() && !flags.insecure_metrics && !IsLoopback(flags.metrics)) {
    return absl::InvalidArgumentError("--metrics " + flags.metrics +
                                      " can be reached from other machines, and is neither encrypted nor asks who "
                                      "reads: give an address of this machine alone; or say --insecure-metrics, if "
                                      "whoever reaches it may read it");
  }
  if (IsLoopback(flags.listen)) return absl::OkStatus();
  if (flags.tls.IsOn() && authenticates) return absl::OkStatus();
  const std::string missing = flags.tls.IsOn() ? "--identities or --jwks, so that it knows who calls"
                              : authenticates  ? "--tls-cert and --tls-key, so that nobody else reads it"
                                               : "--tls-cert and --tls-key, and --identities or --jwks";
  return absl::InvalidArgumentError("--listen " + flags.listen + " can be reached from other machines: give " +
                                    missing + "; or say --insecure, if whoever reaches it may do and read everything");
}

std::shared_ptr<grpc::ServerCredentials> MakeCredentials(const Flags::Tls& tls, const rpc::Access& access) {
  using grpc::experimental::FileWatcherCertificateProvider;
  if (!tls.IsOn()) return grpc::InsecureServerCredentials();
  const bool knows_clients = !tls.client_ca.empty();
  const auto provider = knows_clients ? std::make_shared<FileWatcherCertificateProvider>(
                                            tls.key, tls.certificate, tls.client_ca, kLooksAtFilesEverySeconds)
                                      : std::make_shared<FileWatcherCertificateProvider>(tls.key, tls.certificate,
                                                                                         kLooksAtFilesEverySeconds);
  grpc::experimental::TlsServerCredentialsOptions options(provider);
  options.watch_identity_key_cert_pairs();
  grpc_ssl_client_certificate_request_type asks = GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
  if (knows_clients) {
    options.watch_root_certs();
    asks = tls.requires_client ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                               : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  options.set_cert_request_type(asks);
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::experimental::TlsServerCredentials(options);
  if (credentials) credentials->SetAuthMetadataProcessor(std::make_shared<OwnServices>(access));
  return credentials;
}

NoReflection::NoReflection() {
  using grpc::internal::RpcMethod;
  AddMethod(new grpc::internal::RpcServiceMethod(
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", RpcMethod::BIDI_STREAMING,
      new grpc::internal::ErrorMethodHandler<grpc::StatusCode::UNIMPLEMENTED>("without TLS there is no reflection")));
}

bool ServesReflection(const Flags& flags, const rpc::Access& access) { return access.IsOpen() || flags.tls.IsOn(); }

void SetConnectionLimits(const Flags::Connections& limits, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(limits.max_message_bytes));
  // What is sent is kept before anybody can be asked who sends it.
  builder.SetResourceQuota(grpc::ResourceQuota("connections").Resize(limits.max_memory));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(limits.max_calls));
  // A client that pings more often than that is disconnected, as gRPC's keepalive guide has it.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, Milliseconds(limits.min_ping));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(limits.ping_after));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(limits.ping_timeout));
  if (limits.max_age != absl::InfiniteDuration()) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, Milliseconds(limits.max_age));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, Milliseconds(limits.max_age_grace));
  }
}

}  // namespace corod
