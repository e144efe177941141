#include "server/rpc/send_call.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpc/slice_buffer.h>
#include <grpc/support/log.h>
#include <grpcpp/server_context.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "corod/v1/coroutine_service.pb.h"
#include "server/base/completion_scope.h"
#include "server/base/failure.h"
#include "server/rpc/call_counter.h"
#include "server/rpc/convert.h"
#include "server/rpc/decode.h"
#include "server/rpc/hot_messages.h"
#include "server/rpc/status.h"
#include "server/wire/value_codec.h"

namespace corod::rpc {
namespace {

// A longer answer is not copied.
constexpr std::size_t kMostCopied = 4'096;

std::string_view ToText(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

grpc_slice CopyToSlice(std::string_view text) { return grpc_slice_from_copied_buffer(text.data(), text.size()); }

// Leaves `text` as it is, or empty.
grpc_slice ToSlice(std::string& text) {
  if (text.size() <= kMostCopied) return CopyToSlice(text);
  auto* const owned = new std::string(std::move(text));
  return grpc_slice_new_with_user_data(
      owned->data(), owned->size(), [](void* string) { delete static_cast<std::string*>(string); }, owned);
}

// An event of the queue that comes from this thread while this exists is handled here at its end, and no other thread
// is woken for it. Nearly always it is that of the batch that the thread begins; if not, one of gRPC's threads would do
// the same with it, and here it may be done because no lock is held while an answer is given. What is handled here
// begins no such thing again, so that this thread is soon back at its own work.
class EventsOfThisThread {
 public:
  explicit EventsOfThisThread(grpc_completion_queue* queue) : queue_(handling ? nullptr : queue) {
    if (queue_) grpc_completion_queue_thread_local_cache_init(queue_);
  }
  ~EventsOfThisThread() {
    void* event = nullptr;
    int ok = 0;
    if (!queue_ || grpc_completion_queue_thread_local_cache_flush(queue_, &event, &ok) == 0) return;
    handling = true;
    auto* functor = static_cast<grpc_completion_queue_functor*>(event);
    functor->functor_run(functor, ok);
    handling = false;
  }
  EventsOfThisThread(const EventsOfThisThread&) = delete;
  EventsOfThisThread& operator=(const EventsOfThisThread&) = delete;

 private:
  static thread_local bool handling;
  grpc_completion_queue* const queue_;
};
thread_local bool EventsOfThisThread::handling = false;

// In the call's arena, until the call is answered and over.
class SendCall final : public Command {
 public:
  SendCall(Sessions& sessions, const Access& access, grpc_call* call, grpc_completion_queue* queue,
           const grpc::ServerContextBase& context, grpc_byte_buffer* request, std::function<void()> release)
      : sessions_(sessions),
        access_(access),
        caller_(access.anybody()),
        counter_(access.metrics(), metrics::Rpc::kSend),
        call_(call),
        queue_(queue),
        context_(context),
        request_(request),
        release_(std::move(release)) {
    response_.type = GRPC_BB_RAW;
    response_.data.raw.compression = GRPC_COMPRESS_NONE;
    grpc_slice_buffer_init(&response_.data.raw.slice_buffer);
  }
  ~SendCall() override {
    grpc_byte_buffer_destroy(request_);
    grpc_slice_buffer_destroy(&response_.data.raw.slice_buffer);
    grpc_slice_unref(flat_);
    grpc_slice_unref(message_);
    grpc_slice_unref(details_.value);
  }

  void Start() {
    arrived_ = sessions_.Now();
    if (!request_) {
      Refuse(Failed(Reason::INVALID_ARGUMENTS, "the call has no request"));
      return;
    }
    if (!access_.IsOpen()) {
      absl::StatusOr<Caller> caller = access_.Admit(context_, Role::kDrive);
      if (!caller.ok()) {
        Refuse(caller.status());
        return;
      }
      caller_ = *std::move(caller);
    }
    counter_.SetAccount(caller_.account());
    const std::string_view request = Flatten();
    if (std::optional<PlainSend> send = ReadPlainSendRequest(request, sessions_.limits().max_bytes)) {
      Take(*send);
    } else {
      Parse(request);
    }
  }

  absl::Status Admit() override {
    admitted_.store(true, std::memory_order_relaxed);
    return cancelled_.load(std::memory_order_relaxed) ? CancelledBeforeItsTurn() : absl::OkStatus();
  }

  std::string Traceparent() const override { return TraceparentOf(context_); }

  void Finish(absl::StatusOr<Reply> reply) override {
    if (reply.ok()) {
      counter_.Answered(counters, ResultOf(*reply), Took());
      Answer(*reply);
    } else {
      Refuse(reply.status());
    }
  }

 private:
  // What gRPC's queue tells of the call, on one of gRPC's threads.
  struct Event : grpc_completion_queue_functor {
    Event(SendCall* told, void (*run)(grpc_completion_queue_functor*, int)) : call(told) {
      functor_run = run;
      inlineable = 1;
    }
    SendCall* const call;
  };
  static void OnAnswered(grpc_completion_queue_functor* event, int) { static_cast<Event*>(event)->call->Release(); }
  static void OnClosed(grpc_completion_queue_functor* event, int) {
    SendCall& call = *static_cast<Event*>(event)->call;
    if (call.was_cancelled_ != 0) call.cancelled_.store(true, std::memory_order_relaxed);
    call.Release();
  }

  // The bytes of the request in one piece.
  std::string_view Flatten() {
    grpc_byte_buffer_reader reader;
    GPR_ASSERT(grpc_byte_buffer_reader_init(&reader, request_) == 1);
    grpc_slice* first = nullptr;
    std::string_view bytes;
    if (grpc_byte_buffer_reader_peek(&reader, &first) == 1) {
      bytes = ToText(*first);
      if (bytes.size() != grpc_byte_buffer_length(request_)) {
        grpc_byte_buffer_reader_destroy(&reader);
        GPR_ASSERT(grpc_byte_buffer_reader_init(&reader, request_) == 1);
        flat_ = grpc_byte_buffer_reader_readall(&reader);
        bytes = ToText(flat_);
      }
    }
    grpc_byte_buffer_reader_destroy(&reader);
    return bytes;
  }

  void Take(PlainSend& send) {
    quiet_ = send.quiet;
    session_id_ = send.session_id;
    std::string qualified;
    if (!caller_.is_in_default_namespace() || send.session_id.starts_with('/')) {
      send.session_id = qualified = caller_.IdOf(send.session_id);
    }
    const SessionPtr session = sessions_.FindLive(send.session_id);
    if (session && send.request_id.empty() && send.expected_step == 0 && TakeAtOnce(*session, send)) return;
    value = std::move(send.value);
    expected_step = send.expected_step;
    request_id = send.request_id;
    Submit(session, send.session_id);
  }

  // False: nothing is done.
  bool TakeAtOnce(Session& session, PlainSend& send) {
    absl::Time now = arrived_;
    if (now > ToTime(context_.deadline())) return false;
    Reply reply;
    if (!session.BeginSend(now, reply)) return false;
    session.FinishSend(send.value, now, reply);
    counter_.Answered(&session.counters(), ResultOf(reply), now - arrived_);
    Answer(reply);
    return true;
  }

  void Parse(std::string_view bytes) {
    v1::SendRequest proto;
    if (absl::Status parsed = ParseRequest(bytes, &proto); !parsed.ok()) {
      Refuse(parsed);
      return;
    }
    session_id_ = parsed_id_ = proto.session_id();
    request_id = proto.request_id();
    absl::StatusOr<Value> sent = wire::FromProto(proto.value(), sessions_.limits());
    if (!sent.ok()) {
      Refuse(sent.status());
      return;
    }
    value = *std::move(sent);
    expected_step = proto.expected_step();
    quiet_ = proto.quiet();
    Submit(SessionPtr(), caller_.IdOf(proto.session_id()));
  }

  // `session`: that of the id, if it is known.
  void Submit(const SessionPtr& session, std::string_view session_id) {
    if (absl::Status checked = CheckRequestId(request_id); !checked.ok()) {
      Refuse(checked);
      return;
    }
    deadline = ToTime(context_.deadline());
    shares_.store(2, std::memory_order_relaxed);
    {
      // What a durable session appends is written behind this, by this thread or by whoever writes at the moment.
      std::optional<CompletionScope> scope;
      if (session && session->durable()) scope.emplace();
      if (!session || !session->Submit(this)) sessions_.Submit(session_id, this);
    }
    // What has to wait may be cancelled meanwhile.
    if (!admitted_.load(std::memory_order_relaxed) && !watched_.exchange(true)) {
      shares_.fetch_add(1, std::memory_order_relaxed);
      grpc_op op = {};
      op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
      op.data.recv_close_on_server.cancelled = &was_cancelled_;
      Begin(&op, 1, &closed_);
    }
    Release();
  }

  void Answer(const Reply& reply) {
    thread_local std::string bytes;
    bytes.clear();
    AppendSendResponse(reply, quiet_, bytes);
    grpc_slice_buffer_add(&response_.data.raw.slice_buffer, ToSlice(bytes));
    grpc_op message = {};
    message.op = GRPC_OP_SEND_MESSAGE;
    message.data.send_message.send_message = &response_;
    grpc_op status = {};
    status.op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    status.data.send_status_from_server.status = GRPC_STATUS_OK;
    End({message, status});
  }

  absl::Duration Took() const { return (executed != absl::InfinitePast() ? executed : sessions_.Now()) - arrived_; }

  void Refuse(const absl::Status& refused) {
    counter_.Refused(refused, counters, Took(),
                     {.session_id = session_id_, .request_id = request_id, .context = &context_});
    const grpc::Status told = ToGrpcStatus(refused);
    message_ = CopyToSlice(told.error_message());
    details_.key = grpc_slice_from_static_string("grpc-status-details-bin");
    details_.value = CopyToSlice(told.error_details());
    grpc_op status = {};
    status.op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    status.data.send_status_from_server.status = static_cast<grpc_status_code>(told.error_code());
    status.data.send_status_from_server.status_details = &message_;
    status.data.send_status_from_server.trailing_metadata_count = 1;
    status.data.send_status_from_server.trailing_metadata = &details_;
    End({status});
  }

  // Ends the call with these. Nothing may be touched afterwards.
  void End(std::initializer_list<grpc_op> last) {
    std::array<grpc_op, 4> ops = {};
    std::size_t count = 0;
    ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
    for (const grpc_op& op : last) ops[count++] = op;
    if (!watched_.exchange(true)) {
      ops[count].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
      ops[count++].data.recv_close_on_server.cancelled = &was_cancelled_;
    }
    Begin(ops.data(), count, &answered_);
  }

  void Begin(const grpc_op* ops, std::size_t count, Event* event) {
    const EventsOfThisThread events(queue_);
    const grpc_call_error error = grpc_call_start_batch(call_, ops, count, event, nullptr);
    GPR_ASSERT(error == GRPC_CALL_OK);
  }

  void Release() {
    if (shares_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    const std::function<void()> release = std::move(release_);
    this->~SendCall();
    release();  // and with the call its arena
  }

  Sessions& sessions_;
  const Access& access_;
  Caller caller_;
  CallCounter counter_;
  absl::Time arrived_;
  std::string_view session_id_;  // as the client calls it; in the request, or in parsed_id_
  std::string parsed_id_;
  grpc_call* const call_;
  grpc_completion_queue* const queue_;
  const grpc::ServerContextBase& context_;
  grpc_byte_buffer* const request_;
  std::function<void()> release_;
  Event answered_{this, &SendCall::OnAnswered}, closed_{this, &SendCall::OnClosed};
  grpc_slice flat_ = grpc_empty_slice();  // the request, if it came in pieces
  grpc_byte_buffer response_{};
  grpc_slice message_ = grpc_empty_slice();
  grpc_metadata details_{};
  bool quiet_ = false;
  int was_cancelled_ = 0;  // gRPC's, until it tells that the call is closed
  std::atomic<bool> admitted_ = false;
  std::atomic<bool> watched_ = false;  // somebody has asked to be told when the call is closed
  std::atomic<bool> cancelled_ = false;
  std::atomic<int> shares_ = 1;  // of its answer, of being told that it is closed, of Submit
};

}  // namespace

void SendHandler::RunHandler(const HandlerParameter& parameter) {
  grpc_call* const call = parameter.call->call();
  (new (grpc_call_arena_alloc(call, sizeof(SendCall)))
       SendCall(sessions_, access_, call, parameter.call->cq()->cq(), *parameter.server_context,
                static_cast<grpc_byte_buffer*>(parameter.request), parameter.call_requester))
      ->Start();
}

void* SendHandler::Deserialize(grpc_call*, grpc_byte_buffer* request, grpc::Status*, void**) { return request; }

}  // namespace corod::rpc
