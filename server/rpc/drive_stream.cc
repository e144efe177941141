#include "server/rpc/drive_stream.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "server/base/failure.h"
#include "server/base/prefetch.h"
#include "server/log/log.h"
#include "server/rpc/convert.h"
#include "server/rpc/decode.h"
#include "server/rpc/status.h"
#include "server/wire/value_codec.h"

namespace corod::rpc {
namespace {

// Reading stops while more than this is open or unwritten.
constexpr std::size_t kMaxOpen = 1'024;
constexpr std::size_t kMaxUnwrittenBytes = std::size_t{4} << 20;
// A message begun is not added to beyond this. A client takes messages of 4 MiB by default, and a reply has at most a
// little more than one.
constexpr std::size_t kMaxMessageBytes = std::size_t{1} << 20;
// What is not larger is copied for gRPC, so that the text can be filled again.
constexpr std::size_t kMaxCopied = 4'096;
// Room that is made for a message before it is filled.
constexpr std::size_t kMaxReserved = std::size_t{64} << 10;
// How many commands are looked at together.
constexpr std::size_t kPlanned = 16;
// How many sessions are held back until they have their commands.
constexpr std::size_t kMaxHeld = 128;
// How many commands are kept for the next message, and how many ahead of its use one is brought into the cache.
constexpr std::size_t kPooled = kMaxOpen;
constexpr std::size_t kAhead = 4;

// A call that is refused before anything is read.
class RefusedStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit RefusedStream(const absl::Status& refused) { Finish(ToGrpcStatus(refused)); }
  void OnDone() override { delete this; }
};

// Asks for nothing but its step.
bool IsPlain(const PlainSend& send) { return send.request_id.empty() && send.expected_step == 0; }

}  // namespace

// One command of the stream, from its reading to its reply. The stream's pool has it before and after.
class DriveCommand final : public Command {
 public:
  explicit DriveCommand(DriveStream& stream) : stream_(stream) {
    bounded_by_sender = true;
    deadline = stream.deadline_;
  }

  absl::Status Admit() override {
    if (stream_.cancelled_.load(std::memory_order_relaxed)) {
      return NotStarted(absl::StatusCode::kCancelled, "the stream broke before the command's turn came");
    }
    if (lane->failed.load(std::memory_order_relaxed)) {
      if (!resume) {
        return Failed(
            Reason::PREDECESSOR_FAILED,
            "an earlier command for this session failed on this stream; the first that is to go on carries `resume`",
            {{"session_id", std::string(LocalName(lane->id.str()))}});
      }
      lane->failed.store(false, std::memory_order_relaxed);
    }
    return refusal;
  }

  void Finish(absl::StatusOr<Reply> reply) override {
    if (!reply.ok()) {
      Fail(reply.status());
      return;
    }
    stream_.counter_.Answered(counters, ResultOf(*reply), Took());
    if (IsPlainReply(*reply, quiet)) {
      stream_.Answered(this,
                       [&reply, tag = tag, quiet = quiet](std::string& to) { AppendReply(tag, *reply, quiet, to); });
    } else {
      std::string bytes;
      AppendReply(tag, *reply, quiet, bytes);
      Answer(bytes);
    }
  }

  std::string Traceparent() const override { return stream_.traceparent_; }

  void FinishCreate(const absl::StatusOr<Created>& created) {
    if (!created.ok()) {
      Fail(created.status());
      return;
    }
    stream_.counter_.Answered(&created->session->counters(), ResultOf(*created), Took());
    v1::DriveResponse response;
    ToProto(*created, response.add_replies()->mutable_created());
    response.mutable_replies(0)->set_replayed(created->replayed);
    Answer(response);
  }

  // As it was made.
  void Clear() {
    lane = nullptr;
    quiet = resume = alone = force = false;
    operation = Operation::kSend;
    value = Value();
    expected_step = repeats = 0;
    fingerprint = 0;
    if (request_id.capacity() > kMaxIdKept) request_id = std::string();
    request_id.clear();
    if (!refusal.ok()) refusal = absl::OkStatus();
    create.reset();
    counters = nullptr;
    executed = absl::InfinitePast();
  }

  std::uint64_t tag = 0;
  DriveLane* lane = nullptr;
  absl::Time arrived;
  bool quiet = false;
  bool resume = false;
  // Takes its turn when all before it are answered, and what comes behind it waits for its answer: a create, until
  // which the id may stand for another session, and one whose session is not in memory, where nobody keeps an order.
  bool alone = false;
  absl::Status refusal;                // what was wrong with it when it was read
  std::unique_ptr<CreateSpec> create;  // it is a create

 private:
  static constexpr std::size_t kMaxIdKept = 256;

  absl::Duration Took() const {
    return (executed != absl::InfinitePast() ? executed : stream_.sessions_.Now()) - arrived;
  }

  void Fail(const absl::Status& status) {
    CountRefusal(status);
    lane->failed.store(true, std::memory_order_relaxed);
    v1::DriveResponse response;
    ToFailure(status, response.add_replies()->mutable_failure());
    Answer(response);
  }

  void CountRefusal(const absl::Status& status) const {
    CompactText::Buffer buffer;
    stream_.counter_.Refused(status, counters, Took(),
                             {.session_id = LocalName(lane->id.View(buffer)),
                              .request_id = request_id,
                              .traceparent = stream_.traceparent_});
  }

  // `response`: with one reply.
  void Answer(v1::DriveResponse& response) {
    response.mutable_replies(0)->set_tag(tag);
    Answer(response.SerializeAsString());
  }
  void Answer(const std::string& reply) {
    stream_.Answered(this, [&reply](std::string& to) { to += reply; });
  }

  DriveStream& stream_;
};

// A plain Send of the message, and what is needed for it.
class DriveStream::Plan {
 public:
  explicit Plan(PlainSend read) : send(std::move(read)), id(send.session_id) {}

  // Whether BeginSend may be tried, as far as the stream knows.
  bool MayGoAtOnce() const { return session && !session->durable() && IsPlain(send) && (!lane || lane->IsFree()); }

  PlainSend send;
  Sessions::IdKey id;
  SessionPtr session;
  DriveLane* lane = nullptr;
  Reply reply;
  DriveCommand* command = nullptr;  // what goes into the lane
  Way way = Way::kWaits;            // and what becomes of it
};
class DriveStream::Plans : public absl::InlinedVector<Plan, kPlanned> {};

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* DriveStream::Start(Sessions& sessions,
                                                                                const Access& access,
                                                                                OpenStreams& streams,
                                                                                grpc::CallbackServerContext* context) {
  CallCounter counter(access.metrics(), metrics::Rpc::kDrive);
  const auto refused = [&counter, context](const absl::Status& status) {
    counter.Refused(status, nullptr, absl::ZeroDuration(), {.context = context});
    return new RefusedStream(status);
  };
  Admission admission;
  absl::StatusOr<Caller> caller = access.Admit(*context, Role::kDrive, admission);
  if (!caller.ok()) return refused(caller.status());
  counter.SetAccount(caller->account());
  if (absl::Status opened = caller->account().OpenStream(); !opened.ok()) return refused(opened);
  auto* stream =
      new DriveStream(sessions, *std::move(caller), std::move(admission), streams, access.metrics(), counter, context);
  stream->held_by_grpc_ = IntrusivePtr<DriveStream>(stream);
  streams.Add(stream);
  stream->StartRead(&stream->in_);
  return stream;
}

DriveStream::DriveStream(Sessions& sessions, Caller caller, Admission admission, OpenStreams& streams,
                         const metrics::Metrics& metrics, const CallCounter& counter,
                         grpc::CallbackServerContext* context)
    : sessions_(sessions),
      caller_(std::move(caller)),
      admission_(std::move(admission)),
      streams_(streams),
      metrics_(metrics),
      counter_(counter),
      context_(context),
      traceparent_(TraceparentOf(*context)),
      deadline_(ToTime(context->deadline())) {
  metrics_.drive_streams.Add();
}

DriveStream::~DriveStream() {
  const MutexLock lock(mutex_);
  for (const DriveCommand* command : pool_) delete command;
  for (const DriveCommand* command : returned_) delete command;
}

void DriveStream::OnCancel() { cancelled_.store(true, std::memory_order_relaxed); }

void DriveStream::OnDone() {
  metrics_.drive_streams.Subtract();
  streams_.Remove(this);
  caller_.account().CloseStream();
  const IntrusivePtr<DriveStream> last = std::move(held_by_grpc_);
  last->cancelled_.store(true, std::memory_order_relaxed);
}

void DriveStream::OnReadDone(bool ok) {
  const CompletionScope scope;  // whom else this thread answers meanwhile is woken once
  if (ok) {
    const bool is_shut = (reads_.fetch_or(kProcessing, std::memory_order_relaxed) & kShut) != 0;
    grpc::Slice bytes;
    // Only of a buffer that holds nothing is there nothing to dump.
    if (!is_shut && (in_.TrySingleSlice(&bytes).ok() || in_.DumpToSingleSlice(&bytes).ok())) {
      Process({reinterpret_cast<const char*>(bytes.begin()), bytes.size()});
    }
    in_.Clear();
  }
  Next next;
  {
    const MutexLock lock(mutex_);
    const bool writes = WriteReplies();
    if (!writes) AddUnwritten();
    if (open_ == 0 && !used_lanes_ && !lanes_.empty()) lanes_.ForgetIdle();
    reads_.fetch_and(static_cast<std::uint8_t>(~kProcessing), std::memory_order_relaxed);
    reading_ = false;
    if (!ok || !end_.ok()) read_all_ = true;
    next = Decide();
    next.write = next.write || writes;
  }
  Do(next);
}

DriveStream::Next DriveStream::Shut(const absl::Status& end) {
  end_ = end;
  read_all_ = true;
  reads_.fetch_or(kShut, std::memory_order_relaxed);
  return Decide();
}

void DriveStream::EndWith(const absl::Status& status) {
  Next next;
  {
    const MutexLock lock(mutex_);
    if (finished_ || !end_.ok()) return;
    next = Shut(status);
  }
  Do(next);
}

void DriveStream::Look(absl::Time now, absl::Duration timeout) {
  if (const absl::Status admitted = admission_.Check(now); !admitted.ok()) EndWith(admitted);
  Next next;
  bool cancel = false;
  {
    const MutexLock lock(mutex_);
    if (finished_ || !progress_.IsStuck(writing_, now, timeout)) return;
    cancel = looking_ = cut_;  // what it was told did not get through either
    if (!cut_) {
      cut_ = true;
      cancelled_.store(true, std::memory_order_relaxed);
      unwritten_.clear();
      unwritten_bytes_ = 0;
      next = Shut(ReaderTooSlow(timeout));
    }
  }
  if (cancel) {
    COROD_LOG(kRpc, kWarning, "a stream was cut, since its client does not even read why it ends",
              {{"rpc", "Drive"}, {"who", caller_.name()}, {"namespace", caller_.name_space()}});
    context_->TryCancel();
    const MutexLock lock(mutex_);
    looking_ = false;
    next = Decide();
  } else {
    COROD_LOG(kRpc, kWarning, "a stream ends, since its client does not read",
              {{"rpc", "Drive"},
               {"who", caller_.name()},
               {"namespace", caller_.name_space()},
               {"timeout", absl::FormatDuration(timeout)}});
  }
  Do(next);
}

std::string_view DriveStream::Qualify(std::string_view session_id) {
  if (caller_.is_in_default_namespace() && !session_id.starts_with('/')) return session_id;
  return qualified_.emplace_back(caller_.IdOf(session_id));
}

void DriveStream::Process(std::string_view bytes) {
  used_lanes_ = false;
  commands_.clear();
  CommandReader reader(bytes);
  while (const std::optional<std::string_view> command = reader.Next()) commands_.push_back(*command);
  if (!reader.ok()) {
    // It holds something else, or is none.
    absl::StatusOr<std::vector<std::string_view>> split = SplitCommands(bytes);
    if (!split.ok()) {
      const MutexLock lock(mutex_);
      if (end_.ok()) end_ = split.status();
      return;
    }
    commands_ = *std::move(split);
  }
  absl::Time now = arrived_ = sessions_.Now();
  for (std::size_t next = 0; next < commands_.size();) {
    Plans plans;
    bool plain = true;
    while (plain && next < commands_.size() && plans.size() < kPlanned) {
      std::optional<PlainSend> send = ReadPlainCommand(commands_[next], sessions_.limits().max_bytes);
      plain = send.has_value();
      if (!plain) break;
      ++next;
      send->session_id = send->session_id.empty() ? previous_ : Qualify(send->session_id);
      previous_ = send->session_id;
      const Plan& plan = plans.emplace_back(*std::move(send));
      sessions_.Prefetch(plan.id);
      lanes_.Prefetch(plan.id);
    }
    if (!plans.empty()) TakePlain(plans, now);
    if (!plain) {
      AcceptBytes(commands_[next++]);
      now = sessions_.Now();  // what that took is nobody else's step
    }
  }
  tally_.Flush(now - arrived_);
  RunHeld();
  if (previous_.data() != previous_id_.data()) previous_id_.assign(previous_);
  previous_ = previous_id_;
  qualified_.clear();
  if (commands_.capacity() > kPooled) commands_ = std::vector<std::string_view>();
}

void DriveStream::TakePlain(Plans& plans, absl::Time& now) {
  const bool has_lanes = !lanes_.empty();
  for (Plan& plan : plans) {
    if (has_lanes) plan.lane = lanes_.Find(plan.id);
    PrefetchLines<1>(plan.lane);
    sessions_.PrefetchSession(plan.id);
  }
  for (Plan& plan : plans) {
    // One with something under way knows its session.
    if (!plan.lane || plan.lane->IsFree()) plan.session = sessions_.FindLive(plan.id);
  }
  // As many as can are begun together. Behind one that cannot none is, since it may be for the same session and comes
  // first.
  std::size_t begun = 0;
  if (MayTakeAtOnce(now)) {
    for (Plan& plan : plans) {
      if (!plan.MayGoAtOnce() || !plan.session->BeginSend(now, plan.reply)) break;
      ++begun;
    }
  }
  bool waits = false;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    Plan& plan = plans[i];
    if (i < begun) {
      TakeBegun(plan, now);
      continue;
    }
    if (!plan.lane && waits) plan.lane = lanes_.Find(plan.id);  // added for one before it
    if (MayTakeAtOnce(now) && plan.MayGoAtOnce() && plan.session->BeginSend(now, plan.reply)) {
      TakeBegun(plan, now);
      continue;
    }
    if (!plan.lane) plan.lane = &lanes_.FindOrAdd(plan.send.session_id, plan.id);
    plan.lane->open.fetch_add(1, std::memory_order_relaxed);
    DriveCommand& command = *NewCommand(plan.send.tag);
    command.lane = plan.lane;
    command.quiet = plan.send.quiet;
    command.resume = plan.send.resume;
    command.expected_step = plan.send.expected_step;
    command.value = std::move(plan.send.value);
    if (!plan.send.request_id.empty()) {
      command.request_id = plan.send.request_id;
      command.refusal = CheckRequestId(command.request_id);
    }
    plan.command = &command;
    waits = true;
  }
  if (waits) PutIntoLanes(plans);
}

bool DriveStream::MayTakeAtOnce(absl::Time now) const {
  return !cancelled_.load(std::memory_order_relaxed) && now <= deadline_;
}

void DriveStream::TakeBegun(Plan& plan, absl::Time& now) {
  plan.session->FinishSend(plan.send.value, now, plan.reply);
  tally_.Add(plan.session->counters(), ResultOf(plan.reply));
  AppendReply(plan.send.tag, plan.reply, plan.send.quiet, replies_);
  if (replies_.size() < kMaxMessageBytes) return;
  const MutexLock lock(mutex_);
  AddUnwritten();
}

void DriveStream::PutBehind(DriveLane& lane, DriveCommand* command) {
  lane.waiting.Push(command);
  metrics_.queued_by_drive.Add();
}

DriveStream::Way DriveStream::PlaceInLane(DriveCommand* command, SessionPtr found) {
  ++open_;
  DriveLane& lane = *command->lane;
  if (lane.GoesOn() && lane.under_way == 0 && !command->alone) {
    lane.session = found ? std::move(found) : sessions_.FindLive(lane.id.key());
    command->alone = !lane.session;
  }
  if (!lane.GoesOn() || (command->alone && lane.under_way > 0)) {
    PutBehind(lane, command);
    return Way::kWaits;
  }
  ++lane.under_way;
  lane.alone = command->alone;
  return command->alone ? Way::kAlone : Way::kToSession;
}

void DriveStream::PutIntoLanes(Plans& plans) {
  used_lanes_ = true;
  {
    const MutexLock lock(mutex_);
    AddUnwritten();  // those of a session keep their order
    for (Plan& plan : plans) {
      if (plan.command) plan.way = PlaceInLane(plan.command, std::move(plan.session));
    }
    Refill();
    if (lanes_.IsFull()) lanes_.ForgetIdle();
  }
  for (const Plan& plan : plans) {
    if (plan.command) Go(plan.way, plan.command);
  }
}

void DriveStream::AcceptBytes(std::string_view command) {
  // Each by itself, so that one that cannot be parsed does not concern the others.
  v1::Command proto;
  const absl::Status parsed = ParseRequest(command, &proto);
  Accept(parsed.ok() ? proto : ParseWithoutOperation(command), parsed);
}

void DriveStream::Accept(const v1::Command& proto, const absl::Status& unreadable) {
  DriveCommand* const command = NewCommand(proto.tag());
  command->quiet = proto.quiet();
  command->resume = proto.resume();
  command->expected_step = proto.expected_step();
  command->request_id = proto.request_id();
  command->refusal = unreadable;
  if (command->refusal.ok()) command->refusal = CheckRequestId(proto.request_id());
  if (command->refusal.ok()) command->refusal = ReadOperation(proto, *command);
  std::string id = caller_.NewIdOf(proto.session_id());
  if (proto.operation_case() == v1::Command::kCreate) {
    id = command->create ? command->create->session_id : caller_.NewIdOf(proto.create().session_id());
    // Refused without an id: nobody else's commands fail for it.
    if (id.empty()) id = sessions_.MakeSessionId(caller_.owner(), "");
  } else if (id.empty()) {
    id = previous_;
  }
  previous_id_ = std::move(id);
  previous_ = previous_id_;
  PutIntoLane(previous_id_, command);
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
      absl::StatusOr<CreateSpec> spec = FromProto(proto.create(), caller_, sessions_.limits());
      if (!spec.ok()) return spec.status();
      spec->deadline = deadline_;
      spec->bounded_by_sender = true;
      // Made here, so that the commands behind it on the stream know it.
      if (spec->session_id.empty()) spec->session_id = sessions_.MakeSessionId(spec->owner, spec->request_id);
      command.request_id = spec->request_id;
      command.create = std::make_unique<CreateSpec>(*std::move(spec));
      command.alone = true;
      return absl::OkStatus();
    }
    case v1::Command::OPERATION_NOT_SET:
      break;
  }
  return Failed(Reason::INVALID_ARGUMENTS, "the command has no operation; give send, throw, close or create",
                {{"parameter", "operation"}});
}

void DriveStream::PutIntoLane(std::string_view session_id, DriveCommand* command) {
  used_lanes_ = true;
  command->lane = &lanes_.FindOrAdd(session_id, DriveLane::Key(session_id));
  command->lane->open.fetch_add(1, std::memory_order_relaxed);
  Way way = Way::kWaits;
  {
    const MutexLock lock(mutex_);
    AddUnwritten();  // those of a session keep their order
    way = PlaceInLane(command, SessionPtr());
    Refill();
    if (lanes_.IsFull()) lanes_.ForgetIdle();
  }
  Go(way, command);
}

void DriveStream::Go(Way way, DriveCommand* command) {
  switch (way) {
    case Way::kWaits:
      return;
    case Way::kToSession:
      Enqueue(command);
      return;
    case Way::kAlone:
      static_cast<void>(Dispatch(command));
      return;
  }
}

void DriveStream::Enqueue(DriveCommand* command) {
  DriveLane* const lane = command->lane;
  SessionPtr session = lane->session;
  bool runs = false;
  if (session && session->Enqueue(command, runs)) {
    if (!runs) return;
    held_.push_back(std::move(session));
    if (held_.size() >= kMaxHeld) RunHeld();
    return;
  }
  {
    const MutexLock lock(mutex_);
    TakeBack(command);
    PutBehind(*lane, command);  // only others that are taken back wait there
    if (lane->under_way > 0 || lane->handing_over) return;
    lane->handing_over = true;
  }
  HandOver(lane);
}

void DriveStream::RunHeld() {
  for (SessionPtr& session : held_) {
    session->Release();
    session = SessionPtr();
  }
  held_.clear();
}

DriveCommand* DriveStream::NewCommand(std::uint64_t tag) {
  DriveCommand* command = nullptr;
  if (pool_.empty()) {
    command = new DriveCommand(*this);
  } else {
    command = pool_.back();
    pool_.pop_back();
    if (pool_.size() >= kAhead) PrefetchLines<4>(pool_[pool_.size() - kAhead]);
  }
  command->tag = tag;
  command->arrived = arrived_;
  return command;
}

void DriveStream::Refill() {
  if (pool_.size() >= kPlanned) return;
  pool_.insert(pool_.end(), returned_.begin(), returned_.end());
  returned_.clear();
}

void DriveStream::AddUnwritten() {
  if (cut_) replies_.clear();
  if (replies_.empty()) return;
  const std::size_t bytes = replies_.size();
  unwritten_bytes_ += bytes;
  if (unwritten_.empty() || unwritten_.back().size() + bytes > kMaxMessageBytes) {
    unwritten_.push_back(std::exchange(replies_, std::string()));
    replies_.reserve(std::min(bytes, kMaxReserved));
  } else {
    unwritten_.back() += replies_;
    replies_.clear();
  }
}

bool DriveStream::WriteReplies() {
  if (writing_ || cut_ || !unwritten_.empty() || replies_.empty() || replies_.size() > kMaxCopied) return false;
  const grpc::Slice bytes(replies_);
  out_ = grpc::ByteBuffer(&bytes, 1);
  message_bytes_ = replies_.size();
  replies_.clear();
  return writing_ = true;
}

void DriveStream::HandOver(DriveLane* lane) {
  const IntrusivePtr<DriveStream> keep(this);  // the last command may be answered meanwhile
  while (true) {
    DriveCommand* command = nullptr;
    {
      const MutexLock lock(mutex_);
      auto* const first = static_cast<DriveCommand*>(lane->waiting.first());
      if (!first || lane->alone || (first->alone && lane->under_way > 0)) {
        lane->handing_over = false;
        return;
      }
      command = first;
      lane->waiting.Pop();
      metrics_.queued_by_drive.Subtract();
      lane->alone = command->alone;
      if (lane->under_way++ == 0 && !command->alone) lane->session = sessions_.FindLive(lane->id.key());
    }
    if (Dispatch(command)) continue;
    const MutexLock lock(mutex_);
    TakeBack(command);
    lane->waiting.PushFront(command);
    metrics_.queued_by_drive.Add();
  }
}

bool DriveStream::Dispatch(DriveCommand* command) {
  if (command->create) {
    if (absl::Status admitted = command->Admit(); !admitted.ok()) {
      command->FinishCreate(admitted);
    } else {
      sessions_.Create(std::move(*command->create),
                       [command](const absl::StatusOr<Created>& created) { command->FinishCreate(created); });
    }
    return true;
  }
  if (command->alone) {
    CompactText::Buffer buffer;
    sessions_.Submit(command->lane->id.View(buffer), command);
    return true;
  }
  const SessionPtr session = command->lane->session;
  return session && session->Submit(command);
}

void DriveStream::TakeBack(DriveCommand* command) {
  command->alone = true;
  --command->lane->under_way;
  command->lane->session = SessionPtr();
}

template <typename Append>
void DriveStream::Answered(DriveCommand* command, const Append& append) {
  DriveLane* const lane = command->lane;
  command->Clear();
  SessionPtr session;  // let go of without the lock
  bool hand_over = false;
  bool wake = false;
  {
    const MutexLock lock(mutex_);
    if (!cut_) {
      if (unwritten_.empty() || unwritten_.back().size() >= kMaxMessageBytes) {
        unwritten_.emplace_back().reserve(std::min(message_bytes_, kMaxReserved));
      }
      std::string& to = unwritten_.back();
      const std::size_t before = to.size();
      append(to);
      unwritten_bytes_ += to.size() - before;
    }
    --open_;
    lane->open.fetch_sub(1, std::memory_order_release);
    if (--lane->under_way == 0) {
      lane->alone = false;
      session = std::move(lane->session);
      hand_over = !lane->waiting.empty() && !lane->handing_over;
      if (hand_over) lane->handing_over = true;
    }
    if (returned_.size() < kPooled) returned_.push_back(std::exchange(command, nullptr));
    wake = !IsProcessing() && !deferred_ && (!writing_ || MayRead());
    if (wake) deferred_ = IntrusivePtr<DriveStream>(this);
  }
  delete command;
  if (hand_over) HandOver(lane);
  if (wake) CompletionScope::Defer(*this);
}

void DriveStream::RunDeferred() {
  IntrusivePtr<DriveStream> keep;
  Next next;
  {
    const MutexLock lock(mutex_);
    keep = std::move(deferred_);
    next = Decide();
    if (next.read) ++reads_to_start_;
  }
  Do(next);
  // gRPC's own threads hold the call while they start a read; this one does not.
  while (next.read) {
    {
      const MutexLock lock(mutex_);
      --reads_to_start_;
      next = Decide();
      if (next.read) ++reads_to_start_;
    }
    Do(next);
  }
}

bool DriveStream::MayRead() const {
  return !reading_ && !read_all_ && open_ < kMaxOpen && unwritten_bytes_ < kMaxUnwrittenBytes;
}

DriveStream::Next DriveStream::Decide() {
  Next next;
  if (finished_ || IsProcessing()) return next;
  if (MayRead()) next.read = reading_ = true;
  if (!writing_ && !unwritten_.empty()) {
    message_bytes_ = unwritten_.front().size();
    unwritten_bytes_ -= message_bytes_;
    out_ = ToBuffer(std::move(unwritten_.front()));
    unwritten_.pop_front();
    next.write = writing_ = true;
  } else if (!writing_ && read_all_ && open_ == 0 && !looking_ && reads_to_start_ == 0) {
    finished_ = next.finish = true;
    ended_with_ = end_;
  }
  return next;
}

void DriveStream::Do(const Next& next) {
  if (next.read) StartRead(&in_);
  if (next.write) StartWrite(&out_);
  if (!next.finish) return;
  if (ended_with_.ok()) {
    Finish(grpc::Status::OK);
  } else {
    counter_.Ended(ended_with_, {.traceparent = traceparent_});
    Finish(ToGrpcStatus(ended_with_));
  }
}

void DriveStream::OnWriteDone(bool ok) {
  Next next;
  {
    const MutexLock lock(mutex_);
    writing_ = false;
    progress_.Wrote();
    if (!ok) {  // nobody reads any more
      cancelled_.store(true, std::memory_order_relaxed);
      unwritten_.clear();
      unwritten_bytes_ = 0;
    }
    next = Decide();
  }
  Do(next);
}

}  // namespace corod::rpc
