#ifndef COROD_SERVER_RPC_COROUTINE_SERVICE_H_
#define COROD_SERVER_RPC_COROUTINE_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "corod/v1/coroutine_service.grpc.pb.h"
#include "server/rpc/access.h"
#include "server/rpc/open_streams.h"
#include "server/rpc/transfer_streams.h"
#include "server/session/sessions.h"

namespace corod::rpc {

// What gRPC calls, but for Send, which has a handler of its own (send_call.h). Requests come as bytes, so that they can
// be parsed with our own limit on depth.
using CoroutineServiceBase = v1::CoroutineService::WithRawCallbackMethod_Create<
    v1::CoroutineService::WithRawCallbackMethod_Throw<v1::CoroutineService::WithRawCallbackMethod_Close<
        v1::CoroutineService::WithRawCallbackMethod_Drive<v1::CoroutineService::WithRawCallbackMethod_Get<
            v1::CoroutineService::WithRawCallbackMethod_List<v1::CoroutineService::WithRawCallbackMethod_Update<
                v1::CoroutineService::WithRawCallbackMethod_Delete<v1::CoroutineService::WithRawCallbackMethod_Watch<
                    v1::CoroutineService::WithRawCallbackMethod_Fork<v1::CoroutineService::WithRawCallbackMethod_Export<
                        v1::CoroutineService::WithRawCallbackMethod_Import<v1::CoroutineService::Service>>>>>>>>>>>>;

// corod.v1.CoroutineService over the session layer. Thread-safe; blocks no thread.
class CoroutineService final : public CoroutineServiceBase {
 public:
  // All outlive this and every call.
  CoroutineService(Sessions& sessions, const Access& access, OpenStreams& streams);

  grpc::ServerUnaryReactor* Create(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Throw(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Close(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                 grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Update(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Fork(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                 grpc::ByteBuffer* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Drive(grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Export(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request) override;
  grpc::ServerReadReactor<grpc::ByteBuffer>* Import(grpc::CallbackServerContext* context,
                                                    grpc::ByteBuffer* response) override;

 private:
  Sessions& sessions_;
  const Access& access_;
  OpenStreams& streams_;
  ImportRoom import_room_;
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_COROUTINE_SERVICE_H_
