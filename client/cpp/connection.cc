#include "client/cpp/connection.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <utility>

#include "client/cpp/service_error.h"
#include "corod/v1/admin_service.grpc.pb.h"
#include "corod/v1/catalog_service.grpc.pb.h"
#include "corod/v1/coroutine_service.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/base/uuid.h"

namespace corod::client {
namespace {

absl::Status Validate(const ConnectionOptions& options) {
  const RetryPolicy& retry = options.retry;
  if (options.timeout <= absl::ZeroDuration()) return absl::InvalidArgumentError("timeout must be positive");
  if (retry.max_attempts < 1) return absl::InvalidArgumentError("retry.max_attempts must be at least 1");
  if (retry.first_delay < absl::ZeroDuration() || retry.max_delay < retry.first_delay) {
    return absl::InvalidArgumentError("retry.first_delay must not be negative and not above retry.max_delay");
  }
  if (!(retry.factor >= 1)) return absl::InvalidArgumentError("retry.factor must be at least 1");
  return absl::OkStatus();
}

class GrpcDriveCall : public DriveCall {
 public:
  explicit GrpcDriveCall(v1::CoroutineService::Stub& stub) : stream_(stub.Drive(&context_)) {}

  bool Write(const v1::DriveRequest& request) override { return stream_->Write(request); }
  bool WritesDone() override { return stream_->WritesDone(); }
  bool Read(v1::DriveResponse* response) override { return stream_->Read(response); }
  absl::Status Finish() override { return StatusOf(stream_->Finish()); }
  void Cancel() override { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  const std::unique_ptr<grpc::ClientReaderWriter<v1::DriveRequest, v1::DriveResponse>> stream_;
};

template <typename Response>
class GrpcReadCall : public ReadCall<Response> {
 public:
  template <typename Method, typename Request>
  GrpcReadCall(v1::CoroutineService::Stub& stub, Method method, const Request& request)
      : stream_((stub.*method)(&context_, request)) {}

  bool Read(Response* response) override { return stream_->Read(response); }
  absl::Status Finish() override { return StatusOf(stream_->Finish()); }
  void Cancel() override { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  const std::unique_ptr<grpc::ClientReader<Response>> stream_;
};

grpc::ChannelArguments ArgumentsFor(const std::string& address) {
  grpc::ChannelArguments arguments;
  // How large a value may be is the server's to say.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  // A server that is being restarted is soon back; a busy machine takes a while to connect.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 3000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  // Its own machine is never reached through a proxy.
  if (IsThisMachine(address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address) {
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), ArgumentsFor(address));
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& address,
                                                           const SecurityOptions& security) {
  return MakeChannel(address, security, ArgumentsFor(address));
}

struct Connection::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : channel(channel), coroutines(channel), catalog(channel), admin(channel), health(channel) {}

  const std::shared_ptr<grpc::Channel> channel;
  v1::CoroutineService::Stub coroutines;
  v1::CatalogService::Stub catalog;
  v1::AdminService::Stub admin;
  grpc::health::v1::Health::Stub health;
};

absl::StatusOr<std::shared_ptr<Connection>> Connection::Make(const std::shared_ptr<grpc::Channel>& channel,
                                                             const ConnectionOptions& options,
                                                             Dependencies dependencies) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  return std::shared_ptr<Connection>(new Connection(channel, options, std::move(dependencies)));
}

Connection::Connection(const std::shared_ptr<grpc::Channel>& channel, const ConnectionOptions& options,
                       Dependencies dependencies)
    : options_(options), dependencies_(std::move(dependencies)), stubs_(std::make_unique<Stubs>(channel)) {}

Connection::~Connection() = default;

Retry Connection::NewRetry(const RetryPolicy& policy, absl::Time deadline) const {
  return {policy, deadline, stubs_->channel, dependencies_};
}

std::string Connection::NewRequestId() const { return RandomUuid(*dependencies_.random); }

Connection::Repeatable Connection::CompleteRequestId(std::string* id) const {
  if (id->empty() && options_.request_ids == RequestIds::kAutomatic) *id = NewRequestId();
  return id->empty() ? Repeatable::kOnlyIfNotExecuted : Repeatable::kYes;
}

template <typename Method, typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Connection::Call(Stub& stub, Method method, const Request& request, Repeatable repeatable,
                                          Response response) {
  const absl::Time deadline = dependencies_.clock->Now() + options_.timeout;
  Retry retry = NewRetry(deadline);
  while (true) {
    grpc::ClientContext context;
    if (deadline != absl::InfiniteFuture()) {
      const absl::Duration left = deadline - dependencies_.clock->Now();
      context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(left));
    }
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (status.ok()) return response;
    absl::Status failure = StatusOf(status);
    const bool safe = repeatable == Repeatable::kYes || ErrorOf(failure).metadata["executed"] == "no";
    if (!safe || !retry.WaitForNext(failure)) return failure;
  }
}

absl::StatusOr<v1::CreateResponse> Connection::Create(v1::CreateRequest request) {
  const Repeatable repeatable = CompleteRequestId(request.mutable_request_id());
  return Call(stubs_->coroutines, &v1::CoroutineService::Stub::Create, request, repeatable, v1::CreateResponse());
}

absl::StatusOr<v1::SendResponse> Connection::Send(v1::SendRequest request) {
  const Repeatable repeatable = CompleteRequestId(request.mutable_request_id());
  return Call(stubs_->coroutines, &v1::CoroutineService::Stub::Send, request, repeatable, v1::SendResponse());
}

absl::StatusOr<v1::ThrowResponse> Connection::Throw(v1::ThrowRequest request) {
  const Repeatable repeatable = CompleteRequestId(request.mutable_request_id());
  return Call(stubs_->coroutines, &v1::CoroutineService::Stub::Throw, request, repeatable, v1::ThrowResponse());
}

absl::StatusOr<v1::CloseResponse> Connection::Close(v1::CloseRequest request) {
  const Repeatable repeatable = CompleteRequestId(request.mutable_request_id());
  return Call(stubs_->coroutines, &v1::CoroutineService::Stub::Close, request, repeatable, v1::CloseResponse());
}

absl::StatusOr<v1::DeleteResponse> Connection::Delete(v1::DeleteRequest request) {
  const Repeatable repeatable = CompleteRequestId(request.mutable_request_id());
  return Call(stubs_->coroutines, &v1::CoroutineService::Stub::Delete, request, repeatable, v1::DeleteResponse());
}

absl::StatusOr<v1::ForkResponse> Connection::Fork(v1::ForkRequest request) {
  const Repeatable repeatable = CompleteRequestId(request.mutable_request_id());
  return Call(stubs_->coroutines, &v1::CoroutineService::Stub::Fork, request, repeatable, v1::ForkResponse());
}

absl::StatusOr<v1::ImportResponse> Connection::Import(const std::string& session_id, const ImportSource& source) {
  absl::StatusOr<std::string> chunk = source();
  if (!chunk.ok()) return chunk.status();
  if (chunk->empty()) return absl::InvalidArgumentError("there is nothing to import: the file is empty");
  v1::ImportRequest first;
  first.set_session_id(session_id);
  first.set_chunk(*std::move(chunk));
  Retry retry = NewRetry(absl::InfiniteFuture());
  while (true) {
    grpc::ClientContext context;
    v1::ImportResponse response;
    const auto stream = stubs_->coroutines.Import(&context, &response);
    const bool sent = stream->Write(first);
    absl::Status unreadable;
    for (bool works = sent; works;) {
      absl::StatusOr<std::string> rest = source();
      unreadable = rest.status();
      if (!rest.ok() || rest->empty()) break;
      v1::ImportRequest next;
      next.set_chunk(*std::move(rest));
      works = stream->Write(next);
    }
    if (unreadable.ok()) {
      stream->WritesDone();
    } else {
      context.TryCancel();
    }
    absl::Status status = StatusOf(stream->Finish());
    if (!unreadable.ok()) return unreadable;
    if (status.ok()) return response;
    if (sent || !retry.WaitForNext(status)) return status;
  }
}

absl::StatusOr<v1::GetResponse> Connection::Get(const v1::GetRequest& request) {
  return Call(stubs_->coroutines, &v1::CoroutineService::Stub::Get, request, Repeatable::kYes, v1::GetResponse());
}

absl::StatusOr<v1::ListResponse> Connection::List(const v1::ListRequest& request) {
  return Call(stubs_->coroutines, &v1::CoroutineService::Stub::List, request, Repeatable::kYes, v1::ListResponse());
}

absl::StatusOr<v1::UpdateResponse> Connection::Update(const v1::UpdateRequest& request) {
  return Call(stubs_->coroutines, &v1::CoroutineService::Stub::Update, request, Repeatable::kYes, v1::UpdateResponse());
}

absl::StatusOr<v1::ListCoroutinesResponse> Connection::ListCoroutines(const v1::ListCoroutinesRequest& request) {
  return Call(stubs_->catalog, &v1::CatalogService::Stub::ListCoroutines, request, Repeatable::kYes,
              v1::ListCoroutinesResponse());
}

absl::StatusOr<v1::GetCoroutineResponse> Connection::GetCoroutine(const v1::GetCoroutineRequest& request) {
  return Call(stubs_->catalog, &v1::CatalogService::Stub::GetCoroutine, request, Repeatable::kYes,
              v1::GetCoroutineResponse());
}

absl::StatusOr<v1::DefineCoroutineResponse> Connection::DefineCoroutine(const v1::DefineCoroutineRequest& request) {
  return Call(stubs_->catalog, &v1::CatalogService::Stub::DefineCoroutine, request, Repeatable::kYes,
              v1::DefineCoroutineResponse());
}

absl::StatusOr<v1::DeleteCoroutineResponse> Connection::DeleteCoroutine(const v1::DeleteCoroutineRequest& request) {
  return Call(stubs_->catalog, &v1::CatalogService::Stub::DeleteCoroutine, request, Repeatable::kOnlyIfNotExecuted,
              v1::DeleteCoroutineResponse());
}

absl::StatusOr<v1::GetLogLevelsResponse> Connection::GetLogLevels() {
  return Call(stubs_->admin, &v1::AdminService::Stub::GetLogLevels, v1::GetLogLevelsRequest(), Repeatable::kYes,
              v1::GetLogLevelsResponse());
}

absl::StatusOr<v1::SetLogLevelResponse> Connection::SetLogLevel(const v1::SetLogLevelRequest& request) {
  return Call(stubs_->admin, &v1::AdminService::Stub::SetLogLevel, request, Repeatable::kYes,
              v1::SetLogLevelResponse());
}

absl::StatusOr<grpc::health::v1::HealthCheckResponse> Connection::CheckHealth(
    const grpc::health::v1::HealthCheckRequest& request) {
  return Call(stubs_->health, &grpc::health::v1::Health::Stub::Check, request, Repeatable::kYes,
              grpc::health::v1::HealthCheckResponse());
}

std::unique_ptr<DriveCall> Connection::OpenDrive() { return std::make_unique<GrpcDriveCall>(stubs_->coroutines); }

std::unique_ptr<ReadCall<v1::WatchResponse>> Connection::OpenWatch(const v1::WatchRequest& request) {
  return std::make_unique<GrpcReadCall<v1::WatchResponse>>(stubs_->coroutines, &v1::CoroutineService::Stub::Watch,
                                                           request);
}

std::unique_ptr<ReadCall<v1::ExportResponse>> Connection::OpenExport(const v1::ExportRequest& request) {
  return std::make_unique<GrpcReadCall<v1::ExportResponse>>(stubs_->coroutines, &v1::CoroutineService::Stub::Export,
                                                            request);
}

}  // namespace corod::client
