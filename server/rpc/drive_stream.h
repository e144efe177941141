#ifndef COROD_SERVER_RPC_DRIVE_STREAM_H_
#define COROD_SERVER_RPC_DRIVE_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "corod/v1/coroutine_service.pb.h"
#include "server/base/completion_scope.h"
#include "server/base/intrusive_ptr.h"
#include "server/base/mutex.h"
#include "server/rpc/access.h"
#include "server/rpc/call_counter.h"
#include "server/rpc/drive_lanes.h"
#include "server/rpc/hot_messages.h"
#include "server/rpc/open_streams.h"
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
// it is answered. Plain Sends get there without protobuf's objects, some at a time; the sessions that nobody runs are
// run when they have all that the message brings for them. When too much is under way or unread the stream stops
// reading. When the call breaks, what has not started is dropped. A client that sends and does not read is told so, and
// cut off.
//
// Replies that one thread gives together (CompletionScope) are written together.
//
// Lives until gRPC is done with it and the last command is answered.
class DriveStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                          public OpenStream,
                          private CompletionScope::Deferred {
 public:
  static grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Start(Sessions& sessions, const Access& access,
                                                                            OpenStreams& streams,
                                                                            grpc::CallbackServerContext* context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void Look(absl::Time now, absl::Duration timeout) override;

 private:
  friend class DriveCommand;
  friend class IntrusivePtr<DriveStream>;
  class Plan;
  class Plans;
  // What is to be done next, by whoever found it out.
  struct Next {
    bool read = false;
    bool write = false;
    bool finish = false;
  };

  DriveStream(Sessions& sessions, Caller caller, Admission admission, OpenStreams& streams,
              const metrics::Metrics& metrics, const CallCounter& counter, grpc::CallbackServerContext* context);
  ~DriveStream() override;

  // What the session is called where it is kept, for as long as the message is read.
  std::string_view Qualify(std::string_view session_id);

  // For the thread that reads.
  void Process(std::string_view bytes);
  // Plain Sends in their order.
  void TakePlain(Plans& plans, absl::Time& now);
  bool MayTakeAtOnce(absl::Time now) const;
  // When its session has begun it.
  void TakeBegun(Plan& plan, absl::Time& now);
  // Puts those with a command into their lanes.
  void PutIntoLanes(Plans& plans);
  void AcceptBytes(std::string_view command);
  void Accept(const v1::Command& proto, const absl::Status& unreadable);
  // Reads what the command is to do; an error is what it is refused for.
  absl::Status ReadOperation(const v1::Command& proto, DriveCommand& command);
  void PutIntoLane(std::string_view session_id, DriveCommand* command);
  // What is to become of a command that has come into its lane.
  enum class Way : std::uint8_t {
    kWaits,
    kToSession,  // it is counted as under way: Enqueue
    kAlone,      // the same: Dispatch
  };
  // `found`: the session, if it was looked for.
  Way PlaceInLane(DriveCommand* command, SessionPtr found) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Go(Way way, DriveCommand* command);
  // Into the queue of the lane's session, which is held if nobody runs it.
  void Enqueue(DriveCommand* command);
  // Runs the sessions in held_.
  void RunHeld();
  DriveCommand* NewCommand(std::uint64_t tag);
  // Takes what was returned into the pool.
  void Refill() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes replies_ the message that is written. False: something is before them, or they are better not copied.
  bool WriteReplies() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Puts replies_ behind what is to be written.
  void AddUnwritten() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Hands to the session what waits. REQUIRES: lane->handing_over, set by the caller.
  void HandOver(DriveLane* lane);
  // False: the session has left memory, and the command is to be alone.
  bool Dispatch(DriveCommand* command);
  // It waits in its lane.
  void PutBehind(DriveLane& lane, DriveCommand* command) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes back a command that the session did not take: it is to be alone. It is not in the lane then.
  void TakeBack(DriveCommand* command) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The command is answered, and is the stream's again. `append` appends an element of DriveResponse.replies to a text.
  template <typename Append>
  void Answered(DriveCommand* command, const Append& append);
  void RunDeferred() override;
  bool IsProcessing() const { return (reads_.load(std::memory_order_relaxed) & kProcessing) != 0; }
  bool MayRead() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Reads no more; what was read goes on, and then the call ends with that.
  Next Shut(const absl::Status& end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same, if it does not end already.
  void EndWith(const absl::Status& status);
  // What is to be done now; the caller does it (Do) without the lock.
  Next Decide() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(const Next& next);

  Sessions& sessions_;
  const Caller caller_;
  Admission admission_;  // for whoever looks
  OpenStreams& streams_;
  const metrics::Metrics& metrics_;
  CallCounter counter_;
  grpc::CallbackServerContext* const context_;  // until OnDone
  const std::string traceparent_;
  const absl::Time deadline_;
  IntrusivePtr<DriveStream> held_by_grpc_;
  grpc::ByteBuffer in_;
  grpc::ByteBuffer out_;
  std::atomic<bool> cancelled_ = false;
  // Whether a message is being processed, until which replies wait (set by the thread that reads, cleared with the
  // lock), and whether no other is to be (set with the lock). In one, so that none is processed behind the end.
  static constexpr std::uint8_t kProcessing = 1, kShut = 2;
  std::atomic<std::uint8_t> reads_ = 0;

  // For the thread that reads.
  absl::Time arrived_;                      // the message
  AnswerTally tally_{counter_};             // of what is answered at once
  std::vector<std::string_view> commands_;  // of the message
  std::deque<std::string> qualified_;       // ids of its commands that are called otherwise where they are kept
  std::string previous_id_;                 // of the command before, or of the one before the message
  std::string_view previous_;               // of the command before
  std::string replies_;
  DriveLanes lanes_;
  bool used_lanes_ = false;          // by this message
  std::vector<SessionPtr> held_;     // Session::Enqueue gave them to this thread
  std::vector<DriveCommand*> pool_;  // commands that are not in use

  Mutex mutex_;
  std::deque<std::string> unwritten_ ABSL_GUARDED_BY(mutex_);  // messages
  std::size_t unwritten_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t message_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of the last message that was written
  std::size_t open_ ABSL_GUARDED_BY(mutex_) = 0;           // commands that came and were not answered
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool reading_ ABSL_GUARDED_BY(mutex_) = true;
  bool read_all_ ABSL_GUARDED_BY(mutex_) = false;  // the client sends no more
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool cut_ ABSL_GUARDED_BY(mutex_) = false;        // nothing more is said, since nobody reads it
  bool looking_ ABSL_GUARDED_BY(mutex_) = false;    // Look uses the context: do not finish yet
  int reads_to_start_ ABSL_GUARDED_BY(mutex_) = 0;  // by RunDeferred: the same
  Progress progress_ ABSL_GUARDED_BY(mutex_);
  IntrusivePtr<DriveStream> deferred_ ABSL_GUARDED_BY(mutex_);   // set while RunDeferred is to come
  std::vector<DriveCommand*> returned_ ABSL_GUARDED_BY(mutex_);  // for the pool
  absl::Status end_ ABSL_GUARDED_BY(mutex_);                     // what the call is to end with, as it stands
  absl::Status ended_with_;                                      // the same, for whoever finishes
};

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_DRIVE_STREAM_H_
