#ifndef COROD_SERVER_RPC_WATCH_STREAM_H_
#define COROD_SERVER_RPC_WATCH_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"
#include "server/rpc/access.h"
#include "server/rpc/call_counter.h"
#include "server/rpc/open_streams.h"
#include "server/session/sessions.h"

namespace corod::rpc {

// One Watch call: writes what its Watch has, one event after the other, as fast as the client reads. Lives until gRPC
// and the Watch are done with it.
class WatchStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public OpenStream {
 public:
  static WatchStream* Start(Sessions& sessions, const Access& access, OpenStreams& streams,
                            grpc::CallbackServerContext* context, const grpc::ByteBuffer& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Look(absl::Time now, absl::Duration timeout) override;

 private:
  WatchStream(Sessions& sessions, OpenStreams& streams, grpc::CallbackServerContext* context);

  // It does not begin.
  void CountRefusal(const absl::Status& status) const;
  void Begun(absl::StatusOr<std::shared_ptr<Watch>> watch);
  // Writes the next event, or ends the call, if it can.
  void Pump();

  Sessions& sessions_;
  OpenStreams& streams_;
  grpc::CallbackServerContext* const context_;  // until OnDone
  CallCounter counter_;
  const absl::Time arrived_;
  Account* account_ = nullptr;  // that counts it
  std::string session_id_;      // as the client calls it
  Admission admission_;         // for whoever looks
  IntrusivePtr<WatchStream> held_by_grpc_;
  grpc::ByteBuffer out_;

  Mutex mutex_;
  std::shared_ptr<Watch> watch_ ABSL_GUARDED_BY(mutex_);
  bool starting_ ABSL_GUARDED_BY(mutex_) = false;  // the call's metadata are being sent, nothing else may be yet
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool looking_ ABSL_GUARDED_BY(mutex_) = false;  // Look uses the context: do not finish yet
  bool told_ ABSL_GUARDED_BY(mutex_) = false;     // that it reads too slowly
  Progress progress_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_WATCH_STREAM_H_
