#include "server/rpc/transfer_streams.h"

#include <cstdint>
#include <utility>

#include "corod/v1/coroutine_service.pb.h"
#include "server/base/failure.h"
#include "server/log/log.h"
#include "server/rpc/convert.h"
#include "server/rpc/decode.h"
#include "server/rpc/status.h"
#include "server/rpc/unary_call.h"

namespace corod::rpc {
ExportStream* ExportStream::Start(Sessions& sessions, const Access& access, OpenStreams& streams,
                                  grpc::CallbackServerContext* context, const grpc::ByteBuffer& request) {
  auto* stream = new ExportStream(sessions, streams, context);
  const IntrusivePtr<ExportStream> self(stream);
  stream->held_by_grpc_ = self;
  const absl::StatusOr<Caller> caller = access.Admit(*context, Role::kObserve, stream->admission_);
  if (caller.ok()) stream->counter_.SetAccount(caller->account());
  const absl::Status opened = caller.ok() ? caller->account().OpenStream() : caller.status();
  if (!opened.ok()) {
    stream->End(opened);
    return stream;
  }
  stream->account_ = &caller->account();
  sessions.metrics().export_streams.Add();
  v1::ExportRequest proto;
  if (absl::Status parsed = ParseRequest(Flatten(request), &proto); !parsed.ok()) {
    stream->End(parsed);
    return stream;
  }
  stream->session_id_ = proto.session_id();
  streams.Add(stream);
  sessions.Export(
      caller->IdOf(proto.session_id()),
      [self](std::string part, std::function<void(bool)> taken) { self->Write(std::move(part), std::move(taken)); },
      [self](const absl::Status& status) { self->End(status); },
      [self](const SessionInfo& info) { self->counters_ = &CountersOf(self->sessions_.metrics(), info.coroutine); });
  return stream;
}

void ExportStream::End(const absl::Status& status) {
  absl::Status end;
  {
    const MutexLock lock(mutex_);
    end = stopped_.ok() ? status : stopped_;
  }
  const absl::Duration took = sessions_.Now() - arrived_;
  if (end.ok()) {
    counter_.Answered(counters_, metrics::Result::kDone, took);
  } else {
    counter_.Refused(end, counters_, took, {.session_id = session_id_, .context = context_});
  }
  Finish(end.ok() ? grpc::Status::OK : ToGrpcStatus(end));
}

void ExportStream::Stop(const absl::Status& why) {
  if (stopped_.ok()) stopped_ = why;
}

void ExportStream::Write(std::string part, std::function<void(bool)> taken) {
  v1::ExportResponse response;
  response.set_chunk(std::move(part));
  out_.Clear();
  const bool serialized = Serialize(response, &out_).ok();
  bool writes = false;
  {
    const MutexLock lock(mutex_);
    if (!serialized) Stop(absl::InternalError("a part of the file could not be written"));
    writes = stopped_.ok();
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
    progress_.Wrote();
    if (!ok) Stop(absl::CancelledError("the call broke before the client had the whole file"));
    written_ = looking_;
    if (written_) return;
    wants_more = stopped_.ok();
    taken = std::exchange(taken_, nullptr);
  }
  taken(wants_more);
}

void ExportStream::OnCancel() {
  const MutexLock lock(mutex_);
  Stop(absl::CancelledError("the call was cancelled before the client had the whole file"));
}

void ExportStream::Look(absl::Time now, absl::Duration timeout) {
  const absl::Status admitted = admission_.Check(now);
  {
    const MutexLock lock(mutex_);
    if (!admitted.ok()) Stop(admitted);
    if (cut_ || !progress_.IsStuck(taken_ != nullptr, now, timeout)) return;
    // It is told, if it reads on; if not, the second time is the last.
    cut_ = looking_ = std::exchange(told_, true);
    Stop(ReaderTooSlow(timeout));
    if (!looking_) return;
  }
  COROD_LOG(kRpc, kWarning, "a stream was cut, since its client does not even read why it ends",
            {{"rpc", "Export"}, {"session_id", session_id_}, {"namespace", account_->name_space()}});
  context_->TryCancel();
  std::function<void(bool)> taken;
  {
    const MutexLock lock(mutex_);
    looking_ = false;
    if (written_) taken = std::exchange(taken_, nullptr);
  }
  if (taken) taken(false);
}

void ExportStream::OnDone() {
  streams_.Remove(this);
  if (account_) {
    account_->CloseStream();
    sessions_.metrics().export_streams.Subtract();
  }
  const IntrusivePtr<ExportStream> last = std::move(held_by_grpc_);
}

absl::Status ImportRoom::Take(std::size_t bytes) {
  if (taken_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= kBytes) return absl::OkStatus();
  Give(bytes);
  return Failed(Reason::OVERLOADED, "files of 1 GiB are being imported already; import this one when they are done", {},
                absl::Seconds(1));
}

ImportStream* ImportStream::Start(Sessions& sessions, const Access& access, OpenStreams& streams, ImportRoom& room,
                                  grpc::CallbackServerContext* context, grpc::ByteBuffer* response) {
  auto* stream = new ImportStream(sessions, streams, room, context, response);
  stream->held_by_grpc_ = IntrusivePtr<ImportStream>(stream);
  const absl::StatusOr<Caller> caller = access.Admit(*context, Role::kDrive, stream->admission_);
  if (caller.ok()) stream->counter_.SetAccount(caller->account());
  const absl::Status opened = caller.ok() ? caller->account().OpenStream() : caller.status();
  if (!opened.ok()) {
    stream->Refuse(opened);
    return stream;
  }
  stream->caller_ = *caller;
  sessions.metrics().import_streams.Add();
  streams.Add(stream);
  stream->StartRead(&stream->in_);
  return stream;
}

void ImportStream::Refuse(const absl::Status& status) {
  std::string session_id;
  {
    const MutexLock lock(mutex_);
    if (std::exchange(ended_, true)) return;
    session_id = session_id_;
  }
  Finished(status, session_id);
}

void ImportStream::Finished(const absl::Status& status, const std::string& session_id) {
  counter_.Refused(status, nullptr, sessions_.Now() - arrived_, {.session_id = session_id, .context = context_});
  Finish(ToGrpcStatus(status));
}

absl::Status ImportStream::Collect() {
  v1::ImportRequest proto;
  if (absl::Status parsed = ParseRequest(Flatten(in_), &proto); !parsed.ok()) return parsed;
  const std::size_t bytes = proto.chunk().size();
  if (file_.size() + bytes > ImportRoom::kBytes) {
    return Failed(Reason::INVALID_ARGUMENTS, "the file is larger than 1 GiB", {{"parameter", "chunk"}});
  }
  Account& account = caller_->account();
  if (absl::Status room = account.CheckMemoryOfSession(bytes); !room.ok()) return room;
  if (absl::Status room = room_.Take(bytes); !room.ok()) return room;
  taken_ += bytes;
  charged_ += bytes;
  account.AddMemory(static_cast<std::int64_t>(bytes));
  if (std::exchange(first_, false)) {
    const MutexLock lock(mutex_);
    session_id_ = proto.session_id();
  }
  file_ += proto.chunk();
  return absl::OkStatus();
}

void ImportStream::OnReadDone(bool ok) {
  const std::size_t before = taken_;
  if (ok) {
    if (absl::Status collected = Collect(); !collected.ok()) return Refuse(collected);
  }
  {
    const MutexLock lock(mutex_);
    if (ended_) return;
    if (taken_ != before) progress_.Wrote();
    reading_ = ok;
  }
  if (ok) {
    StartRead(&in_);
  } else {
    Import();
  }
}

void ImportStream::Uncharge() {
  if (caller_) caller_->account().AddMemory(-static_cast<std::int64_t>(std::exchange(charged_, 0)));
}

void ImportStream::Import() {
  std::string session_id;
  {
    const MutexLock lock(mutex_);
    session_id = session_id_;
  }
  Uncharge();  // the session that is made of it has its own
  const IntrusivePtr<ImportStream> self(this);
  sessions_.Import(std::move(file_), caller_->name_space(), caller_->NewIdOf(session_id),
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

// Once the file is complete it is imported, whatever becomes of the caller.
void ImportStream::Look(absl::Time now, absl::Duration timeout) {
  {
    const MutexLock lock(mutex_);
    if (ended_ || !reading_) return;
  }
  absl::Status end = admission_.Check(now);
  std::string session_id;
  {
    const MutexLock lock(mutex_);
    if (ended_ || !reading_) return;
    const bool is_stuck = progress_.IsStuck(reading_, now, timeout);
    if (end.ok() && is_stuck) {
      end = NotStarted(absl::StatusCode::kDeadlineExceeded,
                       "nothing of the file came for " + absl::FormatDuration(timeout) +
                           "; send it again, without a pause and in parts of 1 MiB at most");
    }
    if (end.ok()) return;
    ended_ = true;
    session_id = session_id_;
  }
  Finished(end, session_id);
}

void ImportStream::OnDone() {
  streams_.Remove(this);
  room_.Give(taken_);
  Uncharge();
  if (caller_) {
    caller_->account().CloseStream();
    sessions_.metrics().import_streams.Subtract();
  }
  const IntrusivePtr<ImportStream> last = std::move(held_by_grpc_);
}

}  // namespace corod::rpc
