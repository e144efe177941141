#ifndef COROD_CLIENT_CPP_CONNECTION_H_
#define COROD_CLIENT_CPP_CONNECTION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cpp/drive_call.h"
#include "client/cpp/read_call.h"
#include "client/cpp/retry.h"
#include "client/cpp/security.h"
#include "corod/v1/admin_service.pb.h"
#include "corod/v1/catalog_service.pb.h"
#include "corod/v1/coroutine_service.pb.h"
#include "grpc/health/v1/health.pb.h"

namespace grpc {
class Channel;
}

namespace corod::client {

// Whether a command that comes without a request_id gets a random one.
enum class RequestIds : std::uint8_t { kAutomatic, kAsGiven };

struct ConnectionOptions {
  // Of each call, all its attempts and the waits between them included. Does not bind those that stream: Drive, Watch,
  // Export, Import.
  absl::Duration timeout = absl::Seconds(30);
  RequestIds request_ids = RequestIds::kAutomatic;
  RetryPolicy retry = {};
  // For OpenChannel and Client::Connect, which make the channel.
  SecurityOptions security = {};
};

// A channel to the server at `address` (host:port, or what gRPC takes as a target), without encryption. It connects
// when it is first used, and again whenever it has to.
std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address);
// The same with TLS and a token, as the options say. INVALID_ARGUMENT, in one line, if they make no sense or a file
// cannot be used.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& address, const SecurityOptions& security);

// The next part of a file, never an empty one before its end; an empty one: its end. A failure ends the call.
using ImportSource = std::function<absl::StatusOr<std::string>()>;

// The service's calls as they are on the wire, with request ids, deadlines and retries.
//
// A call that fails with UNAVAILABLE or RATE_LIMITED is made again where that is safe: it reads, it has a request_id,
// or the service says that it did not run (`executed` = "no"). ErrorOf tells a failure's reason.
//
// Safe from many threads; each call blocks the thread that makes it.
class Connection {
 public:
  // INVALID_ARGUMENT for options that make no sense.
  static absl::StatusOr<std::shared_ptr<Connection>> Make(const std::shared_ptr<grpc::Channel>& channel,
                                                          const ConnectionOptions& options = {},
                                                          Dependencies dependencies = {});
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Idempotency: safe to repeat with a request_id.
  absl::StatusOr<v1::CreateResponse> Create(v1::CreateRequest request);
  // Idempotency: safe to repeat with a request_id.
  absl::StatusOr<v1::SendResponse> Send(v1::SendRequest request);
  // Idempotency: safe to repeat with a request_id.
  absl::StatusOr<v1::ThrowResponse> Throw(v1::ThrowRequest request);
  // Idempotency: safe to repeat with a request_id.
  absl::StatusOr<v1::CloseResponse> Close(v1::CloseRequest request);
  // Idempotency: safe to repeat with a request_id.
  absl::StatusOr<v1::DeleteResponse> Delete(v1::DeleteRequest request);
  // Idempotency: safe to repeat with a request_id.
  absl::StatusOr<v1::ForkResponse> Fork(v1::ForkRequest request);
  // Makes a session of the file that `source` reads; `session_id`: the new one's, empty: the exported one's. Returns a
  // failure of `source` as it is, INVALID_ARGUMENT if it is empty. Idempotency: not safe to repeat; tried again only
  // while nothing was sent.
  absl::StatusOr<v1::ImportResponse> Import(const std::string& session_id, const ImportSource& source);
  // Idempotency: reads.
  absl::StatusOr<v1::GetResponse> Get(const v1::GetRequest& request);
  // Idempotency: reads.
  absl::StatusOr<v1::ListResponse> List(const v1::ListRequest& request);
  // Idempotency: safe to repeat.
  absl::StatusOr<v1::UpdateResponse> Update(const v1::UpdateRequest& request);
  // Idempotency: reads.
  absl::StatusOr<v1::ListCoroutinesResponse> ListCoroutines(const v1::ListCoroutinesRequest& request);
  // Idempotency: reads.
  absl::StatusOr<v1::GetCoroutineResponse> GetCoroutine(const v1::GetCoroutineRequest& request);
  // Idempotency: safe to repeat: the newest version's source again is that version.
  absl::StatusOr<v1::DefineCoroutineResponse> DefineCoroutine(const v1::DefineCoroutineRequest& request);
  // Idempotency: not safe to repeat: COROUTINE_NOT_FOUND may come of it. Tried again only while nothing was done.
  absl::StatusOr<v1::DeleteCoroutineResponse> DeleteCoroutine(const v1::DeleteCoroutineRequest& request);
  // How much the server logs; needs the role admin. Idempotency: reads.
  absl::StatusOr<v1::GetLogLevelsResponse> GetLogLevels();
  // Changes it. Idempotency: safe to repeat.
  absl::StatusOr<v1::SetLogLevelResponse> SetLogLevel(const v1::SetLogLevelRequest& request);
  // What the server says of its health by gRPC's protocol; needs no token. NOT_FOUND for a service that it does not
  // know. Idempotency: reads.
  absl::StatusOr<grpc::health::v1::HealthCheckResponse> CheckHealth(
      const grpc::health::v1::HealthCheckRequest& request);

  // One attempt of Drive, without a deadline; DriveStream is for use. The call must end before the Connection does.
  std::unique_ptr<DriveCall> OpenDrive();
  // One attempt of Watch or Export, as OpenDrive; WatchStream and ExportStream are for use.
  std::unique_ptr<ReadCall<v1::WatchResponse>> OpenWatch(const v1::WatchRequest& request);
  std::unique_ptr<ReadCall<v1::ExportResponse>> OpenExport(const v1::ExportRequest& request);

  // The attempts of a call that this object does not make itself.
  Retry NewRetry(absl::Time deadline) const { return NewRetry(options_.retry, deadline); }
  Retry NewRetry(const RetryPolicy& policy, absl::Time deadline) const;
  const ConnectionOptions& options() const { return options_; }
  // A random id for a request.
  std::string NewRequestId() const;

 private:
  struct Stubs;
  enum class Repeatable : std::uint8_t { kYes, kOnlyIfNotExecuted };

  Connection(const std::shared_ptr<grpc::Channel>& channel, const ConnectionOptions& options,
             Dependencies dependencies);
  // Gives `id` a value if it has none and should have one; whether the call may be repeated.
  Repeatable CompleteRequestId(std::string* id) const;
  template <typename Method, typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(Stub& stub, Method method, const Request& request, Repeatable repeatable,
                                Response response);

  const ConnectionOptions options_;
  const Dependencies dependencies_;
  const std::unique_ptr<Stubs> stubs_;
};

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_CONNECTION_H_
