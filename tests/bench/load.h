#ifndef COROD_TESTS_BENCH_LOAD_H_
#define COROD_TESTS_BENCH_LOAD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/time/time.h"
#include "corod/v1/coroutine_service.grpc.pb.h"
#include "server/base/mutex.h"

namespace grpc {
class Channel;
}

namespace corod::bench {

// A connection of its own to a server on this machine.
std::shared_ptr<grpc::Channel> Connect(const std::string& address);

// The id of session `number` of those whose ids begin with `kind`: 36 characters in an order that says nothing.
std::string SessionId(const std::string& kind, std::uint64_t number);

// Makes unary Send calls and answers each with the next one, `outstanding` at a time.
class SendLoad {
 public:
  // `next` fills in the session id of the next call.
  using Next = std::function<void(absl::BitGen&, v1::SendRequest&)>;

  SendLoad(const std::shared_ptr<grpc::Channel>& channel, int outstanding, Next next);
  ~SendLoad();
  SendLoad(const SendLoad&) = delete;
  SendLoad& operator=(const SendLoad&) = delete;

  // Calls a second while it ran for `duration`. Fails if a call does.
  double Run(absl::Duration duration);

  // The same until Finish, in the background, at most `rate` calls a second (0: as many as possible).
  void Start(double rate);
  // Calls a second since Start.
  double Finish();

 private:
  struct Slot;

  void Issue(Slot& slot);
  void Answered(Slot& slot, const grpc::Status& status);
  // Waits for the last answer.
  void WaitForAll();

  const std::unique_ptr<v1::CoroutineService::Stub> stub_;
  const Next next_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::atomic<bool> stops_ = false;
  std::atomic<std::uint64_t> answered_ = 0;
  absl::Time started_;
  double rate_ = 0;
  Mutex mutex_;
  CondVar changed_;
  std::size_t busy_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t tokens_used_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Slot*> waiting_ ABSL_GUARDED_BY(mutex_);  // for their turn, at a limited rate
  std::string error_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<std::thread> pacer_;
};

// How long one Send to `session_id` takes, as its caller sees it. Fails if the call does.
absl::Duration TimeOneSend(v1::CoroutineService::Stub& stub, const std::string& session_id);

// Sends `count` commands over one Drive stream, `in_message` in a message and at most `outstanding` without a reply,
// and waits for all replies. `make` fills in command `number`. Fails if a command is refused.
struct DriveOptions {
  std::uint64_t in_message = 500;
  std::uint64_t outstanding = 4'000;
};
void Drive(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count,
           const std::function<void(std::uint64_t number, v1::Command& command)>& make, DriveOptions options = {});

// Makes and primes sessions 0 to before `count` of averager with the ids SessionId(kind, ...).
void CreateAveragers(const std::shared_ptr<grpc::Channel>& channel, const std::string& kind, std::uint64_t count,
                     v1::Durability durability);

}  // namespace corod::bench

#endif  // COROD_TESTS_BENCH_LOAD_H_
