#ifndef COROD_CLIENT_CPP_SECURITY_H_
#define COROD_CLIENT_CPP_SECURITY_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "server/base/watched_file.h"

namespace grpc {
class Channel;
class ChannelArguments;
}  // namespace grpc

namespace corod::client {

// How the server is known, and how the client shows who it is by a certificate. All files are PEM, and read once.
struct TlsOptions {
  // What the server's certificate must come from: a file, or the PEM itself. Both empty: the system's roots.
  std::string ca_file = {};
  std::string ca = {};
  // The client's certificate, then those between it and the root; and its key, not encrypted. Both or none.
  std::string certificate_file = {};
  std::string key_file = {};
  // The name that the server's certificate must be for. Empty: the host of the address.
  std::string server_name = {};
};

// Who may read what is sent, and on whose behalf calls are made.
struct SecurityOptions {
  // Unset: nothing is encrypted.
  std::optional<TlsOptions> tls = {};
  // What the server's operator gave out; goes with each call. In a file it is looked for again whenever the file
  // changes, so that a renewed one is used without a restart; while the file has none that can be sent, the last one
  // goes on being used. At most one of the two.
  std::string token = {};
  std::string token_file = {};
  // Sends the token also where it is not encrypted and could be read on its way. Without this, it is an error to have a
  // token and no TLS, unless the address is this machine's (127.0.0.1, [::1], localhost) or a Unix socket.
  bool token_in_plaintext = false;
};

// Whether the address is this machine's own: what is sent there leaves it by no network.
bool IsThisMachine(std::string_view address);

// A token, as it is now. Safe from many threads.
class TokenSource {
 public:
  // Reads the file, if there is one. INVALID_ARGUMENT, in one line that does not hold the token, if there is no token
  // or it cannot be sent.
  static absl::StatusOr<std::shared_ptr<TokenSource>> Make(const SecurityOptions& options);

  // What `authorization` is in a call's metadata: Bearer TOKEN. Reads the file again if it has changed.
  std::string Authorization();

 private:
  TokenSource() : file_("") {}

  Mutex mutex_;
  bool has_file_ = false;
  WatchedFile file_ ABSL_GUARDED_BY(mutex_);
  std::string authorization_ ABSL_GUARDED_BY(mutex_);
};

// A channel to `address` that does what the options say. INVALID_ARGUMENT, in one line, if they make no sense or a file
// cannot be used.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& address, const SecurityOptions& options,
                                                           grpc::ChannelArguments arguments);

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_SECURITY_H_
