#ifndef COROD_CLIENT_LOAD_MESSAGES_H_
#define COROD_CLIENT_LOAD_MESSAGES_H_

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "corod/v1/coroutine_service.pb.h"

// Requests that are serialized once, and replies that are looked at without being parsed.
namespace corod::load {

// The numbers from 0 to before `count`, shuffled: each comes once before one comes again. REQUIRES: count > 0.
class Deck {
 public:
  explicit Deck(std::uint64_t count);
  std::uint64_t Next();

 private:
  std::mt19937_64 random_;
  std::vector<std::uint32_t> numbers_;
  std::size_t next_;
};

// How the ids of the sessions follow from their numbers.
using IdOf = std::function<std::string(std::uint64_t number)>;

grpc::ByteBuffer Serialized(const google::protobuf::MessageLite& message);

// An integer, which is what is sent unless something else is asked for.
v1::Value AnInteger();

// `count` SendRequests of `value`, for the sessions that `deck` deals.
std::vector<grpc::ByteBuffer> SendRequests(std::size_t count, Deck& deck, const IdOf& id_of,
                                           const v1::Value& value = AnInteger());

// `count` DriveRequests with `batch` such commands each.
std::vector<grpc::ByteBuffer> DriveRequests(std::size_t count, std::size_t batch, Deck& deck, const IdOf& id_of,
                                            const v1::Value& value = AnInteger());

// OK if a value was yielded, and for a session that was created without being primed. Else why not: what the service
// refused (client::ErrorOf tells the reason), or FAILED_PRECONDITION without a reason for what the coroutine did.
absl::Status CheckReply(const v1::Reply& reply);

// OK if the response is a SendResponse with a value that was yielded, else what it is.
absl::Status CheckSendResponse(grpc::ByteBuffer& response);

// How many replies are in a DriveResponse; what is wrong with the first that is no value that was yielded.
absl::StatusOr<std::size_t> CountReplies(grpc::ByteBuffer& response);

}  // namespace corod::load

#endif  // COROD_CLIENT_LOAD_MESSAGES_H_
