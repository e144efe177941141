#include "server/rpc/watch_stream.h"

#include <optional>
#include <utility>

#include "corod/v1/coroutine_service.pb.h"
#include "server/base/failure.h"
#include "server/log/log.h"
#include "server/rpc/convert.h"
#include "server/rpc/decode.h"
#include "server/rpc/status.h"
#include "server/rpc/unary_call.h"

namespace corod::rpc {

WatchStream::WatchStream(Sessions& sessions, OpenStreams& streams, grpc::CallbackServerContext* context)
    : sessions_(sessions),
      streams_(streams),
      context_(context),
      counter_(sessions.metrics(), metrics::Rpc::kWatch),
      arrived_(sessions.Now()) {
  sessions_.metrics().watch_streams.Add();
}

WatchStream* WatchStream::Start(Sessions& sessions, const Access& access, OpenStreams& streams,
                                grpc::CallbackServerContext* context, const grpc::ByteBuffer& request) {
  auto* stream = new WatchStream(sessions, streams, context);
  const IntrusivePtr<WatchStream> self(stream);
  stream->held_by_grpc_ = self;
  const absl::StatusOr<Caller> caller = access.Admit(*context, Role::kObserve, stream->admission_);
  streams.Add(stream);
  if (caller.ok()) stream->counter_.SetAccount(caller->account());
  const absl::Status opened = caller.ok() ? caller->account().OpenStream() : caller.status();
  if (!opened.ok()) {
    stream->Begun(opened);
    return stream;
  }
  stream->account_ = &caller->account();
  v1::WatchRequest proto;
  if (absl::Status parsed = ParseRequest(Flatten(request), &proto); !parsed.ok()) {
    stream->Begun(parsed);
    return stream;
  }
  stream->session_id_ = proto.session_id();
  const std::optional<Step> from = proto.has_from_step() ? std::optional<Step>(proto.from_step()) : std::nullopt;
  sessions.StartWatch(
      caller->IdOf(proto.session_id()), from, [self] { self->Pump(); },
      [self](absl::StatusOr<std::shared_ptr<Watch>> watch) { self->Begun(std::move(watch)); });
  return stream;
}

void WatchStream::CountRefusal(const absl::Status& status) const {
  counter_.Refused(status, nullptr, sessions_.Now() - arrived_, {.session_id = session_id_, .context = context_});
}

void WatchStream::Begun(absl::StatusOr<std::shared_ptr<Watch>> watch) {
  bool late = false;
  {
    const MutexLock lock(mutex_);
    late = finished_;  // it was cancelled
    if (!late && !watch.ok()) finished_ = true;
    starting_ = !late && watch.ok();
  }
  if (late) {
    if (watch.ok()) sessions_.EndWatch(*watch);
    return;
  }
  if (!watch.ok()) {
    CountRefusal(watch.status());
    Finish(ToGrpcStatus(watch.status()));
    return;
  }
  counter_.Answered(&CountersOf(sessions_.metrics(), (*watch)->head().coroutine), metrics::Result::kDone,
                    sessions_.Now() - arrived_);
  StartSendInitialMetadata();  // the client knows that it misses nothing from now on
  {
    const MutexLock lock(mutex_);
    starting_ = false;
    watch_ = *std::move(watch);
  }
  Pump();
}

void WatchStream::Pump() {
  std::optional<grpc::Status> end;
  absl::Status told;
  bool write = false;
  {
    const MutexLock lock(mutex_);
    if (!watch_ || writing_ || finished_ || looking_) return;
    if (cancelled_) {
      end = grpc::Status::CANCELLED;
    } else {
      const Watch::Taken taken = watch_->Take(1);
      if (!taken.events.empty()) {
        v1::WatchResponse response;
        const Head& head = watch_->head();
        ToProto(*taken.events.front(), head, DefinitionOf(sessions_.catalog(), head), response.mutable_event());
        out_.Clear();
        const grpc::Status serialized = Serialize(response, &out_);
        if (serialized.ok()) {
          write = writing_ = true;
        } else {
          end = serialized;
        }
      } else if (taken.end) {
        told = *taken.end;
        end = told.ok() ? grpc::Status::OK : ToGrpcStatus(told);
      }
    }
    finished_ = end.has_value();
  }
  if (write) StartWrite(&out_);
  if (!told.ok()) {
    counter_.Ended(told, {.session_id = session_id_, .context = context_});
    if (IsFailure(told, Reason::WATCHER_TOO_SLOW)) {
      COROD_LOG(kRpc, kWarning, "a watch ends, since its client reads too slowly",
                {{"session_id", session_id_}, {"namespace", account_->name_space()}});
    }
  }
  if (end) Finish(*end);
}

void WatchStream::OnWriteDone(bool ok) {
  {
    const MutexLock lock(mutex_);
    writing_ = false;
    progress_.Wrote();
    if (!ok) cancelled_ = true;
  }
  Pump();
}

void WatchStream::OnCancel() {
  bool finish = false;
  {
    const MutexLock lock(mutex_);
    cancelled_ = true;
    // Before the watch has begun nobody else would end the call.
    if (!watch_ && !starting_ && !finished_) finish = finished_ = true;
  }
  if (finish) {
    CountRefusal(absl::CancelledError("the call was cancelled before the watch had begun"));
    Finish(grpc::Status::CANCELLED);
  } else {
    Pump();
  }
}

void WatchStream::Look(absl::Time now, absl::Duration timeout) {
  bool cancel = false;
  std::shared_ptr<Watch> watch;
  {
    const MutexLock lock(mutex_);
    if (!watch_ || finished_) return;
    watch = watch_;
  }
  if (const absl::Status admitted = admission_.Check(now); !admitted.ok()) {
    watch->Drop(Reason::CREDENTIALS_ENDED, std::string(admitted.message()));
  }
  {
    const MutexLock lock(mutex_);
    if (!watch_ || finished_ || !progress_.IsStuck(writing_, now, timeout)) return;
    // It is told, if it reads on; if not, the second time is the last.
    cancel = looking_ = told_;
    if (!std::exchange(told_, true)) watch_->Drop();
  }
  if (!cancel) return;
  COROD_LOG(kRpc, kWarning, "a stream was cut, since its client does not even read why it ends",
            {{"rpc", "Watch"}, {"session_id", session_id_}, {"namespace", account_->name_space()}});
  context_->TryCancel();
  {
    const MutexLock lock(mutex_);
    looking_ = false;
  }
  Pump();
}

void WatchStream::OnDone() {
  sessions_.metrics().watch_streams.Subtract();
  streams_.Remove(this);
  if (account_) account_->CloseStream();
  const IntrusivePtr<WatchStream> last = std::move(held_by_grpc_);
  std::shared_ptr<Watch> watch;
  {
    const MutexLock lock(mutex_);
    watch = std::move(watch_);
  }
  if (watch) sessions_.EndWatch(watch);
}

}  // namespace corod::rpc
