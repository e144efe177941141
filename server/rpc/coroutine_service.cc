#include "server/rpc/coroutine_service.h"

#include <optional>
#include <string>
#include <utility>

#include "server/log/log.h"
#include "server/rpc/convert.h"
#include "server/rpc/drive_stream.h"
#include "server/rpc/send_call.h"
#include "server/rpc/status.h"
#include "server/rpc/unary_call.h"
#include "server/rpc/watch_stream.h"
#include "server/wire/value_codec.h"

namespace corod::rpc {
namespace {

using metrics::Rpc;

constexpr std::size_t kMaxPageBytes = std::size_t{1} << 20;

Rpc RpcOf(const v1::ThrowRequest*) { return Rpc::kThrow; }
Rpc RpcOf(const v1::CloseRequest*) { return Rpc::kClose; }
Rpc RpcOf(const v1::DeleteRequest*) { return Rpc::kDelete; }

bool IsQuiet(const v1::ThrowRequest& request) { return request.quiet(); }
bool IsQuiet(const v1::CloseRequest&) { return false; }
bool IsQuiet(const v1::DeleteRequest&) { return false; }

template <typename Response>
void SetReplayed(const Reply& reply, Response* response) {
  response->set_replayed(reply.replayed);
}
void SetReplayed(const Reply&, v1::DeleteResponse*) {}

// A unary call that is a command of a session.
template <typename Request, typename Response>
class CommandCall final : public UnaryCall<Request, Response>, public Command {
 public:
  using UnaryCall<Request, Response>::UnaryCall;

  absl::Status Admit() override { return this->context().IsCancelled() ? CancelledBeforeItsTurn() : absl::OkStatus(); }

  void Finish(absl::StatusOr<Reply> reply) override {
    if (!reply.ok()) {
      this->Refuse(reply.status(), counters);
      return;
    }
    ToProto(*reply, IsQuiet(this->request()) ? Loudness::kQuiet : Loudness::kLoud, this->response()->mutable_outcome());
    SetReplayed(*reply, this->response());
    if (operation == Operation::kDelete) {
      COROD_LOG(kRpc, kDebug, "session deleted",
                {{"who", this->caller().name()},
                 {"namespace", this->caller().name_space()},
                 {"session_id", this->request().session_id()}});
    }
    this->Answer(counters, ResultOf(*reply));
  }

  std::string Traceparent() const override { return TraceparentOf(this->context()); }

  // `fill` takes the operation out of the request; an error is the answer.
  template <typename Fill>
  static grpc::ServerUnaryReactor* Start(Sessions& sessions, const Access& access, grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* in, grpc::ByteBuffer* out, const Fill& fill) {
    auto* call = new CommandCall(access, RpcOf(static_cast<const Request*>(nullptr)), Role::kDrive, context, in, out);
    absl::Status status = call->readable();
    if (status.ok()) status = CheckRequestId(call->request().request_id());
    if (status.ok()) status = fill(call->request(), *call);
    if (status.ok()) {
      call->request_id = call->request().request_id();
      call->deadline = ToTime(context->deadline());
      sessions.Submit(call->caller().IdOf(call->request().session_id()), call);
    } else {
      call->Answer(status);
    }
    return call;
  }
};

// Ends the call with a session.
template <typename Request, typename Response>
Sessions::GetDone AnswersWithSession(UnaryCall<Request, Response>* call) {
  return [call](const absl::StatusOr<SessionInfo>& info) {
    if (!info.ok()) {
      call->Answer(info.status());
      return;
    }
    ToProto(*info, Detail::kFull, call->response()->mutable_session());
    call->Answer(&CountersOf(call->metrics(), info->coroutine), metrics::Result::kDone);
  };
}

}  // namespace

CoroutineService::CoroutineService(Sessions& sessions, const Access& access, OpenStreams& streams)
    : sessions_(sessions), access_(access), streams_(streams) {
  const auto* send =
      v1::SendRequest::descriptor()->file()->FindServiceByName("CoroutineService")->FindMethodByName("Send");
  MarkMethodRawCallback(send->index(), new SendHandler(sessions_, access_));
}

grpc::ServerUnaryReactor* CoroutineService::Create(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  auto* call = new UnaryCall<v1::CreateRequest, v1::CreateResponse>(access_, Rpc::kCreate, Role::kDrive, context,
                                                                    request, response);
  absl::Status status = call->readable();
  absl::StatusOr<CreateSpec> spec =
      status.ok() ? FromProto(call->request(), call->caller(), sessions_.limits()) : status;
  if (!spec.ok()) {
    call->Answer(spec.status());
    return call;
  }
  spec->deadline = ToTime(context->deadline());
  sessions_.Create(*std::move(spec), [call](absl::StatusOr<Created> created) {
    if (!created.ok()) {
      call->Answer(created.status());
      return;
    }
    ToProto(*created, call->response());
    call->Answer(&created->session->counters(), ResultOf(*created));
  });
  return call;
}

grpc::ServerUnaryReactor* CoroutineService::Throw(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                  grpc::ByteBuffer* response) {
  return CommandCall<v1::ThrowRequest, v1::ThrowResponse>::Start(
      sessions_, access_, context, request, response, [this](const v1::ThrowRequest& proto, Command& command) {
        absl::StatusOr<Exception> exception = wire::FromProto(proto.exception(), sessions_.limits());
        if (!exception.ok()) return exception.status();
        command.operation = Operation::kThrow;
        command.value = Value(*exception);
        command.expected_step = proto.expected_step();
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* CoroutineService::Close(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                  grpc::ByteBuffer* response) {
  return CommandCall<v1::CloseRequest, v1::CloseResponse>::Start(sessions_, access_, context, request, response,
                                                                 [](const v1::CloseRequest& proto, Command& command) {
                                                                   command.operation = Operation::kClose;
                                                                   command.force = proto.force();
                                                                   command.expected_step = proto.expected_step();
                                                                   return absl::OkStatus();
                                                                 });
}

grpc::ServerUnaryReactor* CoroutineService::Delete(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return CommandCall<v1::DeleteRequest, v1::DeleteResponse>::Start(
      sessions_, access_, context, request, response, [](const v1::DeleteRequest& proto, Command& command) {
        command.operation = Operation::kDelete;
        command.force = proto.force();
        command.uid = proto.uid();
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* CoroutineService::Get(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                grpc::ByteBuffer* response) {
  auto* call =
      new UnaryCall<v1::GetRequest, v1::GetResponse>(access_, Rpc::kGet, Role::kObserve, context, request, response);
  if (!call->readable().ok()) {
    call->Answer(call->readable());
    return call;
  }
  const v1::GetRequest& proto = call->request();
  const std::optional<Step> at_step = proto.has_at_step() ? std::optional<Step>(proto.at_step()) : std::nullopt;
  sessions_.Get(call->caller().IdOf(proto.session_id()), at_step, AnswersWithSession(call));
  return call;
}

grpc::ServerUnaryReactor* CoroutineService::List(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  auto* call =
      new UnaryCall<v1::ListRequest, v1::ListResponse>(access_, Rpc::kList, Role::kObserve, context, request, response);
  absl::Status status = call->readable();
  absl::StatusOr<ListQuery> query = status.ok() ? FromProto(call->request(), call->caller()) : status;
  const absl::StatusOr<std::size_t> page_size = query.ok() ? PageSize(call->request().page_size()) : query.status();
  if (!page_size.ok()) {
    call->Answer(page_size.status());
    return call;
  }
  query->page_size = *page_size;
  const Detail detail = call->request().view() == v1::SESSION_VIEW_BASIC ? Detail::kBasic : Detail::kFull;
  const auto add = [call, detail, page_size = *page_size, bytes = std::size_t{0}](const SessionInfo& info) mutable {
    v1::ListResponse& answer = *call->response();
    if (static_cast<std::size_t>(answer.sessions_size()) == page_size) return false;
    v1::Session session;
    ToProto(info, detail, &session);
    bytes += session.ByteSizeLong();
    if (bytes > kMaxPageBytes && answer.sessions_size() > 0) return false;
    answer.add_sessions()->Swap(&session);
    return true;
  };
  sessions_.List(*query, add, [call](const absl::StatusOr<std::string>& next) {
    if (next.ok()) call->response()->set_next_page_token(*next);
    call->Answer(next.status());
  });
  return call;
}

grpc::ServerUnaryReactor* CoroutineService::Update(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  auto* call = new UnaryCall<v1::UpdateRequest, v1::UpdateResponse>(access_, Rpc::kUpdate, Role::kDrive, context,
                                                                    request, response);
  absl::Status status = call->readable();
  const absl::StatusOr<Session::Changes> changes = status.ok() ? FromProto(call->request()) : status;
  if (changes.ok()) {
    sessions_.Update(call->caller().IdOf(call->request().session_id()), *changes, AnswersWithSession(call));
  } else {
    call->Answer(changes.status());
  }
  return call;
}

grpc::ServerUnaryReactor* CoroutineService::Fork(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  auto* call =
      new UnaryCall<v1::ForkRequest, v1::ForkResponse>(access_, Rpc::kFork, Role::kDrive, context, request, response);
  absl::Status status = call->readable();
  absl::StatusOr<ForkSpec> spec = status.ok() ? FromProto(call->request(), call->caller()) : status;
  if (spec.ok()) {
    sessions_.Fork(*std::move(spec), AnswersWithSession(call));
  } else {
    call->Answer(spec.status());
  }
  return call;
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* CoroutineService::Watch(grpc::CallbackServerContext* context,
                                                                    const grpc::ByteBuffer* request) {
  return WatchStream::Start(sessions_, access_, streams_, context, *request);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* CoroutineService::Export(grpc::CallbackServerContext* context,
                                                                     const grpc::ByteBuffer* request) {
  return ExportStream::Start(sessions_, access_, streams_, context, *request);
}

grpc::ServerReadReactor<grpc::ByteBuffer>* CoroutineService::Import(grpc::CallbackServerContext* context,
                                                                    grpc::ByteBuffer* response) {
  return ImportStream::Start(sessions_, access_, streams_, import_room_, context, response);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* CoroutineService::Drive(
    grpc::CallbackServerContext* context) {
  return DriveStream::Start(sessions_, access_, streams_, context);
}

}  // namespace corod::rpc
