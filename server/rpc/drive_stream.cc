#include "server/rpc/drive_stream.h"

#include <utility>
#include <vector>

#include "server/base/failure.h"
#include "server/rpc/convert.h"
#include "server/rpc/decode.h"
#include "server/rpc/status.h"
#include "server/rpc/unary_call.h"
#include "server/session/session_id.h"
#include "server/wire/value_codec.h"

namespace corod::rpc {
namespace {

// Reading stops while more than this is open or unwritten.
constexpr std::size_t kMaxOpen = 1'024;
constexpr std::size_t kMaxUnwrittenBytes = std::size_t{4} << 20;
// A client takes messages of 4 MiB by default, and a reply has at most a little more than one.
constexpr std::size_t kMaxMessageBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxLanes = 4'096;

}  // namespace

// One command of the stream, from its reading to its reply.
class DriveCommand final : public Command {
 public:
  DriveCommand(IntrusivePtr<DriveStream> stream, std::uint64_t tag) : stream_(std::move(stream)), tag_(tag) {
    bounded_by_sender = true;
  }

  absl::Status Admit() override {
    if (stream_->cancelled_.load(std::memory_order_relaxed)) {
      return NotStarted(absl::StatusCode::kCancelled, "the stream broke before the command's turn came");
    }
    if (resume) lane->failed.store(false, std::memory_order_relaxed);
    if (lane->failed.load(std::memory_order_relaxed)) {
      return Failed(
          Reason::PREDECESSOR_FAILED,
          "an earlier command for this session failed on this stream; the first that is to go on carries `resume`",
          {{"session_id", lane->session_id}});
    }
    return refusal;
  }

  void Finish(absl::StatusOr<Reply> reply) override {
    v1::Reply proto;
    if (reply.ok()) {
      ToProto(*reply, quiet ? Loudness::kQuiet : Loudness::kLoud, proto.mutable_outcome());
      proto.set_replayed(reply->replayed);
    } else {
      ToFailure(reply.status(), proto.mutable_failure());
    }
    Answer(std::move(proto));
  }

  void FinishCreate(const absl::StatusOr<Created>& created) {
    v1::Reply proto;
    if (created.ok()) {
      ToProto(*created, proto.mutable_created());
      proto.set_replayed(created->replayed);
    } else {
      ToFailure(created.status(), proto.mutable_failure());
    }
    Answer(std::move(proto));
  }

  DriveStream::Lane* lane = nullptr;
  bool quiet = false;
  bool resume = false;
  absl::Status refusal;              // what was wrong with it when it was read
  std::optional<CreateSpec> create;  // it is a create

 private:
  void Answer(v1::Reply reply) {
    if (reply.has_failure()) lane->failed.store(true, std::memory_order_relaxed);
    reply.set_tag(tag_);
    const IntrusivePtr<DriveStream> stream = std::move(stream_);
    DriveStream::Lane* const of = lane;
    delete this;
    stream->Answered(of, std::move(reply));
  }

  IntrusivePtr<DriveStream> stream_;
  const std::uint64_t tag_;
};

DriveStream* DriveStream::Start(Sessions& sessions, grpc::CallbackServerContext* context) {
  auto* stream = new DriveStream(sessions, context);
  stream->held_by_grpc_ = IntrusivePtr<DriveStream>(stream);
  stream->StartRead(&stream->in_);
  return stream;
}

DriveStream::DriveStream(Sessions& sessions, grpc::CallbackServerContext* context)
    : sessions_(sessions), deadline_(ToTime(context->deadline())) {}

void DriveStream::OnCancel() { cancelled_.store(true, std::memory_order_relaxed); }

void DriveStream::OnDone() {
  const IntrusivePtr<DriveStream> last = std::move(held_by_grpc_);
  last->cancelled_.store(true, std::memory_order_relaxed);
}

void DriveStream::OnReadDone(bool ok) {
  if (ok) {
    {
      const MutexLock lock(mutex_);
      processing_ = true;
    }
    Process(Flatten(in_));
    in_.Clear();
  }
  {
    const MutexLock lock(mutex_);
    processing_ = false;
    reading_ = false;
    if (!ok || !end_.ok()) read_all_ = true;
  }
  WriteOrFinish();
}

void DriveStream::Process(std::string_view bytes) {
  v1::DriveRequest request;
  if (ParseRequest(bytes, &request).ok()) {
    for (const v1::Command& command : request.commands()) Accept(command, absl::OkStatus());
    return;
  }
  // Something in it cannot be parsed: the others are taken all the same.
  const absl::StatusOr<std::vector<std::string_view>> commands = SplitCommands(bytes);
  if (!commands.ok()) {
    const MutexLock lock(mutex_);
    end_ = commands.status();
    return;
  }
  for (const std::string_view command : *commands) {
    v1::Command proto;
    const absl::Status parsed = ParseRequest(command, &proto);
    Accept(parsed.ok() ? proto : ParseWithoutOperation(command), parsed);
  }
}

void DriveStream::Accept(const v1::Command& proto, const absl::Status& unreadable) {
  auto* command = new DriveCommand(IntrusivePtr<DriveStream>(this), proto.tag());
  command->quiet = proto.quiet();
  command->resume = proto.resume();
  command->expected_step = proto.expected_step();
  command->request_id = proto.request_id();
  command->deadline = deadline_;
  command->refusal = unreadable;
  if (command->refusal.ok()) command->refusal = CheckRequestId(proto.request_id());
  if (command->refusal.ok()) command->refusal = ReadOperation(proto, *command);
  std::string id = proto.session_id();
  if (proto.operation_case() == v1::Command::kCreate) {
    id = command->create ? command->create->session_id : proto.create().session_id();
    // Refused without an id: nobody else's commands fail for it.
    if (id.empty()) id = sessions_.MakeSessionId("");
  } else if (id.empty()) {
    id = previous_id_;
  }
  previous_id_ = id;
  Enqueue(id, command);
}

absl::Status DriveStream::ReadOperation(const v1::Command& proto, DriveCommand& command) {
  switch (proto.operation_case()) {
    case v1::Command::kSend: {
      absl::StatusOr<Value> value = wire::FromProto(proto.send(), sessions_.limits());
      if (!value.ok()) return value.status();
      command.value = *std::move(value);
      return absl::OkStatus();
    }
    case v1::Command::kThrow: {
      const absl::StatusOr<Exception> exception = wire::FromProto(proto.throw_(), sessions_.limits());
      if (!exception.ok()) return exception.status();
      command.operation = Operation::kThrow;
      command.value = Value(*exception);
      return absl::OkStatus();
    }
    case v1::Command::kClose:
      command.operation = Operation::kClose;
      command.force = proto.close().force();
      return absl::OkStatus();
    case v1::Command::kCreate: {
      if (!proto.session_id().empty() || !proto.request_id().empty()) {
        return Failed(Reason::INVALID_ARGUMENTS, "with create, session_id and request_id stand in the CreateRequest",
                      {{"parameter", proto.session_id().empty() ? "request_id" : "session_id"}});
      }
      absl::StatusOr<CreateSpec> spec = FromProto(proto.create(), sessions_.limits());
      if (!spec.ok()) return spec.status();
      spec->deadline = deadline_;
      spec->bounded_by_sender = true;
      // Made here, so that the commands behind it on the stream know it.
      if (spec->session_id.empty()) spec->session_id = sessions_.MakeSessionId(spec->request_id);
      command.create = *std::move(spec);
      return absl::OkStatus();
    }
    case v1::Command::OPERATION_NOT_SET:
      break;
  }
  return Failed(Reason::INVALID_ARGUMENTS, "the command has no operation; give send, throw, close or create",
                {{"parameter", "operation"}});
}

void DriveStream::Enqueue(const std::string& session_id, DriveCommand* command) {
  Lane* lane = nullptr;
  {
    const MutexLock lock(mutex_);
    ++open_;
    std::unique_ptr<Lane>& slot = lanes_[session_id];
    if (!slot) slot = std::make_unique<Lane>(session_id);
    lane = command->lane = slot.get();
    lane->waiting.push_back(command);
    if (lane->handing_over) return;
    lane->handing_over = true;
  }
  HandOver(lane);
}

void DriveStream::HandOver(Lane* lane) {
  while (true) {
    DriveCommand* command = nullptr;
    {
      const MutexLock lock(mutex_);
      // A create takes its turn when all before it are answered: until then the id may stand for another session. For
      // the same reason what comes behind it waits for its answer.
      const bool waits =
          lane->creating || (!lane->waiting.empty() && lane->waiting.front()->create && lane->under_way > 0);
      if (lane->waiting.empty() || waits) {
        lane->handing_over = false;
        ForgetIdleLanes();
        return;
      }
      command = lane->waiting.front();
      lane->waiting.pop_front();
      lane->creating = command->create.has_value();
      if (lane->under_way++ == 0) lane->session = SessionPtr();
    }
    Dispatch(lane, command);
  }
}

void DriveStream::Dispatch(Lane* lane, DriveCommand* command) {
  // Whoever hands over is alone, so only Answered changes the lane meanwhile, and it leaves `session` alone.
  if (command->create) {
    if (absl::Status admitted = command->Admit(); !admitted.ok()) {
      command->FinishCreate(admitted);
      return;
    }
    sessions_.Create(*std::move(command->create),
                     [command](const absl::StatusOr<Created>& created) { command->FinishCreate(created); });
    return;
  }
  if (!lane->session) lane->session = sessions_.FindLive(lane->session_id);
  const SessionPtr session = lane->session;
  if (session && session->Submit(command)) return;
  lane->session = SessionPtr();
  sessions_.Submit(lane->session_id, command);
}

void DriveStream::ForgetIdleLanes() {
  if (lanes_.size() <= kMaxLanes) return;
  absl::erase_if(lanes_, [](const auto& entry) {
    const Lane& lane = *entry.second;
    return lane.under_way == 0 && lane.waiting.empty() && !lane.handing_over &&
           !lane.failed.load(std::memory_order_relaxed);
  });
}

void DriveStream::Answered(Lane* lane, v1::Reply reply) {
  bool hand_over = false;
  {
    const MutexLock lock(mutex_);
    --open_;
    const std::size_t bytes = reply.ByteSizeLong() + 6;  // with its tag and length
    if (unwritten_.empty() || last_bytes_ + bytes > kMaxMessageBytes) {
      unwritten_.emplace_back();
      last_bytes_ = 0;
    }
    last_bytes_ += bytes;
    unwritten_bytes_ += bytes;
    *unwritten_.back().add_replies() = std::move(reply);
    if (--lane->under_way == 0) lane->creating = false;
    if (lane->under_way == 0 && !lane->waiting.empty() && !lane->handing_over) {
      lane->handing_over = true;
      hand_over = true;
    }
  }
  if (hand_over) HandOver(lane);
  WriteOrFinish();
}

bool DriveStream::MayRead() const {
  return !reading_ && !read_all_ && open_ < kMaxOpen && unwritten_bytes_ < kMaxUnwrittenBytes;
}

void DriveStream::WriteOrFinish() {
  bool read = false;
  bool write = false;
  bool finish = false;
  grpc::Status status;
  {
    const MutexLock lock(mutex_);
    if (finished_ || processing_) return;
    if (MayRead()) read = reading_ = true;
    if (!writing_ && !unwritten_.empty()) {
      out_.Clear();
      const grpc::Status serialized = Serialize(unwritten_.front(), &out_);
      unwritten_.pop_front();
      if (unwritten_.empty()) {
        unwritten_bytes_ = 0;
      } else {
        unwritten_bytes_ -= std::min(unwritten_bytes_, out_.Length());
      }
      if (!serialized.ok() && end_.ok()) end_ = absl::InternalError(serialized.error_message());
      write = writing_ = true;
    } else if (!writing_ && read_all_ && open_ == 0) {
      finished_ = finish = true;
      if (!end_.ok()) status = ToGrpcStatus(end_);
    }
  }
  if (read) StartRead(&in_);
  if (write) StartWrite(&out_);
  if (finish) Finish(status);
}

void DriveStream::OnWriteDone(bool ok) {
  {
    const MutexLock lock(mutex_);
    writing_ = false;
    if (!ok) {  // nobody reads any more
      cancelled_.store(true, std::memory_order_relaxed);
      unwritten_.clear();
      unwritten_bytes_ = 0;
    }
  }
  WriteOrFinish();
}

}  // namespace corod::rpc
