#ifndef COROD_SERVER_RPC_HOT_MESSAGES_H_
#define COROD_SERVER_RPC_HOT_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/coroutine/value.h"
#include "server/session/command.h"

// The messages of every step, read and written without protobuf's objects. What is not plain is left to protobuf, so
// that there is one place where it is checked and refused.
namespace corod::rpc {

// A Send as SendRequest or Command holds it. Refers to the bytes that it was read from.
struct PlainSend {
  std::uint64_t tag = 0;
  std::string_view session_id;  // ASCII
  std::string_view request_id;  // ASCII
  std::uint64_t expected_step = 0;
  bool quiet = false;
  bool resume = false;
  Value value;
};

// Reads a Send whose value is null, a boolean, an integer, a number, text or bytes of at most `max_bytes`, and whose
// ids are ASCII. nullopt: it is something else, or damaged; protobuf is to parse it.
std::optional<PlainSend> ReadPlainSendRequest(std::string_view bytes, std::size_t max_bytes);
std::optional<PlainSend> ReadPlainCommand(std::string_view bytes, std::size_t max_bytes);

// Reads the commands of a DriveRequest one after the other, without looking into them.
class CommandReader {
 public:
  explicit CommandReader(std::string_view request) : rest_(request) {}

  // The next one's bytes. nullopt at the end, or where something else follows (see ok()).
  std::optional<std::string_view> Next();
  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// Appends a SendResponse.
void AppendSendResponse(const Reply& reply, bool quiet, std::string& to);
// Whether AppendReply needs no protobuf for it, so that it takes no longer than copying.
bool IsPlainReply(const Reply& reply, bool quiet);
// Appends a Reply as an element of DriveResponse.replies. `reply` is a step.
void AppendReply(std::uint64_t tag, const Reply& reply, bool quiet, std::string& to);

}  // namespace corod::rpc

#endif  // COROD_SERVER_RPC_HOT_MESSAGES_H_
