#ifndef COROD_SERVER_RPC_TRANSFER_STREAMS_H_
#define COROD_SERVER_RPC_TRANSFER_STREAMS_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"
#include "server/rpc/access.h"
#include "server/rpc/call_counter.h"
#include "server/rpc/open_streams.h"
#include "server/session/sessions.h"

namespace corod::rpc {

// One Export call. The log is read on when the client has taken a part, so that few parts are in memory.
class ExportStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public OpenStream {
 public:
  static ExportStream* Start(Sessions& sessions, const Access& access, OpenStreams& streams,
                             grpc::CallbackServerContext* context, const grpc::ByteBuffer& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Look(absl::Time now, absl::Duration timeout) override;

 private:
  ExportStream(Sessions& sessions, OpenStreams& streams, grpc::CallbackServerContext* context)
      : sessions_(sessions),
        streams_(streams),
        context_(context),
        counter_(sessions.metrics(), metrics::Rpc::kExport),
        arrived_(sessions.Now()) {}
  // Says how it went; the reason for which it was to end goes before.
  void End(const absl::Status& status);
  void Write(std::string part, std::function<void(bool)> taken);
  // Nothing more is written, and the call is to end with that.
  void Stop(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Sessions& sessions_;
  OpenStreams& streams_;
  grpc::CallbackServerContext* const context_;  // until OnDone
  CallCounter counter_;
  const absl::Time arrived_;
  Account* account_ = nullptr;                          // that counts it
  std::string session_id_;                              // as the client calls it
  const metrics::CommandCounters* counters_ = nullptr;  // when it is known whose log it is
  Admission admission_;                                 // for whoever looks
  IntrusivePtr<ExportStream> held_by_grpc_;
  grpc::ByteBuffer out_;
  Mutex mutex_;
  std::function<void(bool)> taken_ ABSL_GUARDED_BY(mutex_);  // of the part that is being written
  absl::Status stopped_ ABSL_GUARDED_BY(mutex_);
  bool written_ ABSL_GUARDED_BY(mutex_) = false;  // the part is, while Look uses the context
  bool looking_ ABSL_GUARDED_BY(mutex_) = false;  // it does: do not finish yet
  bool told_ ABSL_GUARDED_BY(mutex_) = false;     // that it reads too slowly
  bool cut_ ABSL_GUARDED_BY(mutex_) = false;      // the call was cancelled, since its client reads nothing at all
  Progress progress_ ABSL_GUARDED_BY(mutex_);
};

// What files that are being imported take in memory, all callers' together. Thread-safe.
class ImportRoom {
 public:
  // For one, and for all at a time.
  static constexpr std::size_t kBytes = std::size_t{1} << 30;

  // OVERLOADED: there is no room for so many more now.
  absl::Status Take(std::size_t bytes);
  void Give(std::size_t bytes) { taken_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> taken_{0};
};

// One Import call: collects the file, then imports it. A client that sends nothing for too long is told so.
class ImportStream final : public grpc::ServerReadReactor<grpc::ByteBuffer>, public OpenStream {
 public:
  static ImportStream* Start(Sessions& sessions, const Access& access, OpenStreams& streams, ImportRoom& room,
                             grpc::CallbackServerContext* context, grpc::ByteBuffer* response);

  void OnReadDone(bool ok) override;
  void OnDone() override;
  void Look(absl::Time now, absl::Duration timeout) override;

 private:
  ImportStream(Sessions& sessions, OpenStreams& streams, ImportRoom& room, grpc::CallbackServerContext* context,
               grpc::ByteBuffer* response)
      : sessions_(sessions),
        streams_(streams),
        room_(room),
        context_(context),
        counter_(sessions.metrics(), metrics::Rpc::kImport),
        arrived_(sessions.Now()),
        response_(response) {}
  // Adds what the message brings to the file.
  absl::Status Collect();
  void Import();
  // Gives back what the file was charged to the namespace for.
  void Uncharge();
  // Ends it, unless it has ended.
  void Refuse(const absl::Status& status);
  void Finished(const absl::Status& status, const std::string& session_id);

  Sessions& sessions_;
  OpenStreams& streams_;
  ImportRoom& room_;
  grpc::CallbackServerContext* const context_;  // until OnDone
  CallCounter counter_;
  const absl::Time arrived_;
  std::optional<Caller> caller_;  // if he is let in
  Admission admission_;           // for whoever looks
  grpc::ByteBuffer* const response_;
  IntrusivePtr<ImportStream> held_by_grpc_;
  grpc::ByteBuffer in_;
  std::string file_;
  std::size_t taken_ = 0;    // of the room
  std::size_t charged_ = 0;  // to the namespace
  bool first_ = true;
  Mutex mutex_;
  std::string session_id_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  Progress progress_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_TRANSFER_STREAMS_H_
