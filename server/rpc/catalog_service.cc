#include "server/rpc/catalog_service.h"

#include <string>
#include <vector>

#include "server/base/failure.h"
#include "server/base/page_token.h"
#include "server/rpc/convert.h"
#include "server/rpc/unary_call.h"

namespace corod::rpc {
namespace {

absl::Status List(const Catalog& catalog, const v1::ListCoroutinesRequest& request,
                  v1::ListCoroutinesResponse* response) {
  constexpr std::uint64_t kQuery = 0x636174616c6f67;  // there are no filters
  const absl::StatusOr<std::string> after = ReadPageToken(request.page_token(), kQuery);
  if (!after.ok()) return after.status();
  const absl::StatusOr<std::size_t> page_size = PageSize(request.page_size());
  if (!page_size.ok()) return page_size.status();
  const std::vector<const Definition*> page = catalog.ListAfter(*after, *page_size + 1);
  for (const Definition* definition : page) {
    if (static_cast<std::size_t>(response->coroutines_size()) == *page_size) {
      response->set_next_page_token(MakePageToken(response->coroutines().rbegin()->name(), kQuery));
      break;
    }
    ToProto(*definition, response->add_coroutines());
  }
  return absl::OkStatus();
}

absl::Status Get(const Catalog& catalog, const v1::GetCoroutineRequest& request, v1::GetCoroutineResponse* response) {
  const Definition* definition = catalog.Find(request.name(), request.version());
  if (definition) {
    ToProto(*definition, response->mutable_coroutine());
    return absl::OkStatus();
  }
  if (catalog.Find(request.name())) {
    return Failed(Reason::VERSION_UNAVAILABLE,
                  "coroutine '" + request.name() + "' has no version " + std::to_string(request.version()) +
                      " here; 0 asks for the newest",
                  {{"coroutine", request.name()}, {"version", std::to_string(request.version())}});
  }
  return Failed(Reason::COROUTINE_NOT_FOUND,
                "no coroutine '" + request.name() + "' in the catalog; ListCoroutines shows what there is",
                {{"coroutine", request.name()}});
}

}  // namespace

grpc::ServerUnaryReactor* CatalogService::ListCoroutines(grpc::CallbackServerContext* context,
                                                         const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return AnswerAtOnce<v1::ListCoroutinesRequest, v1::ListCoroutinesResponse>(
      context, request, response, [this](const v1::ListCoroutinesRequest& proto, v1::ListCoroutinesResponse* answer) {
        return List(catalog_, proto, answer);
      });
}

grpc::ServerUnaryReactor* CatalogService::GetCoroutine(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return AnswerAtOnce<v1::GetCoroutineRequest, v1::GetCoroutineResponse>(
      context, request, response, [this](const v1::GetCoroutineRequest& proto, v1::GetCoroutineResponse* answer) {
        return Get(catalog_, proto, answer);
      });
}

}  // namespace corod::rpc
