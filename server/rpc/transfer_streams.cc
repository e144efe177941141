#include "server/rpc/transfer_streams.h"

#include <utility>

#include "corod/v1/coroutine_service.pb.h"
#include "server/base/failure.h"
#include "server/log/log.h"
#include "server/rpc/convert.h"
#include "server/rpc/decode.h"
#include "server/rpc/status.h"
#include "server/rpc/unary_call.h"

namespace corod::rpc {
namespace {

constexpr std::size_t kMaxImportBytes = std::size_t{1} << 30;

}  // namespace

ExportStream* ExportStream::Start(Sessions& sessions, const Access& access, grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer& request) {
  auto* stream = new ExportStream(sessions);
  const IntrusivePtr<ExportStream> self(stream);
  stream->held_by_grpc_ = self;
  const absl::StatusOr<Caller> caller = access.Admit(*context, Role::kObserve);
  if (!caller.ok()) {
    stream->End(caller.status());
    return stream;
  }
  stream->counter_.SetAccount(caller->account());
  v1::ExportRequest proto;
  if (absl::Status parsed = ParseRequest(Flatten(request), &proto); !parsed.ok()) {
    stream->End(parsed);
    return stream;
  }
  stream->session_id_ = proto.session_id();
  sessions.Export(
      caller->IdOf(proto.session_id()),
      [self](std::string part, std::function<void(bool)> taken) { self->Write(std::move(part), std::move(taken)); },
      [self](const absl::Status& status) {
        bool broken = false;
        {
          const MutexLock lock(self->mutex_);
          broken = self->broken_;
        }
        self->End(broken ? absl::CancelledError("the call broke before the client had the whole file") : status);
      },
      [self](const SessionInfo& info) { self->counters_ = &CountersOf(self->sessions_.metrics(), info.coroutine); });
  return stream;
}

void ExportStream::End(const absl::Status& status) {
  const absl::Duration took = sessions_.Now() - arrived_;
  if (status.ok()) {
    counter_.Answered(counters_, metrics::Result::kDone, took);
  } else {
    counter_.Refused(status, counters_, took, {.session_id = session_id_});
  }
  Finish(status.ok() ? grpc::Status::OK : ToGrpcStatus(status));
}

void ExportStream::Write(std::string part, std::function<void(bool)> taken) {
  v1::ExportResponse response;
  response.set_chunk(std::move(part));
  out_.Clear();
  const bool serialized = Serialize(response, &out_).ok();
  bool writes = false;
  {
    const MutexLock lock(mutex_);
    if (!serialized) broken_ = true;
    writes = !broken_;
    if (writes) taken_ = std::move(taken);
  }
  if (writes) {
    StartWrite(&out_);
  } else {
    taken(false);  // NOLINT(bugprone-use-after-move): it was moved only if there is a write
  }
}

void ExportStream::OnWriteDone(bool ok) {
  std::function<void(bool)> taken;
  bool wants_more = false;
  {
    const MutexLock lock(mutex_);
    if (!ok) broken_ = true;
    wants_more = !broken_;
    taken = std::exchange(taken_, nullptr);
  }
  taken(wants_more);
}

void ExportStream::OnCancel() {
  const MutexLock lock(mutex_);
  broken_ = true;
}

void ExportStream::OnDone() { const IntrusivePtr<ExportStream> last = std::move(held_by_grpc_); }

ImportStream::ImportStream(Sessions& sessions, absl::StatusOr<Caller> caller, grpc::ByteBuffer* response)
    : sessions_(sessions),
      counter_(sessions.metrics(), metrics::Rpc::kImport),
      arrived_(sessions.Now()),
      caller_(std::move(caller)),
      response_(response) {
  if (caller_.ok()) counter_.SetAccount(caller_->account());
}

void ImportStream::Refuse(const absl::Status& status) {
  counter_.Refused(status, nullptr, sessions_.Now() - arrived_, {.session_id = session_id_});
  Finish(ToGrpcStatus(status));
}

ImportStream* ImportStream::Start(Sessions& sessions, const Access& access, grpc::CallbackServerContext* context,
                                  grpc::ByteBuffer* response) {
  auto* stream = new ImportStream(sessions, access.Admit(*context, Role::kDrive), response);
  stream->held_by_grpc_ = IntrusivePtr<ImportStream>(stream);
  if (!stream->caller_.ok()) {
    stream->Refuse(stream->caller_.status());
    return stream;
  }
  stream->StartRead(&stream->in_);
  return stream;
}

void ImportStream::OnReadDone(bool ok) {
  if (ok) {
    v1::ImportRequest proto;
    absl::Status status = ParseRequest(Flatten(in_), &proto);
    if (status.ok() && file_.size() + proto.chunk().size() > kMaxImportBytes) {
      status = Failed(Reason::INVALID_ARGUMENTS, "the file is larger than 1 GiB", {{"parameter", "chunk"}});
    }
    if (!status.ok()) {
      Refuse(status);
      return;
    }
    if (std::exchange(first_, false)) session_id_ = proto.session_id();
    file_ += proto.chunk();
    StartRead(&in_);
    return;
  }
  const IntrusivePtr<ImportStream> self(this);
  sessions_.Import(std::move(file_), caller_->name_space(), caller_->NewIdOf(session_id_),
                   [self](const absl::StatusOr<SessionInfo>& info) {
                     if (!info.ok()) {
                       self->Refuse(info.status());
                       return;
                     }
                     COROD_LOG(kAudit, kInfo, "session imported",
                               {{"who", self->caller_->name()},
                                {"namespace", self->caller_->name_space()},
                                {"session_id", LocalName(info->key.id)}});
                     self->counter_.Answered(&CountersOf(self->sessions_.metrics(), info->coroutine),
                                             metrics::Result::kDone, self->sessions_.Now() - self->arrived_);
                     v1::ImportResponse response;
                     ToProto(*info, Detail::kFull, response.mutable_session());
                     self->Finish(Serialize(response, self->response_));
                   });
}

void ImportStream::OnDone() { const IntrusivePtr<ImportStream> last = std::move(held_by_grpc_); }

}  // namespace corod::rpc
