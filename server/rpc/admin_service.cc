#include "server/rpc/admin_service.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/failure.h"
#include "server/rpc/unary_call.h"

namespace corod::rpc {
namespace {

// Whether the caller may. Who may open the server's own socket is the server's owner.
absl::Status Admit(const grpc::CallbackServerContext& context) {
  if (context.peer().starts_with("unix:")) return absl::OkStatus();
  return Failed(Reason::ROLE_INSUFFICIENT,
                "this is for whoever runs the server: call it over the server's own socket, DATA_DIR/admin.sock");
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
    spdlog::info("audit: {} made a backup of {} sessions ({} bytes) at {}", call.context().peer(), made->sessions,
                 made->bytes, directory);
    call.response()->set_sessions(made->sessions);
    call.response()->set_bytes(made->bytes);
  } else {
    spdlog::warn("audit: {} made no backup: {}", call.context().peer(), std::string(made.status().message()));
  }
  call.Answer(made.status());
}

}  // namespace

grpc::ServerUnaryReactor* AdminService::Backup(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response) {
  auto* call = new BackupCall(context, request, response);
  absl::Status admitted = Admit(*context);
  if (admitted.ok()) admitted = call->parsed();
  if (!admitted.ok()) {
    call->Answer(admitted);
    return call;
  }
  executor_.Run([&journal = journal_, call] { BackUp(journal, *call); });
  return call;
}

}  // namespace corod::rpc
