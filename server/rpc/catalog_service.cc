#include "server/rpc/catalog_service.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "server/base/failure.h"
#include "server/base/page_token.h"
#include "server/log/log.h"
#include "server/rpc/convert.h"
#include "server/rpc/unary_call.h"

namespace corod::rpc {
namespace {

// A page ends where it would be larger, so that it fits into a message.
constexpr std::size_t kMaxPageBytes = std::size_t{1} << 20;

absl::Status List(const Catalog& catalog, const std::string& name_space, const v1::ListCoroutinesRequest& request,
                  v1::ListCoroutinesResponse* response) {
  constexpr std::uint64_t kQuery = 0x636174616c6f67;  // there are no filters
  const absl::StatusOr<std::string> after = ReadPageToken(request.page_token(), kQuery);
  if (!after.ok()) return after.status();
  const absl::StatusOr<std::size_t> page_size = PageSize(request.page_size());
  if (!page_size.ok()) return page_size.status();
  const std::vector<const Definition*> page = catalog.ListAfter(*after, *page_size + 1, name_space);
  std::size_t bytes = 0;
  for (const Definition* definition : page) {
    v1::Coroutine coroutine;
    ToProto(*definition, &coroutine);
    coroutine.clear_source();
    bytes += coroutine.ByteSizeLong();
    const bool is_full = static_cast<std::size_t>(response->coroutines_size()) == *page_size || bytes > kMaxPageBytes;
    if (is_full && response->coroutines_size() > 0) {
      response->set_next_page_token(MakePageToken(response->coroutines().rbegin()->name(), kQuery));
      break;
    }
    *response->add_coroutines() = std::move(coroutine);
  }
  return absl::OkStatus();
}

absl::Status Get(const Catalog& catalog, const std::string& name_space, const v1::GetCoroutineRequest& request,
                 v1::GetCoroutineResponse* response) {
  const Definition* definition = catalog.Find(request.name(), request.version(), name_space);
  if (definition) {
    ToProto(*definition, response->mutable_coroutine());
    return absl::OkStatus();
  }
  if (catalog.Find(request.name(), 0, name_space)) {
    return Failed(Reason::VERSION_UNAVAILABLE,
                  "coroutine '" + request.name() + "' has no version " + std::to_string(request.version()) +
                      " here; 0 asks for the newest",
                  {{"coroutine", request.name()}, {"version", std::to_string(request.version())}});
  }
  return Failed(Reason::COROUTINE_NOT_FOUND,
                "no coroutine '" + request.name() + "' in the catalog; ListCoroutines shows what there is",
                {{"coroutine", request.name()}});
}

// What a client says of a definition beside its name, source and documentation is said by the source.
absl::Status CheckDefinable(const v1::Coroutine& coroutine) {
  const auto refused = [](const char* parameter, const std::string& message) {
    return Failed(Reason::INVALID_ARGUMENTS, message, {{"parameter", parameter}});
  };
  if (coroutine.language() != v1::LANGUAGE_LUA && coroutine.language() != v1::LANGUAGE_UNSPECIFIED) {
    return refused("language", "only Lua is defined at run time (LANGUAGE_LUA)");
  }
  if (coroutine.version() != 0) return refused("version", "the server numbers versions; leave version out");
  const bool says_more = !coroutine.summary().empty() || coroutine.parameters_size() > 0 ||
                         !coroutine.sends().empty() || !coroutine.yields().empty() || !coroutine.returns().empty() ||
                         !coroutine.stops_when().empty() || coroutine.restartable() ||
                         coroutine.sends_kind() != v1::VALUE_KIND_UNSPECIFIED;
  if (says_more) {
    return refused(
        "coroutine",
        "a definition is its name, language, source and documentation; the rest is said by the table that the "
        "source returns");
  }
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* CatalogService::ListCoroutines(grpc::CallbackServerContext* context,
                                                         const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return AnswerAtOnce<v1::ListCoroutinesRequest, v1::ListCoroutinesResponse>(
      access_, metrics::Rpc::kListCoroutines, Role::kObserve, context, request, response,
      [this](const Caller& caller, const v1::ListCoroutinesRequest& proto, v1::ListCoroutinesResponse* answer) {
        return List(catalog_, caller.name_space(), proto, answer);
      });
}

grpc::ServerUnaryReactor* CatalogService::GetCoroutine(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return AnswerAtOnce<v1::GetCoroutineRequest, v1::GetCoroutineResponse>(
      access_, metrics::Rpc::kGetCoroutine, Role::kObserve, context, request, response,
      [this](const Caller& caller, const v1::GetCoroutineRequest& proto, v1::GetCoroutineResponse* answer) {
        return Get(catalog_, caller.name_space(), proto, answer);
      });
}

grpc::ServerUnaryReactor* CatalogService::DefineCoroutine(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  auto* call = new UnaryCall<v1::DefineCoroutineRequest, v1::DefineCoroutineResponse>(
      access_, metrics::Rpc::kDefineCoroutine, Role::kDefine, context, request, response);
  absl::Status status = call->readable();
  if (status.ok()) status = CheckDefinable(call->request().coroutine());
  if (!status.ok()) {
    call->Answer(status);
    return call;
  }
  const v1::Coroutine& coroutine = call->request().coroutine();
  definitions_.Define({.name_space = call->caller().name_space(),
                       .name = coroutine.name(),
                       .source = coroutine.source(),
                       .documentation = coroutine.documentation(),
                       .most_versions = call->caller().account().max_definitions()},
                      [call](const absl::StatusOr<const Definition*>& defined) {
                        if (defined.ok()) {
                          ToProto(**defined, call->response()->mutable_coroutine());
                          COROD_LOG(kAudit, kInfo, "coroutine defined",
                                    {{"who", call->caller().name()},
                                     {"namespace", call->caller().name_space()},
                                     {"coroutine", (*defined)->name},
                                     {"version", (*defined)->version}});
                        }
                        call->Answer(defined.status());
                      });
  return call;
}

grpc::ServerUnaryReactor* CatalogService::DeleteCoroutine(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  auto* call = new UnaryCall<v1::DeleteCoroutineRequest, v1::DeleteCoroutineResponse>(
      access_, metrics::Rpc::kDeleteCoroutine, Role::kDefine, context, request, response);
  if (!call->readable().ok()) {
    call->Answer(call->readable());
    return call;
  }
  definitions_.Remove(call->caller().name_space(), call->request().name(), [call](const absl::Status& removed) {
    if (removed.ok()) {
      COROD_LOG(kAudit, kInfo, "coroutine deleted",
                {{"who", call->caller().name()},
                 {"namespace", call->caller().name_space()},
                 {"coroutine", call->request().name()}});
    }
    call->Answer(removed);
  });
  return call;
}

}  // namespace corod::rpc
