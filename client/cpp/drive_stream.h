#ifndef COROD_CLIENT_CPP_DRIVE_STREAM_H_
#define COROD_CLIENT_CPP_DRIVE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "client/cpp/connection.h"
#include "client/cpp/drive_call.h"
#include "corod/v1/coroutine_service.pb.h"
#include "server/base/mutex.h"

namespace corod::client {

struct DriveOptions {
  // How many commands, and how many bytes of them, may be pushed whose replies were not read.
  int max_commands = 1000;
  std::size_t max_bytes = std::size_t{4} << 20;
};

// Commands pipelined over the Drive RPC: Push them, Read the replies. Commands that come while the network is busy
// travel together.
//
//     DriveStream stream(connection);
//     // One thread:                                       // Another one:
//     for (v1::Command& command : commands) {              while (true) {
//       if (!stream.Push(std::move(command)).ok()) break;    auto reply = stream.Read();
//     }                                                      if (!reply.ok() || !*reply) break;
//     stream.End();                                          Use(**reply);  // (*reply)->tag() is the command's
//                                                          }
//
// Each command has one reply. Those of one session come in its order, of several in any. A command's `tag` is the
// caller's own and need not be unique.
//
// When the call breaks with UNAVAILABLE, the stream opens another one and sends again what has no reply, with the same
// request ids, so that each command still happens once. It does not once a command was refused (what follows a refused
// command must not happen), and not if a command has no request_id; then Read and Push return the failure.
//
// Thread safety: any one thread pushes, any one reads, and any may Cancel. A thread that does both must not push more
// than DriveOptions allow without reading.
class DriveStream {
 public:
  explicit DriveStream(std::shared_ptr<Connection> connection, DriveOptions options = {});
  // Cancels what is under way.
  ~DriveStream();
  DriveStream(const DriveStream&) = delete;
  DriveStream& operator=(const DriveStream&) = delete;

  // Sends `command` soon; waits while too many are under way. An empty session_id stands for that of the command
  // before; a request_id is added if the connection's are automatic. Returns why the stream has ended if it has, else
  // OK, which does not say that the command arrived. REQUIRES: not after End. Idempotency: happens once while the
  // connection's request ids are automatic.
  absl::Status Push(v1::Command command);

  // No Push follows.
  void End();

  // The next reply; waits for it. nullopt: End was called and every command has had its reply. A failure is final.
  absl::StatusOr<std::optional<v1::Reply>> Read();

  // Whether Read would return a reply at once. For the thread that reads.
  bool HasReply() const { return !replies_.empty(); }

  // Ends the stream soon: a Push or Read that waits, and all that follow, return CANCELLED. Commands that have not
  // started are dropped.
  void Cancel();

 private:
  // A command without a reply.
  struct Pending {
    v1::Command command;  // with `tag` as on the wire
    std::uint64_t tag;    // the caller's
    std::size_t bytes;
  };

  bool IsFull(std::size_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives `command` its number and what it leaves to the stream.
  void Complete(v1::Command* command) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteLoop();
  // Moves what may travel together from pending_ on into `request`.
  void Gather(v1::DriveRequest* request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes over what one message of replies answers. INTERNAL for a reply to no command.
  absl::Status Take(v1::DriveResponse response);
  // After the call broke: opens another one, or ends the stream.
  void Recover();
  bool IsResumable() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `why`: what Push and Read return from now on.
  void EndWith(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<Connection> connection_;
  const DriveOptions options_;
  const std::string request_id_prefix_;

  Mutex mutex_;
  CondVar changed_;
  std::unique_ptr<DriveCall> call_;  // replaced under the mutex by the reader while the writer does not use it
  bool call_works_ ABSL_GUARDED_BY(mutex_) = true;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;  // the writer uses call_
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;      // by End
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;  // by Cancel
  bool refused_ ABSL_GUARDED_BY(mutex_) = false;    // a command was
  // Set when the stream has ended: OK after End and every reply.
  std::optional<absl::Status> result_ ABSL_GUARDED_BY(mutex_);
  // By number, which is the tag on the wire and counts up.
  std::map<std::uint64_t, Pending> pending_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t last_written_ ABSL_GUARDED_BY(mutex_) = 0;  // on the present call
  std::string session_id_ ABSL_GUARDED_BY(mutex_);          // of the last command
  // Pushed and not read yet.
  int commands_under_way_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t bytes_under_way_ ABSL_GUARDED_BY(mutex_) = 0;

  // The reader's own.
  struct Answered {
    v1::Reply reply;
    std::size_t bytes;  // of the command
  };
  std::deque<Answered> replies_;
  Retry retry_;

  std::thread writer_;
};

}  // namespace corod::client

#endif  // COROD_CLIENT_CPP_DRIVE_STREAM_H_
