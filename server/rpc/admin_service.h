#ifndef COROD_SERVER_RPC_ADMIN_SERVICE_H_
#define COROD_SERVER_RPC_ADMIN_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "corod/v1/admin_service.grpc.pb.h"
#include "server/base/executor.h"
#include "server/journal/journal.h"

namespace corod::rpc {

// Requests come as bytes, as in CoroutineService. What is not overridden is UNIMPLEMENTED.
using AdminServiceBase =
    v1::AdminService::WithRawCallbackMethod_Backup<v1::AdminService::WithCallbackMethod_GetLogLevels<
        v1::AdminService::WithCallbackMethod_SetLogLevel<v1::AdminService::Service>>>;

// corod.v1.AdminService. Calls that do not come over a Unix socket are refused with ROLE_INSUFFICIENT. Thread-safe.
class AdminService final : public AdminServiceBase {
 public:
  // Both outlive this. What takes long runs on `executor`.
  AdminService(Journal& journal, Executor& executor) : journal_(journal), executor_(executor) {}

  // Ends early when the call is cancelled, or the server ends.
  grpc::ServerUnaryReactor* Backup(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;

 private:
  Journal& journal_;
  Executor& executor_;
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_ADMIN_SERVICE_H_
