#ifndef COROD_CLIENT_CPP_READ_CALL_H_
#define COROD_CLIENT_CPP_READ_CALL_H_

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "server/base/mutex.h"

namespace corod::client {

// One call of an RPC that asks once and is answered by a stream. For one thread; all methods but Cancel block.
template <typename Response>
class ReadCall {
 public:
  virtual ~ReadCall() = default;
  // False: nothing more will come, and Finish says why.
  virtual bool Read(Response* response) = 0;
  // How the call ended. REQUIRES: Read returned false.
  virtual absl::Status Finish() = 0;
  // Ends the call soon. Safe from any thread, as long as the object lives.
  virtual void Cancel() = 0;
};

// The calls that a stream makes one after another, all of which one Cancel ends. One thread uses it; any may Cancel.
template <typename Response>
class ReadCalls {
 public:
  ReadCalls() = default;
  // Cancels the call that is open.
  ~ReadCalls() {
    Cancel();
    Response unread;
    while (Read(&unread)) {
    }
  }
  ReadCalls(const ReadCalls&) = delete;
  ReadCalls& operator=(const ReadCalls&) = delete;

  // REQUIRES: none is open.
  void Open(std::unique_ptr<ReadCall<Response>> call) {
    MutexLock lock(mutex_);
    call_ = std::move(call);
    if (cancelled_) call_->Cancel();
  }
  bool is_open() const {
    MutexLock lock(mutex_);
    return call_ != nullptr;
  }
  // False: no call is open any more, and `status` says how the last one ended.
  bool Read(Response* response) {
    ReadCall<Response>* call = nullptr;
    {
      MutexLock lock(mutex_);
      call = call_.get();
    }
    if (call == nullptr) return false;
    if (call->Read(response)) return true;
    absl::Status ended = call->Finish();
    MutexLock lock(mutex_);
    status_ = std::move(ended);
    call_ = nullptr;
    return false;
  }
  absl::Status status() const {
    MutexLock lock(mutex_);
    return cancelled_ ? absl::CancelledError("the stream was cancelled") : status_;
  }
  void Cancel() {
    MutexLock lock(mutex_);
    cancelled_ = true;
    if (call_ != nullptr) call_->Cancel();
  }
  bool cancelled() const {
    MutexLock lock(mutex_);
    return cancelled_;
  }

 private:
  mutable Mutex mutex_;
  std::unique_ptr<ReadCall<Response>> call_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_READ_CALL_H_
