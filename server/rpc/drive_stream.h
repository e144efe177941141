#ifndef COROD_SERVER_RPC_DRIVE_STREAM_H_
#define COROD_SERVER_RPC_DRIVE_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "corod/v1/coroutine_service.pb.h"
#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"
#include "server/rpc/hot_messages.h"
#include "server/session/command.h"
#include "server/session/sessions.h"

namespace corod::rpc {

class DriveCommand;

// One Drive call: reads commands, hands each to its session in stream order, and writes the replies as they come, as
// many in a message as there are. Replies of one session keep its order.
//
// A Send that asks for nothing but its step is taken at once if nothing stands in its way (Session::BeginSend); its
// reply waits in replies_. All others go through the lane of their session, which remembers whether one failed (those
// behind it fail with PREDECESSOR_FAILED until one carries `resume`) and holds a create back until what stands before
// it is answered. When too much is under way or unread the stream stops reading. When the call breaks, what has not
// started is dropped.
//
// Lives until gRPC is done with it and the last command is answered.
class DriveStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>, public ReferenceCounted {
 public:
  static DriveStream* Start(Sessions& sessions, grpc::CallbackServerContext* context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  friend class DriveCommand;

  // The commands of one session on this stream.
  struct Lane {
    explicit Lane(std::string id) : session_id(std::move(id)) {}
    const std::string session_id;
    SessionPtr session;                 // that of the last command; used while it has commands under way
    std::size_t under_way = 0;          // handed to the session and not answered
    std::deque<DriveCommand*> waiting;  // behind those
    bool handing_over = false;          // a thread is in HandOver
    bool creating = false;              // what is under way is a create
    std::atomic<bool> failed = false;   // a command failed, and none carried `resume` since
  };

  DriveStream(Sessions& sessions, grpc::CallbackServerContext* context);

  void Process(std::string_view bytes);
  void ProcessSome(const std::string_view* commands, std::size_t count, absl::Time& now);
  bool MayTakeAtOnce(absl::Time now) const;
  // A Send for `session`, or for the session of the command before. False: it needs a lane.
  bool TakeAtOnce(PlainSend& send, SessionPtr session, absl::Time& now);
  // The same, when the session has begun it.
  void TakeBegun(PlainSend& send, SessionPtr session, Reply& reply, absl::Time& now);
  void AcceptBytes(std::string_view command);
  // Puts replies_ behind what is to be written.
  void PassOnReplies();
  void Accept(const v1::Command& proto, const absl::Status& unreadable);
  // Reads what the command is to do; an error is what it is refused for.
  absl::Status ReadOperation(const v1::Command& proto, DriveCommand& command);
  void Enqueue(const std::string& session_id, DriveCommand* command);
  void HandOver(Lane* lane);
  void Dispatch(Lane* lane, DriveCommand* command);
  // `reply`: an element of DriveResponse.replies, as bytes.
  void Answered(Lane* lane, std::string_view reply);
  void AddUnwritten(std::string_view replies) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Frees a lane that says nothing.
  void ForgetIfIdle(Lane* lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteOrFinish();
  bool MayRead() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Sessions& sessions_;
  const absl::Time deadline_;
  IntrusivePtr<DriveStream> held_by_grpc_;
  grpc::ByteBuffer in_;
  grpc::ByteBuffer out_;
  std::atomic<bool> cancelled_ = false;

  // For the thread that reads.
  std::string previous_id_;      // of the command before
  SessionPtr previous_session_;  // of that id, if it was taken at once
  std::string replies_;

  std::atomic<std::size_t> lane_count_ = 0;  // of lanes_, to which only the thread that reads adds

  Mutex mutex_;
  absl::flat_hash_map<std::string, std::unique_ptr<Lane>> lanes_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> unwritten_ ABSL_GUARDED_BY(mutex_);  // messages
  std::size_t unwritten_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t open_ ABSL_GUARDED_BY(mutex_) = 0;     // commands that came and were not answered
  bool processing_ ABSL_GUARDED_BY(mutex_) = false;  // replies wait until the message is through
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool read_all_ ABSL_GUARDED_BY(mutex_) = false;  // the client sends no more
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);  // what the call ends with
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_DRIVE_STREAM_H_
