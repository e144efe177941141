#include "server/rpc/admin_service.h"

#include <atomic>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/failure.h"
#include "server/log/log.h"
#include "server/rpc/unary_call.h"

namespace corod::rpc {
namespace {

// Where nobody is asked who he is, `admin` is not for everybody all the same.
absl::Status CheckOperator(const Access& access, const Caller& caller) {
  if (!access.IsOpen() || caller.is_operator()) return absl::OkStatus();
  return Failed(Reason::ROLE_INSUFFICIENT,
                "this is for whoever runs the server: call it over the server's own socket, DATA_DIR/admin.sock, or "
                "let the server ask who calls (--identities)",
                {{"needed", "admin"}});
}

void FillLevels(google::protobuf::RepeatedPtrField<v1::LogLevel>* levels) {
  const LogLevels now = corod::GetLogLevels();
  for (std::size_t area = 0; area < now.size(); ++area) {
    v1::LogLevel* level = levels->Add();
    level->set_area(std::string(NameOf(static_cast<LogArea>(area))));
    level->set_level(std::string(NameOf(now[area])));
  }
}

class BackupCall : public UnaryCall<v1::BackupRequest, v1::BackupResponse> {
 public:
  using UnaryCall::UnaryCall;

  void OnCancel() override { cancelled_ = true; }
  const std::atomic<bool>& cancelled() const { return cancelled_; }

 private:
  std::atomic<bool> cancelled_{false};
};

void BackUp(Journal& journal, BackupCall& call) {
  const std::string& directory = call.request().directory();
  const absl::StatusOr<Journal::BackedUp> made = journal.Backup(directory, call.cancelled());
  if (made.ok()) {
    COROD_LOG(kAudit, kInfo, "backup made",
              {{"who", call.caller().name()},
               {"directory", directory},
               {"sessions", made->sessions},
               {"bytes", made->bytes}});
    call.response()->set_sessions(made->sessions);
    call.response()->set_bytes(made->bytes);
  } else {
    COROD_LOG(kAudit, kWarning, "backup failed",
              {{"who", call.caller().name()}, {"directory", directory}, {"error", made.status()}});
  }
  call.Answer(made.status());
}

}  // namespace

grpc::ServerUnaryReactor* AdminService::GetLogLevels(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return AnswerAtOnce<v1::GetLogLevelsRequest, v1::GetLogLevelsResponse>(
      access_, metrics::Rpc::kGetLogLevels, Role::kAdmin, context, request, response,
      [this](const Caller& caller, const v1::GetLogLevelsRequest&, v1::GetLogLevelsResponse* answer) {
        if (absl::Status refused = CheckOperator(access_, caller); !refused.ok()) return refused;
        FillLevels(answer->mutable_levels());
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* AdminService::SetLogLevel(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return AnswerAtOnce<v1::SetLogLevelRequest, v1::SetLogLevelResponse>(
      access_, metrics::Rpc::kSetLogLevel, Role::kAdmin, context, request, response,
      [this](const Caller& caller, const v1::SetLogLevelRequest& proto, v1::SetLogLevelResponse* answer) {
        absl::Status status = CheckOperator(access_, caller);
        if (status.ok()) status = corod::SetLogLevel(proto.area(), proto.level());
        if (!status.ok()) return status;
        COROD_LOG(kAudit, kInfo, "log level set",
                  {{"who", caller.name()}, {"of", proto.area().empty() ? "all" : proto.area()}, {"to", proto.level()}});
        FillLevels(answer->mutable_levels());
        return status;
      });
}

grpc::ServerUnaryReactor* AdminService::Backup(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) {
  auto* call = new BackupCall(access_, metrics::Rpc::kBackup, Role::kAdmin, context, request, response);
  absl::Status admitted = call->readable();
  if (admitted.ok()) admitted = CheckOperator(access_, call->caller());
  if (!admitted.ok()) {
    call->Answer(admitted);
    return call;
  }
  executor_.Run([&journal = journal_, call] { BackUp(journal, *call); });
  return call;
}

}  // namespace corod::rpc
