#ifndef COROD_SERVER_RPC_TRANSFER_STREAMS_H_
#define COROD_SERVER_RPC_TRANSFER_STREAMS_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"
#include "server/rpc/access.h"
#include "server/rpc/call_counter.h"
#include "server/session/sessions.h"

namespace corod::rpc {

// One Export call. The log is read on when the client has taken a part, so that few parts are in memory.
class ExportStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public ReferenceCounted {
 public:
  static ExportStream* Start(Sessions& sessions, const Access& access, grpc::CallbackServerContext* context,
                             const grpc::ByteBuffer& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  explicit ExportStream(Sessions& sessions)
      : sessions_(sessions), counter_(sessions.metrics(), metrics::Rpc::kExport), arrived_(sessions.Now()) {}
  void End(const absl::Status& status);
  void Write(std::string part, std::function<void(bool)> taken);

  Sessions& sessions_;
  CallCounter counter_;
  const absl::Time arrived_;
  std::string session_id_;                              // as the client calls it
  const metrics::CommandCounters* counters_ = nullptr;  // when it is known whose log it is
  IntrusivePtr<ExportStream> held_by_grpc_;
  grpc::ByteBuffer out_;
  Mutex mutex_;
  std::function<void(bool)> taken_ ABSL_GUARDED_BY(mutex_);  // of the part that is being written
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
};

// One Import call: collects the file, then imports it.
class ImportStream final : public grpc::ServerReadReactor<grpc::ByteBuffer>, public ReferenceCounted {
 public:
  static ImportStream* Start(Sessions& sessions, const Access& access, grpc::CallbackServerContext* context,
                             grpc::ByteBuffer* response);

  void OnReadDone(bool ok) override;
  void OnDone() override;

 private:
  ImportStream(Sessions& sessions, absl::StatusOr<Caller> caller, grpc::ByteBuffer* response);
  void Refuse(const absl::Status& status);

  Sessions& sessions_;
  CallCounter counter_;
  const absl::Time arrived_;
  const absl::StatusOr<Caller> caller_;
  grpc::ByteBuffer* const response_;
  IntrusivePtr<ImportStream> held_by_grpc_;
  grpc::ByteBuffer in_;
  std::string file_;
  std::string session_id_;
  bool first_ = true;
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_TRANSFER_STREAMS_H_
