#include "client/cpp/security.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_interceptor.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/pem.h"

namespace corod::client {
namespace {

constexpr const char* kAuthorization = "authorization";
constexpr std::string_view kBearer = "Bearer ";

absl::Status Wrong(absl::string_view message) { return absl::InvalidArgumentError(message); }

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// What stands behind "Bearer "; INVALID_ARGUMENT says what it is not.
absl::StatusOr<std::string> TokenIn(std::string_view text) {
  const absl::string_view token = absl::StripAsciiWhitespace(View(text));
  if (token.empty()) return Wrong("it holds no token");
  const auto can_be_sent = [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); };
  if (!std::all_of(token.begin(), token.end(), can_be_sent)) {
    return Wrong("it holds more than a token, which is one word of ASCII");
  }
  return std::string(token);
}

// The file's text, if `check` finds in it what it is to hold.
template <typename T>
absl::StatusOr<std::string> ReadPem(const std::string& path, absl::StatusOr<T> (*check)(std::string_view)) {
  absl::StatusOr<std::string> text = ReadSmallFile(path);
  if (!text.ok()) return text.status();
  const absl::StatusOr<T> found = check(*text);
  if (!found.ok()) return Wrong(absl::StrCat(path, ": ", found.status().message()));
  return text;
}

absl::StatusOr<grpc::SslCredentialsOptions> ReadTls(const TlsOptions& tls) {
  grpc::SslCredentialsOptions ssl;
  if (!tls.ca_file.empty() && !tls.ca.empty()) return Wrong("tls.ca_file and tls.ca are given both; one will do");
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    return Wrong("a client certificate and its key go together: give both files, or none");
  }
  if (!tls.ca_file.empty()) {
    absl::StatusOr<std::string> roots = ReadPem(tls.ca_file, &CertificatesIn);
    if (!roots.ok()) return roots.status();
    ssl.pem_root_certs = *std::move(roots);
  } else if (!tls.ca.empty()) {
    if (const auto roots = CertificatesIn(tls.ca); !roots.ok()) {
      return Wrong(absl::StrCat("tls.ca: ", roots.status().message()));
    }
    ssl.pem_root_certs = tls.ca;
  }
  if (tls.certificate_file.empty()) return ssl;
  absl::StatusOr<std::string> chain = ReadPem(tls.certificate_file, &CertificatesIn);
  if (!chain.ok()) return chain.status();
  absl::StatusOr<std::string> key = ReadPem(tls.key_file, &PrivateKeyIn);
  if (!key.ok()) return key.status();
  if (!IsKeyOf(PrivateKeyIn(*key)->get(), CertificatesIn(*chain)->front().get())) {
    return Wrong(absl::StrCat(tls.key_file, ": it is not the key of the first certificate in ", tls.certificate_file));
  }
  ssl.pem_cert_chain = *std::move(chain);
  ssl.pem_private_key = *std::move(key);
  return ssl;
}

// The token as call credentials, which gRPC sends over what is encrypted alone.
class TokenPlugin final : public grpc::MetadataCredentialsPlugin {
 public:
  explicit TokenPlugin(std::shared_ptr<TokenSource> token) : token_(std::move(token)) {}

  bool IsBlocking() const override { return false; }
  const char* GetType() const override { return "corod token"; }
  grpc::string DebugString() override { return GetType(); }
  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    metadata->emplace(kAuthorization, token_->Authorization());
    return grpc::Status::OK;
  }

 private:
  const std::shared_ptr<TokenSource> token_;
};

// The token in each call's metadata, where nothing is encrypted.
class TokenInterceptor final : public grpc::experimental::Interceptor {
 public:
  explicit TokenInterceptor(TokenSource& token) : token_(token) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace(kAuthorization, token_.Authorization());
    }
    methods->Proceed();
  }

 private:
  TokenSource& token_;
};

class TokenInterceptors final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit TokenInterceptors(std::shared_ptr<TokenSource> token) : token_(std::move(token)) {}

  grpc::experimental::Interceptor* CreateClientInterceptor(grpc::experimental::ClientRpcInfo*) override {
    return new TokenInterceptor(*token_);  // its call's
  }

 private:
  const std::shared_ptr<TokenSource> token_;  // lives as long as the channel, which outlives its calls
};

}  // namespace

bool IsThisMachine(std::string_view address) {
  if (address.starts_with("unix:") || address.starts_with("unix-abstract:")) return true;
  const std::size_t colon = address.rfind(':');
  std::string_view host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

absl::StatusOr<std::shared_ptr<TokenSource>> TokenSource::Make(const SecurityOptions& options) {
  if (!options.token.empty() && !options.token_file.empty()) {
    return Wrong("a token and a token file are given both; one will do");
  }
  std::shared_ptr<TokenSource> source(new TokenSource);
  const MutexLock lock(source->mutex_);
  std::string text = options.token;
  std::string name = "the token";
  if (!options.token_file.empty()) {
    source->has_file_ = true;
    source->file_ = WatchedFile(options.token_file);
    absl::StatusOr<std::string> read = source->file_.Read();
    if (!read.ok()) return read.status();
    text = *std::move(read);
    name = options.token_file;
  }
  const absl::StatusOr<std::string> token = TokenIn(text);
  if (!token.ok()) return Wrong(absl::StrCat(name, ": ", token.status().message()));
  source->authorization_ = absl::StrCat(View(kBearer), *token);
  return source;
}

std::string TokenSource::Authorization() {
  const MutexLock lock(mutex_);
  if (!has_file_ || !file_.IsChanged()) return authorization_;
  const absl::StatusOr<std::string> text = file_.Read();
  const absl::StatusOr<std::string> token = text.ok() ? TokenIn(*text) : text.status();
  if (token.ok()) authorization_ = absl::StrCat(View(kBearer), *token);
  return authorization_;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address, const SecurityOptions& options,
                                                           grpc::ChannelArguments arguments) {
  std::shared_ptr<TokenSource> token;
  if (!options.token.empty() || !options.token_file.empty()) {
    if (!options.tls && !options.token_in_plaintext && !IsThisMachine(address)) {
      return Wrong(absl::StrCat(
          "the token is not sent to ", address,
          " without TLS, since others could read it on its way; connect with TLS (coroctl --tls or --tls-ca)"));
    }
    absl::StatusOr<std::shared_ptr<TokenSource>> made = TokenSource::Make(options);
    if (!made.ok()) return made.status();
    token = *std::move(made);
  }
  if (!options.tls) {
    if (!token) return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> interceptors;
    interceptors.push_back(std::make_unique<TokenInterceptors>(std::move(token)));
    return grpc::experimental::CreateCustomChannelWithInterceptors(address, grpc::InsecureChannelCredentials(),
                                                                   arguments, std::move(interceptors));
  }
  const absl::StatusOr<grpc::SslCredentialsOptions> ssl = ReadTls(*options.tls);
  if (!ssl.ok()) return ssl.status();
  if (!options.tls->server_name.empty()) arguments.SetSslTargetNameOverride(options.tls->server_name);
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::SslCredentials(*ssl);
  if (credentials && token) {
    credentials = grpc::CompositeChannelCredentials(
        credentials, grpc::MetadataCredentialsFromPlugin(std::make_unique<TokenPlugin>(std::move(token))));
  }
  if (!credentials) return Wrong("gRPC does not take the certificates");
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

}  // namespace corod::client
