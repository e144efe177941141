#ifndef COROD_SERVER_RPC_UNARY_CALL_H_
#define COROD_SERVER_RPC_UNARY_CALL_H_

#include <google/protobuf/arena.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/rpc/access.h"
#include "server/rpc/call_counter.h"
#include "server/rpc/decode.h"
#include "server/rpc/status.h"

namespace corod::rpc {

// Puts `message` into `buffer`. An INTERNAL status if it cannot be serialized.
template <typename M>
grpc::Status Serialize(const M& message, grpc::ByteBuffer* buffer) {
  bool own_buffer = false;
  return grpc::SerializationTraits<M>::Serialize(message, buffer, &own_buffer);
}

// One unary call: its request is parsed here, its response serialized here, and it is counted. Frees itself when gRPC
// is done with it.
template <typename Request, typename Response>
class UnaryCall : public grpc::ServerUnaryReactor {
 public:
  // For whoever has that role.
  UnaryCall(const Access& access, metrics::Rpc rpc, Role needed, grpc::CallbackServerContext* context,
            const grpc::ByteBuffer* in, grpc::ByteBuffer* out)
      : metrics_(access.metrics()),
        counter_(access.metrics(), rpc),
        context_(context),
        out_(out),
        request_(Arena::CreateMessage<Request>(&arena_)),
        response_(Arena::CreateMessage<Response>(&arena_)),
        caller_(access.Admit(*context, needed)) {
    if (caller_.ok()) counter_.SetAccount(caller_->account());
    readable_ = caller_.ok() ? ParseRequest(Flatten(*in), request_) : caller_.status();
  }

  // OK if there is a request that can be read, of somebody who may make it.
  const absl::Status& readable() const { return readable_; }
  // REQUIRES: readable().ok().
  const Caller& caller() const { return *caller_; }
  const Request& request() const { return *request_; }
  Response* response() { return response_; }
  const grpc::CallbackServerContext& context() const { return *context_; }

  // Each ends the call, once. This one counts no coroutine.
  void Answer(const absl::Status& status) {
    if (status.ok()) {
      Answer(nullptr, metrics::Result::kDone);
    } else {
      Refuse(status, nullptr);
    }
  }
  // Well, with the response. `counters`: of the coroutine; nullptr: there is none.
  void Answer(const metrics::CommandCounters* counters, metrics::Result result) {
    counter_.Answered(counters, result, Took());
    Finish(Serialize(*response_, out_));
  }
  void Refuse(const absl::Status& status, const metrics::CommandCounters* counters) {
    counter_.Refused(status, counters, Took(), About());
    Finish(ToGrpcStatus(status));
  }
  // Where all is counted.
  metrics::Metrics& metrics() const { return metrics_; }

  void OnDone() override { delete this; }

  // What is done when a call is over is done at once, rather than on a thread that has to be woken for it.
  bool InternalInlineable() override { return true; }

 private:
  using Arena = google::protobuf::Arena;
  using MonotonicClock = std::chrono::steady_clock;

  absl::Duration Took() const { return absl::FromChrono(MonotonicClock::now() - arrived_); }
  Subject About() const {
    Subject subject;
    subject.context = context_;
    if constexpr (requires(const Request& request) { request.session_id(); }) {
      subject.session_id = request_->session_id();
    }
    if constexpr (requires(const Request& request) { request.request_id(); }) {
      subject.request_id = request_->request_id();
    }
    return subject;
  }

  const MonotonicClock::time_point arrived_ = MonotonicClock::now();
  metrics::Metrics& metrics_;
  CallCounter counter_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const out_;
  Arena arena_;
  Request* const request_;
  Response* const response_;
  const absl::StatusOr<Caller> caller_;
  absl::Status readable_;
};

// Answers a call at once: `handler(const Caller&, const Request&, Response*)` returns its status.
template <typename Request, typename Response, typename Handler>
grpc::ServerUnaryReactor* AnswerAtOnce(const Access& access, metrics::Rpc rpc, Role needed,
                                       grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
                                       grpc::ByteBuffer* out, const Handler& handler) {
  auto* call = new UnaryCall<Request, Response>(access, rpc, needed, context, in, out);
  absl::Status status = call->readable();
  if (status.ok()) status = handler(call->caller(), call->request(), call->response());
  call->Answer(status);
  return call;
}

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_UNARY_CALL_H_
