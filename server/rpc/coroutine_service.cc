#include "server/rpc/coroutine_service.h"

#include <string>
#include <utility>

#include "server/base/failure.h"
#include "server/rpc/convert.h"
#include "server/rpc/drive_stream.h"
#include "server/rpc/unary_call.h"
#include "server/wire/value_codec.h"

namespace corod::rpc {
namespace {

constexpr std::size_t kMaxPageBytes = std::size_t{1} << 20;

absl::Status NotStartedSince(const grpc::CallbackServerContext& context) {
  return context.IsCancelled()
             ? NotStarted(absl::StatusCode::kCancelled, "the call was cancelled before the command's turn came")
             : absl::OkStatus();
}

bool IsQuiet(const v1::SendRequest& request) { return request.quiet(); }
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

  absl::Status Admit() override { return NotStartedSince(this->context()); }

  void Finish(absl::StatusOr<Reply> reply) override {
    if (reply.ok()) {
      ToProto(*reply, IsQuiet(this->request()) ? Loudness::kQuiet : Loudness::kLoud,
              this->response()->mutable_outcome());
      SetReplayed(*reply, this->response());
    }
    this->Answer(reply.status());
  }

  // `fill` takes the operation out of the request; an error is the answer.
  template <typename Fill>
  static grpc::ServerUnaryReactor* Start(Sessions& sessions, grpc::CallbackServerContext* context,
                                         const grpc::ByteBuffer* in, grpc::ByteBuffer* out, const Fill& fill) {
    auto* call = new CommandCall(context, in, out);
    absl::Status status = call->parsed();
    if (status.ok()) status = CheckRequestId(call->request().request_id());
    if (status.ok()) status = fill(call->request(), *call);
    if (status.ok()) {
      call->request_id = call->request().request_id();
      call->deadline = ToTime(context->deadline());
      sessions.Submit(call->request().session_id(), call);
    } else {
      call->Answer(status);
    }
    return call;
  }
};

}  // namespace

grpc::ServerUnaryReactor* CoroutineService::Create(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  auto* call = new UnaryCall<v1::CreateRequest, v1::CreateResponse>(context, request, response);
  absl::Status status = call->parsed();
  absl::StatusOr<CreateSpec> spec = status.ok() ? FromProto(call->request(), sessions_.limits()) : status;
  if (!spec.ok()) {
    call->Answer(spec.status());
    return call;
  }
  spec->deadline = ToTime(context->deadline());
  sessions_.Create(*std::move(spec), [call](absl::StatusOr<Created> created) {
    if (created.ok()) ToProto(*created, call->response());
    call->Answer(created.status());
  });
  return call;
}

grpc::ServerUnaryReactor* CoroutineService::Send(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  return CommandCall<v1::SendRequest, v1::SendResponse>::Start(
      sessions_, context, request, response, [this](const v1::SendRequest& proto, Command& command) {
        absl::StatusOr<Value> value = wire::FromProto(proto.value(), sessions_.limits());
        if (!value.ok()) return value.status();
        command.operation = Operation::kSend;
        command.value = *std::move(value);
        command.expected_step = proto.expected_step();
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* CoroutineService::Throw(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                  grpc::ByteBuffer* response) {
  return CommandCall<v1::ThrowRequest, v1::ThrowResponse>::Start(
      sessions_, context, request, response, [this](const v1::ThrowRequest& proto, Command& command) {
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
  return CommandCall<v1::CloseRequest, v1::CloseResponse>::Start(sessions_, context, request, response,
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
      sessions_, context, request, response, [](const v1::DeleteRequest& proto, Command& command) {
        command.operation = Operation::kDelete;
        command.force = proto.force();
        command.uid = proto.uid();
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* CoroutineService::Get(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                grpc::ByteBuffer* response) {
  return AnswerAtOnce<v1::GetRequest, v1::GetResponse>(
      context, request, response, [this](const v1::GetRequest& proto, v1::GetResponse* answer) {
        const std::optional<Step> at_step = proto.has_at_step() ? std::optional<Step>(proto.at_step()) : std::nullopt;
        const absl::StatusOr<SessionInfo> info = sessions_.Get(proto.session_id(), at_step);
        if (info.ok()) ToProto(*info, Detail::kFull, answer->mutable_session());
        return info.status();
      });
}

grpc::ServerUnaryReactor* CoroutineService::List(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  return AnswerAtOnce<v1::ListRequest, v1::ListResponse>(
      context, request, response, [this](const v1::ListRequest& proto, v1::ListResponse* answer) -> absl::Status {
        const absl::StatusOr<ListQuery> query = FromProto(proto);
        if (!query.ok()) return query.status();
        const absl::StatusOr<std::size_t> page_size = PageSize(proto.page_size());
        if (!page_size.ok()) return page_size.status();
        const Detail detail = proto.view() == v1::SESSION_VIEW_BASIC ? Detail::kBasic : Detail::kFull;
        std::size_t bytes = 0;
        const absl::StatusOr<std::string> next = sessions_.List(*query, [&](const SessionInfo& info) {
          if (static_cast<std::size_t>(answer->sessions_size()) == *page_size) return false;
          v1::Session session;
          ToProto(info, detail, &session);
          bytes += session.ByteSizeLong();
          if (bytes > kMaxPageBytes && answer->sessions_size() > 0) return false;
          answer->add_sessions()->Swap(&session);
          return true;
        });
        if (next.ok()) answer->set_next_page_token(*next);
        return next.status();
      });
}

grpc::ServerUnaryReactor* CoroutineService::Update(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return AnswerAtOnce<v1::UpdateRequest, v1::UpdateResponse>(
      context, request, response, [this](const v1::UpdateRequest& proto, v1::UpdateResponse* answer) -> absl::Status {
        const absl::StatusOr<Session::Changes> changes = FromProto(proto);
        if (!changes.ok()) return changes.status();
        const absl::StatusOr<SessionInfo> info = sessions_.Update(proto.session_id(), *changes);
        if (info.ok()) ToProto(*info, Detail::kFull, answer->mutable_session());
        return info.status();
      });
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* CoroutineService::Drive(
    grpc::CallbackServerContext* context) {
  return DriveStream::Start(sessions_, context);
}

}  // namespace corod::rpc
