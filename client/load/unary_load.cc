#include "client/load/unary_load.h"

#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <thread>
#include <utility>

#include "client/cpp/service_error.h"
#include "server/base/mutex.h"

namespace corod::load {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

struct Slot {
  std::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
  grpc::ByteBuffer response;
  grpc::Status status;
  SteadyClock::time_point started;
};

}  // namespace

// The calls of one run. One thread makes them, one (the same, or another) takes the answers.
class UnaryLoad::Calls {
 public:
  Calls(UnaryLoad& load, std::size_t slots) : slots(slots), load_(load), stub_(load.channel_) {}
  ~Calls() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  void Issue(Slot& slot, SteadyClock::time_point started) {
    const grpc::ByteBuffer& request = load_.requests_[load_.next_];
    if (++load_.next_ == load_.requests_.size()) load_.next_ = 0;
    slot.started = started;
    slot.context.emplace();
    slot.reader = stub_.PrepareUnaryCall(&*slot.context, load_.options_.method, request, &queue_);
    slot.reader->StartCall();
    slot.reader->Finish(&slot.response, &slot.status, &slot);
  }

  // The next call that was answered; nullptr: none for kLook.
  Slot* Next() {
    void* tag = nullptr;
    bool ok = false;
    if (queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + kLook) != grpc::CompletionQueue::GOT_EVENT) {
      return nullptr;
    }
    return static_cast<Slot*>(tag);
  }

  void Take(const Slot& slot, SteadyClock::time_point now) {
    if (!slot.status.ok() && load_.options_.refusal == Refusal::kIsCounted) {
      if (std::string reason = client::ErrorOf(client::StatusOf(slot.status)).reason; !reason.empty()) {
        ++found.refused[std::move(reason)];
        return;
      }
    }
    found.latencies.Add(absl::FromChrono(now - slot.started));
    ++found.commands;
    ++found.messages;
  }
  // Remembers the first answer that is wrong.
  bool IsFine(Slot& slot) {
    absl::Status status;
    if (!slot.status.ok()) {
      status = client::StatusOf(slot.status);
      if (absl::IsNotFound(status) && load_.options_.absent == Absent::kIsFine) return true;
      if (load_.options_.refusal == Refusal::kIsCounted && !client::ErrorOf(status).reason.empty()) return true;
    } else if (load_.options_.check != kAnyAnswer) {
      status = load_.options_.check(slot.response);
    }
    if (error.ok()) error.Update(status);
    return status.ok();
  }

  // Whether nothing has come since `last` for longer than anybody waits. Then the calls are given up.
  bool IsSilent(SteadyClock::time_point last) {
    if (SteadyClock::now() - last < kPatience) return false;
    if (error.ok()) error = absl::DeadlineExceededError("the server does not answer");
    for (Slot& slot : slots) {
      if (slot.context) slot.context->TryCancel();
    }
    return true;
  }

  std::vector<Slot> slots;
  Found found;
  absl::Status error;

 private:
  UnaryLoad& load_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
};

UnaryLoad::UnaryLoad(std::shared_ptr<grpc::Channel> channel, std::vector<grpc::ByteBuffer> requests, Options options)
    : channel_(std::move(channel)), requests_(std::move(requests)), options_(std::move(options)) {}

UnaryLoad::~UnaryLoad() = default;

absl::StatusOr<Found> UnaryLoad::Run(absl::Duration duration) { return RunClosed(duration, kNoLimit); }

absl::StatusOr<Found> UnaryLoad::RunOnce() {
  next_ = 0;
  return RunClosed(absl::InfiniteDuration(), requests_.size());
}

absl::StatusOr<Found> UnaryLoad::RunClosed(absl::Duration duration, std::uint64_t count) {
  Calls calls(*this, static_cast<std::size_t>(options_.outstanding));
  const SteadyClock::time_point begin = SteadyClock::now();
  const std::chrono::nanoseconds limit = absl::ToChronoNanoseconds(duration);
  SteadyClock::time_point now = begin;
  std::uint64_t under_way = 0;
  std::uint64_t issued = 0;
  for (Slot& slot : calls.slots) {
    if (issued == count) break;
    calls.Issue(slot, SteadyClock::now());
    ++issued;
    ++under_way;
  }
  bool stopping = false;
  SteadyClock::time_point end = begin;
  while (under_way > 0) {
    Slot* slot = calls.Next();
    if (slot) now = SteadyClock::now();
    if (!slot && calls.IsSilent(now)) stopping = true;
    if (!stopping && stopped_.load(std::memory_order_relaxed)) stopping = true;
    if (!slot) continue;
    --under_way;
    if (!calls.IsFine(*slot)) stopping = true;
    if (stopping) continue;
    calls.Take(*slot, now);
    end = now;
    if (now - begin >= limit) {
      stopping = true;
    } else if (issued < count) {
      calls.Issue(*slot, now);
      ++issued;
      ++under_way;
    }
  }
  stopped_.store(false);
  if (!calls.error.ok()) return calls.error;
  calls.found.took = absl::FromChrono(end - begin);
  return std::move(calls.found);
}

absl::StatusOr<Found> UnaryLoad::RunAtRate(absl::Duration duration, double rate) {
  Calls calls(*this, options_.most_at_rate);
  Mutex mutex;
  CondVar changed;
  std::vector<Slot*> free;
  free.reserve(calls.slots.size());
  for (Slot& slot : calls.slots) free.push_back(&slot);
  std::atomic<bool> stopping = false;
  std::atomic<std::uint64_t> under_way = 0;
  std::atomic<bool> paced = false;
  std::uint64_t dropped = 0;  // the pacer's
  const SteadyClock::time_point begin = SteadyClock::now();
  const std::chrono::nanoseconds limit = absl::ToChronoNanoseconds(duration);

  std::thread pacer([&] {
    prctl(PR_SET_TIMERSLACK, 1UL);  // else it would wake 50 us late
    const std::chrono::duration<double, std::nano> interval(1e9 / rate);
    for (std::uint64_t number = 0; !stopping; ++number) {
      const auto after = std::chrono::duration_cast<std::chrono::nanoseconds>(interval * static_cast<double>(number));
      if (after >= limit) break;
      if (SteadyClock::now() < begin + after) std::this_thread::sleep_until(begin + after);
      if (stopping) break;
      Slot* slot = nullptr;
      bool waited = false;
      {
        const MutexLock lock(mutex);
        waited = free.empty();
        while (free.empty() && !stopping) changed.WaitFor(mutex, kLook);
        if (free.empty()) break;
        slot = free.back();
        free.pop_back();
      }
      if (waited && options_.beyond == Beyond::kIsDropped) {
        // Those that came due while it waited for room are not made, but for the last.
        const auto due = static_cast<std::uint64_t>((SteadyClock::now() - begin) / interval);
        dropped += std::max(due, number) - number;
        number = std::max(due, number);
      }
      ++under_way;
      calls.Issue(*slot,
                  begin + std::chrono::duration_cast<std::chrono::nanoseconds>(interval * static_cast<double>(number)));
    }
    paced = true;
  });

  SteadyClock::time_point now = begin;
  while (!paced || under_way > 0) {
    Slot* slot = calls.Next();
    if (slot) now = SteadyClock::now();
    if (!slot && under_way > 0 && paced && calls.IsSilent(now)) stopping = true;
    if (stopped_.load(std::memory_order_relaxed)) stopping = true;
    if (!slot) continue;
    if (calls.IsFine(*slot)) {
      calls.Take(*slot, now);
    } else {
      stopping = true;
    }
    {
      const MutexLock lock(mutex);
      free.push_back(slot);
    }
    changed.NotifyOne();
    --under_way;
  }
  pacer.join();
  stopped_.store(false);
  if (!calls.error.ok()) return calls.error;
  calls.found.dropped = dropped;
  calls.found.took = absl::FromChrono(std::max<std::chrono::nanoseconds>(now - begin, std::chrono::nanoseconds(1)));
  return std::move(calls.found);
}

}  // namespace corod::load
