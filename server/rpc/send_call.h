#ifndef COROD_SERVER_RPC_SEND_CALL_H_
#define COROD_SERVER_RPC_SEND_CALL_H_

#include <grpcpp/impl/rpc_service_method.h>

#include "server/rpc/access.h"
#include "server/session/sessions.h"

namespace corod::rpc {

// How gRPC's callback API calls unary Sends, in place of its own way, which is made for any method: for the call that
// there is most of a context, reactor and completion of its own, each told of through gRPC's queue, would be most of
// the work. Here a call is one object in the call's arena, its answer goes to gRPC's core in one batch, and there is
// one event when it is over. What it is given outlives it and every call.
//
// A Send that can be taken at once is answered at once; any other waits as a Command, and whoever runs its session
// answers it, on whatever thread.
class SendHandler final : public grpc::internal::MethodHandler {
 public:
  SendHandler(Sessions& sessions, const Access& access) : sessions_(sessions), access_(access) {}

  void RunHandler(const HandlerParameter& parameter) override;
  // Leaves the request as it is.
  void* Deserialize(grpc_call* call, grpc_byte_buffer* request, grpc::Status* status, void** data) override;

 private:
  Sessions& sessions_;
  const Access& access_;
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_SEND_CALL_H_
