#ifndef COROD_SERVER_RPC_TRANSFER_STREAMS_H_
#define COROD_SERVER_RPC_TRANSFER_STREAMS_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>
#include <utility>

#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"
#include "server/rpc/access.h"
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
  ExportStream() = default;
  void Write(std::string part, std::function<void(bool)> taken);

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
  ImportStream(Sessions& sessions, absl::StatusOr<Caller> caller, grpc::ByteBuffer* response)
      : sessions_(sessions), caller_(std::move(caller)), response_(response) {}

  Sessions& sessions_;
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
