#include "tests/unit/client/fake_service.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "corod/v1/catalog_service.grpc.pb.h"
#include "corod/v1/coroutine_service.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/mutex.h"

namespace corod::client {
namespace {

void SetDuration(absl::Duration duration, google::protobuf::Duration* proto) {
  proto->set_seconds(absl::ToInt64Seconds(duration));
  proto->set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(duration - absl::Seconds(proto->seconds()))));
}

grpc::Status StatusFor(const Refusal& refusal) {
  google::rpc::Status details;
  details.set_code(refusal.code);
  details.set_message(refusal.message);
  if (!refusal.reason.empty() || !refusal.metadata.empty()) {
    google::rpc::ErrorInfo info;
    info.set_reason(refusal.reason);
    info.set_domain("corod");
    info.mutable_metadata()->insert(refusal.metadata.begin(), refusal.metadata.end());
    details.add_details()->PackFrom(info);
  }
  if (refusal.retry_delay > absl::ZeroDuration()) {
    google::rpc::RetryInfo retry;
    SetDuration(refusal.retry_delay, retry.mutable_retry_delay());
    details.add_details()->PackFrom(retry);
  }
  return {static_cast<grpc::StatusCode>(refusal.code), refusal.message, details.SerializeAsString()};
}

}  // namespace

v1::Outcome Yielded(std::uint64_t step, const v1::Value& value) {
  v1::Outcome outcome;
  outcome.set_step(step);
  *outcome.mutable_yielded() = value;
  return outcome;
}

v1::Outcome Returned(std::uint64_t step, const v1::Value& value) {
  v1::Outcome outcome;
  outcome.set_step(step);
  *outcome.mutable_returned() = value;
  return outcome;
}

v1::Outcome Raised(std::uint64_t step, const std::string& type, const std::string& message) {
  v1::Outcome outcome;
  outcome.set_step(step);
  outcome.mutable_raised()->set_type(type);
  outcome.mutable_raised()->set_message(message);
  return outcome;
}

v1::Event SendEvent(const v1::Value& sent, const v1::Outcome& outcome) {
  v1::Event event;
  event.set_step(outcome.step());
  *event.mutable_send() = sent;
  *event.mutable_outcome() = outcome;
  return event;
}

v1::Value TextValue(const std::string& text) {
  v1::Value value;
  value.set_text(text);
  return value;
}

v1::Value IntegerValue(std::int64_t integer) {
  v1::Value value;
  value.set_integer(integer);
  return value;
}

class FakeService::State {
 public:
  explicit State(Script& script);
  ~State();

  int port() const { return port_; }
  Requests requests() const {
    MutexLock lock(mutex_);
    return requests_;
  }

  // Writes `request` down. Not OK while the script has failures left.
  template <typename Request>
  grpc::Status Take(const Request& request, std::vector<Request> Requests::* list) {
    MutexLock lock(mutex_);
    (requests_.*list).push_back(request);
    if (script_.failures == 0) return grpc::Status::OK;
    --script_.failures;
    return StatusFor(script_.failure);
  }

  v1::Outcome Step(const v1::Value& sent) {
    std::uint64_t step = 0;
    {
      MutexLock lock(mutex_);
      step = ++steps_;
    }
    return script_.on_step ? script_.on_step(step, sent) : Yielded(step, sent);
  }

  // Counts a Drive call; after how many commands it breaks, -1: never.
  int BeginDrive() {
    MutexLock lock(mutex_);
    const auto call = static_cast<std::size_t>(requests_.drive_calls++);
    return call < script_.break_drive_after.size() ? script_.break_drive_after[call] : -1;
  }

  // Begins a call that streams to the client: counts it, and says how it goes.
  Streaming BeginStreaming() {
    MutexLock lock(mutex_);
    return streams_ < script_.streams.size() ? script_.streams[streams_++] : Streaming();
  }
  grpc::Status EndStreaming(const Streaming& streaming) {
    MutexLock lock(mutex_);
    while (streaming.stays && !ending_) changed_.Wait(mutex_);
    return streaming.end.code == 0 ? grpc::Status::OK : StatusFor(streaming.end);
  }

  v1::Reply Answer(const v1::Command& command) {
    {
      MutexLock lock(mutex_);
      requests_.commands.push_back(command);
    }
    v1::Reply reply;
    if (script_.on_command) {
      reply = script_.on_command(command);
    } else {
      *reply.mutable_outcome() = Step(command.send());
      if (command.quiet() && reply.outcome().has_yielded()) reply.mutable_outcome()->mutable_yielded()->Clear();
      if (command.quiet() && reply.outcome().has_raised()) reply.mutable_outcome()->mutable_raised()->Clear();
    }
    reply.set_tag(command.tag());
    return reply;
  }

  const Script& script() const { return script_; }

 private:
  Script& script_;
  mutable Mutex mutex_;
  CondVar changed_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::size_t streams_ ABSL_GUARDED_BY(mutex_) = 0;
  Requests requests_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t steps_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<Coroutines> coroutines_;
  std::unique_ptr<Catalog> catalog_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

class FakeService::Coroutines : public v1::CoroutineService::Service {
 public:
  explicit Coroutines(State& state) : state_(state) {}

  grpc::Status Create(grpc::ServerContext*, const v1::CreateRequest* request, v1::CreateResponse* response) override {
    if (grpc::Status status = state_.Take(*request, &Requests::create); !status.ok()) return status;
    if (state_.script().on_create) {
      *response = state_.script().on_create(*request);
      return grpc::Status::OK;
    }
    response->mutable_session()->set_session_id("s1");
    response->mutable_session()->set_state(request->prime() ? v1::STATE_SUSPENDED : v1::STATE_CREATED);
    if (request->prime()) *response->mutable_outcome() = Yielded(1, v1::Value());
    return grpc::Status::OK;
  }
  grpc::Status Send(grpc::ServerContext*, const v1::SendRequest* request, v1::SendResponse* response) override {
    if (grpc::Status status = state_.Take(*request, &Requests::send); !status.ok()) return status;
    *response->mutable_outcome() = state_.Step(request->value());
    return grpc::Status::OK;
  }
  grpc::Status Throw(grpc::ServerContext*, const v1::ThrowRequest* request, v1::ThrowResponse* response) override {
    if (grpc::Status status = state_.Take(*request, &Requests::raise); !status.ok()) return status;
    *response->mutable_outcome() = state_.Step(v1::Value());
    return grpc::Status::OK;
  }
  grpc::Status Close(grpc::ServerContext*, const v1::CloseRequest* request, v1::CloseResponse* response) override {
    if (grpc::Status status = state_.Take(*request, &Requests::close); !status.ok()) return status;
    *response->mutable_outcome() = state_.script().close_outcome;
    return grpc::Status::OK;
  }
  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteRequest* request, v1::DeleteResponse* response) override {
    if (grpc::Status status = state_.Take(*request, &Requests::remove); !status.ok()) return status;
    *response->mutable_outcome() = state_.script().close_outcome;
    return grpc::Status::OK;
  }
  grpc::Status Get(grpc::ServerContext*, const v1::GetRequest* request, v1::GetResponse* response) override {
    if (grpc::Status status = state_.Take(*request, &Requests::get); !status.ok()) return status;
    *response->mutable_session() = state_.script().on_get ? state_.script().on_get(*request) : state_.script().session;
    return grpc::Status::OK;
  }
  grpc::Status Fork(grpc::ServerContext*, const v1::ForkRequest* request, v1::ForkResponse* response) override {
    if (grpc::Status status = state_.Take(*request, &Requests::fork); !status.ok()) return status;
    *response->mutable_session() = state_.script().session;
    if (!request->new_session_id().empty()) response->mutable_session()->set_session_id(request->new_session_id());
    return grpc::Status::OK;
  }
  grpc::Status Watch(grpc::ServerContext*, const v1::WatchRequest* request,
                     grpc::ServerWriter<v1::WatchResponse>* writer) override {
    if (grpc::Status status = state_.Take(*request, &Requests::watch); !status.ok()) return status;
    const Streaming streaming = state_.BeginStreaming();
    const std::uint64_t from = request->has_from_step() ? request->from_step() : state_.script().session.steps() + 1;
    int left = streaming.messages;
    for (const v1::Event& event : state_.script().events) {
      if (event.step() < from) continue;
      if (left-- == 0) break;
      if (state_.script().on_event) state_.script().on_event(event);
      v1::WatchResponse response;
      *response.mutable_event() = event;
      writer->Write(response);
    }
    return state_.EndStreaming(streaming);
  }
  grpc::Status Export(grpc::ServerContext*, const v1::ExportRequest* request,
                      grpc::ServerWriter<v1::ExportResponse>* writer) override {
    if (grpc::Status status = state_.Take(*request, &Requests::exported); !status.ok()) return status;
    const Streaming streaming = state_.BeginStreaming();
    int left = streaming.messages;
    for (const std::string& chunk : state_.script().chunks) {
      if (left-- == 0) break;
      v1::ExportResponse response;
      response.set_chunk(chunk);
      writer->Write(response);
    }
    if (state_.script().on_exported) state_.script().on_exported();
    return state_.EndStreaming(streaming);
  }
  grpc::Status Import(grpc::ServerContext* context, grpc::ServerReader<v1::ImportRequest>* reader,
                      v1::ImportResponse* response) override {
    v1::ImportRequest whole;
    v1::ImportRequest part;
    if (!reader->Read(&whole)) return {grpc::StatusCode::INVALID_ARGUMENT, "nothing came"};
    while (reader->Read(&part)) whole.mutable_chunk()->append(part.chunk());
    if (context->IsCancelled()) return grpc::Status::CANCELLED;
    if (grpc::Status status = state_.Take(whole, &Requests::imported); !status.ok()) return status;
    *response->mutable_session() = state_.script().session;
    if (!whole.session_id().empty()) response->mutable_session()->set_session_id(whole.session_id());
    return grpc::Status::OK;
  }
  // The page's number is its token.
  grpc::Status List(grpc::ServerContext*, const v1::ListRequest* request, v1::ListResponse* response) override {
    if (grpc::Status status = state_.Take(*request, &Requests::list); !status.ok()) return status;
    const std::size_t page = request->page_token().empty() ? 0 : std::stoul(request->page_token());
    if (page < state_.script().pages.size()) *response = state_.script().pages[page];
    return grpc::Status::OK;
  }
  grpc::Status Drive(grpc::ServerContext*,
                     grpc::ServerReaderWriter<v1::DriveResponse, v1::DriveRequest>* stream) override {
    int left = state_.BeginDrive();
    v1::DriveRequest request;
    while (stream->Read(&request)) {
      for (const v1::Command& command : request.commands()) {
        if (left-- == 0) return {grpc::StatusCode::UNAVAILABLE, "the stream broke"};
        v1::DriveResponse response;
        *response.add_replies() = state_.Answer(command);
        stream->Write(response);
      }
    }
    return grpc::Status::OK;
  }

 private:
  State& state_;
};

class FakeService::Catalog : public v1::CatalogService::Service {
 public:
  explicit Catalog(State& state) : state_(state) {}

  grpc::Status GetCoroutine(grpc::ServerContext*, const v1::GetCoroutineRequest* request,
                            v1::GetCoroutineResponse* response) override {
    if (grpc::Status status = state_.Take(*request, &Requests::get_coroutine); !status.ok()) return status;
    for (const v1::Coroutine& coroutine : state_.script().catalog) {
      if (coroutine.name() == request->name()) *response->mutable_coroutine() = coroutine;
    }
    if (response->has_coroutine()) return grpc::Status::OK;
    return StatusFor(
        {.code = grpc::StatusCode::NOT_FOUND, .reason = "COROUTINE_NOT_FOUND", .message = "there is none"});
  }
  grpc::Status DefineCoroutine(grpc::ServerContext*, const v1::DefineCoroutineRequest* request,
                               v1::DefineCoroutineResponse* response) override {
    if (grpc::Status status = state_.Take(*request, &Requests::define); !status.ok()) return status;
    if (state_.script().define_failure.code != 0) return StatusFor(state_.script().define_failure);
    *response->mutable_coroutine() = request->coroutine();
    response->mutable_coroutine()->set_version(1);
    for (const v1::Coroutine& coroutine : state_.script().catalog) {
      const bool same = coroutine.source() == request->coroutine().source();
      if (coroutine.name() == request->coroutine().name())
        response->mutable_coroutine()->set_version(coroutine.version() + (same ? 0 : 1));
    }
    return grpc::Status::OK;
  }
  grpc::Status DeleteCoroutine(grpc::ServerContext*, const v1::DeleteCoroutineRequest* request,
                               v1::DeleteCoroutineResponse*) override {
    return state_.Take(*request, &Requests::undefine);
  }
  grpc::Status ListCoroutines(grpc::ServerContext*, const v1::ListCoroutinesRequest*,
                              v1::ListCoroutinesResponse* response) override {
    for (const v1::Coroutine& coroutine : state_.script().catalog) *response->add_coroutines() = coroutine;
    return grpc::Status::OK;
  }

 private:
  State& state_;
};

FakeService::State::State(Script& script)
    : script_(script), coroutines_(std::make_unique<Coroutines>(*this)), catalog_(std::make_unique<Catalog>(*this)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(coroutines_.get());
  builder.RegisterService(catalog_.get());
  server_ = builder.BuildAndStart();
}

FakeService::State::~State() {
  {
    MutexLock lock(mutex_);
    ending_ = true;
    changed_.NotifyAll();
  }
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

FakeService::FakeService()
    : state_(std::make_unique<State>(script_)), address_("127.0.0.1:" + std::to_string(state_->port())) {
  *script_.close_outcome.mutable_returned() = v1::Value();
}

FakeService::~FakeService() = default;

FakeService::Requests FakeService::requests() const { return state_->requests(); }

}  // namespace corod::client
