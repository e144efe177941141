#ifndef COROD_SERVER_RPC_ADMIN_SERVICE_H_
#define COROD_SERVER_RPC_ADMIN_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "corod/v1/admin_service.grpc.pb.h"
#include "server/base/executor.h"
#include "server/journal/journal.h"
#include "server/rpc/access.h"

namespace corod::rpc {

// Requests come as bytes, as in CoroutineService.
using AdminServiceBase =
    v1::AdminService::WithRawCallbackMethod_Backup<v1::AdminService::WithRawCallbackMethod_GetLogLevels<
        v1::AdminService::WithRawCallbackMethod_SetLogLevel<v1::AdminService::Service>>>;

// corod.v1.AdminService, for callers with the role `admin`; on a server that asks nobody who he is, for those who come
// over its own socket. Thread-safe.
class AdminService final : public AdminServiceBase {
 public:
  // All outlive this. What takes long runs on `executor`.
  AdminService(Journal& journal, Executor& executor, const Access& access)
      : journal_(journal), executor_(executor), access_(access) {}

  grpc::ServerUnaryReactor* GetLogLevels(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* SetLogLevel(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  // Ends early when the call is cancelled, or the server ends.
  grpc::ServerUnaryReactor* Backup(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;

 private:
  Journal& journal_;
  Executor& executor_;
  const Access& access_;
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_ADMIN_SERVICE_H_
