#ifndef COROD_SERVER_RPC_CATALOG_SERVICE_H_
#define COROD_SERVER_RPC_CATALOG_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "corod/v1/catalog_service.grpc.pb.h"
#include "server/catalog/catalog.h"
#include "server/rpc/access.h"
#include "server/session/definitions.h"

namespace corod::rpc {

// Requests come as bytes, as in CoroutineService.
using CatalogServiceBase = v1::CatalogService::WithRawCallbackMethod_ListCoroutines<
    v1::CatalogService::WithRawCallbackMethod_GetCoroutine<v1::CatalogService::WithRawCallbackMethod_DefineCoroutine<
        v1::CatalogService::WithRawCallbackMethod_DeleteCoroutine<v1::CatalogService::Service>>>>;

// corod.v1.CatalogService over the catalog. Thread-safe.
class CatalogService final : public CatalogServiceBase {
 public:
  // All outlive this.
  CatalogService(const Catalog& catalog, Definitions& definitions, const Access& access)
      : catalog_(catalog), definitions_(definitions), access_(access) {}

  grpc::ServerUnaryReactor* ListCoroutines(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetCoroutine(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* DefineCoroutine(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* DeleteCoroutine(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) override;

 private:
  const Catalog& catalog_;
  Definitions& definitions_;
  const Access& access_;
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_CATALOG_SERVICE_H_
