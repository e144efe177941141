#include "tests/bench/load.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "tests/bench/failure.h"

namespace corod::bench {
namespace {

// Far more than anything takes.
constexpr absl::Duration kCallLimit = absl::Minutes(2);

void SetValue(v1::Value* value) { value->set_integer(7); }

}  // namespace

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

std::string SessionId(const std::string& kind, std::uint64_t number) {
  // The finalizer of SplitMix64: one to one, so that no id comes twice.
  std::uint64_t mixed = number + 0x9e3779b97f4a7c15;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  mixed ^= mixed >> 31;
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(mixed));
  std::string id = std::string(hex, 8) + "-" + std::string(hex + 8, 8) + "-" + kind;
  id.resize(36, '0');
  return id;
}

struct SendLoad::Slot {
  std::optional<grpc::ClientContext> context;
  v1::SendRequest request;
  v1::SendResponse response;
  absl::BitGen random;
};

SendLoad::SendLoad(const std::shared_ptr<grpc::Channel>& channel, int outstanding, Next next)
    : stub_(v1::CoroutineService::NewStub(channel)), next_(std::move(next)) {
  for (int i = 0; i < outstanding; ++i) {
    slots_.push_back(std::make_unique<Slot>());
    SetValue(slots_.back()->request.mutable_value());
  }
}

SendLoad::~SendLoad() {
  stops_.store(true);
  WaitForAll();
}

void SendLoad::Issue(Slot& slot) {
  slot.context.emplace();
  slot.context->set_deadline(absl::ToChronoTime(absl::Now() + kCallLimit));
  slot.response.Clear();
  next_(slot.random, slot.request);
  stub_->async()->Send(&*slot.context, &slot.request, &slot.response,
                       [this, &slot](const grpc::Status& status) { Answered(slot, status); });
}

void SendLoad::Answered(Slot& slot, const grpc::Status& status) {
  answered_.fetch_add(1, std::memory_order_relaxed);
  if (rate_ == 0 && status.ok() && !stops_.load(std::memory_order_relaxed)) {
    Issue(slot);
    return;
  }
  const MutexLock lock(mutex_);
  changed_.NotifyAll();
  if (rate_ > 0 && status.ok()) {
    waiting_.push_back(&slot);
    return;
  }
  if (!status.ok()) {
    error_ = "a Send failed: " + status.error_message();
    stops_.store(true);
  }
  --busy_;
}

void SendLoad::Start(double rate) {
  stops_.store(false);
  answered_.store(0);
  rate_ = rate;
  started_ = absl::Now();
  {
    const MutexLock lock(mutex_);
    busy_ = slots_.size();
    tokens_used_ = 0;
    waiting_.clear();
    if (rate_ > 0) {
      for (const auto& slot : slots_) waiting_.push_back(slot.get());
    }
  }
  if (rate_ == 0) {
    for (const auto& slot : slots_) Issue(*slot);
    return;
  }
  pacer_ = std::make_unique<std::thread>([this] {
    mutex_.Lock();
    while (!stops_.load()) {
      const double due = rate_ * absl::ToDoubleSeconds(absl::Now() - started_);
      if (waiting_.empty()) {
        changed_.WaitFor(mutex_, std::chrono::milliseconds(100));
      } else if (static_cast<double>(tokens_used_) >= due) {
        changed_.WaitFor(mutex_, std::chrono::microseconds(500));
      } else {
        ++tokens_used_;
        Slot* slot = waiting_.back();
        waiting_.pop_back();
        mutex_.Unlock();
        Issue(*slot);
        mutex_.Lock();
      }
    }
    mutex_.Unlock();
  });
}

double SendLoad::Finish() {
  const double rate = static_cast<double>(answered_.load()) / absl::ToDoubleSeconds(absl::Now() - started_);
  stops_.store(true);
  WaitForAll();
  const MutexLock lock(mutex_);
  if (!error_.empty()) throw Failure(error_);
  return rate;
}

double SendLoad::Run(absl::Duration duration) {
  Start(0);
  const absl::Time until = started_ + duration;
  {
    const MutexLock lock(mutex_);
    while (!stops_.load() && absl::Now() < until) {
      changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(std::max(until - absl::Now(), absl::ZeroDuration())));
    }
  }
  return Finish();
}

void SendLoad::WaitForAll() {
  if (pacer_) {
    pacer_->join();
    pacer_.reset();
  }
  const MutexLock lock(mutex_);
  while (busy_ > waiting_.size()) changed_.Wait(mutex_);
  busy_ = 0;
  waiting_.clear();
}

absl::Duration TimeOneSend(v1::CoroutineService::Stub& stub, const std::string& session_id) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kCallLimit));
  v1::SendRequest request;
  request.set_session_id(session_id);
  SetValue(request.mutable_value());
  v1::SendResponse response;
  const absl::Time started = absl::Now();
  const grpc::Status status = stub.Send(&context, request, &response);
  const absl::Duration took = absl::Now() - started;
  if (!status.ok()) throw Failure("a Send failed: " + status.error_message());
  if (!response.outcome().has_yielded()) throw Failure("a Send was not answered with a value");
  return took;
}

void Drive(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count,
           const std::function<void(std::uint64_t number, v1::Command& command)>& make, DriveOptions options) {
  const auto stub = v1::CoroutineService::NewStub(channel);
  grpc::ClientContext context;
  const auto stream = stub->Drive(&context);
  Mutex mutex;
  CondVar changed;
  std::uint64_t replied = 0;
  std::string error;
  bool ended = false;
  std::thread reader([&] {
    v1::DriveResponse response;
    while (stream->Read(&response)) {
      const MutexLock lock(mutex);
      for (const v1::Reply& reply : response.replies()) {
        const bool raised = reply.outcome().has_raised();
        if (reply.has_failure() || raised) error = raised ? "a step raised" : reply.failure().message();
      }
      replied += static_cast<std::uint64_t>(response.replies_size());
      changed.NotifyAll();
    }
    const MutexLock lock(mutex);
    ended = true;
    changed.NotifyAll();
  });
  std::uint64_t sent = 0;
  bool works = true;
  while (works && sent < count) {
    const std::uint64_t next = std::min(options.in_message, count - sent);
    {
      const MutexLock lock(mutex);
      while (!ended && error.empty() && sent + next > replied + options.outstanding) changed.Wait(mutex);
      works = !ended && error.empty();
    }
    v1::DriveRequest request;
    for (std::uint64_t i = 0; i < next; ++i) make(sent + i, *request.add_commands());
    works = works && stream->Write(request);
    sent += next;
  }
  stream->WritesDone();
  reader.join();
  const grpc::Status status = stream->Finish();
  if (!error.empty() || !status.ok() || replied != count) {
    throw Failure("a Drive stream failed: " + (error.empty() ? status.error_message() : error));
  }
}

void CreateAveragers(const std::shared_ptr<grpc::Channel>& channel, const std::string& kind, std::uint64_t count,
                     v1::Durability durability) {
  Drive(channel, count, [&](std::uint64_t number, v1::Command& command) {
    v1::CreateRequest& create = *command.mutable_create();
    create.set_coroutine("averager");
    create.set_session_id(SessionId(kind, number));
    create.set_prime(true);
    create.set_durability(durability);
  });
}

}  // namespace corod::bench
