#ifndef COROD_SERVER_RPC_CATALOG_SERVICE_H_
#define COROD_SERVER_RPC_CATALOG_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "corod/v1/catalog_service.grpc.pb.h"
#include "server/catalog/catalog.h"

namespace corod::rpc {

// Requests come as bytes, as in CoroutineService.
using CatalogServiceBase = v1::CatalogService::WithRawCallbackMethod_ListCoroutines<
    v1::CatalogService::WithRawCallbackMethod_GetCoroutine<v1::CatalogService::WithCallbackMethod_DefineCoroutine<
        v1::CatalogService::WithCallbackMethod_DeleteCoroutine<v1::CatalogService::Service>>>>;

// corod.v1.CatalogService over the catalog. Thread-safe. The RPCs that are not here answer UNIMPLEMENTED.
class CatalogService final : public CatalogServiceBase {
 public:
  // `catalog` outlives this.
  explicit CatalogService(const Catalog& catalog) : catalog_(catalog) {}

  grpc::ServerUnaryReactor* ListCoroutines(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetCoroutine(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override;

 private:
  const Catalog& catalog_;
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_CATALOG_SERVICE_H_
