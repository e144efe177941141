#include "server/rpc/drive_stream.h"

#include <algorithm>
#include <array>
#include <optional>
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
// How many commands are looked at together.
constexpr std::size_t kPlanned = 16;

// Asks for nothing but its step.
bool IsPlain(const PlainSend& send) { return send.request_id.empty() && send.expected_step == 0; }

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
    if (!reply.ok()) {
      Fail(reply.status());
      return;
    }
    std::string bytes;
    AppendReply(tag_, *reply, quiet, bytes);
    Answer(bytes);
  }

  void FinishCreate(const absl::StatusOr<Created>& created) {
    if (!created.ok()) {
      Fail(created.status());
      return;
    }
    v1::DriveResponse response;
    ToProto(*created, response.add_replies()->mutable_created());
    response.mutable_replies(0)->set_replayed(created->replayed);
    Answer(response);
  }

  DriveStream::Lane* lane = nullptr;
  bool quiet = false;
  bool resume = false;
  absl::Status refusal;              // what was wrong with it when it was read
  std::optional<CreateSpec> create;  // it is a create

 private:
  void Fail(const absl::Status& status) {
    lane->failed.store(true, std::memory_order_relaxed);
    v1::DriveResponse response;
    ToFailure(status, response.add_replies()->mutable_failure());
    Answer(response);
  }

  // `response`: with one reply.
  void Answer(v1::DriveResponse& response) {
    response.mutable_replies(0)->set_tag(tag_);
    Answer(response.SerializeAsString());
  }

  void Answer(std::string_view reply) {
    const IntrusivePtr<DriveStream> stream = std::move(stream_);
    DriveStream::Lane* const of = lane;
    delete this;
    stream->Answered(of, reply);
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
    grpc::Slice bytes;
    // Only of a buffer that holds nothing is there nothing to dump.
    if (in_.DumpToSingleSlice(&bytes).ok()) Process({reinterpret_cast<const char*>(bytes.begin()), bytes.size()});
    in_.Clear();
    PassOnReplies();
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
  CommandReader reader(bytes);
  std::vector<std::string_view> commands;
  while (const std::optional<std::string_view> command = reader.Next()) commands.push_back(*command);
  if (!reader.ok()) {
    // It holds something else, or is none.
    absl::StatusOr<std::vector<std::string_view>> split = SplitCommands(bytes);
    if (!split.ok()) {
      const MutexLock lock(mutex_);
      end_ = split.status();
      return;
    }
    commands = *std::move(split);
  }
  absl::Time now = sessions_.Now();
  for (std::size_t begin = 0; begin < commands.size(); begin += kPlanned) {
    ProcessSome(commands.data() + begin, std::min(kPlanned, commands.size() - begin), now);
  }
}

void DriveStream::ProcessSome(const std::string_view* commands, std::size_t count, absl::Time& now) {
  // What they need comes from memory side by side.
  struct Planned {
    std::optional<PlainSend> send;  // nullopt: it needs a lane
    Sessions::IdKey id;
    SessionPtr session;
    Reply reply;
  };
  std::array<Planned, kPlanned> planned;
  for (std::size_t i = 0; i < count; ++i) {
    Planned& plan = planned[i];
    plan.send = ReadPlainCommand(commands[i], sessions_.limits().max_bytes);
    if (!plan.send || plan.send->session_id.empty()) continue;
    plan.id = Sessions::IdKey(plan.send->session_id);
    sessions_.Prefetch(plan.id);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (planned[i].send && !planned[i].send->session_id.empty()) sessions_.PrefetchSession(planned[i].id);
  }
  // As many as can are begun together. Behind one that cannot none is, since it may be for the same session and comes
  // first.
  std::size_t begun = 0;
  bool begins = MayTakeAtOnce(now) && lane_count_.load(std::memory_order_acquire) == 0;
  for (std::size_t i = 0; i < count; ++i) {
    Planned& plan = planned[i];
    const bool looks = plan.send && !plan.send->session_id.empty();
    if (looks) plan.session = sessions_.FindLive(plan.id);
    begins = begins && looks && IsPlain(*plan.send) && plan.session && plan.session->BeginSend(now, plan.reply);
    if (begins) ++begun;
  }
  for (std::size_t i = 0; i < count; ++i) {
    Planned& plan = planned[i];
    if (i < begun) {
      TakeBegun(*plan.send, std::move(plan.session), plan.reply, now);
    } else if (!plan.send || !TakeAtOnce(*plan.send, std::move(plan.session), now)) {
      AcceptBytes(commands[i]);
      now = sessions_.Now();  // what that took is nobody else's step
    }
  }
}

void DriveStream::AcceptBytes(std::string_view command) {
  PassOnReplies();  // those of a session keep their order
  // Each by itself, so that one that cannot be parsed does not concern the others.
  v1::Command proto;
  const absl::Status parsed = ParseRequest(command, &proto);
  Accept(parsed.ok() ? proto : ParseWithoutOperation(command), parsed);
}

bool DriveStream::MayTakeAtOnce(absl::Time now) const {
  return !cancelled_.load(std::memory_order_relaxed) && now <= deadline_;
}

bool DriveStream::TakeAtOnce(PlainSend& send, SessionPtr session, absl::Time& now) {
  if (!IsPlain(send) || !MayTakeAtOnce(now)) return false;
  if (send.session_id.empty()) session = previous_session_;
  if (!session) return false;
  if (lane_count_.load(std::memory_order_acquire) != 0) {
    const std::string_view id = send.session_id.empty() ? previous_id_ : send.session_id;
    const MutexLock lock(mutex_);
    if (lanes_.contains(absl::string_view(id.data(), id.size()))) return false;
  }
  Reply reply;
  if (!session->BeginSend(now, reply)) return false;
  TakeBegun(send, std::move(session), reply, now);
  return true;
}

void DriveStream::TakeBegun(PlainSend& send, SessionPtr session, Reply& reply, absl::Time& now) {
  session->FinishSend(send.value, now, reply);
  if (!send.session_id.empty()) {
    previous_id_ = send.session_id;
    previous_session_ = std::move(session);
  }
  AppendReply(send.tag, reply, send.quiet, replies_);
  if (replies_.size() > kMaxMessageBytes) PassOnReplies();
}

void DriveStream::PassOnReplies() {
  if (replies_.empty()) return;
  {
    const MutexLock lock(mutex_);
    AddUnwritten(replies_);
  }
  replies_.clear();
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
  previous_session_ = SessionPtr();
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
    if (!slot) {
      slot = std::make_unique<Lane>(session_id);
      lane_count_.store(lanes_.size(), std::memory_order_release);
    }
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
        ForgetIfIdle(lane);
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

void DriveStream::ForgetIfIdle(Lane* lane) {
  const bool idle = lane->under_way == 0 && lane->waiting.empty() && !lane->handing_over;
  if (!idle || lane->failed.load(std::memory_order_relaxed)) return;
  lanes_.erase(lane->session_id);
  lane_count_.store(lanes_.size(), std::memory_order_release);
}

void DriveStream::AddUnwritten(std::string_view replies) {
  if (unwritten_.empty() || unwritten_.back().size() + replies.size() > kMaxMessageBytes) {
    unwritten_.emplace_back(replies);
  } else {
    unwritten_.back() += replies;
  }
  unwritten_bytes_ += replies.size();
}

void DriveStream::Answered(Lane* lane, std::string_view reply) {
  bool hand_over = false;
  {
    const MutexLock lock(mutex_);
    --open_;
    AddUnwritten(reply);
    if (--lane->under_way == 0) lane->creating = false;
    if (lane->under_way == 0 && !lane->waiting.empty() && !lane->handing_over) {
      lane->handing_over = true;
      hand_over = true;
    } else {
      ForgetIfIdle(lane);
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
      unwritten_bytes_ -= unwritten_.front().size();
      out_ = ToBuffer(std::move(unwritten_.front()));
      unwritten_.pop_front();
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
