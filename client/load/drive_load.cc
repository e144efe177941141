#include "client/load/drive_load.h"

#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <limits>
#include <utility>

#include "client/cpp/service_error.h"
#include "client/load/messages.h"

namespace corod::load {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
constexpr char kMethod[] = "/corod.v1.CoroutineService/Drive";

struct Stream;

// What a completion speaks of.
struct Event {
  enum class Kind : std::uint8_t { kStarted, kRead, kWritten, kWritesDone, kFinished } kind;
  Stream* stream;
};

struct Stream {
  grpc::ClientContext context;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
  grpc::ByteBuffer response;
  grpc::Status status;
  std::deque<SteadyClock::time_point> unanswered;  // when each message was written
  std::uint64_t replies = 0;                       // to the first of them
  bool open = false;                               // and not broken
  bool writing = false;
  bool closing = false;
  Event started{Event::Kind::kStarted, this};
  Event read{Event::Kind::kRead, this};
  Event written{Event::Kind::kWritten, this};
  Event writes_done{Event::Kind::kWritesDone, this};
  Event finished{Event::Kind::kFinished, this};
};

}  // namespace

// The streams of one run.
class DriveLoad::Streams {
 public:
  explicit Streams(DriveLoad& load) : load_(load), stub_(load.channel_) {}
  ~Streams() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  absl::StatusOr<Found> Run(absl::Duration duration, std::uint64_t count) {
    count_ = count;
    limit_ = absl::ToChronoNanoseconds(duration);
    begin_ = end_ = now_ = SteadyClock::now();
    for (int i = 0; i < load_.options_.streams; ++i) {
      Stream& stream = *streams_.emplace_back(std::make_unique<Stream>());
      stream.call = stub_.PrepareCall(&stream.context, kMethod, &queue_);
      stream.call->StartCall(&stream.started);
      ++open_;
    }
    while (open_ > 0) {
      void* tag = nullptr;
      bool ok = false;
      const auto next = queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + kLook);
      if (load_.stopped_.load(std::memory_order_relaxed)) Stop();
      if (next != grpc::CompletionQueue::GOT_EVENT) {
        if (SteadyClock::now() - now_ >= kPatience) Fail(absl::DeadlineExceededError("the server does not answer"));
        continue;
      }
      const Event& event = *static_cast<Event*>(tag);
      Handle(event.kind, *event.stream, ok);
    }
    load_.stopped_.store(false);
    if (!error_.ok()) return error_;
    found_.took = absl::FromChrono(end_ - begin_);
    return std::move(found_);
  }

 private:
  void Handle(Event::Kind kind, Stream& stream, bool ok) {
    switch (kind) {
      case Event::Kind::kStarted:
        stream.open = ok;
        stream.call->Read(&stream.response, &stream.read);
        Write(stream);
        return;
      case Event::Kind::kWritten:
        stream.writing = false;
        stream.open = stream.open && ok;
        Write(stream);
        return;
      case Event::Kind::kRead:
        if (!ok) {
          stream.open = false;
          stream.call->Finish(&stream.status, &stream.finished);
          return;
        }
        TakeReplies(stream);
        stream.call->Read(&stream.response, &stream.read);
        Write(stream);
        return;
      case Event::Kind::kWritesDone:
        return;
      case Event::Kind::kFinished:
        --open_;
        if (!stream.status.ok()) {
          Fail(client::StatusOf(stream.status));
        } else if (!IsOver() || !stream.unanswered.empty()) {
          Fail(absl::InternalError("the server ended a stream"));
        }
        return;
    }
  }

  void TakeReplies(Stream& stream) {
    now_ = SteadyClock::now();
    const absl::StatusOr<std::size_t> count = CountReplies(stream.response);
    if (!count.ok()) {
      Fail(count.status());
      return;
    }
    if (!stopping_) {
      found_.commands += *count;
      ++found_.messages;
      end_ = now_;
    }
    stream.replies += *count;
    while (stream.replies >= load_.options_.batch && !stream.unanswered.empty()) {
      stream.replies -= load_.options_.batch;
      if (!stopping_) found_.latencies.Add(absl::FromChrono(now_ - stream.unanswered.front()));
      stream.unanswered.pop_front();
    }
    if (now_ - begin_ >= limit_) Stop();
  }

  // The next message, if there is room for one; the end of the stream when all is answered and no more is to come.
  void Write(Stream& stream) {
    if (!stream.open || stream.writing || stream.closing) return;
    if (IsOver()) {
      if (!stream.unanswered.empty()) return;
      stream.closing = true;
      stream.call->WritesDone(&stream.writes_done);
      return;
    }
    if (stream.unanswered.size() >= static_cast<std::size_t>(load_.options_.outstanding)) return;
    stream.writing = true;
    stream.unanswered.push_back(SteadyClock::now());
    stream.call->Write(load_.requests_[load_.next_], &stream.written);
    if (++load_.next_ == load_.requests_.size()) load_.next_ = 0;
    ++written_;
  }

  // No more messages are written.
  bool IsOver() const { return stopping_ || written_ == count_; }

  void Stop() {
    if (std::exchange(stopping_, true)) return;
    for (const auto& stream : streams_) Write(*stream);
  }

  void Fail(absl::Status status) {
    now_ = SteadyClock::now();
    stopping_ = true;
    if (error_.ok()) error_ = std::move(status);
    for (const auto& stream : streams_) stream->context.TryCancel();
  }

  DriveLoad& load_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Stream>> streams_;
  int open_ = 0;
  bool stopping_ = false;
  std::uint64_t count_ = kNoLimit;  // of messages to write
  std::uint64_t written_ = 0;
  std::chrono::nanoseconds limit_;
  SteadyClock::time_point begin_, end_, now_;
  Found found_;
  absl::Status error_;
};

DriveLoad::DriveLoad(std::shared_ptr<grpc::Channel> channel, std::vector<grpc::ByteBuffer> requests, Options options)
    : channel_(std::move(channel)), requests_(std::move(requests)), options_(options) {}

DriveLoad::~DriveLoad() = default;

absl::StatusOr<Found> DriveLoad::Run(absl::Duration duration) { return Streams(*this).Run(duration, kNoLimit); }

absl::StatusOr<Found> DriveLoad::RunOnce() {
  next_ = 0;
  return Streams(*this).Run(absl::InfiniteDuration(), requests_.size());
}

}  // namespace corod::load
