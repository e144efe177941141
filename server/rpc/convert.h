#ifndef COROD_SERVER_RPC_CONVERT_H_
#define COROD_SERVER_RPC_CONVERT_H_

#include <grpcpp/server_context.h>

#include <chrono>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "corod/v1/catalog_service.pb.h"
#include "corod/v1/coroutine_service.pb.h"
#include "corod/v1/session.pb.h"
#include "server/rpc/access.h"
#include "server/session/sessions.h"

// Between the messages of the API and what session/ works with.
namespace corod::rpc {

enum class Detail { kFull, kBasic };
// Quiet: the kind of result is set, its value left empty.
enum class Loudness { kLoud, kQuiet };

void ToProto(const SessionInfo& info, Detail detail, v1::Session* proto);
void ToProto(const Reply& reply, Loudness loudness, v1::Outcome* proto);
// `definition`: the session's; null if this server lacks it.
void ToProto(const StepEvent& event, const Head& head, const Definition* definition, v1::Event* proto);
void ToProto(const Created& created, v1::CreateResponse* proto);
void ToProto(const Definition& definition, v1::Coroutine* proto);

absl::StatusOr<CreateSpec> FromProto(const v1::CreateRequest& proto, const Caller& caller, const ValueLimits& limits);
absl::StatusOr<ForkSpec> FromProto(const v1::ForkRequest& proto, const Caller& caller);
absl::StatusOr<ListQuery> FromProto(const v1::ListRequest& proto, const Caller& caller);
absl::StatusOr<Session::Changes> FromProto(const v1::UpdateRequest& proto);

// INVALID_ARGUMENTS if the request id is longer than 128 bytes.
absl::Status CheckRequestId(const std::string& request_id);

// The page size that is meant: the default for 0, at most 1,000. INVALID_ARGUMENTS for a negative one.
absl::StatusOr<std::size_t> PageSize(std::int32_t asked);

// What the call says of the trace that it belongs to (W3C Trace Context); empty: nothing that is well-formed.
std::string TraceparentOf(const grpc::ServerContextBase& context);

// A call's deadline; infinite if it has none.
absl::Time ToTime(std::chrono::system_clock::time_point deadline);

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_CONVERT_H_
