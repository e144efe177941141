#ifndef COROD_CLIENT_LOAD_SESSIONS_H_
#define COROD_CLIENT_LOAD_SESSIONS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/load/messages.h"
#include "corod/v1/coroutine_service.pb.h"

namespace grpc {
class Channel;
}

// The sessions that a load is sent to.
namespace corod::load {

// The id of session `number` of a kind: a UUID as text, in an order that says nothing.
std::string SessionId(const std::string& kind, std::uint64_t number);

struct SendOptions {
  std::uint64_t in_message = 500;
  std::uint64_t outstanding = 4'000;           // commands without a reply; at least `in_message`
  const std::atomic<bool>* stopped = nullptr;  // once it is true, no further message is sent
};

// What came of commands that were sent once.
struct Sent {
  // How many were; each may have happened if `status` is not OK, and has if it is.
  std::uint64_t commands = 0;
  // The first that is wrong: of the stream, a command that was refused, an outcome that is no yield.
  absl::Status status;
};

// Sends commands 0 to before `count` over one Drive stream and waits for their replies. `make` fills in each.
Sent SendOnce(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count,
              const std::function<void(std::uint64_t number, v1::Command& command)>& make,
              const SendOptions& options = {});

// Makes sessions 0 to before `count`, as `model` says but for their ids.
Sent CreateSessions(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count, const v1::CreateRequest& model,
                    const IdOf& id_of, const SendOptions& options = {});

// Deletes those of sessions 0 to before `count` that are there.
absl::Status DeleteSessions(const std::shared_ptr<grpc::Channel>& channel, std::uint64_t count, const IdOf& id_of);

}  // namespace corod::load

#endif  // COROD_CLIENT_LOAD_SESSIONS_H_
